//! The desk's ends of all workers, and which of them a new leg is given.

use std::{
    cmp::Reverse,
    io,
    mem::MaybeUninit,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::JoinHandle,
};

use hotline_base::{ContextId, LegId};
use rtrb::{Consumer, Producer, RingBuffer};

use super::{Desk, Entry, TASKS_PER_ORDER, guests::Shared, spawn};
use crate::{
    IntakeChoice, MediaConfig,
    counters::{Counters, WorkerCounters, count},
    intake::{Granted, Intake, Lookup, Sockets},
    priority,
    recorder::{Block, Filled},
    task::{HANDOVERS_MAX, Handover, REPORTS_MAX, Report, Slot, TASKS_MAX, Task},
    wake::Wake,
    worker::{BLOCKS_A_LEG, Rings, Worker},
};

/// Busy shares that differ by less, in thousandths, are the same: they are a second old.
const SAME: u64 = 50;

/// The desk's ends of a worker's rings.
#[derive(Debug)]
pub(super) struct WorkerEnd {
    tasks: Producer<Task>,
    pub(super) reports: Consumer<Report>,
    pub(super) handovers: Consumer<Handover>,
    wake: Wake,
    /// It has not been woken for all of its tasks.
    has_tasks: bool,
    /// Where its browsers come in.
    pub(super) shared: Option<Shared>,
    counters: Arc<WorkerCounters>,
}

/// Where a context is, while any of its legs lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home {
    pub(super) worker: u8,
    n_legs: usize,
}

impl WorkerEnd {
    /// Hands a task over. Orders are read only while there is room.
    pub(super) fn task(&mut self, task: Task) {
        if self.tasks.push(task).is_err() {
            tracing::error!("A media worker is stuck; an order to it is lost.");
        }
        self.has_tasks = true;
    }

    pub(super) fn has_room(&self, tasks: usize) -> bool {
        self.tasks.slots() >= tasks
    }

    pub(super) fn wake(&self) {
        self.wake.wake();
    }

