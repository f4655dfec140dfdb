//! `[ladder]`: how much of calls' signalling is kept, and for how long.

use std::time::Duration;

use hotline_ladder::Config;

use crate::section::Section;

#[derive(Debug)]
pub(crate) struct Ladder {
    pub(crate) config: Config,
    /// How long stored ladders are kept.
    pub(crate) stored_for: Duration,
}

pub(crate) fn read(root: &Section<'_, '_>) -> Ladder {
    let it = root.section("ladder");
    let usual = Config::default();
    let size = |key, default: usize, range| {
        let default = u64::try_from(default).unwrap_or(u64::MAX);
        usize::try_from(it.number_or(key, default, range)).unwrap_or(usize::MAX)
    };
    let config = Config {
        bytes_max: size("memory_mib", usual.bytes_max >> 20, 0..=16_384) << 20,
        calls_max: size("calls_max", usual.calls_max, 1..=1_000_000),
        stored_per_minute_max: u32::try_from(it.number_or(
            "stored_per_minute_max",
            u64::from(usual.stored_per_minute_max),
            0..=60_000,
        ))
        .unwrap_or(u32::MAX),
        ..usual
    };
    let days = it.number_or("stored_days", 7, 1..=3_650);
    it.end();
    Ladder { config, stored_for: Duration::from_hours(days.saturating_mul(24)) }
}
