//! Figures of the standards, and what must not pass.

use std::net::IpAddr;

use hotline_base::WallTime;

use super::{
    nonces::{COUNTS_MAX, NONCE_SECS, hmac},
    *,
};
use crate::{Flow, Message, MessageBuilder, Transport};

fn secret(password: &str) -> Secret {
    Secret::Password(password.to_owned())
}

fn params(text: &str) -> Params {
    Params::parse(text.as_bytes()).unwrap()
}

#[test]
fn answers_of_rfc_7616_are_right_for_both_algorithms() {
    // RFC 7616 §3.9.1.
    let common = "username=\"Mufasa\", realm=\"http-auth@example.org\", \
        uri=\"/dir/index.html\", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
        nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth";
    let md5 = "algorithm=MD5, response=\"8ca523f5e9506fed4657c9700eebdbec\"";
    let sha256 = "algorithm=SHA-256, \
        response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\"";
    let (md5, sha256) =
        (params(&format!("Digest {common}, {md5}")), params(&format!("Digest {common}, {sha256}")));
    let password = secret("Circle of Life");
    assert!(md5.is_right("GET", &password, Challenges::Md5));
    assert!(sha256.is_right("GET", &password, Challenges::Sha256));
    assert!(!sha256.is_right("PUT", &password, Challenges::Sha256));
    assert!(!sha256.is_right("GET", &secret("circle of life"), Challenges::Sha256));
    // What the account does not permit is wrong, however right.
    assert!(!md5.is_right("GET", &password, Challenges::Sha256));
    assert!(!sha256.is_right("GET", &password, Challenges::Md5));
    assert!(md5.is_right("GET", &password, Challenges::Sha256AndMd5));
    // Hashes instead of the password.
    let ha1 = |it: Algorithm| it.hash("Mufasa:http-auth@example.org:Circle of Life");
    let ha1 = Secret::Ha1 { sha256: Some(ha1(Algorithm::Sha256)), md5: None };
    assert!(sha256.is_right("GET", &ha1, Challenges::Sha256AndMd5));
    assert!(!md5.is_right("GET", &ha1, Challenges::Sha256AndMd5));
}

#[test]
fn only_md5_may_leave_out_qop_and_no_other_qop_is_taken() {
    let told = |algorithm: Algorithm, qop: &str| {
        let ha1 = algorithm.hash("u:r:pw");
        let right = response(algorithm, &ha1, "n", None, ("REGISTER", "sip:h"));
        params(&format!(
            "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"sip:h\",algorithm={}{qop},\
             response=\"{right}\"",
            algorithm.name()
        ))
        .is_right("REGISTER", &secret("pw"), Challenges::Sha256AndMd5)
    };
    assert!(told(Algorithm::Md5, ""));
    assert!(!told(Algorithm::Sha256, ""));
    assert!(!told(Algorithm::Md5, ",qop=auth-int"));
}

#[test]
fn the_keyed_hash_is_the_standards() {
    // RFC 4231 test case 1 has a key of 20 bytes; zeros up to the block are the same key.
    let mut key = [0; 32];
    key[..20].fill(0x0B);
    assert_eq!(
        hex(&hmac(&key, &[b"Hi ", b"There"])),
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    );
}

const SECRET: [u8; 32] = [7; 32];
const NOW: WallTime = WallTime(1_700_000_000_000);

fn ip(it: &str) -> IpAddr {
    it.parse().unwrap()
}

#[test]
fn a_nonce_is_good_for_its_source_its_time_its_process_and_rising_counters_only() {
    let home = ip("10.0.0.1");
    let mut it = Nonces::new(1);
    let nonce = it.make(&SECRET, home, NOW);
    let later = |secs: i64| WallTime(NOW.0 + secs * 1000);
    assert!(it.is_fresh(&SECRET, home, &nonce, later(NONCE_SECS)));
    assert!(!it.is_fresh(&SECRET, home, &nonce, later(NONCE_SECS + 1)));
    assert!(!it.is_fresh(&SECRET, ip("10.0.0.2"), &nonce, NOW));
    assert!(!it.is_fresh(&[8; 32], home, &nonce, NOW));
    assert!(!Nonces::new(2).is_fresh(&SECRET, home, &nonce, NOW));
    for at in 0..nonce.len() {
        let mut changed = nonce.clone().into_bytes();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(!it.is_fresh(&SECRET, home, &changed, NOW), "{changed}");
    }
    assert!(it.take(&nonce, 1, NOW));
    assert!(!it.take(&nonce, 1, NOW));
    assert!(it.take(&nonce, 2, NOW));
    assert!(!it.take(&nonce, 1, NOW));
    // Eight digits of base 16 end at 2^32.
    for count in [(1 << 31) - 1, 1 << 31, u32::MAX] {
        assert!(it.take(&nonce, count, NOW));
        assert!(!it.take(&nonce, count, NOW));
    }
    assert!(!it.take(&nonce, 0, NOW) && !it.take(&nonce, 3, NOW));
}

/// A nonce that two have is too old for the second who uses it.
#[test]
fn telephones_behind_one_address_get_nonces_of_their_own_in_the_same_second() {
    let (home, mut it) = (ip("10.0.0.1"), Nonces::new(1));
    let all = (0..3_000).map(|_| it.make(&SECRET, home, NOW));
    assert_eq!(all.collect::<std::collections::BTreeSet<_>>().len(), 3_000);
}

