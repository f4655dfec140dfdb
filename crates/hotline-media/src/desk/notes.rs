//! What the next process needs to bring a leg back: kept in memory that outlives this one.
//!
//! A leg has a record of fixed size at the place of its slot, behind one for all of them. It is one
//! page, so that a kill leaves the old record or the new one. Nothing of it ever reaches a disk: it
//! holds keys.

use std::{
    fmt,
    fs::File,
    hash::Hasher as _,
    io,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::fs::FileExt},
};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{ContextId, LegId, media::Profile};

/// Bytes of a record: a page. A leg with longer descriptions is not noted.
const RECORD: usize = 4_096;

/// Length and checksum before the value.
const HEAD: usize = 12;

/// The form of [`Note`] and [`Common`].
const FORM: u8 = 4;

/// Rows of a browser's description that no agreement depends on, and most of its length.
const IDLE_ROWS: [&str; 4] = ["a=candidate:", "a=rtcp-fb:", "a=ssrc:", "a=msid"];

/// What a leg is to its peer.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub(super) struct Note {
    form: u8,
    pub(super) leg: LegId,
    pub(super) context: ContextId,
    pub(super) worker: u8,
    pub(super) port: u16,
    pub(super) session: u64,
    pub(super) version: u64,
    pub(super) said: String,
    pub(super) theirs: Theirs,
    /// It was told what to hear: its peer counts on packets.
    pub(super) sounds: bool,
    /// `None` in the clear.
    pub(super) safe: Option<Safe>,
}

/// How a leg is protected.
#[derive(BorshDeserialize, BorshSerialize, Clone, Eq, PartialEq)]
pub(super) struct Safe {
    pub(super) profile: Profile,
    /// Of the stream we send. The next process takes another: with these keys no packet of this
    /// stream may be made twice.
    pub(super) ssrc: u32,
    /// Ours for SDES, as many as there are suites.
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) ufrag: String,
    pub(super) pwd: String,
    pub(super) fingerprint: [u8; 32],
    /// Whether we began DTLS, once that is settled.
    pub(super) is_client: Option<bool>,
    /// What DTLS came to.
    pub(super) dtls: Option<Agreed>,
    /// Where ICE found the peer.
    pub(super) path: Option<SocketAddr>,
    /// How far his packets had come, by stream and index.
    pub(super) rtp: Option<(u32, u64)>,
    pub(super) rtcp: Option<(u32, u64)>,
}

/// Master keys with their salts.
#[derive(BorshDeserialize, BorshSerialize, Clone, Eq, PartialEq)]
pub(super) struct Agreed {
    /// In the order of RFC 5764 §4.1.2 and RFC 7714 §14.2.
    pub(super) profile: u16,
    pub(super) ours: Vec<u8>,
    pub(super) theirs: Vec<u8>,
}

/// What all legs share.
#[derive(BorshDeserialize, BorshSerialize)]
struct Common {
    form: u8,
    /// Of DTLS with its key, as PEM: browsers were told its fingerprint.
    certificate: String,
}

impl fmt::Debug for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys never reach a log.
        f.debug_struct("Safe").field("profile", &self.profile).finish_non_exhaustive()
    }
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
        let super::Entry { slot, port, session, version, said, protection, .. } = entry;
        let (port, session, version, said) = (*port, *session, *version, said.clone());
        let (context, worker, sounds) = (entry.context, slot.worker, entry.sounds);
        let safe = protection.noted();
        let theirs = if protection.is_guest() { theirs.shortened() } else { theirs };
        let form = FORM;
        Self { form, leg, context, worker, port, session, version, said, theirs, sounds, safe }
    }
}

impl Theirs {
    fn shortened(self) -> Self {
        let short = |it: &str| {
            let other = |row: &str| row.starts_with("a=extmap:") && !row.contains(":sdes:mid");
            let idle = |row: &str| IDLE_ROWS.iter().any(|it| row.starts_with(it)) || other(row);
            it.split_inclusive('\n').filter(|it| !idle(it)).collect()
        };
        match self {
            Self::Nothing => Self::Nothing,
            Self::Offer(it) => Self::Offer(short(&it)),
            Self::Answer(it) => Self::Answer(short(&it)),
        }
    }
}

impl Notes {
    /// Without memory nothing is noted.
    pub(super) fn new(memory: Option<OwnedFd>) -> Self {
        Self(memory.map(File::from))
    }

