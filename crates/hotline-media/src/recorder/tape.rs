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
    media::{Channel, GAPS_MAX, Gap, GapWhy, MarkedGap, Measured},
};
use hotline_dsp::g711::ALAW_SILENCE;

use super::{
    Block, SAMPLES_PER_MS,
    marks::{Mark, Marked, Marks},
    seal::SealJob,
};
use crate::wav::{self, HEADER, SAMPLE};

/// How often a file that cannot be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A gap that shows so soon after the disk took very long is the disk's: what had queued up by then
/// is written first.
const WAITED: Duration = Duration::from_secs(5);

/// Samples after which the header counts what was written (1 s). Whoever plays a file while it
/// grows hears as much less of it; who repairs it goes by its length.
const HEADED_EVERY: u64 = 8_000;

/// Samples that must be written after trouble before it is over (1 s): a disk that takes a block
/// now and then is in trouble.
const RECOVERED: u64 = 8_000;

/// Stretches of one side that lie so near each other are told as one (400 ms): packets of a codec
/// that is passed on come when they come.
const JOINED: u64 = 3_200;

/// Of one side's gaps: others are to have room.
const SIDES_MAX: usize = GAPS_MAX / 2;

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
    /// The same as the header says it.
    headed: u64,
    gap: u64,
    n_gaps: u32,
    /// Samples that somebody said, by channel.
    heard: [u64; 2],
    gaps: Vec<MarkedGap>,
    /// Where each side's last stretch that could not be written ends, and its place in `gaps`.
    unwritten: [Option<(u64, usize)>; 2],
    /// The disk did not take something since it last took a block.
    is_refused: bool,
    /// When the disk last took very long over something.
    waited: Option<Instant>,
    trouble: Option<String>,
    told: bool,
    /// The first sample that was written after trouble.
    better_since: Option<u64>,
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
            headed: from,
            gap: 0,
            n_gaps: 0,
            heard: [0; 2],
            gaps: Vec::new(),
            unwritten: [None; 2],
            is_refused: false,
            waited: None,
            trouble: None,
            told: false,
            better_since: None,
        }
    }

    pub(super) const fn recording(&self) -> &RecordingId {
        &self.recording
    }

    /// The disk took very long over something, whosever it was.
    pub(super) fn waited(&mut self) {
        self.waited = Some(Instant::now());
    }

    /// The first trouble, once.
    pub(super) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// Whether trouble that was told is over; once.
    pub(super) fn take_recovery(&mut self) -> bool {
        let better = self.better_since.is_some_and(|it| self.written >= it + RECOVERED);
        if better {
            (self.told, self.better_since) = (false, None);
        }
        better
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
        self.head(&file)?;
        Ok(file)
    }

    /// Writes a block; silence takes the place of blocks that are missing before it.
    pub(super) fn write(&mut self, block: &Block, marks: &mut Marks) {
        if block.start() < self.written {
            // It was on its way to the volume before.
            return;
        }
        self.open(marks);
        let Some(file) = self.file.take() else { return };
        match self.fill(&file, block.start()).and_then(|()| self.append(&file, block)) {
            Ok(()) => {
                self.file = Some(file);
                self.is_refused = false;
                if self.told && self.better_since.is_none() {
                    self.better_since = Some(block.start());
                }
            }
            Err(error) => self.give_up(&file, &error),
        }
    }

    fn append(&mut self, file: &File, block: &Block) -> io::Result<()> {
        let bytes = block.interleaved();
        write_at(
            file,
            bytes.as_flattened().get(..2 * block.len()).unwrap_or_default(),
            self.place(),
        )?;
        self.count(file, block.len() as u64)?;
        for (heard, more) in self.heard.iter_mut().zip(block.heard()) {
            *heard += more;
        }
        let [left, right] = block.missing();
        for (side, channel, it) in [(0, Channel::Left, left), (1, Channel::Right, right)] {
            if let Some((from, to)) = it.lost {
                self.mark(from.into(), to.into(), GapWhy::Lost, Some(channel));
            }
            if let Some((from, to)) = it.unwritten {
                self.note_unwritten(side, channel, from.into(), to.into());
            }
        }
        Ok(())
    }

    fn note_unwritten(&mut self, side: usize, channel: Channel, from: u64, to: u64) {
        let Some(last) = self.unwritten.get_mut(side) else { return };
        if let Some((end, place)) = last.as_mut().filter(|it| from <= it.0 + JOINED) {
            *end = to;
            if let Some(it) = self.gaps.get_mut(*place) {
                it.gap.to_ms = to / SAMPLES_PER_MS;
            }
            return;
        }
        *last = Some((to, self.gaps.len()));
        self.mark(from, to, GapWhy::Codec, Some(channel));
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
            self.gap += n;
            self.count(file, n)?;
            rest -= n;
        }
        self.note_gap(began, start);
        Ok(())
    }

    /// Nothing could be written from one sample to another.
    fn note_gap(&mut self, from: u64, to: u64) {
        self.n_gaps += 1;
        let waited = self.waited.is_some_and(|it| it.elapsed() < WAITED);
        let why = if self.is_refused || waited { GapWhy::Disk } else { GapWhy::Shed };
        self.mark(from, to, why, None);
    }

    fn mark(&mut self, from: u64, to: u64, why: GapWhy, channel: Option<Channel>) {
        let room = if channel.is_some() { SIDES_MAX } else { GAPS_MAX };
        if self.gaps.len() < room {
            let gap = Gap { from_ms: from / SAMPLES_PER_MS, to_ms: to / SAMPLES_PER_MS };
            self.gaps.push(MarkedGap { gap, why, channel });
        }
    }

    /// So many more samples are in the file; now and then the header says so.
    fn count(&mut self, file: &File, samples: u64) -> io::Result<()> {
        self.written += samples;
        if self.written < self.headed + HEADED_EVERY { Ok(()) } else { self.head(file) }
    }

    /// From now on the header says how much is in the file.
    fn head(&mut self, file: &File) -> io::Result<()> {
        write_at(file, &wav::header(self.written - self.from), 0)?;
        self.headed = self.written;
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
        let reason = "recordings would take the last room on their disk";
        let error = io::Error::new(io::ErrorKind::StorageFull, reason);
        match self.file.take() {
            Some(file) => self.give_up(&file, &error),
            None => self.note(&error),
        }
    }

    /// The file takes no more: what is in it is counted, as far as the disk allows that.
    fn give_up(&mut self, file: &File, error: &io::Error) {
        let _more_trouble = self.head(file);
        self.note(error);
    }

    /// Trouble: the file stays closed and is tried again later.
    fn note(&mut self, error: &io::Error) {
        self.retry = Some(Instant::now() + RETRY);
        self.better_since = None;
        self.is_refused = true;
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
                Err(error) => self.give_up(&file, &error),
            }
        }
        if let Some(file) = self.file.take() {
            match self.head(&file) {
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
        gaps.sort_by_key(|it| it.gap.from_ms);
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

#[cfg(test)]
mod tests {
    use super::{super::BLOCK, *};
    use crate::task::Slot;

    #[test]
    fn a_header_counts_all_but_the_last_second_and_everything_when_its_file_is_left() {
        let dir = std::env::temp_dir().join(format!("hotline-header-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut marks = Marks::new(dir.clone());
        let tape =
            |name: &str| TapeFile::new(&dir, RecordingId::new(name), format!("day/{name}.wav"), 0);
        let blocks = |tape: &mut TapeFile, marks: &mut Marks, which: std::ops::Range<u64>| {
            for n in which {
                let mut block = Block::silent();
                block.begin(Slot { worker: 0, index: 0, generation: 0 }, 1, n * BLOCK as u64);
                tape.write(&block, marks);
            }
        };
        let counted = |name: &str| {
            let file = fs::read(dir.join(format!("day/{name}.wav"))).unwrap();
            let counts = |it: &u64| file.starts_with(&wav::header(*it * BLOCK as u64));
            (0..20_u64).find(counts).unwrap()
        };
        let (mut a, mut b) = (tape("a"), tape("b"));
        for it in [&mut a, &mut b] {
            blocks(it, &mut marks, 0..4);
        }
        assert_eq!(counted("a"), 0);
        blocks(&mut a, &mut marks, 4..7);
        assert_eq!(counted("a"), 5);
        a.refuse();
        assert_eq!(counted("a"), 7);
        drop(b.seal(6 * BLOCK as u64, true, None, &mut marks).unwrap());
        assert_eq!(counted("b"), 6);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_never_came_was_shed_and_what_was_refused_is_the_disks() {
        let dir = std::env::temp_dir().join(format!("hotline-gaps-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut marks = Marks::new(dir.clone());
        let mut tape = TapeFile::new(&dir, RecordingId::new("a"), "a.wav".to_owned(), 0);
        let mut write = |tape: &mut TapeFile, n: u64| {
            let mut block = Block::silent();
            block.begin(Slot { worker: 0, index: 0, generation: 0 }, 1, n * BLOCK as u64);
            tape.write(&block, &mut marks);
        };
        write(&mut tape, 0);
        write(&mut tape, 2);
        tape.refuse();
        tape.retry = None;
        write(&mut tape, 4);
        tape.waited();
        write(&mut tape, 6);
        let told: Vec<_> =
            tape.gaps.iter().map(|it| (it.gap.from_ms, it.gap.to_ms, it.why)).collect();
        let (shed, disk) = (GapWhy::Shed, GapWhy::Disk);
        assert_eq!(told, [(200, 400, shed), (600, 800, disk), (1_000, 1_200, disk)]);
        fs::remove_dir_all(&dir).unwrap();
    }
}
