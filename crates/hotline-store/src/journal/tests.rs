//! Stories of a journal and its disk.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use tempfile::TempDir;

use super::{disk::Disk, *};

/// A disk that can be full, break, or take its time.
#[derive(Clone, Default)]
struct MoodyDisk {
    is_full: Arc<AtomicBool>,
    cannot_write: Arc<AtomicBool>,
    cannot_sync: Arc<AtomicBool>,
    /// Each sync waits for one word.
    gate: Arc<Mutex<Option<mpsc::Receiver<()>>>>,
}

impl Disk for MoodyDisk {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        OsDisk.create(path, bytes)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        OsDisk.open(path)
    }

    fn write_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        if self.cannot_write.load(Ordering::SeqCst) {
            // Half of it arrives, as it may on a real disk.
            OsDisk.write_at(file, &bytes[..bytes.len() / 2], at)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        OsDisk.write_at(file, bytes, at)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if self.cannot_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        if let Some(gate) = self.gate.lock().unwrap().as_ref() {
            gate.recv().unwrap();
        }
        OsDisk.sync(file)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.sync_dir(dir)
    }
}

fn config(dir: &TempDir) -> JournalConfig {
    JournalConfig {
        segment_bytes: 4096,
        retry: Duration::from_millis(5),
        ..JournalConfig::new(dir.path().to_owned())
    }
}

fn open(dir: &TempDir) -> Opened {
    Journal::open(config(dir)).unwrap()
}

fn item(text: &str) -> Item {
    Item { kind: Kind::CallRecord, payload: text.as_bytes().to_vec() }
}

/// Submits and waits for the answer.
fn save(journal: &Journal, items: &[&str], keeps: &[(&str, Option<&str>)]) -> Saved {
    let (tell, told) = mpsc::channel();
    journal
        .submit(Commit {
            items: items.iter().map(|it| item(it)).collect(),
            keeps: keeps
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.map(|it| it.as_bytes().to_vec())))
                .collect(),
            done: Box::new(move |saved| tell.send(saved).unwrap()),
        })
        .unwrap();
    told.recv().unwrap()
}

fn texts(journal: &Journal, from: Position) -> Vec<String> {
    let batch = journal.reader().read(from, journal.stats().synced, 10_000).unwrap();
    batch.entries.into_iter().map(|it| String::from_utf8(it.payload).unwrap()).collect()
}

fn kept(opened: &Opened) -> Vec<(&str, &str)> {
    opened
        .keepsakes
        .iter()
        .map(|(key, value)| (key.as_str(), std::str::from_utf8(value).unwrap()))
        .collect()
}

#[test]
fn records_and_keepsakes_are_there_in_the_next_life() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    assert_eq!(save(&first.journal, &["a"], &[("call/1", Some("x"))]), Saved::OnDisk);
    save(&first.journal, &["b"], &[("call/1", Some("y")), ("call/2", Some("z"))]);
    save(&first.journal, &[], &[("call/2", None)]);
    first.running.close();

    let second = open(&dir);
    assert_eq!(kept(&second), [("call/1", "y")]);
    assert_eq!(texts(&second.journal, Position::default()), ["a", "b"]);
    save(&second.journal, &["c"], &[]);
    assert_eq!(texts(&second.journal, Position::default()), ["a", "b", "c"]);
    second.running.close();
    let third = open(&dir);
    assert_eq!(kept(&third), [("call/1", "y")]);
    third.running.close();
}

#[test]
fn torn_write_is_cut_off_and_costs_nothing_that_was_synced() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    save(&first.journal, &["whole"], &[("key", Some("value"))]);
    let end = first.journal.stats().synced;
    first.running.close();
    let path = segment::path(dir.path(), end.segment);
    let mut frame = Vec::new();
    assert!(frame::push(&mut frame, frame::Tag::Commit, &"never finished"));
    OsDisk.write_at(&OsDisk.open(&path).unwrap(), &frame[..16], end.offset).unwrap();

    let second = open(&dir);
    assert_eq!(second.torn_bytes, 16);
    assert_eq!(fs::metadata(path).unwrap().len(), end.offset);
    assert_eq!(texts(&second.journal, Position::default()), ["whole"]);
    assert_eq!(kept(&second), [("key", "value")]);
    second.running.close();
}

