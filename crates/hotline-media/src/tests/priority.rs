//! What the kernel makes of the worker's wish to go first.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use super::rig::Rig;
use crate::priority;

/// Policy and nice value of a task of this process (proc(5)).
fn standing(task: &str) -> Option<(String, String)> {
    let text = fs::read_to_string(format!("/proc/self/task/{task}/stat")).ok()?;
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect();
    Some((fields.get(38)?.clone(), fields.get(16)?.clone()))
}

fn workers() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|it| it.unwrap().path());
    let is_worker = |it: &std::path::PathBuf| {
        fs::read_to_string(it.join("comm")).is_ok_and(|it| it.starts_with("media-worker"))
    };
    tasks.filter(is_worker).map(|it| it.file_name().unwrap().display().to_string()).collect()
}

#[test]
fn the_worker_goes_first_though_nobody_reads_its_log() {
    let granted = thread::spawn(|| {
        priority::raise();
        let own = fs::read_link("/proc/thread-self").unwrap();
        standing(&own.file_name().unwrap().display().to_string()).unwrap()
    });
    let granted = granted.join().unwrap();
    let _rig = Rig::new();
    let end = Instant::now() + Duration::from_secs(10);
    while !workers().iter().any(|it| standing(it).as_ref() == Some(&granted)) {
        assert!(Instant::now() < end, "no worker has {granted:?}");
        thread::yield_now();
    }
}
