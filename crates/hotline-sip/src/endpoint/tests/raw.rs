//! A peer made of text against the endpoint B: refusals, oddities and forks.

use super::*;
use crate::PeerMisbehaved;

/// A peer that writes its own messages; it stands where A stands.
pub(super) struct Peer {
    tag: String,
    n_read: std::cell::Cell<usize>,
    n_branch: std::cell::Cell<u32>,
    admit: Admit,
}

impl Peer {
    pub(super) fn new(world: &mut World) -> Self {
        // What B sends stays in the air, to be read by `statuses`.
        world.link = Link { delay: (3_600_000, 3_600_000), ..GOOD };
        Self { tag: String::new(), n_read: 0.into(), n_branch: 0.into(), admit: Admit::Trusted }
    }

    /// A confirmed call and B's leg of it.
    pub(super) fn talk(world: &mut World) -> (Self, LegId) {
        let mut it = Self::new(world);
        let sdp = "Content-Type: application/sdp\r\n";
        it.send(world, &it.request("INVITE", 1, sdp, "offer"));
        let b = world.invited(B);
        world.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
        it.learn_tag(world, B);
        it.send(world, &it.request("ACK", 1, "", ""));
        it.statuses(world);
        (it, b)
    }

    pub(super) fn request(&self, method: &str, cseq: u32, more: &str, body: &str) -> String {
        self.n_branch.set(self.n_branch.get() + 1);
        let (branch, tag) = (self.n_branch.get(), &self.tag);
        format!(
            "{method} sip:12345@10.0.0.2 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK{branch}x\r\n\
             Max-Forwards: 70\r\nFrom: <sip:13800138000@ims>;tag=f1\r\n\
             To: <sip:12345@ims>{tag}\r\n\
             Call-ID: c1@ims\r\nCSeq: {cseq} {method}\r\nContact: <sip:10.0.0.1:5060>\r\n\
             {more}\r\n{body}"
        )
    }

    pub(super) fn send(&mut self, world: &mut World, text: &str) {
        let message = Message::parse(text.as_bytes()).unwrap_or_else(|it| panic!("{it:?} {text}"));
        let flow = world.flow(B);
        let admit = self.admit;
        world.act(B, |it, now| it.handle_message(flow, message, admit, now));
    }

    pub(super) fn answers(world: &World) -> Vec<Message> {
        let to_us = world.flying.values().filter(|it| it.0 == A);
        to_us.map(|it| Message::parse(&it.1).unwrap()).collect()
    }

    /// What came since the last look, responses only.
    pub(super) fn statuses(&self, world: &World) -> Vec<u16> {
        let all = Self::answers(world);
        let new = all.iter().skip(self.n_read.replace(all.len()));
        new.filter_map(Message::status).collect()
    }

    pub(super) fn last(world: &World) -> Message {
        Self::answers(world).pop().unwrap()
    }

    pub(super) fn learn_tag(&mut self, world: &World, _end: usize) {
        let tag = String::from_utf8(Self::last(world).to_tag().to_vec()).unwrap();
        self.tag = format!(";tag={tag}");
    }
}

/// One request outside of a dialog and its one response.
fn check(request: impl Fn(&Peer) -> String, status: u16) -> (World, Message) {
    let mut it = World::new(GOOD, 51);
    let mut raw = Peer::new(&mut it);
    let text = request(&raw);
    raw.send(&mut it, &text);
    assert_eq!(raw.statuses(&it), [status], "{text}");
    assert_eq!(it.ends[B].n_transactions(), 0);
    let last = Peer::last(&it);
    (it, last)
}

