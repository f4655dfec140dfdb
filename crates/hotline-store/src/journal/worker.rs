//! The journal's thread: gathers what waits, writes it with one sync, answers.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tracing::{error, info, warn};

use super::{
    Commit, Done, Group, JournalConfig, Order, Position, Saved, Stats,
    disk::Disk,
    frame::{self, Tag},
    writer::Writer,
};

/// Bytes gathered for one sync.
const GROUP_BYTES: usize = 4 << 20;

/// Time between the beginnings of two syncs while there is much to write: a sync costs dozens of
/// commits, however little is in it. What comes after a quiet time is synced at once.
const GATHER: Duration = Duration::from_millis(20);

/// Letters of a position in its file; two numbers of 20 digits fit.
const POSITION: usize = 47;

pub(crate) struct Worker<D> {
    writer: Writer<D>,
    config: JournalConfig,
    /// Held as long as the thread runs.
    _lock: File,
    stats: watch::Sender<Stats>,
    /// [`Stats::healthy`] by itself, because it seldom changes.
    health: watch::Sender<bool>,
    /// Frames and keepsakes that are not synced yet.
    frames: Vec<u8>,
    keeps: Vec<(String, Option<Vec<u8>>)>,
    waiting: Vec<Done>,
    released: BTreeMap<String, Position>,
    /// [`GATHER`] after the last one began.
    next_sync: Instant,
    /// When writing is tried again, while the disk refuses.
    write_again: Option<Instant>,
    /// When taking the reserve is tried again, while there is none.
    reserve_again: Option<Instant>,
    now: Stats,
}

impl<D: Disk> Worker<D> {
    pub(crate) fn new(
        writer: Writer<D>,
        config: JournalConfig,
        lock: File,
    ) -> (Self, watch::Receiver<Stats>, watch::Receiver<bool>) {
        let released = config
            .consumers
            .iter()
            .map(|it| (it.clone(), read_position(&config.dir, it).unwrap_or_default()))
            .collect();
        let healthy = writer.has_reserve();
        let reserve_again = (!healthy).then(Instant::now);
        let now = Stats {
            healthy,
            synced: writer.synced(),
            n_segments: 0,
            bytes: 0,
            backlog_bytes: 0,
            n_lost: 0,
            n_syncs: 0,
            n_commits: 0,
            last_sync: Duration::ZERO,
        };
        let (stats, seen) = watch::channel(now);
        let (health, seen_health) = watch::channel(healthy);
        let mut it = Self {
            writer,
            config,
            _lock: lock,
            stats,
            health,
            frames: Vec::new(),
            keeps: Vec::new(),
            waiting: Vec::new(),
            released,
            next_sync: Instant::now(),
            write_again: None,
            reserve_again,
            now,
        };
        it.count();
        it.publish();
        (it, seen, seen_health)
    }

