//! What an outgoing leg hears, at the limits of level, noise, frequency and cadence.

use super::*;
use crate::{FRAME, Noise, g711};

/// What exchanges answer an outgoing call with.
const ANSWERS: [Signal; 4] = [Signal::RingBack, Signal::Busy, Signal::Congestion, Signal::Vacant];

/// A signal from an exchange whose clock, pitch and level are `percent`, `hz` and `dbm0`, on noise
/// of `noise` −dBov. Returns everything that is recognised in `seconds`.
fn heard(
    signal: Signal,
    (percent, hz, dbm0): (usize, f64, f64),
    noise: u8,
    seconds: usize,
) -> Vec<Signal> {
    let mut tone = Tone::exact(hz, dbm0);
    let cadence = signal.row().cadence.iter().map(|it| usize::from(*it) * 8 * percent / 100);
    let cadence: Vec<_> = cadence.collect();
    // Some part of a block later than the beginning.
    let mut samples = vec![0; 37];
    while samples.len() < seconds * 8_000 {
        for (n, part) in cadence.iter().enumerate() {
            let one = (0..*part).map(|_| if n % 2 == 0 { tone.next_sample() } else { 0 });
            samples.extend(one);
        }
    }
    let mut background = vec![0; samples.len()];
    Noise::default().fill(noise, &mut background);
    let mut detector = SignalDetector::default();
    let mut found = Vec::new();
    for (frame, noise) in samples.chunks(FRAME).zip(background.chunks(FRAME)) {
        let mixed: Vec<_> = frame
            .iter()
            .zip(noise)
            .map(|(a, b)| g711::alaw_to_linear(g711::linear_to_alaw(a.saturating_add(*b))))
            .collect();
        found.extend(detector.hear(&mixed));
    }
    found
}

fn check(signal: Signal, exchange: (usize, f64, f64), noise: u8) {
    assert_eq!(heard(signal, exchange, noise, 12), [signal], "{exchange:?}, noise −{noise}");
}

#[test]
fn every_signal_that_is_played_is_recognised() {
    for signal in ANSWERS.into_iter().chain([Signal::Dial, Signal::CallWaiting]) {
        let mut tone = SignalTone::new(signal);
        let mut detector = SignalDetector::default();
        let mut found = Vec::new();
        for _ in 0..15 * 50 {
            let mut frame = [0; FRAME];
            tone.fill(&mut frame);
            found.extend(detector.hear(&frame));
        }
        assert_eq!(found, [signal]);
    }
}

#[test]
fn signals_are_recognised_from_minus_35_to_minus_3_dbm0() {
    for signal in ANSWERS {
        for dbm0 in [-3.0, -10.0, -25.0, -35.0] {
            check(signal, (100, 450.0, dbm0), 90);
        }
        assert_eq!(heard(signal, (100, 450.0, -45.0), 90, 12), [], "too quiet to be one");
    }
}

#[test]
fn signals_25_hz_off_and_10_percent_fast_or_slow_are_recognised() {
    for signal in ANSWERS {
        for percent in [90, 100, 110] {
            for hz in [425.0, 450.0, 475.0] {
                check(signal, (percent, hz, -15.0), 90);
            }
        }
    }
}

#[test]
fn signals_are_recognised_over_noise_10_db_below_them() {
    for signal in ANSWERS {
        // −31 dBov of noise is −25 dBm0.
        check(signal, (100, 450.0, -15.0), 31);
        check(signal, (100, 470.0, -15.0), 31);
    }
}

#[test]
fn a_busy_tone_is_told_within_one_and_a_half_seconds() {
    let mut tone = SignalTone::new(Signal::Busy);
    let mut detector = SignalDetector::default();
    let at = (1..200).find(|_| {
        let mut frame = [0; FRAME];
        tone.fill(&mut frame);
        detector.hear(&frame) == Some(Signal::Busy)
    });
    assert!(at.is_some_and(|it| it * 20 <= 1_500), "{at:?} frames");
}

