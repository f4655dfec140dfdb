//! The sealer: one thread that brings finished files to the disk and hashes them, so that the
//! recorder does not wait for it.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::mpsc,
};

use hotline_base::{
    RecordingId,
    media::{Event, Recorded},
};
use sha2::{Digest, Sha256};

use super::{Outcomes, repair::Marker};

/// Recordings that wait for their seal; one more makes the recorder wait.
pub(super) const JOBS_MAX: usize = 1_024;

/// A recording that is complete.
#[derive(Debug)]
pub(super) struct SealJob {
    pub(super) recording: RecordingId,
    pub(super) path: String,
    pub(super) marker: Option<Marker>,
    /// Samples in the file, and of these or beyond them how many are missing.
    pub(super) samples: u64,
    pub(super) gap: u64,
    pub(super) n_gaps: u32,
}

#[derive(Debug)]
pub(super) struct Sealer {
    dir: PathBuf,
    jobs: mpsc::Receiver<SealJob>,
    outcomes: Outcomes,
}

impl Sealer {
    pub(super) const fn new(
        dir: PathBuf,
        jobs: mpsc::Receiver<SealJob>,
        outcomes: Outcomes,
    ) -> Self {
        Self { dir, jobs, outcomes }
    }

    pub(super) fn run(self) {
        while let Ok(job) = self.jobs.recv() {
            self.seal(job);
        }
    }

    fn seal(&self, job: SealJob) {
        let recording = job.recording.clone();
        let event = match seal(&self.dir, job) {
            Ok(recorded) => Event::Recorded(recorded),
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(%recording, reason, "A recording cannot be sealed.");
                Event::RecordFailed { recording, reason }
            }
        };
        self.outcomes.say(event);
    }
}

/// Brings a complete file to the disk and names it by its hash.
pub(super) fn seal(dir: &Path, job: SealJob) -> io::Result<Recorded> {
    let path = dir.join(&job.path);
    let file = File::open(&path)?;
    file.sync_all()?;
    let (bytes, sha256) = hash(&file)?;
    if let Some(marker) = job.marker {
        marker.clear()?;
    }
    Ok(Recorded {
        recording: job.recording,
        path: job.path,
        duration_ms: job.samples / 8,
        bytes,
        sha256,
        gap_ms: job.gap / 8,
        n_gaps: job.n_gaps,
    })
}

pub(super) fn hash(mut file: &File) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1_024];
    let mut bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..n).filter(|it| !it.is_empty()) else { break };
        hasher.update(read);
        bytes += n as u64;
    }
    let digits = hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, it| {
        for nibble in [it >> 4, it & 0x0F] {
            hex.extend(char::from_digit(u32::from(nibble), 16));
        }
        hex
    });
    Ok((bytes, digits))
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
