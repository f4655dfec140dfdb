//! Figures of invented quarter hours.

use std::collections::BTreeSet;

use super::*;

/// 08:00:00 in China.
const EIGHT: i64 = 1_795_219_200_000;

fn at(s: u64) -> Now {
    let wall = WallTime(EIGHT + i64::try_from(s).unwrap() * 1_000);
    Now { mono: MonoTime(s * 1_000_000_000), wall }
}

fn trunk() -> TrunkId {
    TrunkId::new("gx-nn-ct")
}

fn watch() -> Statistics {
    Statistics::new([trunk()], at(0))
}

fn row(of: &Statistics, nth: i64) -> Figures {
    let quarter = quarter(at(0).wall) + nth;
    let key = RowKey { quarter, trunk: trunk(), way: Way::In };
    of.rows().get(&key).cloned().unwrap_or_default()
}

fn attempt(it: &mut Statistics, n: u64, s: u64, outcome: Outcome) {
    it.begun(AttemptId::of(CallId(n), Way::In), &trunk(), at(s));
    if outcome == Outcome::Answered {
        it.answered(AttemptId::of(CallId(n), Way::In), at(s + 2));
    }
    it.ended(AttemptId::of(CallId(n), Way::In), outcome, at(s + 60));
}

#[test]
fn ratios_are_those_of_the_recommendations() {
    let mut it = watch();
    let outcomes = [
        (Outcome::Answered, 5),
        (Outcome::Busy, 1),
        (Outcome::GaveUp, 1),
        (Outcome::NoSuchNumber, 1),
        (Outcome::Congestion, 1),
        (Outcome::Ours, 1),
    ];
    let all = outcomes.iter().flat_map(|(outcome, n)| std::iter::repeat_n(*outcome, *n));
    for (n, outcome) in all.enumerate() {
        attempt(&mut it, n as u64, n as u64, outcome);
    }
    let row = row(&it, 0);
    assert_eq!((row.attempts(), row.n(Outcome::Answered)), (10, 5));
    assert_eq!((row.asr_per_mille(), row.ner_per_mille()), (Some(500), Some(700)));
    assert_eq!((row.delay_mean_ms(), row.delay_max_ms, row.n_dropped), (Some(2_000), 2_000, 0));
    assert_eq!((row.of_class(Class::Network), row.of_class(Class::Ours)), (1, 1));
    assert_eq!(Figures::default().asr_per_mille(), None);
}

#[test]
fn an_attempt_counts_where_its_outcome_is_known_and_a_drop_where_it_happens() {
    let mut it = watch();
    it.begun(AttemptId::of(CallId(1), Way::In), &trunk(), at(890));
    assert_eq!(
        it.answered(AttemptId::of(CallId(1), Way::In), at(905)),
        Some((trunk(), Outcome::Answered))
    );
    assert_eq!(it.answered(AttemptId::of(CallId(1), Way::In), at(906)), None);
    it.begun(AttemptId::of(CallId(2), Way::In), &trunk(), at(910));
    it.answered(AttemptId::of(CallId(2), Way::In), at(911));
    assert_eq!(it.ended(AttemptId::of(CallId(1), Way::In), Outcome::GaveUp, at(1_900)), None);
    assert_eq!(
        it.ended(AttemptId::of(CallId(2), Way::In), Outcome::NoResponse, at(1_900)),
        Some((trunk(), Outcome::NoResponse))
    );
    assert_eq!(it.ended(AttemptId::of(CallId(2), Way::In), Outcome::NoResponse, at(1_901)), None);
    assert_eq!([0, 1, 2].map(|nth| row(&it, nth).attempts()), [0, 2, 0]);
    assert_eq!([1, 2].map(|nth| row(&it, nth).n_dropped), [0, 1]);
}

#[test]
fn traffic_is_shared_among_the_quarter_hours_it_lies_in() {
    let mut it = watch();
    it.channels(&trunk(), Way::In, 2, at(450));
    it.channels(&trunk(), Way::In, 3, at(800));
    it.channels(&trunk(), Way::In, 1, at(850));
    it.settle(at(2_250));
    let first = row(&it, 0);
    // 2 for 350 s, 3 for 50 s, 1 for 50 s, of 900 s.
    assert_eq!((first.held_ms, first.watched_ms, first.peak), (900_000, 900_000, 3));
    assert_eq!(first.milli_erlang(), 1_000);
    let (second, third) = (row(&it, 1), row(&it, 2));
    assert_eq!((second.milli_erlang(), second.peak, second.watched_ms), (1_000, 1, 900_000));
    assert_eq!((third.milli_erlang(), third.watched_ms), (1_000, 450_000));
    assert_eq!(it.in_use(&trunk(), Way::In), 1);
}

