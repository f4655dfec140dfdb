//! Checks, handshakes and time, without a socket. Named classes are those of docs/SECURITY.md.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use hotline_rtp::SrtpProfile;
use rtc_dtls::{
    config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig},
    crypto::Certificate,
    crypto_provider::default_provider,
    endpoint::Endpoint,
    extension::extension_use_srtp::SrtpProtectionProfile,
};
use rtc_shared::TransportProtocol;
use rtc_stun::{
    attributes::{ATTR_ICE_CONTROLLING, ATTR_USE_CANDIDATE, ATTR_USERNAME},
    fingerprint::FINGERPRINT,
    integrity::MessageIntegrity,
    message::{BINDING_REQUEST, Message, Setter},
    xoraddr::XorMappedAddress,
};
use sha2::{Digest, Sha256};

use super::*;

const PWD: &str = "aPasswordOfTwentyTwoLetters";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A check as a browser sends it.
fn check(username: &str, pwd: &str, nominates: bool) -> Vec<u8> {
    let provider = default_provider().unwrap();
    let mut it = Message::new();
    it.set_type(BINDING_REQUEST);
    it.new_transaction_id().unwrap();
    it.write_header();
    it.add(ATTR_USERNAME, username.as_bytes());
    it.add(ATTR_ICE_CONTROLLING, &[7; 8]);
    if nominates {
        it.add(ATTR_USE_CANDIDATE, &[]);
    }
    let key = pwd.to_owned();
    MessageIntegrity::new_short_term_integrity_with_provider(key, provider.crypto())
        .add_to(&mut it)
        .unwrap();
    FINGERPRINT.add_to(&mut it).unwrap();
    it.raw
}

/// The client that a browser is.
struct Client {
    config: Arc<HandshakeConfig>,
    endpoint: Endpoint,
    fingerprint: Fingerprint,
}

impl Client {
    fn new(certificate: &Certificate) -> Self {
        Self::offering(certificate, &[SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80])
    }

    fn offering(certificate: &Certificate, profiles: &[SrtpProtectionProfile]) -> Self {
        let config = ConfigBuilder::default()
            .with_crypto_provider(default_provider().unwrap())
            .with_certificates(vec![certificate.clone()])
            .with_srtp_protection_profiles(profiles.to_vec())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_insecure_skip_verify(true)
            .build(true, Some(SERVER))
            .unwrap();
        let fingerprint = Fingerprint(Sha256::digest(certificate.certificate[0].as_ref()).into());
        let endpoint = Endpoint::new(SERVER, TransportProtocol::UDP, None);
        Self { config: Arc::new(config), endpoint, fingerprint }
    }

    fn begin(&mut self, now: Instant) {
        self.endpoint.connect(now, SERVER, Arc::clone(&self.config), None).unwrap();
    }

    fn said(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|it| it.message.to_vec()).collect()
    }

    /// Its key and the server's (RFC 5764 §4.2).
    fn keys(&self, profile: SrtpProfile) -> [MasterKey; 2] {
        let state = self.endpoint.get_connection_state(SERVER).unwrap();
        let (key, salt) = (16, profile.key_and_salt() - 16);
        let material = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], 2 * (key + salt));
        let material = material.unwrap();
        let (keys, salts) = AsRef::<[u8]>::as_ref(&material).split_at(2 * key);
        let one = |(key, salt): (&[u8], &[u8])| MasterKey::new(profile, &[key, salt].concat());
        let mut both = keys.chunks(key).zip(salts.chunks(salt)).map(|it| one(it).unwrap());
        [both.next().unwrap(), both.next().unwrap()]
    }

    fn hear(&mut self, datagram: &[u8], now: Instant) {
        self.endpoint.read(now, SERVER, None, datagram.into()).unwrap();
    }
}

const SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 20_000);

fn certificate() -> Certificate {
    let provider = default_provider().unwrap();
    Certificate::generate_self_signed(vec!["browser".to_owned()], provider.crypto()).unwrap()
}

/// All browsers, with one leg whose peer is known.
struct House {
    browsers: Browsers,
    counters: Counters,
    now: Instant,
    /// That were made last, ours first.
    keys: Option<[MasterKey; 2]>,
}

impl House {
    fn new() -> Self {
        let browsers = Browsers::new(None).unwrap();
        Self { browsers, counters: Counters::default(), now: Instant::now(), keys: None }
    }

    fn open(&mut self, leg: u64, fingerprint: Fingerprint) {
        let (leg, ufrag) = (LegId(leg), format!("ours{leg}"));
        self.browsers.open(leg, ufrag, PWD.to_owned(), self.now);
        let remote =
            Remote { ufrag: "them".to_owned(), fingerprint, role: Role::Server, label: None };
        self.browsers.settle(leg, remote, self.now);
    }

