//! Packets of one length out of packets of another, for a listener who wants his own (RFC 8866 §6.4
//! `ptime`).

use hotline_rtp::{Header, MediaTime};

/// Bytes of the longest packet that is made: 60 ms of G.711.
pub(crate) const LONGEST: usize = 480;

/// Samples that may be missing; beyond that the speaker began anew.
const GAP_MAX: i32 = 8_000;

/// What waits until there is enough of it.
#[derive(Debug)]
pub(crate) struct Repack {
    waiting: [u8; LONGEST],
    n: usize,
    /// Whose it is, and the timestamp that goes on from it.
    from: Option<(u64, u32, MediaTime)>,
}

/// How a packet joins what came before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Joins {
    /// Nothing came before, or of somebody else.
    Anew,
    /// After so many missing samples, which are none as a rule.
    After(u32),
    /// Its time is over.
    Late,
}

impl Repack {
    pub(crate) const fn new() -> Self {
        Self { waiting: [0; LONGEST], n: 0, from: None }
    }

    /// Something else is sent meanwhile.
    pub(crate) const fn forget(&mut self) {
        self.n = 0;
        self.from = None;
    }

    /// The same of what somebody else said; what is our own stays.
    pub(crate) const fn forget_relayed(&mut self) {
        if self.from.is_some() {
            self.forget();
        }
    }

    /// Whether packets of the right length need not pass through here.
    pub(crate) const fn is_empty(&self) -> bool {
        self.n == 0
    }

    pub(crate) fn join(&self, speaker: u64, header: &Header) -> Joins {
        match self.from {
            Some((who, ssrc, next)) if (who, ssrc) == (speaker, header.ssrc) => {
                match header.timestamp.since(next) {
                    0..GAP_MAX => Joins::After(header.timestamp.since(next).unsigned_abs()),
                    it if it < 0 && it > -GAP_MAX => Joins::Late,
                    _ => Joins::Anew,
                }
            }
            Some(_) | None => Joins::Anew,
        }
    }

    /// Speech up to here is taken.
    pub(crate) const fn note(&mut self, speaker: u64, header: &Header, next: MediaTime) {
        self.from = Some((speaker, header.ssrc, next));
    }

    /// Takes as much as a packet of `wanted` bytes has room for; what is left comes back.
    pub(crate) fn fill<'a>(&mut self, speech: &'a [u8], wanted: usize) -> &'a [u8] {
        let room = wanted.min(LONGEST).saturating_sub(self.n);
        let (now, later) = speech.split_at(room.min(speech.len()));
        if let Some(to) = self.waiting.get_mut(self.n..self.n + now.len()) {
            to.copy_from_slice(now);
            self.n += now.len();
        }
        later
    }

    pub(crate) const fn len(&self) -> usize {
        self.n
    }

    /// What waits; it is gone from here.
    pub(crate) fn take(&mut self) -> &[u8] {
        let n = std::mem::take(&mut self.n);
        self.waiting.get(..n).unwrap_or_default()
    }
}
