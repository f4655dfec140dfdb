//! Segment files by name, and a walk over the frames of one.

use std::{
    fs::{self, File},
    io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::frame::{self, HEADER, Header, Tag};

const SUFFIX: &str = "seg";

/// Segments are numbered by the millisecond of their making, always rising.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.{SUFFIX}"))
}

/// All segments, oldest first.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == SUFFIX) {
            let stem = path.file_stem().and_then(|it| it.to_str());
            numbers.extend(stem.and_then(|it| it.parse::<u64>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What the next frame of a segment is.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    Frame {
        tag: Tag,
        payload: &'a [u8],
    },
    /// A frame whose checksum is wrong, or of a kind this version does not know; its length looks
    /// right, so the next one can be tried.
    Damaged,
    /// No frame follows.
    End {
        /// Bytes that are not zero follow: a torn write, or damage.
        torn: bool,
    },
}

/// Reads frames up to a limit.
pub(crate) struct Walk {
    file: BufReader<File>,
    at: u64,
    limit: u64,
    /// Of the last frame.
    payload: Vec<u8>,
}

impl Walk {
    /// From `at` to `limit`, or to the end of the file.
    pub(crate) fn open(path: &Path, at: u64, limit: Option<u64>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(at))?;
        let limit = limit.map_or(len, |it| it.min(len));
        let file = BufReader::with_capacity(64 << 10, file);
        Ok(Self { file, at, limit, payload: Vec::new() })
    }

    /// Where the next frame begins.
    pub(crate) const fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn step(&mut self) -> io::Result<Step<'_>> {
        let left = self.limit.saturating_sub(self.at);
        if left == 0 {
            return Ok(Step::End { torn: false });
        }
        let mut header = [0; HEADER];
        match self.file.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Ok(Step::End { torn: true });
            }
            Err(error) => return Err(error),
        }
        let (len, crc, code) = match frame::parse_header(header) {
            Header::End => return Ok(Step::End { torn: false }),
            Header::Garbage => return Ok(Step::End { torn: true }),
            Header::Frame { len, crc, code } => (len, crc, code),
        };
        let whole = (HEADER as u64).saturating_add(len as u64);
        if whole > left {
            return Ok(Step::End { torn: true });
        }
        self.payload.resize(len, 0);
        self.file.read_exact(&mut self.payload)?;
        self.at = self.at.saturating_add(whole);
        Ok(match frame::verify(crc, code, &self.payload) {
            Some(tag) => Step::Frame { tag, payload: &self.payload },
            None => Step::Damaged,
        })
    }
}
