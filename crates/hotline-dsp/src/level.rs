//! How loud something is.

/// Decibels from one step of 16 bits to 0 dBm0: a full-scale sine (87.3 dB) is +3.14 dBm0 in A-law
/// (G.711 §4).
const ZERO_DBM0_DB: f64 = 84.16;

/// Mean power in dBm0, from about −70 (silence) to +6.
#[expect(clippy::cast_precision_loss, reason = "sums of squares of a few frames")]
pub fn level_dbm0(samples: &[i16]) -> f64 {
    let power = energy(samples) as f64 / samples.len().max(1) as f64;
    10.0 * power.max(0.5).log10() - ZERO_DBM0_DB
}

/// The peak of a sine of `dbm0`.
#[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
pub fn amplitude_of(dbm0: f64) -> i16 {
    let peak = 10_f64.powf((dbm0 + ZERO_DBM0_DB) / 20.0) * 2_f64.sqrt();
    peak.clamp(0.0, 32_767.0) as i16
}

/// The sum of the squares.
pub fn energy(samples: &[i16]) -> i64 {
    // Products of 32 bits, of which a processor makes several at once.
    samples.iter().map(|it| i64::from(i32::from(*it) * i32::from(*it))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tone;

    #[test]
    fn a_tone_of_a_level_is_measured_at_that_level() {
        for dbm0 in [-45.0, -25.0, -10.0, 0.0, 3.0] {
            let mut samples = [0; 1_600];
            Tone::new(1_000, amplitude_of(dbm0)).fill(&mut samples);
            assert!((level_dbm0(&samples) - dbm0).abs() < 0.2, "{dbm0}");
        }
        assert!(level_dbm0(&[0; 160]) < -80.0);
    }
}
