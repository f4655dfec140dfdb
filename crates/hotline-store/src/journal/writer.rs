//! The open segment, the reserve, and the keepsakes as they are on disk.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    Group, JournalConfig, Position,
    disk::Disk,
    frame::{self, Tag},
    segment::{self, Step, Walk},
};

const RESERVE: &str = "reserve";

pub(crate) type Keeps = BTreeMap<String, Vec<u8>>;

pub(crate) struct Opening {
    pub(crate) keepsakes: Vec<(String, Vec<u8>)>,
    pub(crate) torn_bytes: u64,
}

struct Open {
    number: u64,
    file: File,
    /// Up to here everything is synced.
    end: u64,
    /// Preallocated size.
    bytes: u64,
}

pub(crate) struct Writer<D> {
    disk: D,
    dir: PathBuf,
    segment_bytes: u64,
    current: Option<Open>,
    last_number: u64,
    has_reserve: bool,
    /// As the synced frames have it.
    keeps: Keeps,
    synced: Position,
}

impl<D: Disk> Writer<D> {
    pub(crate) fn open(disk: D, config: &JournalConfig) -> io::Result<(Self, Opening)> {
        let segments = segment::list(&config.dir)?;
        let (keeps, end) = load(&config.dir, &segments)?;
        let last_number = segments.last().copied().unwrap_or(0);
        let torn_bytes = match end {
            Some(end) => cut(&disk, &segment::path(&config.dir, last_number), end)?,
            None => 0,
        };
        let synced = Position { segment: last_number, offset: end.map_or(0, |it| it.offset) };
        let keepsakes = keeps.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut writer = Self {
            disk,
            dir: config.dir.clone(),
            segment_bytes: config.segment_bytes,
            current: None,
            last_number,
            has_reserve: config.dir.join(RESERVE).exists(),
            keeps,
            synced,
        };
        // A disk without space is told by `is_healthy`, not by refusing to start.
        drop(writer.rotate());
        drop(writer.make_reserve());
        Ok((writer, Opening { keepsakes, torn_bytes }))
    }

    pub(crate) const fn synced(&self) -> Position {
        self.synced
    }

    pub(crate) const fn has_reserve(&self) -> bool {
        self.has_reserve && self.current.is_some()
    }

    /// The segment that is written to.
    pub(crate) fn current(&self) -> Option<u64> {
        self.current.as_ref().map(|it| it.number)
    }

    /// Writes frames and syncs them, all or none. After an error the next attempt begins a new
    /// segment: pages that a failed sync left behind cannot be trusted.
    pub(crate) fn write(
        &mut self,
        frames: &[u8],
        keeps: &mut Vec<(String, Option<Vec<u8>>)>,
    ) -> io::Result<()> {
        let room = |it: &Open| it.bytes.saturating_sub(it.end) >= frames.len() as u64;
        if !self.current.as_ref().is_some_and(room) {
            self.rotate()?;
        }
        let Some(current) = &mut self.current else {
            return Err(io::Error::from(ErrorKind::NotFound));
        };
        let written = self
            .disk
            .write_at(&current.file, frames, current.end)
            .and_then(|()| self.disk.sync(&current.file));
        if let Err(error) = written {
            self.abandon();
            return Err(error);
        }
        current.end = current.end.saturating_add(frames.len() as u64);
        self.synced = Position { segment: current.number, offset: current.end };
        change(&mut self.keeps, keeps.drain(..));
        Ok(())
    }

    /// Takes space for the segment after this one, unless it is there.
    pub(crate) fn make_reserve(&mut self) -> io::Result<()> {
        if self.has_reserve {
            return Ok(());
        }
        drop(self.disk.create(&self.dir.join(RESERVE), self.segment_bytes)?);
        self.disk.sync_dir(&self.dir)?;
        self.has_reserve = true;
        Ok(())
    }

    /// Ends the open segment and begins the next with a snapshot of the keepsakes.
    fn rotate(&mut self) -> io::Result<()> {
        self.abandon();
        let number = wall_millis().max(self.last_number.saturating_add(1));
        let path = segment::path(&self.dir, number);
        self.last_number = number;
        match self.begin(&path) {
            Ok((file, end)) => {
                let bytes = file.metadata()?.len();
                self.current = Some(Open { number, file, end, bytes });
                self.synced = Position { segment: number, offset: end };
                // Best effort now; the worker tries again and reports.
                drop(self.make_reserve());
                Ok(())
            }
            Err(error) => {
                // A disk that fails for hours must not fill up with beginnings.
                drop(fs::remove_file(path));
                Err(error)
            }
        }
    }

