//! What one party hears while its source changes.

use std::time::Duration;

use super::*;

fn ms(at: u64) -> MonoTime {
    MonoTime::default() + Duration::from_millis(at)
}

fn heard(ssrc: u32, sequence: u16, timestamp: u32) -> Header {
    Header { marker: false, payload_type: 8, sequence, timestamp: MediaTime(timestamp), ssrc }
}

#[test]
fn a_prompt_then_the_other_party_then_a_prompt_is_one_stream() {
    let mut it = Outbound::new(9, 65_534, u32::MAX - 200);
    let mut sent = Vec::new();
    for n in 0..3_u64 {
        let stamp = it.stamp(160, ms(n * 20));
        sent.push((stamp.sequence, stamp.timestamp.0, stamp.marker));
    }
    for n in 3..6_u16 {
        let now = ms(u64::from(n) * 20 + 4);
        let header = it.relay(1, &heard(77, n + 500, u32::from(n) * 160), 0, 160, now).unwrap();
        assert_eq!((header.ssrc, header.payload_type), (9, 0));
        sent.push((header.sequence, header.timestamp.0, header.marker));
    }
    let stamp = it.stamp(160, ms(120));
    sent.push((stamp.sequence, stamp.timestamp.0, stamp.marker));
    let first = u32::MAX - 200;
    let expected: Vec<_> = (0..7_u16)
        .map(|n| {
            let timestamp = first.wrapping_add(u32::from(n) * 160);
            (65_535_u16.wrapping_add(n), timestamp, [0, 3, 6].contains(&n))
        })
        .collect();
    assert_eq!(sent, expected);
}

#[test]
fn silence_between_two_sources_shows_in_the_timestamp_only() {
    let mut it = Outbound::new(9, 0, 0);
    it.stamp(160, ms(0));
    let header = it.relay(1, &heard(7, 1, 1), 8, 160, ms(1_000)).unwrap();
    assert_eq!((header.sequence, header.timestamp.0), (2, 8_000));
}

#[test]
fn loss_and_reorder_of_the_speaker_reach_the_listener_as_they_are() {
    let mut it = Outbound::new(9, 0, 0);
    let numbers = [(10, 0), (13, 3), (11, 1), (14, 4)];
    let sent = numbers.map(|(sequence, n)| {
        it.relay(1, &heard(7, sequence, n * 160), 8, 160, ms(u64::from(n) * 20)).unwrap()
    });
    assert_eq!(sent.map(|it| it.sequence), [1, 4, 2, 5]);
    assert_eq!(sent.map(|it| it.timestamp.0), [0, 480, 160, 640]);
}

#[test]
fn a_packet_from_before_the_change_is_not_sent() {
    let mut it = Outbound::new(9, 0, 0);
    assert!(it.relay(1, &heard(7, 10, 1_600), 8, 160, ms(0)).is_some());
    assert!(it.relay(1, &heard(7, 9, 1_440), 8, 160, ms(1)).is_none());
}

#[test]
fn another_speaker_or_a_restarted_one_goes_on_in_the_same_stream() {
    let mut it = Outbound::new(9, 0, 0);
    it.relay(1, &heard(7, 10, 1_600), 8, 160, ms(0));
    let other = it.relay(2, &heard(8, 40_000, 5), 8, 160, ms(20)).unwrap();
    assert_eq!((other.sequence, other.timestamp.0, other.marker), (2, 160, true));
    let restarted = it.relay(2, &heard(8, 9, 77), 8, 160, ms(40)).unwrap();
    assert_eq!((restarted.sequence, restarted.timestamp.0), (3, 320));
    let renamed = it.relay(2, &heard(6, 10, 78), 8, 160, ms(60)).unwrap();
    assert_eq!((renamed.sequence, renamed.timestamp.0), (4, 480));
}

#[test]
fn a_key_that_we_send_keeps_its_timestamp_and_the_audio_goes_on_after_it() {
    let mut it = Outbound::new(9, 0, 0);
    it.stamp(160, ms(0));
    let press = it.stamp(800, ms(20));
    let update = it.stamp_again(ms(40));
    assert_eq!((press.timestamp, update.timestamp), (MediaTime(160), MediaTime(160)));
    assert_eq!(update.sequence, press.sequence + 1);
    it.pause();
    let after = it.stamp(160, ms(220));
    assert_eq!((after.timestamp.0, after.marker), (1_760, true));
}

#[test]
fn a_speaker_whose_numbers_leap_goes_on_in_the_same_stream() {
    let mut it = Outbound::new(9, 0, 0);
    // (sequence, timestamp, at): one number leaps, or both, forwards and back.
    let leaps = [
        (10, 1_600, 0),
        (11, 900_000, 20),
        (12, 160, 40),
        (512, 320, 60),
        (40_000, 77, 80),
        (40_001, 237, 100),
        (39_000, 397, 120),
    ];
    for (n, (sequence, timestamp, at)) in (0..).zip(leaps) {
        let header = it.relay(1, &heard(7, sequence, timestamp), 8, 160, ms(at)).unwrap();
        assert_eq!((u32::from(header.sequence), header.timestamp.0), (n + 1, n * 160));
    }
}

#[test]
fn a_pause_or_a_long_loss_is_no_leap() {
    let mut it = Outbound::new(9, 0, 0);
    it.relay(1, &heard(7, 10, 0), 8, 160, ms(0));
    let paused = it.relay(1, &heard(7, 11, 240_000), 8, 160, ms(30_000)).unwrap();
    assert_eq!((paused.sequence, paused.timestamp.0), (2, 240_000));
    // Ten seconds of packets of 10 ms that never came.
    let lost = it.relay(1, &heard(7, 1_011, 320_000), 8, 80, ms(40_000)).unwrap();
    assert_eq!((lost.sequence, lost.timestamp.0), (1_002, 320_000));
    // A network that stood still gives them all at once.
    for n in 1..500_u16 {
        let header = heard(7, 1_011 + n, 320_000 + u32::from(n) * 80);
        let burst = it.relay(1, &header, 8, 80, ms(45_000)).unwrap();
        assert_eq!(burst.sequence, 1_002 + n);
    }
}
