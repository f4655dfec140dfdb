//! Calls as they are kept, drawn and captured.

use std::net::SocketAddr;

use hotline_base::{CallId, MonoTime, Now, WallTime};
use hotline_sip::{Flow, Message, Transport};

use crate::{Config, Ring, Role, Sight, Trace, draw, pcap, read};

const CALL: CallId = CallId(7);
const CARRIER: &str = "10.1.2.3:5060";
const PHONE: &str = "10.9.0.81:5062";
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.1.2.3\r\ns=-\r\nc=IN IP4 10.1.2.3\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

fn at(ms: u64) -> Now {
    let wall = WallTime(1_795_219_200_000 + i64::try_from(ms).unwrap());
    Now { mono: MonoTime(1_000_000_000 + ms * 1_000_000), wall }
}

fn flow(remote: &str, transport: Transport) -> Flow {
    let local: SocketAddr = "10.1.2.10:5060".parse().unwrap();
    Flow { transport, local, remote: remote.parse().unwrap(), conn: None }
}

/// A message of the dialog `call_id`; `more` are whole header lines.
fn message(start: &str, cseq: &str, call_id: &str, more: &str, body: &str) -> Vec<u8> {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 10.1.2.3;branch=z9hG4bK{call_id}{}\r\n\
         From: \"张三\" <sip:13800138000@10.1.2.3>;tag=a\r\nTo: <sip:077112345@10.1.2.10>\r\n\
         Call-ID: {call_id}\r\nCSeq: {cseq}\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
        cseq.replace(' ', ""),
        body.len()
    )
    .into_bytes()
}

/// A ring and what passes by it.
struct Wire {
    ring: Ring,
    transport: Transport,
}

impl Wire {
    fn new(config: Config) -> Self {
        Self { ring: Ring::new(config, &[7; 32]), transport: Transport::Udp }
    }

    fn heard(&mut self, ms: u64, from: &str, bytes: &[u8]) {
        let message = Message::parse(bytes).unwrap();
        self.ring.received(flow(from, self.transport), &message, true, at(ms));
        self.ring.check().unwrap();
    }

    fn said(&mut self, ms: u64, to: &str, bytes: &[u8]) {
        self.ring.sent(flow(to, self.transport), &bytes.into(), at(ms));
        self.ring.check().unwrap();
    }

    /// An INVITE of the carrier, our 100, and the call that owns them.
    fn arrives(&mut self, ms: u64, call: CallId, call_id: &str) {
        self.heard(ms, CARRIER, &message(INVITE, "1 INVITE", call_id, "", SDP));
        self.said(ms, CARRIER, &message("SIP/2.0 100 Trying", "1 INVITE", call_id, "", ""));
        let role = Role::Carrier("gx-nn-ct".into());
        self.ring.join(call, role, call_id.as_bytes(), at(ms));
        self.ring.check().unwrap();
    }

    /// A whole call with a telephone that needs a password and answers at the second INVITE.
    fn talk(&mut self) -> Trace {
        self.arrives(0, CALL, "c");
        self.said(2, CARRIER, &message("SIP/2.0 200 OK", "1 INVITE", "c", "", SDP));
        self.heard(12, CARRIER, &message("ACK sip:h SIP/2.0", "1 ACK", "c", "", ""));
        let invite = message("INVITE sip:8001@10.9.0.81 SIP/2.0", "1 INVITE", "p", "", SDP);
        self.ring.join(CALL, Role::Phone("8001".into()), b"p", at(3_000));
        self.said(3_000, PHONE, &invite);
        self.said(3_500, PHONE, &invite);
        self.said(4_500, PHONE, &invite);
        self.heard(4_512, PHONE, &message("SIP/2.0 180 Ringing", "1 INVITE", "p", "", ""));
        self.heard(7_000, PHONE, &message("SIP/2.0 200 OK", "1 INVITE", "p", "", SDP));
        self.said(7_000, PHONE, &message("ACK sip:8001@h SIP/2.0", "1 ACK", "p", "", ""));
        let reason = "Reason: Q.850;cause=16;text=\"Normal\"\r\n";
        self.heard(68_400, CARRIER, &message("BYE sip:h SIP/2.0", "2 BYE", "c", reason, ""));
        self.said(68_400, CARRIER, &message("SIP/2.0 200 OK", "2 BYE", "c", "", ""));
        self.said(68_401, PHONE, &message("BYE sip:8001@h SIP/2.0", "2 BYE", "p", reason, ""));
        self.heard(68_420, PHONE, &message("SIP/2.0 200 OK", "2 BYE", "p", "", ""));
        self.ring.trace(CALL).unwrap().clone()
    }
}

