//! One recording's file, through trouble: what cannot be written becomes a gap of silence, and the
//! file is tried again every second.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hotline_base::RecordingId;
use hotline_dsp::g711::ALAW_SILENCE;

use super::{BLOCK, Block, repair::Marker, seal::SealJob};
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
    file: Option<(File, Marker)>,
    retry: Option<Instant>,
    /// Samples in the file.
    written: u64,
    gap: u64,
    n_gaps: u32,
    trouble: Option<String>,
    told: bool,
    interleaved: Vec<u8>,
}

impl TapeFile {
    pub(super) fn new(dir: &Path, recording: RecordingId, path: String) -> Self {
        Self {
            dir: dir.to_owned(),
            recording,
            path,
            file: None,
            retry: None,
            written: 0,
            gap: 0,
            n_gaps: 0,
            trouble: None,
            told: false,
            interleaved: Vec::with_capacity(2 * BLOCK),
        }
    }

    pub(super) const fn recording(&self) -> &RecordingId {
        &self.recording
    }

    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// The first trouble, once.
    pub(super) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// Makes the file and its directories, or finds it as trouble left it.
    pub(super) fn open(&mut self) {
        if self.file.is_some() || self.retry.is_some_and(|it| Instant::now() < it) {
            return;
        }
        match self.try_open() {
            Ok(file) => {
                self.file = Some(file);
                self.retry = None;
            }
            Err(error) => self.note(&error),
        }
    }

    fn try_open(&mut self) -> io::Result<(File, Marker)> {
        let path = self.dir.join(&self.path);
        let parent = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent)?;
        let marker = Marker::set(&self.dir, &self.recording, &self.path)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path)?;
        let audio = file.metadata()?.len().saturating_sub(HEADER as u64);
        self.written = self.written.min(audio / SAMPLE);
        write_at(&file, &wav::header(self.written), 0)?;
        Ok((file, marker))
    }

    /// Writes a block; silence takes the place of blocks that are missing before it.
    pub(super) fn write(&mut self, block: &Block) {
        self.open();
        let Some((file, marker)) = self.file.take() else { return };
        match self.fill(&file, block.start).and_then(|()| self.append(&file, block)) {
            Ok(()) => self.file = Some((file, marker)),
            Err(error) => self.note(&error),
        }
    }

    fn append(&mut self, file: &File, block: &Block) -> io::Result<()> {
        self.interleaved.clear();
        let sides = block.sides.left.iter().zip(&block.sides.right).take(block.len);
        self.interleaved.extend(sides.flat_map(|(left, right)| [*left, *right]));
        write_at(file, &self.interleaved, place(self.written))?;
        self.count(file, block.len as u64)
    }

    /// Silence up to `start`, and a gap if there was any to fill.
    fn fill(&mut self, file: &File, start: u64) -> io::Result<()> {
        let Some(missing) = start.checked_sub(self.written).filter(|it| *it > 0) else {
            return Ok(());
        };
        let silence = [ALAW_SILENCE; SILENCE];
        let mut rest = missing;
        while rest > 0 {
            let n = rest.min(SILENCE as u64 / SAMPLE);
            let bytes = usize::try_from(n * SAMPLE).unwrap_or(0);
            write_at(file, silence.get(..bytes).unwrap_or_default(), place(self.written))?;
            self.count(file, n)?;
            self.gap += n;
            rest -= n;
        }
        self.n_gaps += 1;
        Ok(())
    }

    /// So many more samples are in the file; the header says so from now on.
    fn count(&mut self, file: &File, samples: u64) -> io::Result<()> {
        write_at(file, &wav::header(self.written + samples), 0)?;
        self.written += samples;
        Ok(())
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
    pub(super) fn seal(&mut self, samples: u64, room: bool) -> Option<SealJob> {
        // The last chance does not wait.
        if room {
            self.retry = None;
        }
        self.open();
        if let Some((file, marker)) = self.file.take_if(|_| room) {
            match self.fill(&file, samples) {
                Ok(()) => self.file = Some((file, marker)),
                Err(error) => self.note(&error),
            }
        }
        if self.written < samples {
            self.gap += samples - self.written;
            self.n_gaps += 1;
        }
        let file = self.file.take();
        if file.is_none() && self.written == 0 {
            return None;
        }
        Some(SealJob {
            recording: self.recording.clone(),
            path: std::mem::take(&mut self.path),
            marker: file.map(|(_, marker)| marker),
            samples: self.written,
            gap: self.gap,
            n_gaps: self.n_gaps,
        })
    }
}

const fn place(sample: u64) -> u64 {
    HEADER as u64 + sample * SAMPLE
}

fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}
