//! What the kernel makes of the wish of worker and desk to go before others.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rustix::thread::{CapabilitySet, capabilities};

use super::rig::Rig;
use crate::priority;

/// Timers may be late by a microsecond (media paper 4).
const SLACK_NS: u32 = 1_000;

/// Policy and nice value of a task of this process (proc(5)).
fn standing(task: &str) -> Option<(String, String)> {
    let text = fs::read_to_string(format!("/proc/self/task/{task}/stat")).ok()?;
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect();
    Some((fields.get(38)?.clone(), fields.get(16)?.clone()))
}

/// By how many nanoseconds its timers may be late, as far as that may be asked.
fn slack(task: &str) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{task}/timerslack_ns")).ok()?;
    Some(text.trim().parse().unwrap())
}

fn tasks(name: &str) -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|it| it.unwrap().path());
    let is_named = |it: &std::path::PathBuf| {
        fs::read_to_string(it.join("comm")).is_ok_and(|it| it.starts_with(name))
    };
    tasks.filter(is_named).map(|it| it.file_name().unwrap().display().to_string()).collect()
}

/// What the kernel makes of it in a thread of its own.
fn granted(ask: fn()) -> (String, String) {
    let asked = thread::spawn(move || {
        ask();
        let own = fs::read_link("/proc/thread-self").unwrap();
        standing(&own.file_name().unwrap().display().to_string()).unwrap()
    });
    asked.join().unwrap()
}

#[test]
fn the_desk_goes_before_others_and_so_do_those_who_record_but_after_it() {
    let (desk, recording) = (granted(priority::urge), granted(priority::keep_up));
    let _rig = Rig::new();
    let end = Instant::now() + Duration::from_secs(10);
    let record = ["media-recorder", "media-writer", "media-syncer", "media-sealer"];
    let all = record.map(|it| (it, &recording)).into_iter().chain([("media-desk", &desk)]);
    for (name, granted) in all {
        while !tasks(name).iter().any(|it| standing(it).as_ref() == Some(granted)) {
            assert!(Instant::now() < end, "no {name} has {granted:?}");
            thread::yield_now();
        }
    }
    let usual = standing(&std::process::id().to_string()).unwrap();
    let nice = |it: &(String, String)| it.1.parse::<i32>().unwrap();
    // Where nobody may be raised all are alike.
    let is_raised = desk != usual;
    assert_eq!(nice(&desk) < nice(&recording) && nice(&recording) < nice(&usual), is_raised);
}

#[test]
fn the_worker_goes_first_though_nobody_reads_its_log() {
    let granted = thread::spawn(|| {
        priority::raise();
        let own = fs::read_link("/proc/thread-self").unwrap();
        let own = own.file_name().unwrap().display().to_string();
        assert!(slack(&own).is_some_and(|it| it <= SLACK_NS));
        standing(&own).unwrap()
    });
    let granted = granted.join().unwrap();
    let _rig = Rig::new();
    let end = Instant::now() + Duration::from_secs(10);
    let is_first = |it: &String| {
        standing(it).as_ref() == Some(&granted) && slack(it).is_none_or(|it| it <= SLACK_NS)
    };
    while !tasks("media-worker").iter().any(is_first) {
        assert!(Instant::now() < end, "no worker has {granted:?}");
        thread::yield_now();
    }
}

/// Kibibytes of this process that are never swapped out.
fn locked() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|it| it.strip_prefix("VmLck:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn memory_is_locked_where_that_is_permitted_and_only_then_said_to_be() {
    let rig = Rig::with(|it| it.pin = true);
    let may = capabilities(None).unwrap().effective.contains(CapabilitySet::IPC_LOCK);
    let is_locked = rig.media.counters().memory_locked;
    assert!(is_locked || !may);
    assert_eq!(is_locked, locked() > 0);
}
