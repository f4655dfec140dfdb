//! Keys in descriptions, and what browsers write.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::{Codec, Codecs, SdpError, answer, answer_in, offer_in, settle_in};

const LOCAL: Local = Local {
    address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    port: 20_000,
    session: 7,
    version: 1,
    codecs: Codecs::G711,
};

const KEY_30: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

fn secrets() -> Secrets {
    let key = |suite: SdesSuite| SdesKey::new(suite, &vec![7; suite.key_and_salt()]).unwrap();
    Secrets {
        keys: SdesSuite::ALL.map(key).into(),
        ufrag: "hOtl".to_owned(),
        pwd: "aPasswordOfTwentyTwoLetters".to_owned(),
        fingerprint: Fingerprint([0xAB; 32]),
        role: None,
        ssrc: 99,
    }
}

fn sdp(rows: &str) -> String {
    let rows = rows.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n");
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n{rows}\r\n"
    )
}

fn agreed(rows: &str) -> Result<(String, Security), SdpError> {
    answer_in(&sdp(rows), &LOCAL, Some(&secrets())).map(|(text, _, security)| (text, security))
}

/// What a telephone offers with these rows of `a=crypto`.
fn phone(crypto: &[&str]) -> String {
    let rows: Vec<_> = crypto.iter().map(|it| format!("a=crypto:{it}")).collect();
    format!("m=audio 4000 RTP/SAVP 8 101\na=rtpmap:101 telephone-event/8000\n{}", rows.join("\n"))
}

#[test]
fn the_first_suite_of_an_offer_that_we_have_is_answered_with_its_tag_and_our_key() {
    let (text, security) = agreed(&phone(&[
        "1 AES_256_CM_HMAC_SHA1_80 inline:AAAA",
        &format!("2 AES_CM_128_HMAC_SHA1_32 inline:{KEY_30}|2^31"),
        &format!("3 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}"),
    ]))
    .unwrap();
    let Security::Sdes { ours, theirs } = security else { panic!("not by keys") };
    assert_eq!((ours.suite(), ours.bytes()), (SdesSuite::AesCm128HmacSha1_32, &[7; 30][..]));
    // The key of RFC 4568 §9.1.
    assert_eq!(theirs.bytes(), b"YS___semctl () {\t220;}\n}\nunles");
    let rows: Vec<_> = text.lines().filter(|it| it.starts_with("a=crypto")).collect();
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
    assert_eq!(rows, [format!("a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:{key}")]);
    assert!(text.contains("m=audio 20000 RTP/SAVP 8 101\r\n"));
}

#[test]
fn keys_that_we_cannot_use_are_passed_over_and_without_another_the_offer_is_refused() {
    let suite = "AES_CM_128_HMAC_SHA1_80";
    for bad in [
        format!("1 {suite} inline:{KEY_30}|1:4"),
        format!("1 {suite} inline:{KEY_30}|2^31|1:1"),
        format!("1 {suite} inline:{KEY_30}|2^20"),
        format!("1 {suite} inline:{KEY_30}|2^99"),
        format!("1 {suite} inline:{KEY_30};inline:{KEY_30}"),
        format!("1 {suite} inline:{KEY_30} UNENCRYPTED_SRTP"),
        format!("1 {suite} inline:{KEY_30} WSH=64 UNENCRYPTED_SRTCP"),
        format!("1 {suite} inline:{KEY_30} UNAUTHENTICATED_SRTP"),
        format!("1 {suite} inline:{KEY_30} FEC_ORDER=FEC_SRTP"),
        format!("1 {suite} inline:{KEY_30} something-new"),
        format!("1 {suite} inline:{KEY_30}|"),
        format!("1 {suite} inline:{KEY_30}|0"),
        format!("1 AEAD_AES_128_GCM inline:{KEY_30}"),
        format!("1 AEAD_AES_256_GCM inline:{KEY_30}"),
        format!("1 {suite} inline:{KEY_30} KDR=3"),
        format!("1 {suite} inline:{}", &KEY_30[4..]),
        format!("1 {suite} inline:{}?", &KEY_30[1..]),
        format!("1 {suite} psk:{KEY_30}"),
        format!("x {suite} inline:{KEY_30}"),
        format!("1 {suite}"),
        "1".to_owned(),
        String::new(),
    ] {
        assert_eq!(agreed(&phone(&[&bad])), Err(SdpError::NoCommonCodec), "{bad}");
        let good = format!("2 {suite} inline:{KEY_30}|16777216 WSH=64");
        assert!(matches!(agreed(&phone(&[&bad, &good])), Ok((_, Security::Sdes { .. }))), "{bad}");
    }
    assert_eq!(agreed("m=audio 4000 RTP/SAVP 8"), Err(SdpError::NoCommonCodec));
}

