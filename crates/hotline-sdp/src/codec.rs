//! Codecs, and which of them a leg may speak.

#[cfg(test)]
mod tests;

use std::fmt;

/// How speech is coded on the wire.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Codec {
    /// G.711 A-law, static payload type 8 (RFC 3551 §6).
    Pcma,
    /// G.711 µ-law, static payload type 0.
    Pcmu,
    /// G.722 at 64 kbit/s, static payload type 9. It samples at 16,000 Hz, but its RTP clock runs at
    /// 8,000 Hz (RFC 3551 §4.5.2).
    G722,
    /// Opus (RFC 6716); its RTP clock always runs at 48,000 Hz (RFC 7587 §4.1).
    Opus,
    /// A codec that is not spoken here.
    Passed(Passed),
}

/// Codecs that are passed on untouched from one party to another. Nothing can be played, mixed or
/// recorded of them.
///
/// Codecs whose packets say by themselves how they are to be read; where `a=fmtp` decides that, both
/// parties would have to say the same, which two offers apart cannot see to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Passed {
    /// G.729, static payload type 18.
    G729,
    /// GSM full rate, static payload type 3.
    Gsm,
}

impl Codec {
    /// Everything that has a name here, what is spoken first.
    pub const ALL: [Self; 6] = [
        Self::Pcma,
        Self::Pcmu,
        Self::G722,
        Self::Opus,
        Self::Passed(Passed::G729),
        Self::Passed(Passed::Gsm),
    ];

    /// The payload type of RFC 3551 §6, for a codec that has one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcma => Some(8),
            Self::Pcmu => Some(0),
            Self::G722 => Some(9),
            Self::Passed(Passed::G729) => Some(18),
            Self::Passed(Passed::Gsm) => Some(3),
            Self::Opus => None,
        }
    }

    /// The payload type in our offers: the static one, else a dynamic one that is always the same.
    pub const fn offered_payload_type(self) -> u8 {
        match self.static_payload_type() {
            Some(it) => it,
            None => 111,
        }
    }

    /// The encoding name of `a=rtpmap`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
            Self::G722 => "G722",
            Self::Opus => "opus",
            Self::Passed(Passed::G729) => "G729",
            Self::Passed(Passed::Gsm) => "GSM",
        }
    }

    /// Ticks a second of its RTP clock, which is not always the rate of its samples.
    pub const fn clock(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcma | Self::Pcmu | Self::G722 | Self::Passed(_) => 8_000,
        }
    }

    /// G.711 of either law: one byte a sample, from one to the other by a table.
    pub const fn is_g711(self) -> bool {
        matches!(self, Self::Pcma | Self::Pcmu)
    }

    /// A byte stands for a sample at 8,000 Hz, so that a packet can be cut anywhere.
    pub const fn has_byte_a_sample(self) -> bool {
        matches!(self, Self::Pcma | Self::Pcmu | Self::G722)
    }

    /// Whether it is spoken here: prompts are made of it, it is mixed and recorded.
    pub const fn is_spoken(self) -> bool {
        !matches!(self, Self::Passed(_))
    }

    /// What follows the name in `a=rtpmap`. Opus says two channels, whatever it carries (RFC 7587
    /// §7).
    pub(crate) const fn rtpmap_rate(self) -> &'static str {
        match self {
            Self::Opus => "48000/2",
            Self::Pcma | Self::Pcmu | Self::G722 | Self::Passed(_) => "8000",
        }
    }

    /// The value of `a=fmtp`: what we wish to receive, and what we send.
    pub(crate) const fn fmtp(self) -> Option<&'static str> {
        match self {
            // RFC 7587 §6.1: one channel of telephone sound each way, with copies of earlier frames
            // and without pauses.
            Self::Opus => Some(
                "maxplaybackrate=8000;sprop-maxcapturerate=8000;stereo=0;useinbandfec=1;usedtx=0",
            ),
            Self::Passed(Passed::G729) => Some("annexb=no"),
            Self::Pcma | Self::Pcmu | Self::G722 | Self::Passed(Passed::Gsm) => None,
        }
    }

    /// The codec of an `a=rtpmap`.
    pub(crate) fn of_rtpmap(name: &str, rate: &str) -> Option<Self> {
        let is = |it: &Self| name.eq_ignore_ascii_case(it.name()) && rate.parse() == Ok(it.clock());
        Self::ALL.into_iter().find(is)
    }

    /// The codec of a payload type without an `a=rtpmap`.
    pub(crate) fn of_static(payload_type: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.static_payload_type() == Some(payload_type))
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The codecs of one kind of leg, the one we like best first.
///
/// A-law is always among them. What is only passed on comes after what is spoken, so that it is
/// agreed on with those alone who speak nothing else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Codecs {
    all: [Codec; Codec::ALL.len()],
    n: usize,
}

impl Default for Codecs {
    fn default() -> Self {
        Self::G711
    }
}

impl Codecs {
    /// A-law and µ-law: what trunks and telephones speak.
    pub const G711: Self =
        Self { all: [Codec::Pcma; Codec::ALL.len()], n: 0 }.with(Codec::Pcma).with(Codec::Pcmu);

    /// What browsers speak (RFC 7874 §3).
    pub const BROWSER: Self = Self::G711.with(Codec::Opus);

    /// These, in this order but for what [`Codecs`] promises. What comes twice counts once.
    #[must_use]
    pub fn of(wanted: impl IntoIterator<Item = Codec>) -> Self {
        let wanted: Vec<_> = wanted.into_iter().collect();
        let (spoken, passed): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|it| it.is_spoken());
        let all = spoken.into_iter().chain([Codec::Pcma]).chain(passed);
        all.fold(
            Self { n: 0, ..Self::G711 },
            |list, it| {
                if list.contains(it) { list } else { list.with(it) }
            },
        )
    }

    /// One more, which is not in it.
    #[expect(clippy::indexing_slicing, reason = "there is room for each codec once")]
    const fn with(mut self, codec: Codec) -> Self {
        self.all[self.n] = codec;
        self.n += 1;
        self
    }

    pub fn contains(&self, codec: Codec) -> bool {
        self.iter().any(|it| it == codec)
    }

    /// The best first; an answer takes the first of them that is offered.
    pub fn iter(&self) -> impl Iterator<Item = Codec> + '_ {
        self.all.iter().copied().take(self.n)
    }

    /// In the order of our offers, with their payload types: A-law first in every one of them, since
    /// every trunk speaks it and whoever agrees costs no transcoding.
    pub(crate) fn offered(&self) -> Vec<(u8, Codec)> {
        let others = self.iter().filter(|it| *it != Codec::Pcma);
        let all = [Codec::Pcma].into_iter().chain(others);
        all.map(|it| (it.offered_payload_type(), it)).collect()
    }
}
