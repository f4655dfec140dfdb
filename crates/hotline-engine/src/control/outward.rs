//! From the journal into the database, and from there to the webhooks.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use hotline_base::{Random, WallTime};
use hotline_push::{Delivery, HttpPost, Outbox, OutboxError, Post, Sender, Verdict};
use hotline_store::{
    Database, DatabaseConfig, Loader, LoaderStats, PushRow, PushTarget, PushVerdict, StoreError,
};
use tokio::{sync::watch, task::JoinSet};

use super::Shared;
use crate::{
    Receiver,
    clock::{first_id, wall},
};

/// The file of the database in the data directory.
const DATABASE: &str = "hotline.db";

/// Everything that carries records out of the journal.
#[derive(Debug)]
pub(super) struct Outward {
    pub(super) database: Database,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Outward {
    /// Starts the loader and one sender for each receiver.
    pub(super) fn start(
        shared: &Shared,
        data_dir: &std::path::Path,
        recording_dirs: Vec<PathBuf>,
        ladders_for: Duration,
        receivers: &[Receiver],
    ) -> Self {
        let database = Database::new(&DatabaseConfig::new(data_dir.join(DATABASE)));
        let (stop, stopped) = watch::channel(false);
        let (stats, watched) = watch::channel(LoaderStats::default());
        let mut tasks = JoinSet::new();
        let loader = Loader {
            journal: shared.journal.clone(),
            database: database.clone(),
            targets: receivers.iter().map(told).collect(),
            recording_dirs,
            ladders_for,
        };
        tasks.spawn(loader.run(stats, stopped.clone()));
        tasks.spawn(watch_loader(watched, shared.clone(), stopped.clone()));
        if !receivers.is_empty() {
            if let Some(post) = HttpPost::new().map(Arc::new) {
                for it in receivers {
                    push(&mut tasks, shared, &database, it, &post, &stopped);
                }
            } else {
                tracing::error!("No HTTP client can be made; nothing is pushed.");
            }
        }
        Self { database, stop, tasks }
    }

    /// What is under way may end.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        self.database.close().await;
    }
}

fn told(it: &Receiver) -> PushTarget {
    PushTarget {
        name: it.target.name.clone(),
        call_records: it.records,
        agent_states: it.agent_states,
        recordings: it.recordings,
    }
}

fn push<P: Post>(
    tasks: &mut JoinSet<()>,
    shared: &Shared,
    database: &Database,
    receiver: &Receiver,
    post: &Arc<P>,
    stopped: &watch::Receiver<bool>,
) {
    let outbox = DatabaseOutbox(database.clone());
    // The seed spreads the attempts of senders that were disappointed together.
    let name =
        receiver.target.name.bytes().fold(0, |sum: u64, it| sum.wrapping_mul(31) + u64::from(it));
    let seed = Random::new(first_id(wall()) ^ name).next_u64();
    let target = receiver.target.clone();
    let sender = Sender::new(target, outbox, Arc::clone(post), Arc::new(wall), seed);
    shared.meters.pushes(&receiver.target.name, sender.counts());
    tasks.spawn(sender.run(stopped.clone()));
}

/// Shows on `/healthz` and in the figures how the loader is doing.
async fn watch_loader(
    mut stats: watch::Receiver<LoaderStats>,
    shared: Shared,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let seen = *stats.borrow_and_update();
        shared.wellness.database_up.store(seen.is_well(), Relaxed);
        shared.meters.loader(&seen);
        tokio::select! {
            changed = stats.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|it| *it) => return,
        }
    }
}

/// The outbox's tables behind the sender's words.
#[derive(Debug)]
struct DatabaseOutbox(Database);

impl Outbox for DatabaseOutbox {
    async fn due(
        &self,
        target: &str,
        now: WallTime,
        n_max: usize,
        busy: &BTreeSet<String>,
    ) -> Result<Vec<Delivery>, OutboxError> {
        let rows = self.0.push_due(target, now, n_max, busy).await.map_err(away)?;
        Ok(rows.into_iter().map(delivery).collect())
    }

    async fn next_due(
        &self,
        target: &str,
        busy: &BTreeSet<String>,
    ) -> Result<Option<WallTime>, OutboxError> {
        self.0.push_next_due(target, busy).await.map_err(away)
    }

    async fn settle(
        &self,
        target: &str,
        verdicts: &[(Delivery, Verdict)],
    ) -> Result<(), OutboxError> {
        let verdicts: Vec<_> =
            verdicts.iter().map(|(of, it)| (of.id.clone(), verdict(it))).collect();
        self.0.push_settle(target, &verdicts, wall()).await.map_err(away)
    }

    async fn hurry(&self, target: &str, now: WallTime) -> Result<(), OutboxError> {
        self.0.push_hurry(target, now).await.map_err(away)
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.0.push_watch()
    }
}

fn delivery(it: PushRow) -> Delivery {
    Delivery {
        id: it.id,
        order_key: it.order_key,
        kind: it.kind,
        body: it.body,
        created: it.created,
        n_attempts: it.n_attempts,
    }
}

fn verdict(it: &Verdict) -> PushVerdict {
    match it {
        Verdict::Done => PushVerdict::Done,
        Verdict::Retry { at, why } => PushVerdict::Retry { at: *at, why: why.clone() },
        Verdict::Dead { why } => PushVerdict::Dead { why: why.clone() },
    }
}

fn away(error: StoreError) -> OutboxError {
    tracing::debug!(%error, "The outbox has no answer.");
    OutboxError
}
