//! What an input costs: processor time of this thread, and bytes held at once.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// No input may take longer.
pub const CPU_MAX: Duration = Duration::from_millis(10);

/// No input may hold more bytes at once.
pub const BYTES_MAX: u64 = 1 << 20;

/// A slow input is measured so often; the best counts, because the machine may be at other work.
const TRIES: usize = 9;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    pub cpu: Duration,
    pub bytes: u64,
}

impl Cost {
    /// Where each of the two is the higher one.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { cpu: self.cpu.max(other.cpu), bytes: self.bytes.max(other.bytes) }
    }

    pub fn is_too_high(self) -> bool {
        self.cpu > CPU_MAX || self.bytes > BYTES_MAX
    }
}

/// Runs `it` and says what it returned (`None`: it panicked) and what it cost.
pub fn once<T>(mut it: impl FnMut() -> T) -> (Option<T>, Cost) {
    let mut result = None;
    let begin = cpu();
    let counted = allocation_counter::measure(|| {
        result = catch_unwind(AssertUnwindSafe(&mut it)).ok();
    });
    let cpu = cpu().saturating_sub(begin);
    (result, Cost { cpu, bytes: counted.bytes_max })
}

/// The same; what seems slow is repeated, and the fastest time counts.
pub fn fairly<T>(mut it: impl FnMut() -> T) -> (Option<T>, Cost) {
    let (mut result, mut cost) = once(&mut it);
    for _ in 1..TRIES {
        if result.is_none() || cost.cpu <= CPU_MAX {
            break;
        }
        let (again, more) = once(&mut it);
        cost = Cost { cpu: cost.cpu.min(more.cpu), ..cost };
        result = again;
    }
    (result, cost)
}

/// Processor time that this thread has used.
fn cpu() -> Duration {
    let it = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(it.tv_sec).unwrap_or_default();
    Duration::new(secs, u32::try_from(it.tv_nsec).unwrap_or_default())
}
