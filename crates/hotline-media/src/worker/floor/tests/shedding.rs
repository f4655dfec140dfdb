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

#[test]
fn a_desk_that_does_not_read_costs_keys_that_are_counted_and_never_the_end_of_a_play() {
    let mut it = House::new();
    it.play(AGENT, 1, 1, false);
    for n in 0..100_u16 {
        it.say(CALLER, event(101, n, u32::from(n) * 8_000), &[5, 0x8A, 1, 0]);
        it.wait(1_000);
        // As after each turn of the worker, which waits for nobody.
        it.floor.out.flush();
    }
    it.play(AGENT, 2, 1, false);
    it.wait(100);
    it.floor.out.flush();
    let lost = usize::try_from(it.floor.out.counters.snapshot().events_dropped).unwrap();
    let mut told = it.reported();
    assert_eq!(told.len(), ROOM);
    assert!(lost > 0 && told.iter().filter(|it| *it == "0 key 5").count() + lost >= 100);
    // The desk reads again.
    it.floor.out.flush();
    told = it.reported();
    assert_eq!(told, ["1 play 40 Finished"]);
    assert_eq!(it.floor.out.counters.snapshot().events_dropped, lost as u64);
}
