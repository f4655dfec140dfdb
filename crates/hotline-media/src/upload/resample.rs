//! From any usual rate to 8,000 Hz by one polyphase filter.

use std::f64::consts::PI;

use hotline_dsp::RATE;

/// Zero crossings of the windowed sinc on each side.
const CROSSINGS: f64 = 24.0;

/// Of half the lower rate: what lies above is cut before it folds back. Telephones end at 3,400 Hz.
const PASSED: f64 = 0.93;

/// The kernel of Kaiser's window, for a stop band of about 80 dB.
const BETA: f64 = 8.0;

/// Brings `samples` of `rate` to 8,000 Hz. Returns beside how many of the results had to be cut off
/// at full scale.
pub(super) fn to_8000(samples: &[i16], rate: u32) -> (Vec<i16>, u64) {
    let filter = Filter::new(rate);
    let n = samples.len() as u64 * u64::from(filter.up) / u64::from(filter.down);
    let mut clipped = 0;
    let all = (0..n).map(|n| {
        let value = filter.at(samples, n);
        clipped += u64::from(!(-32_768.5..32_767.5).contains(&value));
        rounded(value)
    });
    let all = all.collect();
    (all, clipped)
}

/// All phases of the filter: `up` of them, which come round after `down` samples.
struct Filter {
    up: u32,
    down: u32,
    /// Samples on each side.
    reach: usize,
    phases: Vec<Vec<f32>>,
}

impl Filter {
    fn new(rate: u32) -> Self {
        let common = common_divisor(rate, RATE);
        let (up, down) = (RATE / common, rate / common);
        // Where the band ends, in parts of the source's rate.
        let cutoff = f64::from(RATE.min(rate)) * PASSED / f64::from(rate);
        let reach = ceiled(CROSSINGS / cutoff);
        let last = f64::from(reach) - 1.0;
        let phase = |n: u32| {
            let part = f64::from(n) / f64::from(up);
            let taps: Vec<f64> = (0..2 * reach)
                .map(|tap| {
                    let place = f64::from(tap) - last - part;
                    sinc(place * cutoff) * window(place / f64::from(reach))
                })
                .collect();
            // What stands still stays as loud in every phase.
            let sum: f64 = taps.iter().sum();
            taps.into_iter().map(|it| narrowed(it / sum)).collect()
        };
        let phases = (0..up).map(phase).collect();
        Self { up, down, reach: reach as usize, phases }
    }

    /// The `n`-th sample at 8,000 Hz.
    fn at(&self, samples: &[i16], n: u64) -> f32 {
        let place = n * u64::from(self.down);
        let (whole, phase) = (place / u64::from(self.up), place % u64::from(self.up));
        let whole = usize::try_from(whole).unwrap_or(usize::MAX);
        let taps = usize::try_from(phase).ok().and_then(|it| self.phases.get(it));
        // Before the beginning and behind the end there is silence.
        let begin = (whole + 1).saturating_sub(self.reach);
        let skipped = self.reach.saturating_sub(whole + 1);
        let heard = samples.get(begin..).unwrap_or_default();
        let taps = taps.map(Vec::as_slice).unwrap_or_default();
        let taps = taps.get(skipped..).unwrap_or_default();
        heard.iter().zip(taps).map(|(it, tap)| f32::from(*it) * tap).sum()
    }
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// Kaiser's window over −1 to 1, but for a constant factor.
fn window(x: f64) -> f64 {
    bessel(BETA * (1.0 - x * x).max(0.0).sqrt())
}

/// The modified Bessel function of the first kind and order zero, by its series.
fn bessel(x: f64) -> f64 {
    let (quarter, mut n, mut sum, mut term) = (x * x / 4.0, 1.0, 1.0, 1.0);
    while term > sum * 1e-8 {
        term *= quarter / (n * n);
        sum += term;
        n += 1.0;
    }
    sum
}

const fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
fn ceiled(value: f64) -> u32 {
    value.ceil() as u32
}

#[expect(clippy::cast_possible_truncation, reason = "a coefficient")]
const fn narrowed(value: f64) -> f32 {
    value as f32
}

#[expect(clippy::cast_possible_truncation, reason = "a cast of a float stops at full scale")]
fn rounded(value: f32) -> i16 {
    value.round() as i16
}
