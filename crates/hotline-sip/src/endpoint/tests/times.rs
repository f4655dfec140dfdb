//! When each timer of RFC 3261 (table 4), RFC 6026 and the dialogs fires, to the millisecond. Those
//! with which a transaction that is over is forgotten fire at the next multiple of 50 ms.

use super::*;

/// `name seconds` of every timer that fires at an end from now on, until nothing is left or `secs`
/// are over.
fn fired(it: &mut World, end: usize, secs: u64) -> Vec<String> {
    let (start, stop) = (it.now.mono, it.now + Duration::from_secs(secs));
    let mut all = Vec::new();
    while let Some(next) = it.next(stop.mono) {
        let due = it.ends[end].poll_timeout().filter(|due| due.0 <= next);
        if let Some((at, name)) = due {
            let millis = at.since(start).as_millis();
            all.push(format!("{name} {}.{:03}", millis / 1000, millis % 1000));
        }
        it.now = it.now + next.since(it.now.mono);
        it.step();
    }
    it.now = stop;
    all
}

fn answer(it: &mut World) -> LegId {
    let leg = it.invited(B);
    it.act(B, |it, now| it.answer(leg, "answer".to_owned(), now));
    leg
}

#[test]
fn an_invite_is_sent_again_by_timer_a_and_given_up_by_timer_b() {
    let mut it = World::new(GOOD, 400);
    it.drop = Some((B, "INVITE"));
    it.dial();
    let seen = fired(&mut it, A, 100);
    let a = ["A 0.500", "A 1.500", "A 3.500", "A 7.500", "A 15.500", "A 31.500", "B 32.000"];
    assert_eq!(seen, a);
}

#[test]
fn over_tcp_only_timer_b_runs() {
    let mut it = World::new(Link { transport: Transport::Tcp, ..GOOD }, 401);
    it.drop = Some((B, "INVITE"));
    it.dial();
    assert_eq!(fired(&mut it, A, 100), ["B 32.000"]);
}

#[test]
fn a_refusal_is_sent_again_by_timer_g_and_given_up_by_timer_h() {
    let mut it = World::new(GOOD, 402);
    it.dial();
    it.millis(100);
    it.drop = Some((B, "ACK"));
    let leg = it.invited(B);
    it.act(B, |it, now| it.refuse(leg, 486, now));
    let seen = fired(&mut it, B, 100);
    let g = ["0.500", "1.500", "3.500", "7.500"].map(|it| format!("G {it}"));
    let later = (0..6).map(|n| format!("G {}.500", 11 + 4 * n));
    let all: Vec<_> = g.into_iter().chain(later).chain(["H 32.000".to_owned()]).collect();
    assert_eq!(seen, all);
}

#[test]
fn a_refused_invite_is_remembered_by_timer_d_and_its_ack_by_timer_i() {
    for (transport, d, i) in [
        (Transport::Udp, vec!["D 32.050"], vec!["I 5.050"]),
        // Nothing comes twice over a stream.
        (Transport::Tcp, vec![], vec![]),
    ] {
        for (end, expected) in [(A, d), (B, i)] {
            let mut it = World::new(Link { transport, ..GOOD }, 403);
            it.dial();
            it.millis(100);
            let leg = it.invited(B);
            it.act(B, |it, now| it.refuse(leg, 486, now));
            assert_eq!(fired(&mut it, end, 100), expected, "{transport:?}");
        }
    }
}

#[test]
fn an_answered_invite_is_remembered_by_timers_m_and_l() {
    for (end, expected) in [(A, "M 32.050"), (B, "L 32.000")] {
        let mut it = World::new(GOOD, 404);
        it.dial();
        it.millis(100);
        answer(&mut it);
        let seen = fired(&mut it, end, 60);
        assert_eq!(seen, [expected]);
    }
}

#[test]
fn an_answer_is_sent_again_until_its_ack_is_given_up() {
    let mut it = World::new(GOOD, 405);
    it.dial();
    it.millis(100);
    it.drop = Some((B, "ACK"));
    answer(&mut it);
    let seen = fired(&mut it, B, 31);
    let first = ["0.500", "1.500", "3.500", "7.500"].map(|it| format!("2xx again {it}"));
    let later = (0..5).map(|n| format!("2xx again {}.500", 11 + 4 * n));
    assert_eq!(seen, first.into_iter().chain(later).collect::<Vec<_>>());
    let leg = it.invited(B);
    it.millis(999);
    assert_eq!(it.ends_of(B, leg), []);
    it.millis(1);
    assert_eq!(it.ends_of(B, leg), [EndWhy::AckMissing]);
}

