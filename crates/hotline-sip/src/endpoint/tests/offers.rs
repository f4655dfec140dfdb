//! Stories of hold, retrieve and other offers within a call.

use super::*;
use hotline_base::Key;

const REANSWERED: fn(&Event) -> bool = |it| matches!(it, Event::Reanswered { sdp: Some(_), .. });
const OFFERED: fn(&Event) -> bool = |it| matches!(it, Event::Offered { sdp: Some(_), .. });
const REFUSED: fn(&Event) -> bool = |it| matches!(it, Event::ReofferRefused { .. });

/// Puts the peer on hold from `end` and answers it there.
fn hold(it: &mut World, end: usize, own: LegId, peer: LegId) {
    it.act(end, |it, now| it.reoffer(own, "hold".to_owned(), now));
    it.secs(1);
    assert_eq!(it.said(1 - end, OFFERED), 1);
    it.act(1 - end, |it, now| it.accept_offer(peer, "held".to_owned(), now));
    it.secs(1);
    assert_eq!(it.said(end, REANSWERED), 1);
    assert!(
        matches!(it.ends[1 - end].legs[&peer], crate::leg::Leg::Up(ref up) if up.accepted.is_none())
    );
}

#[test]
fn either_side_holds() {
    for end in [A, B] {
        let mut it = World::new(GOOD, 31);
        let (a, b) = it.talk();
        let (own, peer) = if end == A { (a, b) } else { (b, a) };
        hold(&mut it, end, own, peer);
        it.hang_up(end, own);
        it.check_silence();
        assert_eq!((it.ends_of(A, a).len(), it.ends_of(B, b).len()), (1, 1));
    }
}

#[test]
fn a_refused_offer_leaves_the_call_as_it_was() {
    let mut it = World::new(GOOD, 32);
    let (a, b) = it.talk();
    it.act(A, |it, now| it.reoffer(a, "hold".to_owned(), now));
    it.secs(1);
    it.act(B, |it, now| it.refuse_offer(b, 488, now));
    it.secs(1);
    assert_eq!(it.said(A, |it| matches!(it, Event::ReofferRefused { status: 488, .. })), 1);
    it.events = [vec![], vec![]];
    hold(&mut it, A, a, b);
    it.hang_up(A, a);
    it.check_silence();
}

#[test]
fn offers_of_both_sides_at_once_are_refused_491_and_made_again_one_after_the_other() {
    for seed in 0..20 {
        let mut it = World::new(GOOD, 330 + seed);
        let (a, b) = it.talk();
        it.act(A, |it, now| it.reoffer(a, "from a".to_owned(), now));
        it.act(B, |it, now| it.reoffer(b, "from b".to_owned(), now));
        for _ in 0..100 {
            it.millis(100);
            it.act(A, |it, now| it.accept_offer(a, "by a".to_owned(), now));
            it.act(B, |it, now| it.accept_offer(b, "by b".to_owned(), now));
        }
        assert_eq!((it.count(A, "491/INVITE"), it.count(B, "491/INVITE")), (1, 1));
        assert_eq!((it.said(A, REANSWERED), it.said(B, REANSWERED)), (1, 1));
        assert_eq!((it.said(A, REFUSED), it.said(B, REFUSED)), (0, 0));
        it.hang_up(A, a);
        it.check_silence();
    }
}

#[test]
fn an_offer_waits_for_the_one_that_runs_and_only_the_latest_is_made() {
    let mut it = World::new(GOOD, 34);
    let (a, b) = it.talk();
    for sdp in ["one", "two", "three"] {
        it.act(A, |it, now| it.reoffer(a, sdp.to_owned(), now));
    }
    for _ in 0..20 {
        it.millis(100);
        it.act(B, |it, now| it.accept_offer(b, "yes".to_owned(), now));
    }
    let offers: Vec<_> = it.events[B]
        .iter()
        .filter_map(|it| match it {
            Event::Offered { sdp, .. } => sdp.as_deref(),
            _ => None,
        })
        .collect();
    assert_eq!(offers, ["one", "three"]);
    assert_eq!(it.said(A, REANSWERED), 2);
    it.hang_up(B, b);
    it.check_silence();
}

