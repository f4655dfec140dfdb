//! The recorder: one thread that turns blocks into files.
//!
//! A file is a valid WAV at any instant: audio is written first, then the header that counts it.
//! Blocks are 200 ms, wait at most 200 ms for stragglers, are looked for every 50 ms, and all files
//! are synced together every 300 ms: after a kill half a second is missing, after a power loss less
//! than a whole one, with what is left for the disk itself.

mod repair;
mod room;
mod seal;
mod sync;
mod tape;
mod verify;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use hotline_base::{
    RecordingId,
    media::{Channel, Event},
};
use hotline_dsp::g711::ALAW_SILENCE;
use rtrb::{Consumer, Producer, PushError};

pub use self::{
    repair::{Repaired, repair},
    verify::{FileState, Verified, verify},
};
use self::{
    room::Room,
    seal::{JOBS_MAX, SealJob, Sealer},
    sync::Syncer,
    tape::TapeFile,
};
use crate::{counters::Counters, task::Slot, wake::Wake};

/// Samples of a block (200 ms).
pub(crate) const BLOCK: usize = 1_600;

/// How often blocks are looked for while anything is recorded.
const EVERY: Duration = Duration::from_millis(50);

/// How often files are brought to the disk.
const SYNC_EVERY: Duration = Duration::from_millis(300);

/// 200 ms of both sides, in A-law.
#[derive(Debug)]
pub(crate) struct Block {
    tape: Slot,
    start: u64,
    /// Samples that count.
    pub(crate) len: usize,
    sides: Box<Sides>,
}

#[derive(Debug)]
struct Sides {
    left: [u8; BLOCK],
    right: [u8; BLOCK],
}

/// Worker → recorder.
#[derive(Debug)]
pub(crate) enum Filled {
    Block(Block),
    /// The tape is `samples` long; no block of it follows.
    End {
        tape: Slot,
        samples: u64,
    },
}

/// Desk → recorder.
#[derive(Debug)]
pub(crate) enum Errand {
    Start {
        tape: Slot,
        recording: RecordingId,
        path: String,
    },
    /// The worker is gone: seal what there is, and end.
    Quit,
}

/// Recorder and sealer → desk.
#[derive(Clone, Debug)]
pub(crate) struct Outcomes {
    events: mpsc::Sender<Event>,
    desk: Wake,
}

/// The recorder's ends of all channels.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) errands: mpsc::Receiver<Errand>,
    pub(crate) filled: Consumer<Filled>,
    pub(crate) empties: Producer<Block>,
    pub(crate) outcomes: Outcomes,
}

#[derive(Debug)]
pub(crate) struct Recorder {
    dir: PathBuf,
    ends: Ends,
    tapes: BTreeMap<Slot, TapeFile>,
    jobs: mpsc::SyncSender<SealJob>,
    sealer: thread::JoinHandle<()>,
    syncer: Syncer,
    synced: Instant,
    /// Whether anything was written since.
    dirty: bool,
    room: Room,
    counters: Arc<Counters>,
}

impl Block {
    /// An empty one.
    pub(crate) fn silent() -> Self {
        let sides = Sides { left: [ALAW_SILENCE; BLOCK], right: [ALAW_SILENCE; BLOCK] };
        let tape = Slot { index: 0, generation: 0 };
        Self { tape, start: 0, len: 0, sides: Box::new(sides) }
    }

    /// Makes it a silent block of `tape` that starts at this sample.
    pub(crate) fn begin(&mut self, tape: Slot, start: u64) {
        self.tape = tape;
        self.start = start;
        self.len = BLOCK;
        self.sides.left.fill(ALAW_SILENCE);
        self.sides.right.fill(ALAW_SILENCE);
    }

    #[cfg(test)]
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    pub(crate) fn channel(&mut self, channel: Channel) -> &mut [u8] {
        match channel {
            Channel::Left => &mut self.sides.left,
            Channel::Right => &mut self.sides.right,
        }
    }
}

impl Outcomes {
    pub(crate) const fn new(events: mpsc::Sender<Event>, desk: Wake) -> Self {
        Self { events, desk }
    }

