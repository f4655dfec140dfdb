//! Looks at the recordings of a directory: whether each is whole, and what its hash is.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{marks::is_open, seal::hash};
use crate::wav::{self, HEADER, SAMPLE};

/// A recording as it lies on the disk.
#[derive(Debug)]
pub struct Verified {
    pub path: PathBuf,
    pub state: io::Result<FileState>,
}

/// What a recording's file is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FileState {
    /// Its header tells its length. `sha256` in lower-case hexadecimal.
    Whole { bytes: u64, sha256: String },
    /// A process that lives is writing it.
    BeingWritten,
    /// Its process died, and its header does not tell its length.
    BrokenOff,
    /// It was broken off, and its header tells its length now.
    Mended,
    /// It was sealed, or is not ours, and is not a whole recording.
    Damaged,
}

/// Tells of each WAV below `dir`, in the order of their names. With `mend`, headers of recordings
/// that broke off are mended; the media process seals and reports them when it starts, as it would
/// have without. Recordings that are being written are left alone. Blocks on the disk.
///
/// # Errors
/// When a directory cannot be read.
pub fn verify(dir: &Path, mend: bool, each: &mut impl FnMut(Verified)) -> io::Result<()> {
    verify_below(dir, dir, mend, each)
}

fn verify_below(
    root: &Path,
    dir: &Path,
    mend: bool,
    each: &mut impl FnMut(Verified),
) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(dir)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            verify_below(root, &path, mend, each)?;
        } else if path.extension().is_some_and(|it| it == "wav") {
            let state = look_at(root, &path, mend);
            each(Verified { path, state });
        }
    }
    Ok(())
}

fn look_at(root: &Path, path: &Path, mend: bool) -> io::Result<FileState> {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let open = is_open(root, inside)?;
    if open == Some(true) {
        return Ok(FileState::BeingWritten);
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let audio = length.saturating_sub(HEADER as u64);
    let mut header = [0; HEADER];
    if length >= HEADER as u64 {
        file.read_exact_at(&mut header, 0)?;
    }
    let told = header.last_chunk().map_or(0, |it| u64::from(u32::from_le_bytes(*it)));
    if told == audio && header == wav::header(audio / SAMPLE) {
        let (bytes, sha256) = hash(&file)?;
        return Ok(FileState::Whole { bytes, sha256 });
    }
    if open.is_none() {
        return Ok(FileState::Damaged);
    }
    if !mend {
        return Ok(FileState::BrokenOff);
    }
    let samples = audio / SAMPLE;
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(HEADER as u64 + samples * SAMPLE)?;
    file.write_all_at(&wav::header(samples), 0)?;
    file.sync_all()?;
    Ok(FileState::Mended)
}
