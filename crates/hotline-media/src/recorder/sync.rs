//! The syncer: one thread that brings recordings to the disk while they grow.
//!
//! One `syncfs` for all of them instead of an `fdatasync` for each: a file that grows needs a
//! commit of its file system's journal, and one commit does for five hundred files.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{Builder, JoinHandle},
};

use rustix::fs::syncfs;

/// Syncs that wait while one runs; it brings what a second one would.
const WAITING: usize = 1;

#[derive(Debug)]
pub(super) struct Syncer {
    requests: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Syncer {
    pub(super) fn start(dir: PathBuf) -> io::Result<Self> {
        let (requests, inbox) = sync_channel(WAITING);
        let thread =
            Builder::new().name("media-syncer".to_owned()).spawn(move || run(&dir, &inbox))?;
        Ok(Self { requests, thread })
    }

    /// Has everything that is written brought to the disk. `false` when the disk is so far behind
    /// that this was asked for before and did not begin.
    pub(super) fn request(&self) -> bool {
        match self.requests.try_send(()) {
            Ok(()) => true,
            Err(TrySendError::Full(())) => false,
            Err(TrySendError::Disconnected(())) => {
                tracing::error!("The syncer of recordings is gone.");
                false
            }
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

fn run(dir: &Path, inbox: &Receiver<()>) {
    while let Ok(()) = inbox.recv() {
        // The directory may be made, or another disk be mounted, at any time.
        if let Err(error) = File::open(dir).and_then(|it| Ok(syncfs(it)?)) {
            tracing::warn!(%error, "Recordings do not reach the disk.");
        }
    }
}
