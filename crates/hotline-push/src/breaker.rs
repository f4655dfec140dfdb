//! Whether a target is well, judged by its last answers.

use std::time::Duration;

use hotline_base::{Random, WallTime};

use crate::{
    Retry,
    policy::{jittered, later},
};

/// Outages in a row after which one delivery at a time is tried.
const N_OUTAGES: u32 = 5;

#[derive(Debug, Default)]
pub(crate) struct Breaker {
    n_outages: u32,
    /// While the target is not well.
    probe_at: Option<WallTime>,
}

impl Breaker {
    pub(crate) const fn is_open(&self) -> bool {
        self.probe_at.is_some()
    }

    /// The next attempt's time, while the target is not well.
    pub(crate) const fn probe_at(&self) -> Option<WallTime> {
        self.probe_at
    }

    pub(crate) fn on_outage(&mut self, retry: &Retry, now: WallTime, random: &mut Random) {
        self.n_outages = self.n_outages.saturating_add(1);
        if self.n_outages >= N_OUTAGES {
            let wait: Duration = retry.backoff(self.n_outages - N_OUTAGES + 1);
            self.probe_at = Some(later(now, jittered(wait, random)));
        }
    }

    /// Whether the target was not well until now.
    pub(crate) fn on_alive(&mut self) -> bool {
        self.n_outages = 0;
        self.probe_at.take().is_some()
    }
}
