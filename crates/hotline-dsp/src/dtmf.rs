//! Telephone keys as pairs of tones (ITU-T Q.23), made and found (Q.24). Keys are numbered as in
//! RFC 4733 §3.2: 0–9, `*` is 10, `#` is 11, A–D are 12–15.

#[cfg(test)]
mod tests;

use std::f32::consts::TAU;

use crate::{Tone, amplitude_of, level::energy};

/// Rows, then columns, in Hz (Q.23 §4).
const HZ: [u32; 8] = [697, 770, 852, 941, 1_209, 1_336, 1_477, 1_633];

/// Keys by row and column.
const KEYS: [u8; 16] = [1, 2, 3, 12, 4, 5, 6, 13, 7, 8, 9, 14, 10, 0, 11, 15];

/// Samples that are looked at together: 12.75 ms. Two of them fit into every tone of 40 ms.
const BLOCK: usize = 102;

/// A third of a block, 4.25 ms: a period of the slowest beat between a row and a column, so that
/// beats do not look like gaps.
const SLICE: usize = 34;

/// Slices at full strength that make a press: seven are in no tone of 24 ms (204 samples are the
/// least that fills five and half of two) and in every one of 40 ms. Q.24 table A-1: 40 ms are to
/// be heard, 23 (AT&T) or 24 (NTT) not.
const SLICES_MIN: u8 = 7;

/// Blocks without the key that end a press: three are spoilt by every pause of 40 ms and two at
/// most by a gap of 10 ms (Q.24: not the end of a signal).
const BLOCKS_OFF: u8 = 3;

/// The weaker tone has at least −30 dBm0. Q.24: −25 dBm (AT&T) is to be heard, −55 not.
const LEVEL_MIN_DBM0: f64 = -30.0;

/// How much stronger a column and a row may be than the other: Q.24 has +4 and −8 dB (AT&T); tones
/// off their frequency and the other tone's leakage cost 2 to 3 dB in our filters.
const TWIST_MAX: f32 = 4.0;
const REVERSE_TWIST_MAX: f32 = 13.0;

/// How much stronger than the other rows, or columns, one is: 7 dB.
const ALONE: f32 = 5.0;

/// The share of all power that the two have. Voices have theirs in more places.
const PURE: f32 = 0.63;

/// Off by more than this is no key. Q.24: 1.5 % is to be heard (AT&T; NTT 1.8 %), 3.5 % (3 %) not.
const OFF_MAX: f32 = 0.021;

/// Finds keys in telephone sound.
#[derive(Clone, Debug)]
pub struct DtmfDetector {
    coefficients: [f32; 8],
    /// The samples of the block that is being filled.
    block: [i16; BLOCK],
    n: usize,
    last: Option<Found>,
    /// Slices in a row as strong as the strongest of them, and its energy.
    run: u8,
    strongest: i64,
    state: State,
}

/// A block that sounds like a key.
#[derive(Clone, Copy, Debug)]
struct Found {
    key: u8,
    /// The phases of row and column at the end of the block.
    phases: [f32; 2],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Up,
    /// Two blocks sounded like it; it may still be too short.
    Likely {
        key: u8,
    },
    Down {
        key: u8,
        n_off: u8,
    },
}

impl Default for DtmfDetector {
    fn default() -> Self {
        Self {
            coefficients: HZ.map(|hz| 2.0 * radians(hz).cos()),
            block: [0; BLOCK],
            n: 0,
            last: None,
            run: 0,
            strongest: 0,
            state: State::Up,
        }
    }
}

impl DtmfDetector {
    /// Whether a key is held down.
    pub const fn is_down(&self) -> bool {
        matches!(self.state, State::Down { .. })
    }

    /// Listens to up to 20 ms. Returns a key once, when it is certain: some 30 ms after it was
    /// pressed.
    pub fn hear(&mut self, samples: &[i16]) -> Option<u8> {
        let mut pressed = None;
        for sample in samples {
            if let Some(to) = self.block.get_mut(self.n) {
                *to = *sample;
            }
            self.n += 1;
            if self.n.is_multiple_of(SLICE) {
                self.measure();
            }
            if self.n == BLOCK {
                self.n = 0;
                self.judge();
            }
            if let State::Likely { key } = self.state {
                if self.run >= SLICES_MIN {
                    self.state = State::Down { key, n_off: 0 };
                    pressed = Some(key);
                } else if self.run == 0 {
                    self.state = State::Up;
                }
            }
        }
        pressed
    }

    /// Counts how long the sound has its strength.
    fn measure(&mut self) {
        let energy = energy(self.block.get(self.n - SLICE..self.n).unwrap_or_default());
        if energy * 2 >= self.strongest && energy > 0 {
            self.run = self.run.saturating_add(1);
            // What becomes more than twice as strong begins here.
            if energy > self.strongest * 2 {
                self.run = 1;
            }
            self.strongest = self.strongest.max(energy);
        } else {
            self.run = 0;
            self.strongest = 0;
        }
    }

    fn judge(&mut self) {
        let found = self.look();
        let before = std::mem::replace(&mut self.last, found);
        let key = found.map(|it| it.key);
        let again = before
            .zip(found)
            .filter(|(before, now)| before.key == now.key && is_on_frequency(before, now))
            .map(|it| it.1.key);
        self.state = match self.state {
            State::Down { key: it, .. } if key == Some(it) => State::Down { key: it, n_off: 0 },
            State::Down { key: it, n_off } if n_off + 1 < BLOCKS_OFF && again.is_none() => {
                State::Down { key: it, n_off: n_off + 1 }
            }
            State::Up | State::Likely { .. } | State::Down { .. } => match again {
                Some(key) => State::Likely { key },
                None => State::Up,
            },
        };
    }