#[test]
fn ring_back_that_turns_into_busy_is_both_in_order() {
    let mut detector = SignalDetector::default();
    let mut found = Vec::new();
    for (signal, seconds) in [(Signal::RingBack, 12), (Signal::Busy, 4)] {
        let mut tone = SignalTone::new(signal);
        for _ in 0..seconds * 50 {
            let mut frame = [0; FRAME];
            tone.fill(&mut frame);
            found.extend(detector.hear(&frame));
        }
    }
    assert_eq!(found, [Signal::RingBack, Signal::Busy]);
}

#[test]
fn other_tones_noise_and_other_cadences_say_nothing() {
    for hz in [350.0, 580.0, 950.0, 1_400.0] {
        assert_eq!(heard(Signal::Busy, (100, hz, -10.0), 90, 6), [], "{hz}");
    }
    assert_eq!(heard(Signal::Busy, (140, 450.0, -10.0), 90, 6), []);
    let mut detector = SignalDetector::default();
    let mut noise = Noise::default();
    for _ in 0..3_000 {
        let mut frame = [0; FRAME];
        noise.fill(25, &mut frame);
        assert_eq!(detector.hear(&frame), None);
    }
}

#[test]
fn the_howler_grows_louder_and_the_reminder_beeps_every_ten_seconds() {
    let level_after = |signal, seconds: usize| {
        let mut tone = SignalTone::new(signal);
        let mut samples = vec![0; seconds * 8_000 + FRAME];
        tone.fill(&mut samples);
        level_dbm0(&samples[seconds * 8_000..])
    };
    assert!(level_after(Signal::Howler, 3) > level_after(Signal::Howler, 1) + 8.0);
    assert!((level_after(Signal::Howler, 30) + 5.0).abs() < 0.5);
    assert!((level_after(Signal::ThreeWayReminder, 0) + 10.0).abs() < 0.5);
    assert!(level_after(Signal::ThreeWayReminder, 5) < -70.0);
}

/// Milliseconds of tone and silence in turn, and the pitch of the first tone, as an ear has them.
fn measured(signal: Signal) -> (Vec<usize>, usize) {
    let mut tone = SignalTone::new(signal);
    let mut samples = vec![0; 22 * 8_000];
    tone.fill(&mut samples);
    let is_loud = |it: &[i16]| it.iter().any(|it| it.unsigned_abs() > 200);
    // Windows longer than a period of the lowest tone.
    let windows: Vec<_> = samples.chunks(40).map(is_loud).collect();
    let parts = windows.chunk_by(|a, b| a == b).map(|it| it.len() * 5);
    let parts: Vec<_> = parts.collect();
    let first = &samples[..parts[0].min(1_000) * 8];
    let n_rises = first.windows(2).filter(|it| it[0] < 0 && it[1] >= 0).count();
    (parts, n_rises * 8_000 / first.len())
}

/// GF 002-9002, read from the sound and not from the table.
#[test]
fn every_signal_sounds_as_gf_002_9002_has_it() {
    let expected: [(Signal, usize, &[usize]); 8] = [
        (Signal::Dial, 450, &[]),
        (Signal::RingBack, 450, &[1_000, 4_000]),
        (Signal::Busy, 450, &[350, 350]),
        (Signal::Congestion, 450, &[700, 700]),
        (Signal::Vacant, 450, &[100, 100, 100, 100, 100, 100, 400, 400]),
        (Signal::CallWaiting, 450, &[400, 4_000]),
        (Signal::Howler, 950, &[]),
        (Signal::ThreeWayReminder, 1_400, &[400, 10_000]),
    ];
    assert_eq!(expected.len(), PLAN.len());
    for (signal, hz, cadence) in expected {
        let (parts, pitch) = measured(signal);
        assert!(pitch.abs_diff(hz) <= 20, "{signal:?}: {pitch} Hz");
        if cadence.is_empty() {
            assert_eq!(parts, [22_000], "{signal:?} is continuous");
        }
        // The last one is cut off.
        let whole = &parts[..parts.len() - 1];
        for (found, expected) in whole.iter().zip(cadence.iter().cycle()) {
            assert!(found.abs_diff(*expected) <= 10, "{signal:?}: {parts:?}");
        }
    }
}
