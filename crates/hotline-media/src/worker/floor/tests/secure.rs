//! Legs with keys: what is not protected by them changes nothing.

use hotline_rtp::{MasterKey, SRTP_OVERHEAD, SrtpProfile, SrtpReceiver, SrtpSender};

use super::*;

fn key(of: u8, profile: SrtpProfile) -> MasterKey {
    MasterKey::new(profile, &vec![of; profile.key_and_salt()]).unwrap()
}

/// The caller's end: what he says protected, and what he opens.
struct Peer {
    sender: SrtpSender,
    receiver: SrtpReceiver,
}

/// A house whose caller has keys.
fn house(profile: SrtpProfile) -> (House, Peer) {
    let mut it = House::empty(8);
    it.open_with(CALLER, Codec::Pcma, 101, true);
    it.open(AGENT, Codec::Pcma, 96);
    it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(AGENT)] });
    it.task(Task::Hear { listener: slot(AGENT), speakers: vec![slot(CALLER)] });
    let (ours, theirs) = (key(1, profile), key(2, profile));
    it.task(Task::Secure {
        leg: slot(CALLER),
        sender: Some(Box::new(SrtpSender::new(&ours))),
        receiver: Some(Box::new(SrtpReceiver::new(&theirs))),
    });
    (it, Peer { sender: SrtpSender::new(&theirs), receiver: SrtpReceiver::new(&ours) })
}

impl Peer {
    fn protected(&mut self, sequence: u16, audio: u8) -> Vec<u8> {
        let mut bytes = vec![audio; HEADER_LEN + 160 + SRTP_OVERHEAD];
        write_header(&mut bytes, &voice(8, sequence));
        let n = self.sender.protect(&mut bytes, HEADER_LEN + 160).unwrap();
        bytes.truncate(n);
        bytes
    }
}

impl House {
    fn receive(&mut self, from: SocketAddr, leg: u32, datagram: &mut [u8]) {
        let arrival = Arrival { leg, from, len: datagram.len() };
        self.floor.receive(&arrival, datagram, &mut self.wire, self.now);
    }

    /// What a leg was sent, as it went over the wire.
    fn wired(&mut self, leg: u32) -> Vec<Vec<u8>> {
        let (sent, others) = std::mem::take(&mut self.wire.sent)
            .into_iter()
            .partition::<Vec<_>, _>(|(it, ..)| *it == leg);
        self.wire.sent = others;
        sent.into_iter().map(|it| it.2).collect()
    }
}

#[test]
fn a_leg_with_keys_is_heard_and_hears_protected_on_every_path() {
    for profile in [SrtpProfile::AesCm128HmacSha1_80, SrtpProfile::AeadAes128Gcm] {
        let (mut it, mut peer) = house(profile);
        it.receive(address(CALLER), CALLER, &mut peer.protected(10, 0x2A));
        assert_eq!(it.heard(AGENT)[0].1, [0x2A; 160]);
        // Relayed, then a play, then keys.
        it.say(AGENT, voice(8, 90), &[0x11; 160]);
        it.play(CALLER, 1, 1, false);
        it.wait(100);
        it.task(Task::SendKeys { leg: slot(CALLER), keys: vec![Key::try_from('5').unwrap()] });
        it.wait(200);
        let mut payloads = Vec::new();
        for mut bytes in it.wired(CALLER) {
            let n = peer.receiver.open(&mut bytes).unwrap();
            let packet = parse(&bytes[..n]).unwrap();
            payloads.push((packet.header.payload_type, bytes[packet.payload][0]));
        }
        assert!(payloads.contains(&(8, 0x11)) && payloads.contains(&(8, 7)));
        assert!(payloads.contains(&(101, 5)));
    }
}

#[test]
fn packets_to_a_browser_say_which_line_they_are_of_and_those_to_others_do_not() {
    for profile in [SrtpProfile::AesCm128HmacSha1_80, SrtpProfile::AeadAes128Gcm] {
        let (mut it, mut peer) = house(profile);
        let label = hotline_rtp::extension(4, b"audio").unwrap();
        it.task(Task::Label { leg: slot(CALLER), label: label.clone().into() });
        it.receive(address(CALLER), CALLER, &mut peer.protected(10, 0x2A));
        // Relayed, then a play.
        it.say(AGENT, voice(8, 90), &[0x11; 160]);
        it.play(CALLER, 1, 1, false);
        it.wait(100);
        let sent = it.wired(CALLER);
        assert!(sent.len() >= 2);
        for mut bytes in sent {
            let n = peer.receiver.open(&mut bytes).unwrap();
            assert_eq!(
                (bytes[0], &bytes[HEADER_LEN..HEADER_LEN + label.len()]),
                (0x90, &label[..])
            );
            assert_eq!(parse(&bytes[..n]).unwrap().payload.len(), 160);
        }
        let plain = it.wired(AGENT);
        assert!(!plain.is_empty() && plain.iter().all(|it| it.len() == HEADER_LEN + 160));
    }
}