#[test]
fn requests_nobody_can_serve_are_refused_as_the_standard_says() {
    let allow = |it: &Message| it.header("Allow").is_some_and(|it| it.starts_with(b"INVITE, ACK"));
    for method in ["MESSAGE", "SUBSCRIBE", "PUBLISH"] {
        assert!(allow(&check(|it| it.request(method, 1, "", ""), 405).1));
    }
    assert!(allow(&check(|it| it.request("JUGGLE", 1, "", ""), 501).1));
    check(|it| it.request("REFER", 1, "Refer-To: <sip:0@h>\r\n", ""), 403);
    for method in ["BYE", "NOTIFY", "INFO", "UPDATE", "CANCEL"] {
        check(|it| it.request(method, 1, "", ""), 481);
    }
    let (it, _) = check(
        |it| it.request("BYE", 1, "", "").replace("@ims>\r\nCall", "@ims>;tag=z\r\nCall"),
        481,
    );
    assert!(matches!(
        it.events[B][..],
        [Event::Misbehaved { why: PeerMisbehaved::UnknownDialog, .. }]
    ));
    let odd = |it: &Peer| it.request("INVITE", 1, "", "").replace("sip:12345@10.0.0.2", "magnet:x");
    check(odd, 416);
    let (_, it) = check(|it| it.request("INVITE", 1, "Require: 100rel, x\r\n", ""), 420);
    assert_eq!(it.header("Unsupported"), Some(&b"x"[..]));
    check(|it| it.request("INVITE", 1, "", "").replace("Forwards: 70", "Forwards: 0"), 483);
    check(|it| it.request("INVITE", 1, "Replaces: a;to-tag=b;from-tag=c\r\n", ""), 481);
    check(|it| it.request("INVITE", 1, "Replaces: a;to-tag=b\r\n", ""), 400);
    check(|it| it.request("INVITE", 1, "", "").replace("Contact", "X-Contact"), 400);
    check(|it| it.request("INVITE", 1, "Content-Type: text/plain\r\n", "hi"), 415);
    let (_, it) = check(|it| it.request("OPTIONS", 1, "", ""), 200);
    assert!(allow(&it) && it.header("Accept").is_some());
}

#[test]
fn a_strangers_invite_is_refused_without_a_trace_and_without_gain() {
    let mut it = World::new(GOOD, 52);
    let mut raw = Peer::new(&mut it);
    raw.admit = Admit::Stranger;
    let mut n = 0;
    for method in ["INVITE", "MESSAGE", "OPTIONS", "REGISTER", "BYE", "CANCEL", "JUGGLE"] {
        for more in ["", "X-Padding: 0123456789012345678901234567890123456789\r\n"] {
            let text = raw.request(method, 1, more, "");
            raw.send(&mut it, &text);
            n += 1;
            assert!(Peer::last(&it).bytes().len() <= text.len(), "{method}");
        }
    }
    // The bare REGISTER is too short for a challenge: silence.
    assert_eq!(
        raw.statuses(&it),
        [403, 403, 403, 403, 200, 200, 401, 403, 403, 481, 481, 403, 403]
    );
    assert_eq!((it.ends[B].n_transactions(), it.ends[B].n_legs(), n), (0, 0, 14));
    assert_eq!(it.said(B, |it| matches!(it, Event::Stranger { .. })), 8);
    // The ACK of the refusal is expected.
    raw.learn_tag(&it, B);
    let before = it.events[B].len();
    let refused = raw.request("INVITE", 1, "", "").replace("INVITE", "ACK");
    raw.send(&mut it, &refused);
    assert_eq!(it.events[B].len(), before);
    raw.tag = ";tag=made-up".to_owned();
    raw.send(&mut it, &raw.request("ACK", 1, "", ""));
    assert!(matches!(
        it.events[B].last(),
        Some(Event::Misbehaved { why: PeerMisbehaved::AckForNothing, .. })
    ));
}

#[test]
fn the_same_invite_by_two_ways_makes_one_call() {
    let mut it = World::new(GOOD, 53);
    let mut raw = Peer::new(&mut it);
    raw.send(&mut it, &raw.request("INVITE", 1, "", ""));
    raw.send(&mut it, &raw.request("INVITE", 1, "", ""));
    assert_eq!(raw.statuses(&it), [100, 482]);
    assert_eq!(it.said(B, |it| matches!(it, Event::Invited(_))), 1);
}

#[test]
fn a_repeated_invite_gets_the_last_response() {
    let mut it = World::new(GOOD, 54);
    let mut raw = Peer::new(&mut it);
    let invite = raw.request("INVITE", 1, "", "");
    raw.send(&mut it, &invite);
    raw.send(&mut it, &invite);
    let b = it.invited(B);
    it.act(B, |it, now| it.ring(b, None, now));
    raw.send(&mut it, &invite);
    it.act(B, |it, now| it.answer(b, "x".to_owned(), now));
    raw.send(&mut it, &invite);
    assert_eq!(raw.statuses(&it), [100, 100, 180, 180, 200, 200]);
    raw.learn_tag(&it, B);
    raw.send(&mut it, &raw.request("ACK", 1, "", ""));
    raw.send(&mut it, &invite);
    assert_eq!(raw.statuses(&it), Vec::<u16>::new());
}