#[test]
fn a_bye_ends_a_leg_whose_offer_is_unanswered() {
    let mut it = World::new(GOOD, 35);
    let (a, b) = it.talk();
    it.act(A, |it, now| it.reoffer(a, "hold".to_owned(), now));
    it.secs(1);
    it.hang_up(A, a);
    it.secs(1);
    assert_eq!(it.count(A, "487/INVITE"), 1);
    assert_eq!(it.ends_of(B, b), [EndWhy::Bye { cause: Some(16) }]);
    it.check_silence();
}

#[test]
fn a_peer_that_does_not_know_the_dialog_any_more_ends_the_leg() {
    let mut it = World::new(GOOD, 36);
    let (a, _) = it.talk();
    it.ends[B] = Endpoint::new(config(), 99, 1);
    it.act(A, |it, now| it.reoffer(a, "hold".to_owned(), now));
    it.secs(1);
    assert_eq!(it.ends_of(A, a), [EndWhy::NoResponse]);
    it.check_silence();
}

#[test]
fn an_offer_to_an_unanswered_leg_is_refused() {
    let mut it = World::new(GOOD, 37);
    let a = it.dial();
    it.act(A, |it, now| it.reoffer(a, "x".to_owned(), now));
    assert_eq!(it.said(A, |it| matches!(it, Event::ReofferRefused { status: 491, .. })), 1);
    it.hang_up(A, a);
    it.check_silence();
}

#[test]
fn a_call_without_offer_is_answered_with_one_and_the_ack_brings_the_answer() {
    let mut it = World::new(GOOD, 38);
    let mut raw = raw::Peer::new(&mut it);
    raw.send(&mut it, &raw.request("INVITE", 1, "", ""));
    let b = it.invited(B);
    assert!(matches!(it.events[B].last(), Some(Event::Invited(it)) if it.sdp.is_none()));
    it.act(B, |it, now| it.answer(b, "our offer".to_owned(), now));
    raw.learn_tag(&it, B);
    raw.send(&mut it, &raw.request("ACK", 1, "Content-Type: application/sdp\r\n", "their answer"));
    assert!(matches!(&it.events[B][1..], [
        Event::Confirmed { .. },
        Event::Reanswered { sdp: Some(sdp), .. },
    ] if sdp == "their answer"));

    // Then a re-INVITE without an offer, as IMS refreshes a session.
    raw.send(&mut it, &raw.request("INVITE", 2, "", ""));
    assert!(matches!(it.events[B].last(), Some(Event::Offered { sdp: None, .. })));
    it.act(B, |it, now| it.accept_offer(b, "again".to_owned(), now));
    raw.send(&mut it, &raw.request("ACK", 2, "Content-Type: application/sdp\r\n", "answer 2"));
    let Some(Event::Reanswered { sdp, .. }) = it.events[B].last() else { panic!() };
    assert_eq!(sdp.as_deref(), Some("answer 2"));
    raw.send(&mut it, &raw.request("BYE", 3, "", ""));
    it.check_silence();
}

