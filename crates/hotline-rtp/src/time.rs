//! The third clock: RTP timestamps, which convert to neither of the other two by accident.

use std::{ops::Add, time::Duration};

/// Samples a millisecond at 8,000 Hz, the clock of G.711 and of its telephone events.
pub const SAMPLES_PER_MS: u32 = 8;

/// An RTP timestamp at 8,000 Hz. It wraps around, so it has no order; only distances have one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MediaTime(pub u32);

impl MediaTime {
    /// Samples from `earlier` to `self`; negative when it is the other way round.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

impl Add<u32> for MediaTime {
    type Output = Self;

    fn add(self, samples: u32) -> Self {
        Self(self.0.wrapping_add(samples))
    }
}

/// Whole samples in `time`.
pub fn samples_in(time: Duration) -> u64 {
    time.as_secs() * 8_000 + u64::from(time.subsec_nanos() / 125_000)
}
