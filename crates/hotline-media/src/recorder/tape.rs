//! One recording's file, through trouble: what cannot be written becomes a gap of silence, and the
//! file is tried again every second.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hotline_base::{
    RecordingId,
    media::{GAPS_MAX, Gap, Measured},
};
use hotline_dsp::g711::ALAW_SILENCE;

use super::{
    BLOCK, Block, SAMPLES_PER_MS,
    marks::{Mark, Marked, Marks},
    seal::SealJob,
};
use crate::wav::{self, HEADER, SAMPLE};

/// How often a file that cannot be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Bytes of silence written at once.
const SILENCE: usize = 16_384;

#[derive(Debug)]
pub(super) struct TapeFile {
    dir: PathBuf,
    recording: RecordingId,
    /// Relative to `dir`.
    path: String,
    file: Option<File>,
    /// Set as long as it is not sealed, through all trouble.
    mark: Option<Mark>,
    retry: Option<Instant>,
    /// The first sample of the recording that belongs into this file.
    from: u64,
    /// The sample after the last that is in the file.
    written: u64,
    gap: u64,
    n_gaps: u32,
    /// Samples that somebody said, by channel.
    heard: [u64; 2],
    gaps: Vec<Gap>,
    trouble: Option<String>,
    told: bool,
}

/// What is known of a recording's part on the volume before.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Where it lies; `None` when it cannot be read.
    pub(super) dir: Option<PathBuf>,
    pub(super) mark: Option<Mark>,
    pub(super) gap: u64,
    pub(super) n_gaps: u32,
    /// In samples, but for its gaps.
    pub(super) measured: Measured,
}