#[test]
fn an_update_offers_without_an_ack_and_without_a_body_only_refreshes() {
    let mut it = World::new(GOOD, 39);
    let (mut raw, b) = raw::Peer::talk(&mut it);
    raw.send(&mut it, &raw.request("UPDATE", 2, "", ""));
    assert_eq!((raw.statuses(&it), it.said(B, OFFERED)), (vec![200], 0));
    let sdp = "Content-Type: application/sdp\r\n";
    raw.send(&mut it, &raw.request("UPDATE", 3, sdp, "hold"));
    assert_eq!(it.said(B, OFFERED), 1);
    // A second offer before the first is answered (RFC 3311 §5.2).
    raw.send(&mut it, &raw.request("UPDATE", 4, sdp, "hold"));
    assert_eq!(raw.statuses(&it), [500]);
    it.act(B, |it, now| it.accept_offer(b, "held".to_owned(), now));
    assert_eq!(raw.statuses(&it), [200]);
    assert_eq!(raw::Peer::last(&it).body(), b"held");
    // Ours runs: theirs is refused.
    it.act(B, |it, now| it.reoffer(b, "ours".to_owned(), now));
    raw.send(&mut it, &raw.request("UPDATE", 5, sdp, "hold"));
    raw.send(&mut it, &raw.request("INVITE", 6, sdp, "hold"));
    assert_eq!(raw.statuses(&it), [491, 491]);
    raw.send(&mut it, &raw.request("BYE", 7, "", ""));
    it.check_silence();
}

#[test]
fn keys_come_by_info_once_however_often_it_is_sent() {
    let mut it = World::new(GOOD, 40);
    let (mut raw, _) = raw::Peer::talk(&mut it);
    let info = raw.request("INFO", 2, "Content-Type: application/dtmf-relay\r\n", "Signal=5\r\n");
    raw.send(&mut it, &info);
    raw.send(&mut it, &info);
    assert_eq!(raw.statuses(&it), [200, 200]);
    let five = Key::try_from('5').unwrap();
    assert_eq!(it.said(B, |it| matches!(it, Event::Key { key, .. } if *key == five)), 1);
    raw.send(&mut it, &raw.request("INFO", 3, "Content-Type: text/plain\r\n", "5"));
    raw.send(&mut it, &raw.request("INFO", 4, "", ""));
    assert_eq!(raw.statuses(&it), [415, 200]);
    raw.send(&mut it, &raw.request("BYE", 5, "", ""));
    it.check_silence();
}

#[test]
fn a_cancelled_reinvite_leaves_the_call_up() {
    let mut it = World::new(GOOD, 41);
    let (mut raw, b) = raw::Peer::talk(&mut it);
    let invite = raw.request("INVITE", 2, "Content-Type: application/sdp\r\n", "hold");
    raw.send(&mut it, &invite);
    raw.send(&mut it, &invite.replace("INVITE", "CANCEL").replace("application/sdp", "x/x"));
    assert_eq!(raw.statuses(&it), [100, 200, 487]);
    raw.send(&mut it, &invite.replacen("INVITE", "ACK", 1).replace("2 INVITE", "2 ACK"));
    assert_eq!(it.ends_of(B, b), []);
    it.act(B, |it, now| it.accept_offer(b, "too late".to_owned(), now));
    assert_eq!(raw.statuses(&it), Vec::<u16>::new());
    raw.send(&mut it, &raw.request("BYE", 3, "", ""));
    it.check_silence();
}

#[test]
fn a_reinvite_before_the_ack_counts_as_the_ack() {
    let mut it = World::new(GOOD, 42);
    let mut raw = raw::Peer::new(&mut it);
    let sdp = "Content-Type: application/sdp\r\n";
    raw.send(&mut it, &raw.request("INVITE", 1, sdp, "offer"));
    let b = it.invited(B);
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    raw.learn_tag(&it, B);
    raw.send(&mut it, &raw.request("INVITE", 2, sdp, "offer 2"));
    assert!(matches!(&it.events[B][1..], [Event::Confirmed { .. }, Event::Offered { .. }]));
    raw.send(&mut it, &raw.request("ACK", 1, "", ""));
    it.act(B, |it, now| it.accept_offer(b, "answer 2".to_owned(), now));
    raw.send(&mut it, &raw.request("ACK", 2, "", ""));
    raw.send(&mut it, &raw.request("BYE", 3, "", ""));
    it.check_silence();
    assert_eq!(it.ends_of(B, b), [EndWhy::Bye { cause: None }]);
}