#[test]
fn a_plain_offer_stays_plain_whatever_keys_it_names() {
    let rows =
        format!("m=audio 4000 RTP/AVP 8\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}");
    let (text, security) = agreed(&rows).unwrap();
    assert_eq!(security, Security::Plain);
    assert!(!text.contains("crypto"));
}

#[test]
fn without_secrets_no_protection_is_answered() {
    let rows = phone(&[&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}")]);
    assert_eq!(answer(&sdp(&rows), &LOCAL), Err(SdpError::NoCommonCodec));
}

#[test]
fn the_keys_of_our_offer_and_of_its_answer_belong_together_by_tag() {
    let ours = offer_in(&LOCAL, Profile::Sdes, &secrets());
    assert!(ours.contains("m=audio 20000 RTP/SAVP 8 0 101\r\n"));
    let theirs = |crypto: &str| sdp(&phone(&[crypto]));
    let (_, security) =
        settle_in(&ours, &theirs(&format!("3 AES_CM_128_HMAC_SHA1_32 inline:{KEY_30}"))).unwrap();
    let Security::Sdes { ours: key, theirs: other } = security else { panic!("not by keys") };
    assert_eq!((key.suite(), other.suite()), (SdesSuite::AesCm128HmacSha1_32, key.suite()));
    // A suite under another's tag, and an answer in the clear.
    let wrong = theirs(&format!("1 AES_CM_128_HMAC_SHA1_32 inline:{KEY_30}"));
    assert_eq!(settle_in(&ours, &wrong), Err(SdpError::NoCommonCodec));
    let plain = sdp("m=audio 4000 RTP/AVP 8");
    assert_eq!(settle_in(&ours, &plain), Err(SdpError::NoCommonCodec));
}

fn browser(setup: &str) -> String {
    format!(
        "a=group:BUNDLE 0 1
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110 126
        c=IN IP4 0.0.0.0
        a=rtcp:9 IN IP4 0.0.0.0
        a=ice-ufrag:W5pQ
        a=ice-pwd:8m1Yz2rR3tS4uU5vV6wW7xX8
        a=ice-options:trickle
        a=fingerprint:sha-1 00:11
        a=fingerprint:sha-256 {}
        a=setup:{setup}
        a=mid:0
        a=sendrecv
        a=rtcp-mux
        a=rtpmap:111 opus/48000/2
        a=rtpmap:0 PCMU/8000
        a=rtpmap:8 PCMA/8000
        a=rtpmap:110 telephone-event/48000
        a=rtpmap:126 telephone-event/8000
        m=video 9 UDP/TLS/RTP/SAVPF 96
        c=IN IP4 0.0.0.0
        a=mid:1",
        ["1f"; 32].join(":")
    )
}

#[test]
fn a_browser_is_answered_with_one_candidate_our_fingerprint_and_a_law() {
    let (text, stream, security) =
        answer_in(&sdp(&browser("actpass")), &LOCAL, Some(&secrets())).unwrap();
    let Security::WebRtc(remote) = security else { panic!("not a browser") };
    assert_eq!((remote.ufrag.as_str(), remote.role), ("W5pQ", Role::Server));
    assert_eq!(remote.fingerprint, Fingerprint([0x1F; 32]));
    assert_eq!(
        (stream.codec, stream.telephone_event, stream.hold),
        (Codec::Pcma, Some(126), false)
    );
    let ours = ["AB"; 32].join(":");
    let expected = format!(
        "v=0\r\no=- 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         a=ice-lite\r\na=group:BUNDLE 0\r\n\
         m=audio 20000 UDP/TLS/RTP/SAVPF 8 126\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:126 telephone-event/8000\r\na=fmtp:126 0-15\r\na=ptime:20\r\na=sendrecv\r\n\
         a=mid:0\r\na=rtcp-mux\r\na=ice-ufrag:hOtl\r\na=ice-pwd:aPasswordOfTwentyTwoLetters\r\n\
         a=candidate:1 1 udp 2130706431 192.0.2.1 20000 typ host\r\na=end-of-candidates\r\n\
         a=fingerprint:sha-256 {ours}\r\na=setup:passive\r\na=msid:hotline audio\r\n\
         m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn who_begins_dtls_follows_from_both_descriptions_and_stays() {
    let role = |setup: &str, settled| {
        let secrets = Secrets { role: settled, ..secrets() };
        let (text, _, security) = answer_in(&sdp(&browser(setup)), &LOCAL, Some(&secrets)).unwrap();
        let Security::WebRtc(remote) = security else { panic!("not a browser") };
        assert!(text.contains(&format!("a=setup:{}\r\n", remote.role.setup())));
        remote.role
    };
    assert_eq!(role("actpass", None), Role::Server);
    assert_eq!(role("active", None), Role::Server);
    assert_eq!(role("passive", None), Role::Client);
    assert_eq!(role("actpass", Some(Role::Client)), Role::Client);
    let ours = offer_in(&LOCAL, Profile::WebRtc, &secrets());
    assert!(ours.contains("m=audio 20000 UDP/TLS/RTP/SAVPF 8 0 101\r\n"));
    assert!(ours.contains("a=setup:actpass\r\na=msid") && ours.contains("a=mid:0\r\n"));
    assert!(ours.contains(&format!("a=extmap:1 {MID}\r\n")) && !ours.contains("a=ssrc"));
    for (setup, role) in [("active", Role::Server), ("passive", Role::Client)] {
        let (_, security) = settle_in(&ours, &sdp(&browser(setup))).unwrap();
        assert!(matches!(security, Security::WebRtc(remote) if remote.role == role));
    }
}

const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// The label of our packets, and whether our answer says so.
fn label_of(extmap: &str) -> Option<Label> {
    let rows = browser("actpass").replace("a=mid:0", &format!("a=mid:audio\n{extmap}"));
    let (text, security) = agreed(&rows).unwrap();
    let Security::WebRtc(remote) = security else { panic!("not a browser") };
    let said = text.lines().find_map(|it| it.strip_prefix("a=extmap:"));
    assert_eq!(said.map(str::to_owned), remote.label.as_ref().map(|it| format!("{} {MID}", it.id)));
    remote.label
}

#[test]
fn packets_are_labelled_as_the_browser_wants_to_read_it() {
    let label = |id| Some(Label { id, mid: "audio".to_owned() });
    assert_eq!(label_of("a=extmap:14 urn:x\n        a=extmap:4 "), None);
    assert_eq!(label_of(&format!("a=extmap:4 {MID}")), label(4));
    assert_eq!(label_of(&format!("a=extmap:4/recvonly {MID} more")), label(4));
    for other in ["4/sendonly ", "4/inactive ", "15 ", "0 ", "300 ", "x ", ""] {
        assert_eq!(label_of(&format!("a=extmap:{other}{MID}")), None, "{other}");
    }
    let ours = offer_in(&LOCAL, Profile::WebRtc, &secrets());
    for (id, taken) in [(1, true), (2, false)] {
        let row = format!("a=mid:0\na=extmap:{id} {MID}");
        let theirs = sdp(&browser("active").replace("a=mid:0", &row));
        let (_, security) = settle_in(&ours, &theirs).unwrap();
        let Security::WebRtc(remote) = security else { panic!("not a browser") };
        assert_eq!(remote.label, taken.then(|| Label { id: 1, mid: "0".to_owned() }));
    }
}

#[test]
fn a_browser_that_lacks_what_makes_it_safe_or_one_path_is_refused() {
    for row in ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint:sha-256", "a=rtcp-mux"] {
        let rows = browser("actpass").replace(row, "a=x-gone");
        assert_eq!(agreed(&rows), Err(SdpError::NoCommonCodec), "{row}");
    }
    assert_eq!(agreed(&browser("holdconn")), Err(SdpError::NoCommonCodec));
    let short = browser("actpass").replace(":1f:1f:1f", ":1f:1f");
    assert_eq!(agreed(&short), Err(SdpError::NoCommonCodec));
}

#[test]
fn a_browser_holds_by_its_direction_alone() {
    let held = browser("actpass").replace("a=sendrecv", "a=sendonly");
    let (text, stream, _) = answer_in(&sdp(&held), &LOCAL, Some(&secrets())).unwrap();
    assert!(stream.hold && text.contains("a=recvonly\r\n"));
}

#[test]
fn keys_are_not_shown() {
    let key = SdesKey::new(SdesSuite::AeadAes128Gcm, &[1; 28]).unwrap();
    assert_eq!(format!("{key:?}"), "SdesKey { suite: AeadAes128Gcm, .. }");
}
