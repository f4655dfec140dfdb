//! Who goes first when there are fewer processors than work: a call that is made before one that is
//! written down.

use rustix::{
    process::{getpriority_process, setpriority_process},
    thread::gettid,
};

/// Of the thread that decides, where it is permitted (`CAP_SYS_NICE`).
const URGENT: i32 = -10;

/// Of the threads that carry records out of the journal, which keeps them meanwhile, and of those
/// that let peers in by TLS.
const PATIENT: i32 = 10;

/// For the calling thread, and the threads that it starts.
pub(crate) fn raise() {
    set(URGENT);
}

/// The same. An engine that stands back as a whole has threads that do so even more.
pub(crate) fn lower() {
    set(getpriority_process(Some(gettid())).map_or(PATIENT, |it| it.max(PATIENT)));
}

fn set(nice: i32) {
    if let Err(error) = setpriority_process(Some(gettid()), nice) {
        tracing::debug!(%error, nice, "A thread stays as urgent as the others.");
    }
}
