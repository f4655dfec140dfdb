//! Two carriers on virtual time, one attempt a second each.

use super::*;

const fn at(s: u64) -> MonoTime {
    MonoTime(s * 1_000_000_000)
}

/// From `from` to `to` seconds: of every ten attempts of `a` and `b` so many fail. Says when which
/// alarm begins (`+`) and ends (`-`).
fn run(watch: &mut Watch, from: u64, to: u64, a: u64, b: Option<u64>) -> Vec<(u64, String)> {
    let mut said = Vec::new();
    for s in from..to {
        watch.note("a", s % 10 < a, at(s));
        if let Some(b) = b {
            watch.note("b", s % 10 < b, at(s));
        }
        for it in watch.judge(at(s)) {
            said.push((s, format!("{}{}", if it.raised { "+" } else { "-" }, it.carrier)));
        }
    }
    said
}

#[test]
fn one_carrier_that_fails_is_told_once_and_its_recovery_once() {
    let mut watch = Watch::default();
    assert_eq!(run(&mut watch, 0, 600, 0, Some(0)), []);
    // Half of the attempts fail: 20 % of the last five minutes are reached after two of them.
    let told = run(&mut watch, 600, 1_200, 5, Some(0));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!((700..740).contains(&told[0].0) && told[0].1 == "+a", "{told:?}");
    assert!(watch.is_raised("a") && !watch.is_raised("b"));
    let told = run(&mut watch, 1_200, 2_400, 0, Some(0));
    assert_eq!(told.len(), 1, "{told:?}");
    // Below 10 % after four minutes, then two minutes more.
    assert!((1_540..1_600).contains(&told[0].0) && told[0].1 == "-a", "{told:?}");
}

#[test]
fn failures_that_all_share_are_no_carriers_fault() {
    let mut watch = Watch::default();
    run(&mut watch, 0, 600, 0, Some(0));
    assert_eq!(run(&mut watch, 600, 1_800, 5, Some(5)), []);
    assert_eq!(run(&mut watch, 1_800, 3_600, 5, Some(3)), []);
}

#[test]
fn an_only_carrier_is_compared_with_its_own_hour_before() {
    let mut watch = Watch::default();
    assert_eq!(run(&mut watch, 0, 600, 1, None), []);
    let told = run(&mut watch, 600, 1_800, 6, None);
    assert_eq!(told.iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["+a"]);
    // One that always failed that often has not risen.
    let mut watch = Watch::default();
    run(&mut watch, 0, 20, 0, None);
    let told = run(&mut watch, 20, 3_000, 3, None);
    assert!(told.len() <= 1, "{told:?}");
}

#[test]
fn few_attempts_are_no_alarm() {
    let mut watch = Watch::default();
    for s in 0..100 {
        if s % 6 == 0 {
            watch.note("a", true, at(s));
        }
        assert_eq!(watch.judge(at(s)), [], "{s}");
    }
}

#[test]
fn a_figure_between_the_thresholds_neither_raises_nor_clears() {
    let mut watch = Watch::default();
    run(&mut watch, 0, 600, 0, Some(0));
    assert_eq!(run(&mut watch, 600, 1_800, 1, Some(0)), []);
    assert_eq!(run(&mut watch, 1_800, 3_000, 5, Some(0)).len(), 1);
    // 10 % is not below 10 %.
    assert_eq!(run(&mut watch, 3_000, 6_000, 1, Some(0)), []);
    assert!(watch.is_raised("a"));
    // No more attempts: nothing is known, so it stands.
    assert_eq!(watch.judge(at(20_000)), []);
    assert_eq!(watch.poll_timeout(at(20_000)), Some(at(20_010)));
    assert_eq!(run(&mut watch, 20_000, 21_000, 0, None).len(), 1);
}