    fn say(&self, event: Event) {
        // A desk that is gone needs no event.
        if self.events.send(event).is_ok() {
            self.desk.wake();
        }
    }
}

impl Recorder {
    pub(crate) fn new(dir: PathBuf, ends: Ends, counters: Arc<Counters>) -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::sync_channel(JOBS_MAX);
        let sealer = Sealer::new(dir.clone(), inbox, ends.outcomes.clone());
        let sealer =
            thread::Builder::new().name("media-sealer".to_owned()).spawn(move || sealer.run())?;
        Ok(Self {
            syncer: Syncer::start(dir.clone())?,
            dir,
            ends,
            tapes: BTreeMap::new(),
            jobs,
            sealer,
            synced: Instant::now(),
            dirty: false,
            room: Room::new(),
            counters,
        })
    }

    pub(crate) fn run(mut self) {
        self.repair();
        loop {
            let errand = if self.tapes.is_empty() {
                self.ends.errands.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
            } else {
                self.ends.errands.recv_timeout(EVERY)
            };
            match errand {
                Ok(Errand::Start { tape, recording, path }) => self.begin(tape, recording, path),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(Errand::Quit) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            self.write();
            self.sync();
        }
        self.write();
        for (_, mut tape) in std::mem::take(&mut self.tapes) {
            let written = tape.written();
            self.seal(&mut tape, written);
        }
        let Self { jobs, sealer, syncer, .. } = self;
        syncer.end();
        drop(jobs);
        if sealer.join().is_err() {
            tracing::error!("The sealer of recordings panicked.");
        }
    }

    /// Recordings that a killed process left are sealed before anything else.
    fn repair(&self) {
        match repair(&self.dir) {
            Ok(repaired) => {
                for it in repaired {
                    tracing::warn!(recording = %it.recorded.recording, "Recording repaired.");
                    self.ends.outcomes.say(Event::Recorded(it.recorded));
                }
            }
            Err(error) => tracing::error!(%error, "Recordings cannot be repaired."),
        }
    }

    fn begin(&mut self, slot: Slot, recording: RecordingId, path: String) {
        let mut tape = TapeFile::new(&self.dir, recording, path);
        if self.room.is_there(&self.dir) {
            tape.open();
        } else {
            tape.refuse();
        }
        self.dirty = true;
        report(&mut tape, &self.ends.outcomes);
        self.tapes.insert(slot, tape);
    }

    fn write(&mut self) {
        let room = self.room.is_there(&self.dir);
        while let Ok(filled) = self.ends.filled.pop() {
            match filled {
                Filled::Block(block) => {
                    if let Some(tape) = self.tapes.get_mut(&block.tape) {
                        if room {
                            tape.write(&block);
                        } else {
                            tape.refuse();
                        }
                        self.dirty = true;
                        report(tape, &self.ends.outcomes);
                    }
                    if let Err(PushError::Full(block)) = self.ends.empties.push(block) {
                        debug_assert!(false, "the ring holds every block there is");
                        drop(block);
                    }
                }
                Filled::End { tape, samples } => {
                    if let Some(mut tape) = self.tapes.remove(&tape) {
                        self.seal(&mut tape, samples);
                    }
                }
            }
        }
    }

    fn seal(&mut self, tape: &mut TapeFile, samples: u64) {
        let job = tape.seal(samples, self.room.is_there(&self.dir));
        report(tape, &self.ends.outcomes);
        let Some(job) = job else { return };
        if self.jobs.send(job).is_err() {
            tracing::error!("The sealer of recordings is gone.");
        }
    }

    fn sync(&mut self) {
        if !self.dirty || self.synced.elapsed() < SYNC_EVERY {
            return;
        }
        self.synced = Instant::now();
        self.dirty = false;
        if !self.syncer.request() {
            self.dirty = true;
            crate::counters::count(&self.counters.syncs_skipped);
        }
    }
}

/// Says once that a recording has trouble.
fn report(tape: &mut TapeFile, outcomes: &Outcomes) {
    if let Some(reason) = tape.take_trouble() {
        let recording = tape.recording().clone();
        tracing::error!(%recording, reason, "A recording cannot be written.");
        outcomes.say(Event::RecordFailed { recording, reason });
    }
}
