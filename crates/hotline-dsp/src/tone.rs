//! A sine to send, and how much of it came back.

use std::f64::consts::TAU;

use crate::RATE;

/// A sine tone, continuous from one call to the next.
#[derive(Clone, Debug)]
pub struct Tone {
    /// Radians.
    phase: f64,
    /// Radians a sample.
    step: f64,
    amplitude: f64,
}

impl Tone {
    /// `hz` below half of [`RATE`]; `amplitude` is the peak, up to `i16::MAX`.
    pub fn new(hz: u32, amplitude: i16) -> Self {
        Self {
            phase: 0.0,
            step: TAU * f64::from(hz) / f64::from(RATE),
            amplitude: f64::from(amplitude),
        }
    }

    /// A tone of any frequency and of a level in dBm0.
    pub fn exact(hz: f64, dbm0: f64) -> Self {
        let step = TAU * hz / f64::from(RATE);
        Self { phase: 0.0, step, amplitude: f64::from(crate::amplitude_of(dbm0)) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a sine times an `i16` is an `i16`")]
    pub fn next_sample(&mut self) -> i16 {
        let sample = self.phase.sin() * self.amplitude;
        self.phase = (self.phase + self.step) % TAU;
        sample as i16
    }

    pub fn fill(&mut self, samples: &mut [i16]) {
        samples.fill_with(|| self.next_sample());
    }

    /// Fills with A-law bytes.
    pub fn fill_alaw(&mut self, audio: &mut [u8]) {
        audio.fill_with(|| crate::g711::linear_to_alaw(self.next_sample()));
    }

    /// Fills with µ-law bytes.
    pub fn fill_ulaw(&mut self, audio: &mut [u8]) {
        audio.fill_with(|| crate::g711::linear_to_ulaw(self.next_sample()));
    }
}

/// The share of the samples' power that lies at `hz`, from 0 (none) to about 1 (a pure tone), by
/// Goertzel's algorithm. Its window is as sharp as `samples` is long: 20 ms tell 50 Hz apart.
/// Silence has no tone.
#[expect(clippy::cast_precision_loss, reason = "sample counts are small")]
pub fn strength(samples: &[i16], hz: u32) -> f64 {
    let coefficient = 2.0 * (TAU * f64::from(hz) / f64::from(RATE)).cos();
    let (mut one, mut two, mut power) = (0.0, 0.0, 0.0);
    for it in samples {
        let sample = f64::from(*it);
        (one, two) = (sample + coefficient * one - two, one);
        power += sample * sample;
    }
    // A noise floor of one step of A-law around zero.
    let n = samples.len() as f64;
    if power < n * 64.0 + 1.0 {
        return 0.0;
    }
    let tone = one * one + two * two - coefficient * one * two;
    tone * 2.0 / (power * n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_tells_the_tone_that_is_played_from_one_that_is_not() {
        let mut samples = [0; 1_600];
        Tone::new(440, 8_000).fill(&mut samples);
        assert!(strength(&samples, 440) > 0.95);
        assert!(strength(&samples, 600) < 0.01);
        assert!(strength(&[0; 160], 440) < 0.001);
    }

    #[test]
    fn a_tone_survives_both_laws() {
        let mut audio = [0; 1_600];
        Tone::new(1_000, 8_000).fill_alaw(&mut audio);
        let heard = audio.map(crate::g711::alaw_to_linear);
        assert!(strength(&heard, 1_000) > 0.95);
        Tone::new(1_000, 8_000).fill_ulaw(&mut audio);
        let heard = audio.map(crate::g711::ulaw_to_linear);
        assert!(strength(&heard, 1_000) > 0.95);
    }
}