#[test]
fn numbers_that_go_backwards_are_refused_500() {
    let mut it = World::new(GOOD, 55);
    let (mut raw, b) = Peer::talk(&mut it);
    raw.send(&mut it, &raw.request("INFO", 9, "", ""));
    raw.send(&mut it, &raw.request("INFO", 8, "", ""));
    raw.send(&mut it, &raw.request("BYE", 9, "", ""));
    assert_eq!(raw.statuses(&it), [200, 500, 500]);
    assert_eq!(it.ends_of(B, b), []);
    for (method, status) in
        [("OPTIONS", 200), ("REFER", 400), ("PRACK", 481), ("NOTIFY", 481), ("JUGGLE", 501)]
    {
        let number = raw.n_branch.get() + 10;
        raw.send(&mut it, &raw.request(method, number, "", ""));
        assert_eq!(raw.statuses(&it), [status], "{method}");
    }
    raw.send(&mut it, &raw.request("UPDATE", 90, "Require: x\r\n", ""));
    raw.send(&mut it, &raw.request("BYE", 91, "Reason: Q.850;cause=17\r\n", ""));
    assert_eq!(raw.statuses(&it), [420, 200]);
    assert_eq!(it.ends_of(B, b), [EndWhy::Bye { cause: Some(17) }]);
}

#[test]
fn numbers_of_a_peer_may_begin_near_2_31_and_end_there() {
    let mut it = World::new(GOOD, 54);
    let mut raw = Peer::new(&mut it);
    // The last one is 2^31 - 1 (RFC 3261 §8.1.1.5).
    let last = i32::MAX.unsigned_abs();
    raw.send(&mut it, &raw.request("INVITE", last - 3, "", ""));
    let b = it.invited(B);
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    raw.learn_tag(&it, B);
    raw.send(&mut it, &raw.request("ACK", last - 3, "", ""));
    assert_eq!(it.said(B, |it| matches!(it, Event::Confirmed { .. })), 1);
    for number in [last - 2, last - 1, last - 2] {
        raw.send(&mut it, &raw.request("INFO", number, "", ""));
    }
    let beyond = raw.request("BYE", last + 1, "", "");
    assert!(Message::parse(beyond.as_bytes()).is_err());
    raw.send(&mut it, &raw.request("BYE", last, "", ""));
    assert_eq!(raw.statuses(&it), [100, 200, 200, 200, 500, 200]);
    assert_eq!(it.ends_of(B, b), [EndWhy::Bye { cause: None }]);
}

#[test]
fn a_bye_before_the_answer_cancels_the_call() {
    let mut it = World::new(GOOD, 56);
    let mut raw = Peer::new(&mut it);
    raw.send(&mut it, &raw.request("INVITE", 1, "", ""));
    let b = it.invited(B);
    it.act(B, |it, now| it.ring(b, None, now));
    raw.learn_tag(&it, B);
    // Both wait for the first INVITE's end.
    raw.send(&mut it, &raw.request("UPDATE", 2, "Content-Type: application/sdp\r\n", "x"));
    raw.send(&mut it, &raw.request("INVITE", 3, "", ""));
    raw.send(&mut it, &raw.request("BYE", 4, "", ""));
    assert_eq!(raw.statuses(&it), [100, 180, 500, 500, 200, 487]);
    assert_eq!(it.ends_of(B, b), [EndWhy::Cancelled]);
}

#[test]
fn a_late_cancel_is_answered_and_changes_nothing() {
    let mut it = World::new(GOOD, 57);
    let mut raw = Peer::new(&mut it);
    let invite = raw.request("INVITE", 1, "", "");
    raw.send(&mut it, &invite);
    let b = it.invited(B);
    it.act(B, |it, now| it.answer(b, "x".to_owned(), now));
    raw.send(&mut it, &invite.replace("INVITE", "CANCEL"));
    assert_eq!(raw.statuses(&it), [100, 200, 200]);
    assert_eq!(it.ends_of(B, b), []);
}

