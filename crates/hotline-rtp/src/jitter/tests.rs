//! Small stories of one stream. The large ones, with clocks and networks that misbehave by a seed,
//! are in `hotline-testkit`.

use std::time::Duration;

use super::*;
use crate::MediaTime;

fn at(ms: u64) -> MonoTime {
    MonoTime::default() + Duration::from_millis(1_000 + ms)
}

fn header(sequence: u16, timestamp: u32) -> Header {
    Header { marker: false, payload_type: 8, sequence, timestamp: MediaTime(timestamp), ssrc: 1 }
}

/// A packet of `ms` whose bytes are its number.
fn insert(it: &mut JitterBuffer, n: u8, timestamp: u32, ms: usize, now: u64) -> Inserted {
    it.insert(&header(u16::from(n), timestamp), &vec![n; ms * 8], 0, at(now))
}

/// What is heard in the 20 ms frames from `from` to `to` (ms): the number of each packet whose
/// bytes begin there, `-` for what is concealed, `.` for a pause.
fn listen(it: &mut JitterBuffer, from: u64, to: u64) -> String {
    listen_on(it, &mut 0, from, to)
}

/// The same, behind `pending` samples that wait already.
fn listen_on(it: &mut JitterBuffer, pending: &mut usize, from: u64, to: u64) -> String {
    let mut heard = String::new();
    for now in (from..to).step_by(20) {
        while *pending < 160 {
            match it.next(at(now), *pending) {
                Next::Packet { payload, .. } => {
                    heard += &payload[0].to_string();
                    *pending += payload.len();
                }
                Next::Lost { samples, .. } => {
                    heard.push('-');
                    *pending += samples;
                }
                Next::Pause { samples, .. } => {
                    heard.push('.');
                    *pending += samples;
                }
            }
        }
        *pending -= 160;
    }
    heard
}

fn packets(arrivals: &[(u8, u64)], until: u64) -> (String, JitterBuffer) {
    let mut it = JitterBuffer::new(Format::Bytes);
    let mut heard = String::new();
    for now in (0..until).step_by(20) {
        for (n, _) in arrivals.iter().filter(|it| (now..now + 20).contains(&it.1)) {
            insert(&mut it, *n, u32::from(*n) * 160, 20, now);
        }
        heard += &listen(&mut it, now, now + 20);
    }
    (heard, it)
}

#[test]
fn a_regular_stream_is_heard_40_ms_later_and_whole() {
    let (heard, it) = packets(&[(1, 0), (2, 20), (3, 40), (4, 60)], 120);
    assert_eq!(heard, "..1234");
    assert_eq!(it.counts(), JitterCounts::default());
}

#[test]
fn reordered_packets_are_heard_in_order_and_duplicates_once() {
    let (heard, it) = packets(&[(1, 0), (3, 20), (2, 21), (3, 22), (4, 60)], 120);
    assert_eq!(heard, "..1234");
    assert_eq!(it.counts().duplicate, 1);
}

#[test]
fn a_lost_packet_is_concealed_and_what_follows_keeps_its_time() {
    let (heard, it) = packets(&[(1, 0), (2, 20), (4, 60), (5, 80)], 140);
    assert_eq!(heard, "..12-45");
    assert_eq!(it.counts().lost, 1);
}

#[test]
fn a_packet_that_comes_after_its_time_is_not_played() {
    let (heard, it) = packets(&[(1, 0), (2, 20), (4, 60), (3, 100), (5, 80), (6, 100)], 160);
    assert_eq!(heard, "..12-456");
    assert_eq!(it.counts().late, 1);
}

#[test]
fn packets_of_10_30_and_60_ms_become_frames_of_20() {
    for (ms, expected) in [(10, "12345678"), (30, "112233"), (60_u32, "111222")] {
        let mut it = JitterBuffer::new(Format::Bytes);
        let (mut heard, mut pending) = (String::new(), 0);
        for now in (0..160).step_by(10) {
            let n = u8::try_from(now / u64::from(ms) + 1).unwrap();
            if now % u64::from(ms) == 0 {
                insert(&mut it, n, u32::from(n) * 8 * ms, ms as usize, now);
            }
            if now % 20 == 0 {
                heard += &listen_on(&mut it, &mut pending, now, now + 20);
            }
        }
        let heard: String = heard.chars().filter(|it| *it != '.').collect();
        assert!(heard.starts_with(expected), "{ms}: {heard}");
        assert_eq!(it.counts(), JitterCounts::default());
    }
}

#[test]
fn a_sender_that_pauses_is_not_concealed() {
    let mut it = JitterBuffer::new(Format::Bytes);
    insert(&mut it, 1, 160, 20, 0);
    let noise = Header { payload_type: 13, ..header(2, 320) };
    it.insert(&noise, &[60, 1, 2], 0, at(20));
    assert_eq!(listen(&mut it, 20, 60), ".1");
    assert_eq!(it.next(at(100), 0), Next::Pause { samples: 160, level: Some(60) });
    // Two seconds later it talks again.
    insert(&mut it, 3, 16_320, 20, 2_020);
    assert_eq!(listen(&mut it, 2_020, 2_080), "..3");
    assert_eq!(it.counts().lost, 0);
}

#[test]
fn a_pause_without_comfort_noise_is_told_from_a_loss_by_the_sequence() {
    let mut it = JitterBuffer::new(Format::Bytes);
    insert(&mut it, 1, 160, 20, 0);
    insert(&mut it, 2, 160 + 480, 20, 60);
    assert_eq!(listen(&mut it, 40, 120), "1..2");
}

