//! The tones of the Chinese network (GF 002-9002): made for callers, found on outgoing legs.

#[cfg(test)]
mod tests;

use crate::{Tone, level_dbm0, strength};

/// A tone that says something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// 拨号音
    Dial,
    /// 回铃音
    RingBack,
    /// 忙音
    Busy,
    /// 拥塞音
    Congestion,
    /// 空号音
    Vacant,
    /// 呼入等待音
    CallWaiting,
    /// 催挂音
    Howler,
    /// 三方提醒音
    ThreeWayReminder,
}

/// How a signal sounds. One row of the plan.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub signal: Signal,
    pub hz: u32,
    /// Milliseconds of tone and of silence, over and over; one of them alone is continuous.
    pub cadence: &'static [u16],
    /// dBm0; where there are several, each holds for a second and the last one stays.
    pub levels: &'static [i8],
}

const LEVEL: &[i8] = &[-10];

/// The plan. A carrier or a country with another one needs another table and nothing else.
pub const PLAN: [Row; 8] = [
    Row { signal: Signal::Dial, hz: 450, cadence: &[1_000], levels: LEVEL },
    Row { signal: Signal::RingBack, hz: 450, cadence: &[1_000, 4_000], levels: LEVEL },
    Row { signal: Signal::Busy, hz: 450, cadence: &[350, 350], levels: LEVEL },
    Row { signal: Signal::Congestion, hz: 450, cadence: &[700, 700], levels: LEVEL },
    Row {
        signal: Signal::Vacant,
        hz: 450,
        cadence: &[100, 100, 100, 100, 100, 100, 400, 400],
        levels: LEVEL,
    },
    Row { signal: Signal::CallWaiting, hz: 450, cadence: &[400, 4_000], levels: LEVEL },
    Row { signal: Signal::Howler, hz: 950, cadence: &[1_000], levels: &[-25, -20, -15, -10, -5] },
    Row { signal: Signal::ThreeWayReminder, hz: 1_400, cadence: &[400, 10_000], levels: LEVEL },
];

impl Signal {
    pub fn row(self) -> &'static Row {
        const FALLBACK: &Row = &PLAN[0];
        PLAN.iter().find(|it| it.signal == self).unwrap_or(FALLBACK)
    }
}

/// Plays a signal for as long as it is asked.
#[derive(Clone, Debug)]
pub struct SignalTone {
    row: &'static Row,
    tone: Tone,
    /// Samples since the beginning.
    n: usize,
    level: usize,
}

impl SignalTone {
    pub fn new(signal: Signal) -> Self {
        let row = signal.row();
        Self { row, tone: tone(row, 0), n: 0, level: 0 }
    }

    pub fn fill(&mut self, samples: &mut [i16]) {
        for it in samples {
            let level = (self.n / 8_000).min(self.row.levels.len().saturating_sub(1));
            if level != self.level {
                self.level = level;
                self.tone = tone(self.row, level);
            }
            *it = if self.is_on() { self.tone.next_sample() } else { 0 };
            self.n += 1;
        }
    }

    fn is_on(&self) -> bool {
        let period: usize = self.row.cadence.iter().map(|it| usize::from(*it) * 8).sum();
        let mut at = self.n % period.max(1);
        for (n, part) in self.row.cadence.iter().enumerate() {
            let part = usize::from(*part) * 8;
            if at < part {
                return n % 2 == 0;
            }
            at -= part;
        }
        false
    }
}

fn tone(row: &Row, level: usize) -> Tone {
    let dbm0 = row.levels.get(level).copied().unwrap_or(-10);
    Tone::exact(f64::from(row.hz), f64::from(dbm0))
}

/// Samples that are looked at together: 10 ms.
const BLOCK: usize = 80;

/// Milliseconds of one.
const BLOCK_MS: u32 = 10;

/// Quieter is nothing; a tone that crossed the country has −35.
const LEVEL_MIN_DBM0: f64 = -38.0;

/// The share of all power at 450 Hz. A tone 25 Hz off (the tolerance of GF 002) has 0.8 of it.
const PURE: f64 = 0.55;

/// A change shorter than this is a click or a dropout.
const STEADY_MS: u32 = 30;

/// This much silence after a tone decides between ring-back and a fast cadence.
const LONG_SILENCE_MS: u32 = 1_500;

/// A tone this long is continuous.
const CONTINUOUS_MS: u32 = 2_500;

/// Lengths that are remembered: two rounds of the longest cadence.
const REMEMBERED: usize = 8;

/// Finds what the network says by tones of 450 Hz.
#[derive(Clone, Debug, Default)]
pub struct SignalDetector {
    block: Block,
    on: bool,
    /// Milliseconds of this state, and of a change that may be one.
    length: u32,
    other: u32,
    /// The last lengths, newest first, of tone and of silence in turn.
    lengths: [u32; REMEMBERED],
    heard: Option<Signal>,
}

#[derive(Clone, Debug)]
struct Block {
    samples: [i16; BLOCK],
    n: usize,
}

impl Default for Block {
    fn default() -> Self {
        Self { samples: [0; BLOCK], n: 0 }
    }
}

impl SignalDetector {
    /// Listens. Returns a signal when it begins to be certain, once until another one is.
    pub fn hear(&mut self, samples: &[i16]) -> Option<Signal> {
        let mut said = None;
        for sample in samples {
            if let Some(to) = self.block.samples.get_mut(self.block.n) {
                *to = *sample;
            }
            self.block.n += 1;
            if self.block.n == BLOCK {
                self.block.n = 0;
                said = self.judge().or(said);
            }
        }
        said
    }

    fn judge(&mut self) -> Option<Signal> {
        let samples = &self.block.samples;
        let on = level_dbm0(samples) > LEVEL_MIN_DBM0 && strength(samples, 450) > PURE;
        if on == self.on {
            self.length += self.other + BLOCK_MS;
            self.other = 0;
        } else {
            self.other += BLOCK_MS;
            if self.other >= STEADY_MS {
                self.lengths.rotate_right(1);
                self.lengths[0] = self.length;
                (self.on, self.length, self.other) = (on, self.other, 0);
            }
        }
        let now = self.recognise()?;
        (self.heard.replace(now) != Some(now)).then_some(now)
    }

    /// What the lengths up to now are.
    fn recognise(&self) -> Option<Signal> {
        let [last, silence, tone, ..] = self.lengths;
        if self.on {
            return (self.length >= CONTINUOUS_MS).then_some(Signal::Dial);
        }
        if self.length >= LONG_SILENCE_MS {
            return [Signal::RingBack, Signal::CallWaiting]
                .into_iter()
                .find(|it| it.row().cadence.first().is_some_and(|it| near(last, *it)));
        }
        let vacant = Signal::Vacant.row().cadence.iter().rev().skip(1);
        if self.lengths.iter().zip(vacant).all(|(it, expected)| near(*it, *expected)) {
            return Some(Signal::Vacant);
        }
        [Signal::Busy, Signal::Congestion].into_iter().find(|it| {
            let cadence = it.row().cadence.first().copied().unwrap_or(0);
            [last, silence, tone].iter().all(|it| near(*it, cadence))
        })
    }
}

/// Within 15 % (exchanges keep 10 %) and a block.
fn near(length: u32, expected: u16) -> bool {
    let expected = u32::from(expected);
    length.abs_diff(expected) <= expected * 15 / 100 + BLOCK_MS
}
