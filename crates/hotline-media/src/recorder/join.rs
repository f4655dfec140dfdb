//! A recording that went on on another volume is one file again when it is sealed.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

use hotline_base::media::{Gap, GapWhy, MarkedGap};
use hotline_dsp::g711::ALAW_SILENCE;

use super::{
    SAMPLES_PER_MS,
    marks::Mark,
    seal::{SealJob, remove},
};
use crate::wav::{self, HEADER, SAMPLE};

/// Puts the part before, or as much silence, in front of the part below `dir`, which begins at
/// `job.from`. Nothing is lost when it breaks off: both parts are there until the whole is on the
/// disk.
pub(super) fn join(dir: &Path, job: &mut SealJob) -> io::Result<()> {
    let part = dir.join(&job.path);
    let whole = part.with_extension("joined");
    let mut to = BufWriter::new(File::create(&whole)?);
    to.write_all(&wav::header(job.samples))?;
    let before = job.before.as_ref().map(|it| it.0.join(&job.path)).filter(|it| it.exists());
    let kept = before.map_or(Ok(0), |it| copy(&it, &mut to, job.from))?;
    io::copy(&mut io::repeat(ALAW_SILENCE).take((job.from - kept) * SAMPLE), &mut to)?;
    copy(&part, &mut to, job.samples - job.from)?;
    to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(whole, &part)?;
    // What was open is the part.
    job.file = None;
    if kept < job.from {
        job.gap += job.from - kept;
        job.n_gaps += 1;
        let gap = Gap { from_ms: kept / SAMPLES_PER_MS, to_ms: job.from / SAMPLES_PER_MS };
        if let Some(it) = &mut job.measured {
            it.gaps.push(MarkedGap { gap, why: GapWhy::Disk, channel: None });
            it.gaps.sort_by_key(|it| it.gap.from_ms);
        }
    }
    if let Some((before, mark)) = job.before.take() {
        remove(&before.join(&job.path))?;
        // One that is not at hand is found without its file by the process after this one.
        mark.map_or(Ok(()), Mark::clear)?;
    }
    Ok(())
}

/// Copies the audio of a file, at most so many samples; returns how many.
fn copy(file: &Path, to: &mut impl Write, samples: u64) -> io::Result<u64> {
    let mut from = BufReader::new(File::open(file)?);
    from.seek(SeekFrom::Start(HEADER as u64))?;
    Ok(io::copy(&mut from.take(samples * SAMPLE), to)? / SAMPLE)
}
