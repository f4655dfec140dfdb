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
    pub(super) fn set(
        dir: &Path,
        recording: &RecordingId,
        path: &str,
        from: u64,
    ) -> io::Result<Self> {
        fs::create_dir_all(dir.join(OPEN_DIR))?;
        let place = marker_path(dir, recording);
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&place)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
        })?;
        file.set_len(0)?;
        // It reaches the disk before what it names does, or with it: the syncer brings both.
        writeln!(file, "{recording}\n{path}\n{from}")?;
        Ok(Self { path: place, _file: file })
    }

    pub(super) fn clear(self) -> io::Result<()> {
        remove(&self.path)
    }
}

/// Mends the headers of recordings that were being written when their process died, and seals
/// them; parts on two volumes become one file. Recordings of a process that lives are left alone.
///
/// # Errors
/// When the directory of markers cannot be read. A single recording that cannot be repaired is
/// logged and stays marked.
pub fn repair(dirs: &[PathBuf]) -> io::Result<Vec<Repaired>> {
    let mut repaired = Vec::new();
    // A recording that went on on the second volume is joined there.
    for dir in dirs.iter().rev() {
        repair_on(dir, dirs, &mut repaired)?;
    }
    repaired.sort_by(|a, b| a.recorded.recording.cmp(&b.recorded.recording));
    Ok(repaired)
}

fn repair_on(dir: &Path, dirs: &[PathBuf], repaired: &mut Vec<Repaired>) -> io::Result<()> {
    let markers = match fs::read_dir(dir.join(OPEN_DIR)) {
        Ok(markers) => markers,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for marker in markers {
        match mend(dir, dirs, marker?.path()) {
            Ok(it) => repaired.extend(it),
            Err(error) => tracing::error!(%error, "A recording cannot be repaired."),
        }
    }
    Ok(())
}

fn mend(dir: &Path, dirs: &[PathBuf], marker: PathBuf) -> io::Result<Option<Repaired>> {
    let mut file = OpenOptions::new().read(true).write(true).open(&marker)?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let marker = Marker { path: marker, _file: file };
    let Some((recording, path, from)) = read_marker(&text) else {
        // Killed before a word was written: there is no recording either.
        marker.clear()?;
        return Ok(None);
    };
    let elsewhere = dirs.iter().find(|it| *it != dir && it.join(path).exists()).cloned();
    if from == 0 && elsewhere.is_some() {
        // The whole was sealed there while this disk did not answer.
        set_aside(&dir.join(path))?;
        marker.clear()?;
        return Ok(None);
    }
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
        samples: from + samples,
        // It broke off; how much was said after that is not known here.
        gap: 0,
        n_gaps: 1,
        measured: None,
        from,
        before: elsewhere,
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
        if read_marker(&text).is_some_and(|it| Path::new(it.1) == path) {
            return Ok(Some(File::open(&marker).is_ok_and(|it| it.try_lock().is_err())));
        }
    }
    Ok(None)
}

/// A marker's recording, its path, and the first sample of it that is in the file.
fn read_marker(text: &str) -> Option<(&str, &str, u64)> {
    let mut lines = text.lines();
    let (recording, path) = (lines.next()?, lines.next()?);
    // Those of earlier versions end here.
    Some((recording, path, lines.next().and_then(|it| it.parse().ok()).unwrap_or(0)))
}

/// Gives a part that is not needed a name that is no recording's.
fn set_aside(part: &Path) -> io::Result<()> {
    match fs::rename(part, part.with_extension("part")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The marker of a recording.
pub(super) fn marker_path(dir: &Path, recording: &RecordingId) -> PathBuf {
    dir.join(OPEN_DIR).join(file_name(recording))
}

/// A recording's name as the name of a file.
fn file_name(recording: &RecordingId) -> String {
    let allowed = |it: char| it.is_alphanumeric() || matches!(it, '-' | '_');
    recording.as_str().chars().map(|it| if allowed(it) { it } else { '_' }).collect()
}
