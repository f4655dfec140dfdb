//! Reads items in the order in which they were written, from a position on.

use std::{io, io::ErrorKind, path::PathBuf};

use super::{
    Entry, Group, Kind, Position,
    frame::Tag,
    segment::{self, Step, Walk},
};

/// What one reading gave.
#[derive(Debug, Default)]
pub struct Batch {
    pub entries: Vec<Entry>,
    /// Where to go on.
    pub next: Position,
    /// Frames that cannot be read any more.
    pub n_damaged: u64,
}

/// A consumer's eye on the journal. Blocks on the disk: call it where blocking is allowed.
#[derive(Clone, Debug)]
pub struct Reader {
    dir: PathBuf,
}

impl Reader {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Commits from `from` on and before `until`, until there are `n_max` items. A position in a
    /// segment that no longer exists means the oldest segment that does.
    pub fn read(&self, from: Position, until: Position, n_max: usize) -> io::Result<Batch> {
        let mut batch = Batch { next: from, ..Batch::default() };
        let segments = segment::list(&self.dir)?;
        for number in segments.into_iter().filter(|it| *it >= from.segment && *it <= until.segment)
        {
            let at = if number == from.segment { from.offset } else { 0 };
            let limit = (number == until.segment).then_some(until.offset);
            match self.read_segment(number, at, limit, n_max, &mut batch) {
                Ok(Some(())) => {}
                Ok(None) => return Ok(batch),
                // Deleted since it was listed: all of it was released.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(batch)
    }

    /// `None`: the batch is full.
    fn read_segment(
        &self,
        number: u64,
        at: u64,
        limit: Option<u64>,
        n_max: usize,
        batch: &mut Batch,
    ) -> io::Result<Option<()>> {
        let mut walk = Walk::open(&segment::path(&self.dir, number), at, limit)?;
        loop {
            if batch.entries.len() >= n_max {
                return Ok(None);
            }
            let started = Position { segment: number, offset: walk.at() };
            match walk.step()? {
                Step::Frame { tag: Tag::Commit, payload } => unpack(started, payload, batch),
                Step::Frame { tag: Tag::Snapshot, .. } => {}
                Step::Damaged => batch.n_damaged = batch.n_damaged.saturating_add(1),
                Step::End { torn } => {
                    batch.n_damaged = batch.n_damaged.saturating_add(u64::from(torn));
                    return Ok(Some(()));
                }
            }
            batch.next = Position { segment: number, offset: walk.at() };
        }
    }
}

fn unpack(at: Position, payload: &[u8], batch: &mut Batch) {
    let Ok(items) = Group::items_of(payload) else {
        batch.n_damaged = batch.n_damaged.saturating_add(1);
        return;
    };
    for (idx, (code, payload)) in (0..).zip(items) {
        match Kind::from_code(code) {
            Some(kind) => batch.entries.push(Entry { at, idx, kind, payload }),
            None => batch.n_damaged = batch.n_damaged.saturating_add(1),
        }
    }
}