    fn hear(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Step> {
        self.browsers.handle(from, datagram, self.now, &self.counters);
        self.browsers.steps()
    }

    fn refused(&self) -> u64 {
        self.counters.browser_refused.load(Relaxed)
    }

    /// Carries datagrams between the client at `from` and us until nobody says anything; whether
    /// there were keys. `spray` comes between any two of them.
    fn shake(
        &mut self,
        client: &mut Client,
        from: SocketAddr,
        mut spray: impl FnMut(&mut Self),
    ) -> bool {
        client.begin(self.now);
        let mut keyed = false;
        for _ in 0..20 {
            let said = client.said();
            if said.is_empty() && keyed {
                break;
            }
            if said.is_empty() {
                // The client says again what was not answered.
                self.now += Duration::from_secs(1);
                client.endpoint.handle_timeout(SERVER, self.now).unwrap();
            }
            for datagram in said {
                spray(self);
                for step in self.hear(from, &datagram) {
                    if let Step::Send { to, datagram } = step {
                        assert_eq!(to, from, "nobody else is sent to");
                        client.hear(&datagram, self.now);
                    } else {
                        let Step::Keys { ours, theirs, .. } = step else { panic!("{step:?}") };
                        self.keys = Some([ours, theirs]);
                        keyed = true;
                    }
                }
            }
        }
        keyed
    }
}

#[test]
fn a_check_is_answered_with_where_it_came_from_and_nominates_once() {
    let mut house = House::new();
    house.open(1, Fingerprint([0; 32]));
    let from = address("198.51.100.7:5000");
    let steps = house.hear(from, &check("ours1:them", PWD, false));
    let [Step::Send { to, datagram }, Step::Found { leg, address: found }] = &steps[..] else {
        panic!("{steps:?}")
    };
    assert_eq!((*to, *leg, *found), (from, LegId(1), from));
    let mut answer = Message::new();
    answer.unmarshal_binary(datagram).unwrap();
    let mut seen = XorMappedAddress::default();
    rtc_stun::message::Getter::get_from(&mut seen, &answer).unwrap();
    assert_eq!(SocketAddr::new(seen.ip, seen.port), from);
    let provider = default_provider().unwrap();
    MessageIntegrity::check(&mut answer, PWD.as_bytes(), provider.crypto()).unwrap();
    FINGERPRINT.check(&answer).unwrap();

    let nominated = house.hear(from, &check("ours1:them", PWD, true));
    assert!(
        matches!(&nominated[..], [Step::Send { .. }, Step::Chosen { leg: LegId(1), to: Some(to) }]
            if *to == from)
    );
    let again = house.hear(from, &check("ours1:them", PWD, true));
    assert!(matches!(&again[..], [Step::Send { .. }]));
    assert_eq!(house.refused(), 0);
}

#[test]
fn checks_with_other_words_are_not_answered_at_all() {
    let mut house = House::new();
    house.open(1, Fingerprint([0; 32]));
    let from = address("198.51.100.7:5000");
    let long = format!("ours1:{}", "x".repeat(600));
    for (username, pwd) in [
        ("ours1:them", "anotherPassword"),
        ("ours2:them", PWD),
        ("ours1:they", PWD),
        ("ours1", PWD),
        (":them", PWD),
        (long.as_str(), PWD),
    ] {
        assert!(house.hear(from, &check(username, pwd, true)).is_empty(), "{username}");
    }
    assert_eq!(house.refused(), 6);
}

/// The request of RFC 5769 §2.1, with its user name and password.
const RFC_5769: &str = "000100582112a442b7e7a701bc34d686fa87dfae
    802200105354554e207465737420636c69656e74 002400046e0001ff 80290008932ff9b1 51263b36
    000600096576746a3a68367659202020 000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
    80280004e57a3bcf";

#[test]
fn v5_the_request_of_rfc_5769_with_any_bit_flipped_is_not_accepted() {
    let digits: Vec<_> = RFC_5769.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |it: &[u8]| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap();
    let request: Vec<u8> = digits.chunks(2).map(byte).collect();
    let accepted = |datagram: &[u8]| {
        stun::read(datagram)
            .is_some_and(|it| it.ours() == "evtj" && it.verify("VOkJxbRl1RmTxUk/WvJxBt").is_some())
    };
    let read = stun::read(&request).expect("it is well formed");
    assert_eq!((read.ours(), read.theirs()), ("evtj", "h6vY"));
    assert!(accepted(&request));
    let flipped = (0..request.len() * 8).filter(|bit| {
        let mut changed = request.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        accepted(&changed)
    });
    assert_eq!(flipped.count(), 0);
    let cut = (0..request.len()).filter(|len| accepted(&request[..*len]));
    assert_eq!(cut.count(), 0);
    assert!(!accepted(&[&request[..], b"more"].concat()));
}

#[test]
fn who_wants_us_to_lead_is_told_that_he_does() {
    let mut house = House::new();
    house.open(1, Fingerprint([0; 32]));
    let digits: Vec<_> = RFC_5769.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |it: &[u8]| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap();
    let request: Vec<u8> = digits.chunks(2).map(byte).collect();
    let pwd = "VOkJxbRl1RmTxUk/WvJxBt".to_owned();
    house.browsers.open(LegId(9), "evtj".to_owned(), pwd, house.now);
    let steps = house.hear(address("198.51.100.7:5000"), &request);
    let [Step::Send { datagram, .. }] = &steps[..] else { panic!("{steps:?}") };
    let mut answer = Message::new();
    answer.unmarshal_binary(datagram).unwrap();
    assert_eq!(answer.typ, rtc_stun::message::BINDING_ERROR);
}

#[test]
fn without_a_valid_check_for_30_s_nothing_is_sent_until_there_is_one_again() {
    let mut house = House::new();
    house.open(1, Fingerprint([0; 32]));
    let (from, other) = (address("198.51.100.7:5000"), address("198.51.100.7:6000"));
    house.hear(from, &check("ours1:them", PWD, true));
    for _ in 0..4 {
        house.now += Duration::from_secs(25);
        house.browsers.handle_timeout(house.now);
        assert!(house.browsers.steps().is_empty());
        house.hear(from, &check("ours1:them", PWD, false));
    }
    // Checks that do not hold, or come from elsewhere, are no consent.
    house.now += Duration::from_secs(20);
    house.hear(from, &check("ours1:them", "anotherPassword", true));
    house.hear(other, &check("ours1:them", PWD, false));
    house.now += Duration::from_secs(9);
    house.browsers.handle_timeout(house.now);
    assert!(house.browsers.steps().is_empty());
    assert_eq!(house.browsers.due(), Some(house.now + Duration::from_secs(1)));
    house.now += Duration::from_secs(1);
    house.browsers.handle_timeout(house.now);
    let lost = house.browsers.steps();
    assert!(matches!(&lost[..], [Step::Chosen { leg: LegId(1), to: None }]), "{lost:?}");
    let back = house.hear(from, &check("ours1:them", PWD, true));
    assert!(matches!(&back[..], [Step::Send { .. }, Step::Chosen { to: Some(_), .. }]), "{back:?}");
}

#[test]
fn a_leg_that_the_next_process_takes_up_needs_checks_and_no_handshake_but_for_another_browser() {
    let mut before = House::new();
    before.open(1, Fingerprint([0; 32]));
    let certificate = before.browsers.certificate().unwrap();
    let mut house = House::new();
    house.browsers = Browsers::new(Some(&certificate)).unwrap();
    assert_eq!(house.browsers.fingerprint(), before.browsers.fingerprint());
    let (leg, from) = (LegId(1), address("198.51.100.7:5000"));
    let remote = |fingerprint| {
        let ufrag = "them".to_owned();
        Remote { ufrag, fingerprint, role: Role::Server, label: None }
    };
    house.browsers.open(leg, "ours1".to_owned(), PWD.to_owned(), house.now);
    house.browsers.take_up(leg, remote(Fingerprint([0; 32])), Some(from), house.now);
    let steps = house.browsers.steps();
    assert!(
        matches!(&steps[..], [Step::Chosen { to: Some(to), .. }, Step::Found { address, .. }]
            if *to == from && *address == from),
        "{steps:?}"
    );
    // Its association is over; a hello begins no other one.
    let other = self::certificate();
    let mut client = Client::new(&other);
    client.begin(house.now);
    for hello in client.said() {
        assert!(house.hear(from, &hello).is_empty());
    }
    assert_eq!(house.refused(), 1);
    house.now += Duration::from_secs(30);
    house.browsers.handle_timeout(house.now);
    let lost = house.browsers.steps();
    assert!(matches!(&lost[..], [Step::Chosen { to: None, .. }]), "{lost:?}");
    // Another certificate is another browser, which finds the one it was told of.
    house.browsers.settle(leg, remote(client.fingerprint), house.now);
    house.hear(from, &check("ours1:them", PWD, true));
    assert!(house.shake(&mut Client::new(&other), from, |_| ()));
}

#[test]
fn a_leg_keeps_eight_addresses_and_the_one_in_use() {
    let mut house = House::new();
    house.open(1, Fingerprint([0; 32]));
    let from = |n: u16| SocketAddr::from(([198, 51, 100, 7], 5_000 + n));
    house.hear(from(0), &check("ours1:them", PWD, true));
    let mut forgotten = Vec::new();
    for n in 1..20 {
        for step in house.hear(from(n), &check("ours1:them", PWD, false)) {
            if let Step::Forgotten { address } = step {
                forgotten.push(address);
            }
        }
    }
    assert_eq!(forgotten, (1..=12).map(from).collect::<Vec<_>>());
    house.browsers.close(LegId(1));
    assert!(house.browsers.by_address.is_empty() && house.browsers.by_ufrag.is_empty());
}

#[test]
fn ice_that_begins_anew_goes_by_the_new_words_and_keeps_the_keys() {
    let certificate = certificate();
    let mut client = Client::new(&certificate);
    let mut house = House::new();
    house.open(1, client.fingerprint);
    let (from, other) = (address("198.51.100.7:5000"), address("203.0.113.9:7000"));
    house.hear(from, &check("ours1:them", PWD, true));
    assert!(house.shake(&mut client, from, |_| ()));
    house.browsers.restart(LegId(1), "anew".to_owned(), PWD.to_owned());
    let fingerprint = client.fingerprint;
    let remote = Remote { ufrag: "they".to_owned(), fingerprint, role: Role::Server, label: None };
    house.browsers.settle(LegId(1), remote, house.now);
    assert!(house.hear(other, &check("ours1:them", PWD, true)).is_empty());
    let steps = house.hear(other, &check("anew:they", PWD, true));
    let [Step::Send { .. }, Step::Found { .. }, Step::Chosen { to, .. }] = &steps[..] else {
        panic!("{steps:?}")
    };
    assert_eq!(*to, Some(other));
}

#[test]
fn no_handshake_begins_before_a_check_and_none_ends_with_another_certificate() {
    let certificate = certificate();
    let mut client = Client::new(&certificate);
    let mut house = House::new();
    house.open(1, Fingerprint([7; 32]));
    let from = address("198.51.100.7:5000");
    client.begin(house.now);
    let hello = client.said().remove(0);
    assert!(house.hear(from, &hello).is_empty());
    assert_eq!(house.refused(), 1);
    house.hear(from, &check("ours1:them", PWD, true));
    let mut said = vec![hello];
    let mut refused = 0;
    for _ in 0..10 {
        for datagram in std::mem::take(&mut said) {
            for step in house.hear(from, &datagram) {
                if let Step::Send { datagram, .. } = step {
                    // An alert ends the client's part.
                    let _alert = client.endpoint.read(house.now, SERVER, None, datagram[..].into());
                } else {
                    assert!(matches!(step, Step::Refused { leg: LegId(1) }), "{step:?}");
                    refused += 1;
                }
            }
        }
        said = client.said();
    }
    assert_eq!(refused, 1);
}

#[test]
fn each_way_of_protection_is_agreed_on_as_the_browser_likes_best_with_one_pair_of_keys() {
    use SrtpProtectionProfile::{
        Srtp_Aead_Aes_128_Gcm as Gcm, Srtp_Aead_Aes_256_Gcm as Longer,
        Srtp_Aes128_Cm_Hmac_Sha1_32 as Short, Srtp_Aes128_Cm_Hmac_Sha1_80 as Counter,
    };
    let (certificate, from) = (certificate(), address("198.51.100.7:5000"));
    let agreed = |offered: &[SrtpProtectionProfile]| {
        let mut client = Client::offering(&certificate, offered);
        let mut house = House::new();
        house.open(1, client.fingerprint);
        house.hear(from, &check("ours1:them", PWD, true));
        house.shake(&mut client, from, |_| ()).then(|| (house.keys.unwrap(), client))
    };
    for (offered, wanted) in [
        (&[Gcm][..], SrtpProfile::AeadAes128Gcm),
        (&[Counter], SrtpProfile::AesCm128HmacSha1_80),
        (&[Short], SrtpProfile::AesCm128HmacSha1_32),
        (&[Longer, Gcm, Counter], SrtpProfile::AeadAes128Gcm),
        (&[Longer, Counter, Gcm], SrtpProfile::AesCm128HmacSha1_80),
    ] {
        let ([ours, theirs], client) = agreed(offered).unwrap_or_else(|| panic!("{offered:?}"));
        assert!(
            [theirs, ours] == client.keys(wanted),
            "{offered:?}: other keys, or {wanted:?} not"
        );
    }
}

/// Hellos that no browser says: without a cipher, of another version, in pieces.
fn hellos() -> Vec<Vec<u8>> {
    let hello = |version: [u8; 2], ciphers: &[u8]| {
        let mut body = version.to_vec();
        body.extend([9; 32]);
        body.extend([0, 0]);
        body.extend(u16::try_from(ciphers.len()).unwrap().to_be_bytes());
        body.extend(ciphers);
        body.extend([1, 0]);
        body
    };
    let record = |body: &[u8], offset: u8, whole: usize| {
        let [_, l1, l2, l3] = u32::try_from(whole).unwrap().to_be_bytes();
        let [_, n1, n2, n3] = u32::try_from(body.len()).unwrap().to_be_bytes();
        let mut it = vec![1, l1, l2, l3, 0, 0, 0, 0, offset, n1, n2, n3];
        it.extend(body);
        let mut record = vec![22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0];
        record.extend(u16::try_from(it.len()).unwrap().to_be_bytes());
        record.extend(it);
        record
    };
    let null = hello([0xFE, 0xFD], &[0, 0]);
    let old = hello([0xFE, 0xFF], &[0xC0, 0x2B]);
    let good = hello([0xFE, 0xFD], &[0xC0, 0x2B]);
    vec![
        record(&null, 0, null.len()),
        record(&old, 0, old.len()),
        record(&good[..20], 0, good.len()),
        record(&good[20..], 20, good.len()),
        vec![22, 0xFE, 0xFD, 0, 0],
        // An alert and an application's data in the clear.
        vec![21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40],
        vec![23, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0],
    ]
}

#[test]
fn v4_a_thousand_set_ups_of_a_thousand_succeed_under_a_race_of_hellos_from_strangers() {
    let (certificate, hellos) = (certificate(), hellos());
    let mut house = House::new();
    let mut keyed = 0;
    for n in 0..1_000_u16 {
        let mut client = Client::new(&certificate);
        house.open(n.into(), client.fingerprint);
        let from = SocketAddr::from(([198, 51, 100, 7], 5_000 + n));
        let mut k = 0_u16;
        let mut spray = |house: &mut House| {
            for hello in &hellos {
                k = k.wrapping_add(1);
                // Behind the same address as well, where only the port tells them apart.
                let stranger = SocketAddr::from(([198, 51, 100, 7], 30_000 + k));
                assert!(house.hear(stranger, hello).is_empty(), "a stranger is told something");
            }
        };
        spray(&mut house);
        house.hear(from, &check(&format!("ours{n}:them"), PWD, true));
        keyed += u32::from(house.shake(&mut client, from, spray));
        house.browsers.close(LegId(n.into()));
    }
    assert_eq!(keyed, 1_000);
}

#[test]
fn a_handshake_that_is_spoilt_from_the_peers_own_address_begins_anew() {
    let certificate = certificate();
    let mut house = House::new();
    let mut client = Client::new(&certificate);
    house.open(1, client.fingerprint);
    let (from, begun) = (address("198.51.100.7:5000"), house.now);
    house.hear(from, &check("ours1:them", PWD, true));
    for hello in hellos() {
        house.hear(from, &hello);
    }
    // What the forger left half-done is forgotten, and what the client says again is heard.
    assert!(house.shake(&mut client, from, |_| ()));
    assert!(house.now.duration_since(begun) < Duration::from_secs(6));
}

#[test]
fn where_the_peer_waits_we_begin_and_say_it_again_when_it_is_lost() {
    let certificate = certificate();
    let mut house = House::new();
    house.browsers.open(LegId(1), "ours1".to_owned(), PWD.to_owned(), house.now);
    let fingerprint = Fingerprint(Sha256::digest(certificate.certificate[0].as_ref()).into());
    let remote = Remote { ufrag: "them".to_owned(), fingerprint, role: Role::Client, label: None };
    house.browsers.settle(LegId(1), remote, house.now);
    let from = address("198.51.100.7:5000");
    let steps = house.hear(from, &check("ours1:them", PWD, true));
    let hellos = |steps: &[Step]| {
        let is = |it: &&Step| matches!(it, Step::Send { datagram, .. } if datagram[0] == 22);
        steps.iter().filter(is).count()
    };
    assert_eq!(hellos(&steps), 1, "{steps:?}");
    house.now = house.browsers.due().unwrap();
    house.browsers.handle_timeout(house.now);
    assert_eq!(hellos(&house.browsers.steps()), 1);
}
