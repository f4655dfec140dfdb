//! Two clocks, read together, so that a handler cannot mix two readings.

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use borsh::{BorshDeserialize, BorshSerialize};

/// Nanoseconds on the machine's monotonic clock. Drives timers and measures lengths, also across a
/// restart of the process; never leaves the machine.
#[derive(
    BorshDeserialize, BorshSerialize, Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd,
)]
pub struct MonoTime(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z. What a record shows.
#[derive(
    BorshDeserialize, BorshSerialize, Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd,
)]
pub struct WallTime(pub i64);

/// One reading of both clocks.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    pub mono: MonoTime,
    pub wall: WallTime,
}

impl MonoTime {
    /// The time from `earlier` to `self`; zero when it is the other way round.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The next multiple of `step` on this clock, or `self` when it is one: what is due within a
    /// step is done together, by one timer.
    #[must_use]
    pub fn next_multiple_of(self, step: Duration) -> Self {
        let step = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.checked_next_multiple_of(step).unwrap_or(self.0))
    }
}

impl WallTime {
    /// Milliseconds from `earlier` to `self`; zero when the clock went backwards.
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl Add<Duration> for MonoTime {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for MonoTime {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl Add<Duration> for Now {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self { mono: self.mono + by, wall: WallTime(self.wall.0.saturating_add(millis)) }
    }
}

impl fmt::Debug for MonoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t+{:?}", Duration::from_nanos(self.0))
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_never_moved_back() {
        let step = Duration::from_millis(50);
        let moved = |millis: u64| MonoTime(millis * 1_000_000).next_multiple_of(step).0 / 1_000_000;
        assert_eq!((moved(0), moved(1), moved(50), moved(51)), (0, 50, 50, 100));
        assert_eq!(MonoTime(7).next_multiple_of(Duration::ZERO), MonoTime(7));
        assert_eq!(MonoTime(u64::MAX).next_multiple_of(step), MonoTime(u64::MAX));
    }
}
