//! A short memory of what the code did with an input.

/// A running hash (FNV-1a) of what was seen, in order.
#[derive(Debug)]
pub(crate) struct Trace(u64);

impl Trace {
    pub(crate) const fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    pub(crate) fn note(&mut self, what: &str) {
        for byte in what.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    /// Only the magnitude, so that inputs that differ by one of many are alike.
    pub(crate) fn count(&mut self, n: usize) {
        self.note(&format!("#{}", n.checked_ilog2().map_or(0, |it| it + 1)));
    }

    pub(crate) fn flag(&mut self, it: bool) {
        self.note(if it { "+" } else { "-" });
    }

    pub(crate) const fn end(self) -> u64 {
        self.0
    }
}
