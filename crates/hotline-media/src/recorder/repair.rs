//! Recordings that a killed process left behind.
//!
//! While a recording is written, a marker in `.open/` names it. Only markers are looked at, so
//! that an archive of years costs nothing at start.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use hotline_base::{RecordingId, media::Recorded};

use super::seal::{SealJob, remove, seal};
use crate::wav::{self, HEADER, SAMPLE};

/// Directory of the markers, in the recording directory.
const OPEN_DIR: &str = ".open";

/// A recording that was repaired.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repaired {
    pub recorded: Recorded,
    /// Bytes beyond the last header that were counted in; at most the last block.
    pub bytes_found: u64,
}

/// Says that a recording is being written. Locked as long as its process lives.
#[derive(Debug)]
pub(super) struct Marker {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

impl Marker {
    pub(super) fn set(dir: &Path, recording: &RecordingId, path: &str) -> io::Result<Self> {
        let place = dir.join(OPEN_DIR);
        fs::create_dir_all(&place)?;
        let place = place.join(file_name(recording));
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&place)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
        })?;
        file.set_len(0)?;
        // It reaches the disk before what it names does, or with it: the syncer brings both.
        writeln!(file, "{recording}\n{path}")?;
        Ok(Self { path: place, _file: file })
    }

    pub(super) fn clear(self) -> io::Result<()> {
        remove(&self.path)
    }
}

/// Mends the headers of recordings that were being written when their process died, and seals
/// them. Recordings of a process that lives are left alone.
///
/// # Errors
/// When the directory of markers cannot be read. A single recording that cannot be repaired is
/// logged and stays marked.
pub fn repair(dir: &Path) -> io::Result<Vec<Repaired>> {
    let markers = match fs::read_dir(dir.join(OPEN_DIR)) {
        Ok(markers) => markers,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut repaired = Vec::new();
    for marker in markers {
        match mend(dir, marker?.path()) {
            Ok(it) => repaired.extend(it),
            Err(error) => tracing::error!(%error, "A recording cannot be repaired."),
        }
    }
    repaired.sort_by(|a, b| a.recorded.recording.cmp(&b.recorded.recording));
    Ok(repaired)
}

fn mend(dir: &Path, marker: PathBuf) -> io::Result<Option<Repaired>> {
    let mut file = OpenOptions::new().read(true).write(true).open(&marker)?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let marker = Marker { path: marker, _file: file };
    let Some((recording, path)) = text.split_once('\n') else {
        // Killed before a word was written: there is no recording either.
        marker.clear()?;
        return Ok(None);
    };
    let path = path.trim_end_matches('\n');
    let tape = match OpenOptions::new().read(true).write(true).open(dir.join(path)) {
        Ok(tape) => tape,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            marker.clear()?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut header = [0; HEADER];
    let known = match tape.read_exact_at(&mut header, 0) {
        Ok(()) => header.last_chunk().map_or(0, |it| u64::from(u32::from_le_bytes(*it))),
        Err(_) => 0,
    };
    let length = tape.metadata()?.len();
    let samples = length.saturating_sub(HEADER as u64) / SAMPLE;
    tape.set_len(HEADER as u64 + samples * SAMPLE)?;
    tape.write_all_at(&wav::header(samples), 0)?;
    let job = SealJob {
        recording: RecordingId::new(recording),
        path: path.to_owned(),
        marker: Some(marker),
        samples,
        // It broke off; how much was said after that is not known here.
        gap: 0,
        n_gaps: 1,
    };
    let bytes_found = (samples * SAMPLE).saturating_sub(known);
    Ok(Some(Repaired { recorded: seal(dir, job)?, bytes_found }))
}

/// Whether the recording at `path` below `dir` was begun and not sealed, and if so, whether the
/// process that writes it lives.
pub(super) fn is_open(dir: &Path, path: &Path) -> io::Result<Option<bool>> {
    let markers = match fs::read_dir(dir.join(OPEN_DIR)) {
        Ok(markers) => markers,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for marker in markers {
        let marker = marker?.path();
        let text = match fs::read_to_string(&marker) {
            Ok(text) => text,
            // Sealed at this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let named = text.split_once('\n').map(|it| Path::new(it.1.trim_end_matches('\n')));
        if named == Some(path) {
            return Ok(Some(File::open(&marker).is_ok_and(|it| it.try_lock().is_err())));
        }
    }
    Ok(None)
}

/// A recording's name as the name of a file.
fn file_name(recording: &RecordingId) -> String {
    let allowed = |it: char| it.is_alphanumeric() || matches!(it, '-' | '_');
    recording.as_str().chars().map(|it| if allowed(it) { it } else { '_' }).collect()
}