#[test]
fn power_cut_at_any_byte_leaves_a_commit_whole_or_absent() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    save(&first.journal, &["one"], &[("call/1", Some("x"))]);
    let begin = first.journal.stats().synced;
    save(&first.journal, &["two", "three"], &[("call/1", None), ("call/2", Some("y"))]);
    let end = first.journal.stats().synced;
    first.running.close();
    let whole = fs::read(segment::path(dir.path(), begin.segment)).unwrap();
    for cut in begin.offset..=end.offset {
        let dir = TempDir::new().unwrap();
        let bytes = &whole[..usize::try_from(cut).unwrap()];
        fs::write(segment::path(dir.path(), begin.segment), bytes).unwrap();
        let opened = open(&dir);
        let found = (texts(&opened.journal, Position::default()), kept(&opened));
        if cut == end.offset {
            assert_eq!(found.0, ["one", "two", "three"]);
            assert_eq!(found.1, [("call/2", "y")]);
        } else {
            assert_eq!(found.0, ["one"], "cut at {cut}");
            assert_eq!(found.1, [("call/1", "x")], "cut at {cut}");
        }
        opened.running.close();
    }
}

#[tokio::test]
async fn full_disk_keeps_records_in_memory_and_recovers_without_a_restart() {
    let dir = TempDir::new().unwrap();
    let disk = MoodyDisk::default();
    let opened = Journal::open_on(disk.clone(), config(&dir)).unwrap();
    let mut watch = opened.journal.watch();
    disk.is_full.store(true, Ordering::SeqCst);
    disk.cannot_write.store(true, Ordering::SeqCst);
    assert_eq!(save(&opened.journal, &["in need"], &[("key", Some("v"))]), Saved::InMemory);
    assert!(!opened.journal.stats().healthy);
    assert_eq!(texts(&opened.journal, Position::default()), Vec::<String>::new());

    disk.is_full.store(false, Ordering::SeqCst);
    disk.cannot_write.store(false, Ordering::SeqCst);
    watch.wait_for(|it| it.healthy).await.unwrap();
    assert_eq!(opened.journal.stats().backlog_bytes, 0);
    assert_eq!(texts(&opened.journal, Position::default()), ["in need"]);
    opened.running.close();
    assert_eq!(kept(&open(&dir)), [("key", "v")]);
}

#[tokio::test]
async fn journal_stops_new_calls_while_it_still_has_a_whole_segment_for_running_ones() {
    let dir = TempDir::new().unwrap();
    let disk = MoodyDisk::default();
    let opened = Journal::open_on(disk.clone(), config(&dir)).unwrap();
    disk.is_full.store(true, Ordering::SeqCst);
    let long = "x".repeat(1000);
    let mut on_disk = 0;
    while opened.journal.stats().healthy {
        assert_eq!(save(&opened.journal, &[&long], &[]), Saved::OnDisk);
        on_disk += 1;
    }
    for _ in 0..2 {
        assert_eq!(save(&opened.journal, &[&long], &[]), Saved::OnDisk);
        on_disk += 1;
    }
    assert_eq!(texts(&opened.journal, Position::default()).len(), on_disk);
    disk.is_full.store(false, Ordering::SeqCst);
    opened.journal.watch().wait_for(|it| it.healthy).await.unwrap();
    opened.running.close();
}

#[tokio::test]
async fn failed_sync_is_never_trusted_and_written_again_elsewhere() {
    let dir = TempDir::new().unwrap();
    let disk = MoodyDisk::default();
    let opened = Journal::open_on(disk.clone(), config(&dir)).unwrap();
    save(&opened.journal, &["before"], &[]);
    let before = opened.journal.stats().synced;
    disk.cannot_sync.store(true, Ordering::SeqCst);
    assert_eq!(save(&opened.journal, &["after"], &[]), Saved::InMemory);
    disk.cannot_sync.store(false, Ordering::SeqCst);
    opened.journal.watch().wait_for(|it| it.healthy).await.unwrap();
    assert!(opened.journal.stats().synced.segment > before.segment);
    assert_eq!(texts(&opened.journal, Position::default()), ["before", "after"]);
    opened.running.close();
}

