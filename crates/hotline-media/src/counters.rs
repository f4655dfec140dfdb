//! What went wrong or late, counted without a lock.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use hotline_base::media::{Figures, Scheduling, WorkerFigures};

/// Counted by the threads of one media role since it started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Each worker's own, by its number.
    pub(crate) workers: Vec<Arc<WorkerCounters>>,
    pub(crate) events_dropped: AtomicU64,
    pub(crate) links_dropped: AtomicU64,
    pub(crate) ticks: AtomicU64,
    pub(crate) ticks_skipped: AtomicU64,
    pub(crate) tick_late_max_us: AtomicU64,
    pub(crate) sends_refused: AtomicU64,
    pub(crate) mixes_refused: AtomicU64,
    pub(crate) syncs_skipped: AtomicU64,
    pub(crate) reports_in: AtomicU64,
    pub(crate) reports_refused: AtomicU64,
    pub(crate) reports_out: AtomicU64,
    pub(crate) browser_refused: AtomicU64,
    pub(crate) handovers_dropped: AtomicU64,
    pub(crate) sk_lookup: AtomicU64,
    pub(crate) legs_refused: AtomicU64,
    pub(crate) legs_revived: AtomicU64,
    pub(crate) memory_locked: AtomicU64,
}

/// What one worker tells of itself, on a line of its own for each processor.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerCounters {
    pub(crate) number: u8,
    /// As the desk counts them, and what they cost in plain ones.
    pub(crate) legs: AtomicU64,
    pub(crate) weight: AtomicU64,
    pub(crate) busy_permille: AtomicU64,
    pub(crate) late_permille: AtomicU64,
    /// The average of `weight` over the time of the shares, in thousandths.
    pub(crate) weight_lately: AtomicU64,
    pub(crate) rounds_missed: AtomicU64,
    pub(crate) system_calls: AtomicU64,
    pub(crate) packets_stale: AtomicU64,
    pub(crate) reports_shed: AtomicU64,
    pub(crate) gates_shed: AtomicU64,
    /// Said once, by the worker itself.
    pub(crate) standing: OnceLock<(Scheduling, Option<u32>)>,
}

/// The counters at one instant.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// Events that control did not hear, because no link was there or a ring was full.
    pub events_dropped: u64,
    /// Links ended because control broke the form, spoke another version or stopped reading.
    pub links_dropped: u64,
    /// 20 ms ticks that fed plays and keys.
    pub ticks: u64,
    /// Ticks left out because the worker was more than two behind.
    pub ticks_skipped: u64,
    /// The latest tick, in microseconds behind its time.
    pub tick_late_max_us: u64,
    /// Packets that the kernel did not take.
    pub sends_refused: u64,
    /// Parties beyond what a mix can hold, and tapes beyond what a leg can be on.
    pub mixes_refused: u64,
    /// Syncs of a recording that were put off because the disk was behind.
    pub syncs_skipped: u64,
    /// RTCP datagrams taken, refused (of strangers, or broken) and sent.
    pub reports_in: u64,
    pub reports_refused: u64,
    pub reports_out: u64,
    /// Datagrams at the port of browsers that are nobody's: of strangers, or checks that do not
    /// hold.
    pub browser_refused: u64,
    /// Checks and handshakes that the worker could not hand to the desk.
    pub handovers_dropped: u64,
    /// Whether packets come in by `sk_lookup`, not by a socket a leg.
    pub sk_lookup: bool,
    /// The workers' system calls for packets; at most a tenth of a second old.
    pub system_calls: u64,
    /// Legs not opened because workers were busy or late.
    pub legs_refused: u64,
    /// Legs of a process that died, brought back by this one.
    pub legs_revived: u64,
    /// Whether memory is kept from being swapped out.
    pub memory_locked: bool,
    /// By their numbers.
    pub workers: Vec<WorkerFigures>,
}

impl Snapshot {
    /// As control is told.
    pub(crate) fn figures(self, legs: u32) -> Figures {
        Figures {
            legs,
            events_dropped: self.events_dropped,
            links_dropped: self.links_dropped,
            ticks: self.ticks,
            ticks_skipped: self.ticks_skipped,
            tick_late_max_us: self.tick_late_max_us,
            sends_refused: self.sends_refused,
            mixes_refused: self.mixes_refused,
            syncs_skipped: self.syncs_skipped,
            reports_in: self.reports_in,
            reports_refused: self.reports_refused,
            reports_out: self.reports_out,
            browser_refused: self.browser_refused,
            handovers_dropped: self.handovers_dropped,
            sk_lookup: self.sk_lookup,
            legs_refused: self.legs_refused,
            legs_revived: self.legs_revived,
            memory_locked: self.memory_locked,
            workers: self.workers,
        }
    }
}

impl Counters {
    pub(crate) fn new(workers: u8) -> Self {
        let own = |number| Arc::new(WorkerCounters { number, ..WorkerCounters::default() });
        Self { workers: (0..workers).map(own).collect(), ..Self::default() }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            events_dropped: self.events_dropped.load(Relaxed),
            links_dropped: self.links_dropped.load(Relaxed),
            ticks: self.ticks.load(Relaxed),
            ticks_skipped: self.ticks_skipped.load(Relaxed),
            tick_late_max_us: self.tick_late_max_us.load(Relaxed),
            sends_refused: self.sends_refused.load(Relaxed),
            mixes_refused: self.mixes_refused.load(Relaxed),
            syncs_skipped: self.syncs_skipped.load(Relaxed),
            reports_in: self.reports_in.load(Relaxed),
            reports_refused: self.reports_refused.load(Relaxed),
            reports_out: self.reports_out.load(Relaxed),
            browser_refused: self.browser_refused.load(Relaxed),
            handovers_dropped: self.handovers_dropped.load(Relaxed),
            sk_lookup: self.sk_lookup.load(Relaxed) != 0,
            system_calls: self.workers.iter().map(|it| it.system_calls.load(Relaxed)).sum(),
            legs_refused: self.legs_refused.load(Relaxed),
            legs_revived: self.legs_revived.load(Relaxed),
            memory_locked: self.memory_locked.load(Relaxed) != 0,
            workers: self.workers.iter().map(|it| it.figures()).collect(),
        }
    }
}

impl WorkerCounters {
    fn figures(&self) -> WorkerFigures {
        let (scheduling, core) = self.standing.get().copied().unwrap_or_default();
        WorkerFigures {
            scheduling,
            core,
            legs: self.legs.load(Relaxed),
            busy_permille: self.busy_permille.load(Relaxed),
            late_permille: self.late_permille.load(Relaxed),
            rounds_missed: self.rounds_missed.load(Relaxed),
            packets_stale: self.packets_stale.load(Relaxed),
            reports_shed: self.reports_shed.load(Relaxed),
            gates_shed: self.gates_shed.load(Relaxed),
        }
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