#[test]
fn sums_since_the_start_are_those_of_all_quarter_hours_and_of_this_moment() {
    let mut it = watch();
    it.channels(&trunk(), Way::In, 2, at(450));
    attempt(&mut it, 1, 500, Outcome::Answered);
    it.begun(AttemptId::of(CallId(2), Way::In), &trunk(), at(600));
    it.answered(AttemptId::of(CallId(2), Way::In), at(604));
    it.ended(AttemptId::of(CallId(2), Way::In), Outcome::NoResponse, at(700));
    it.channels(&trunk(), Way::In, 1, at(1_000));
    it.settle(at(2_000));
    let all: Vec<_> = it.sums(at(2_100).mono).map(|it| (it.1, it.2)).collect();
    // 2 for 550 s, 1 for 1,100 s.
    let sums = Sums { n_dropped: 1, n_delays: 2, delays_ms: 6_000, held_ms: 2_200_000 };
    assert_eq!(all, [(Way::In, sums), (Way::Out, Sums::default())]);
}

#[test]
fn a_wall_clock_that_jumps_loses_no_time_and_gains_none() {
    for jump in [-86_400_000, 86_400_000, 400_000_000] {
        let mut it = watch();
        it.channels(&trunk(), Way::In, 1, at(0));
        let now = at(600);
        it.settle(Now { wall: WallTime(now.wall.0 + jump), ..now });
        let rows = it.rows().iter().filter(|it| it.0.way == Way::In);
        let held: u64 = rows.map(|it| it.1.held_ms).sum();
        assert_eq!(held, 600_000, "{jump}");
    }
}

#[test]
fn rows_older_than_a_day_go_and_rows_of_an_earlier_process_come_back() {
    let mut it = watch();
    attempt(&mut it, 1, 0, Outcome::Answered);
    let kept = row(&it, 0);
    let key = it.rows().keys().next().unwrap().clone();
    let gone = it.settle(at(86_400 + 900));
    assert!(gone.contains(&key) && it.rows().keys().all(|it| it.quarter > key.quarter));
    assert!(it.rows().len() <= 2 * 97);
    let mut later = Statistics::new([trunk()], at(600));
    attempt(&mut later, 2, 700, Outcome::Busy);
    later.restore(key, &kept);
    assert_eq!((row(&later, 0).attempts(), row(&later, 0).asr_per_mille()), (2, Some(500)));
}

#[test]
fn a_cause_says_more_than_a_status() {
    assert_eq!(Outcome::of(480, Some(17)), Outcome::Busy);
    assert_eq!(Outcome::of(480, None), Outcome::NoAnswer);
    assert_eq!(Outcome::of(500, Some(41)), Outcome::Congestion);
    assert_eq!(Outcome::of(404, Some(16)), Outcome::NoSuchNumber);
    assert_eq!(Outcome::of(500, None), Outcome::NetworkFailure);
}

/// E.425: NER is about whether the network delivers a call, and one that is forwarded was.
#[test]
fn a_redirection_is_the_users_and_no_failure_of_the_network() {
    for (status, cause) in [(302, None), (300, None), (380, None), (480, Some(23))] {
        assert_eq!(Outcome::of(status, cause), Outcome::Redirected, "{status}");
    }
    assert_eq!(Outcome::of(302, Some(17)), Outcome::Busy);
    let mut it = watch();
    attempt(&mut it, 1, 0, Outcome::of(302, None));
    attempt(&mut it, 2, 0, Outcome::of(500, None));
    let row = row(&it, 0);
    assert_eq!((row.asr_per_mille(), row.ner_per_mille()), (Some(0), Some(500)));
    // Each outcome is told under a name of its own.
    let names: BTreeSet<_> = Outcome::ALL.iter().map(|it| it.as_str()).collect();
    assert!(names.len() == Outcome::ALL.len() && names.contains("redirected"));
}

#[test]
fn transfers_that_go_out_are_attempts_beside_the_call_and_their_delay_ends_when_it_rings() {
    let mut it = watch();
    let call = CallId(1);
    let into = AttemptId::of(call, Way::In);
    let guest = |n| AttemptId::guest(call, OfferId(n));
    it.begun(into, &trunk(), at(0));
    it.answered(into, at(1));
    it.begun(guest(1), &trunk(), at(60));
    it.begun(guest(2), &trunk(), at(60));
    assert!(it.runs(guest(1)) && it.runs(guest(2)) && !it.runs(AttemptId::of(call, Way::Out)));
    it.ended(guest(1), Outcome::Busy, at(62));
    it.progressed(guest(2), at(62));
    it.progressed(guest(2), at(70));
    it.answered(guest(2), at(75));
    assert_eq!(it.ended(guest(2), Outcome::GaveUp, at(100)), None);
    // The caller's side is lost later.
    let lost = Some((trunk(), Outcome::NoResponse));
    assert_eq!(it.ended(into, Outcome::NoResponse, at(101)), lost);
    let key = RowKey { quarter: quarter(at(0).wall), trunk: trunk(), way: Way::Out };
    let out = it.rows()[&key].clone();
    assert_eq!((out.attempts(), out.n(Outcome::Answered), out.n(Outcome::Busy)), (2, 1, 1));
    assert_eq!((out.delay_mean_ms(), out.delay_max_ms), (Some(2_000), 2_000));
    assert_eq!((out.n_dropped, row(&it, 0).attempts(), row(&it, 0).n_dropped), (0, 1, 1));
}
