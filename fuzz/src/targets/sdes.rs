//! Keys within a description (RFC 4568) and a browser's words (RFC 8839, RFC 8842), offered and
//! answered.

use std::net::{IpAddr, Ipv4Addr};

use hotline_base::media::Profile;
use hotline_sdp::{
    Codec, Codecs, Fingerprint, Local, SdesKey, SdesSuite, SdpError, Secrets, Security, answer_in,
    asked, offer_in, settle_in,
};

use crate::trace::Trace;

pub(super) const WORDS: &[&str] = &[
    "m=audio 4000 RTP/SAVP 8 101\r\n",
    "m=audio 4000 UDP/TLS/RTP/SAVPF 111 8\r\n",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:",
    "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:",
    "a=crypto:3 AEAD_AES_128_GCM inline:",
    "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa",
    "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWg==",
    "|2^20|1:4",
    ";inline:",
    " KDR=0",
    " UNENCRYPTED_SRTP",
    " WSH=64",
    "a=fingerprint:sha-256 ",
    "a=setup:actpass\r\n",
    "a=setup:passive\r\n",
    "a=ice-ufrag:abcd\r\n",
    "a=ice-pwd:0123456789abcdefghijkl\r\n",
    "a=ice-lite\r\n",
    "a=rtcp-mux\r\n",
    "a=mid:0\r\n",
    "a=group:BUNDLE 0\r\n",
];

const SUITES: [SdesSuite; 3] =
    [SdesSuite::AeadAes128Gcm, SdesSuite::AesCm128HmacSha1_80, SdesSuite::AesCm128HmacSha1_32];

fn secrets() -> Secrets {
    let key = |it: SdesSuite| SdesKey::new(it, &vec![0xA5; it.key_and_salt()]);
    Secrets {
        keys: SUITES.into_iter().filter_map(key).collect(),
        ufrag: "ours".to_owned(),
        pwd: "ours0123456789ABCDEFGHIJ".to_owned(),
        fingerprint: Fingerprint([7; 32]),
        role: None,
        ssrc: 7,
    }
}

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut trace = Trace::new();
    let text = hotline_sip::decode(bytes);
    let (address, codecs) = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), Codecs::of(Codec::ALL));
    let local = Local { address, port: 40_000, session: 7, version: 1, codecs };
    let secrets = secrets();
    let wanted = asked(&text);
    trace.note(&format!("{:?}", wanted.as_ref().map(|it| it.profile)));
    match answer_in(&text, &local, Some(&secrets)) {
        Ok((said, stream, security)) => {
            check(&security, &secrets, &mut trace);
            assert!(said.len() <= 2 * text.len() + 2_000, "{} for {}", said.len(), text.len());
            assert!(said.lines().all(|it| it.as_bytes().get(1) == Some(&b'=')), "{said}");
            // A protected line is answered by a protected one, and a plain one by a plain one.
            let line = said.lines().find(|it| it.starts_with("m=audio 40000 ")).unwrap_or_default();
            let is_protected = line.to_ascii_uppercase().contains("SAVP");
            assert_eq!(is_protected, security != Security::Plain, "{said}");
            assert!(stream.address.port() > 0 || stream.hold, "{stream:?}");
        }
        Err(why) => fault(why, &mut trace),
    }
    for profile in [Profile::Plain, Profile::Sdes, Profile::WebRtc] {
        let ours = offer_in(&local, profile, &secrets);
        match settle_in(&ours, &text) {
            Ok((_, security)) => {
                let is = match security {
                    Security::Plain => Profile::Plain,
                    Security::Sdes { .. } => Profile::Sdes,
                    Security::WebRtc(_) => Profile::WebRtc,
                };
                assert_eq!(is, profile, "protected otherwise than we offered");
                check(&security, &secrets, &mut trace);
            }
            Err(why) => fault(why, &mut trace),
        }
    }
    trace.end()
}

/// Keys have the length of their suite, both sides have the same suite, and ours is one that we
/// brought.
fn check(security: &Security, secrets: &Secrets, trace: &mut Trace) {
    match security {
        Security::Plain => trace.note("plain"),
        Security::Sdes { ours, theirs } => {
            assert!(secrets.keys.contains(ours), "a key of nobody");
            assert_eq!(ours.suite(), theirs.suite());
            assert_eq!(theirs.bytes().len(), theirs.suite().key_and_salt());
            trace.note(&format!("{:?}", theirs.suite()));
        }
        Security::WebRtc(it) => trace.note(&format!("webrtc {:?}", it.role)),
    }
}

fn fault(why: SdpError, trace: &mut Trace) {
    trace.note(&format!("{why:?}"));
}
