//! A worker's place in the kernel's queue: a 20 ms tick that waits for compilers is heard.

use std::num::NonZeroU64;

use rustix::{
    process::setpriority_process,
    thread::{gettid, set_current_timer_slack},
};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Low among real-time threads; the kernel's throttling keeps a spinning bug from freezing the
/// machine.
const FIFO: u8 = 10;

/// When real time is refused.
const NICE: i32 = -15;

/// Work that can wait for everybody else's.
const PATIENT: i32 = 19;

/// Makes the calling thread wait for all others.
pub(crate) fn lower() {
    if let Err(error) = setpriority_process(Some(gettid()), PATIENT) {
        tracing::debug!(%error, "A thread stays as urgent as the others.");
    }
}

/// Asks for `SCHED_FIFO`, else for a better nice value, else goes on as it is. Says what it got.
pub(crate) fn raise() -> &'static str {
    let slack = NonZeroU64::new(1_000).map(|it| set_current_timer_slack(Some(it)));
    if let Some(Err(error)) = slack {
        tracing::debug!(%error, "Timer slack stays as it is.");
    }
    let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let real_time = ThreadPriorityValue::try_from(FIFO).is_ok_and(|it| {
        let priority = ThreadPriority::Crossplatform(it);
        set_thread_priority_and_policy(thread_native_id(), priority, fifo).is_ok()
    });
    if real_time {
        "fifo"
    } else if setpriority_process(Some(gettid()), NICE).is_ok() {
        "nice"
    } else {
        "normal"
    }
}