    /// What its legs cost it, in plain ones.
    fn weight(&self) -> usize {
        usize::try_from(self.counters.weight.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// Nobody else writes it.
    fn weighs(&self, weight: usize) {
        self.counters.weight.store(u64::try_from(weight).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Desk {
    /// The worker for another leg of a context: that of the context, which all its legs are on, or
    /// for a new one the least busy. `None`: it is too busy, or all are.
    pub(super) fn place(&self, context: ContextId) -> Option<u8> {
        let home = self.contexts.get(&context).map(|it| it.worker);
        let busy_max = self.config.busy_max;
        let fits = |worker: u8| {
            let takes = |it: &WorkerEnd| it.counters.takes(home.is_none(), busy_max);
            busy_max >= 100 || self.end_of(worker).is_some_and(takes)
        };
        match home {
            Some(home) => Some(home).filter(|it| fits(*it)),
            None => self.least_busy(fits),
        }
    }

    /// For how many more plain legs of new calls the workers are free enough; `None`: there is one
    /// that has little to do, or none is asked.
    pub(super) fn workers_room(&self) -> Option<u64> {
        let busy_max = self.config.busy_max;
        let all = self.workers.iter().map(|it| it.counters.room(busy_max));
        if busy_max >= 100 { None } else { all.sum() }
    }

    /// Of equals the last one.
    pub(super) fn least_busy(&self, fits: impl Fn(u8) -> bool) -> Option<u8> {
        let all = self.workers.iter().zip(0_u8..).filter(|it| fits(it.1));
        let cost = |(end, worker): &(&WorkerEnd, u8)| {
            let weight = end.weight();
            let busy = if weight == 0 { 0 } else { end.counters.busy_permille.load(Relaxed) };
            (busy / SAME, weight, Reverse(*worker))
        };
        all.min_by_key(cost).map(|it| it.1)
    }

    pub(super) fn end_of(&self, worker: u8) -> Option<&WorkerEnd> {
        self.workers.get(usize::from(worker))
    }

    pub(super) fn end_of_mut(&mut self, worker: u8) -> Option<&mut WorkerEnd> {
        self.workers.get_mut(usize::from(worker))
    }

    /// Hands a task to a worker.
    pub(super) fn task(&mut self, worker: u8, task: Task) {
        if let Some(it) = self.end_of_mut(worker) {
            it.task(task);
        }
    }

    /// Once for all tasks of a turn: each wake may cost a switch of threads.
    pub(super) fn wake_workers(&mut self) {
        for it in &mut self.workers {
            if std::mem::take(&mut it.has_tasks) {
                it.wake();
            }
        }
    }

    /// Whether every worker has room for what an order leads to.
    pub(super) fn workers_have_room(&self) -> bool {
        self.workers.iter().all(|it| it.has_room(TASKS_PER_ORDER))
    }

    pub(super) fn all_workers_run(&self) -> bool {
        self.workers.iter().all(|it| !it.reports.is_abandoned())
    }

    /// Ends all of them.
    pub(super) fn end_workers(&mut self, threads: Vec<JoinHandle<()>>) {
        for it in &mut self.workers {
            while !it.tasks.is_abandoned() && it.tasks.push(Task::Quit).is_err() {
                // A full ring; the worker makes room.
                it.wake();
                std::thread::yield_now();
            }
            it.wake();
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("A media worker panicked.");
            }
        }
    }

    /// What all legs cost, in plain ones.
    pub(super) fn taken(&self) -> usize {
        self.workers.iter().map(WorkerEnd::weight).sum()
    }

    pub(super) fn add_leg(&mut self, leg: LegId, entry: Entry) {
        let (worker, context) = (entry.slot.worker, entry.context);
        self.contexts.entry(context).or_insert(Home { worker, n_legs: 0 }).n_legs += 1;
        if let Some(it) = self.end_of_mut(worker) {
            it.weighs(it.weight() + entry.weight);
            it.counters.legs.fetch_add(1, Relaxed);
        }
        self.legs.insert(leg, entry);
    }

    pub(super) fn remove_leg(&mut self, leg: LegId) -> Option<Entry> {
        let entry = self.legs.remove(&leg)?;
        if let Some(home) = self.contexts.get_mut(&entry.context) {
            home.n_legs -= 1;
            if home.n_legs == 0 {
                self.contexts.remove(&entry.context);
            }
        }
        if let Some(it) = self.end_of_mut(entry.slot.worker) {
            it.weighs(it.weight().saturating_sub(entry.weight));
            it.counters.legs.fetch_sub(1, Relaxed);
        }
        Some(entry)
    }

    /// A leg is what was agreed on.
    pub(super) fn weigh(&mut self, leg: LegId, weight: usize) {
        let Some(entry) = self.legs.get_mut(&leg) else { return };
        let (before, worker) = (std::mem::replace(&mut entry.weight, weight), entry.slot.worker);
        if let Some(it) = self.end_of_mut(worker) {
            it.weighs((it.weight() + weight).saturating_sub(before));
        }
    }

    /// Those of these legs that live and are in this context. The others cannot be heard in it.
    pub(super) fn in_context(&self, context: ContextId, legs: &[LegId]) -> Vec<Slot> {
        let living = legs.iter().filter_map(|it| self.legs.get(it));
        let (here, elsewhere): (Vec<_>, Vec<_>) = living.partition(|it| it.context == context);
        for _ in elsewhere {
            self.refuse_mix();
        }
        here.into_iter().map(|it| it.slot).collect()
    }

    /// A leg, if it can be recorded by this worker.
    pub(super) fn on_worker(&self, worker: u8, leg: LegId) -> Option<Slot> {
        let slot = self.slot(leg)?;
        if slot.worker != worker {
            self.refuse_mix();
        }
        Some(slot).filter(|it| it.worker == worker)
    }

    fn refuse_mix(&self) {
        tracing::error!("Legs of two calls cannot hear each other: that is left out.");
        count(&self.counters.mixes_refused);
    }
}

/// A worker's ends of the recorder's rings.
pub(super) type Tapes = (Consumer<Filled>, Producer<Block>);

/// Workers that run, and what the recorder hears of them.
pub(super) struct Started {
    pub(super) ends: Vec<WorkerEnd>,
    pub(super) tapes: Vec<Tapes>,
    pub(super) threads: Vec<JoinHandle<()>>,
}

/// Starts a worker for each stock of blocks, on the intake that is asked for or on the best there
/// is.
pub(super) fn start(
    config: &MediaConfig,
    stocks: Vec<Vec<Block>>,
    desk: &Wake,
    counters: &Arc<Counters>,
) -> io::Result<Started> {
    let ask = || Granted::ask(config.address, config.ports.clone(), stocks.len());
    let granted = match config.intake {
        IntakeChoice::Sockets => None,
        IntakeChoice::Lookup => Some(ask()?),
        IntakeChoice::Auto => ask()
            .inspect_err(|error| {
                tracing::warn!(%error, "No sk_lookup for RTP: a socket a leg costs more.");
            })
            .ok(),
    };
    counters.sk_lookup.store(granted.is_some().into(), Relaxed);
    if granted.is_some() {
        tracing::info!("RTP comes in by sk_lookup, one socket a worker for all its legs.");
    }
    let cores = if config.pin { priority::cores() } else { Vec::new() };
    let (mut granted, mut cores) = (granted.into_iter().flatten(), cores.into_iter().cycle());
    let mut it = Started { ends: Vec::new(), tapes: Vec::new(), threads: Vec::new() };
    for (own, stock) in counters.workers.iter().zip(stocks) {
        let (tasks, worker_tasks) = ring(TASKS_MAX);
        let (worker_reports, reports) = ring(REPORTS_MAX);
        let (worker_handovers, handovers) = ring(HANDOVERS_MAX);
        let (filled, recorder_filled) = ring(stock.len() + config.legs_max);
        let (recorder_empties, empties) = ring(stock.len());
        let wake = Wake::new()?;
        let rings = Rings {
            tasks: worker_tasks,
            reports: worker_reports,
            filled,
            empties,
            stock,
            handovers: worker_handovers,
            desk: desk.clone(),
        };
        let (legs_max, counters) = (config.legs_max, Arc::clone(counters));
        let hands = Hands { legs_max, rings, own: Arc::clone(own), counters, core: cores.next() };
        it.threads.push(if let Some(granted) = granted.next() {
            let (wake, counters) = (wake.clone(), Arc::clone(&hands.counters));
            hands.start(move || Lookup::new(granted, legs_max, wake, counters))?
        } else {
            let intake = Sockets::new(legs_max, wake.clone())?;
            hands.start(move || intake)?
        });
        it.tapes.push((recorder_filled, recorder_empties));
        let (has_tasks, shared, counters) = (false, None, Arc::clone(own));
        it.ends.push(WorkerEnd { tasks, reports, handovers, wake, has_tasks, shared, counters });
    }
    Ok(it)
}

/// A ring of so many, all of whose memory is there. What is touched for the first time may have to
/// be fetched from the kernel, which a worker would wait for; and memory that grows until a ring
/// has gone round once looks like a leak.
fn ring<T>(n: usize) -> (Producer<T>, Consumer<T>) {
    let (mut into, out) = RingBuffer::new(n);
    if let Ok(mut chunk) = into.write_chunk_uninit(n) {
        let (whole, rest) = chunk.as_mut_slices();
        whole.fill_with(MaybeUninit::zeroed);
        rest.fill_with(MaybeUninit::zeroed);
    }
    (into, out)
}

/// Blocks for one worker: as if all legs were its own.
pub(super) const fn blocks_a_worker(legs_max: usize) -> usize {
    legs_max.saturating_mul(BLOCKS_A_LEG)
}

/// What a worker of either intake is made of.
struct Hands {
    legs_max: usize,
    rings: Rings,
    own: Arc<WorkerCounters>,
    counters: Arc<Counters>,
    core: Option<usize>,
}

impl Hands {
    fn start<I: Intake>(
        self,
        intake: impl FnOnce() -> I + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let Self { legs_max, rings, own, counters, core } = self;
        let name = format!("media-worker-{}", own.number);
        spawn(&name, move || Worker::new(intake(), legs_max, rings, own, counters).run(core))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_rings_memory_is_there_before_anything_is_said_through_it() {
        let resident = || -> usize {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|it| it.strip_prefix("RssAnon:")).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let before = resident();
        let (_into, mut out) = ring::<[u64; 128]>(64 << 10);
        // What others free meanwhile is less than half of 64 MiB.
        assert!(resident() > before + (32 << 10), "{before} and then {} kB", resident());
        out.pop().unwrap_err();
    }
}
