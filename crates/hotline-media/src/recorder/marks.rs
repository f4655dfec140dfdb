//! Which recordings are being written: one file a volume and process in `.open/`, locked as long
//! as the process lives, with a record of fixed size for each.
//!
//! A recording that begins or is sealed costs one small write into the page cache: no file is made
//! for it, named, or removed. After a kill, and after a power loss once the syncer came by, the
//! records tell the next process what to repair. Only they are looked at, so that an archive of
//! years costs nothing at start.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hotline_base::RecordingId;

use super::seal::remove;

/// Directory of the lists, in the recording directory.
const OPEN_DIR: &str = ".open";

/// The ending of a list's name. Files without it are the marks of earlier versions, one each.
const LIST: &str = "list";

/// Bytes of a record, a part of a page: a kill leaves the old one or the new one.
const RECORD: usize = 512;

/// The last line of a record that is whole.
const END: &str = ".";

/// A volume's list of this process, made when the first recording begins there.
#[derive(Debug)]
pub(super) struct Marks {
    dir: PathBuf,
    list: Option<Arc<List>>,
}

#[derive(Debug)]
struct List {
    path: PathBuf,
    /// Holds the lock.
    file: File,
    /// Device and inode: what is mounted there may change.
    identity: (u64, u64),
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    /// Places there ever were.
    n: u32,
    free: Vec<u32>,
}

/// Says that a recording is being written. One that is dropped and not cleared goes on saying so,
/// to the process after this one.
#[derive(Debug)]
pub(super) enum Mark {
    Record(Record),
    /// Of an earlier version: a file of its own.
    File {
        path: PathBuf,
        _lock: File,
    },
}

#[derive(Debug)]
pub(super) struct Record {
    list: Arc<List>,
    place: u32,
}

/// What a mark says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Marked {
    pub(super) recording: RecordingId,
    /// Relative to the recording directory.
    pub(super) path: String,
    /// The first sample of the recording that is in the file.
    pub(super) from: u64,
}

impl Marks {
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self { dir, list: None }
    }

    pub(super) fn set(&mut self, marked: &Marked) -> io::Result<Mark> {
        let list = match self.list.take_if(|it| it.is_there()) {
            Some(list) => list,
            None => Arc::new(List::make(&self.dir.join(OPEN_DIR))?),
        };
        let mark = List::set(&list, marked);
        self.list = Some(list);
        mark
    }
}

impl List {
    fn make(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        for n in 0_u32.. {
            let path = dir.join(format!("{n}.{LIST}"));
            let mut options = OpenOptions::new();
            match options.read(true).write(true).create_new(true).open(&path) {
                // Whoever repairs takes one that is not locked yet for a dead process's.
                Ok(file) => match file.try_lock() {
                    Ok(()) if file.metadata()?.nlink() > 0 => return Self::of(path, file),
                    Ok(()) | Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(error)) => return Err(error),
                },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn of(path: PathBuf, file: File) -> io::Result<Self> {
        let it = file.metadata()?;
        let identity = (it.dev(), it.ino());
        Ok(Self { path, file, identity, places: Mutex::default() })
    }

    fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|it| (it.dev(), it.ino()) == self.identity)
    }

    fn set(this: &Arc<Self>, marked: &Marked) -> io::Result<Mark> {
        let record = marked.record()?;
        let place = this.with(|it| {
            it.free.pop().unwrap_or_else(|| {
                it.n += 1;
                it.n - 1
            })
        });
        // It reaches the disk before what it names does, or with it: the syncer brings both.
        match this.file.write_all_at(&record, at(place)) {
            Ok(()) => Ok(Mark::Record(Record { list: Arc::clone(this), place })),
            Err(error) => {
                this.with(|it| it.free.push(place));
                Err(error)
            }
        }
    }

    fn with<T>(&self, job: impl FnOnce(&mut Places) -> T) -> T {
        job(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the records say, by place.
    fn read(mut file: &File) -> io::Result<Vec<Option<Marked>>> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes.chunks(RECORD).map(|it| Marked::read(it, true)).collect())
    }
}

impl Drop for List {
    /// A list of nothing is not left behind.
    fn drop(&mut self) {
        if self.with(|it| it.free.len() == it.n as usize)
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(%error, "An empty list of recordings cannot be removed.");
        }
    }
}

impl Mark {
    /// The recording is sealed.
    pub(super) fn clear(self) -> io::Result<()> {
        match self {
            Self::Record(Record { list, place }) => {
                list.file.write_all_at(&[0; RECORD], at(place))?;
                list.with(|it| it.free.push(place));
                Ok(())
            }
            Self::File { path, .. } => remove(&path),
        }
    }
}

impl Marked {
    fn record(&self) -> io::Result<[u8; RECORD]> {
        let Self { recording, path, from } = self;
        let text = format!("{recording}\n{path}\n{from}\n{END}\n");
        let mut record = [0; RECORD];
        let Some(to) = record.get_mut(..text.len()) else {
            let why = "the recording's name and path are too long";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        };
        to.copy_from_slice(text.as_bytes());
        Ok(record)
    }

    /// `None` for one that says nothing, or was not written to its end.
    fn read(bytes: &[u8], must_end: bool) -> Option<Self> {
        let text = bytes.split(|it| *it == 0).next().and_then(|it| str::from_utf8(it).ok())?;
        let mut lines = text.lines();
        let (recording, path) = (RecordingId::new(lines.next()?), lines.next()?.to_owned());
        // The oldest end here.
        let from = lines.next().and_then(|it| it.parse().ok()).unwrap_or(0);
        let ends = lines.next() == Some(END);
        (ends || !must_end).then_some(Self { recording, path, from })
    }
}

fn at(place: u32) -> u64 {
    u64::from(place) * RECORD as u64
}