#[test]
fn a_leg_that_waits_for_keys_neither_hears_nor_says_anything() {
    let mut it = House::empty(8);
    it.open_with(CALLER, Codec::Pcma, 101, true);
    it.open(AGENT, Codec::Pcma, 96);
    it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(AGENT)] });
    it.task(Task::Hear { listener: slot(AGENT), speakers: vec![slot(CALLER)] });
    let mut plain = vec![1; HEADER_LEN + 160];
    write_header(&mut plain, &voice(8, 10));
    it.receive(address(CALLER), CALLER, &mut plain);
    it.say(AGENT, voice(8, 90), &[1; 160]);
    it.play(CALLER, 1, 1, false);
    it.wait(100);
    assert!(it.wire.sent.is_empty());
    assert_eq!(it.floor.leg(slot(CALLER)).unwrap().stats().refused, 1);
}

#[test]
fn v3_a_million_packets_with_a_bad_tag_change_nothing() {
    let (mut it, mut peer) = house(SrtpProfile::AesCm128HmacSha1_80);
    it.receive(address(CALLER), CALLER, &mut peer.protected(10, 0x2A));
    assert_eq!(it.heard(AGENT).len(), 1);
    assert_eq!(it.reported(), ["0 progress"], "how far the peer has come");
    let before = it.floor.leg(slot(CALLER)).unwrap().stats();
    let stranger = SocketAddr::from(([198, 51, 100, 7], 9_999));
    let mut random = hotline_base::Random::new(1);
    let mut bad = vec![0; HEADER_LEN + 160 + 10];
    for n in 0..1_000_000_u32 {
        let sequence = u16::try_from(n & 0xFFFF).unwrap();
        write_header(&mut bad, &voice(8, sequence));
        let tag = random.next_u64().to_be_bytes();
        bad[HEADER_LEN + 162..].copy_from_slice(&tag);
        let from = if n % 2 == 0 { address(CALLER) } else { stranger };
        it.receive(from, CALLER, &mut bad);
    }
    let after = it.floor.leg(slot(CALLER)).unwrap().stats();
    assert_eq!((after.packets_in, after.refused - before.refused), (1, 1_000_000));
    assert!(it.wire.sent.is_empty() && it.reported().is_empty());
    // The call goes on where it was, and what is said goes where it went.
    it.receive(address(CALLER), CALLER, &mut peer.protected(11, 0x2B));
    assert_eq!(it.heard(AGENT).len(), 1);
    it.say(AGENT, voice(8, 90), &[1; 160]);
    assert!(it.wire.sent.iter().all(|it| it.1 == address(CALLER)));
    assert_eq!(it.wired(CALLER).len(), 1);
}

#[test]
fn a_guest_is_heard_where_it_was_found_and_sent_to_where_it_chose() {
    let profile = SrtpProfile::AesCm128HmacSha1_80;
    let mut it = House::empty(8);
    it.open_guest(CALLER, Codec::Pcma, 101);
    it.open(AGENT, Codec::Pcma, 96);
    it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(AGENT)] });
    it.task(Task::Hear { listener: slot(AGENT), speakers: vec![slot(CALLER)] });
    let (ours, theirs) = (key(1, profile), key(2, profile));
    it.task(Task::Secure {
        leg: slot(CALLER),
        sender: Some(Box::new(SrtpSender::new(&ours))),
        receiver: Some(Box::new(SrtpReceiver::new(&theirs))),
    });
    let mut peer = Peer { sender: SrtpSender::new(&theirs), receiver: SrtpReceiver::new(&ours) };
    let (home, cafe) = (address(30), address(31));
    it.receive(home, SHARED, &mut peer.protected(10, 1));
    assert!(it.heard(AGENT).is_empty(), "nobody was found there yet");
    it.task(Task::Find { leg: slot(CALLER), address: home });
    it.receive(home, SHARED, &mut peer.protected(11, 2));
    assert_eq!(it.heard(AGENT).len(), 1);
    it.say(AGENT, voice(8, 90), &[1; 160]);
    assert!(it.wire.sent.is_empty(), "no way was chosen yet");
    for to in [home, cafe] {
        it.task(Task::Choose { leg: slot(CALLER), to: Some(to) });
        it.say(AGENT, voice(8, 91), &[1; 160]);
        it.say(AGENT, voice(8, 92), &[1; 160]);
        assert!(it.wire.sent.drain(..).all(|(port, at, _)| (port, at) == (SHARED, to)));
    }
    it.task(Task::Choose { leg: slot(CALLER), to: None });
    it.say(AGENT, voice(8, 93), &[1; 160]);
    assert!(it.wire.sent.is_empty(), "consent is gone");
    it.task(Task::Lose { address: home });
    it.receive(home, SHARED, &mut peer.protected(12, 3));
    assert!(it.heard(AGENT).is_empty());
    // Checks and handshakes are nobody's audio.
    it.receive(home, SHARED, &mut [0; 20]);
    it.receive(home, SHARED, &mut [22; 20]);
    assert_eq!(it.floor.out.counters.snapshot().handovers_dropped, 2);
}

