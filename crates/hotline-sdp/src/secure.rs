//! How a description protects its audio: keys in it (SDES, RFC 4568), or ICE (RFC 8839) with the
//! fingerprint of a DTLS certificate (RFC 8122), as browsers want it (RFC 8827).

mod sdes;
#[cfg(test)]
mod tests;
mod webrtc;

use hotline_base::media::Profile;

pub use self::{
    sdes::{SdesKey, SdesSuite},
    webrtc::{Fingerprint, Label, Remote, Role},
};
use crate::{
    Local,
    read::{Description, Line},
};

/// What we bring to the protection of a leg; made once a leg, at random.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Our key for each suite, the best first.
    pub keys: Vec<SdesKey>,
    /// `a=ice-ufrag` and `a=ice-pwd` (RFC 8839 §5.4): at least 4 and 22 letters or digits.
    pub ufrag: String,
    pub pwd: String,
    /// Of our certificate.
    pub fingerprint: Fingerprint,
    /// Our part in DTLS, once it is settled; it stays for the life of the leg (RFC 8842 §5.5).
    pub role: Option<Role>,
    /// Of the stream we send; not written.
    pub ssrc: u32,
}

/// How an agreed stream is protected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Security {
    /// Not at all.
    Plain,
    /// By keys that both descriptions named.
    Sdes { ours: SdesKey, theirs: SdesKey },
    /// By keys that DTLS makes.
    WebRtc(Remote),
}

/// Rows of an audio line of ours.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<String>,
    /// Rows of the whole session.
    pub(crate) session: Vec<String>,
}

/// The protection that a line's `proto` asks for; `None` when we have none of that kind.
pub(crate) fn profile_of(line: &Line) -> Option<Profile> {
    let is = |names: [&str; 2]| names.iter().any(|it| line.proto.eq_ignore_ascii_case(it));
    if is(["RTP/AVP", "RTP/AVPF"]) {
        Some(Profile::Plain)
    } else if is(["RTP/SAVP", "RTP/SAVPF"]) {
        Some(Profile::Sdes)
    } else if is(["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"]) {
        Some(Profile::WebRtc)
    } else {
        None
    }
}

pub(crate) const fn proto_of(profile: Profile) -> &'static str {
    match profile {
        Profile::Plain => "RTP/AVP",
        Profile::Sdes => "RTP/SAVP",
        Profile::WebRtc => "UDP/TLS/RTP/SAVPF",
    }
}

/// The protection that an offered line leads to, with the rows that answer it. `None` when we
/// cannot give what it asks for.
pub(crate) fn accept(
    line: &Line,
    local: &Local,
    secrets: Option<&Secrets>,
) -> Option<(Security, Rows)> {
    let profile = profile_of(line)?;
    if profile == Profile::Plain {
        return Some((Security::Plain, Rows::default()));
    }
    let secrets = secrets?;
    if profile == Profile::Sdes {
        let (tag, ours, theirs) = sdes::choose(line, &secrets.keys)?;
        let rows = vec![sdes::row(tag, &ours)];
        return Some((Security::Sdes { ours, theirs }, Rows { rows, ..Rows::default() }));
    }
    let remote = Remote::offered(line, secrets.role)?;
    let rows = webrtc::answer_rows(local, secrets, line, &remote);
    Some((Security::WebRtc(remote), rows))
}

/// The rows of an offer of ours.
pub(crate) fn propose(profile: Profile, local: &Local, secrets: &Secrets) -> Rows {
    match profile {
        Profile::Plain => Rows::default(),
        Profile::Sdes => {
            let keys = (1..).zip(&secrets.keys);
            Rows { rows: keys.map(|(tag, it)| sdes::row(tag, it)).collect(), ..Rows::default() }
        }
        Profile::WebRtc => webrtc::offer_rows(local, secrets),
    }
}

/// The protection that the answer `theirs` to our line `ours` leads to.
pub(crate) fn conclude(ours: &Line, theirs: &Line) -> Option<Security> {
    let profile = profile_of(ours)?;
    if profile_of(theirs) != Some(profile) {
        return None;
    }
    match profile {
        Profile::Plain => Some(Security::Plain),
        Profile::Sdes => {
            let (ours, theirs) = sdes::conclude(ours, theirs)?;
            Some(Security::Sdes { ours, theirs })
        }
        Profile::WebRtc => Remote::answered(ours, theirs).map(Security::WebRtc),
    }
}

impl Security {
    /// Whether ICE finds the peer, so that the address of its description says nothing.
    pub(crate) const fn has_ice(&self) -> bool {
        matches!(self, Self::WebRtc(_))
    }
}

/// What an offer asks for, before it is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// Of its first audio line of a kind that we know.
    pub profile: Profile,
    /// The user fragment of ICE. Another one than before begins ICE anew.
    pub ufrag: Option<String>,
}

/// Looks at an offer: where it is answered from depends on it. `None` when it has no audio.
pub fn asked(offer: &str) -> Option<Asked> {
    let offer = Description::parse(offer)?;
    offer.lines.iter().filter(|it| it.is_live_audio()).find_map(|line| {
        let profile = profile_of(line)?;
        Some(Asked { profile, ufrag: line.value("ice-ufrag").map(str::to_owned) })
    })
}
