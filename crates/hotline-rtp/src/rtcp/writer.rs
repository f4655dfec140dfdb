//! Writing compound packets into a buffer that the caller holds.

use super::{
    ReportBlock, SenderInfo,
    packet::{BYE, DESCRIPTION, RECEIVER_REPORT, SENDER_REPORT},
};

/// Bytes of the longest compound packet we write: a sender report with one block, a name, a BYE.
pub const REPORT_MAX: usize = 28 + 24 + 4 + 4 + 2 + NAME_MAX + 4 + 8;

/// Bytes of a canonical name; longer ones are cut.
pub(super) const NAME_MAX: usize = 64;

/// Appends to a buffer; what does not fit is left out and noticed.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    to: &'a mut [u8],
    len: usize,
    fits: bool,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(to: &'a mut [u8]) -> Self {
        Self { to, len: 0, fits: true }
    }

    /// Bytes written, or `None` when they did not fit.
    pub(super) const fn finish(self) -> Option<usize> {
        if self.fits { Some(self.len) } else { None }
    }

    /// A report about us, if we send, and about what we hear, if anything.
    pub(super) fn report(
        &mut self,
        ssrc: u32,
        sender: Option<SenderInfo>,
        block: Option<ReportBlock>,
    ) {
        let kind = if sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
        let at = self.begin(kind, u8::from(block.is_some()));
        self.word(ssrc);
        if let Some(it) = sender {
            self.put(&it.ntp.to_be_bytes());
            self.word(it.timestamp);
            self.word(it.n_packets);
            self.word(it.n_octets);
        }
        if let Some(it) = block {
            self.word(it.ssrc);
            let lost = it.lost.clamp(-0x80_0000, 0x7F_FFFF).cast_unsigned() & 0xFF_FFFF;
            self.word(u32::from(it.fraction_lost) << 24 | lost);
            self.word(it.highest_sequence);
            self.word(it.jitter);
            self.word(it.last_report);
            self.word(it.delay);
        }
        self.end(at);
    }

    pub(super) fn name(&mut self, ssrc: u32, name: &[u8]) {
        let name = name.get(..NAME_MAX).unwrap_or(name);
        let at = self.begin(DESCRIPTION, 1);
        self.word(ssrc);
        self.put(&[1, u8::try_from(name.len()).unwrap_or(0)]);
        self.put(name);
        // At least one null ends the chunk.
        self.put(&[0]);
        while !self.len.is_multiple_of(4) && self.fits {
            self.put(&[0]);
        }
        self.end(at);
    }

    pub(super) fn bye(&mut self, ssrc: u32) {
        let at = self.begin(BYE, 1);
        self.word(ssrc);
        self.end(at);
    }

    fn begin(&mut self, kind: u8, count: u8) -> usize {
        let at = self.len;
        self.put(&[0x80 | count, kind, 0, 0]);
        at
    }

    /// Fills in the length of the packet that began at `at`: words without the first.
    fn end(&mut self, at: usize) {
        let words = u16::try_from((self.len - at) / 4 - usize::from(self.fits)).unwrap_or(0);
        if let Some(to) = self.to.get_mut(at + 2..at + 4) {
            to.copy_from_slice(&words.to_be_bytes());
        }
    }

    fn word(&mut self, word: u32) {
        self.put(&word.to_be_bytes());
    }

    fn put(&mut self, bytes: &[u8]) {
        match self.to.get_mut(self.len..self.len + bytes.len()) {
            Some(to) => {
                to.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.fits = false,
        }
    }
}
