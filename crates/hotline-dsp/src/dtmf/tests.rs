//! The figures of ITU-T Q.24, table A-1 (AT&T's and NTT's columns), one by one.

use super::*;
use crate::{FRAME, Noise, g711, level_dbm0};

/// A press with everything that may be wrong with it.
#[derive(Clone, Copy)]
struct Press {
    key: u8,
    /// Off frequency, rows and columns.
    off: [f64; 2],
    /// dBm0 of rows and columns.
    level: [f64; 2],
    /// Milliseconds.
    on: usize,
    off_ms: usize,
    /// Milliseconds of silence in the middle.
    gap: usize,
}

const PLAIN: Press = Press { key: 5, off: [0.0; 2], level: [-10.0; 2], on: 50, off_ms: 50, gap: 0 };

/// `n` presses, through A-law, `shift` samples into the detector's blocks, on noise of `noise`
/// −dBov.
fn heard(press: Press, n: usize, shift: usize, noise: u8) -> Vec<u8> {
    let at = KEYS.iter().position(|it| *it == press.key).unwrap();
    let hz = [at / 4, at % 4 + 4].map(|n| f64::from(HZ[n]));
    let mut samples = vec![0; shift + 800];
    for _ in 0..n {
        let on = press.on * 8;
        let mut tones = [0, 1].map(|n| Tone::exact(hz[n] * (1.0 + press.off[n]), press.level[n]));
        for t in 0..on {
            let tone: i16 = tones.iter_mut().map(Tone::next_sample).sum();
            samples.push(if t.abs_diff(on / 2) < press.gap * 4 { 0 } else { tone });
        }
        samples.extend(vec![0; press.off_ms * 8]);
    }
    samples.extend([0; 800]);
    let mut background = vec![0; samples.len()];
    Noise::default().fill(noise, &mut background);
    for (it, noise) in samples.iter_mut().zip(background) {
        *it = g711::alaw_to_linear(g711::linear_to_alaw(it.saturating_add(noise)));
    }
    let mut detector = DtmfDetector::default();
    samples.chunks(FRAME).filter_map(|it| detector.hear(it)).collect()
}

/// Every alignment that matters is heard `n` times.
fn check(press: Press, n: usize) {
    for shift in (0..BLOCK).step_by(7) {
        assert_eq!(heard(press, 3, shift, 90), vec![press.key; n], "{}, {shift}", press.key);
    }
}

#[test]
fn all_sixteen_keys_are_heard_once_each() {
    for key in 0..16 {
        check(Press { key, ..PLAIN }, 3);
    }
}

/// People pause half of the time, and eight filters are most of what a detector costs.
#[test]
fn no_filter_runs_in_a_pause_and_all_do_where_a_key_may_be() {
    let block = |dbm0: f64| {
        let mut tones = [770.0, 1_336.0].map(|hz| Tone::exact(hz, dbm0));
        let mut it = DtmfDetector::default();
        it.block.fill_with(|| tones.iter_mut().map(Tone::next_sample).sum());
        it
    };
    for dbm0 in [-29.0, -25.0, -10.0] {
        assert!(block(dbm0).look().is_some(), "{dbm0}");
    }
    // A room is as loud (Q.24 has −55 for no key).
    for dbm0 in [-40.0, -50.0, -90.0] {
        assert!(block(dbm0).filter().is_none(), "{dbm0}");
    }
}

#[test]
fn a_tone_of_40_ms_with_a_pause_of_40_ms_is_a_key_and_one_of_23_ms_is_not() {
    for key in 0..16 {
        check(Press { key, on: 40, off_ms: 40, ..PLAIN }, 3);
        check(Press { key, on: 23, ..PLAIN }, 0);
    }
}

#[test]
fn a_gap_of_10_ms_does_not_make_two_keys_of_one() {
    for key in 0..16 {
        check(Press { key, on: 120, gap: 10, ..PLAIN }, 3);
    }
}

#[test]
fn tones_off_by_1_8_percent_are_heard_and_by_3_5_percent_not() {
    for key in 0..16 {
        for off in [[0.018, 0.018], [-0.018, -0.018], [0.018, -0.018], [-0.015, 0.015]] {
            check(Press { key, off, ..PLAIN }, 3);
        }
        for off in [[0.035, 0.0], [-0.035, 0.0], [0.0, 0.035], [0.0, -0.035], [0.035, 0.035]] {
            check(Press { key, off, ..PLAIN }, 0);
        }
    }
}

#[test]
fn columns_4_db_stronger_and_8_db_weaker_are_heard_and_beyond_all_reason_not() {
    for key in 0..16 {
        check(Press { key, level: [-12.0, -8.0], ..PLAIN }, 3);
        check(Press { key, level: [-8.0, -16.0], ..PLAIN }, 3);
        check(Press { key, level: [-18.0, -8.0], ..PLAIN }, 0);
        check(Press { key, level: [-8.0, -22.0], ..PLAIN }, 0);
    }
}

#[test]
fn levels_from_minus_3_to_minus_25_dbm0_are_heard_and_minus_40_is_not() {
    for key in 0..16 {
        for level in [-3.0, -10.0, -20.0, -25.0] {
            check(Press { key, level: [level; 2], ..PLAIN }, 3);
        }
        check(Press { key, level: [-40.0; 2], ..PLAIN }, 0);
    }
}

#[test]
fn keys_are_heard_over_noise_15_db_below_them() {
    for key in 0..16 {
        // −10 dBm0 each is −7 together; −28 dBov of white noise is −22 dBm0.
        for shift in [0, 31, 77] {
            assert_eq!(heard(Press { key, ..PLAIN }, 5, shift, 28), vec![key; 5], "{key}");
        }
    }
}

#[test]
fn one_tone_alone_two_rows_and_ringing_tones_are_no_keys() {
    for pair in [[697, 0], [1_336, 0], [697, 941], [440, 480], [450, 0], [1_400, 0], [941, 1_400]] {
        let mut tones = pair.map(|hz| Tone::new(hz, if hz > 0 { 6_000 } else { 0 }));
        let mut detector = DtmfDetector::default();
        let mut samples = vec![0; 8_000];
        samples.fill_with(|| tones.iter_mut().map(Tone::next_sample).sum());
        assert_eq!(detector.hear(&samples), None, "{pair:?}");
    }
}

#[test]
fn noise_alone_is_never_a_key() {
    let mut detector = DtmfDetector::default();
    let mut noise = Noise::default();
    for level in [10, 30, 50] {
        for _ in 0..3_000 {
            let mut frame = [0; FRAME];
            noise.fill(level, &mut frame);
            assert_eq!(detector.hear(&frame), None);
        }
    }
}

#[test]
fn a_press_that_we_send_is_heard_as_that_key() {
    for key in 0..16 {
        let mut tone = DtmfTone::new(key).unwrap();
        let mut detector = DtmfDetector::default();
        let (mut heard, mut n, mut goes_on) = (Vec::new(), 0, true);
        while goes_on {
            let mut frame = [0; FRAME];
            goes_on = tone.fill(&mut frame);
            heard.extend(detector.hear(&frame));
            n += 1;
            assert!(n > 1 || (level_dbm0(&frame) + 5.9).abs() < 1.0);
        }
        assert_eq!((heard, n), (vec![key], 10));
        assert!(!detector.is_down());
    }
    assert!(DtmfTone::new(16).is_none());
}