const INVITE: &str = "INVITE sip:077112345@10.1.2.10 SIP/2.0";

#[test]
fn a_call_is_drawn_with_one_arrow_a_message() {
    let trace = Wire::new(Config::default()).talk();
    let drawn = draw(&read(&trace, Sight::Masked), "2026-11-21 08:00:00.000");
    assert_eq!(drawn, include_str!("tests/talk.txt"), "\n{drawn}");
    let whole = draw(&read(&trace, Sight::Whole), "2026-11-21 08:00:00.000");
    assert!(whole.contains("主叫 13800138000 → 被叫 077112345"), "{whole}");
}

/// The telephone's INVITE names the called number as who calls, and a contact as who is called.
#[test]
fn a_call_that_goes_out_is_headed_by_its_numbers_and_names_each_gateway() {
    let mut wire = Wire::new(Config::default());
    let invite = |to: &str, call_id| {
        let text = message(&format!("INVITE sip:{to}@h SIP/2.0"), "1 INVITE", call_id, "", SDP);
        String::from_utf8(text).unwrap()
    };
    let phone = invite("8001-0x5641", "p").replace("sip:077112345@", "sip:8001-0x5641@");
    wire.ring.join(CALL, Role::Phone("8001".into()), b"p", at(0));
    wire.said(0, PHONE, phone.as_bytes());
    for (ms, call_id, gateway) in [(500, "g", CARRIER), (1_500, "h", "10.1.2.4:5060")] {
        let out = invite("13900139000", call_id);
        let out = out.replace("13800138000@", "077112345@");
        let out = out.replace("<sip:077112345@10.1.2.10>", "<sip:13900139000@h>");
        wire.ring.join(CALL, Role::Carrier("gx-nn-ct".into()), call_id.as_bytes(), at(ms));
        wire.said(ms, gateway, out.as_bytes());
    }
    let drawn = draw(&read(wire.ring.trace(CALL).unwrap(), Sight::Whole), "08:00");
    assert!(drawn.contains("主叫 077112345 → 被叫 13900139000"), "{drawn}");
    let told = |it: &str| drawn.lines().filter(|line| line.contains(it)).count();
    assert_eq!(
        (told("INVITE"), told("10.1.2.3:5060"), told("10.1.2.4:5060")),
        (3, 1, 1),
        "{drawn}"
    );
}

#[test]
fn retransmissions_are_counted_and_kept_once() {
    let trace = Wire::new(Config::default()).talk();
    let ladder = read(&trace, Sight::Whole);
    let again: Vec<_> = ladder
        .steps
        .iter()
        .map(|it| (it.repetition, it.n_repetitions))
        .filter(|it| it.1 > 0)
        .collect();
    assert_eq!(again, [(0, 2), (1, 2), (2, 2)]);
    let invite = message("INVITE sip:8001@10.9.0.81 SIP/2.0", "1 INVITE", "p", "", SDP).len();
    let n_all: usize = ladder.steps.iter().map(|it| it.n_bytes).sum();
    assert_eq!(trace.cost(), n_all - 2 * invite + 64 * ladder.steps.len());
}

