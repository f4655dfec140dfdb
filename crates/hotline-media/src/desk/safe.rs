//! Protection as it is noted for the process after this one, and taken up from there.

use hotline_base::media::Profile;
use hotline_rtp::{MasterKey, SrtpProfile, SrtpProgress};
use hotline_sdp::{Fingerprint, Role, SdesKey, SdesSuite, Secrets};

use super::{
    guests::{Dtls, Protection},
    notes::{Agreed, Safe},
};

/// Profiles by their numbers in DTLS (RFC 5764 §4.1.2, RFC 7714 §14.2).
const PROFILES: [(u16, SrtpProfile); 3] = [
    (0x0001, SrtpProfile::AesCm128HmacSha1_80),
    (0x0002, SrtpProfile::AesCm128HmacSha1_32),
    (0x0007, SrtpProfile::AeadAes128Gcm),
];

impl Protection {
    /// For the process after this one; `None` in the clear.
    pub(super) fn noted(&self) -> Option<Safe> {
        let secrets = self.secrets.as_ref()?;
        Some(Safe {
            profile: self.profile,
            ssrc: secrets.ssrc,
            keys: secrets.keys.iter().map(|it| it.bytes().to_vec()).collect(),
            ufrag: secrets.ufrag.clone(),
            pwd: secrets.pwd.clone(),
            fingerprint: secrets.fingerprint.0,
            is_client: secrets.role.map(|it| it == Role::Client),
            dtls: self.dtls.as_ref().and_then(noted),
            path: self.path,
            rtp: self.progress.and_then(|it| it.rtp),
            rtcp: self.progress.and_then(|it| it.rtcp),
        })
    }

    /// What a process before had noted. With the same keys and **another stream**: where the one
    /// before ended is not known, and no packet of it may be made twice (RFC 3711 §9.1). The key
    /// stream of another SSRC is another one. Each process counts one on, so that none of them
    /// repeats one.
    pub(super) fn revived(safe: &Safe) -> Option<Self> {
        let keys = SdesSuite::ALL.into_iter().zip(&safe.keys);
        let role = |is_client| if is_client { Role::Client } else { Role::Server };
        let secrets = Secrets {
            keys: keys.map(|(suite, it)| SdesKey::new(suite, it)).collect::<Option<_>>()?,
            ufrag: safe.ufrag.clone(),
            pwd: safe.pwd.clone(),
            fingerprint: Fingerprint(safe.fingerprint),
            role: safe.is_client.map(role),
            ssrc: safe.ssrc.wrapping_add(1),
        };
        let mut it = Self::new(safe.profile, Some(secrets));
        it.dtls = match &safe.dtls {
            Some(agreed) => Some(taken(agreed)?),
            None => None,
        };
        it.path = safe.path;
        it.progress = Some(SrtpProgress { rtp: safe.rtp, rtcp: safe.rtcp });
        Some(it)
    }

    /// Whether the next process can go on with it: DTLS that has begun and not ended cannot.
    pub(super) fn is_whole(&self, is_settled: bool) -> bool {
        self.profile != Profile::WebRtc || !is_settled || self.dtls.is_some()
    }
}

fn noted(keys: &Dtls) -> Option<Agreed> {
    let profile = keys.ours.profile();
    let (profile, _) = PROFILES.into_iter().find(|it| it.1 == profile)?;
    let (ours, theirs) = (keys.ours.key_and_salt(), keys.theirs.key_and_salt());
    Some(Agreed { profile, ours, theirs })
}

fn taken(agreed: &Agreed) -> Option<Dtls> {
    let (_, profile) = PROFILES.into_iter().find(|it| it.0 == agreed.profile)?;
    let key = |it: &[u8]| MasterKey::new(profile, it);
    Some(Dtls { ours: key(&agreed.ours)?, theirs: key(&agreed.theirs)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protection() -> Protection {
        let key = |suite: SdesSuite| SdesKey::new(suite, &vec![7; suite.key_and_salt()]).unwrap();
        let secrets = Secrets {
            keys: SdesSuite::ALL.map(key).into(),
            ufrag: "ufrag".to_owned(),
            pwd: "pwd".to_owned(),
            fingerprint: Fingerprint([9; 32]),
            role: Some(Role::Client),
            ssrc: u32::MAX,
        };
        let mut it = Protection::new(Profile::WebRtc, Some(secrets));
        it.path = Some("192.0.2.7:9000".parse().unwrap());
        it.progress = Some(SrtpProgress { rtp: Some((5, 1 << 40)), rtcp: None });
        it
    }

    #[test]
    fn protection_is_taken_up_as_it_was_but_for_the_stream_of_ours() {
        for (_, profile) in PROFILES {
            let mut before = protection();
            let key = |byte| MasterKey::new(profile, &vec![byte; profile.key_and_salt()]).unwrap();
            before.dtls = Some(Dtls { ours: key(1), theirs: key(2) });
            let noted = before.noted().unwrap();
            let after = Protection::revived(&noted).unwrap();
            assert_eq!(after.secrets.as_ref().unwrap().ssrc, 0);
            let again = after.noted().unwrap();
            assert_eq!(Safe { ssrc: u32::MAX, ..again }, noted);
            assert!(after.is_whole(true));
        }
    }

    #[test]
    fn dtls_that_has_not_ended_is_not_taken_up() {
        let it = protection();
        assert!(it.is_whole(false) && !it.is_whole(true));
        let phone = Protection::new(Profile::Sdes, it.secrets);
        assert!(phone.is_whole(true));
    }

    #[test]
    fn in_the_clear_nothing_is_noted_and_keys_are_not_shown() {
        assert_eq!(Protection::new(Profile::Plain, None).noted(), None);
        let shown = format!("{:?}", protection().noted().unwrap());
        assert_eq!(shown, "Safe { profile: WebRtc, .. }");
    }
}
