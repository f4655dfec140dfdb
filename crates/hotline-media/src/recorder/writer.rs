//! The writer of a volume: one thread that owns the files on it and waits for its disk, so that
//! nobody else does.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use hotline_base::RecordingId;

use super::{
    Block, EVERY, STUCK,
    marks::Marks,
    room::Room,
    seal::{JOBS_MAX, SealJob, Sealer, Sealing},
    sync::Syncer,
    tape::{Before, TapeFile},
};
use crate::{
    RecorderConfig,
    counters::{Counters, count},
    priority,
    task::Slot,
};

/// How often files are brought to the disk.
const SYNC_EVERY: Duration = Duration::from_millis(300);

/// Recorder → writer.
#[derive(Debug)]
pub(super) enum Job {
    /// A file for a recording from this sample on.
    Begin {
        tape: Slot,
        recording: RecordingId,
        path: String,
        from: u64,
    },
    Block(Block),
    /// The recording goes on elsewhere.
    Leave {
        tape: Slot,
    },
    /// The recording is so many samples long; an earlier part of it may lie elsewhere.
    End {
        tape: Slot,
        samples: u64,
        before: Option<Before>,
    },
}

/// Writer → recorder.
#[derive(Debug)]
pub(super) enum Report {
    /// A block is done with, written or not.
    Empty(Block),
    /// Whether there is room on the volume; when that has changed.
    Room(bool),
    /// The recording's part here is closed.
    Left { tape: Slot, before: Before },
    /// A recording cannot be written; said once.
    Trouble { tape: Slot, recording: RecordingId, reason: String },
    /// It is written again.
    Recovered { tape: Slot },
}

#[derive(Debug)]
pub(super) struct Writer {
    dir: PathBuf,
    jobs: mpsc::Receiver<Job>,
    /// With the volume's number.
    reports: (usize, mpsc::Sender<(usize, Report)>),
    tapes: BTreeMap<Slot, TapeFile>,
    marks: Marks,
    /// Complete, but perhaps not on the disk.
    complete: Vec<SealJob>,
    sealer: thread::JoinHandle<()>,
    syncer: Syncer,
    synced: Instant,
    /// Whether anything was written since.
    dirty: bool,
    room: Room,
    has_room: bool,
    counters: Arc<Counters>,
    #[cfg(test)]
    stall: Option<Arc<std::sync::atomic::AtomicBool>>,
}

impl Writer {
    pub(super) fn new(
        dir: PathBuf,
        config: &RecorderConfig,
        jobs: mpsc::Receiver<Job>,
        reports: (usize, mpsc::Sender<(usize, Report)>),
        sealing: Sealing,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let (seals, inbox) = mpsc::sync_channel(JOBS_MAX);
        let sealer = Sealer::new(dir.clone(), inbox, sealing);
        let sealer =
            thread::Builder::new().name("media-sealer".to_owned()).spawn(move || sealer.run())?;
        Ok(Self {
            syncer: Syncer::start(dir.clone(), seals)?,
            marks: Marks::new(dir.clone()),
            complete: Vec::new(),
            dir,
            jobs,
            tapes: BTreeMap::new(),
            sealer,
            synced: Instant::now(),
            dirty: false,
            room: Room::new(config.min_free),
            has_room: true,
            counters,
            #[cfg(test)]
            stall: config.stall.clone().filter(|_| reports.0 == 0),
            reports,
        })
    }

    pub(super) fn run(mut self) {
        priority::keep_up();
        loop {
            let job = if self.tapes.is_empty() && !self.dirty && self.has_room {
                self.jobs.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
            } else {
                self.jobs.recv_timeout(EVERY)
            };
            self.look();
            match job {
                Ok(job) => self.take(job),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            while let Ok(job) = self.jobs.try_recv() {
                self.take(job);
            }
            self.sync();
        }
        let Self { complete, sealer, syncer, .. } = self;
        if !complete.is_empty() {
            syncer.request_and_wait(complete);
        }
        syncer.end();
        if sealer.join().is_err() {
            tracing::error!("The sealer of recordings panicked.");
        }
    }

    fn say(&self, report: Report) {
        // A recorder that is gone needs no report.
        let _gone = self.reports.1.send((self.reports.0, report));
    }

    fn look(&mut self) {
        let has_room = self.room.is_there(&self.dir);
        if has_room != std::mem::replace(&mut self.has_room, has_room) {
            self.say(Report::Room(has_room));
        }
    }

    fn take(&mut self, job: Job) {
        let began = Instant::now();
        self.carry_out(job);
        if began.elapsed() >= STUCK {
            self.tapes.values_mut().for_each(TapeFile::waited);
        }
    }

    fn carry_out(&mut self, job: Job) {
        #[cfg(test)]
        self.stand_still();
        match job {
            Job::Begin { tape: slot, recording, path, from } => {
                let mut tape = TapeFile::new(&self.dir, recording, path, from);
                if self.has_room {
                    tape.open(&mut self.marks);
                } else {
                    tape.refuse();
                }
                self.dirty = true;
                self.report(slot, &mut tape);
                self.tapes.insert(slot, tape);
            }
            Job::Block(block) => {
                self.look();
                if let Some(mut tape) = self.tapes.remove(&block.tape()) {
                    if self.has_room {
                        tape.write(&block, &mut self.marks);
                    } else {
                        tape.refuse();
                    }
                    self.dirty = true;
                    self.report(block.tape(), &mut tape);
                    self.tapes.insert(block.tape(), tape);
                }
                self.say(Report::Empty(block));
            }
            Job::Leave { tape } => {
                if let Some(it) = self.tapes.remove(&tape) {
                    self.say(Report::Left { tape, before: it.leave() });
                }
            }
            Job::End { tape: slot, samples, before } => {
                if let Some(mut tape) = self.tapes.remove(&slot) {
                    self.look();
                    let job = tape.seal(samples, self.has_room, before, &mut self.marks);
                    self.report(slot, &mut tape);
                    self.complete.extend(job);
                    self.dirty = true;
                }
            }
        }
    }

    fn report(&self, slot: Slot, tape: &mut TapeFile) {
        if let Some(reason) = tape.take_trouble() {
            let recording = tape.recording().clone();
            self.say(Report::Trouble { tape: slot, recording, reason });
        }
        if tape.take_recovery() {
            self.say(Report::Recovered { tape: slot });
        }
    }

    fn sync(&mut self) {
        if !self.dirty || self.synced.elapsed() < SYNC_EVERY {
            return;
        }
        self.synced = Instant::now();
        self.dirty = false;
        let complete = std::mem::take(&mut self.complete);
        if complete.len() >= JOBS_MAX {
            self.syncer.request_and_wait(complete);
        } else if let Err(complete) = self.syncer.request(complete) {
            self.complete = complete;
            self.dirty = true;
            count(&self.counters.syncs_skipped);
        }
    }

    /// As a disk does that does not answer.
    #[cfg(test)]
    fn stand_still(&self) {
        while self.stall.as_ref().is_some_and(|it| it.load(std::sync::atomic::Ordering::Relaxed)) {
            thread::sleep(EVERY);
        }
    }
}
