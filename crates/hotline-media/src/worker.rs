//! A worker: a thread that owns legs and their packets. There are several, and each has calls of
//! its own, whole ones.
//!
//! **Invariant:** no allocation, lock, log or file for a packet. It waits in the kernel only, and
//! for nobody else: a full ring is a counter and a defined loss.

// No lock, no file, no clock but the one that is read once a turn: `clippy.toml` has the lists.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod coder;
mod dictation;
mod floor;
mod latch;
mod leg;
mod load;
mod play;
mod repack;
mod senses;
mod tap;
mod tape;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use hotline_base::MonoTime;
use rtrb::{Consumer, Producer};
use rustix::time::{ClockId, clock_gettime};

pub(crate) use self::{coder::weight, play::Playing, tape::BLOCKS_A_LEG};
use self::{floor::Floor, load::Meter};
use crate::{
    counters::{Counters, WorkerCounters},
    intake::{BATCH, Inbox, Intake},
    priority,
    recorder::{Block, Filled},
    task::{Handover, Report, Task},
    wake::Wake,
};

/// The worker's ends of all rings.
#[derive(Debug)]
pub(crate) struct Rings {
    pub(crate) tasks: Consumer<Task>,
    pub(crate) reports: Producer<Report>,
    pub(crate) filled: Producer<Filled>,
    pub(crate) empties: Consumer<Block>,
    /// All blocks there are.
    pub(crate) stock: Vec<Block>,
    pub(crate) handovers: Producer<Handover>,
    /// Wakes the desk.
    pub(crate) desk: Wake,
}

#[derive(Debug)]
pub(crate) struct Worker<I> {
    intake: I,
    inbox: Inbox,
    floor: Floor,
    tasks: Consumer<Task>,
    epoch: Instant,
    meter: Meter,
    /// The last round.
    before: MonoTime,
    own: Arc<WorkerCounters>,
}

/// Wakes the desk when the worker ends, also by a panic.
struct Farewell(Wake);

impl<I: Intake> Worker<I> {
    #[expect(clippy::disallowed_methods, reason = "the beginning of its clock")]
    pub(crate) fn new(
        intake: I,
        legs_max: usize,
        rings: Rings,
        own: Arc<WorkerCounters>,
        counters: Arc<Counters>,
    ) -> Self {
        let Rings { tasks, reports, filled, empties, stock, handovers, desk } = rings;
        let out = floor::Out::new(reports, filled, (empties, stock), desk, counters);
        let floor = Floor::new(legs_max, out.with_handovers(handovers).with_own(Arc::clone(&own)));
        let (inbox, epoch, meter) = (Inbox::new(), Instant::now(), Meter::default());
        let before = MonoTime::default();
        Self { intake, inbox, floor, tasks, epoch, meter, before, own }
    }

    /// On this core, if it may.
    pub(crate) fn run(mut self, core: Option<usize>) {
        let _farewell = Farewell(self.floor.out.desk.clone());
        let (number, scheduling) = (self.own.number, priority::raise());
        let core = core.filter(|it| priority::pin(*it));
        let standing = (scheduling, core.and_then(|it| u32::try_from(it).ok()));
        let _once = self.own.standing.set(standing);
        tracing::info!(number, ?scheduling, core, "A media worker runs.");
        while self.turn() {}
    }

    /// Waits for what is next and does it. `false` once everything is over.
    pub(crate) fn turn(&mut self) -> bool {
        let due = self.floor.due();
        let catches_up = self.floor.is_catching_up();
        let wait = due.map(|it| it.since(self.now()));
        let timeout = if catches_up { Some(Duration::ZERO) } else { wait };
        if let Err(error) = self.intake.fill(&mut self.inbox, timeout) {
            // Only a broken descriptor comes here; the process is started anew.
            tracing::error!(%error, "The media worker cannot wait for packets.");
            return false;
        }
        let now = self.now();
        let before = std::mem::replace(&mut self.before, now);
        if let Some(due) = due.filter(|it| *it <= now)
            && self.meter.due(now.since(due), &self.own)
        {
            self.floor.begin_catching_up(before, now);
            self.intake.empty_queues(true);
        }
        if self.meter.publish(now, processor_time, &self.own) {
            self.own.system_calls.store(self.intake.system_calls(), Relaxed);
        }
        self.floor.know_load(self.meter.busy_percent());
        // Orders first: a packet that was sent after an order was confirmed meets its effect. The
        // ring is looked at whether there was a wake or not, which may come while packets are read.
        while let Ok(task) = self.tasks.pop() {
            if !self.floor.carry_out(task, &mut self.intake, now) {
                self.floor.out.flush();
                return false;
            }
        }
        let is_full = self.inbox.arrivals().len() == BATCH;
        self.floor.fetch(self.inbox.arrivals());
        for (arrival, datagram) in self.inbox.drain() {
            self.floor.receive(arrival, datagram, &mut self.intake, now);
        }
        // What was read in the round that was missed itself tells nothing of the queues.
        if catches_up && self.floor.catch_up(!is_full, &mut self.intake, now) {
            self.intake.empty_queues(false);
        }
        if self.floor.is_report_time(now) {
            self.intake.fill_reports(&mut self.inbox);
            for (arrival, datagram) in self.inbox.drain() {
                self.floor.hear(arrival, datagram, &mut self.intake, now);
            }
        }
        self.floor.handle_timeout(&mut self.intake, now);
        self.intake.flush();
        self.floor.out.flush();
        true
    }

    fn now(&self) -> MonoTime {
        MonoTime::default() + self.epoch.elapsed()
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// Of this thread, in the kernel and outside.
fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

/// Length of a tick.
const TICK: Duration = Duration::from_millis(20);
