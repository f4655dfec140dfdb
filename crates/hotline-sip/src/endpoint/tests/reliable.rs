//! Stories of provisional responses that must arrive (RFC 3262), from both sides.

use super::*;

const SDP: &str = "Content-Type: application/sdp\r\n";
const REL: &str = "Require: 100rel\r\nContent-Type: application/sdp\r\n";
const CAN: &str = "Supported: 100rel, timer\r\nContent-Type: application/sdp\r\n";

/// Number of the last reliable response that B sent.
fn rseq(world: &World) -> u32 {
    let last = raw::Peer::answers(world).into_iter().rev().find(|it| it.header("RSeq").is_some());
    String::from_utf8_lossy(last.unwrap().header("RSeq").unwrap()).parse().unwrap()
}

fn prack(raw: &raw::Peer, rseq: u32, cseq: u32, more: &str, body: &str) -> String {
    raw.request("PRACK", cseq, &format!("RAck: {rseq} 1 INVITE\r\n{more}"), body)
}

/// A call of the raw peer that B has not answered.
fn invited(it: &mut World, more: &str, body: &str) -> (raw::Peer, LegId) {
    let mut raw = raw::Peer::new(it);
    raw.send(it, &raw.request("INVITE", 1, more, body));
    raw.statuses(it);
    let b = it.invited(B);
    (raw, b)
}

#[test]
fn a_description_in_a_reliable_183_is_acknowledged_and_the_200_has_none() {
    let mut it = World::new(GOOD, 90);
    let (mut raw, b) = invited(&mut it, CAN, "offer");
    it.act(B, |it, now| it.ring_reliably(b, "early".to_owned(), now));
    let early = raw::Peer::last(&it);
    assert_eq!((early.status(), early.body()), (Some(183), &b"early"[..]));
    assert_eq!(early.header("Require"), Some(&b"100rel"[..]));
    raw.learn_tag(&it, B);
    let first = rseq(&it);
    // The 180 waits for the PRACK of the 183; so does the 200.
    assert_eq!(raw.statuses(&it), [183]);
    it.act(B, |it, now| it.answer(b, "unsaid".to_owned(), now));
    assert_eq!(raw.statuses(&it), Vec::<u16>::new());
    raw.send(&mut it, &prack(&raw, first, 2, "", ""));
    assert_eq!(raw.statuses(&it), [200, 200]);
    let ok = raw::Peer::last(&it);
    assert_eq!((ok.cseq().method, ok.body()), (&b"INVITE"[..], &b""[..]));
    raw.send(&mut it, &raw.request("ACK", 1, "", ""));
    assert_eq!(it.said(B, |it| matches!(it, Event::Confirmed { .. })), 1);
    assert_eq!(it.said(B, |it| matches!(it, Event::Reanswered { .. })), 0);
    raw.send(&mut it, &raw.request("BYE", 3, "", ""));
    it.check_silence();
}

#[test]
fn several_reliable_responses_go_out_one_after_the_other_with_growing_numbers() {
    let mut it = World::new(GOOD, 91);
    let (mut raw, b) = invited(&mut it, REL, "offer");
    // The peer demands it: also of a plain ring.
    it.act(B, |it, now| it.ring(b, Some("early".to_owned()), now));
    it.act(B, |it, now| it.ring(b, None, now));
    raw.learn_tag(&it, B);
    let first = rseq(&it);
    raw.send(&mut it, &prack(&raw, first, 2, "", ""));
    assert_eq!(raw.statuses(&it), [183, 200, 180]);
    assert_eq!(rseq(&it), first + 1);
    // A PRACK for the wrong one, a repeated one, one without a number.
    raw.send(&mut it, &prack(&raw, first, 3, "", ""));
    raw.send(&mut it, &prack(&raw, first + 2, 4, "", ""));
    raw.send(&mut it, &raw.request("PRACK", 5, "", ""));
    raw.send(&mut it, &prack(&raw, first + 1, 6, "", ""));
    assert_eq!(raw.statuses(&it), [481, 481, 481, 200]);
    // Nothing unacknowledged: the 200 goes at once, without a description.
    it.act(B, |it, now| it.answer(b, "unsaid".to_owned(), now));
    assert_eq!((raw.statuses(&it), raw::Peer::last(&it).body()), (vec![200], &b""[..]));
    raw.send(&mut it, &raw.request("ACK", 1, "", ""));
    raw.send(&mut it, &raw.request("BYE", 7, "", ""));
    it.check_silence();
}

#[test]
fn without_a_prack_it_is_sent_again_with_growing_pauses_and_refused_504_after_32_s() {
    let mut it = World::new(GOOD, 92);
    let (raw, b) = invited(&mut it, REL, "offer");
    it.act(B, |it, now| it.ring(b, Some("early".to_owned()), now));
    it.millis(31_999);
    // 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s.
    assert_eq!(raw.statuses(&it), [183; 7]);
    assert_eq!(it.ends_of(B, b), []);
    it.millis(2);
    assert_eq!((raw.statuses(&it), it.ends_of(B, b)), (vec![504], vec![EndWhy::AckMissing]));
    assert!(it.timers.contains("reliable 1xx again") && it.timers.contains("PRACK missing"));
    it.check_silence();
}

#[test]
fn a_peer_that_cannot_gets_a_plain_180() {
    let mut it = World::new(GOOD, 93);
    let (raw, b) = invited(&mut it, SDP, "offer");
    it.act(B, |it, now| it.ring_reliably(b, "unsaid".to_owned(), now));
    let ring = raw::Peer::last(&it);
    assert_eq!(
        (raw.statuses(&it), ring.header("RSeq"), ring.header("Require")),
        (vec![180], None, None)
    );
    it.hang_up(B, b);
    it.check_silence();
}