#[test]
fn the_caller_is_read_from_every_header_that_may_name_it() {
    let mut it = World::new(GOOD, 58);
    let mut raw = Peer::new(&mut it);
    let more =
        "P-Asserted-Identity: \"x\" <tel:+86-13800138000>, <sip:other@h>\r\nPrivacy: user;id\r\n";
    let text = raw.request("INVITE", 1, more, "");
    raw.send(
        &mut it,
        &text.replace("<sip:13800138000@ims>", "\"Anonymous\" <sip:anonymous@anonymous.invalid>"),
    );
    let Some(Event::Invited(invited)) = it.events[B].last() else { panic!() };
    assert_eq!(invited.asserted.as_ref().unwrap().reveal(), "+8613800138000");
    assert!(invited.privacy_id && invited.anonymous_from);
    let printed = format!("{invited:?}");
    assert!(!printed.contains("1380"), "{printed}");
}

#[test]
fn requests_of_a_dialog_keep_its_route_and_go_where_it_came_from() {
    let mut it = World::new(GOOD, 59);
    let mut raw = Peer::new(&mut it);
    let more = "Record-Route: <sip:p2.example;lr>, <sip:p1.example;lr>\r\n";
    let text = raw
        .request("INVITE", 1, more, "")
        .replace("<sip:10.0.0.1:5060>\r\nRec", "<sip:192.168.1.9:7070>\r\nRec");
    raw.send(&mut it, &text);
    let b = it.invited(B);
    it.act(B, |it, now| it.answer(b, "x".to_owned(), now));
    assert_eq!(Peer::last(&it).values("Record-Route").count(), 2);
    raw.learn_tag(&it, B);
    raw.send(&mut it, &raw.request("ACK", 1, "", ""));
    it.hang_up(B, b);
    let bye = Peer::last(&it);
    assert_eq!((bye.method(), bye.raw_uri()), (Some(&b"BYE"[..]), &b"sip:192.168.1.9:7070"[..]));
    let routes: Vec<_> = bye.values("Route").collect();
    assert_eq!(routes, [b"<sip:p2.example;lr>", b"<sip:p1.example;lr>"]);
    assert_eq!((bye.from_tag(), bye.to_tag()), (&raw.tag.as_bytes()[5..], &b"f1"[..]));
}

/// A 2xx or another response to the last INVITE that B sent.
pub(super) fn respond(world: &World, status: u16, tag: &str) -> String {
    respond_with(world, "INVITE", status, tag, "", "")
}

/// The same to the last request of a method, with more headers and a body.
pub(super) fn respond_with(
    world: &World,
    method: &str,
    status: u16,
    tag: &str,
    more: &str,
    body: &str,
) -> String {
    let to_us = world.flying.values().filter(|it| it.0 == A);
    let mut requests = to_us.filter_map(|it| Message::parse(&it.1).ok());
    let request = requests.rfind(|it| it.method() == Some(method.as_bytes())).unwrap();
    let text = |name| String::from_utf8_lossy(request.header(name).unwrap()).into_owned();
    let tag_of_to = if request.to_tag().is_empty() { format!(";tag={tag}") } else { String::new() };
    format!(
        "SIP/2.0 {status} X\r\nVia: {}\r\nFrom: {}\r\nTo: {}{tag_of_to}\r\nCall-ID: {}\r\n\
         CSeq: {}\r\n\
         Contact: <sip:{tag}@10.0.0.1>\r\nRecord-Route: <sip:r1;lr>,<sip:r2>\r\n{more}\r\n{body}",
        text("Via"),
        text("From"),
        text("To"),
        text("Call-ID"),
        text("CSeq"),
    )
}

pub(super) fn dial(world: &mut World) -> LegId {
    let leg = world.ends[B].new_leg();
    let dial = Dial {
        target: "sip:1001@10.0.0.1".to_owned(),
        flow: world.flow(B),
        from_display: String::new(),
        from_user: "12345".to_owned(),
        sdp: "offer".to_owned(),
        headers: vec![],
        ring_limit: None,
        silence_limit: None,
        from_host: None,
        credentials: None,
    };
    world.act(B, |it, now| it.dial(leg, dial, now));
    leg
}

