//! Where the clocks stand, and somebody who sets the one on the wall.

use std::time::Duration;

use hotline_base::{MonoTime, Now, Random, WallTime};

use crate::{Shift, agenda::Event};

/// 2026-11-22T08:00:00+08:00.
const OPENING_WALL: i64 = 1_795_305_600_000;

const HOUR: i64 = 3_600_000;

/// To what it is set, against the right time: an hour, a day, 2038-01-19, 2100.
const SETTINGS: [i64; 6] = [HOUR, -HOUR, 24 * HOUR, -24 * HOUR, 97_886 * HOUR, 640_704 * HOUR];

/// Where counters and clocks stand when a shift begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    /// The first number of calls, legs and tickets; `None`: by the wall clock, as the engine has it.
    pub first_id: Option<u64>,
    /// How long the machine has been up.
    pub up: Duration,
}

/// Both clocks at some time of the shift, the wall clock this many milliseconds ahead.
pub(crate) fn now_at(since: Duration, mono: MonoTime, ahead: i64) -> Now {
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Now { mono, wall: WallTime(OPENING_WALL + millis + ahead) }
}

impl Shift {
    /// By random numbers of its own: everything else happens as it would without.
    pub(crate) fn plan_clock(&mut self) {
        let (n_sets, span) = (self.plan.faults.clock_sets, self.plan.span);
        let mut random = Random::new(!self.seed);
        for n in 0..n_sets {
            let pick = usize::try_from(random.below(SETTINGS.len() as u64)).unwrap_or(0);
            let ahead = SETTINGS.get(pick).copied().unwrap_or(0);
            self.after(span * (n + 1) / (n_sets + 1), Event::ClockSet { ahead });
        }
    }
}