#[test]
fn a_call_without_offer_gets_ours_in_the_183_and_the_prack_answers() {
    let mut it = World::new(GOOD, 94);
    let (mut raw, b) = invited(&mut it, "Supported: 100rel\r\n", "");
    it.act(B, |it, now| it.ring_reliably(b, "our offer".to_owned(), now));
    raw.learn_tag(&it, B);
    let number = rseq(&it);
    raw.send(&mut it, &prack(&raw, number, 2, SDP, "their answer"));
    assert!(matches!(it.events[B].last(), Some(Event::Reanswered { sdp: Some(sdp), .. })
        if sdp == "their answer"));
    it.act(B, |it, now| it.answer(b, "our offer".to_owned(), now));
    assert_eq!(raw::Peer::last(&it).body(), b"");
    let before = it.events[B].len();
    raw.send(&mut it, &raw.request("ACK", 1, "", ""));
    assert!(matches!(it.events[B][before..], [Event::Confirmed { .. }]));
    raw.send(&mut it, &raw.request("BYE", 3, "", ""));
    it.check_silence();
}

#[test]
fn an_offer_in_a_prack_or_early_update_is_answered_before_the_200() {
    let mut it = World::new(GOOD, 95);
    let (mut raw, b) = invited(&mut it, REL, "offer");
    it.act(B, |it, now| it.ring(b, Some("answer".to_owned()), now));
    raw.learn_tag(&it, B);
    // Before the first offer is settled there is no second.
    raw.send(&mut it, &raw.request("UPDATE", 2, SDP, "too early"));
    let number = rseq(&it);
    raw.send(&mut it, &prack(&raw, number, 3, SDP, "offer 2"));
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    assert_eq!(raw.statuses(&it), [183, 500]);
    it.act(B, |it, now| it.accept_offer(b, "answer 2".to_owned(), now));
    let all = raw::Peer::answers(&it);
    let [.., to_prack, to_invite] = &all[..] else { panic!() };
    assert_eq!((to_prack.cseq().method, to_prack.body()), (&b"PRACK"[..], &b"answer 2"[..]));
    assert_eq!((to_invite.cseq().method, to_invite.body()), (&b"INVITE"[..], &b""[..]));
    raw.send(&mut it, &raw.request("ACK", 1, "", ""));
    raw.send(&mut it, &raw.request("BYE", 4, "", ""));

    let mut it = World::new(GOOD, 96);
    let (mut raw, b) = invited(&mut it, REL, "offer");
    it.act(B, |it, now| it.ring(b, Some("answer".to_owned()), now));
    raw.learn_tag(&it, B);
    let number = rseq(&it);
    raw.send(&mut it, &prack(&raw, number, 2, "", ""));
    raw.send(&mut it, &raw.request("UPDATE", 3, SDP, "offer 2"));
    assert_eq!(it.said(B, |it| matches!(it, Event::Offered { .. })), 1);
    // The caller gives up: nothing stays unanswered.
    let cancel = raw.request("BYE", 4, "", "");
    raw.send(&mut it, &cancel);
    assert_eq!(raw.statuses(&it), [183, 200, 200, 487, 487]);
    assert_eq!(it.ends_of(B, b), [EndWhy::Cancelled]);
    it.check_silence();
}

#[test]
fn a_prack_that_crosses_the_200_is_answered() {
    let mut it = World::new(GOOD, 97);
    let (mut raw, b) = invited(&mut it, REL, "offer");
    it.act(B, |it, now| it.ring(b, None, now));
    raw.learn_tag(&it, B);
    let number = rseq(&it);
    // No description in it: the 200 need not wait (RFC 3262 §3).
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    assert_eq!(raw::Peer::last(&it).body(), b"answer");
    raw.send(&mut it, &prack(&raw, number, 2, "", ""));
    raw.send(&mut it, &prack(&raw, number, 3, "", ""));
    assert_eq!(raw.statuses(&it), [180, 200, 200, 481]);
    raw.send(&mut it, &raw.request("ACK", 1, "", ""));
    raw.send(&mut it, &raw.request("BYE", 4, "", ""));
    it.check_silence();
}

#[test]
fn two_of_us_agree_over_a_link_that_loses() {
    for seed in 0..30 {
        let link = Link { loss: 20, delay: (1, 300), double: 10, ..GOOD };
        let mut it = World::new(link, 9_800 + seed);
        let a = it.dial();
        it.secs(20);
        let Some(b) = it.events[B].iter().find_map(|it| match it {
            Event::Invited(it) => Some(it.leg),
            _ => None,
        }) else {
            continue;
        };
        it.act(B, |it, now| it.ring_reliably(b, "early".to_owned(), now));
        it.secs(30);
        it.act(B, |it, now| it.answer(b, "unsaid".to_owned(), now));
        it.secs(20);
        let answered =
            |it: &Event| matches!(it, Event::Answered { sdp: Some(it), .. } if it == "early");
        if it.ends_of(A, a).is_empty() {
            assert_eq!(it.said(A, answered), 1, "seed {seed}");
        }
        let rings = it.events[A].iter().filter_map(|it| match it {
            Event::Ringing { status, .. } => Some(*status),
            _ => None,
        });
        let rings: Vec<_> = rings.collect();
        assert!(rings == [183, 180] || rings == [183] || rings.is_empty(), "{rings:?}");
        it.hang_up(A, a);
        it.hang_up(B, b);
        it.check_silence();
    }
}
