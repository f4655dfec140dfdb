//! A disk that does not answer, and a second one.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use hotline_base::media::{GapWhy, Recorded};

use super::{
    rig::Rig,
    tapes::{Talk, read, sounds},
};
use crate::{recorder::n_open, repair};

/// An alarm comes this soon.
const ALARM: Duration = Duration::from_secs(5);

/// A rig with two volumes, whose first one stands still when told to.
fn rig() -> (Rig, Arc<AtomicBool>) {
    let stall = Arc::new(AtomicBool::new(false));
    let ours = Arc::clone(&stall);
    let rig = Rig::with(|it| {
        it.recorder.stall = Some(ours);
        it.recorder.second_dir = Some(it.recording_dir.with_extension("second"));
    });
    (rig, stall)
}

#[test]
fn a_disk_that_stands_still_costs_nothing_when_there_is_another() {
    let (rig, stall) = rig();
    let mut talk = Talk::new(rig);
    talk.record("r-1", "day/r-1.wav");
    talk.talk(1_000);
    stall.store(true, Relaxed);
    talk.talk(3_000);
    // Nobody stopped talking.
    talk.caller.take_in();
    talk.agent.take_in();
    assert!(talk.caller.heard.len() > 8 * 3_500 && talk.agent.heard.len() > 8 * 3_500);
    stall.store(false, Relaxed);
    talk.talk(500);
    let recorded = talk.stop("r-1");
    assert!(recorded.duration_ms >= 4_400, "{} ms", recorded.duration_ms);
    assert!(recorded.gap_ms <= 500, "{} ms are missing", recorded.gap_ms);
    let (first, second) = (talk.rig.dir.recordings(), talk.rig.dir.0.join("recordings.second"));
    let (left, right) = read(&second.join("day/r-1.wav"));
    assert_eq!(recorded.duration_ms, left.len() as u64 / 8);
    assert!(sounds(&left, &talk.caller) && sounds(&right, &talk.agent));
    assert!(!first.join("day/r-1.wav").exists(), "it is one file again");
    assert_eq!((n_open(&first), n_open(&second)), (0, 0));

    // The disk is well, and the next recording goes where it belongs.
    talk.record("r-2", "day/r-2.wav");
    talk.talk(300);
    talk.stop("r-2");
    read(&first.join("day/r-2.wav"));
}

#[test]
fn a_recording_is_whole_when_the_first_disk_never_comes_back() {
    let (rig, stall) = rig();
    let mut talk = Talk::new(rig);
    talk.record("r-1", "r-1.wav");
    talk.talk(1_000);
    stall.store(true, Relaxed);
    talk.talk(2_500);
    let recorded = talk.stop("r-1");
    let second = talk.rig.dir.0.join("recordings.second");
    let (left, _) = read(&second.join("r-1.wav"));
    assert_eq!(recorded.duration_ms, left.len() as u64 / 8);
    assert!(recorded.duration_ms >= 3_400, "{} ms", recorded.duration_ms);
    assert!((900..2_900).contains(&recorded.gap_ms), "{} ms", recorded.gap_ms);
    let gap = usize::try_from(recorded.gap_ms * 8).unwrap();
    assert!(
        left[..gap].iter().all(|it| it.unsigned_abs() <= 8) && sounds(&left[gap..], &talk.caller)
    );
    stall.store(false, Relaxed);
    // What lies on the first disk is nobody's recording any more.
    let dirs = [talk.rig.dir.recordings(), second];
    let Talk { rig, .. } = talk;
    rig.media.shutdown();
    assert_eq!(repair(&dirs).unwrap(), []);
    assert!(!dirs[0].join("r-1.wav").exists() && dirs[1].join("r-1.wav").exists());
}

/// The only disk stands still for 4.5 s of a talk in a process with so many legs.
fn stands_still_alone(legs_max: usize) -> Recorded {
    let stall = Arc::new(AtomicBool::new(false));
    let ours = Arc::clone(&stall);
    let mut talk = Talk::new(Rig::with(|it| {
        it.recorder.stall = Some(ours);
        it.legs_max = legs_max;
    }));
    talk.record("r-1", "r-1.wav");
    talk.talk(600);
    let began = Instant::now();
    stall.store(true, Relaxed);
    talk.talk(2_000);
    talk.until_failed("r-1");
    assert!(began.elapsed() < ALARM, "{:?}", began.elapsed());
    talk.talk(2_500);
    talk.caller.take_in();
    assert!(talk.caller.heard.len() > 8 * 4_500, "the talk goes on");
    stall.store(false, Relaxed);
    talk.talk(1_500);
    talk.until_recovered("r-1");
    let recorded = talk.stop("r-1");
    let (left, _) = read(&talk.rig.dir.recordings().join("r-1.wav"));
    assert_eq!(recorded.duration_ms, left.len() as u64 / 8);
    assert!(sounds(&left[left.len() - 8_000..], &talk.caller), "it is recorded again");
    recorded
}

#[test]
fn a_disk_that_stands_still_alone_is_an_alarm_and_a_gap_when_every_block_waits_for_it() {
    let recorded = stands_still_alone(3);
    assert!(recorded.n_gaps >= 1 && recorded.gap_ms < 4_500, "{recorded:?}");
    let gaps = &recorded.measured.as_ref().unwrap().gaps;
    assert!(gaps.iter().all(|it| (it.why, it.channel) == (GapWhy::Disk, None)), "{gaps:?}");
}

#[test]
fn a_disk_that_stands_still_alone_costs_nothing_while_few_are_recorded() {
    let recorded = stands_still_alone(16);
    assert_eq!((recorded.n_gaps, recorded.gap_ms), (0, 0), "{recorded:?}");
}

#[test]
fn a_file_that_cannot_be_written_goes_on_on_the_second_volume_without_an_alarm() {
    let (rig, _) = rig();
    let mut talk = Talk::new(rig);
    let first = talk.rig.dir.recordings();
    fs::create_dir_all(&first).unwrap();
    symlink("/dev/full", first.join("r-1.wav")).unwrap();
    talk.record("r-1", "r-1.wav");
    talk.talk(1_000);
    // The next event is the seal.
    let recorded = talk.stop("r-1");
    let (left, right) = read(&talk.rig.dir.0.join("recordings.second/r-1.wav"));
    assert_eq!(recorded.duration_ms, left.len() as u64 / 8);
    assert!(
        recorded.gap_ms <= 500 && sounds(&left, &talk.caller) && sounds(&right, &talk.agent),
        "{recorded:?}"
    );
}
