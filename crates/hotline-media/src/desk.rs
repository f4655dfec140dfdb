//! The desk: understands control, and keeps what a worker must not wait for: session descriptions,
//! sockets, prompt files, the list of what is alive.

mod guests;
mod link;
mod notes;
mod orders;
mod ports;
mod prompts;
mod revive;
mod safe;
mod say;

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasher, RandomState},
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hotline_base::{LegId, Random, RecordingId, media::Event};
use hotline_sdp::Codecs;
use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::{
    guests::{Protection, Shared},
    link::{Broken, Link},
    notes::Notes,
    ports::Ports,
    prompts::Prompts,
    say::FIGURES_EVERY,
};
use crate::{
    IntakeChoice, MediaConfig, Note,
    counters::{Counters, count},
    intake::{Granted, Intake, Lookup, Sockets},
    recorder::{Ends, Errand, Outcomes, Recorder, take_over},
    task::{HANDOVERS_MAX, Handover, REPORTS_MAX, Report, Slot, TASKS_MAX, Task},
    wake::Wake,
    worker::{BLOCKS_A_LEG, Rings, Worker},
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
    tasks: Producer<Task>,
    reports: Consumer<Report>,
    handovers: Consumer<Handover>,
    /// Where browsers come in.
    shared: Option<Shared>,
    worker: Wake,
    /// The worker has not been woken for all of its tasks.
    has_tasks: bool,
    errands: mpsc::Sender<Errand>,
    outcomes: mpsc::Receiver<Event>,
    threads: Vec<JoinHandle<()>>,
    link: Option<Link>,
    legs: BTreeMap<LegId, Entry>,
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
    /// Events that wait for the next control.
    kept: VecDeque<Event>,
    /// Recordings that were reported lately; a control that died may not have read them.
    lately: VecDeque<(Instant, Event)>,
}

/// What the desk knows of a leg.
#[derive(Debug)]
struct Entry {
    slot: Slot,
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

    fn take(&mut self) -> Option<Slot> {
        self.generation = self.generation.wrapping_add(1);
        Some(Slot { index: self.free.pop()?, generation: self.generation })
    }

    /// This place, if it is free.
    fn take_at(&mut self, index: u32) -> Option<Slot> {
        let at = self.free.iter().rposition(|it| *it == index)?;
        self.free.remove(at);
        self.generation = self.generation.wrapping_add(1);
        Some(Slot { index, generation: self.generation })
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
        let (tasks, worker_tasks) = RingBuffer::new(TASKS_MAX);
        let (worker_reports, reports) = RingBuffer::new(REPORTS_MAX);
        let (worker_handovers, handovers) = RingBuffer::new(HANDOVERS_MAX);
        let n_blocks = config.legs_max.saturating_mul(BLOCKS_A_LEG);
        let (filled, recorder_filled) = RingBuffer::new(n_blocks + config.legs_max);
        let (recorder_empties, empties) = RingBuffer::new(n_blocks);
        let (errands, recorder_errands) = mpsc::channel();
        let (events, outcomes) = mpsc::channel();
        let worker = Wake::new()?;

        let ends = Ends {
            errands: recorder_errands,
            filled: recorder_filled,
            empties: recorder_empties,
            outcomes: Outcomes::new(events, wake.clone()),
        };
        let dir = config.recording_dir.clone();
        let (stock, remains) = take_over(memory.as_ref(), n_blocks)?;
        let recorder = Recorder::new(dir, &config.recorder, ends, remains, &counters)?;
        let rings = Rings {
            tasks: worker_tasks,
            reports: worker_reports,
            filled,
            empties,
            stock,
            handovers: worker_handovers,
            desk: wake.clone(),
        };
        let hands = Hands { legs_max: config.legs_max, rings, counters: &counters };
        let threads = vec![
            start_worker(&config, worker.clone(), hands)?,
            spawn("media-recorder", move || recorder.run())?,
        ];

        let mut random = Random::new(RandomState::new().hash_one(std::process::id()));
        let (address, quarantine) = (config.address, config.port_quarantine);
        let mut ports = Ports::new(address, config.ports.clone(), quarantine, &mut random);
        ports.reserve(config.browser_port);
        let mut it = Self {
            notes_of_legs: Notes::new(memory),
            prompts: Prompts::new(&config.prompt_dirs, &config.lang),
            leg_slots: Slots::new(config.legs_max),
            tape_slots: Slots::new(config.legs_max),
            handovers,
            shared: None,
            link: None,
            legs: BTreeMap::new(),
            recordings: BTreeMap::new(),
            tapes: BTreeMap::new(),
            figures_due: Instant::now() + FIGURES_EVERY,
            kept: VecDeque::new(),
            lately: VecDeque::new(),
            config,
            notes,
            wake,
            counters,
            tasks,
            reports,
            worker,
            has_tasks: false,
            errands,
            outcomes,
            threads,
            ports,
            random,
        };
        it.revive();
        it.wake_worker();
        Ok(it)
    }

