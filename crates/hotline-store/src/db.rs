//! The database: one writer at a time, readers beside it.

mod calls;
mod ladders;
mod letters;
mod lists;
mod load;
mod outbox;

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{
    Pool, Sqlite, Transaction,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{sync::watch, time::timeout};

pub(crate) use self::load::Item;
pub use self::{
    calls::{CallPage, CallQuery, RecordingPlace, Sight},
    letters::{LetterJson, LetterPage},
    lists::{ListChange, ListDraft, ListInForce, ListPage, ListQuery},
    load::PushTarget,
    outbox::{Backlog, PushRow, PushVerdict},
};
use crate::{StoreError, priority};

/// The one place that names the kind of database.
type Db = Sqlite;

#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    pub path: PathBuf,
    /// How long a statement waits for somebody else's lock.
    pub busy_max: Duration,
    pub n_readers: u32,
    pub n_searchers: u32,
    /// A search that takes longer is stopped.
    pub search_max: Duration,
}

impl DatabaseConfig {
    /// Five seconds for a lock, four readers, two who search for at most 30 s.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            busy_max: Duration::from_secs(5),
            n_readers: 4,
            n_searchers: 2,
            search_max: Duration::from_secs(30),
        }
    }
}

/// The database's address. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    writer: Pool<Db>,
    readers: Pool<Db>,
    /// Who may have to look at every record, so that nobody else waits for them.
    searchers: Pool<Db>,
    search_max: Duration,
    /// Counts additions to the outbox.
    added: Arc<watch::Sender<u64>>,
    /// Whether the tables have this version's form.
    ready: Arc<watch::Sender<bool>>,
    /// How long a reader waits for that.
    ready_max: Duration,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    /// Opens nothing yet: a database that is away now may come later. Needs a tokio runtime.
    pub fn new(config: &DatabaseConfig) -> Self {
        // Segments of the journal are deleted once their content is committed here, so a commit
        // has to last: FULL, not the NORMAL that is usual with a write-ahead log.
        let options = SqliteConnectOptions::new()
            .filename(&config.path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // What a statement of many rows keeps to take itself back is no file.
            .pragma("temp_store", "memory")
            // 16 MiB: the pages that many transactions change are copied once for all of them.
            .pragma("wal_autocheckpoint", "4000")
            .busy_timeout(config.busy_max);
        let pool = |n_max| {
            SqlitePoolOptions::new()
                .max_connections(n_max)
                .acquire_timeout(config.busy_max.saturating_mul(2))
        };
        let readers = options.clone().create_if_missing(false);
        Self {
            writer: pool(1).connect_lazy_with(options),
            readers: pool(config.n_readers).connect_lazy_with(readers.clone()),
            searchers: pool(config.n_searchers)
                .connect_lazy_with(readers.thread_name(|n| format!("search-{n}"))),
            search_max: config.search_max,
            added: Arc::new(watch::channel(0).0),
            ready: Arc::new(watch::channel(false).0),
            ready_max: config.busy_max,
        }
    }

    /// Brings the tables to this version's form. Done by the loader; harmless when repeated.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        sqlx::migrate!("./migrations").run(&self.writer).await?;
        self.ready.send_replace(true);
        Ok(())
    }

    /// For questions that an index answers.
    async fn reader(&self) -> Result<&Pool<Db>, StoreError> {
        self.tables().await?;
        Ok(&self.readers)
    }

    /// For one question that may lead through all records. It is stopped when its time is over.
    async fn searcher(&self) -> Result<PoolConnection<Db>, StoreError> {
        self.tables().await?;
        let mut it = self.searchers.acquire().await?;
        let end = Instant::now() + self.search_max;
        let mut is_patient = false;
        let goes_on = move || {
            // The connection's own thread, which nothing else runs on.
            if !std::mem::replace(&mut is_patient, true) {
                priority::lower();
            }
            Instant::now() < end
        };
        it.lock_handle().await?.set_progress_handler(STEPS, goes_on);
        Ok(it)
    }

    /// Readers wait for the tables when they are faster than the loader.
    async fn tables(&self) -> Result<(), StoreError> {
        let mut ready = self.ready.subscribe();
        match timeout(self.ready_max, ready.wait_for(|it| *it)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(StoreError::Away(sqlx::Error::PoolTimedOut)),
        }
    }

    /// Closes all connections when what runs has ended.
    pub async fn close(&self) {
        self.readers.close().await;
        self.searchers.close().await;
        self.writer.close().await;
    }

    /// Takes the write lock at once: a transaction that reads first and writes then can fail at
    /// any moment, however long the busy timeout is.
    async fn write(&self) -> Result<Transaction<'static, Db>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    fn announce(&self) {
        self.added.send_modify(|it| *it = it.wrapping_add(1));
    }
}

/// Instructions of the database's machine between two looks at the clock: under a millisecond.
const STEPS: i32 = 10_000;

/// Numbers of ours in the database's signed ones, bit for bit.
const fn signed(it: u64) -> i64 {
    it.cast_signed()
}

const fn unsigned(it: i64) -> u64 {
    it.cast_unsigned()
}

#[cfg(test)]
mod tests;
