//! How long to wait before a role that died is started again.

use std::time::Duration;

/// A life that lasted so long was a good one: the next death is a first death.
const GOOD_LIFE: Duration = Duration::from_secs(10);

const DELAY_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    n_quick: u32,
}

impl Backoff {
    /// The first restart is at once, then 100 ms, doubling up to 5 s.
    pub(crate) fn next(&mut self, lived: Duration) -> Duration {
        if lived >= GOOD_LIFE {
            self.n_quick = 0;
        }
        self.n_quick = self.n_quick.saturating_add(1);
        match self.n_quick {
            0 | 1 => Duration::ZERO,
            n => Duration::from_millis(100 << (n - 2).min(8)).min(DELAY_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_dies_once_is_back_at_once_and_one_that_keeps_dying_waits() {
        let mut it = Backoff::default();
        let delays: Vec<_> =
            (0..9).map(|_| it.next(Duration::from_millis(50)).as_millis()).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(it.next(Duration::from_mins(1)), Duration::ZERO);
    }
}
