//! Finds a sound in a longer one by normalised cross-correlation.

use crate::fourier::{Complex, multiply, transform};

/// Where a sound was found, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// Sample of the longer sound where the shorter begins.
    pub at: usize,
    /// 1 for the same sound at any loudness, about 0 for another.
    pub score: f64,
}

/// Samples of the part that is searched for before the whole is compared: a quarter of a second.
const PROBE: usize = 2_048;

/// Length of one transform.
const BLOCK: usize = 8_192;

/// How many places the whole is compared at.
const CANDIDATES: usize = 8;

/// The best place for `needle` that begins in `range` of `hay`; samples that `hay` lacks count as
/// silence. `None` when nothing there sounds at all or `needle` is empty or silent.
pub(crate) fn find(hay: &[i16], needle: &[i16], range: std::ops::Range<usize>) -> Option<Match> {
    let offset = loudest(needle, PROBE);
    let probe = needle.get(offset..(offset + PROBE).min(needle.len()))?;
    if energy(probe) < floor(probe.len()) {
        return None;
    }
    let start = range.start + offset;
    let end = (range.end + offset + probe.len()).min(hay.len());
    let part = hay.get(start..end)?;
    places(part, probe)
        .into_iter()
        .map(|it| it + range.start)
        .map(|at| Match { at, score: score(hay, needle, at) })
        .max_by(|a, b| a.score.total_cmp(&b.score))
}

/// The places where `probe` fits `hay` best, not two of them for the same peak.
fn places(hay: &[i16], probe: &[i16]) -> Vec<usize> {
    let Some(n_places) = (hay.len() + 1).checked_sub(probe.len()) else { return Vec::new() };
    let mut spectrum = padded(probe.iter().copied());
    transform(&mut spectrum, false);
    let mut scored: Vec<(f32, usize)> = Vec::new();
    let energies = running_energy(hay);
    let step = BLOCK - PROBE;
    for start in (0..n_places).step_by(step) {
        let mut block = padded(hay.iter().copied().skip(start).take(BLOCK));
        transform(&mut block, false);
        for (it, by) in block.iter_mut().zip(&spectrum) {
            *it = multiply(*it, (by.0, -by.1));
        }
        transform(&mut block, true);
        for (lag, value) in block.iter().enumerate().take(step.min(n_places - start)) {
            let at = start + lag;
            let energy = between(&energies, at, at + probe.len());
            if energy > floor(probe.len()) {
                scored.push((value.0 * value.0.abs() / root(energy), at));
            }
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best: Vec<usize> = Vec::new();
    for (_, at) in scored {
        if best.len() == CANDIDATES {
            break;
        }
        if best.iter().all(|it| it.abs_diff(at) > 4) {
            best.push(at);
        }
    }
    best
}

/// Normalised correlation of the whole needle laid at `at`.
fn score(hay: &[i16], needle: &[i16], at: usize) -> f64 {
    let under = hay.iter().skip(at).take(needle.len());
    let (mut product, mut theirs) = (0.0, 0.0);
    for (a, b) in under.zip(needle) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        product += a * b;
        theirs += a * a;
    }
    let whole = (theirs * energy(needle)).sqrt();
    if whole > 0.0 { product / whole } else { 0.0 }
}

/// Where the loudest stretch of `len` samples begins, to a quarter of its length.
fn loudest(sound: &[i16], len: usize) -> usize {
    let energies = running_energy(sound);
    let last = sound.len().saturating_sub(len);
    (0..=last)
        .step_by(len / 4)
        .max_by(|a, b| between(&energies, *a, a + len).total_cmp(&between(&energies, *b, b + len)))
        .unwrap_or(0)
}

/// The energy of the first `i` samples at index `i`.
fn running_energy(sound: &[i16]) -> Vec<f64> {
    let mut sum = 0.0;
    let mut all = vec![0.0];
    all.extend(sound.iter().map(|it| {
        sum += f64::from(*it).powi(2);
        sum
    }));
    all
}

fn between(energies: &[f64], from: usize, to: usize) -> f64 {
    let at = |it: usize| energies.get(it).or(energies.last()).copied().unwrap_or(0.0);
    at(to) - at(from)
}

fn energy(sound: &[i16]) -> f64 {
    sound.iter().map(|it| f64::from(*it).powi(2)).sum()
}

/// Below this a stretch of `len` samples is silence: the hiss of A-law around zero.
#[expect(clippy::cast_precision_loss, reason = "lengths are small")]
fn floor(len: usize) -> f64 {
    len as f64 * 400.0
}

#[expect(clippy::cast_possible_truncation, reason = "only the order matters")]
fn root(energy: f64) -> f32 {
    energy as f32
}

fn padded(samples: impl Iterator<Item = i16>) -> Vec<Complex> {
    let mut all: Vec<Complex> = samples.map(|it| (f32::from(it) / 32_768.0, 0.0)).collect();
    all.resize(BLOCK, (0.0, 0.0));
    all
}

#[cfg(test)]
mod tests {
    use hotline_base::Random;

    use super::*;

    /// Something like speech: noise in bursts, smoothed.
    fn speech(seed: u64, len: usize) -> Vec<i16> {
        let mut random = Random::new(seed);
        let mut last = 0;
        (0..len)
            .map(|at| {
                let loud = if (at / 800) % 3 == 2 { 100 } else { 6_000 };
                let noise = i32::try_from(random.below(2 * loud + 1)).unwrap()
                    - i32::try_from(loud).unwrap();
                last = (last * 3 + noise) / 4;
                i16::try_from(last).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_prompt_is_found_where_it_begins_and_another_is_not() {
        let prompt = speech(1, 24_000);
        let mut hay = vec![0; 13_000];
        hay.extend(speech(2, 20_000));
        let at = hay.len();
        // At another loudness.
        hay.extend(prompt.iter().map(|it| it / 2));
        hay.extend(speech(3, 9_000));
        let found = find(&hay, &prompt, 0..hay.len()).unwrap();
        assert_eq!(found.at, at);
        assert!(found.score > 0.99, "{found:?}");
        let other = find(&hay, &speech(4, 24_000), 0..hay.len()).unwrap();
        assert!(other.score < 0.3, "{other:?}");
    }

    #[test]
    fn half_a_prompt_scores_in_between_and_its_first_half_scores_whole() {
        let prompt = speech(1, 24_000);
        let hay = &prompt[..12_000];
        let whole = find(hay, &prompt, 0..hay.len()).map_or(0.0, |it| it.score);
        assert!(whole < 0.9, "{whole}");
        assert!(find(hay, &prompt[..8_000], 0..hay.len()).unwrap().score > 0.99);
    }

    #[test]
    fn silence_is_no_match() {
        assert_eq!(find(&vec![0; 20_000], &speech(1, 8_000), 0..20_000), None);
        assert_eq!(find(&speech(1, 8_000), &[0; 8_000], 0..8_000), None);
        assert_eq!(find(&[], &speech(1, 8_000), 0..0), None);
        assert_eq!(find(&speech(1, 8_000), &[], 0..8_000), None);
    }

    #[test]
    fn a_sound_outside_the_range_is_not_found() {
        let prompt = speech(1, 8_000);
        let mut hay = prompt.clone();
        hay.extend(speech(2, 30_000));
        let found = find(&hay, &prompt, 10_000..hay.len()).unwrap();
        assert!(found.score < 0.3 && found.at >= 10_000, "{found:?}");
    }
}
