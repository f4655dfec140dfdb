//! The recorder: threads that turn blocks into files.
//!
//! The recorder itself never touches a disk: it hands blocks to the writer of a volume, and when
//! that volume does not take them any more, to the writer of the other.
//!
//! A file is a valid WAV at any instant: audio is written first, then, once a second and at the
//! end, the header that counts it.
//! Blocks are 200 ms, wait at most 200 ms for stragglers, are looked for every 50 ms, and all files
//! are synced together every 300 ms: after a power loss less than a second is missing, with what is
//! left for the disk itself. After a kill the next process finds in memory what no file held yet;
//! where that is gone as well, half a second is missing.

mod archive;
mod block;
mod join;
mod marks;
mod pool;
mod repair;
mod room;
mod seal;
mod sync;
mod tape;
mod verify;
mod writer;

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use hotline_base::{RecordingId, media::Event};
use rtrb::{Consumer, Producer};

#[cfg(test)]
pub(crate) use self::marks::n_open;
use self::{
    archive::Archivist,
    pool::Remains,
    seal::Sealing,
    tape::Before,
    writer::{Job, Report, Writer},
};
pub(crate) use self::{
    block::{BLOCK, Block, key_of},
    pool::take_over,
};
pub use self::{
    repair::{Repaired, repair},
    verify::{FileState, Verified, verify},
};
use crate::{ArchiveFormat, RecorderConfig, counters::Counters, priority, task::Slot, wake::Wake};

/// Samples of a channel in a millisecond.
const SAMPLES_PER_MS: u64 = 8;

/// How often blocks are looked for while anything is recorded.
const EVERY: Duration = Duration::from_millis(50);

/// A volume that has not taken a block for so long does not answer. A tape has blocks for twice
/// that time, so that the other volume gets them before they run out.
const STUCK: Duration = Duration::from_secs(1);

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
    /// Of each worker, by its number.
    pub(crate) tapes: Vec<(Consumer<Filled>, Producer<Block>)>,
    pub(crate) outcomes: Outcomes,
}

/// What goes to files, and where.
#[derive(Debug)]
pub(crate) struct Recorder {
    ends: Ends,
    tapes: BTreeMap<Slot, Tape>,
    volumes: Vec<Volume>,
    reports: mpsc::Receiver<(usize, Report)>,
    archivist: Option<Archivist>,
    /// Of the process before this one.
    remains: Remains,
}

/// A recording that runs.
#[derive(Debug)]
struct Tape {
    recording: RecordingId,
    path: String,
    volume: usize,
    /// The sample after the last block that was handed on.
    next: u64,
    /// The part on the volume before.
    before: Option<Before>,
    /// Control was told that it has trouble.
    told: Option<Trouble>,
}

/// Why a recording is not written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trouble {
    /// Its volume does not take it.
    Volume,
    /// Its file cannot be written.
    File,
}

/// The recorder's end of a volume's writer.
#[derive(Debug)]
struct Volume {
    dir: PathBuf,
    jobs: mpsc::Sender<Job>,
    writer: thread::JoinHandle<()>,
    /// When the blocks that it has not given back were handed on.
    on_the_way: VecDeque<Instant>,
    has_room: bool,
    was_well: bool,
}

impl Volume {
    fn answers(&self) -> bool {
        self.on_the_way.front().is_none_or(|it| it.elapsed() < STUCK)
    }

    fn is_well(&self) -> bool {
        self.has_room && self.answers()
    }

