//! Processor time of a process, and its place in the kernel's queue.

use std::{collections::BTreeMap, fs, ops::RangeInclusive};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};
use thread_priority::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue,
    ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// Of all threads of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// On a processor, in nanoseconds, user and system together: the kernel counts it at every
    /// switch, not by sampling.
    pub(crate) cpu_ns: u64,
    pub(crate) voluntary_switches: u64,
    /// The same nanoseconds by the names of the threads.
    pub(crate) threads: BTreeMap<String, u64>,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let mut sum = Self::default();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            let times = fs::read_to_string(task.join("schedstat"))?;
            let times = times.split(' ').next().context("schedstat has three numbers")?;
            let spent = times.trim().parse::<u64>()?;
            sum.cpu_ns += spent;
            let name = fs::read_to_string(task.join("comm"))?;
            *sum.threads.entry(name.trim().to_owned()).or_default() += spent;
            let status = fs::read_to_string(task.join("status"))?;
            let switches =
                status.lines().find_map(|it| it.strip_prefix("voluntary_ctxt_switches:"));
            sum.voluntary_switches += switches.map_or(Ok(0), |it| it.trim().parse::<u64>())?;
        }
        Ok(sum)
    }

    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |name: &str| earlier.threads.get(name).copied().unwrap_or(0);
        let spent = |(name, now): (&String, &u64)| (name.clone(), now.saturating_sub(before(name)));
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            threads: self.threads.iter().map(spent).collect(),
        }
    }
}

/// Bytes of a process's memory that no file on a disk backs: its own, and that in which audio waits
/// for its file, which outlives it.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let own = kibibytes(&status, "RssAnon:").context("status has RssAnon")?;
    Ok(own + kibibytes(&status, "RssShmem:").context("status has RssShmem")?)
}

/// Bytes of the kernel's own objects, such as sockets.
pub(crate) fn slab() -> Result<u64> {
    let all = fs::read_to_string("/proc/meminfo")?;
    kibibytes(&all, "Slab:").context("meminfo has Slab")
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|it| it.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// Keeps this process, and what it starts, on one processor if there are two.
pub(crate) fn pin(cpu: usize) {
    keep_on(cpu..=cpu);
}

/// The same for several, those of them that there are.
pub(crate) fn keep_on(cpus: RangeInclusive<usize>) {
    let mut set = CpuSet::new();
    cpus.for_each(|it| set.set(it));
    // With one processor, or without leave, it runs where it may.
    let _refused = sched_setaffinity(None, &set);
}

/// Nice 0, in hundredths of the way from the least to the most urgent.
const ORDINARY: u8 = 48;

/// Takes back what this process has from a parent in real time.
pub(crate) fn ordinary() {
    let other = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    let _as_it_was = ThreadPriorityValue::try_from(ORDINARY).is_ok_and(|it| {
        let priority = ThreadPriority::Crossplatform(it);
        set_thread_priority_and_policy(thread_native_id(), priority, other).is_ok()
    });
}

/// Asks for `SCHED_FIFO`, as the engine's worker does.
pub(crate) fn real_time() -> bool {
    let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    ThreadPriorityValue::try_from(10).is_ok_and(|it| {
        let priority = ThreadPriority::Crossplatform(it);
        set_thread_priority_and_policy(thread_native_id(), priority, fifo).is_ok()
    })
}