#[test]
fn of_two_forks_that_answer_the_first_talks_and_the_second_gets_ack_and_bye() {
    let mut it = World::new(GOOD, 60);
    let mut raw = Peer::new(&mut it);
    let leg = dial(&mut it);
    for tag in ["f1", "f2", "f1", "f2"] {
        let ok = respond(&it, 200, tag);
        raw.send(&mut it, &ok);
    }
    assert_eq!(it.said(B, |it| matches!(it, Event::Answered { .. })), 1);
    let sent: Vec<_> = Peer::answers(&it)
        .iter()
        .skip(1)
        .map(|it| {
            let method = String::from_utf8_lossy(it.method().unwrap()).into_owned();
            format!("{method} {}", String::from_utf8_lossy(it.to_tag()))
        })
        .collect();
    assert_eq!(sent, ["ACK f1", "ACK f2", "BYE f2", "ACK f1", "ACK f2"]);
    // The route of an answer is read backwards; its first hop is a strict router.
    let bye = &Peer::answers(&it)[3];
    assert_eq!(bye.raw_uri(), b"sip:r2");
    let routes: Vec<_> = bye.values("Route").collect();
    assert_eq!(routes, [&b"<sip:r1;lr>"[..], b"<sip:f2@10.0.0.1>"]);
    it.hang_up(B, leg);
    assert_eq!(it.ends_of(B, leg), [EndWhy::Local]);
}

#[test]
fn who_said_100_and_is_abandoned_is_cancelled_and_hung_up_if_he_answers_later() {
    let mut it = World::new(GOOD, 62);
    let mut raw = Peer::new(&mut it);
    let leg = dial(&mut it);
    let trying = respond(&it, 100, "f1");
    raw.send(&mut it, &trying);
    it.act(B, |it, now| it.abandon(leg, now));
    assert_eq!(it.ends_of(B, leg), [EndWhy::NoResponse]);
    let late = respond(&it, 200, "f1");
    raw.send(&mut it, &late);
    let sent: Vec<_> = Peer::answers(&it)
        .iter()
        .map(|it| String::from_utf8_lossy(it.method().unwrap()).into_owned())
        .collect();
    assert_eq!(sent, ["INVITE", "CANCEL", "ACK", "BYE"]);
    assert_eq!(it.ends_of(B, leg), [EndWhy::NoResponse]);
}

#[test]
fn a_200_after_a_487_is_acknowledged_and_ended() {
    let mut it = World::new(GOOD, 61);
    let mut raw = Peer::new(&mut it);
    let leg = dial(&mut it);
    it.hang_up(B, leg);
    for (status, tag) in [(180, "f1"), (487, "f1"), (200, "f2")] {
        let text = respond(&it, status, tag);
        raw.send(&mut it, &text);
    }
    let sent: Vec<_> = Peer::answers(&it)
        .iter()
        .map(|it| String::from_utf8_lossy(it.method().unwrap()).into_owned())
        .collect();
    assert_eq!(sent, ["INVITE", "CANCEL", "ACK", "ACK", "BYE"]);
    assert_eq!(it.ends_of(B, leg), [EndWhy::Local]);
}

#[test]
fn a_response_that_does_not_fit_its_request_is_ignored() {
    let mut it = World::new(GOOD, 62);
    let mut raw = Peer::new(&mut it);
    let leg = dial(&mut it);
    let ok = respond(&it, 200, "f1");
    for (from, to) in [
        ("CSeq: 1 ", "CSeq: 2 "),
        ("Call-ID: ", "Call-ID: x"),
        ("z9hG4bK", "z9hG4bKx"),
        ("From: <sip:12345@10.0.0.2:5060>;tag=", "From: <sip:x>;tag=x"),
    ] {
        assert!(ok.contains(from), "{ok}");
        raw.send(&mut it, &ok.replace(from, to));
    }
    assert_eq!(
        it.said(B, |it| matches!(
            it,
            Event::Misbehaved { why: PeerMisbehaved::ResponseToNothing, .. }
        )),
        4
    );
    assert_eq!(it.said(B, |it| matches!(it, Event::Answered { .. })), 0);
    let refusal = respond(&it, 503, "f1");
    let refusal = refusal.replace("Record-Route", "Reason: Q.850;cause=34\r\nX");
    raw.send(&mut it, &refusal);
    assert_eq!(it.ends_of(B, leg), [EndWhy::Refused { status: 503, cause: Some(34) }]);
}

#[test]
fn an_old_peer_without_a_branch_is_understood() {
    let mut it = World::new(GOOD, 63);
    let mut raw = Peer::new(&mut it);
    let invite = raw.request("INVITE", 1, "", "").replace(";branch=z9hG4bK1x", "");
    raw.send(&mut it, &invite);
    raw.send(&mut it, &invite);
    let b = it.invited(B);
    it.act(B, |it, now| it.refuse(b, 486, now));
    raw.send(&mut it, &invite.replace("INVITE", "ACK"));
    assert_eq!(raw.statuses(&it), [100, 100, 486]);
    it.check_silence();
}
