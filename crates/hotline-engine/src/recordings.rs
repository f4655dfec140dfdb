//! Recordings looked at from outside: each file against what was written down about it.

use std::{fs, io, path::Path};

use hotline_media::{FileState, Verified, verify};
use serde::Deserialize;

/// What was found of one recording.
#[derive(Debug)]
pub enum Finding {
    /// Whole, and as it was when it was sealed.
    Sound,
    BeingWritten,
    BrokenOff,
    Mended,
    /// Whole, but nothing beside it says what it should be.
    NoSidecar,
    /// Not what was sealed.
    Altered,
    /// Not a whole recording, and no process died over it.
    Damaged,
    Unreadable(io::Error),
}

/// What is read of the file beside a recording.
#[derive(Deserialize)]
struct Sidecar {
    bytes: u64,
    sha256: String,
}

/// Tells of each recording below `dir`. With `mend`, headers of those that broke off are mended.
/// Blocks on the disk.
///
/// # Errors
/// When a directory cannot be read.
pub fn verify_recordings(
    dir: &Path,
    mend: bool,
    each: &mut impl FnMut(&Path, Finding),
) -> io::Result<()> {
    verify(dir, mend, &mut |Verified { path, state }| {
        let finding = match state {
            Ok(FileState::Whole { bytes, sha256 }) => compare(&path, bytes, &sha256),
            Ok(FileState::BeingWritten) => Finding::BeingWritten,
            Ok(FileState::BrokenOff) => Finding::BrokenOff,
            Ok(FileState::Mended) => Finding::Mended,
            Ok(FileState::Damaged) => Finding::Damaged,
            Err(error) => Finding::Unreadable(error),
        };
        each(&path, finding);
    })
}

fn compare(recording: &Path, bytes: u64, sha256: &str) -> Finding {
    let sidecar = match fs::read(recording.with_extension("json")) {
        Ok(sidecar) => sidecar,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Finding::NoSidecar,
        Err(error) => return Finding::Unreadable(error),
    };
    match serde_json::from_slice::<Sidecar>(&sidecar) {
        Ok(it) if it.bytes == bytes && it.sha256 == sha256 => Finding::Sound,
        Ok(_) => Finding::Altered,
        Err(error) => Finding::Unreadable(error.into()),
    }
}
