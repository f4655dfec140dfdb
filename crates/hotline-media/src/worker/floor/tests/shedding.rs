//! A worker has too little time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::*;

/// So many parties of a conference, for some seconds.
fn conference(busy: u32, secs: u64) -> House {
    let mut it = House::empty(8);
    for leg in 0..6 {
        it.open(leg, Codec::Pcma, 101);
    }
    for leg in 0..6 {
        let speakers = (0..6).filter(|it| *it != leg).map(slot).collect();
        it.task(Task::Hear { listener: slot(leg), speakers });
    }
    it.floor.know_load(busy);
    for n in 0..secs * 50 {
        for leg in 0..6 {
            it.say(leg, voice(8, u16::try_from(n).unwrap()), &[0x2A; 160]);
        }
        it.wait(20);
    }
    it
}

#[test]
fn reports_and_then_the_gates_of_conferences_are_left_out_and_speech_never_is() {
    let n = |it: &AtomicU64| it.load(Relaxed);
    let mut n_sent = Vec::new();
    for (busy, sheds_reports, sheds_gates) in
        [(79, false, false), (80, true, false), (85, true, true)]
    {
        let it = conference(busy, 20);
        let own = &it.floor.out.own;
        assert_eq!(it.wire.reports.is_empty(), sheds_reports, "{busy}");
        assert_eq!(n(&own.reports_shed) > 0, sheds_reports, "{busy}");
        assert_eq!(n(&own.gates_shed) > 0, sheds_gates, "{busy}");
        n_sent.push(it.wire.sent.len());
    }
    assert!(n_sent[0] >= 6 * 19 * 50 && n_sent.iter().all(|it| *it == n_sent[0]), "{n_sent:?}");
}

#[test]
fn reports_that_were_left_out_come_again_in_their_time() {
    let mut it = conference(80, 20);
    assert!(it.wire.reports.is_empty());
    it.floor.know_load(60);
    it.wait(100);
    assert!(it.wire.reports.len() <= 2, "not all at once");
    it.wait(10_000);
    assert!(it.wire.reports.len() >= 6);
}
