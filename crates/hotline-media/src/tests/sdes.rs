//! Telephones that name their keys in the description (SDES), over real sockets.

use std::{
    iter,
    net::{SocketAddr, UdpSocket},
};

use hotline_base::{
    LegId,
    media::{Event, FailReason, FailedOrder, Hears, Order, Profile, VERSION},
};
use hotline_dsp::{FRAME, Tone, g711::alaw_to_linear, strength};
use hotline_rtp::{
    HEADER_LEN, Header, MasterKey, MediaTime, SRTP_OVERHEAD, SrtpProfile, SrtpReceiver, SrtpSender,
    parse, write_header,
};

use super::rig::{CONTEXT, LOCAL, PATIENCE, Phone, Rig, port_of};

pub(super) const SUITES: [(&str, SrtpProfile); 3] = [
    ("AES_CM_128_HMAC_SHA1_80", SrtpProfile::AesCm128HmacSha1_80),
    ("AES_CM_128_HMAC_SHA1_32", SrtpProfile::AesCm128HmacSha1_32),
    ("AEAD_AES_128_GCM", SrtpProfile::AeadAes128Gcm),
];

/// `inline:` of bytes from `first` on; such keys are not random and need no encoder.
fn inline(profile: SrtpProfile, key: u8) -> (String, MasterKey) {
    // 'A' to 'Z' stand for 0 to 25: four letters are three bytes.
    let letters = profile.key_and_salt().div_ceil(3) * 4;
    let pad = letters / 4 * 3 - profile.key_and_salt();
    let text: String = (0..letters - pad).map(|_| char::from(b'A' + key)).collect();
    // 28 bytes end with two padding marks and four bits that must be zero.
    let text = if pad == 0 { text } else { text[..text.len() - 1].to_owned() + "A" };
    let text = text + &"=".repeat(pad);
    (text.clone(), MasterKey::new(profile, &decoded(&text)).unwrap())
}

