//! The node's one durable journal: items for the database, and keepsakes for the next life of the
//! control process, written and synced together by one thread.
//!
//! The engine submits a [`Commit`] for a turn and lets the network see the turn's effects when
//! [`Commit::done`] is called. All commits that wait are written with one `fdatasync`.
//!
//! Space for a whole further segment is always reserved. When no reserve can be had, or a write
//! does not succeed, the journal is unhealthy: the engine admits no new call while running calls
//! end on the reserve and then in memory; what is in memory is written as soon as there is space.

mod disk;
mod frame;
mod reader;
mod segment;
mod worker;
mod writer;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use borsh::{BorshDeserialize, BorshSerialize};
use tokio::sync::watch;

pub use self::reader::{Batch, Reader};
use self::{disk::OsDisk, worker::Worker, writer::Writer};
use crate::priority;

/// Commits that may wait for the thread (`docs/CHANNELS.md`: control → spool).
const COMMITS_MAX: usize = 8192;

/// What an item is, which says how its payload is read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `borsh` of [`hotline_cdr::CallRecord`].
    CallRecord,
    /// `borsh` of [`hotline_agent::AgentFact`].
    AgentFact,
    /// `borsh` of ([`hotline_base::CallId`], [`hotline_cdr::RecordedAudio`]).
    Recording,
    /// `borsh` of ([`hotline_base::CallId`], bytes): the signalling of a call as `hotline-ladder`
    /// writes it.
    Ladder,
    /// `borsh` of [`hotline_cdr::RecordingNews`].
    RecordingNews,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::CallRecord, Self::AgentFact, Self::Recording, Self::Ladder, Self::RecordingNews];

    const fn code(self) -> u8 {
        match self {
            Self::CallRecord => 1,
            Self::AgentFact => 2,
            Self::Recording => 3,
            Self::Ladder => 4,
            Self::RecordingNews => 5,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::CallRecord),
            2 => Some(Self::AgentFact),
            3 => Some(Self::Recording),
            4 => Some(Self::Ladder),
            5 => Some(Self::RecordingNews),
            _ => None,
        }
    }
}

#[derive(Clone, Eq, PartialEq)]
pub struct Item {
    pub kind: Kind,
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Item({:?}, {} bytes)", self.kind, self.payload.len())
    }
}

/// What a frame holds of a commit. Kinds are codes, so that an unknown one costs only its item.
#[derive(BorshDeserialize, BorshSerialize)]
pub(crate) struct Group {
    pub(crate) items: Vec<(u8, Vec<u8>)>,
    pub(crate) keeps: Vec<(String, Option<Vec<u8>>)>,
}

impl Group {
    /// What is kept, most of a frame, is left unread.
    pub(crate) fn items_of(mut payload: &[u8]) -> io::Result<Vec<(u8, Vec<u8>)>> {
        Vec::deserialize(&mut payload)
    }
}

/// An item and where it lies. Position and index name the item for ever.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Of its commit.
    pub at: Position,
    /// Among the items of its commit, from 0.
    pub idx: u32,
    pub kind: Kind,
    pub payload: Vec<u8>,
}

/// A place in the journal: the segment's number and the byte in it.
#[derive(
    BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd,
)]
pub struct Position {
    pub segment: u64,
    pub offset: u64,
}

/// How safe a commit is when its `done` is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Saved {
    /// Synced.
    OnDisk,
    /// The disk refuses; it is held in memory and written when the disk takes it.
    InMemory,
    /// Memory for waiting commits is full as well; the commit is gone and counted.
    Lost,
}

/// Called once, on the journal's thread. It must not block.
pub type Done = Box<dyn FnOnce(Saved) + Send>;

/// One turn's effects. All of it is in the journal or none.
pub struct Commit {
    pub items: Vec<Item>,
    /// A key and its new value, or nothing to remove it. The last one wins.
    pub keeps: Vec<(String, Option<Vec<u8>>)>,
    pub done: Done,
}

impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Commit({} items, {} keeps)", self.items.len(), self.keeps.len())
    }
}

/// How the journal is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stats {
    /// Whether new calls may be admitted.
    pub healthy: bool,
    /// Everything before it is synced.
    pub synced: Position,
    pub n_segments: u64,
    /// Of all segments, with what is reserved.
    pub bytes: u64,
    /// Held in memory because the disk refuses.
    pub backlog_bytes: u64,
    pub n_lost: u64,
    pub n_syncs: u64,
    pub n_commits: u64,
    /// How long the last write with its sync took.
    pub last_sync: Duration,
}

#[derive(Clone, Debug)]
pub struct JournalConfig {
    pub dir: PathBuf,
    /// Size of a segment and of the reserve.
    pub segment_bytes: u64,
    /// Memory for commits while the disk refuses.
    pub backlog_max: usize,
    /// How often a disk that refused is tried again.
    pub retry: Duration,
    /// Who reads; a segment is deleted when all of them have released it.
    pub consumers: Vec<String>,
}

