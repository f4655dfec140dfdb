//! How much of its time the worker works: what costly codecs save by, and what admission may ask.

use hotline_base::MonoTime;

/// Nanoseconds of one measurement; the average is moved by an eighth of each, so that a second is
/// most of what it remembers.
const SPAN_NS: u64 = 100_000_000;

/// An average over about a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Busy {
    /// Since when is measured, and for how long it has worked since then.
    began: MonoTime,
    worked_ns: u64,
    /// In 1/1,000, times 8.
    average: u64,
}

impl Busy {
    /// The worker worked from `woken` to `done`, and waited before.
    pub(crate) fn note(&mut self, woken: MonoTime, done: MonoTime) {
        self.worked_ns += done.0.saturating_sub(woken.0);
        let span = done.0.saturating_sub(self.began.0);
        if span < SPAN_NS {
            return;
        }
        let share = self.worked_ns.min(span) * 1_000 / span;
        // A long wait counts for as many measurements as it lasted.
        for _ in 0..(span / SPAN_NS).min(32) {
            self.average = self.average - self.average / 8 + share;
        }
        (self.began, self.worked_ns) = (done, 0);
    }

    pub(crate) const fn permille(&self) -> u64 {
        self.average / 8
    }

    pub(crate) fn percent(&self) -> u32 {
        u32::try_from(self.permille() / 10).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_worker_that_works_a_third_of_its_time_is_busy_for_a_third_within_two_seconds() {
        let mut it = Busy::default();
        let mut now = MonoTime::default();
        let mut turns = |it: &mut Busy, n, works: u64, waits: u64| {
            for _ in 0..n {
                let woken = now + Duration::from_micros(waits);
                now = woken + Duration::from_micros(works);
                it.note(woken, now);
            }
        };
        turns(&mut it, 200, 3_333, 6_667);
        assert!((31..=34).contains(&it.percent()), "{}", it.percent());
        turns(&mut it, 200, 9_000, 1_000);
        assert!((80..=90).contains(&it.percent()), "{}", it.percent());
        // One long wait.
        turns(&mut it, 1, 10, 3_000_000);
        assert!(it.percent() < 5, "{}", it.percent());
    }
}