fn decoded(text: &str) -> Vec<u8> {
    let value = |it: u8| match it {
        b'A'..=b'Z' => it - b'A',
        b'a'..=b'z' => it - b'a' + 26,
        b'0'..=b'9' => it - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits: Vec<_> = text.bytes().filter(|it| *it != b'=').map(value).collect();
    let byte = |it: &[u8]| {
        let all = it.iter().fold(0_u32, |sum, it| sum << 6 | u32::from(*it));
        let all = all << (6 * (4 - it.len()));
        all.to_be_bytes()[1..it.len()].to_vec()
    };
    bits.chunks(4).flat_map(byte).collect()
}

pub(super) struct SafePhone {
    pub(super) leg: LegId,
    socket: UdpSocket,
    to: SocketAddr,
    profile: SrtpProfile,
    suite: &'static str,
    /// Of the keys of tests.
    key: u8,
    sender: SrtpSender,
    receiver: Option<SrtpReceiver>,
    tone: Tone,
    pub(super) sequence: u16,
    pub(super) heard: Vec<i16>,
    /// Of the stream that is heard.
    pub(super) ssrc: Option<u32>,
}

impl SafePhone {
    pub(super) fn new(leg: u64, hz: u32, (suite, profile): (&'static str, SrtpProfile)) -> Self {
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            leg: LegId(leg),
            socket,
            to: SocketAddr::new(LOCAL, 0),
            profile,
            suite,
            key: 3,
            sender: SrtpSender::new(&inline(profile, 3).1),
            receiver: None,
            tone: Tone::new(hz, 8_000),
            sequence: 1,
            heard: Vec::new(),
            ssrc: None,
        }
    }

    pub(super) fn sdp(&self, tag: u32) -> String {
        let port = self.socket.local_addr().unwrap().port();
        let (suite, key) = (self.suite, inline(self.profile, self.key).0);
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/SAVP 8\r\na=crypto:{tag} {suite} inline:{key}|2^31\r\n"
        )
    }

    /// Reads where the other end is and its key of our suite; the tag of that.
    pub(super) fn learn(&mut self, sdp: &str) -> u32 {
        self.to = SocketAddr::new(LOCAL, port_of(sdp));
        let row = sdp.lines().find(|it| it.starts_with("a=crypto:") && it.contains(self.suite));
        let row = row.unwrap_or_else(|| panic!("{sdp}"));
        let key = decoded(row.split_once("inline:").unwrap().1);
        let master = MasterKey::new(self.profile, &key).unwrap();
        self.receiver = Some(SrtpReceiver::new(&master));
        row["a=crypto:".len()..].split(' ').next().unwrap().parse().unwrap()
    }

    /// Another key from its next description on; its packets follow later.
    fn change_key(&mut self, key: u8) {
        self.key = key;
    }

    /// Packets by the key of the description. As most telephones do, turns are counted anew.
    fn use_key(&mut self) {
        self.sender = SrtpSender::new(&inline(self.profile, self.key).1);
    }

    fn hears_nothing(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let nothing = self.socket.recv_from(&mut [0; 2_000]).is_err();
        self.socket.set_nonblocking(false).unwrap();
        nothing
    }

    pub(super) fn say(&mut self) {
        let mut packet = [0; HEADER_LEN + FRAME + SRTP_OVERHEAD];
        let timestamp = MediaTime(u32::from(self.sequence) * 160);
        let (sequence, ssrc) = (self.sequence, 77);
        let header = Header { marker: false, payload_type: 8, sequence, timestamp, ssrc };
        write_header(&mut packet, &header);
        self.sequence = self.sequence.wrapping_add(1);
        self.tone.fill_alaw(&mut packet[HEADER_LEN..HEADER_LEN + FRAME]);
        let n = self.sender.protect(&mut packet, HEADER_LEN + FRAME).unwrap();
        self.socket.send_to(&packet[..n], self.to).unwrap();
    }

    /// Hears one packet, which must be protected.
    pub(super) fn hear(&mut self) {
        let mut bytes = [0; 2_000];
        let (n, from) = self.socket.recv_from(&mut bytes).expect("a packet within the time");
        assert_eq!(from, self.to);
        let receiver = self.receiver.as_mut().unwrap();
        let n = receiver.open(&mut bytes[..n]).expect("a packet with our key");
        let packet = parse(&bytes[..n]).unwrap();
        self.ssrc = Some(packet.header.ssrc);
        self.heard.extend(bytes[packet.payload].iter().map(|it| alaw_to_linear(*it)));
    }
}

/// The telephone and a plain one hear each other.
fn talk(rig: &mut Rig, phone: &mut SafePhone) {
    let mut plain = rig.phone(9, 700);
    let only = |listener, speaker| Hears { listener, speakers: vec![speaker] };
    let both = vec![only(phone.leg, plain.leg), only(plain.leg, phone.leg)];
    rig.control.order(&Order::Mix { hears: both });
    rig.control.order(&Order::Hello { version: VERSION });
    assert!(matches!(rig.control.event(), Event::Inventory { .. }));
    let mut heard = Vec::new();
    for _ in 0..50 {
        phone.say();
        heard.extend(plain.listen(1));
        plain.say();
        phone.hear();
    }
    assert!(strength(&heard, 450) > 0.9 && strength(&phone.heard, 700) > 0.9);
    // What is not protected, or by another key, is not heard.
    let mut other = SafePhone::new(1, 900, (phone.suite, phone.profile));
    other.sender = SrtpSender::new(&inline(phone.profile, 5).1);
    other.to = phone.to;
    phone.socket.send_to(&[0x80; 172], phone.to).unwrap();
    other.say();
    phone.say();
    let heard = plain.listen(1);
    assert!(strength(&heard, 450) > 0.9);
    assert!(plain.hears_nothing());
}

#[test]
fn a_telephone_that_offers_a_suite_is_answered_with_it_and_heard_by_its_key() {
    for suite in SUITES {
        let mut rig = Rig::new();
        let mut phone = SafePhone::new(1, 450, suite);
        let (leg, offer) = (phone.leg, Some(phone.sdp(4)));
        rig.control.order(&Order::Open { leg, offer, profile: Profile::Plain, context: CONTEXT });
        let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
        assert_eq!(phone.learn(&sdp), 4);
        talk(&mut rig, &mut phone);
        // The same once more changes no key, and the call goes on.
        rig.control.order(&Order::Reoffer { leg, offer: phone.sdp(4) });
        let Event::Reanswered { sdp: again, .. } = rig.control.event() else { panic!("no answer") };
        assert_eq!(again, sdp);
        phone.say();
    }
}

