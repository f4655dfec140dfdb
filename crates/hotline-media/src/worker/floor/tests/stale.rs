//! A round was missed, and packets have queued up.

use super::*;

/// The sequence numbers of what a leg was sent, counted from the first one.
fn heard(it: &mut House, leg: u32, first: u16) -> Vec<u16> {
    it.heard(leg).iter().map(|(it, _)| it.header.sequence.wrapping_sub(first)).collect()
}

/// What was counted as stale.
fn n_stale(it: &House) -> u64 {
    it.floor.out.own.packets_stale.load(std::sync::atomic::Ordering::Relaxed)
}

/// Two who have heard each other, and the number of each one's first packet of ours.
fn talking() -> (House, [u16; 2]) {
    let mut it = House::new();
    it.say(CALLER, voice(8, 0), &[0x2A; 160]);
    it.say(AGENT, voice(0, 0), &[0x2A; 160]);
    let first = [AGENT, CALLER].map(|leg| it.heard(leg)[0].0.header.sequence);
    (it, first)
}

#[test]
fn of_a_queue_the_newest_two_packets_are_passed_on_and_every_other_is_recorded() {
    let (mut it, [to_agent, to_caller]) = talking();
    let (left, right) = (Some(slot(CALLER)), Some(slot(AGENT)));
    it.task(Task::Record { tape: slot(0), left, right, key: 1 });
    for n in 1..=10 {
        it.now = it.now + Duration::from_millis(20);
        it.say(CALLER, voice(8, n), &[0x2A; 160]);
    }
    assert_eq!(it.heard(AGENT).len(), 10);
    it.now = it.now + Duration::from_millis(200);
    it.floor.begin_catching_up(it.now, it.now);
    for n in 11..=19 {
        it.say(CALLER, voice(8, n), &[u8::try_from(n).unwrap(); 160]);
    }
    // Who has one in his queue loses none, however late it is.
    it.say(AGENT, voice(0, 1), &[0x2A; 160]);
    assert!(it.wire.sent.is_empty() && it.floor.is_catching_up());
    assert!(!it.floor.catch_up(false, &mut it.wire, it.now), "more is left");
    it.say(CALLER, voice(8, 20), &[20; 160]);
    assert!(it.floor.catch_up(true, &mut it.wire, it.now));
    let to_him = it.heard(AGENT);
    let numbers: Vec<_> = to_him.iter().map(|(it, _)| it.header.sequence - to_agent).collect();
    assert_eq!(numbers, [19, 20], "to him the others are losses");
    assert_eq!(to_him[0].1, [ALAW_TO_ULAW[19]; 160]);
    assert_eq!(to_him[1].1, [ALAW_TO_ULAW[20]; 160]);
    assert_eq!(heard(&mut it, CALLER, to_caller), [1]);
    assert_eq!(n_stale(&it), 8);
    assert_eq!(it.floor.leg(slot(CALLER)).unwrap().stats().packets_in, 21);
    // The next one goes on at once.
    it.now = it.now + Duration::from_millis(20);
    it.say(CALLER, voice(8, 21), &[21; 160]);
    assert_eq!(heard(&mut it, AGENT, to_agent), [21]);
    it.wait(2_000);
    it.task(Task::EndRecord { tape: slot(0) });
    let mut heard = 0;
    while let Ok(filled) = it.filled.pop() {
        if let Filled::Block(block) = filled {
            heard += block.heard()[0];
        }
    }
    assert!(heard >= 21 * 160, "{heard} samples of the caller are in the recording");
}

#[test]
fn keys_in_a_queue_are_passed_on_each_in_its_place() {
    let (mut it, [to_agent, _]) = talking();
    it.floor.begin_catching_up(it.now, it.now);
    for n in 1..=4 {
        it.say(CALLER, voice(8, n), &[0x2A; 160]);
    }
    for n in 5..=7 {
        it.say(CALLER, event(101, n, 800), &[5, if n > 5 { 0x8A } else { 10 }, 1, 0]);
    }
    it.say(CALLER, voice(8, 8), &[0x2A; 160]);
    it.floor.catch_up(true, &mut it.wire, it.now);
    assert_eq!(heard(&mut it, AGENT, to_agent), [3, 4, 5, 6, 7, 8]);
    assert_eq!(it.reported(), ["0 key 5"]);
}

#[test]
fn queues_that_never_end_are_waited_for_20_ms_and_the_next_leg_hears_nothing_of_them() {
    let (mut it, _) = talking();
    it.floor.begin_catching_up(it.now, it.now);
    it.say(CALLER, voice(8, 1), &[0x2A; 160]);
    it.say(AGENT, voice(0, 1), &[0x2A; 160]);
    it.task(Task::Close { leg: slot(CALLER) });
    it.now = it.now + Duration::from_millis(20);
    assert!(it.floor.catch_up(false, &mut it.wire, it.now));
    assert!(!it.floor.is_catching_up());
    // Who hears nobody now is sent silence.
    let silence = [ALAW_TO_ULAW[0xD5]; 160];
    assert!(it.wire.sent.iter().all(|(leg, _, bytes)| *leg == AGENT && bytes[12..] == silence));
}

#[test]
fn queues_of_thousands_of_packets_allocate_nothing() {
    let (mut it, _) = talking();
    it.wire.silent = true;
    let before = it.wire.n_sent;
    let counted = allocation_counter::measure(|| {
        for round in 0..200_u16 {
            it.floor.begin_catching_up(it.now, it.now);
            for n in 1..=10 {
                let mut datagram = [0x2A; HEADER_LEN + 160];
                write_header(&mut datagram, &voice(8, round * 10 + n));
                let arrival = Arrival { leg: CALLER, from: address(CALLER), len: datagram.len() };
                it.floor.hear(&arrival, &mut datagram, &mut it.wire, it.now);
            }
            it.floor.catch_up(true, &mut it.wire, it.now);
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    assert_eq!((it.wire.n_sent - before, n_stale(&it)), (400, 1_600));
}
