//! The packets that wait for their turn, in order, in memory that was taken once.

use std::collections::VecDeque;

/// Entries of one buffer: 640 ms of 20 ms packets, 320 ms of 10 ms packets.
pub(super) const SLOTS: usize = 32;

/// One packet, or one part of a long one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    /// Its first tick, and how many.
    pub(super) tick: i64,
    pub(super) ticks: i64,
    pub(super) marker: bool,
    pub(super) kind: Kind,
    slot: u8,
    len: u16,
}

/// The order of entries: sequence numbers counted on beyond 16 bits, then parts of one packet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) sequence: i64,
    pub(super) part: u8,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Speech {
        payload_type: u8,
    },
    /// The sender pauses from here; the noise it wants us to make, in −dBov.
    Rest {
        level: Option<u8>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Store {
    entries: VecDeque<Entry>,
    bytes: Box<[u8]>,
    /// Bytes of one entry.
    slot_bytes: usize,
    free: Vec<u8>,
}

impl Store {
    pub(super) fn new(slot_bytes: u16) -> Self {
        let slot_bytes = usize::from(slot_bytes);
        Self {
            entries: VecDeque::with_capacity(SLOTS),
            bytes: vec![0; slot_bytes * SLOTS].into_boxed_slice(),
            slot_bytes,
            free: all_free(),
        }
    }

    pub(super) fn clear(&mut self) {
        while self.pop().is_some() {}
    }

    pub(super) fn touch(&self) -> u64 {
        let ends = [self.entries.front(), self.entries.back()].into_iter().flatten();
        let ends = ends.fold(0, |sum, it| sum ^ it.tick).cast_unsigned();
        let next = self.entries.front().map(|it| self.payload(it)).unwrap_or_default();
        let free = self.free.last().copied().unwrap_or(0);
        next.iter().step_by(64).fold(ends ^ u64::from(free), |sum, it| sum ^ u64::from(*it))
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn front(&self) -> Option<&Entry> {
        self.entries.front()
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.free.push(entry.slot);
        Some(entry)
    }

    /// The bytes of an entry, also of the one that was taken out last.
    pub(super) fn payload(&self, entry: &Entry) -> &[u8] {
        let from = usize::from(entry.slot) * self.slot_bytes;
        self.bytes.get(from..from + usize::from(entry.len)).unwrap_or_default()
    }

    /// Whether there is an entry at `place`.
    pub(super) fn has(&self, place: Place) -> bool {
        self.entries.iter().rev().any(|it| it.place == place)
    }

    /// Puts an entry into its place. The caller has made room and looked for another one there.
    /// What is longer than an entry is cut off.
    pub(super) fn insert(
        &mut self,
        place: Place,
        (tick, ticks): (i64, i64),
        marker: bool,
        kind: Kind,
        payload: &[u8],
    ) {
        let Some(slot) = self.free.pop() else { return };
        let len = payload.len().min(self.slot_bytes);
        let at = usize::from(slot) * self.slot_bytes;
        if let (Some(to), Some(from)) = (self.bytes.get_mut(at..at + len), payload.get(..len)) {
            to.copy_from_slice(from);
        }
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        let later = self.entries.iter().rev().take_while(|it| it.place > place).count();
        let at = self.entries.len() - later;
        self.entries.insert(at, Entry { place, tick, ticks, marker, kind, slot, len });
    }
}

/// The last is taken first.
fn all_free() -> Vec<u8> {
    (0..u8::MAX).take(SLOTS).collect()
}
