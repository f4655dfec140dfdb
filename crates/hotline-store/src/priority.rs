//! Which of this crate's threads go before others, where it is permitted (`CAP_SYS_NICE`).

use rustix::{
    process::{getpriority_process, setpriority_process},
    thread::gettid,
};

/// Of the journal's thread, like the engine's that decides: what a call says leaves the house when
/// its record is safe, and no call is admitted while too much waits for that.
const URGENT: i32 = -10;

/// Of a thread that looks at every record, while people talk: as the engine's other threads that
/// may wait.
const PATIENT: i32 = 10;

/// For the calling thread.
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

#[cfg(test)]
pub(crate) mod tests {
    use std::{fs, sync::mpsc, thread};

    use tempfile::TempDir;

    use super::*;
    use crate::{Journal, JournalConfig};

    /// How far each thread of this name stands back (proc(5): the 19th value of `stat`).
    pub(crate) fn nices_of(name: &str) -> Vec<i32> {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let stats = tasks.filter_map(|it| fs::read_to_string(it.unwrap().path().join("stat")).ok());
        let of_name = stats.filter(|it| it.contains(&format!("({name}")));
        let nice = |it: String| it.rsplit(") ").next()?.split(' ').nth(16)?.parse().ok();
        of_name.filter_map(nice).collect()
    }

    #[test]
    fn the_journal_goes_before_others_where_that_is_permitted() {
        let dir = TempDir::new().unwrap();
        let opened = Journal::open(JournalConfig::new(dir.path().to_owned())).unwrap();
        let (tell, told) = mpsc::channel();
        let done = Box::new(move |_| tell.send(()).unwrap());
        opened.journal.append(Vec::new(), done).unwrap();
        told.recv().unwrap();
        let raised = || {
            raise();
            getpriority_process(Some(gettid())).unwrap()
        };
        let raised = thread::spawn(raised).join().unwrap();
        let nices = nices_of("journal");
        assert!(nices.contains(&raised), "{nices:?}, {raised}");
    }
}