#[test]
fn an_invite_that_no_call_owns_is_forgotten_with_the_next_message() {
    let mut wire = Wire::new(Config::default());
    wire.heard(0, CARRIER, &message(INVITE, "1 INVITE", "c", "", SDP));
    wire.heard(1, PHONE, &message("OPTIONS sip:h SIP/2.0", "1 OPTIONS", "o", "", ""));
    wire.ring.join(CALL, Role::Carrier("t".into()), b"c", at(1));
    assert_eq!(wire.ring.trace(CALL).unwrap().n_messages(), 0);
    let stranger = Message::parse(&message(INVITE, "1 INVITE", "s", "", SDP)).unwrap();
    wire.ring.received(flow(PHONE, Transport::Udp), &stranger, false, at(2));
    wire.ring.join(CallId(8), Role::Carrier("t".into()), b"s", at(2));
    assert_eq!(wire.ring.trace(CallId(8)).unwrap().n_messages(), 0);
    // Another dialog has no part in it: not one that is bound next, after which it is forgotten,
    // and not one that we say something in.
    wire.heard(3, CARRIER, &message(INVITE, "1 INVITE", "n", "", SDP));
    wire.ring.join(CallId(9), Role::Phone("8001".into()), b"o", at(3));
    wire.ring.join(CallId(10), Role::Carrier("t".into()), b"n", at(3));
    wire.heard(4, CARRIER, &message(INVITE, "1 INVITE", "m", "", SDP));
    wire.said(4, CARRIER, &message("SIP/2.0 200 OK", "2 BYE", "z", "", ""));
    wire.ring.join(CallId(11), Role::Carrier("t".into()), b"m", at(4));
    let kept = [9, 10, 11].map(|it| wire.ring.trace(CallId(it)).unwrap().n_messages());
    assert_eq!(kept, [0, 0, 1]);
}

/// As the rules of a carrier may want it.
#[test]
fn a_message_of_ours_is_the_calls_however_its_call_id_is_written() {
    let mut wire = Wire::new(Config::default());
    wire.arrives(0, CALL, "c");
    let ok = String::from_utf8(message("SIP/2.0 200 OK", "1 INVITE", "c", "", SDP)).unwrap();
    let written =
        ["Call-ID: c", "i:c", "call-id : c ", "X: Call-ID: d\r\nCALL-ID:c", "Call-ID: d", "X: c"];
    for (it, n_kept) in written.into_iter().zip([3, 4, 5, 6, 6, 6]) {
        wire.said(1, CARRIER, ok.replace("Call-ID: c", it).as_bytes());
        assert_eq!(wire.ring.trace(CALL).unwrap().n_messages(), n_kept, "{it}");
    }
}

#[test]
fn a_failed_call_is_stored_five_seconds_after_its_end_and_others_when_wanted() {
    let mut wire = Wire::new(Config::default());
    wire.arrives(0, CallId(1), "one");
    wire.said(1, CARRIER, &message("SIP/2.0 404 Not Found", "1 INVITE", "one", "", ""));
    wire.ring.end(CallId(1), at(1));
    wire.heard(9, CARRIER, &message("ACK sip:h SIP/2.0", "1 ACK", "one", "", ""));
    wire.arrives(10, CallId(2), "two");
    wire.said(11, CARRIER, &message("SIP/2.0 487 Gone", "1 INVITE", "two", "", ""));
    wire.ring.end(CallId(2), at(11));
    // Together with others: at a whole second.
    assert_eq!(wire.ring.poll_timeout(), Some(at(6_000).mono));
    assert_eq!(wire.ring.pop_stored(at(5_999).mono), None);
    let stored = wire.ring.pop_stored(at(6_000).mono).unwrap();
    assert_eq!((stored.call, stored.failed, stored.n_messages()), (CallId(1), true, 4));
    assert_eq!(wire.ring.pop_stored(at(6_000).mono), None);
    assert!(wire.ring.want(CallId(2), at(7_000)));
    assert_eq!(wire.ring.pop_stored(at(7_000).mono).unwrap().call, CallId(2));
    assert_eq!((wire.ring.poll_timeout(), wire.ring.want(CallId(3), at(7_000))), (None, false));
}

#[test]
fn a_storm_of_failures_is_not_stored_whole() {
    let mut wire = Wire::new(Config { stored_per_minute_max: 2, ..Config::default() });
    for n in 0..5 {
        wire.arrives(n, CallId(n), &format!("id{n}"));
        wire.ring.fail(CallId(n));
        wire.ring.end(CallId(n), at(n));
    }
    let now = at(9_000).mono;
    let n_stored = std::iter::from_fn(|| wire.ring.pop_stored(now)).count();
    assert_eq!((n_stored, wire.ring.n_not_stored()), (2, 3));
    wire.arrives(69_000, CallId(9), "later");
    wire.ring.fail(CallId(9));
    wire.ring.end(CallId(9), at(69_000));
    assert!(wire.ring.pop_stored(at(75_000).mono).is_some());
}

