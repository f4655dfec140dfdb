//! How long messages waited on their way from the socket to their turn.

use std::time::Duration;

use tokio::time::Instant;

/// How often the switchboard is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// The shortest waits since it was told, in microseconds.
#[derive(Debug)]
pub(crate) struct Waits {
    calls: Option<u64>,
    others: Option<u64>,
    told: Instant,
}

impl Waits {
    pub(crate) fn new() -> Self {
        Self { calls: None, others: None, told: Instant::now() }
    }

    pub(crate) fn note(&mut self, is_new_call: bool, waited_us: u64) {
        let least = if is_new_call { &mut self.calls } else { &mut self.others };
        *least = Some(least.map_or(waited_us, |it| it.min(waited_us)));
    }

    /// The shortest wait of new calls or of all others, whichever is longer, when it is time to
    /// tell. Others go first: alone they would not show that calls stand in a queue.
    pub(crate) fn due(&mut self, oldest_call: impl Fn() -> Duration) -> Option<u64> {
        if self.told.elapsed() < TELL_EVERY || (self.calls, self.others) == (None, None) {
            return None;
        }
        self.told = Instant::now();
        let starving = || u64::try_from(oldest_call().as_micros()).unwrap_or(u64::MAX);
        let calls = self.calls.take().unwrap_or_else(starving);
        Some(calls.max(self.others.take().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn queue_of_calls_shows_though_others_go_before_them() {
        let mut it = Waits::new();
        let nobody = || Duration::ZERO;
        it.note(false, 10);
        assert_eq!(it.due(nobody), None, "not yet");
        advance(TELL_EVERY).await;
        for (is_new_call, waited_us) in [(true, 90_000), (true, 70_000), (false, 500)] {
            it.note(is_new_call, waited_us);
        }
        assert_eq!(it.due(nobody), Some(70_000));
        advance(TELL_EVERY).await;
        assert_eq!(it.due(nobody), None, "nothing came");
        it.note(false, 500);
        assert_eq!(it.due(|| Duration::from_millis(80)), Some(80_000), "no call had its turn");
    }
}