    pub(crate) fn run(mut self) {
        while !self.reports.is_abandoned() && self.turn() {}
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
        self.wake_worker();
        self.write();
        true
    }

    fn wait(&self) {
        let now = Instant::now();
        let full = (self.tasks.slots() < TASKS_PER_ORDER).then_some(RETRY);
        let figures = self.link.is_some().then_some(self.figures_due);
        let due = [self.ports.due(), figures, self.guests_due()].into_iter().flatten().min();
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
        while self.tasks.slots() >= TASKS_PER_ORDER {
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

    /// Hands a task to the worker. Orders are read only while there is room.
    fn task(&mut self, task: Task) {
        if self.tasks.push(task).is_err() {
            tracing::error!("The media worker is stuck; an order to it is lost.");
        }
        self.has_tasks = true;
    }

    /// Once for all tasks of a turn: each wake may cost a switch of threads.
    fn wake_worker(&mut self) {
        if std::mem::take(&mut self.has_tasks) {
            self.worker.wake();
        }
    }

    /// Ends worker, recorder and sealer, and says what they still have to say.
    fn end(mut self) {
        while !self.tasks.is_abandoned() && self.tasks.push(Task::Quit).is_err() {
            // A full ring; the worker makes room.
            self.worker.wake();
            self.wait();
        }
        self.worker.wake();
        let mut threads = std::mem::take(&mut self.threads).into_iter();
        for (thread, errand) in [(threads.next(), None), (threads.next(), Some(Errand::Quit))] {
            if let Some(errand) = errand
                && self.errands.send(errand).is_err()
            {
                tracing::error!("The recorder is gone.");
            }
            if thread.is_some_and(|it| it.join().is_err()) {
                tracing::error!("A media thread panicked.");
            }
        }
        self.read_reports();
        self.write();
    }
}

/// What a worker of either intake is made of.
struct Hands<'a> {
    legs_max: usize,
    rings: Rings,
    counters: &'a Arc<Counters>,
}

impl Hands<'_> {
    fn start<I: Intake>(
        self,
        intake: impl FnOnce() -> I + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let Self { legs_max, rings, counters } = self;
        let counters = Arc::clone(counters);
        spawn("media-worker", move || Worker::new(intake(), legs_max, rings, counters).run())
    }
}

/// Starts the worker on the intake that is asked for, or on the best there is.
fn start_worker(config: &MediaConfig, wake: Wake, hands: Hands<'_>) -> io::Result<JoinHandle<()>> {
    let ask = || Granted::ask(config.address, config.ports.clone());
    let granted = match config.intake {
        IntakeChoice::Sockets => None,
        IntakeChoice::Lookup => Some(ask()?),
        IntakeChoice::Auto => ask()
            .inspect_err(|error| {
                tracing::warn!(%error, "No sk_lookup for RTP: a socket a leg costs more.");
            })
            .ok(),
    };
    hands.counters.sk_lookup.store(granted.is_some().into(), Relaxed);
    let legs_max = config.legs_max;
    let Some(granted) = granted else {
        let intake = Sockets::new(legs_max, wake)?;
        return hands.start(move || intake);
    };
    tracing::info!("RTP comes in by sk_lookup, one socket for all legs.");
    let counters = Arc::clone(hands.counters);
    hands.start(move || Lookup::new(granted, legs_max, wake, counters))
}

fn spawn(name: &str, job: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(job)
}
