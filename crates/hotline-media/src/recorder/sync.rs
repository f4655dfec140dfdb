//! The syncer: one thread that brings recordings to the disk while they grow.
//!
//! One `syncfs` for all of them instead of an `fdatasync` for each: a file that grows needs a
//! commit of its file system's journal, and one commit does for five hundred files. Files that are
//! complete are sealed after the sync that brought them.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{Builder, JoinHandle},
};

use rustix::fs::syncfs;

use super::seal::SealJob;
use crate::priority;

/// Syncs that wait while one runs; it brings what a second one would.
const WAITING: usize = 1;

#[derive(Debug)]
pub(super) struct Syncer {
    requests: SyncSender<Vec<SealJob>>,
    thread: JoinHandle<()>,
}

impl Syncer {
    pub(super) fn start(dir: PathBuf, seals: SyncSender<SealJob>) -> io::Result<Self> {
        let (requests, inbox) = sync_channel(WAITING);
        let thread = Builder::new()
            .name("media-syncer".to_owned())
            .spawn(move || run(&dir, &inbox, &seals))?;
        Ok(Self { requests, thread })
    }

    /// Has everything that is written brought to the disk, and then these sealed. They are given
    /// back when the disk is so far behind that this was asked for before and did not begin.
    pub(super) fn request(&self, complete: Vec<SealJob>) -> Result<(), Vec<SealJob>> {
        match self.requests.try_send(complete) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(complete)) => Err(complete),
            Err(TrySendError::Disconnected(complete)) => {
                tracing::error!("The syncer of recordings is gone.");
                Err(complete)
            }
        }
    }

    /// The same, however long it takes until it begins.
    pub(super) fn request_and_wait(&self, complete: Vec<SealJob>) {
        if self.requests.send(complete).is_err() {
            tracing::error!("The syncer of recordings is gone.");
        }
    }

    /// Waits for the sync that runs.
    pub(super) fn end(self) {
        drop(self.requests);
        if self.thread.join().is_err() {
            tracing::error!("The syncer of recordings panicked.");
        }
    }
}

fn run(dir: &Path, inbox: &Receiver<Vec<SealJob>>, seals: &SyncSender<SealJob>) {
    priority::keep_up();
    while let Ok(complete) = inbox.recv() {
        // The directory may be made, or another disk be mounted, at any time.
        let is_synced = match File::open(dir).and_then(|it| Ok(syncfs(it)?)) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "Recordings do not reach the disk.");
                false
            }
        };
        for job in complete {
            if seals.send(SealJob { is_synced, ..job }).is_err() {
                tracing::error!("The sealer of recordings is gone.");
            }
        }
    }
}
