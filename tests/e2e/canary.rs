//! Threads more urgent than any of the engine's, one on each core. When one has to wait, the machine
//! stood still: its host took a core away, and nobody could have sent a packet from there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
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

pub(crate) struct Canaries {
    away_us: Arc<AtomicU64>,
    each: Vec<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Canaries {
    pub(crate) fn start() -> Self {
        let away_us = Arc::new(AtomicU64::new(0));
        let allowed = sched_getaffinity(None).unwrap();
        let cores = (0..CpuSet::MAX_CPU).filter(|it| allowed.is_set(*it));
        let each = cores.map(|core| {
            let (stop, stopped) = mpsc::channel();
            let away_us = Arc::clone(&away_us);
            (stop, thread::spawn(move || sing(core, &stopped, &away_us)))
        });
        let each = each.collect();
        Self { away_us, each }
    }

    /// For how long cores were away in all since this was asked last.
    pub(crate) fn away(&self) -> Duration {
        Duration::from_micros(self.away_us.swap(0, Relaxed))
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        for (stop, thread) in self.each.drain(..) {
            drop(stop);
            thread.join().unwrap();
        }
    }
}

fn sing(core: usize, stopped: &mpsc::Receiver<()>, away_us: &AtomicU64) {
    be_urgent(core);
    let mut before = Instant::now();
    while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let now = Instant::now();
        let waited = now.duration_since(before).saturating_sub(EVERY);
        if waited >= STILL {
            away_us.fetch_add(u64::try_from(waited.as_micros()).unwrap(), Relaxed);
        }
        before = now;
    }
}

/// As far as it is permitted; who may not waits with everybody else.
fn be_urgent(core: usize) {
    let mut only = CpuSet::new();
    only.set(core);
    let pinned = sched_setaffinity(None, &only);
    assert!(pinned.is_ok(), "a core that is allowed");
    let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let urgent = ThreadPriority::Crossplatform(ThreadPriorityValue::try_from(URGENT).unwrap());
    drop(set_thread_priority_and_policy(thread_native_id(), urgent, fifo));
}
