//! What one end of a leg describes: a telephone, a browser, or media.

use std::net::{IpAddr, Ipv4Addr};

use hotline_base::{LegId, media::Profile};
use hotline_sdp::{
    Codecs, Fingerprint, Local, SdesKey, SdesSuite, SdpError, Secrets, Security, Stream, answer_in,
    offer_in, settle_in,
};

/// Descriptions of one end, and how they protect its audio.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    pub(crate) profile: Profile,
    local: Local,
    secrets: Secrets,
    /// The last one.
    pub(crate) said: String,
}

impl Voice {
    /// `session` names it in its descriptions; nobody else has the same.
    pub(crate) fn new(profile: Profile, session: u64, fingerprint: Fingerprint) -> Self {
        let codecs = match profile {
            Profile::Plain | Profile::Sdes => Codecs::G711,
            Profile::WebRtc => Codecs::BROWSER,
        };
        let [byte, ..] = session.to_le_bytes();
        let key = |it: SdesSuite| SdesKey::new(it, &vec![byte; it.key_and_salt()]);
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 1));
        let mut it = Self {
            profile,
            local: Local { address, port: 30_000, session, version: 1, codecs },
            secrets: Secrets {
                keys: SdesSuite::ALL.into_iter().filter_map(key).collect(),
                ufrag: String::new(),
                pwd: String::new(),
                fingerprint,
                role: None,
                ssrc: 1,
            },
            said: String::new(),
        };
        it.name_ice();
        it
    }

    /// ICE begins anew: other words than before.
    pub(crate) fn restart(&mut self) {
        self.local.version += 1;
        self.name_ice();
    }

    fn name_ice(&mut self) {
        let Local { session, version, .. } = self.local;
        self.secrets.ufrag = format!("{session}x{version}");
        self.secrets.pwd = format!("{session:0>20}x{version:0>4}");
    }

    pub(crate) const fn session(&self) -> u64 {
        self.local.session
    }

    pub(crate) fn ufrag(&self) -> &str {
        &self.secrets.ufrag
    }

    pub(crate) fn offer(&mut self) -> String {
        self.said = offer_in(&self.local, self.profile, &self.secrets);
        self.said.clone()
    }

    /// An offer that asks to be sent nothing.
    pub(crate) fn hold(&mut self) -> String {
        self.local.version += 1;
        self.said = self.offer().replace("a=sendrecv", "a=sendonly");
        self.said.clone()
    }

    /// An answer, in the way of the offer.
    pub(crate) fn answer(&mut self, offer: &str) -> Result<(Stream, Security), SdpError> {
        let (said, stream, security) = answer_in(offer, &self.local, Some(&self.secrets))?;
        self.said = said;
        Ok((stream, security))
    }

    /// What the answer to the last offer leads to.
    pub(crate) fn settle(&self, answer: &str) -> Result<(Stream, Security), SdpError> {
        settle_in(&self.said, answer)
    }
}

/// Who says it, as its origin has it.
pub(crate) fn session_of(sdp: &str) -> Option<u64> {
    let origin = sdp.lines().find_map(|it| it.strip_prefix("o=- "))?;
    origin.split(' ').next()?.parse().ok()
}

/// Media's leg that a description of media's is of.
pub(crate) fn leg_of(sdp: &str) -> Option<LegId> {
    session_of(sdp).map(LegId)
}

pub(crate) const fn profile_of(it: &Security) -> Profile {
    match it {
        Security::Plain => Profile::Plain,
        Security::Sdes { .. } => Profile::Sdes,
        Security::WebRtc(_) => Profile::WebRtc,
    }
}