/// A page that is closed while it holds sends no packet less than before.
#[test]
fn a_guest_who_holds_is_missed_when_his_checks_cease() {
    let mut it = House::empty(8);
    it.open_guest(CALLER, Codec::Pcma, 101);
    let home = address(30);
    let choose = |it: &mut House, to| it.task(Task::Choose { leg: slot(CALLER), to });
    choose(&mut it, Some(home));
    choose(&mut it, None);
    assert!(it.reported().is_empty(), "who should be heard is missed by his silence");
    let stream = stream(CALLER, Codec::Pcma, 101);
    let held = Stream { hold: true, direction: Direction::ReceiveOnly, ..stream };
    it.task(Task::Settle { leg: slot(CALLER), stream: held });
    choose(&mut it, Some(home));
    assert!(it.reported().is_empty());
    choose(&mut it, None);
    assert_eq!(it.reported(), ["0 quiet 30"]);
}

#[test]
fn v1_who_names_a_private_address_is_mistaken_for_nobody_on_the_internet() {
    let (home, nat, stranger) = ("192.168.1.5:4000", "198.51.100.7:4000", "203.0.113.9:9");
    let [home, nat, stranger] = [home, nat, stranger].map(|it| it.parse().unwrap());
    let at_home = Stream { address: home, ..stream(CALLER, Codec::Pcma, 101) };
    let mut n = 0;
    // He sprays for two seconds; nothing comes to him, and nothing of him to the agent.
    let mut spray = |it: &mut House, peer: SocketAddr| {
        for _ in 0..100 {
            n += 1;
            let mut datagram = vec![0x2B; HEADER_LEN + 160];
            write_header(&mut datagram, &voice(8, n));
            it.receive(stranger, CALLER, &mut datagram);
            it.say(AGENT, voice(8, n), &[9; 160]);
            it.wait(20);
        }
        let sent = std::mem::take(&mut it.wire.sent);
        let (to_him, to_agent): (Vec<_>, Vec<_>) = sent.iter().partition(|it| it.0 == CALLER);
        assert!(to_him.len() >= 100 && to_him.iter().all(|it| it.1 == peer));
        assert!(to_agent.iter().all(|it| !it.2.ends_with(&[0x2B; 160])));
    };
    let mut it = House::empty(8);
    it.open(CALLER, Codec::Pcma, 101);
    it.open(AGENT, Codec::Pcma, 96);
    it.task(Task::Hear { listener: slot(CALLER), speakers: vec![slot(AGENT)] });
    it.task(Task::Hear { listener: slot(AGENT), speakers: vec![slot(CALLER)] });
    it.task(Task::Settle { leg: slot(CALLER), stream: at_home });
    spray(&mut it, home);
    it.say_from(home, CALLER, voice(8, 7), &[1; 160]);
    assert_eq!(it.heard(AGENT).len(), 1, "he is heard himself");
    // In a pause of his, and after he offered anew.
    (0..3).for_each(|_| spray(&mut it, home));
    it.task(Task::Settle { leg: slot(CALLER), stream: at_home });
    spray(&mut it, home);
    let stats = it.floor.leg(slot(CALLER)).unwrap().stats();
    assert_eq!((stats.packets_in, stats.refused), (1, 500));

    // With keys he is found behind his NAT, and the stranger is not.
    let (mut it, mut peer) = house(SrtpProfile::AesCm128HmacSha1_80);
    it.task(Task::Settle { leg: slot(CALLER), stream: at_home });
    spray(&mut it, home);
    it.task(Task::Settle { leg: slot(CALLER), stream: at_home });
    it.receive(nat, CALLER, &mut peer.protected(7, 1));
    assert_eq!(it.heard(AGENT).len(), 1);
    spray(&mut it, nat);
}
