//! What the next process needs to bring a leg back: kept in memory that outlives this one.
//!
//! A leg has a record of fixed size at the place of its slot. It lies within one page, so that a
//! kill leaves the old record or the new one. Nothing of it ever reaches a disk: descriptions may
//! hold keys.

use std::{
    fs::File,
    hash::Hasher as _,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt},
};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::LegId;

/// Bytes of a record; a page is a multiple. A leg with longer descriptions is not noted.
const RECORD: usize = 2_048;

/// Length and checksum before the value.
const HEAD: usize = 12;

/// The form of [`Note`].
const FORM: u8 = 1;

/// What a leg is to its peer.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub(super) struct Note {
    form: u8,
    pub(super) leg: LegId,
    pub(super) port: u16,
    pub(super) session: u64,
    pub(super) version: u64,
    pub(super) said: String,
    pub(super) theirs: Theirs,
}

/// What the peer said last.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub(super) enum Theirs {
    Nothing,
    /// We answered it.
    Offer(String),
    /// To our offer.
    Answer(String),
}

#[derive(Debug)]
pub(super) struct Notes(Option<File>);

impl Note {
    pub(super) fn new(leg: LegId, entry: &super::Entry, theirs: Theirs) -> Self {
        let super::Entry { port, session, version, said, .. } = entry;
        let said = said.clone();
        Self { form: FORM, leg, port: *port, session: *session, version: *version, said, theirs }
    }
}

impl Notes {
    /// Without memory nothing is noted.
    pub(super) fn new(memory: Option<OwnedFd>) -> Self {
        Self(memory.map(File::from))
    }

    pub(super) fn write(&self, place: u32, note: &Note) {
        let Some(memory) = &self.0 else { return };
        let mut record = vec![0; HEAD];
        let fits = borsh::to_writer(&mut record, note).is_ok() && record.len() <= RECORD;
        if !fits {
            return self.clear(place);
        }
        seal(&mut record);
        if let Err(error) = memory.write_all_at(&record, at(place)) {
            tracing::warn!(%error, "A leg cannot be noted.");
        }
    }

    pub(super) fn clear(&self, place: u32) {
        let Some(memory) = &self.0 else { return };
        if let Err(error) = memory.write_all_at(&[0; HEAD], at(place)) {
            tracing::warn!(%error, "The note of a leg cannot be taken back.");
        }
    }

    /// All that an earlier process noted, by place. Records of another form are passed over.
    pub(super) fn read(&self, places: usize) -> Vec<(u32, Note)> {
        let Some(memory) = &self.0 else { return Vec::new() };
        let mut notes = Vec::new();
        let mut record = vec![0; RECORD];
        for place in 0..u32::try_from(places).unwrap_or(u32::MAX) {
            match read_record(memory, place, &mut record) {
                Ok(0) => break,
                Ok(n) => {
                    let note = record.get(..n).and_then(opened);
                    notes.extend(note.map(|it| (place, it)));
                }
                Err(error) => {
                    tracing::error!(%error, "Notes of legs cannot be read.");
                    break;
                }
            }
        }
        notes
    }
}

fn at(place: u32) -> u64 {
    u64::from(place) * RECORD as u64
}

/// The last record may be short.
fn read_record(memory: &File, place: u32, record: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = record.get_mut(n..).filter(|it| !it.is_empty()) {
        match memory.read_at(rest, at(place) + n as u64)? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}

/// Writes length and checksum into the head.
fn seal(record: &mut [u8]) {
    let Some((head, value)) = record.split_first_chunk_mut::<HEAD>() else { return };
    let len = u32::try_from(value.len()).unwrap_or(0).to_be_bytes();
    let sum = checksum(value).to_be_bytes();
    for (to, from) in head.iter_mut().zip(len.into_iter().chain(sum)) {
        *to = from;
    }
}

fn opened(record: &[u8]) -> Option<Note> {
    let (len, rest) = record.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let value = rest.get(..usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    if value.is_empty() || checksum(value) != u64::from_be_bytes(*sum) {
        return None;
    }
    Note::try_from_slice(value).ok().filter(|it| it.form == FORM)
}

/// Against a record that is half written, not against anybody's malice.
fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    fn note(leg: u64, said: &str) -> Note {
        let theirs = Theirs::Answer("v=0".to_owned());
        let said = said.to_owned();
        Note { form: FORM, leg: LegId(leg), port: 20_000, session: 7, version: 2, said, theirs }
    }

    fn notes() -> Notes {
        Notes::new(Some(memfd_create("notes", MemfdFlags::CLOEXEC).unwrap()))
    }

    #[test]
    fn what_was_noted_is_read_by_the_next_and_what_was_taken_back_is_not() {
        let notes = notes();
        for (place, leg) in [(0, 11), (3, 12), (9, 13)] {
            notes.write(place, &note(leg, "an offer"));
        }
        notes.write(3, &note(14, "a longer offer than the one before"));
        notes.clear(0);
        let read: Vec<_> = notes.read(10).into_iter().map(|(at, it)| (at, it.leg.0)).collect();
        assert_eq!(read, [(3, 14), (9, 13)]);
        assert_eq!(notes.read(4).len(), 1, "places that this process does not have");
    }

    #[test]
    fn a_note_that_is_too_long_or_spoilt_is_none() {
        let notes = notes();
        notes.write(0, &note(1, "short"));
        notes.write(0, &note(1, &"long".repeat(1_000)));
        assert!(notes.read(1).is_empty());
        notes.write(0, &note(1, "short"));
        notes.0.as_ref().unwrap().write_all_at(b"?", 40).unwrap();
        assert!(notes.read(1).is_empty());
    }
}