    #[expect(clippy::cast_precision_loss, reason = "a measure of loudness")]
    fn energy(&self) -> f32 {
        energy(&self.block) as f32
    }

    /// Goertzel's algorithm for all eight at once: its last two values of each. `None` in a pause: what
    /// it finds is at most the energy times the length (Cauchy and Schwarz), and so no key's.
    fn filter(&self) -> Option<[[f32; 8]; 2]> {
        if self.energy() * BLOCK_F32 < level_min() {
            return None;
        }
        let (mut one, mut two) = ([0.0_f32; 8], [0.0_f32; 8]);
        for sample in &self.block {
            let sample = f32::from(*sample);
            for ((one, two), coefficient) in one.iter_mut().zip(&mut two).zip(self.coefficients) {
                (*one, *two) = (sample + coefficient * *one - *two, *one);
            }
        }
        Some([one, two])
    }

    fn look(&self) -> Option<Found> {
        let [one, two] = self.filter()?;
        let mut power = [0.0; 8];
        for (n, power) in power.iter_mut().enumerate() {
            let (one, two) = (at(&one, n), at(&two, n));
            *power = one * one + two * two - at(&self.coefficients, n) * one * two;
        }
        let row = strongest(&power, 0)?;
        let column = strongest(&power, 4)?;
        let (low, high) = (at(&power, row), at(&power, column));
        let pure = low + high > PURE * self.energy() * HALF_BLOCK;
        let loud = low.min(high) > level_min();
        if !pure || !loud || high > low * TWIST_MAX || low > high * REVERSE_TWIST_MAX {
            return None;
        }
        let phase = |n| {
            let (sin, cos) = radians(at(&HZ, n)).sin_cos();
            (at(&two, n) * sin).atan2(at(&one, n) - at(&two, n) * cos)
        };
        let key = *KEYS.get(row * 4 + column - 4)?;
        Some(Found { key, phases: [phase(row), phase(column)] })
    }
}

/// Whether the phases moved from one block to the next as those of the key's tones do.
fn is_on_frequency(before: &Found, now: &Found) -> bool {
    let Some(at) = KEYS.iter().position(|it| *it == now.key) else { return false };
    let hz = [at / 4, at % 4 + 4].map(|n| self::at(&HZ, n));
    hz.iter().zip(before.phases.iter().zip(now.phases)).all(|(hz, (before, now))| {
        let step = radians(*hz) * BLOCK_F32;
        let off = (now - before - step).rem_euclid(TAU);
        let off = if off > TAU / 2.0 { off - TAU } else { off };
        (off / step).abs() <= OFF_MAX
    })
}

/// Which of four is the strongest, if it stands alone.
fn strongest(power: &[f32; 8], from: usize) -> Option<usize> {
    let group = power.get(from..from + 4)?;
    let (n, best) = (from..).zip(group).max_by(|a, b| a.1.total_cmp(b.1))?;
    let alone = group.iter().filter(|it| **it * ALONE > *best).count() == 1;
    alone.then_some(n)
}

const BLOCK_F32: f32 = 102.0;
/// The power that Goertzel's algorithm finds of a pure tone, over its energy.
const HALF_BLOCK: f32 = BLOCK_F32 / 2.0;

/// What Goertzel's algorithm finds of the weakest tone.
fn level_min() -> f32 {
    let amplitude = f32::from(amplitude_of(LEVEL_MIN_DBM0));
    amplitude * amplitude * HALF_BLOCK * HALF_BLOCK
}

fn radians(hz: u32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "at most 1,633")]
    let hz = hz as f32;
    TAU * hz / 8_000.0
}

#[expect(clippy::indexing_slicing, reason = "rows and columns are 0 to 7")]
const fn at<T: Copy>(table: &[T; 8], n: usize) -> T {
    table[n]
}

/// One press of a key as sound: 100 ms of tones, then 100 ms of silence, as RFC 4733 presses are
/// sent.
#[derive(Clone, Debug)]
pub struct DtmfTone {
    low: Tone,
    high: Tone,
    n: usize,
}

impl DtmfTone {
    const ON: usize = 800;
    const OFF: usize = 800;

    /// `None` when `key` is not 0 to 15.
    pub fn new(key: u8) -> Option<Self> {
        let at = KEYS.iter().position(|it| *it == key)?;
        // Columns lose more on the way, so they are sent 2 dB stronger.
        let low = Tone::new(self::at(&HZ, at / 4), amplitude_of(-10.0));
        let high = Tone::new(self::at(&HZ, at % 4 + 4), amplitude_of(-8.0));
        Some(Self { low, high, n: 0 })
    }

    /// Fills with the next part of it. Returns whether it goes on after that.
    pub fn fill(&mut self, samples: &mut [i16]) -> bool {
        for it in samples {
            *it = if self.n < Self::ON {
                self.low.next_sample().saturating_add(self.high.next_sample())
            } else {
                0
            };
            self.n += 1;
        }
        self.n < Self::ON + Self::OFF
    }
}