#[test]
fn a_bye_is_sent_again_by_timer_e_and_given_up_by_timer_f() {
    for (transport, n_sent) in [(Transport::Udp, 10), (Transport::Tcp, 0)] {
        let mut it = World::new(Link { transport, ..GOOD }, 406);
        let (a, _) = it.talk();
        it.secs(60);
        it.drop = Some((B, "BYE"));
        it.hang_up(A, a);
        let seen = fired(&mut it, A, 40);
        assert_eq!(seen.last().unwrap(), "F 32.000", "{transport:?}");
        let e: Vec<_> = seen.iter().filter(|it| it.starts_with("E ")).collect();
        assert_eq!(e.len(), n_sent, "{e:?}");
        if n_sent > 0 {
            assert_eq!(
                e[..6],
                ["E 0.500", "E 1.500", "E 3.500", "E 7.500", "E 11.500", "E 15.500"]
            );
        }
    }
}

#[test]
fn an_answered_bye_is_remembered_by_timers_j_and_k() {
    for (transport, k, j) in
        [(Transport::Udp, vec!["K 5.050"], vec!["J 32.050"]), (Transport::Tcp, vec![], vec![])]
    {
        for (end, expected) in [(A, k), (B, j)] {
            let mut it = World::new(Link { transport, ..GOOD }, 407);
            let (a, _) = it.talk();
            it.secs(60);
            it.hang_up(A, a);
            assert_eq!(fired(&mut it, end, 100), expected, "{transport:?}");
        }
    }
}

#[test]
fn transactions_that_end_within_50_ms_are_forgotten_by_one_timer() {
    let mut it = World::new(GOOD, 414);
    let (a, _) = it.talk();
    it.millis(10);
    let again = it.dial();
    it.millis(100);
    answer(&mut it);
    it.secs(60);
    it.hang_up(A, a);
    it.millis(20);
    it.hang_up(A, again);
    let seen = fired(&mut it, A, 100);
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// A call that rings, 100 ms after it was dialled.
fn ringing(seed: u64) -> (World, LegId) {
    let mut it = World::new(GOOD, seed);
    let leg = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.act(B, |it, now| it.ring(b, None, now));
    (it, leg)
}

#[test]
fn a_call_that_rings_is_told_each_minute_and_cancelled_after_three() {
    let (mut it, _) = ringing(408);
    assert_eq!(fired(&mut it, A, 400), ["ring limit 179.900", "K 184.950", "D 211.950"]);
    let (mut it, _) = ringing(408);
    assert_eq!(fired(&mut it, B, 400), ["1xx again 60.000", "1xx again 120.000", "I 184.950"]);
}

#[test]
fn a_cancelled_call_that_gets_no_487_is_given_up_by_timer_c() {
    let (mut it, leg) = ringing(409);
    it.millis(100);
    it.drop = Some((A, "SIP/2.0 487"));
    it.hang_up(A, leg);
    assert_eq!(fired(&mut it, A, 100), ["K 5.050", "C 32.000"]);
}

#[test]
fn a_caller_nobody_answers_or_refuses_is_refused_after_5_minutes() {
    let (mut it, _) = ringing(410);
    // The caller is patient.
    it.drop = Some((B, "CANCEL"));
    let seen = fired(&mut it, B, 310);
    assert_eq!(seen[..4], (1..5).map(|n| format!("1xx again {}.000", 60 * n)).collect::<Vec<_>>());
    assert_eq!(seen[4], "unanswered 299.905");
}

#[test]
fn a_reliable_ring_is_sent_again_with_twice_the_pause_until_its_prack_is_given_up() {
    let mut it = World::new(GOOD, 411);
    it.dial();
    it.millis(100);
    it.drop = Some((B, "PRACK"));
    let leg = it.invited(B);
    it.act(B, |it, now| it.ring_reliably(leg, "ours".to_owned(), now));
    let seen = fired(&mut it, B, 33);
    let again = ["0.500", "1.500", "3.500", "7.500", "15.500", "31.500"];
    assert_eq!(seen[..6], again.map(|it| format!("reliable 1xx again {it}")));
    assert!(seen[6].starts_with("PRACK missing 32.000"), "{seen:?}");
}

#[test]
fn a_session_is_refreshed_at_half_time_and_ends_a_little_before_the_peers() {
    // The answer came one second before; the peer may have heard it later than it was sent, so
    // that 32 s of the 1,800 are left to it (RFC 4028 §10).
    for (end, expected) in [(A, "session refresh 899.005"), (B, "session end 1767.000")] {
        let mut it = World::new(GOOD, 412);
        it.talk();
        // Nothing reaches the called side any more: no refresh, no BYE.
        it.drop = Some((B, ""));
        let seen = fired(&mut it, end, 1_900);
        assert_eq!(seen[1], expected, "{seen:?}");
    }
}
