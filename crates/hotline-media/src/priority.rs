//! A worker's place in the kernel's queue and on a core, and memory that is not swapped out: a
//! 20 ms tick that waits for compilers or a disk is heard.

use std::num::NonZeroU64;

use hotline_base::media::Scheduling;
use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{Resource, getrlimit, setpriority_process},
    thread::{
        CapabilitySet, CpuSet, capabilities, gettid, sched_getaffinity, sched_setaffinity,
        set_current_timer_slack,
    },
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

/// Between the workers and everybody else, like the thread of the engine that gives the orders: a
/// call is answered when its leg is open, and who waits long for that is refused.
const URGENT: i32 = -10;

/// What is said is written before it is out of the recorder's memory, two seconds later, whatever
/// else the machine has to do; but after what makes calls.
const KEEPING_UP: i32 = -5;

/// Work that can wait for everybody else's.
const PATIENT: i32 = 19;

/// Makes the calling thread go before others, where it is permitted (`CAP_SYS_NICE`), and the
/// threads that it starts.
pub(crate) fn urge() {
    set(URGENT);
}

/// Makes the calling thread go before others, but after those that are urgent.
pub(crate) fn keep_up() {
    set(KEEPING_UP);
}

/// Makes the calling thread wait for all others.
pub(crate) fn lower() {
    set(PATIENT);
}

fn set(nice: i32) {
    if let Err(error) = setpriority_process(Some(gettid()), nice) {
        tracing::debug!(%error, nice, "A thread stays as urgent as the others.");
    }
}

/// Asks for `SCHED_FIFO`, else for a better nice value, else goes on as it is. Says what it got.
pub(crate) fn raise() -> Scheduling {
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
        Scheduling::Fifo
    } else if setpriority_process(Some(gettid()), NICE).is_ok() {
        Scheduling::Nice
    } else {
        Scheduling::Normal
    }
}

/// The cores that workers are pinned to, in their order: from the last one that this process may
/// use down. None where there is only one.
pub(crate) fn cores() -> Vec<usize> {
    let Ok(allowed) = sched_getaffinity(None) else { return Vec::new() };
    let cores: Vec<_> = (0..CpuSet::MAX_CPU).rev().filter(|it| allowed.is_set(*it)).collect();
    if cores.len() > 1 { cores } else { Vec::new() }
}

/// Keeps the calling thread to one core. Says whether it is.
pub(crate) fn pin(core: usize) -> bool {
    let mut only = CpuSet::new();
    only.set(core);
    let pinned = sched_setaffinity(None, &only);
    pinned.inspect_err(|error| tracing::warn!(core, %error, "A worker is not pinned.")).is_ok()
}

/// Keeps what the process uses, now and later, from being swapped out; what it never touches takes
/// no memory. Says whether it is so.
///
/// Without a right to as much as it likes nothing is asked for: beyond a limit every later request
/// for memory would fail.
pub(crate) fn lock_memory() -> bool {
    let may = capabilities(None).is_ok_and(|it| it.effective.contains(CapabilitySet::IPC_LOCK));
    let is_unlimited = getrlimit(Resource::Memlock).current.is_none();
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    (may || is_unlimited) && mlockall(flags).is_ok()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::{
        process::{Rlimit, setrlimit},
        thread::{current_timer_slack, set_capabilities},
    };

    use super::*;

    #[test]
    fn workers_are_pinned_from_the_last_core_down_and_each_to_its_own() {
        let cores = cores();
        assert!(cores.is_sorted_by(|a, b| a > b) && cores.len() != 1);
        for core in cores {
            let found = thread::spawn(move || pin(core).then(cores_of_this_thread)).join();
            assert_eq!(found.unwrap(), Some(vec![core]));
        }
    }

    fn cores_of_this_thread() -> Vec<usize> {
        let allowed = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU).filter(|it| allowed.is_set(*it)).collect()
    }

    /// What a thread without `CAP_SYS_NICE` gets, and by how many nanoseconds its timers may be late.
    fn raised_without_the_right() -> (Scheduling, u64) {
        let raised = thread::spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::SYS_NICE);
            set_capabilities(None, sets).unwrap();
            (raise(), current_timer_slack().unwrap())
        });
        raised.join().unwrap()
    }

    #[test]
    fn without_real_time_a_nice_value_is_had_where_a_limit_permits_it_and_timers_are_punctual() {
        let Rlimit { current, maximum } = getrlimit(Resource::Nice);
        if getrlimit(Resource::Rtprio).current != Some(0) || current != Some(0) {
            // This user may do more than others.
            return assert_eq!(raised_without_the_right().1, 1_000);
        }
        assert_eq!(raised_without_the_right(), (Scheduling::Normal, 1_000));
        // getrlimit(2): 20 less the nice value.
        let limit = Some(u64::try_from(20 - NICE).unwrap());
        let raised = setrlimit(Resource::Nice, Rlimit { current: limit, maximum: limit });
        if raised.is_ok() {
            assert_eq!(raised_without_the_right(), (Scheduling::Nice, 1_000));
            setrlimit(Resource::Nice, Rlimit { current, maximum }).unwrap();
        }
    }
}
