//! How late packets are, as a histogram that forgets, and the delay that catches nearly all.

/// Milliseconds of one bin.
const BIN_MS: i64 = 5;

/// Up to 160 ms; later counts as that.
const BINS: usize = 32;
const LATEST_MS: i64 = 160;

/// The sum of all bins.
const WHOLE: u32 = 1 << 24;

/// 20 ms weigh 1/256: what was is forgotten within some seconds.
const FORGET: u32 = 8;
const WEIGHED_MS: i64 = 20;

/// 2 % of the packets may come too late; concealment hides them better than delay hides all.
const TOO_LATE: u32 = WHOLE / 50;

/// How far packets spread.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    bins: [u32; BINS],
}

impl Spread {
    /// A network about which nothing is known yet: 20 ms.
    pub(super) fn new() -> Self {
        let mut it = Self { bins: [0; BINS] };
        it.bin(3, WHOLE);
        it
    }

    pub(super) fn touch(&self) -> u64 {
        let [first, .., last] = self.bins;
        u64::from(first ^ last)
    }

    /// Takes note of a packet of so many milliseconds that came `late_ms` after the quickest
    /// possible.
    pub(super) fn note(&mut self, late_ms: i64, packet_ms: i64) {
        let n = usize::try_from(late_ms / BIN_MS).unwrap_or(0).min(BINS - 1);
        for _ in 0..(packet_ms / WEIGHED_MS).max(1) {
            for it in &mut self.bins {
                *it -= *it >> FORGET;
            }
            self.bin(n, WHOLE >> FORGET);
        }
    }

    /// What counts as quickest moved by `by_ms`, so everything seen is that much less late.
    pub(super) fn shift(&mut self, by_ms: i64) {
        let n = by_ms / BIN_MS;
        if n == 0 {
            return;
        }
        let before = self.bins;
        self.bins = [0; BINS];
        for (from, weight) in (0_i64..).zip(before) {
            let to = usize::try_from(from - n).unwrap_or(0).min(BINS - 1);
            self.bin(to, weight);
        }
    }

    /// The delay in milliseconds that all but 2 % of the packets keep.
    pub(super) fn delay_ms(&self) -> i64 {
        let mut beyond = 0;
        let mut delay = LATEST_MS;
        for weight in self.bins.iter().rev() {
            beyond += weight;
            if beyond > TOO_LATE {
                break;
            }
            delay -= BIN_MS;
        }
        delay.max(BIN_MS)
    }

    fn bin(&mut self, n: usize, weight: u32) {
        if let Some(it) = self.bins.get_mut(n) {
            *it += weight;
        }
    }
}
