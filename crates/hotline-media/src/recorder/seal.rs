//! The sealer: one thread that hashes finished files once they are on the disk, so that the
//! recorder does not wait for it. One sync of their volume brings many of them there.

use std::{
    fs::{self, File},
    io::{self, Read, Seek},
    path::{Path, PathBuf},
    sync::mpsc,
};

use hotline_base::{
    RecordingId,
    media::{Event, Measured, Recorded},
};
use sha2::{Digest, Sha256};

use super::{Outcomes, join::join, marks::Mark};
use crate::priority;

/// Recordings that wait for their seal; one more makes the recorder wait.
pub(super) const JOBS_MAX: usize = 1_024;

/// A recording that is complete.
#[derive(Debug)]
pub(super) struct SealJob {
    pub(super) recording: RecordingId,
    pub(super) path: String,
    /// As it is open already; else it is opened.
    pub(super) file: Option<File>,
    pub(super) mark: Option<Mark>,
    /// Samples in the file, and of these or beyond them how many are missing.
    pub(super) samples: u64,
    pub(super) gap: u64,
    pub(super) n_gaps: u32,
    pub(super) measured: Option<Measured>,
    /// The first sample that is in this file.
    pub(super) from: u64,
    /// The directory in which the part before that lies, and what marks it there.
    pub(super) before: Option<(PathBuf, Option<Mark>)>,
    /// All that was written is on the disk.
    pub(super) is_synced: bool,
}

#[derive(Debug)]
pub(super) struct Sealer {
    dir: PathBuf,
    jobs: mpsc::Receiver<SealJob>,
    sealing: Sealing,
}

/// Who hears of what was sealed.
#[derive(Debug)]
pub(super) struct Sealing {
    pub(super) outcomes: Outcomes,
    /// The archivist, if there is one.
    pub(super) archive: Option<mpsc::Sender<PathBuf>>,
}

impl Sealer {
    pub(super) const fn new(dir: PathBuf, jobs: mpsc::Receiver<SealJob>, sealing: Sealing) -> Self {
        Self { dir, jobs, sealing }
    }

    /// As urgent as the writer, who waits when too many wait for this.
    pub(super) fn run(self) {
        priority::keep_up();
        while let Ok(job) = self.jobs.recv() {
            self.seal(job);
        }
    }

    fn seal(&self, job: SealJob) {
        let recording = job.recording.clone();
        let event = match seal(&self.dir, job) {
            Ok(recorded) => {
                if let Some(archive) = &self.sealing.archive
                    && archive.send(self.dir.join(&recorded.path)).is_err()
                {
                    tracing::error!("The archivist of recordings is gone.");
                }
                Event::Recorded(recorded)
            }
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(%recording, reason, "A recording cannot be sealed.");
                Event::RecordFailed { recording, reason }
            }
        };
        self.sealing.outcomes.say(event);
    }
}

/// Names a complete file by its hash, once it is on the disk.
pub(super) fn seal(dir: &Path, mut job: SealJob) -> io::Result<Recorded> {
    if job.from > 0 {
        join(dir, &mut job)?;
    }
    let mut file = match job.file {
        Some(file) => file,
        None => File::open(dir.join(&job.path))?,
    };
    if !job.is_synced {
        file.sync_all()?;
    }
    file.rewind()?;
    let (bytes, sha256) = hash(&file)?;
    if let Some(mark) = job.mark {
        mark.clear()?;
    }
    Ok(Recorded {
        recording: job.recording,
        path: job.path,
        duration_ms: job.samples / 8,
        bytes,
        sha256,
        gap_ms: job.gap / 8,
        n_gaps: job.n_gaps,
        measured: job.measured.map(Box::new),
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
