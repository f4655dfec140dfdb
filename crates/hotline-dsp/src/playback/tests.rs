//! Frames from packets, with bent clocks and pauses.

use super::*;
use crate::{Tone, level_dbm0, strength};

/// Plays `seconds` of a 1,000 Hz tone in packets of `packet` samples while `excess` asks for
/// shorter or longer frames. Returns what is heard and how many samples went in.
fn play(seconds: usize, packet: usize, excess: i32) -> (Vec<i16>, usize) {
    let mut tone = Tone::new(1_000, 8_000);
    let mut playback = Playback::default();
    let (mut heard, mut n) = (Vec::new(), 0);
    for _ in 0..seconds * 50 {
        while !playback.is_ready() {
            let mut samples = vec![0; packet];
            tone.fill(&mut samples);
            playback.hear(&samples);
            n += packet;
        }
        heard.extend(playback.frame(excess));
    }
    (heard, n - playback.pending())
}

#[test]
fn packets_of_10_to_60_ms_give_the_same_sound() {
    let (by_20, _) = play(2, 160, 0);
    for packet in [80, 160, 240, 320, 480] {
        assert_eq!(play(2, packet, 0).0, by_20, "{packet}");
    }
}

#[test]
fn the_last_frame_stays_what_it_was_until_the_next() {
    let mut tone = Tone::new(1_000, 8_000);
    let mut playback = Playback::default();
    assert_eq!(*playback.last(), [0; FRAME]);
    for excess in [0, 0, 7, 0, -7, 0, 0].repeat(20) {
        let frame = *playback.frame(excess);
        assert_eq!(*playback.last(), frame);
        // However much comes behind it.
        for _ in 0..=usize::from(!playback.is_ready()) {
            let mut samples = [0; FRAME];
            tone.fill(&mut samples);
            playback.hear(&samples);
            assert_eq!(*playback.last(), frame);
        }
    }
}

#[test]
fn a_bent_frame_of_speech_differs_by_one_sample_and_stays_a_tone() {
    for (excess, taken) in [(500, 161 * 100), (-500, 159 * 100), (0, 160 * 100)] {
        let (heard, n) = play(2, 160, excess);
        assert_eq!(n, taken);
        for frame in heard.chunks(FRAME) {
            assert!(strength(frame, 1_000) > 0.9);
        }
        let step = heard.windows(2).map(|it| i32::from(it[1]) - i32::from(it[0])).max();
        // A 1,000 Hz sine of 8,000 moves by 2π·1000/8000·8000 = 6,283 at most.
        assert!(step <= Some(6_300), "{step:?}");
    }
}

#[test]
fn a_pause_takes_up_a_changed_delay_quickly() {
    let mut playback = Playback::default();
    playback.pause(800, None);
    playback.frame(400);
    assert_eq!(playback.pending(), 800 - 200);
    playback.frame(-400);
    assert_eq!(playback.pending(), 600 - 120);
}

#[test]
fn comfort_noise_has_the_level_the_sender_asked_for() {
    for level in [40_u8, 55, 70] {
        let mut playback = Playback::default();
        playback.pause(800, Some(level));
        let frame = *playback.frame(0);
        // 0 dBov is +6.2 dBm0: a full-scale square wave against a sine of +3.14 dBm0.
        let expected = 6.15 - f64::from(level);
        assert!((level_dbm0(&frame) - expected).abs() < 1.5, "{level}: {}", level_dbm0(&frame));
    }
}

#[test]
fn more_than_fits_is_cut_off() {
    let mut playback = Playback::default();
    playback.hear(&[1; 5_000]);
    assert_eq!(playback.pending(), WAITING);
}

/// What a tone of `hz` is after frames have been stretched and shortened all the time, in dB.
fn kept_db(hz: u32) -> f64 {
    let mut tone = Tone::new(hz, 8_000);
    let mut playback = Playback::default();
    let mut heard = Vec::new();
    for n in 0..100 {
        while !playback.is_ready() {
            let mut samples = [0; FRAME];
            tone.fill(&mut samples);
            playback.hear(&samples);
        }
        heard.extend(playback.frame(if n % 2 == 0 { 500 } else { -500 }));
    }
    let mut sent = [0; FRAME * 50];
    Tone::new(hz, 8_000).fill(&mut sent);
    level_dbm0(&heard[1_600..]) - level_dbm0(&sent)
}

#[test]
fn bent_speech_keeps_its_spectrum_up_to_3400_hz() {
    for hz in [300, 1_000, 2_000, 2_700, 3_000, 3_200, 3_400] {
        assert!(kept_db(hz).abs() < 1.0, "{hz} Hz: {:+.2} dB", kept_db(hz));
    }
}

#[test]
fn bent_tones_stay_pure_and_frames_join_without_a_seam() {
    for hz in [300, 1_000, 3_000] {
        let mut tone = Tone::new(hz, 8_000);
        let mut playback = Playback::default();
        let mut heard = Vec::new();
        for _ in 0..50 {
            while !playback.is_ready() {
                let mut samples = [0; FRAME];
                tone.fill(&mut samples);
                playback.hear(&samples);
            }
            heard.extend(playback.frame(500));
        }
        // 161 samples in the time of 160: the tone is that much higher.
        let higher = f64::from(hz) * 161.0 / 160.0;
        let share = share_of(&heard[1_600..4_800], higher);
        assert!(share > 0.995, "{hz} Hz: {share}");
    }
}

/// The share of all power that lies at `hz`, which need not be a whole number.
#[expect(clippy::cast_precision_loss, reason = "few samples")]
fn share_of(samples: &[i16], hz: f64) -> f64 {
    let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
    for (n, it) in (0_u32..).zip(samples) {
        let (s, c) = (std::f64::consts::TAU * hz * f64::from(n) / 8_000.0).sin_cos();
        let it = f64::from(*it);
        (sine, cosine, power) = (sine + it * s, cosine + it * c, power + it * it);
    }
    2.0 * (sine * sine + cosine * cosine) / (power * samples.len() as f64)
}
