//! How loud a sound is, and whether it was cut off.

/// Samples of a block at 8,000 Hz (400 ms), and from one to the next (ITU-R BS.1770-4 annex 1).
const BLOCK: usize = 3_200;
const STEP: usize = 800;

/// Blocks below are silence; then those this much below the mean of the others.
const SILENCE_DBFS: f64 = -70.0;
const GATE_DB: f64 = -10.0;

/// As many samples of the greatest magnitude in a row are one that was cut off.
const RUN: u64 = 3;

/// What is shown for no sound at all.
const NOTHING_DBFS: f64 = -99.0;

pub(super) fn peak_dbfs(samples: &[i16]) -> f64 {
    let peak = samples.iter().map(|it| it.unsigned_abs()).max().unwrap_or(0);
    decibels(f64::from(peak) * f64::from(peak))
}

/// The mean power of the blocks in which there is something, against a full-scale square wave.
pub(super) fn gated_dbfs(samples: &[i16]) -> f64 {
    let power = |it: &[i16]| {
        let sum: f64 = it.iter().map(|it| f64::from(*it) * f64::from(*it)).sum();
        sum / count(it)
    };
    // A sound shorter than a block is one.
    let begins = (0..=samples.len().saturating_sub(BLOCK)).step_by(STEP);
    let blocks = begins.map(|it| samples.get(it..(it + BLOCK).min(samples.len())));
    let mut powers: Vec<_> = blocks.flatten().map(power).collect();
    powers.retain(|it| decibels(*it) > SILENCE_DBFS);
    let gate = decibels(mean(&powers)) + GATE_DB;
    powers.retain(|it| decibels(*it) > gate);
    decibels(mean(&powers))
}

/// Samples in runs of at least `loudest`.
pub(super) fn clipped(samples: &[i16], loudest: u16) -> u64 {
    let (mut all, mut run, mut above) = (0, 0, true);
    for it in samples {
        let is_loud = it.unsigned_abs() >= loudest;
        if is_loud && run > 0 && above == (*it > 0) {
            run += 1;
        } else {
            all += if run >= RUN { run } else { 0 };
            run = u64::from(is_loud);
        }
        above = *it > 0;
    }
    all + if run >= RUN { run } else { 0 }
}

fn mean(powers: &[f64]) -> f64 {
    powers.iter().sum::<f64>() / count(powers)
}

/// How many there are, at least one.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^32")]
fn count<T>(of: &[T]) -> f64 {
    of.len().max(1) as f64
}

fn decibels(power: f64) -> f64 {
    if power < 1e-3 {
        return NOTHING_DBFS;
    }
    10.0 * (power / (32_768.0 * 32_768.0)).log10()
}