#[test]
fn a_key_press_between_packets_is_no_loss() {
    let mut it = JitterBuffer::new(Format::Bytes);
    insert(&mut it, 1, 160, 20, 0);
    for n in 2..9 {
        it.insert_other(&header(n, 320));
    }
    insert(&mut it, 9, 320 + 800, 20, 120);
    assert_eq!(listen(&mut it, 40, 180), "1.....9");
    assert_eq!(it.counts().lost, 0);
}

#[test]
fn a_network_that_dies_is_concealed_for_100_ms_and_then_quiet() {
    let (heard, _) = packets(&[(1, 0), (2, 20)], 300);
    assert_eq!(heard, "..12-----......");
}

#[test]
fn another_source_or_new_numbers_are_heard_at_once() {
    let (_, mut it) = packets(&[(1, 0), (2, 20)], 60);
    let other = Header { ssrc: 2, ..header(60_000, 7) };
    it.insert(&other, &[7; 160], 0, at(60));
    assert_eq!(listen(&mut it, 60, 120), "..7");
    let leapt = Header { ssrc: 2, ..header(60_001, 900_000) };
    it.insert(&leapt, &[8; 160], 0, at(120));
    assert_eq!(listen(&mut it, 120, 180), "..8");
    assert_eq!(it.counts().restarts, 2);
}

#[test]
fn numbers_that_wrap_around_are_a_stream_like_any_other() {
    let mut it = JitterBuffer::new(Format::Bytes);
    for n in 0..4_u8 {
        let header = header(
            65_534_u16.wrapping_add(u16::from(n)),
            (u32::MAX - 200).wrapping_add(u32::from(n) * 160),
        );
        it.insert(&header, &[n; 160], 0, at(u64::from(n) * 20));
    }
    assert_eq!(listen(&mut it, 60, 120), "012");
}

#[test]
fn a_flood_of_packets_is_bounded_and_the_newest_are_kept() {
    let mut it = JitterBuffer::new(Format::Bytes);
    for n in 0..100_u8 {
        insert(&mut it, n, u32::from(n) * 160, 20, 0);
    }
    assert_eq!(it.counts().discarded, 100 - 32);
    assert_eq!(it.insert(&header(101, 16_160), &[], 0, at(0)), Inserted::Unfit);
    assert_eq!(it.insert(&header(101, 16_160), &[0; 2_000], 0, at(0)), Inserted::Unfit);
}

#[test]
fn opus_counts_48_ticks_a_millisecond_and_offers_the_next_packet_for_a_lost_one() {
    let mut it = JitterBuffer::new(Format::Packets);
    for n in [1_u8, 3] {
        it.insert(&header(u16::from(n), u32::from(n) * 960), &[n; 70], 960, at(0));
    }
    let next = |it: &mut JitterBuffer, now| format!("{:?}", it.next(at(now), 0));
    assert!(next(&mut it, 40).starts_with("Packet"));
    assert_eq!(it.next(at(60), 0), Next::Lost { samples: 160, next: Some(&[3; 70]) });
    assert!(next(&mut it, 80).starts_with("Packet"));
}

/// Packets of 60 ms of Opus, some of them lost: the number of each that is given, and how much is
/// made up, from a copy (`c`) or without.
fn listen_to_60_ms(it: &mut JitterBuffer, from: u8, to: u8, lost: &[u8]) -> Vec<String> {
    let (mut heard, mut pending) = (Vec::new(), 0);
    for frame in u64::from(from) * 3..u64::from(to) * 3 {
        let n = u8::try_from(frame / 3).unwrap();
        if frame % 3 == 0 && !lost.contains(&n) {
            it.insert(&header(n.into(), u32::from(n) * 2_880), &[n; 9], 2_880, at(frame * 20));
        }
        while pending < 160 {
            match it.next(at(frame * 20), pending) {
                Next::Packet { payload, .. } => {
                    heard.push(payload[0].to_string());
                    pending += 480;
                }
                Next::Lost { samples, next } => {
                    let copy = if next.is_some() { "c" } else { "" };
                    heard.push(format!("-{}{copy}", samples / 8));
                    pending += samples;
                }
                Next::Pause { samples, .. } => pending += samples,
            }
        }
        pending -= 160;
    }
    heard
}

#[test]
fn a_copy_is_of_as_much_as_the_packet_that_it_comes_with_and_is_waited_for() {
    let mut it = JitterBuffer::new(Format::Packets);
    listen_to_60_ms(&mut it, 0, 20, &[5, 8, 11, 14, 17, 19]);
    assert!((95..=120).contains(&it.delay_ms()), "{} ms", it.delay_ms());
    let heard = listen_to_60_ms(&mut it, 20, 30, &[22, 25, 26]);
    let expected = "20 21 -60c 23 24 -20 -20 -20 -60c 27 28";
    assert!(heard.join(" ").ends_with(expected), "{heard:?}");
}

#[test]
fn a_network_that_reorders_is_known_as_soon_by_long_packets_as_by_short_ones() {
    for ms in [20_u32, 60] {
        let mut it = JitterBuffer::new(Format::Bytes);
        // Every tenth packet comes 60 ms late.
        for n in 0..3_000 / ms {
            let late = if n % 10 == 9 { 60 } else { 0 };
            let header = header(u16::try_from(n).unwrap(), n * ms * 8);
            it.insert(&header, &vec![1; ms as usize * 8], 0, at(u64::from(n * ms) + late));
        }
        assert!(it.delay_ms() >= 80, "{ms}: {} ms", it.delay_ms());
    }
}