#[test]
fn a_telephone_that_takes_a_suite_of_our_offer_is_heard_by_its_key() {
    for suite in SUITES {
        let mut rig = Rig::new();
        let mut phone = SafePhone::new(1, 450, suite);
        let leg = phone.leg;
        rig.control.order(&Order::Open {
            leg,
            offer: None,
            profile: Profile::Sdes,
            context: CONTEXT,
        });
        let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
        let tag = phone.learn(&sdp);
        rig.control.order(&Order::Answer { leg, answer: phone.sdp(tag) });
        assert_eq!(rig.control.event(), Event::Settled { leg, hold: false });
        talk(&mut rig, &mut phone);
    }
}

#[test]
fn a_protected_call_does_not_become_a_plain_one() {
    let mut rig = Rig::new();
    let phone = SafePhone::new(1, 450, SUITES[0]);
    let (leg, offer) = (phone.leg, phone.sdp(1));
    let open =
        Order::Open { leg, offer: Some(offer.clone()), profile: Profile::Plain, context: CONTEXT };
    rig.control.order(&open);
    assert!(matches!(rig.control.event(), Event::Opened { .. }));
    let plain = offer.replace("RTP/SAVP", "RTP/AVP");
    rig.control.order(&Order::Reoffer { leg, offer: plain });
    let (order, reason) = (FailedOrder::Reoffer, FailReason::NoCommonCodec);
    assert_eq!(rig.control.event(), Event::Failed { leg, order, reason });
}