#[test]
fn what_is_forgotten_of_nonces_is_refused_and_never_good_again() {
    let home = ip("10.0.0.1");
    let mut it = Nonces::new(1);
    let first = it.make(&SECRET, home, NOW);
    assert!(it.take(&first, 1, NOW));
    for n in 1..=COUNTS_MAX {
        let later = WallTime(NOW.0 + i64::try_from(n).unwrap() * 2);
        let nonce = it.make(&SECRET, home, later);
        assert!(it.is_fresh(&SECRET, home, &nonce, later) && it.take(&nonce, 1, later));
    }
    assert_eq!(it.n_counts(), COUNTS_MAX);
    assert!(!it.is_fresh(&SECRET, home, &first, NOW));
    // After a minute nothing is left of them.
    let later = WallTime(NOW.0 + 200_000);
    let nonce = it.make(&SECRET, home, later);
    assert!(it.take(&nonce, 1, later));
    assert_eq!(it.n_counts(), 1);
}

fn credentials() -> Credentials {
    Credentials {
        user: "8677112345".to_owned(),
        secret: secret("pw"),
        realm: Some("ims.example".to_owned()),
        hops: vec![ip("10.0.0.2")],
        challenges: Challenges::Sha256AndMd5,
    }
}

fn request(more: &str) -> Message {
    let it = MessageBuilder::request("INVITE", b"sip:10086@ims.example")
        .header("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1")
        .header("From", "<sip:a@h>;tag=1")
        .header("To", "<sip:b@h>")
        .header("Call-ID", "c")
        .header("CSeq", "1 INVITE");
    let it = if more.is_empty() { it } else { it.header("Proxy-Authorization", more) };
    Message::parse(&it.end()).unwrap()
}

fn challenged(status: u16, name: &str, values: &[String]) -> Message {
    let it = MessageBuilder::response(status, "x")
        .header("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1")
        .header("From", "<sip:a@h>;tag=1")
        .header("To", "<sip:b@h>;tag=2")
        .header("Call-ID", "c")
        .header("CSeq", "1 INVITE")
        .each(name, values);
    Message::parse(&it.end()).unwrap()
}

fn from(it: &str) -> Flow {
    let (local, remote) = ("10.0.0.1:5060".parse().unwrap(), it.parse().unwrap());
    Flow { transport: Transport::Udp, local, remote, conn: None }
}

#[test]
fn v6_a_challenge_is_answered_to_the_configured_next_hop_alone() {
    let asked = challenge("ims.example", "n", Algorithm::Md5, false);
    let response = challenged(407, "Proxy-Authenticate", &[asked]);
    let tell = |it: &Credentials, hop: &str| it.answer(from(hop), &response, &request(""), "c");
    let (name, value) = tell(&credentials(), "10.0.0.2:5060").unwrap();
    assert_eq!(name, "Proxy-Authorization");
    assert!(params(&value).is_right("INVITE", &secret("pw"), Challenges::Md5));
    for stranger in ["10.0.0.3:5060", "127.0.0.1:5060", "[::1]:5060"] {
        assert_eq!(tell(&credentials(), stranger), Err(NotAnswered::NotTheNextHop));
    }
    let other = Credentials { realm: Some("other".to_owned()), ..credentials() };
    assert_eq!(tell(&other, "10.0.0.2:5060"), Err(NotAnswered::OtherRealm));
    let strict = Credentials { challenges: Challenges::Sha256, ..credentials() };
    assert_eq!(tell(&strict, "10.0.0.2:5060"), Err(NotAnswered::NoAlgorithm));
}

#[test]
fn the_first_challenge_of_a_known_algorithm_is_answered_and_a_wrong_password_not_twice() {
    let tell = |values: &[String], more: &str| {
        let response = challenged(407, "Proxy-Authenticate", values);
        credentials().answer(from("10.0.0.2:5060"), &response, &request(more), "c")
    };
    let asked = |it, stale| challenge("ims.example", "n", it, stale);
    let unknown = "Digest realm=\"ims.example\",nonce=\"n\",algorithm=AKAv1-MD5".to_owned();
    let basic = "Basic realm=\"ims.example\"".to_owned();
    let both = [
        basic.clone(),
        unknown.clone(),
        asked(Algorithm::Sha256, false),
        asked(Algorithm::Md5, false),
    ];
    let (_, value) = tell(&both, "").unwrap();
    assert!(params(&value).is_right("INVITE", &secret("pw"), Challenges::Sha256), "{value}");
    assert_eq!(params(&value).count(), Some(1));
    assert_eq!(tell(&[basic], ""), Err(NotAnswered::NoChallenge));
    assert_eq!(tell(&[unknown], ""), Err(NotAnswered::NoAlgorithm));
    let again = "Digest username=\"x\"";
    assert_eq!(tell(&[asked(Algorithm::Md5, false)], again), Err(NotAnswered::Refused));
    assert!(tell(&[asked(Algorithm::Md5, true)], again).is_ok());
    let int = asked(Algorithm::Md5, false).replace("\"auth\"", "\"auth-int\"");
    assert_eq!(tell(&[int], ""), Err(NotAnswered::NoAlgorithm));
}

#[test]
fn nothing_in_a_challenge_can_add_a_parameter_to_the_answer() {
    let evil = "Digest realm=\"ims.example\",nonce=\"n\\\",response=\\\"x\",algorithm=MD5,\
                opaque=\"o\\\",username=\\\"root\"";
    let response = challenged(407, "Proxy-Authenticate", &[evil.to_owned()]);
    let told = credentials().answer(from("10.0.0.2:5060"), &response, &request(""), "c");
    let told = params(&told.unwrap().1);
    assert_eq!(told.get("username"), Some("8677112345"));
    assert_eq!(told.get("nonce"), Some("n\",response=\"x"));
    assert!(told.is_right("INVITE", &secret("pw"), Challenges::Md5));
}
