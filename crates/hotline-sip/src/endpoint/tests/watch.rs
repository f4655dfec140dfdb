//! Stories of peers from whom no sound is due: one that is gone is missed all the same.

use super::*;

/// A talk whose called side holds.
fn held(link: Link, seed: u64) -> (World, LegId, LegId) {
    let mut it = World::new(link, seed);
    let (a, b) = it.talk();
    it.act(A, |it, now| it.watch(a, true, now));
    (it, a, b)
}

#[test]
fn who_holds_and_is_gone_is_missed_soon_also_after_a_restart() {
    for (transport, restarts) in
        [(Transport::Udp, false), (Transport::Tcp, false), (Transport::Udp, true)]
    {
        let (mut it, a, _) = held(Link { transport, ..GOOD }, 90);
        it.ends[B] = Endpoint::new(config(), 99, 5_000);
        // What arrives there meets nobody: not even a 481.
        it.drop = Some((B, ""));
        if restarts {
            it.secs(10);
            let saved = it.ends[A].save(a).unwrap();
            it.ends[A] = Endpoint::new(config(), 98, 1);
            assert_eq!(it.act(A, |it, now| it.restore(&saved, now)), Some(a));
        }
        it.secs(94);
        assert_eq!(it.ends_of(A, a), []);
        it.secs(6);
        assert_eq!(it.ends_of(A, a), [EndWhy::Expired], "{transport:?} {restarts}");
        it.check_silence();
    }
}

/// The first description may already say that its peer only listens.
#[test]
fn who_was_silent_before_the_answer_is_asked_from_the_answer_on() {
    for watched in [A, B] {
        let mut it = World::new(GOOD, 97);
        let a = it.dial();
        it.secs(1);
        let b = it.invited(B);
        let leg = [a, b][watched];
        it.act(watched, |it, now| it.watch(leg, true, now));
        it.secs(60);
        it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
        it.secs(1);
        let other = [B, A][watched];
        assert_eq!(it.count(other, "OPTIONS"), 0);
        it.ends[other] = Endpoint::new(config(), 99, 5_000);
        it.drop = Some((other, ""));
        it.secs(93);
        assert_eq!(it.ends_of(watched, leg), []);
        it.secs(7);
        assert_eq!(it.ends_of(watched, leg), [EndWhy::Expired]);
        it.check_silence();
    }
}

#[test]
fn who_holds_is_asked_every_half_minute_and_stays_for_hours() {
    let (mut it, a, b) = held(GOOD, 91);
    it.secs(3 * 3_600);
    let n = it.count(B, "OPTIONS");
    assert!((340..=360).contains(&n) && it.count(A, "200/OPTIONS") == n, "{n}");
    assert_eq!((it.ends_of(A, a), it.ends_of(B, b)), (vec![], vec![]));
    // Who talks again is not asked, nor is who was never silent.
    it.act(A, |it, now| it.watch(a, false, now));
    it.secs(600);
    assert_eq!((it.count(B, "OPTIONS"), it.count(A, "OPTIONS")), (n, 0));
    it.hang_up(B, b);
    it.check_silence();
}

/// A question is sent for 32 s, and behind it a refresh for as long.
#[test]
fn no_cut_of_a_minute_ends_the_call_of_who_holds() {
    for start in 0..60 {
        let (mut it, a, b) = held(GOOD, 92);
        it.secs(start);
        it.drop = Some((B, ""));
        it.secs(60);
        it.drop = None;
        it.secs(120);
        let ends = (it.ends_of(A, a), it.ends_of(B, b));
        assert_eq!(ends, (vec![], vec![]), "cut after {start} s");
    }
}

#[test]
fn a_connection_that_breaks_while_its_peer_holds_is_opened_anew() {
    let (mut it, a, b) = held(Link { transport: Transport::Tcp, ..GOOD }, 93);
    it.secs(28);
    it.drop = Some((B, "OPTIONS"));
    it.secs(3);
    it.act(A, |it, now| it.handle_connection_gone(ConnId(7), now));
    it.drop = None;
    it.secs(7);
    assert_eq!((it.count(B, "OPTIONS"), it.ends_of(A, a), it.ends_of(B, b)), (1, vec![], vec![]));
}

/// Each time is like the first: only who says nothing for as long as a request waits is doubted.
#[test]
fn a_way_that_is_broken_for_a_moment_again_and_again_costs_a_question_each_time() {
    let (mut it, a, b) = held(GOOD, 98);
    let flow = it.flow(A);
    for secs in [28, 26, 26] {
        it.secs(secs);
        it.drop = Some((B, "OPTIONS"));
        it.secs(3);
        it.act(A, |it, now| it.handle_unreachable(flow, now));
        it.drop = None;
        it.secs(7);
    }
    assert_eq!(["OPTIONS", "INVITE", "UPDATE"].map(|word| it.count(B, word)), [3, 1, 0]);
    assert_eq!((it.ends_of(A, a), it.ends_of(B, b)), (vec![], vec![]));
}

/// Statuses that a living peer, and somebody on the way to one that is gone, give to OPTIONS.
#[test]
fn any_answer_of_the_peer_is_a_sign_of_life_and_none_of_somebody_on_the_way() {
    for (status, lives) in [
        (200, true),
        (405, true),
        (501, true),
        (500, true),
        (408, false),
        (430, false),
        (503, false),
    ] {
        let mut it = World::new(GOOD, 94);
        let (mut raw, b) = raw::Peer::talk(&mut it);
        it.act(B, |it, now| it.watch(b, true, now));
        for _ in 0..110 {
            it.secs(1);
            if raw::Peer::last(&it).method() == Some(b"OPTIONS") {
                let answer = raw::respond_with(&it, "OPTIONS", status, "f1", "", "");
                raw.send(&mut it, &answer);
            }
        }
        let ends = if lives { vec![] } else { vec![EndWhy::Expired] };
        assert_eq!(it.ends_of(B, b), ends, "{status}");
    }
}

#[test]
fn who_says_nothing_to_options_within_a_call_is_refreshed_and_stays() {
    let (mut it, a, b) = held(GOOD, 96);
    it.drop = Some((B, "OPTIONS"));
    it.secs(3_600);
    assert_eq!((it.ends_of(A, a), it.ends_of(B, b)), (vec![], vec![]));
}

#[test]
fn who_knows_no_options_within_a_call_is_believed_by_what_a_refresh_is_told() {
    for lives in [true, false] {
        let mut it = World::new(GOOD, 95);
        let (mut raw, b) = raw::Peer::talk(&mut it);
        it.act(B, |it, now| it.watch(b, true, now));
        it.secs(31);
        let answer = raw::respond_with(&it, "OPTIONS", 481, "f1", "", "");
        raw.send(&mut it, &answer);
        it.millis(1);
        assert_eq!(raw::Peer::last(&it).method(), Some(&b"INVITE"[..]));
        let status = if lives { 200 } else { 481 };
        let sdp = "Content-Type: application/sdp\r\n";
        let answer = raw::respond_with(&it, "INVITE", status, "f1", sdp, "their answer");
        raw.send(&mut it, &answer);
        it.secs(5);
        let ends = if lives { vec![] } else { vec![EndWhy::Expired] };
        assert_eq!(it.ends_of(B, b), ends);
    }
}