#[test]
fn finished_calls_make_room_before_running_ones() {
    let mut wire = Wire::new(Config { calls_max: 2, ..Config::default() });
    wire.arrives(0, CallId(1), "one");
    wire.arrives(1, CallId(2), "two");
    wire.ring.end(CallId(2), at(2));
    wire.arrives(3, CallId(3), "three");
    let here = |ring: &Ring, call| ring.trace(CallId(call)).is_some();
    assert_eq!([1, 2, 3].map(|it| here(&wire.ring, it)), [true, false, true]);
    wire.arrives(4, CallId(4), "four");
    assert_eq!([1, 3, 4].map(|it| here(&wire.ring, it)), [false, true, true]);
    assert_eq!(wire.ring.n_pushed_out(), 2);
    // A dialog whose ladder is gone begins no other one.
    wire.heard(5, CARRIER, &message("BYE sip:h SIP/2.0", "2 BYE", "one", "", ""));
    assert_eq!(wire.ring.n_calls(), 2);
}

#[test]
fn a_call_that_makes_room_leaves_a_later_one_with_its_call_id_what_it_has() {
    let mut wire = Wire::new(Config { calls_max: 2, ..Config::default() });
    wire.arrives(0, CallId(1), "one");
    wire.ring.end(CallId(1), at(1));
    wire.arrives(2, CallId(2), "one");
    wire.arrives(3, CallId(3), "three");
    let n = |ring: &Ring, call| ring.trace(CallId(call)).map(Trace::n_messages);
    let before = n(&wire.ring, 2).unwrap();
    wire.heard(4, CARRIER, &message("BYE sip:h SIP/2.0", "2 BYE", "one", "", ""));
    assert_eq!((n(&wire.ring, 1), n(&wire.ring, 2)), (None, Some(before + 1)));
}

#[test]
fn bytes_are_bounded_whatever_arrives() {
    let config = Config { bytes_max: 20_000, call_bytes_max: 5_000, ..Config::default() };
    let mut wire = Wire::new(config);
    for call in 0..40_u64 {
        let call_id = format!("id{call}");
        wire.arrives(call, CallId(call), &call_id);
        for n in 0..call {
            let cseq = format!("{} INFO", n + 2);
            wire.heard(n, CARRIER, &message("INFO sip:h SIP/2.0", &cseq, &call_id, "", SDP));
        }
    }
    assert!(wire.ring.bytes() <= 20_000 && wire.ring.n_calls() >= 3);
}

#[test]
fn of_a_long_call_the_beginning_and_the_end_stay() {
    let mut wire = Wire::new(Config { call_messages_max: 8, ..Config::default() });
    wire.arrives(0, CALL, "c");
    for n in 0..20_u64 {
        let cseq = format!("{} OPTIONS", n / 2);
        wire.heard(n, CARRIER, &message("OPTIONS sip:h SIP/2.0", &cseq, "c", "", ""));
    }
    wire.heard(50, CARRIER, &message("BYE sip:h SIP/2.0", "99 BYE", "c", "", ""));
    let ladder = read(wire.ring.trace(CALL).unwrap(), Sight::Whole);
    let titles: Vec<_> = ladder.steps.iter().map(|it| it.cseq.as_str()).collect();
    assert_eq!((titles[0], titles[7], ladder.n_left_out), ("1 INVITE", "99 BYE", 15));
    assert!(draw(&ladder, "").contains("中间有 15 条消息未保留"));
}

#[test]
fn nothing_is_kept_when_nothing_may_be() {
    let mut wire = Wire::new(Config { bytes_max: 0, ..Config::default() });
    wire.arrives(0, CALL, "c");
    assert_eq!((wire.ring.n_calls(), wire.ring.bytes()), (0, 0));
}