/// The marks that processes left which do not live any more. A mark without words names a recording
/// that did not begin.
pub(super) fn left_behind(dir: &Path) -> io::Result<Vec<(Mark, Option<Marked>)>> {
    let mut left = Vec::new();
    for path in files(dir)? {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        if file.try_lock().is_err() {
            continue;
        }
        if !is_list(&path) {
            let mut bytes = Vec::new();
            (&file).read_to_end(&mut bytes)?;
            left.push((Mark::File { path, _lock: file }, Marked::read(&bytes, false)));
            continue;
        }
        let records = List::read(&file)?;
        let list = Arc::new(List::of(path, file)?);
        let places = 0..u32::try_from(records.len()).unwrap_or(u32::MAX);
        list.with(|it| it.n = places.end);
        for (place, marked) in places.zip(records) {
            match marked {
                Some(marked) => {
                    let list = Arc::clone(&list);
                    left.push((Mark::Record(Record { list, place }), Some(marked)));
                }
                None => list.with(|it| it.free.push(place)),
            }
        }
    }
    Ok(left)
}

/// Whether the recording at `path` below `dir` was begun and not sealed, and if so, whether the
/// process that writes it lives.
pub(super) fn is_open(dir: &Path, path: &Path) -> io::Result<Option<bool>> {
    for file in files(dir)? {
        let list = match File::open(&file) {
            Ok(it) => it,
            // Sealed at this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let marked = if is_list(&file) {
            List::read(&list)?
        } else {
            let mut bytes = Vec::new();
            (&list).read_to_end(&mut bytes)?;
            vec![Marked::read(&bytes, false)]
        };
        if marked.iter().flatten().any(|it| Path::new(&it.path) == path) {
            return Ok(Some(list.try_lock().is_err()));
        }
    }
    Ok(None)
}

fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir.join(OPEN_DIR)) {
        Ok(files) => files.map(|it| Ok(it?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == LIST)
}

/// How many recordings are marked.
#[cfg(test)]
pub(crate) fn n_open(dir: &Path) -> usize {
    let count = |it: PathBuf| List::read(&File::open(it).unwrap()).unwrap().into_iter().flatten();
    files(dir).unwrap().into_iter().flat_map(count).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(name: &str) -> Marked {
        Marked { recording: RecordingId::new(name), path: format!("day/{name}.wav"), from: 7 }
    }

    fn dir(name: &str) -> PathBuf {
        let name = format!("hotline-marks-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(dir.join(OPEN_DIR)).unwrap();
        dir
    }

    #[test]
    fn places_of_what_is_sealed_are_taken_again_and_an_empty_list_goes_away() {
        let dir = dir("places");
        let mut marks = Marks::new(dir.clone());
        let mut set: Vec<_> = (0..4).map(|n| marks.set(&marked(&n.to_string())).unwrap()).collect();
        for _ in 0..100 {
            set.remove(0).clear().unwrap();
            set.push(marks.set(&marked("again")).unwrap());
        }
        let list = dir.join(OPEN_DIR).join("0.list");
        assert_eq!(fs::metadata(&list).unwrap().len(), 4 * RECORD as u64);
        assert_eq!(n_open(&dir), 4);
        assert_eq!(is_open(&dir, Path::new("day/again.wav")).unwrap(), Some(true));
        assert_eq!(left_behind(&dir).unwrap().len(), 0, "its process lives");
        for it in set {
            it.clear().unwrap();
        }
        assert_eq!(is_open(&dir, Path::new("day/again.wav")).unwrap(), None);
        drop(marks);
        assert!(!list.exists());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn marks_of_the_dead_are_found_whatever_version_wrote_them() {
        let dir = dir("dead");
        let mut marks = Marks::new(dir.clone());
        let [first, second] = ["a", "b"].map(|it| marks.set(&marked(it)).unwrap());
        first.clear().unwrap();
        drop((second, marks));
        fs::write(dir.join(OPEN_DIR).join("c"), "c\nday/c.wav\n7\n").unwrap();
        fs::write(dir.join(OPEN_DIR).join("d"), "d\nday/d.wav\n").unwrap();
        fs::write(dir.join(OPEN_DIR).join("e"), "").unwrap();
        let left = left_behind(&dir).unwrap();
        let mut found: Vec<_> = left.iter().filter_map(|it| it.1.clone()).collect();
        found.sort_by(|a, b| a.recording.cmp(&b.recording));
        let oldest = Marked { from: 0, ..marked("d") };
        assert_eq!(found, [marked("b"), marked("c"), oldest]);
        assert_eq!(is_open(&dir, Path::new("day/c.wav")).unwrap(), Some(true), "looked at");
        for (mark, _) in left {
            mark.clear().unwrap();
        }
        assert_eq!(fs::read_dir(dir.join(OPEN_DIR)).unwrap().count(), 0);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_mark_that_is_too_long_or_half_written_is_none() {
        let dir = dir("spoilt");
        let mut marks = Marks::new(dir.clone());
        assert!(marks.set(&marked(&"long".repeat(100))).is_err());
        marks.set(&marked("a")).map(drop).unwrap();
        let list = OpenOptions::new().write(true).open(dir.join(OPEN_DIR).join("0.list")).unwrap();
        list.set_len(10).unwrap();
        assert_eq!(n_open(&dir), 0);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn another_disk_in_the_place_of_the_first_has_a_list_of_its_own() {
        let dir = dir("disk");
        let mut marks = Marks::new(dir.clone());
        let first = marks.set(&marked("a")).unwrap();
        fs::rename(dir.join(OPEN_DIR), dir.join("gone")).unwrap();
        let second = marks.set(&marked("b")).unwrap();
        assert_eq!(n_open(&dir), 1);
        second.clear().unwrap();
        first.clear().unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }
}