    pub(super) fn write(&self, place: u32, note: &Note) {
        let Some(record) = sealed(note) else { return self.clear(place) };
        self.put(&record, at(place));
    }

    /// What the peer of a leg said last, as it was noted.
    pub(super) fn theirs(&self, place: u32) -> Option<Theirs> {
        let mut record = vec![0; RECORD];
        let n = read_record(self.0.as_ref()?, at(place), &mut record).ok()?;
        record.get(..n).and_then(opened).filter(|it: &Note| it.form == FORM).map(|it| it.theirs)
    }

    /// The certificate that browsers were told of, also by processes before this one.
    pub(super) fn certificate(&self) -> Option<String> {
        let mut record = vec![0; RECORD];
        let n = read_record(self.0.as_ref()?, 0, &mut record).ok()?;
        let common: Common = record.get(..n).and_then(opened)?;
        (common.form == FORM).then_some(common.certificate)
    }

    pub(super) fn keep_certificate(&self, certificate: String) {
        if let Some(record) = sealed(&Common { form: FORM, certificate }) {
            self.put(&record, 0);
        } else {
            tracing::error!("The certificate of DTLS is too long to be noted.");
        }
    }

    fn put(&self, record: &[u8], at: u64) {
        let Some(memory) = &self.0 else { return };
        if let Err(error) = memory.write_all_at(record, at) {
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
            match read_record(memory, at(place), &mut record) {
                Ok(0) => break,
                Ok(n) => {
                    let note = record.get(..n).and_then(opened);
                    let note = note.filter(|it: &Note| it.form == FORM);
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

/// Behind what all share.
fn at(place: u32) -> u64 {
    (u64::from(place) + 1) * RECORD as u64
}

/// The last record may be short.
fn read_record(memory: &File, at: u64, record: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = record.get_mut(n..).filter(|it| !it.is_empty()) {
        match memory.read_at(rest, at + n as u64)? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}

/// A value behind its length and checksum; `None` when it is too long.
fn sealed(value: &impl BorshSerialize) -> Option<Vec<u8>> {
    let mut record = vec![0; HEAD];
    borsh::to_writer(&mut record, value).ok()?;
    let (head, value) = record.split_first_chunk_mut::<HEAD>()?;
    let len = u32::try_from(value.len()).ok()?.to_be_bytes();
    let sum = checksum(value).to_be_bytes();
    for (to, from) in head.iter_mut().zip(len.into_iter().chain(sum)) {
        *to = from;
    }
    (record.len() <= RECORD).then_some(record)
}

fn opened<T: BorshDeserialize>(record: &[u8]) -> Option<T> {
    let (len, rest) = record.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let value = rest.get(..usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    if value.is_empty() || checksum(value) != u64::from_be_bytes(*sum) {
        return None;
    }
    T::try_from_slice(value).ok()
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
        let (leg, port, safe) = (LegId(leg), 20_000, None);
        let (context, worker) = (ContextId(5), 0);
        let (session, version, sounds, form) = (7, 2, false, FORM);
        Note { form, leg, context, worker, port, session, version, said, theirs, sounds, safe }
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
    fn the_certificate_lies_beside_the_legs() {
        let notes = notes();
        assert_eq!(notes.certificate(), None);
        notes.write(0, &note(11, "an offer"));
        assert_eq!(notes.certificate(), None);
        notes.keep_certificate("PEM".to_owned());
        assert_eq!(notes.certificate().as_deref(), Some("PEM"));
        assert_eq!(notes.read(1).len(), 1);
        assert_eq!(notes.theirs(0), Some(Theirs::Answer("v=0".to_owned())));
    }

    #[test]
    fn of_a_browser_what_no_agreement_depends_on_is_left_out() {
        let said = "v=0\r\na=candidate:1 1 udp\r\na=setup:active\r\na=ssrc:1 cname:x\r\n";
        let short = Theirs::Answer(said.to_owned()).shortened();
        assert_eq!(short, Theirs::Answer("v=0\r\na=setup:active\r\n".to_owned()));
    }

    #[test]
    fn a_note_that_is_too_long_or_spoilt_is_none() {
        let notes = notes();
        notes.write(0, &note(1, "short"));
        notes.write(0, &note(1, &"long".repeat(2_000)));
        assert!(notes.read(1).is_empty());
        notes.write(0, &note(1, "short"));
        notes.0.as_ref().unwrap().write_all_at(b"?", at(0) + 40).unwrap();
        assert!(notes.read(1).is_empty());
    }
}
