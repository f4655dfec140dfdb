//! Threads more urgent than any of the engine's, one on each core. When one has to wait, the machine
//! stood still: its host took a core away, and nobody could have sent a packet from there.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// How often each looks at the clock.
const EVERY: Duration = Duration::from_millis(2);

/// Less is no standing still: half of what makes a media worker miss a round.
const STILL: Duration = Duration::from_millis(20);

/// Above the media workers, which have 10.
const URGENT: u8 = 50;

/// One for each core that this thread may use, until it is dropped.
#[derive(Debug)]
pub struct Canaries {
    seen: Arc<Mutex<Vec<Absence>>>,
    each: Vec<(mpsc::Sender<()>, JoinHandle<()>)>,
}

/// A core was away, for 20 ms or more.
#[derive(Clone, Copy, Debug)]
pub struct Absence {
    pub core: usize,
    pub since: SystemTime,
    pub lasted: Duration,
}

impl Canaries {
    /// Where real time is not permitted they wait with everybody else, and see absences that are
    /// none. Without a core that may be asked for there are none.
    pub fn start() -> Self {
        let seen = Arc::<Mutex<Vec<Absence>>>::default();
        let allowed = sched_getaffinity(None).unwrap_or_default();
        let cores = (0..CpuSet::MAX_CPU).filter(|it| allowed.is_set(*it));
        let each = cores.map(|core| {
            let (stop, stopped) = mpsc::channel();
            let seen = Arc::clone(&seen);
            (stop, thread::spawn(move || sing(core, &stopped, &seen)))
        });
        let each = each.collect();
        Self { seen, each }
    }

    /// What was seen since this was asked last, in the order in which it ended.
    pub fn absences(&self) -> Vec<Absence> {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For how long cores were away in all since this was asked last.
    pub fn away(&self) -> Duration {
        self.absences().iter().map(|it| it.lasted).sum()
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        for (stop, thread) in self.each.drain(..) {
            drop(stop);
            // One that panicked has said so already.
            drop(thread.join());
        }
    }
}

fn sing(core: usize, stopped: &mpsc::Receiver<()>, seen: &Mutex<Vec<Absence>>) {
    be_urgent(core);
    let mut before = Instant::now();
    while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let now = Instant::now();
        let lasted = now.duration_since(before).saturating_sub(EVERY);
        if lasted >= STILL {
            let since = SystemTime::now() - lasted;
            let absence = Absence { core, since, lasted };
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(absence);
        }
        before = now;
    }
}

/// As far as it is permitted.
fn be_urgent(core: usize) {
    let mut only = CpuSet::new();
    only.set(core);
    let _refused = sched_setaffinity(None, &only);
    let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    if let Ok(urgent) = ThreadPriorityValue::try_from(URGENT) {
        let urgent = ThreadPriority::Crossplatform(urgent);
        drop(set_thread_priority_and_policy(thread_native_id(), urgent, fifo));
    }
}
