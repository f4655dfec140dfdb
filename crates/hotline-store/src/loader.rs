//! The task that carries the journal into the database.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hotline_base::WallTime;
use hotline_cdr::{CallRecord, RecordedAudio};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tracing::{error, info, warn};

use crate::{
    Batch, Database, Journal, LOADER, Position, PushTarget, StoreError, db::Item,
    sidecar::write_sidecars,
};

/// Items of one transaction.
const N_ITEMS: usize = 4_096;

/// Sidecars that are written together. What is not synced when the process dies is written again.
const SIDECARS: usize = 1_024;

/// After the first attempt that does not succeed, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Time between two transactions while there is much to load: each costs dozens of switches between
/// threads, however little is in it. What comes after a quiet time is loaded at once.
const GATHER: Duration = Duration::from_millis(250);

/// The same after a transaction of [`MANY`] items: the two versions of a call, half a second apart,
/// are then mostly one row that is written once, and a page takes more rows at a time.
const GATHER_MANY: Duration = Duration::from_secs(1);
const MANY: usize = 256;

/// How often old pushes and ladders are forgotten.
const TIDY: Duration = Duration::from_hours(1);

/// How the loader is doing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LoaderStats {
    /// Everything before it is in the database.
    pub loaded: Position,
    pub n_items: u64,
    /// The database has been opened and its tables have this version's form.
    pub is_ready: bool,
    /// The database or the journal's disk does not answer; the journal grows.
    pub is_stuck: bool,
    /// Attempts without success, over all time.
    pub n_failures: u64,
    /// Items kept as they are because this version cannot read them.
    pub n_unreadable: u64,
    /// Frames of the journal that are damaged; what was in them is lost.
    pub n_damaged: u64,
    /// 随录信息 files that could not be written.
    pub n_sidecars_failed: u64,
}

impl LoaderStats {
    /// Whether records can be asked for and go on arriving. Not before the database was opened: an
    /// engine that has just started does not know it yet.
    pub const fn is_well(&self) -> bool {
        self.is_ready && !self.is_stuck
    }
}

/// Reads the journal from its cursor and fills the tables.
#[derive(Debug)]
pub struct Loader {
    pub journal: Journal,
    pub database: Database,
    pub targets: Vec<PushTarget>,
    /// Where recordings lie; their sidecars are written there. None: there are no sidecars.
    pub recording_dirs: Vec<PathBuf>,
    /// How long stored ladders are kept.
    pub ladders_for: Duration,
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] io::Error),
}

impl Loader {
    /// Runs until `stop` is true or closed. Whatever happens to the database, it goes on trying.
    pub async fn run(self, stats: watch::Sender<LoaderStats>, stop: watch::Receiver<bool>) {
        let mut it = Run { loader: self, stats, stop, at: None };
        let mut wait = AGAIN.0;
        loop {
            match it.work().await {
                Ok(()) => return,
                Err(error) => {
                    let was_stuck = it.stats.borrow().is_stuck;
                    it.stats.send_modify(|it| {
                        it.is_stuck = true;
                        it.n_failures += 1;
                    });
                    if was_stuck {
                        wait = wait.saturating_mul(2).min(AGAIN.1);
                    } else {
                        wait = AGAIN.0;
                        error!(%error, "Records cannot be loaded; the journal keeps them.");
                    }
                }
            }
            if it.pause(wait).await {
                return;
            }
        }
    }
}

/// Items of the journal, with what became of the sidecars of their recordings.
struct Reading {
    items: Vec<(Position, Item)>,
    next: Position,
    n_damaged: u64,
    n_sidecars_failed: u64,
}

struct Run {
    loader: Loader,
    stats: watch::Sender<LoaderStats>,
    stop: watch::Receiver<bool>,
    /// Known once the database has answered.
    at: Option<Position>,
}

impl Run {
    /// `true`: stop.
    async fn pause(&mut self, wait: Duration) -> bool {
        self.pause_until(Instant::now() + wait).await
    }

    /// `true`: stop.
    async fn pause_until(&mut self, until: Instant) -> bool {
        tokio::select! {
            biased;
            () = sleep_until(until) => false,
            _ = self.stop.wait_for(|it| *it) => true,
        }
    }

    /// Ends well only when it is to stop.
    async fn work(&mut self) -> Result<(), LoadError> {
        let mut at = match self.at {
            Some(at) => at,
            None => self.begin().await?,
        };
        let mut journal = self.loader.journal.watch();
        let mut tidy_at = Instant::now();
        let mut next_load = Instant::now();
        loop {
            // What is on disk by the end is loaded, too.
            let stopping = self.pause_until(next_load).await;
            let until = journal.borrow_and_update().synced;
            let started = Instant::now();
            let mut n_loaded = 0;
            while at < until {
                let read = self.read(at, until).await?;
                let next = read.next;
                n_loaded += read.items.len();
                self.load(read).await?;
                if next == at {
                    break;
                }
                at = next;
                self.at = Some(at);
                self.loader.journal.release(LOADER, at);
            }
            if n_loaded > 0 {
                next_load = started + if n_loaded < MANY { GATHER } else { GATHER_MANY };
            }
            self.unstuck();
            if stopping {
                return Ok(());
            }
            if Instant::now() >= tidy_at {
                self.loader.database.push_forget(wall()).await?;
                let keep = self.loader.ladders_for;
                self.loader.database.forget_ladders(keep, wall()).await?;
                tidy_at = Instant::now() + TIDY;
            }
            tokio::select! {
                changed = journal.changed() => if changed.is_err() { return Ok(()) },
                () = sleep_until(tidy_at) => {}
                _ = self.stop.wait_for(|it| *it) => return Ok(()),
            }
        }
    }

