//! The packet path allocates nothing.

use super::*;
use crate::intake::REPORTS;

#[test]
fn thousands_of_packets_relayed_played_and_recorded_allocate_nothing() {
    let mut it = House::new();
    let blocks = std::iter::repeat_with(Block::silent).take(60).collect();
    let sides = (Some(slot(CALLER)), Some(slot(AGENT)));
    it.task(Task::Record { tape: slot(0), left: sides.0, right: sides.1, blocks });
    it.wire.silent = true;
    let mut caller = [0; HEADER_LEN + 160];
    let mut agent = [0; HEADER_LEN + 160];
    let mut key = [0; HEADER_LEN + 4];
    let counted = allocation_counter::measure(|| {
        for n in 0..2_000_u16 {
            write_header(&mut caller, &voice(8, n));
            write_header(&mut agent, &voice(0, n));
            write_header(&mut key, &event(101, n, u32::from(n / 50) * 8_000));
            for (leg, datagram) in
                [(CALLER, &mut caller[..]), (AGENT, &mut agent[..]), (CALLER, &mut key[..])]
            {
                let arrival = Arrival { leg, from: address(leg), len: datagram.len() };
                it.floor.hear(&arrival, datagram, &mut it.wire, it.now);
            }
            it.now = it.now + Duration::from_millis(20);
            it.floor.handle_timeout(&mut it.wire, it.now);
            it.floor.out.flush();
            while let Ok(Filled::Block(block)) = it.filled.pop() {
                it.floor.out.give_back(block);
            }
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    assert!(it.wire.n_sent >= 5_999, "{} packets were sent", it.wire.n_sent);
}

#[test]
fn reports_detectors_and_changed_lengths_allocate_nothing() {
    let mut it = House::new();
    it.without_events(CALLER);
    it.task(Task::HeedTones { leg: slot(CALLER) });
    let stream = Stream { ptime_ms: 30, ..stream(AGENT, Codec::Pcmu, 96) };
    it.task(Task::Settle { leg: slot(AGENT), stream });
    it.wire.silent = true;
    let mut datagram = [0x2A; HEADER_LEN + 160];
    let report = [0x80, 0xC9, 0, 1, 0, 0, 0, 5];
    let counted = allocation_counter::measure(|| {
        for n in 0..2_000_u16 {
            write_header(&mut datagram, &voice(8, n));
            let arrival = Arrival { leg: CALLER, from: address(CALLER), len: datagram.len() };
            it.floor.hear(&arrival, &mut datagram, &mut it.wire, it.now);
            let mut report = report;
            let arrival =
                Arrival { leg: CALLER | REPORTS, from: address(CALLER), len: report.len() };
            it.floor.hear(&arrival, &mut report, &mut it.wire, it.now);
            it.now = it.now + Duration::from_millis(20);
            it.floor.handle_timeout(&mut it.wire, it.now);
            it.floor.out.flush();
            while it.reports.pop().is_ok() {}
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    let counters = it.floor.out.counters.snapshot();
    assert!(counters.reports_in == 2_000 && counters.reports_out >= 10, "{counters:?}");
    assert!(it.wire.n_sent >= 1_300, "{} packets were sent", it.wire.n_sent);
}

#[test]
fn thousands_of_packets_mixed_for_three_and_recorded_as_sums_allocate_nothing() {
    let mut it = House::new();
    it.open(2, Codec::Pcma, 101);
    let all = [0, 1, 2];
    for listener in all {
        let speakers = all.iter().filter(|it| **it != listener).map(|it| slot(*it)).collect();
        it.task(Task::Hear { listener: slot(listener), speakers });
    }
    let blocks = std::iter::repeat_with(Block::silent).take(60).collect();
    it.task(Task::Record { tape: slot(0), left: Some(slot(0)), right: None, blocks });
    let legs = vec![slot(1), slot(2)];
    it.task(Task::Source { tape: slot(0), channel: Channel::Right, legs });
    it.wire.silent = true;
    let mut datagram = [0x2A; HEADER_LEN + 160];
    let counted = allocation_counter::measure(|| {
        for n in 0..2_000_u16 {
            for leg in all {
                write_header(&mut datagram, &voice(if leg == 1 { 0 } else { 8 }, n));
                let arrival = Arrival { leg, from: address(leg), len: datagram.len() };
                it.floor.hear(&arrival, &mut datagram, &mut it.wire, it.now);
            }
            it.now = it.now + Duration::from_millis(20);
            it.floor.handle_timeout(&mut it.wire, it.now);
            it.floor.out.flush();
            while let Ok(Filled::Block(block)) = it.filled.pop() {
                it.floor.out.give_back(block);
            }
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    assert!(it.wire.n_sent >= 6_000, "{} packets were sent", it.wire.n_sent);
}