    fn hand(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            tracing::error!("A writer of recordings is gone.");
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
    pub(crate) fn new(
        dir: PathBuf,
        config: &RecorderConfig,
        ends: Ends,
        remains: Remains,
        counters: &Arc<Counters>,
    ) -> std::io::Result<Self> {
        let (reporter, reports) = mpsc::channel();
        let archivist = config.archive.map(|ArchiveFormat::Opus| Archivist::start()).transpose()?;
        let mut volumes = Vec::new();
        for (idx, dir) in [dir].into_iter().chain(config.second_dir.clone()).enumerate() {
            let (jobs, inbox) = mpsc::channel();
            let (outcomes, counters) = (ends.outcomes.clone(), Arc::clone(counters));
            let sealing =
                Sealing { outcomes, archive: archivist.as_ref().map(Archivist::recordings) };
            let reporter = (idx, reporter.clone());
            let writer = Writer::new(dir.clone(), config, inbox, reporter, sealing, counters)?;
            volumes.push(Volume {
                dir,
                jobs,
                writer: thread::Builder::new()
                    .name(format!("media-writer-{idx}"))
                    .spawn(move || writer.run())?,
                on_the_way: VecDeque::new(),
                has_room: true,
                was_well: true,
            });
        }
        Ok(Self { ends, tapes: BTreeMap::new(), volumes, reports, archivist, remains })
    }

    pub(crate) fn run(mut self) {
        self.repair();
        priority::keep_up();
        loop {
            let is_idle = self.tapes.is_empty()
                && self.volumes.iter().all(|it| it.on_the_way.is_empty() && it.was_well);
            let errand = if is_idle {
                self.ends.errands.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
            } else {
                self.ends.errands.recv_timeout(EVERY)
            };
            match errand {
                Ok(Errand::Start { tape, recording, path }) => self.begin(tape, recording, path),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(Errand::Quit) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            self.read_reports();
            self.look();
            self.hand_on();
        }
        self.hand_on();
        for (slot, tape) in std::mem::take(&mut self.tapes) {
            let samples = tape.next;
            self.end(slot, tape, samples);
        }
        for Volume { jobs, writer, .. } in std::mem::take(&mut self.volumes) {
            drop(jobs);
            if writer.join().is_err() {
                tracing::error!("A writer of recordings panicked.");
            }
        }
        if let Some(archivist) = self.archivist.take() {
            archivist.end();
        }
        // What the writers still had to say.
        self.read_reports();
    }

    /// Recordings that a killed process left are sealed before anything else.
    fn repair(&mut self) {
        let dirs: Vec<_> = self.volumes.iter().map(|it| it.dir.clone()).collect();
        match repair::repair_with(&dirs, &std::mem::take(&mut self.remains)) {
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
        let volume = self.volumes.iter().position(Volume::is_well).unwrap_or(0);
        let tape = Tape { recording, path, volume, next: 0, before: None, told: None };
        self.begin_on(slot, &tape);
        self.tapes.insert(slot, tape);
    }

    fn begin_on(&self, slot: Slot, tape: &Tape) {
        let Tape { recording, path, volume, next, .. } = tape;
        if let Some(it) = self.volumes.get(*volume) {
            let (recording, path, from) = (recording.clone(), path.clone(), *next);
            it.hand(Job::Begin { tape: slot, recording, path, from });
        }
    }

    /// Hands on what the workers have filled.
    fn hand_on(&mut self) {
        let mut worker = 0;
        while let Some((filled, _)) = self.ends.tapes.get_mut(worker) {
            let Ok(filled) = filled.pop() else {
                worker += 1;
                continue;
            };
            match filled {
                Filled::Block(block) => {
                    let Some(tape) = self.tapes.get_mut(&block.tape()) else {
                        self.give_back(block);
                        continue;
                    };
                    tape.next = block.end();
                    if let Some(volume) = self.volumes.get_mut(tape.volume) {
                        volume.on_the_way.push_back(Instant::now());
                        volume.hand(Job::Block(block));
                    }
                }
                Filled::End { tape, samples } => {
                    if let Some(it) = self.tapes.remove(&tape) {
                        self.end(tape, it, samples);
                    }
                }
            }
        }
    }

    fn end(&self, slot: Slot, tape: Tape, samples: u64) {
        let before = tape.before.map(|it| {
            let holder = self.volumes.iter().find(|volume| Some(&volume.dir) == it.dir.as_ref());
            // A part on a disk that does not answer stays there, and is silence here.
            let dir = it.dir.clone().filter(|_| holder.is_some_and(Volume::answers));
            Before { dir, ..it }
        });
        if let Some(volume) = self.volumes.get(tape.volume) {
            volume.hand(Job::End { tape: slot, samples, before });
        }
    }

    fn give_back(&mut self, block: Block) {
        let worker = usize::from(block.tape().worker);
        let home = self.ends.tapes.get_mut(worker);
        let is_back = home.is_some_and(|(_, empties)| empties.push(block).is_ok());
        debug_assert!(is_back, "the ring holds every block that its worker has");
    }

    fn read_reports(&mut self) {
        while let Ok((idx, report)) = self.reports.try_recv() {
            match report {
                Report::Empty(block) => {
                    if let Some(volume) = self.volumes.get_mut(idx) {
                        volume.on_the_way.pop_front();
                    }
                    self.give_back(block);
                }
                Report::Room(has_room) => {
                    if let Some(volume) = self.volumes.get_mut(idx) {
                        volume.has_room = has_room;
                    }
                }
                Report::Left { tape, before } => {
                    if let Some(tape) = self.tapes.get_mut(&tape) {
                        tape.before = Some(before);
                    }
                }
                Report::Trouble { tape, recording, reason } => {
                    if !self.moves(tape, idx) {
                        self.tell(tape, recording, reason, Trouble::File);
                    }
                }
                Report::Recovered { tape } => self.recovers(tape, Trouble::File),
            }
        }
    }

    /// Looks how the volumes are; takes tapes away from one that is not well.
    fn look(&mut self) {
        for idx in 0..self.volumes.len() {
            let Some(volume) = self.volumes.get_mut(idx) else { continue };
            let is_well = volume.is_well();
            if is_well != std::mem::replace(&mut volume.was_well, is_well) {
                if is_well {
                    tracing::info!(volume = idx, "A volume takes recordings again.");
                    for slot in self.tapes_on(idx) {
                        self.recovers(slot, Trouble::Volume);
                    }
                } else {
                    let n = self.tapes_on(idx).len();
                    tracing::error!(volume = idx, n, "A volume does not take recordings.");
                }
            }
            if is_well {
                continue;
            }
            for slot in self.tapes_on(idx) {
                if !self.moves(slot, idx) {
                    let recording = self.tapes.get(&slot).map(|it| it.recording.clone());
                    let Some(recording) = recording else { continue };
                    let reason = "its disk is full or does not answer".to_owned();
                    self.tell(slot, recording, reason, Trouble::Volume);
                }
            }
        }
    }

    /// Lets a tape go on on the other volume, once. Says whether it does.
    fn moves(&mut self, slot: Slot, from: usize) -> bool {
        let mut others = self.volumes.iter().enumerate().filter(|it| it.0 != from);
        let other = others.find(|it| it.1.is_well()).map(|it| it.0);
        let Some(tape) = self.tapes.get_mut(&slot) else { return false };
        if tape.volume != from {
            return true;
        }
        let Some(other) = other.filter(|_| tape.before.is_none()) else { return false };
        tape.volume = other;
        let here = self.volumes.get(from);
        tape.before = Some(Before { dir: here.map(|it| it.dir.clone()), ..Before::default() });
        if let Some(volume) = here {
            volume.hand(Job::Leave { tape: slot });
        }
        if let Some(tape) = self.tapes.get(&slot) {
            tracing::warn!(recording = %tape.recording, "A recording goes on on the other volume.");
            self.begin_on(slot, tape);
        }
        true
    }

    fn tapes_on(&self, volume: usize) -> Vec<Slot> {
        let here = self.tapes.iter().filter(|it| it.1.volume == volume);
        here.map(|it| *it.0).collect()
    }

    /// Tells control once that a recording has trouble. A file in trouble says itself when it is
    /// over, whatever its volume says.
    fn tell(&mut self, slot: Slot, recording: RecordingId, reason: String, trouble: Trouble) {
        let told = self.tapes.get_mut(&slot).and_then(|it| {
            let told = it.told;
            if told != Some(Trouble::File) {
                it.told = Some(trouble);
            }
            told
        });
        if told.is_none() {
            // What befell a whole volume was told once.
            if trouble == Trouble::File {
                tracing::error!(%recording, reason, "A recording cannot be written.");
            }
            self.ends.outcomes.say(Event::RecordFailed { recording, reason });
        }
    }

    /// The trouble is over that control was told of.
    fn recovers(&mut self, slot: Slot, trouble: Trouble) {
        let Some(tape) = self.tapes.get_mut(&slot) else { return };
        if tape.told.take_if(|it| *it == trouble).is_some() {
            let recording = tape.recording.clone();
            if trouble == Trouble::File {
                tracing::info!(%recording, "A recording is written again.");
            }
            self.ends.outcomes.say(Event::RecordRecovered { recording });
        }
    }
}