impl JournalConfig {
    /// 16 MiB a segment, 64 MiB of memory, one second between attempts, the loader as consumer.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            segment_bytes: 16 << 20,
            backlog_max: 64 << 20,
            retry: Duration::from_secs(1),
            consumers: vec![crate::LOADER.to_owned()],
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("another process writes the journal in {0}")]
    Locked(PathBuf),
    #[error("the journal in {dir} cannot be opened: {error}")]
    Io { dir: PathBuf, error: io::Error },
}

/// The journal's thread cannot take a commit: too many wait, or it has stopped. The commit comes
/// back; its `done` was not called.
#[derive(Debug, thiserror::Error)]
#[error("the journal takes no commit")]
pub struct Refused(pub Commit);

pub(crate) enum Order {
    Commit(Commit),
    Release { consumer: String, to: Position },
    Close,
}

/// The address of the journal's thread.
#[derive(Clone, Debug)]
pub struct Journal {
    orders: SyncSender<Order>,
    stats: watch::Receiver<Stats>,
    health: watch::Receiver<bool>,
    dir: PathBuf,
}

/// The thread itself. Dropping it does not stop it; [`Running::close`] does.
#[derive(Debug)]
pub struct Running {
    thread: JoinHandle<()>,
    orders: SyncSender<Order>,
}

/// What an opened journal is.
#[derive(Debug)]
pub struct Opened {
    pub journal: Journal,
    pub running: Running,
    /// What the last life kept, by key.
    pub keepsakes: Vec<(String, Vec<u8>)>,
    /// Bytes of a torn write that were cut off.
    pub torn_bytes: u64,
}

impl Journal {
    /// Opens or makes the journal and starts its thread. A torn tail is cut off. A full disk is no
    /// error: the journal begins unhealthy.
    pub fn open(config: JournalConfig) -> Result<Opened, JournalError> {
        Self::open_on(OsDisk, config)
    }

    pub(crate) fn open_on<D: disk::Disk>(
        disk: D,
        config: JournalConfig,
    ) -> Result<Opened, JournalError> {
        let dir = config.dir.clone();
        let io = |error| JournalError::Io { dir: dir.clone(), error };
        fs::create_dir_all(&dir).map_err(io)?;
        let lock = lock(&dir)?;
        let (writer, opening) = Writer::open(disk, &config).map_err(io)?;
        let (orders, intake) = sync_channel(COMMITS_MAX);
        let (worker, stats, health) = Worker::new(writer, config, lock);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                priority::raise();
                worker.run(&intake);
            })
            .map_err(io)?;
        let journal = Self { orders: orders.clone(), stats, health, dir };
        Ok(Opened {
            journal,
            running: Running { thread, orders },
            keepsakes: opening.keepsakes,
            torn_bytes: opening.torn_bytes,
        })
    }

    /// Hands a turn over; never waits.
    pub fn submit(&self, commit: Commit) -> Result<(), Refused> {
        self.orders.try_send(Order::Commit(commit)).map_err(|refused| match refused {
            TrySendError::Full(order) | TrySendError::Disconnected(order) => match order {
                Order::Commit(commit) => Refused(commit),
                Order::Release { .. } | Order::Close => {
                    Refused(Commit { items: Vec::new(), keeps: Vec::new(), done: Box::new(|_| ()) })
                }
            },
        })
    }

    /// Items alone.
    pub fn append(&self, items: Vec<Item>, done: Done) -> Result<(), Refused> {
        self.submit(Commit { items, keeps: Vec::new(), done })
    }

    pub fn put(&self, key: String, value: Vec<u8>) -> Result<(), Refused> {
        let keeps = vec![(key, Some(value))];
        self.submit(Commit { items: Vec::new(), keeps, done: Box::new(|_| ()) })
    }

    pub fn remove(&self, key: String) -> Result<(), Refused> {
        self.submit(Commit { items: Vec::new(), keeps: vec![(key, None)], done: Box::new(|_| ()) })
    }

    /// A consumer needs nothing before `to` any more. `false`: the thread is too busy to hear it
    /// now; a later release says it again.
    pub fn release(&self, consumer: &str, to: Position) -> bool {
        self.orders.try_send(Order::Release { consumer: consumer.to_owned(), to }).is_ok()
    }

    /// Changes with every sync and every change of health.
    pub fn watch(&self) -> watch::Receiver<Stats> {
        self.stats.clone()
    }

    /// Whether new calls may be admitted; changes only when that does.
    pub fn watch_health(&self) -> watch::Receiver<bool> {
        self.health.clone()
    }

    pub fn stats(&self) -> Stats {
        *self.stats.borrow()
    }

    pub fn reader(&self) -> Reader {
        Reader::new(self.dir.clone())
    }

    /// Where a consumer stopped, as its last release said.
    pub fn released(&self, consumer: &str) -> Option<Position> {
        worker::read_position(&self.dir, consumer)
    }
}

impl Running {
    /// Writes what waits and ends the thread. Blocks until it has ended.
    pub fn close(self) {
        // An error in either means that the thread has ended already.
        drop(self.orders.send(Order::Close));
        drop(self.thread.join());
    }
}

fn lock(dir: &Path) -> Result<File, JournalError> {
    let io = |error| JournalError::Io { dir: dir.to_owned(), error };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("lock"))
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(JournalError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests;
