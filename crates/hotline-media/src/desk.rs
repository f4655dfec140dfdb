//! The desk: understands control, and keeps what a worker must not wait for: session descriptions,
//! sockets, prompt files, the list of what is alive.

mod guests;
mod link;
mod notes;
mod orders;
mod ports;
mod prompts;
mod revive;
mod room;
mod safe;
mod say;
mod workers;

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasher, RandomState},
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hotline_base::{ContextId, LegId, Random, RecordingId, media::Event};
use hotline_sdp::Codecs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use self::prompts::is_prompt_name;
use self::{
    guests::Protection,
    link::{Broken, Link},
    notes::Notes,
    ports::Ports,
    prompts::Prompts,
    room::Told,
    say::FIGURES_EVERY,
    workers::{Home, Started, WorkerEnd, blocks_a_worker},
};
use crate::{
    MediaConfig, Note,
    counters::{Counters, count},
    priority,
    recorder::{Ends, Errand, Outcomes, Recorder, take_over},
    task::Slot,
    wake::Wake,
};

/// How long the desk waits before it tries a full ring again.
const RETRY: Duration = Duration::from_millis(10);

/// Tasks that one order can lead to, but for a mix, which may be longer.
const TASKS_PER_ORDER: usize = 64;

#[derive(Debug)]
pub(crate) struct Desk {
    config: MediaConfig,
    notes: mpsc::Receiver<Note>,
    wake: Wake,
    counters: Arc<Counters>,
    /// By their numbers.
    workers: Vec<WorkerEnd>,
    errands: mpsc::Sender<Errand>,
    outcomes: mpsc::Receiver<Event>,
    /// Of the workers, and of the recorder.
    threads: (Vec<JoinHandle<()>>, Option<JoinHandle<()>>),
    link: Option<Link>,
    legs: BTreeMap<LegId, Entry>,
    contexts: BTreeMap<ContextId, Home>,
    recordings: BTreeMap<RecordingId, Slot>,
    tapes: BTreeMap<Slot, RecordingId>,
    leg_slots: Slots,
    tape_slots: Slots,
    ports: Ports,
    /// For the process after this one.
    notes_of_legs: Notes,
    prompts: Prompts,
    random: Random,
    figures_due: Instant,
    told: Told,
    /// Events that wait for the next control.
    kept: VecDeque<Event>,
    /// Recordings that were reported lately; a control that died may not have read them.
    lately: VecDeque<(Instant, Event)>,
    began: Instant,
}

/// What the desk knows of a leg.
#[derive(Debug)]
struct Entry {
    slot: Slot,
    context: ContextId,
    port: u16,
    session: u64,
    version: u64,
    codecs: Codecs,
    /// What it costs the worker, in plain legs.
    weight: usize,
    /// What we said last, offer or answer. The peer's next answer refers to it, also when control
    /// offered it once more to refresh the session; a new version is another text (RFC 3264 §8).
    said: String,
    protection: Protection,
    /// It was told what to hear.
    sounds: bool,
    /// Sound is due from its peer, as control knows.
    owes: bool,
}

/// Free places of a slab.
#[derive(Debug)]
struct Slots {
    free: Vec<u32>,
    generation: u32,
}

impl Slots {
    fn new(n: usize) -> Self {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        Self { free: (0..n).rev().collect(), generation: 0 }
    }

    fn take(&mut self, worker: u8) -> Option<Slot> {
        self.generation = self.generation.wrapping_add(1);
        Some(Slot { index: self.free.pop()?, generation: self.generation, worker })
    }

    /// This place, if it is free.
    fn take_at(&mut self, index: u32, worker: u8) -> Option<Slot> {
        let at = self.free.iter().rposition(|it| *it == index)?;
        self.free.remove(at);
        self.generation = self.generation.wrapping_add(1);
        Some(Slot { index, generation: self.generation, worker })
    }

    fn give_back(&mut self, slot: Slot) {
        self.free.push(slot.index);
    }
}

