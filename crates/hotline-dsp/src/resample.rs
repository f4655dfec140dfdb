//! A little more or a little less time: frames of speech stretched by band-limited interpolation.
//!
//! A windowed sinc looks at 24 samples around each place, so that everything up to 3.4 kHz keeps
//! its level; between two neighbours alone a voice would lose its upper third.

use crate::FRAME;

/// Samples that one new sample is made of.
const TAPS: usize = 24;

/// Samples looked at before the place and after it.
pub(crate) const BEFORE: usize = TAPS / 2 - 1;
pub(crate) const AFTER: usize = TAPS / 2;

/// The shape of Kaiser's window: side lobes at −40 dB, and a passband up to 0.9 of half the rate.
const BETA: f64 = 3.4;

/// A weight of one.
const ONE: f64 = 16_384.0;
const ONE_BITS: u32 = 14;

/// Weights by the place between two samples, in 1/160: a frame has no others.
static WEIGHTS: [[i16; TAPS]; FRAME] = weights();

/// Spreads `taken` samples over one frame. `from` begins [`BEFORE`] samples earlier and ends
/// [`AFTER`] later; frames that follow each other join without a seam.
pub(crate) fn resample(from: &[i16], taken: usize, to: &mut [i16; FRAME]) {
    for (n, to) in to.iter_mut().enumerate() {
        let place = n * taken;
        let (whole, part) = (place / FRAME, place % FRAME);
        let (Some(weights), Some(from)) = (WEIGHTS.get(part), from.get(whole..whole + TAPS)) else {
            continue;
        };
        // At most 2.3 · 2^15 · 2^14, which fits.
        let sum: i32 =
            weights.iter().zip(from).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>();
        let sample = (sum + (1 << (ONE_BITS - 1))) >> ONE_BITS;
        *to = i16::try_from(sample.clamp(i16::MIN.into(), i16::MAX.into())).unwrap_or(0);
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "small numbers, within their arrays, at compile time"
)]
const fn weights() -> [[i16; TAPS]; FRAME] {
    let mut all = [[0; TAPS]; FRAME];
    let mut part = 0;
    while part < FRAME {
        let place = part as f64 / FRAME as f64;
        let mut row = [0.0; TAPS];
        let (mut sum, mut tap) = (0.0, 0);
        while tap < TAPS {
            row[tap] = weight(place + BEFORE as f64 - tap as f64);
            sum += row[tap];
            tap += 1;
        }
        tap = 0;
        while tap < TAPS {
            let it = row[tap] / sum * ONE;
            all[part][tap] = (if it < 0.0 { it - 0.5 } else { it + 0.5 }) as i16;
            tap += 1;
        }
        part += 1;
    }
    all
}

/// The windowed sinc at a distance in samples.
#[expect(clippy::cast_precision_loss, reason = "24")]
const fn weight(distance: f64) -> f64 {
    let half = TAPS as f64 / 2.0;
    let inside = 1.0 - (distance / half) * (distance / half);
    if inside <= 0.0 {
        return 0.0;
    }
    let angle = std::f64::consts::PI * distance;
    let sinc = if distance == 0.0 { 1.0 } else { sine(angle) / angle };
    sinc * bessel(BETA * BETA * inside / 4.0)
}

/// The modified Bessel function of order zero, of twice the root of `it`.
const fn bessel(it: f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1.0);
    while n < 12.0 {
        term *= it / (n * n);
        sum += term;
        n += 1.0;
    }
    sum
}

/// By Taylor's series, after the angle is brought within a half turn.
const fn sine(angle: f64) -> f64 {
    let mut x = angle;
    while x > std::f64::consts::PI {
        x -= std::f64::consts::TAU;
    }
    while x < -std::f64::consts::PI {
        x += std::f64::consts::TAU;
    }
    let (mut sum, mut term, mut n) = (x, x, 1.0);
    while n < 13.0 {
        term *= -x * x / (2.0 * n * (2.0 * n + 1.0));
        sum += term;
        n += 1.0;
    }
    sum
}