    /// Makes a segment and gives the end of its snapshot.
    fn begin(&mut self, path: &Path) -> io::Result<(File, u64)> {
        let file = if self.has_reserve {
            fs::rename(self.dir.join(RESERVE), path)?;
            self.has_reserve = false;
            self.disk.open(path)?
        } else {
            self.disk.create(path, self.segment_bytes)?
        };
        self.disk.sync_dir(&self.dir)?;
        let mut snapshot = Vec::new();
        if !frame::push(&mut snapshot, Tag::Snapshot, &self.keeps) {
            return Err(io::Error::from(ErrorKind::FileTooLarge));
        }
        self.disk.write_at(&file, &snapshot, 0)?;
        self.disk.sync(&file)?;
        Ok((file, snapshot.len() as u64))
    }

    /// Closes the open segment at the last synced byte and gives its unused space back.
    fn abandon(&mut self) {
        if let Some(it) = self.current.take() {
            // Zeros and torn bytes at the end are understood by every reader.
            drop(it.file.set_len(it.end));
        }
    }

    /// Deletes segments before `keep_from` that a newer snapshot has made superfluous.
    pub(crate) fn delete_before(&self, keep_from: u64) -> io::Result<()> {
        let Some(current) = self.current() else { return Ok(()) };
        for number in segment::list(&self.dir)? {
            if number < keep_from && number < current {
                fs::remove_file(segment::path(&self.dir, number))?;
            }
        }
        Ok(())
    }

    /// How many segments there are, and their bytes.
    pub(crate) fn usage(&self) -> io::Result<(u64, u64)> {
        let mut usage = (0, 0);
        for number in segment::list(&self.dir)? {
            usage.0 += 1;
            usage.1 += fs::metadata(segment::path(&self.dir, number))?.len();
        }
        Ok(usage)
    }
}

fn change(keeps: &mut Keeps, changes: impl IntoIterator<Item = (String, Option<Vec<u8>>)>) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(keeps.insert(key, value)),
            None => drop(keeps.remove(&key)),
        }
    }
}

fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

#[derive(Clone, Copy)]
struct TailEnd {
    offset: u64,
}

/// Keepsakes as the newest snapshot and the frames behind it have them, and where the frames of
/// the last segment end.
fn load(dir: &Path, segments: &[u64]) -> io::Result<(Keeps, Option<TailEnd>)> {
    // A segment begins with a snapshot; only the last can lack it, when its making was cut short.
    let mut begin = segments.len();
    while begin > 0 {
        begin -= 1;
        let Some(number) = segments.get(begin) else { break };
        let mut walk = Walk::open(&segment::path(dir, *number), 0, None)?;
        if matches!(walk.step()?, Step::Frame { tag: Tag::Snapshot, .. }) {
            break;
        }
    }
    let mut keeps = Keeps::new();
    let mut end = None;
    for number in segments.iter().skip(begin) {
        let mut walk = Walk::open(&segment::path(dir, *number), 0, None)?;
        let mut last_good = 0;
        loop {
            match walk.step()? {
                Step::Frame { tag: Tag::Snapshot, payload } => keeps = borsh::from_slice(payload)?,
                Step::Frame { tag: Tag::Commit, payload } => {
                    change(&mut keeps, borsh::from_slice::<Group>(payload)?.keeps);
                }
                Step::Damaged => continue,
                Step::End { .. } => break,
            }
            last_good = walk.at();
        }
        end = Some(TailEnd { offset: last_good });
    }
    Ok((keeps, end))
}

/// Cuts the last segment behind its last frame. Gives the bytes of a torn write, zeros not counted.
fn cut(disk: &impl Disk, path: &Path, end: TailEnd) -> io::Result<u64> {
    use std::io::{Read as _, Seek as _};
    let mut file = disk.open(path)?;
    file.seek(io::SeekFrom::Start(end.offset))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let torn = tail.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1);
    file.set_len(end.offset)?;
    file.sync_all()?;
    Ok(torn as u64)
}