impl Desk {
    /// Starts worker and recorder, and brings back the legs that are noted in `memory`.
    pub(crate) fn start(
        config: MediaConfig,
        memory: Option<OwnedFd>,
        notes: mpsc::Receiver<Note>,
        wake: Wake,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let (errands, recorder_errands) = mpsc::channel();
        let (events, outcomes) = mpsc::channel();
        let n_blocks = blocks_a_worker(config.legs_max);
        let (stocks, remains) = take_over(memory.as_ref(), counters.workers.len(), n_blocks)?;
        let Started { ends, tapes, threads } = workers::start(&config, stocks, &wake, &counters)?;
        let outcomes_end = Outcomes::new(events, wake.clone());
        let recorder_ends = Ends { errands: recorder_errands, tapes, outcomes: outcomes_end };
        let dir = config.recording_dir.clone();
        let recorder = Recorder::new(dir, &config.recorder, recorder_ends, remains, &counters)?;
        let threads = (threads, Some(spawn("media-recorder", move || recorder.run())?));

        let mut random = Random::new(RandomState::new().hash_one(std::process::id()));
        let (address, quarantine) = (config.address, config.port_quarantine);
        let mut ports = Ports::new(address, config.ports.clone(), quarantine, &mut random);
        ports.reserve(config.browser_port, ends.len());
        let mut it = Self {
            notes_of_legs: Notes::new(memory),
            prompts: Prompts::new(&config.prompt_dirs, &config.lang),
            leg_slots: Slots::new(config.legs_max),
            tape_slots: Slots::new(config.legs_max),
            link: None,
            legs: BTreeMap::new(),
            contexts: BTreeMap::new(),
            recordings: BTreeMap::new(),
            tapes: BTreeMap::new(),
            figures_due: Instant::now() + FIGURES_EVERY,
            told: Told::nothing(),
            kept: VecDeque::new(),
            lately: VecDeque::new(),
            began: Instant::now(),
            config,
            notes,
            wake,
            counters,
            workers: ends,
            errands,
            outcomes,
            threads,
            ports,
            random,
        };
        it.revive();
        it.wake_workers();
        Ok(it)
    }

    pub(crate) fn run(mut self) {
        priority::urge();
        while self.all_workers_run() && self.turn() {}
        self.end();
    }

    /// Waits for what is next and does it. `false` when the owner wants an end.
    fn turn(&mut self) -> bool {
        self.wait();
        self.wake.clear();
        loop {
            match self.notes.try_recv() {
                Ok(Note::Attach(stream)) => self.attach(stream),
                Err(mpsc::TryRecvError::Empty) => break,
                Ok(Note::Quit) | Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
        self.read_reports();
        self.read_orders();
        self.read_handovers();
        self.ports.wake_up(Instant::now());
        self.say_figures();
        self.say_room();
        self.wake_workers();
        self.write();
        true
    }

    fn wait(&self) {
        let now = Instant::now();
        let full = (!self.workers_have_room()).then_some(RETRY);
        let figures = self.link.is_some().then_some(self.figures_due);
        let due = [self.ports.due(), figures, self.guests_due(), self.room_due()];
        let due = due.into_iter().flatten().min();
        let due = due.map(|it| it.saturating_duration_since(now));
        let timeout = full.or(due).and_then(|it| Timespec::try_from(it).ok());
        let flags = match &self.link {
            Some(link) if link.wants_to_write() => PollFlags::IN | PollFlags::OUT,
            Some(_) | None => PollFlags::IN,
        };
        let flags = if full.is_some() { flags - PollFlags::IN } else { flags };
        let waited = match &self.link {
            Some(link) => {
                let mut fds = [PollFd::new(&self.wake, PollFlags::IN), PollFd::new(link, flags)];
                poll(&mut fds, timeout.as_ref())
            }
            None => poll(&mut [PollFd::new(&self.wake, PollFlags::IN)], timeout.as_ref()),
        };
        // An interruption is a turn with nothing to do.
        if let Err(error) = waited {
            tracing::debug!(%error, "The media desk was interrupted.");
        }
    }

    fn attach(&mut self, stream: UnixStream) {
        // What the control before still ordered counts.
        self.read_orders();
        self.detach();
        match Link::new(stream) {
            Ok(link) => self.link = Some(link),
            Err(error) => tracing::error!(%error, "The link to control cannot be used."),
        }
    }

    /// Lets go of the link; what control must know stays.
    fn detach(&mut self) {
        if let Some(link) = self.link.take() {
            let unsaid: Vec<_> = link.into_unsaid().collect();
            for event in unsaid {
                self.keep(event);
            }
        }
    }

    fn on_broken(&mut self, broken: &Broken) {
        if !matches!(broken, Broken::Closed) {
            count(&self.counters.links_dropped);
        }
        tracing::warn!(why = %broken, "The link to control is over; calls go on.");
        self.detach();
    }

    fn read_orders(&mut self) {
        let Some(link) = &mut self.link else { return };
        let ended = link.read().err();
        // Orders that came before the end count.
        while self.workers_have_room() {
            let Some(link) = &mut self.link else { return };
            match link.next_order() {
                Ok(Some(order)) => self.carry_out(order),
                Ok(None) => break,
                Err(broken) => return self.on_broken(&broken),
            }
        }
        if let Some(broken) = ended {
            self.on_broken(&broken);
        }
    }

    fn write(&mut self) {
        if let Some(link) = &mut self.link
            && let Err(broken) = link.write()
        {
            self.on_broken(&broken);
        }
    }

    /// Ends workers, recorder and sealer, and says what they still have to say.
    fn end(mut self) {
        let (workers, recorder) = std::mem::take(&mut self.threads);
        self.end_workers(workers);
        if self.errands.send(Errand::Quit).is_err() {
            tracing::error!("The recorder is gone.");
        }
        if recorder.is_some_and(|it| it.join().is_err()) {
            tracing::error!("A media thread panicked.");
        }
        self.read_reports();
        self.write();
    }
}

fn spawn(name: &str, job: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(job)
}
