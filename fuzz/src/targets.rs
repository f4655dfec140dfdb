//! What is fuzzed.

mod browser;
mod datagrams;
mod dialog;
mod digest;
mod multipart;
mod rtp;
mod scanner;
mod sdes;
mod sdp;
mod srtp;
mod story;
mod uri;
mod wav;

pub use self::dialog::script;

/// One reader of strangers' bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    /// Takes any bytes; panics when a promise is broken; says what it saw.
    pub run: fn(&[u8]) -> u64,
    /// Pieces that lead deeper.
    pub words: &'static [&'static str],
    /// The longest input in bytes: as long as the real reader can get one.
    pub longest: usize,
}

/// The largest message there is.
const MESSAGE: usize = hotline_sip::MESSAGE_MAX;

/// What a port of media gets in a few packets.
const DATAGRAM: usize = 4_096;

pub const TARGETS: [Target; 11] = [
    Target { name: "scanner", run: scanner::run, words: scanner::WORDS, longest: MESSAGE + 100 },
    Target { name: "uri", run: uri::run, words: uri::WORDS, longest: 8_192 },
    Target { name: "sdp", run: sdp::run, words: sdp::WORDS, longest: MESSAGE },
    Target { name: "digest", run: digest::run, words: digest::WORDS, longest: 8_192 },
    Target { name: "multipart", run: multipart::run, words: multipart::WORDS, longest: MESSAGE },
    Target { name: "sdes", run: sdes::run, words: sdes::WORDS, longest: MESSAGE },
    Target { name: "rtp", run: rtp::run, words: rtp::WORDS, longest: DATAGRAM },
    Target { name: "browser", run: browser::run, words: browser::WORDS, longest: DATAGRAM },
    Target { name: "srtp", run: srtp::run, words: srtp::WORDS, longest: DATAGRAM },
    Target { name: "wav", run: wav::run, words: wav::WORDS, longest: 8_192 },
    Target { name: "dialog", run: dialog::run, words: dialog::WORDS, longest: 1_000 },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|it| it.name == name)
}