impl TapeFile {
    pub(super) fn new(dir: &Path, recording: RecordingId, path: String, from: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            recording,
            path,
            file: None,
            mark: None,
            retry: None,
            from,
            written: from,
            gap: 0,
            n_gaps: 0,
            heard: [0; 2],
            gaps: Vec::new(),
            trouble: None,
            told: false,
        }
    }

    pub(super) const fn recording(&self) -> &RecordingId {
        &self.recording
    }

    /// The first trouble, once.
    pub(super) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// Makes the file and its directories, or finds it as trouble left it.
    pub(super) fn open(&mut self, marks: &mut Marks) {
        if self.file.is_some() || self.retry.is_some_and(|it| Instant::now() < it) {
            return;
        }
        match self.try_open(marks) {
            Ok(file) => {
                self.file = Some(file);
                self.retry = None;
            }
            Err(error) => self.note(&error),
        }
    }

    fn try_open(&mut self, marks: &mut Marks) -> io::Result<File> {
        if self.mark.is_none() {
            let (recording, path) = (self.recording.clone(), self.path.clone());
            self.mark = Some(marks.set(&Marked { recording, path, from: self.from })?);
        }
        let path = self.dir.join(&self.path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = match options.open(&path) {
            // The first of its day.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
                options.open(&path)?
            }
            opened => opened?,
        };
        let audio = file.metadata()?.len().saturating_sub(HEADER as u64);
        self.written = self.written.min(self.from + audio / SAMPLE);
        write_at(&file, &wav::header(self.written - self.from), 0)?;
        Ok(file)
    }

    /// Writes a block; silence takes the place of blocks that are missing before it.
    pub(super) fn write(&mut self, block: &Block, marks: &mut Marks) {
        if block.start < self.written {
            // It was on its way to the volume before.
            return;
        }
        self.open(marks);
        let Some(file) = self.file.take() else { return };
        match self.fill(&file, block.start).and_then(|()| self.append(&file, block)) {
            Ok(()) => self.file = Some(file),
            Err(error) => self.note(&error),
        }
    }

    fn append(&mut self, file: &File, block: &Block) -> io::Result<()> {
        let mut bytes = [0; 2 * BLOCK];
        for (to, from) in bytes.iter_mut().zip(block.interleaved()) {
            *to = from;
        }
        write_at(file, bytes.get(..2 * block.len).unwrap_or_default(), self.place())?;
        self.count(file, block.len as u64)?;
        for (heard, more) in self.heard.iter_mut().zip(block.heard()) {
            *heard += more;
        }
        Ok(())
    }

    /// Silence up to `start`, and a gap if there was any to fill.
    fn fill(&mut self, file: &File, start: u64) -> io::Result<()> {
        let Some(missing) = start.checked_sub(self.written).filter(|it| *it > 0) else {
            return Ok(());
        };
        let silence = [ALAW_SILENCE; SILENCE];
        let began = self.written;
        let mut rest = missing;
        while rest > 0 {
            let n = rest.min(SILENCE as u64 / SAMPLE);
            let bytes = usize::try_from(n * SAMPLE).unwrap_or(0);
            write_at(file, silence.get(..bytes).unwrap_or_default(), self.place())?;
            self.count(file, n)?;
            self.gap += n;
            rest -= n;
        }
        self.note_gap(began, start);
        Ok(())
    }

    /// Nothing could be written from one sample to another.
    fn note_gap(&mut self, from: u64, to: u64) {
        self.n_gaps += 1;
        if self.gaps.len() < GAPS_MAX {
            self.gaps.push(Gap { from_ms: from / SAMPLES_PER_MS, to_ms: to / SAMPLES_PER_MS });
        }
    }

    /// So many more samples are in the file; the header says so from now on.
    fn count(&mut self, file: &File, samples: u64) -> io::Result<()> {
        write_at(file, &wav::header(self.written + samples - self.from), 0)?;
        self.written += samples;
        Ok(())
    }

    /// The byte of the next sample.
    const fn place(&self) -> u64 {
        HEADER as u64 + (self.written - self.from) * SAMPLE
    }

    /// It goes on elsewhere; its file and mark stay until it is joined with the rest.
    pub(super) fn leave(self) -> Before {
        let measured = Measured { heard_ms: self.heard, gaps: self.gaps };
        let Self { dir, mark, gap, n_gaps, .. } = self;
        Before { dir: Some(dir), mark, gap, n_gaps, measured }
    }

    /// There is no room for what comes now.
    pub(super) fn refuse(&mut self) {
        self.file = None;
        let reason = "recordings would take the last room on their disk";
        self.note(&io::Error::new(io::ErrorKind::StorageFull, reason));
    }

    /// Trouble: the file stays closed and is tried again later.
    fn note(&mut self, error: &io::Error) {
        self.retry = Some(Instant::now() + RETRY);
        if !self.told {
            self.told = true;
            self.trouble = Some(error.to_string());
        }
    }

    /// Brings the file to its full length. `None` when there is no file.
    pub(super) fn seal(
        &mut self,
        samples: u64,
        room: bool,
        before: Option<Before>,
        marks: &mut Marks,
    ) -> Option<SealJob> {
        // The last chance does not wait.
        if room {
            self.retry = None;
        }
        self.open(marks);
        if let Some(file) = self.file.take_if(|_| room) {
            match self.fill(&file, samples) {
                Ok(()) => self.file = Some(file),
                Err(error) => self.note(&error),
            }
        }
        if self.written < samples {
            self.gap += samples - self.written;
            self.note_gap(self.written, samples);
        }
        let file = self.file.take();
        if file.is_none() && self.written == self.from {
            return None;
        }
        let before = before.unwrap_or_default();
        let Measured { heard_ms: [left, right], mut gaps } = before.measured;
        let [more_left, more_right] = self.heard;
        let heard = [left + more_left, right + more_right];
        gaps.append(&mut self.gaps);
        Some(SealJob {
            recording: self.recording.clone(),
            path: std::mem::take(&mut self.path),
            mark: self.mark.take(),
            file,
            samples: self.written,
            gap: self.gap + before.gap,
            n_gaps: self.n_gaps + before.n_gaps,
            measured: Some(Measured { heard_ms: heard.map(|it| it / SAMPLES_PER_MS), gaps }),
            from: self.from,
            before: before.dir.map(|it| (it, before.mark)),
            is_synced: false,
        })
    }
}

fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}
