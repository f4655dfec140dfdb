//! What every benchmark prints around its figures; see README.md for how to read one.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

pub mod flow;
#[cfg(test)]
mod gone;
#[cfg(test)]
mod linger;
pub mod shift;

/// Machine, kernel, load and build, a line each.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let n_cpus = cpus.lines().filter(|it| it.starts_with("processor")).count();
    let model = cpus.lines().find_map(|it| it.strip_prefix("model name")).unwrap_or("?");
    let build = if cfg!(debug_assertions) { "DEBUG: not for judging" } else { "release" };
    format!(
        "machine   {} x{n_cpus}\nkernel    {}\nspectre   {}\nload      {}\nbuild     {build}",
        model.trim_start_matches(['\t', ' ', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/sys/devices/system/cpu/vulnerabilities/spectre_v2").trim(),
        read("/proc/loadavg").trim(),
    )
}

/// The load average of the last minute.
pub fn load() -> String {
    let all = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split(' ').next().unwrap_or("?").to_owned()
}

/// The value that so many of a thousand do not exceed. `sorted` rises.
pub fn quantile<T: Copy>(sorted: &[T], per_mille: usize) -> Option<T> {
    let at = (sorted.len() * per_mille / 1_000).min(sorted.len().checked_sub(1)?);
    sorted.get(at).copied()
}

/// The value in the middle; of an even number, the higher of the two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    quantile(&values, 500)
}

/// Median, lowest and highest, as `12.3 [11.0..14.1]`.
pub fn spread(values: &[f64], decimals: usize) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(median), Some(low), Some(high)) =
        (quantile(&sorted, 500), sorted.first(), sorted.last())
    else {
        return "none".to_owned();
    };
    format!("{median:.decimals$} [{low:.decimals$}..{high:.decimals$}]")
}

/// Processor time of this thread.
pub fn cpu_time() -> Duration {
    let it = clock_gettime(ClockId::ThreadCPUTime);
    let (secs, nanos) = (u64::try_from(it.tv_sec), u32::try_from(it.tv_nsec));
    Duration::new(secs.unwrap_or(0), nanos.unwrap_or(0))
}