#[test]
fn commit_that_fits_neither_disk_nor_memory_is_answered_and_counted() {
    let dir = TempDir::new().unwrap();
    let disk = MoodyDisk::default();
    let config = JournalConfig { backlog_max: 1000, ..config(&dir) };
    let opened = Journal::open_on(disk.clone(), config).unwrap();
    disk.cannot_write.store(true, Ordering::SeqCst);
    let long = "x".repeat(600);
    assert_eq!(save(&opened.journal, &[&long], &[]), Saved::InMemory);
    assert_eq!(save(&opened.journal, &[&long], &[]), Saved::Lost);
    assert_eq!(opened.journal.stats().n_lost, 1);
    disk.cannot_write.store(false, Ordering::SeqCst);
    opened.running.close();
}

#[test]
fn commits_that_wait_for_the_disk_share_one_sync() {
    let dir = TempDir::new().unwrap();
    let disk = MoodyDisk::default();
    let opened = Journal::open_on(disk.clone(), config(&dir)).unwrap();
    let (open_gate, gate) = mpsc::channel();
    *disk.gate.lock().unwrap() = Some(gate);
    let (tell, told) = mpsc::channel();
    for n in 0..101 {
        let tell = tell.clone();
        let done = Box::new(move |saved| tell.send(saved).unwrap());
        opened.journal.append(vec![item(&n.to_string())], done).unwrap();
    }
    // The thread may wake after any of them: the first group is what it found, the second the
    // rest.
    for _ in 0..8 {
        open_gate.send(()).unwrap();
    }
    for _ in 0..101 {
        assert_eq!(told.recv().unwrap(), Saved::OnDisk);
    }
    *disk.gate.lock().unwrap() = None;
    save(&opened.journal, &[], &[]);
    assert!(opened.journal.stats().n_syncs <= 4, "{:?}", opened.journal.stats());
    assert_eq!(texts(&opened.journal, Position::default()).len(), 101);
    opened.running.close();
}

#[test]
fn segment_is_deleted_when_released_and_keepsakes_outlive_it() {
    let dir = TempDir::new().unwrap();
    let opened = open(&dir);
    save(&opened.journal, &[], &[("old", Some("kept"))]);
    let long = "x".repeat(1500);
    for _ in 0..8 {
        save(&opened.journal, &[&long], &[]);
    }
    let n_before = opened.journal.stats().n_segments;
    assert!(n_before > 3);
    let reader = opened.journal.reader();
    let synced = opened.journal.stats().synced;
    let batch = reader.read(Position::default(), synced, 5).unwrap();
    assert_eq!(batch.entries.len(), 5);
    assert!(opened.journal.release(crate::LOADER, batch.next));
    save(&opened.journal, &[], &[]);
    assert!(opened.journal.stats().n_segments < n_before);
    assert_eq!(texts(&opened.journal, batch.next).len(), 3);
    assert_eq!(opened.journal.released(crate::LOADER), Some(batch.next));
    assert!(opened.journal.release(crate::LOADER, synced));
    save(&opened.journal, &[], &[]);
    assert_eq!(opened.journal.stats().n_segments, 1);
    opened.running.close();
    assert_eq!(kept(&open(&dir)), [("old", "kept")]);
}

#[test]
fn damaged_frame_is_counted_and_its_neighbours_are_read() {
    let dir = TempDir::new().unwrap();
    let opened = open(&dir);
    save(&opened.journal, &["one"], &[]);
    let two = opened.journal.stats().synced;
    save(&opened.journal, &["two"], &[]);
    save(&opened.journal, &["three"], &[]);
    let path = segment::path(dir.path(), two.segment);
    let payload = two.offset + frame::HEADER as u64 + 9;
    OsDisk.write_at(&OsDisk.open(&path).unwrap(), b"T", payload).unwrap();
    let synced = opened.journal.stats().synced;
    let batch = opened.journal.reader().read(Position::default(), synced, 100).unwrap();
    assert_eq!(batch.n_damaged, 1);
    assert_eq!(texts(&opened.journal, Position::default()), ["one", "three"]);
    opened.running.close();
}

#[test]
fn two_processes_cannot_write_one_journal() {
    let dir = TempDir::new().unwrap();
    let opened = open(&dir);
    assert!(matches!(Journal::open(config(&dir)), Err(JournalError::Locked(_))));
    opened.running.close();
    open(&dir).running.close();
}