    pub(crate) fn run(mut self, intake: &Receiver<Order>) {
        loop {
            let first = match self.retry_at() {
                None => intake.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => intake.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            let mut go_on = true;
            match first {
                Ok(order) => {
                    go_on = self.take(order);
                    if go_on {
                        thread::sleep(self.next_sync.saturating_duration_since(Instant::now()));
                    }
                    while go_on && self.frames.len() < GROUP_BYTES {
                        let Ok(order) = intake.try_recv() else { break };
                        go_on = self.take(order);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => go_on = false,
            }
            self.flush(!go_on);
            if !go_on {
                return;
            }
        }
    }

    /// `false`: stop.
    fn take(&mut self, order: Order) -> bool {
        match order {
            Order::Commit(commit) => self.gather(commit),
            Order::Release { consumer, to } => self.release(consumer, to),
            Order::Close => return false,
        }
        true
    }

    fn gather(&mut self, commit: Commit) {
        let Commit { items, keeps, done } = commit;
        if items.is_empty() && keeps.is_empty() {
            self.waiting.push(done);
            return;
        }
        let begin = self.frames.len();
        let items = items.into_iter().map(|it| (it.kind.code(), it.payload)).collect();
        let group = Group { items, keeps };
        let whole = frame::push(&mut self.frames, Tag::Commit, &group);
        if !whole || (self.write_again.is_some() && self.frames.len() > self.config.backlog_max) {
            self.frames.truncate(begin);
            self.now.n_lost = self.now.n_lost.saturating_add(1);
            error!("The journal has no room in memory; a commit is lost.");
            self.publish();
            done(Saved::Lost);
            return;
        }
        self.now.n_commits = self.now.n_commits.saturating_add(1);
        self.keeps.extend(group.keeps);
        self.waiting.push(done);
    }

    fn retry_at(&self) -> Option<Instant> {
        [self.write_again, self.reserve_again].into_iter().flatten().min()
    }

    fn flush(&mut self, last: bool) {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_none_or(|at| last || at <= now);
        if due(self.write_again) && (!self.frames.is_empty() || self.writer.current().is_none()) {
            let segment = self.writer.current();
            let outcome = self.write();
            self.write_again = self.again(&outcome);
            if self.writer.current() != segment {
                self.count();
            }
            self.settle(outcome);
        }
        if due(self.reserve_again) && self.write_again.is_none() {
            let outcome = self.writer.make_reserve();
            self.reserve_again = self.again(&outcome);
            self.settle(outcome);
        }
        let saved = if self.frames.is_empty() { Saved::OnDisk } else { Saved::InMemory };
        // First the state, so that whoever is answered sees it.
        self.publish();
        for done in self.waiting.drain(..) {
            done(saved);
        }
    }

    fn again(&self, outcome: &io::Result<()>) -> Option<Instant> {
        outcome.is_err().then(|| Instant::now() + self.config.retry)
    }

    fn write(&mut self) -> io::Result<()> {
        let started = Instant::now();
        self.next_sync = started + GATHER;
        self.writer.write(&self.frames, &mut self.keeps)?;
        self.frames.clear();
        self.frames.shrink_to(GROUP_BYTES);
        self.now.n_syncs = self.now.n_syncs.saturating_add(1);
        self.now.last_sync = started.elapsed();
        Ok(())
    }

    fn settle(&mut self, outcome: io::Result<()>) {
        let was_healthy = self.now.healthy;
        self.now.healthy = self.retry_at().is_none();
        match outcome {
            Ok(()) if self.now.healthy && !was_healthy => {
                info!("The journal can be written again.");
            }
            Ok(()) => {}
            Err(error) if was_healthy => {
                let in_memory = !self.frames.is_empty();
                error!(%error, in_memory, "The journal's disk refuses; no new calls.");
            }
            Err(_) => {}
        }
    }

    fn release(&mut self, consumer: String, to: Position) {
        let Some(known) = self.released.get_mut(&consumer) else {
            warn!(consumer, "A consumer the journal does not know released a position.");
            return;
        };
        if to <= *known {
            return;
        }
        let before = known.segment;
        *known = to;
        // Without it the consumer reads again what it has; it must bear that anyway.
        if let Err(error) = write_position(&self.config.dir, &consumer, to) {
            warn!(%error, consumer, "A consumer's position cannot be written.");
        }
        if before == to.segment {
            return;
        }
        let keep_from = self.released.values().map(|it| it.segment).min().unwrap_or(0);
        if let Err(error) = self.writer.delete_before(keep_from) {
            warn!(%error, "A finished segment cannot be deleted.");
        }
        self.count();
    }

    fn count(&mut self) {
        if let Ok((n_segments, bytes)) = self.writer.usage() {
            self.now.n_segments = n_segments;
            self.now.bytes = bytes;
        }
    }

    fn publish(&mut self) {
        self.now.synced = self.writer.synced();
        self.now.backlog_bytes = self.frames.len() as u64;
        let now = self.now;
        self.stats.send_if_modified(|it| {
            let changed = *it != now;
            *it = now;
            changed
        });
        self.health.send_if_modified(|it| std::mem::replace(it, now.healthy) != now.healthy);
    }
}

fn position_path(dir: &Path, consumer: &str) -> std::path::PathBuf {
    dir.join(format!("{consumer}.position"))
}

/// `None` if it was never written or cannot be read: the consumer begins with the oldest segment.
pub(crate) fn read_position(dir: &Path, consumer: &str) -> Option<Position> {
    let text = fs::read_to_string(position_path(dir, consumer)).ok()?;
    let (segment, offset) = text.trim_end().split_once(' ')?;
    Some(Position { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
}

/// Written over what was there, a part of a page, and not synced: an older one costs a second
/// reading. A new file each time would cost a file's making and its deletion, and its sync.
fn write_position(dir: &Path, consumer: &str, to: Position) -> io::Result<()> {
    let mut options = File::options();
    let file =
        options.create(true).truncate(false).write(true).open(position_path(dir, consumer))?;
    let text = format!("{} {}", to.segment, to.offset);
    file.write_all_at(format!("{text:POSITION$}\n").as_bytes(), 0)
}