    async fn begin(&mut self) -> Result<Position, LoadError> {
        self.loader.database.prepare().await?;
        let at = self.loader.database.cursor(LOADER).await?.unwrap_or_default();
        self.at = Some(at);
        self.stats.send_modify(|it| {
            it.loaded = at;
            it.is_ready = true;
        });
        Ok(at)
    }

    /// The next items, with the sidecars of their recordings written. Everything that blocks on a
    /// disk is done in one go.
    async fn read(&self, from: Position, until: Position) -> Result<Reading, LoadError> {
        let reader = self.loader.journal.reader();
        let dirs = self.loader.recording_dirs.clone();
        let reading = spawn_blocking(move || {
            let Batch { entries, next, n_damaged } = reader.read(from, until, N_ITEMS)?;
            let items: Vec<_> = entries.into_iter().map(|it| (it.at, Item::read(it))).collect();
            let n_sidecars_failed = if dirs.is_empty() { 0 } else { sidecars(&dirs, &items) };
            Ok(Reading { items, next, n_damaged, n_sidecars_failed })
        });
        reading.await.map_err(io::Error::other)?
    }

    async fn load(&mut self, reading: Reading) -> Result<(), LoadError> {
        let Reading { items, next, n_damaged, n_sidecars_failed } = reading;
        let targets = &self.loader.targets;
        let loaded = self.loader.database.load(LOADER, &items, next, targets, wall()).await?;
        if n_damaged > 0 {
            error!(n_damaged, "The journal has damaged frames.");
        }
        if loaded.n_unreadable > 0 {
            let n = loaded.n_unreadable;
            error!(n, "Items of the journal are of another version; kept as unreadable.");
        }
        self.stats.send_modify(|it| {
            it.loaded = next;
            it.n_items += loaded.n_items;
            it.n_unreadable += loaded.n_unreadable;
            it.n_damaged += n_damaged;
            it.n_sidecars_failed += n_sidecars_failed;
        });
        Ok(())
    }

    fn unstuck(&self) {
        let is_news = self.stats.borrow().is_stuck;
        if is_news {
            self.stats.send_modify(|it| it.is_stuck = false);
            info!("Records are loaded again.");
        }
    }
}

/// How many could not be written.
fn sidecars(dirs: &[PathBuf], items: &[(Position, Item)]) -> u64 {
    let records =
        items.iter().filter_map(|it| if let Item::Call(it) = &it.1 { Some(&**it) } else { None });
    let mut sealed: Vec<(&CallRecord, &RecordedAudio)> = records
        .flat_map(|record| record.recordings.iter().map(move |it| (record, it)))
        .filter(|it| it.1.sealed)
        .collect();
    // In the order of the journal, which is that of the chain; of two versions the later counts.
    let mut known = BTreeSet::new();
    sealed.reverse();
    sealed.retain(|it| known.insert(&it.1.recording));
    sealed.reverse();
    let mut n_failed = 0;
    for some in sealed.chunks(SIDECARS) {
        for (recording, error) in write_sidecars(dirs, some) {
            let recording = recording.as_str();
            warn!(%error, recording, "A recording's sidecar cannot be written.");
            n_failed += 1;
        }
    }
    n_failed
}

fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chain::ChainHead, fixture};

    #[test]
    fn of_two_versions_of_a_call_in_one_reading_the_later_gets_the_one_sidecar() {
        let place = tempfile::tempdir().unwrap();
        let dirs = [place.path().to_owned()];
        std::fs::create_dir(place.path().join("2026")).unwrap();
        let calls = [(7, "13800138000"), (8, "13800138001"), (7, "13800138002")];
        let versions = (2..).zip(calls);
        let items = versions.map(|(version, (call, caller))| {
            let record = fixture::answered(call, version, "1001", caller);
            (Position::default(), Item::Call(Box::new(record)))
        });
        assert_eq!(sidecars(&dirs, &items.collect::<Vec<_>>()), 0);
        let head = ChainHead::read(&dirs).unwrap();
        assert_eq!((head.seq, &*head.path), (2, "2026/7.json"));
        let text = std::fs::read_to_string(place.path().join("2026/7.json")).unwrap();
        assert!(text.contains("13800138002"), "{text}");
    }
}
