//! The one place where both clocks are read, together.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotline_base::{MonoTime, Now, WallTime};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

const CENTURY: Duration = Duration::from_hours(24 * 36_525);

/// The clocks of one process. `Copy`: every holder has the same base.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Instant,
    /// The machine's monotonic clock at `base`, so that a later process goes on counting: what
    /// outlives a process is measured right.
    origin: u64,
}

impl Clock {
    pub fn start() -> Self {
        let since_boot = clock_gettime(ClockId::Monotonic);
        let secs = u64::try_from(since_boot.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(since_boot.tv_nsec).unwrap_or(0);
        Self { base: Instant::now(), origin: secs.saturating_mul(1_000_000_000) + nanos }
    }

    /// A machine that has just booted.
    #[cfg(test)]
    pub(crate) fn at_boot() -> Self {
        Self { base: Instant::now(), origin: 0 }
    }

    pub fn now(&self) -> Now {
        Now { mono: self.mono(), wall: wall() }
    }

    pub(crate) fn mono(&self) -> MonoTime {
        let nanos = self.base.elapsed().as_nanos();
        MonoTime(u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(self.origin))
    }

    /// An instant of this process's life; what was before the clock began counts as its beginning.
    pub(crate) fn mono_of(&self, at: std::time::Instant) -> MonoTime {
        let since = at.saturating_duration_since(self.base.into_std());
        MonoTime(self.origin) + since
    }

    /// The instant of a timer, at most a century from the base.
    pub fn instant_of(&self, at: MonoTime) -> Instant {
        // An `Instant` cannot say every `u64` of nanoseconds on every machine.
        self.base + at.since(MonoTime(self.origin)).min(CENTURY)
    }
}

/// The wall clock alone, for what has no timers.
pub(crate) fn wall() -> WallTime {
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |it| -it),
    };
    WallTime(millis)
}

/// The first identifier of this life of the engine: milliseconds since 1970 times 2^20, so that a
/// later life never repeats one (unless it counts more than a thousand a microsecond).
pub(crate) fn first_id(now: WallTime) -> u64 {
    u64::try_from(now.0).unwrap_or(0) << 20
}
