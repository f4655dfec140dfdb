//! Whether to wake for each datagram or to let some gather: a wake-up costs as much as a packet.

use std::time::{Duration, Instant};

use super::BATCH;

/// How long datagrams are counted to tell load from quiet.
const WATCH: Duration = Duration::from_millis(100);

/// Of a busy intake: it is emptied every so often, and wakes at once when it is not busy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    tick: Duration,
    /// Datagrams in [`WATCH`] from which on it is busy.
    many: u32,
    ticks: bool,
    ticked: Instant,
    since: Instant,
    n: u32,
}

impl Pace {
    pub(super) const fn new(tick: Duration, many: u32, now: Instant) -> Self {
        Self { tick, many, ticks: false, ticked: now, since: now, n: 0 }
    }

    /// How long datagrams gather from now on; `None` to wake for the next one.
    pub(super) fn rest(&self, now: Instant) -> Option<Duration> {
        self.ticks.then(|| (self.ticked + self.tick).saturating_duration_since(now))
    }

    /// So many were read; after a full batch more may wait.
    pub(super) fn note(&mut self, n: usize, now: Instant) {
        self.n = self.n.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
        if n < BATCH {
            self.ticked = now;
        }
        if now.duration_since(self.since) >= WATCH {
            // Three quarters of what made it busy keep it so.
            self.ticks = self.n >= if self.ticks { self.many / 4 * 3 } else { self.many };
            self.since = now;
            self.n = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(5);

    /// A second in which so many come each millisecond; whether it is busy then.
    fn spend(pace: &mut Pace, now: &mut Instant, each_ms: usize) -> bool {
        for _ in 0..1_000 {
            *now += Duration::from_millis(1);
            pace.note(each_ms, *now);
        }
        pace.rest(*now).is_some()
    }

    #[test]
    fn datagrams_gather_under_load_and_until_it_is_well_below() {
        let mut now = Instant::now();
        let mut pace = Pace::new(TICK, 1_000, now);
        assert!(!spend(&mut pace, &mut now, 9));
        assert!(spend(&mut pace, &mut now, 10));
        assert!(spend(&mut pace, &mut now, 8));
        assert!(!spend(&mut pace, &mut now, 7));
    }

    #[test]
    fn a_rest_ends_a_tick_after_the_last_look_that_found_no_more() {
        let mut now = Instant::now();
        let mut pace = Pace::new(TICK, 1_000, now);
        spend(&mut pace, &mut now, 20);
        let later = |ms| now + Duration::from_millis(ms);
        assert_eq!(pace.rest(later(2)), Some(Duration::from_millis(3)));
        pace.note(BATCH, later(4));
        assert_eq!(pace.rest(later(6)), Some(Duration::ZERO));
        pace.note(BATCH - 1, later(6));
        assert_eq!(pace.rest(later(6)), Some(TICK));
    }
}