#[test]
fn no_secret_and_for_masked_eyes_no_number_is_in_what_goes_out() {
    let mut wire = Wire::new(Config::default());
    let more = "Authorization: Digest username=\"u\", response=\"5ecre7\"\r\n\
        P-Asserted-Identity: <tel:+8613900139000>\r\nX-Info: call 13900139000\r\n";
    let call_id = "13800138000-9";
    wire.heard(0, CARRIER, &message(INVITE, "1 INVITE", call_id, more, SDP));
    wire.ring.join(CALL, Role::Carrier("t".into()), call_id.as_bytes(), at(0));
    let info = message("INFO sip:h SIP/2.0", "2 INFO", call_id, "", "Signal=4\r\n");
    wire.heard(1, CARRIER, &info);
    let evil = "SIP/2.0 486 Busy\u{1b}[2J 13800138000";
    wire.said(2, CARRIER, &message(evil, "1 INVITE", call_id, "", ""));
    let trace = wire.ring.trace(CALL).unwrap();
    let stored = borsh::to_vec(trace).unwrap();
    for secret in ["5ecre7", "Signal=4"] {
        assert!(!contains(&stored, secret), "{secret}");
    }
    let text = draw(&read(trace, Sight::Masked), "");
    assert!(!text.contains('\u{1b}') && text.contains("号码已脱敏"), "{text}");
    let shown = format!("{:?}{text}", read(trace, Sight::Masked)).into_bytes();
    for out in [shown, pcap(trace, Sight::Masked)] {
        for number in ["13800138000", "13900139000", "077112345", "张三"] {
            assert!(!contains(&out, number), "{number}");
        }
    }
    assert!(contains(&pcap(trace, Sight::Whole), "13900139000"));
}

#[test]
fn v17_no_ladder_steers_a_terminal_or_turns_its_text_around() {
    let mut wire = Wire::new(Config::default());
    let evil = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{2066}\u{200b}\u{feff}";
    let invite = String::from_utf8(message(INVITE, "1 INVITE", "v17", "", SDP)).unwrap();
    let invite = invite.replace("13800138000@", &format!("138{evil}@")).replace("张三", evil);
    wire.heard(0, CARRIER, invite.as_bytes());
    wire.ring.join(CALL, Role::Carrier("t".into()), b"v17", at(0));
    let more = format!("Reason: Q.850{evil};cause=17;text=\"{evil}\"\r\n");
    let start = format!("SIP/2.0 486 Busy{evil}");
    wire.said(2, CARRIER, &message(&start, "1 INVITE", "v17", &more, ""));
    for sight in [Sight::Masked, Sight::Whole] {
        let text = draw(&read(wire.ring.trace(CALL).unwrap(), sight), "");
        let steers = |it: char| it != '\n' && !matches!(it, ' '..='~') && evil.contains(it);
        assert!(!text.contains(steers), "{text:?}");
        assert!(text.contains("\\u{1b}"), "{text:?}");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[test]
fn a_capture_has_one_packet_a_message_with_right_lengths_and_sums() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut wire = Wire::new(Config::default());
        wire.transport = transport;
        let trace = wire.talk();
        let bytes = pcap(&trace, Sight::Whole);
        let mut rest = &bytes[24..];
        let mut n = 0;
        while !rest.is_empty() {
            let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
            let packet = &rest[16..16 + len];
            assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), len);
            assert_eq!(sum(&packet[..20]), 0xFFFF);
            let head = [
                &packet[12..20],
                &[0, packet[9]],
                &(u16::try_from(len).unwrap() - 20).to_be_bytes(),
            ];
            assert_eq!(sum(&[&head.concat(), &packet[20..]].concat()), 0xFFFF);
            rest = &rest[16 + len..];
            n += 1;
        }
        assert_eq!(n, trace.n_messages());
    }
}

/// All ones when the sum within is right (RFC 1071).
fn sum(bytes: &[u8]) -> u32 {
    let words =
        bytes.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(*it.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    (sum & 0xFFFF) + (sum >> 16)
}

#[test]
fn a_stored_trace_is_read_back() {
    let trace = Wire::new(Config::default()).talk();
    let bytes = borsh::to_vec(&trace).unwrap();
    assert_eq!(borsh::from_slice::<Trace>(&bytes).unwrap(), trace);
}
