//! `[ladder]` and `[carrier_alarm]`: how much of calls' signalling is kept and for how long, and
//! when a carrier's failures are an alarm.

use std::time::Duration;

use hotline_ladder::Config;
use hotline_trunk::watch::Thresholds;

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

pub(crate) fn read_alarm(root: &Section<'_, '_>) -> Thresholds {
    let it = root.section("carrier_alarm");
    let usual = Thresholds::default();
    let thresholds = Thresholds {
        window: it.secs_or("window_secs", usual.window.as_secs(), 60..=3_600),
        attempts_min: it.number_or("attempts_min", usual.attempts_min, 1..=100_000),
        raise_percent: it.number_or("raise_percent", usual.raise_percent, 1..=100),
        clear_percent: it.number_or("clear_percent", usual.clear_percent, 1..=100),
        clear_after: it.secs_or("clear_after_secs", usual.clear_after.as_secs(), 0..=86_400),
    };
    if thresholds.clear_percent > thresholds.raise_percent {
        it.complain("clear_percent", "大于 raise_percent", "解除的门限要比告警的低");
    }
    it.end();
    thresholds
}
