//! Recordings that a killed process left behind.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use hotline_base::media::Recorded;
use hotline_dsp::g711::ALAW_SILENCE;

use super::{
    marks::{Mark, Marked, left_behind},
    pool::{Remain, Remains},
    seal::{SealJob, seal},
};
use crate::wav::{self, HEADER, SAMPLE};

/// A recording that was repaired.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repaired {
    pub recorded: Recorded,
    /// Bytes beyond the last header that were counted in.
    pub bytes_found: u64,
}

/// Mends the headers of recordings that were being written when their process died, and seals
/// them; parts on two volumes become one file. Recordings of a process that lives are left alone.
///
/// # Errors
/// When the directory of markers cannot be read. A single recording that cannot be repaired is
/// logged and stays marked.
pub fn repair(dirs: &[PathBuf]) -> io::Result<Vec<Repaired>> {
    repair_with(dirs, &Remains::default())
}

/// The same, with what the process had in memory and not in files.
pub(super) fn repair_with(dirs: &[PathBuf], remains: &Remains) -> io::Result<Vec<Repaired>> {
    let mut repaired = Vec::new();
    // A recording that went on on the second volume is joined there.
    for dir in dirs.iter().rev() {
        repair_on(dir, dirs, remains, &mut repaired)?;
    }
    repaired.sort_by(|a, b| a.recorded.recording.cmp(&b.recorded.recording));
    Ok(repaired)
}

fn repair_on(
    dir: &Path,
    dirs: &[PathBuf],
    remains: &Remains,
    repaired: &mut Vec<Repaired>,
) -> io::Result<()> {
    for (mark, marked) in left_behind(dir)? {
        let Some(marked) = marked else {
            // Killed before a word was written: there is no recording either.
            mark.clear()?;
            continue;
        };
        let remains = remains.of(&marked.recording);
        match mend(dir, dirs, mark, marked, remains) {
            Ok(it) => repaired.extend(it),
            Err(error) => tracing::error!(%error, "A recording cannot be repaired."),
        }
    }
    Ok(())
}

fn mend(
    dir: &Path,
    dirs: &[PathBuf],
    mark: Mark,
    marked: Marked,
    remains: &[Remain],
) -> io::Result<Option<Repaired>> {
    let Marked { recording, path, from } = marked;
    let elsewhere = dirs.iter().find(|it| *it != dir && it.join(&path).exists()).cloned();
    if from == 0 && elsewhere.is_some() {
        // The whole was sealed there while this disk did not answer.
        set_aside(&dir.join(path))?;
        mark.clear()?;
        return Ok(None);
    }
    let tape = match OpenOptions::new().read(true).write(true).open(dir.join(&path)) {
        Ok(tape) => tape,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            mark.clear()?;
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
    let on_disk = length.saturating_sub(HEADER as u64) / SAMPLE;
    tape.set_len(HEADER as u64 + on_disk * SAMPLE)?;
    let (samples, gap) = append(&tape, from, on_disk, remains)?;
    tape.write_all_at(&wav::header(samples), 0)?;
    let job = SealJob {
        recording,
        path,
        file: Some(tape),
        mark: Some(mark),
        samples: from + samples,
        gap,
        // It broke off; how much was said after that is not known here.
        n_gaps: 1,
        measured: None,
        from,
        before: elsewhere.map(|it| (it, None)),
        is_synced: false,
    };
    let bytes_found = (samples * SAMPLE).saturating_sub(known);
    Ok(Some(Repaired { recorded: seal(dir, job)?, bytes_found }))
}

/// Writes behind so many samples what comes after them. Returns how many there are then, and how
/// many of them are missing.
fn append(tape: &File, from: u64, mut samples: u64, remains: &[Remain]) -> io::Result<(u64, u64)> {
    let mut gap = 0;
    for Remain { start, audio } in remains {
        let end = from + samples;
        let known = usize::try_from(end.saturating_sub(*start) * SAMPLE).unwrap_or(usize::MAX);
        let Some(more) = audio.get(known..).filter(|it| !it.is_empty()) else { continue };
        let at = |samples: u64| HEADER as u64 + samples * SAMPLE;
        if let Some(missing) = start.checked_sub(end) {
            let mut silence = io::repeat(ALAW_SILENCE).take(missing * SAMPLE);
            (&*tape).seek(SeekFrom::Start(at(samples)))?;
            io::copy(&mut silence, &mut &*tape)?;
            samples += missing;
            gap += missing;
        }
        tape.write_all_at(more, at(samples))?;
        samples += more.len() as u64 / SAMPLE;
    }
    Ok((samples, gap))
}

/// Gives a part that is not needed a name that is no recording's.
fn set_aside(part: &Path) -> io::Result<()> {
    match fs::rename(part, part.with_extension("part")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