/// A telephone that called in, and a plain one that it hears.
fn called_in(rig: &mut Rig, suite: (&'static str, SrtpProfile)) -> SafePhone {
    let mut phone = SafePhone::new(1, 450, suite);
    let (leg, offer) = (phone.leg, Some(phone.sdp(4)));
    rig.control.order(&Order::Open { leg, offer, profile: Profile::Plain, context: CONTEXT });
    let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
    assert_eq!(phone.learn(&sdp), 4);
    phone
}

/// Only these two hear each other.
fn connect(rig: &mut Rig, phone: &SafePhone, plain: &Phone) {
    let only = |listener, speaker| Hears { listener, speakers: vec![speaker] };
    let both = vec![only(phone.leg, plain.leg), only(plain.leg, phone.leg)];
    rig.control.order(&Order::Mix { hears: both });
    rig.control.order(&Order::Hello { version: VERSION });
    assert!(matches!(rig.control.event(), Event::Inventory { .. }));
}

fn reoffer(rig: &mut Rig, phone: &SafePhone, offer: String) -> (String, bool) {
    rig.control.order(&Order::Reoffer { leg: phone.leg, offer });
    let Event::Reanswered { sdp, hold, .. } = rig.control.event() else { panic!("no answer") };
    (sdp, hold)
}

/// Both hear each other's tone for so many packets.
fn assert_both_hear(phone: &mut SafePhone, plain: &mut Phone, hz: u32, n: usize) {
    phone.heard.clear();
    let mut heard = Vec::new();
    // Silence is sent to who waits for a word.
    let is_silent = |it: &[i16]| it.iter().all(|it| it.abs() < 10);
    for _ in 0..n {
        phone.say();
        heard.extend(iter::repeat_with(|| plain.listen(1)).find(|it| !is_silent(it)).unwrap());
        plain.say();
        phone.hear();
        while is_silent(&phone.heard[phone.heard.len() - FRAME..]) {
            phone.heard.truncate(phone.heard.len() - FRAME);
            phone.hear();
        }
    }
    assert!(strength(&heard, 450) > 0.9 && strength(&phone.heard, hz) > 0.9);
}

#[test]
fn a_telephone_that_changes_its_key_is_heard_by_the_old_one_until_the_new_one_comes() {
    for suite in SUITES {
        let mut rig = Rig::new();
        let mut phone = called_in(&mut rig, suite);
        // The counter of turns is one when the key changes.
        phone.sequence = 65_500;
        let mut plain = rig.phone(9, 700);
        connect(&mut rig, &phone, &plain);
        assert_both_hear(&mut phone, &mut plain, 700, 50);
        phone.change_key(7);
        let (sdp, _) = reoffer(&mut rig, &phone, phone.sdp(4));
        assert!(sdp.contains("a=crypto:4 "), "{sdp}");
        // It has not read our answer yet.
        assert_both_hear(&mut phone, &mut plain, 700, 10);
        phone.use_key();
        assert_both_hear(&mut phone, &mut plain, 700, 50);
        // From then on the old one is nobody's.
        let mut before = SafePhone::new(1, 900, suite);
        (before.to, before.sequence) = (phone.to, phone.sequence);
        before.say();
        phone.say();
        assert!(strength(&plain.listen(1), 450) > 0.9 && plain.hears_nothing());
    }
}

#[test]
fn a_telephone_with_keys_holds_and_is_given_to_another_party() {
    for suite in SUITES {
        let mut rig = Rig::new();
        let mut phone = called_in(&mut rig, suite);
        let (mut first, mut second) = (rig.phone(8, 700), rig.phone(9, 950));
        connect(&mut rig, &phone, &first);
        assert_both_hear(&mut phone, &mut first, 700, 30);
        let quiet = phone.sdp(4) + "a=sendonly\r\n";
        let (sdp, hold) = reoffer(&mut rig, &phone, quiet);
        assert!(hold && sdp.contains("a=recvonly") && sdp.contains("RTP/SAVP"), "{sdp}");
        for _ in 0..10 {
            first.say();
            phone.say();
            first.listen(1);
        }
        assert!(phone.hears_nothing(), "held");
        let (_, hold) = reoffer(&mut rig, &phone, phone.sdp(4));
        assert!(!hold);
        assert_both_hear(&mut phone, &mut first, 700, 30);
        // The other party asks somebody, and gives the telephone to him.
        let ask = vec![
            Hears { listener: phone.leg, speakers: Vec::new() },
            Hears { listener: first.leg, speakers: vec![second.leg] },
            Hears { listener: second.leg, speakers: vec![first.leg] },
        ];
        rig.control.order(&Order::Mix { hears: ask });
        rig.control.order(&Order::Hello { version: VERSION });
        assert!(matches!(rig.control.event(), Event::Inventory { .. }));
        for _ in 0..10 {
            first.say();
            phone.say();
            second.listen(1);
        }
        // Silence, in packets with its keys.
        (0..5).for_each(|_| phone.hear());
        assert!(phone.heard.iter().rev().take(5 * FRAME).all(|it| it.abs() < 10));
        connect(&mut rig, &phone, &second);
        assert_both_hear(&mut phone, &mut second, 950, 30);
    }
}

#[test]
fn an_offer_without_a_usable_key_and_an_answer_in_the_clear_are_refused() {
    let mut rig = Rig::new();
    let phone = SafePhone::new(1, 450, SUITES[0]);
    let (leg, profile) = (phone.leg, Profile::Sdes);
    let good = phone.sdp(1);
    let without = good.split("a=crypto").next().unwrap().to_owned();
    let open = good.replace("|2^31", " UNENCRYPTED_SRTP");
    for offer in [without, open, good.replace("HMAC_SHA1_80", "HMAC_SHA9_80")] {
        rig.control.order(&Order::Open { leg, offer: Some(offer), profile, context: CONTEXT });
        let (order, reason) = (FailedOrder::Open, FailReason::NoCommonCodec);
        assert_eq!(rig.control.event(), Event::Failed { leg, order, reason });
    }
    rig.control.order(&Order::Open { leg, offer: None, profile, context: CONTEXT });
    assert!(matches!(rig.control.event(), Event::Opened { .. }));
    let plain = good.replace("RTP/SAVP", "RTP/AVP");
    for answer in [plain, good.replace("a=crypto:1", "a=crypto:9")] {
        rig.control.order(&Order::Answer { leg, answer });
        let (order, reason) = (FailedOrder::Answer, FailReason::NoCommonCodec);
        assert_eq!(rig.control.event(), Event::Failed { leg, order, reason });
    }
}
