//! Packet indices: the roll-over counter of a stream, and which indices were used.

/// Packets that a replay window reaches back. RFC 3711 §3.3.2 asks for 64.
pub const WINDOW: u64 = 128;

/// Streams that one context tells apart. A telephone has one; a peer that begins anew has the next.
const STREAMS: usize = 8;

/// Half of all sequence numbers.
const HALF: u16 = 1 << 15;

/// Indices that are left (RFC 3711 §9.2: a key protects at most 2⁴⁸ packets).
const INDEX_END: u64 = 1 << 48;

/// The windows of the streams of one session, by SSRC.
#[derive(Debug, Default)]
pub(super) struct Streams {
    windows: [Window; STREAMS],
    /// How many of these are somebody's.
    n: usize,
    /// Where the next new stream goes when there is no room.
    next: usize,
    /// Where the latest packet belongs.
    latest: Option<u32>,
    /// Where a stream was under the key before this one.
    before: Option<(u32, u64)>,
}

/// Which indices of one stream were used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// Bit n: the index n below the highest was used.
    used: u128,
    highest: u64,
    ssrc: u32,
    /// Another process saw what came before: which of it is not known.
    is_resumed: bool,
}

impl Streams {
    pub(super) fn touch(&self) -> u64 {
        self.windows.first().map_or(0, |it| it.highest) ^ self.n as u64
    }

    /// Takes a stream up where another process was seen last: nothing up to there is new.
    pub(super) fn resume(&mut self, ssrc: u32, highest: u64) {
        self.accept(ssrc, highest);
        let window = self.windows.iter_mut().take(self.n).find(|it| it.ssrc == ssrc);
        if let Some(window) = window {
            (window.used, window.is_resumed) = (u128::MAX, true);
        }
    }

    /// The stream of the latest packet, and its highest index.
    pub(super) fn latest(&self) -> Option<(u32, u64)> {
        let ssrc = self.latest?;
        Some((ssrc, self.window(ssrc)?.highest))
    }

    /// The key changed: its owner may go on counting (RFC 3711 §3.3.1) or begin anew.
    pub(super) fn follow(&mut self, before: &Self) {
        self.before = before.latest();
    }

    /// What a sequence number stands for when the first guess was wrong: of a stream whose turns
    /// are still counted from the key before.
    pub(super) fn second_guess(&self, ssrc: u32, sequence: u16) -> Option<u64> {
        let (before, highest) = self.before.filter(|it| it.0 == ssrc)?;
        if self.window(before).is_some() {
            return None;
        }
        let index = Window { highest, ..Window::default() }.guess(sequence)?;
        (index != u64::from(sequence)).then_some(index)
    }

    /// The index that a sequence number most likely stands for (RFC 3711 §3.3.1); `None` when it
    /// was used, or is too old to tell.
    pub(super) fn index_of(&self, ssrc: u32, sequence: u16) -> Option<u64> {
        let Some(window) = self.window(ssrc) else { return Some(sequence.into()) };
        window.guess(sequence).filter(|it| window.is_fresh(*it))
    }

    /// Whether an index that the packet names itself was not used yet.
    pub(super) fn is_fresh(&self, ssrc: u32, index: u64) -> bool {
        self.window(ssrc).is_none_or(|it| it.is_fresh(index))
    }

    /// The packet is genuine: its index is used now.
    pub(super) fn accept(&mut self, ssrc: u32, index: u64) {
        self.latest = Some(ssrc);
        let known = self.windows.iter_mut().take(self.n).find(|it| it.ssrc == ssrc);
        if let Some(window) = known {
            return window.accept(index);
        }
        let place = if self.n < STREAMS {
            self.n += 1;
            self.n - 1
        } else {
            let oldest = self.next;
            self.next = (self.next + 1) % STREAMS;
            oldest
        };
        if let Some(place) = self.windows.get_mut(place) {
            *place = Window { used: 1, highest: index, ssrc, is_resumed: false };
        }
    }

    fn window(&self, ssrc: u32) -> Option<&Window> {
        self.windows.iter().take(self.n).find(|it| it.ssrc == ssrc)
    }
}

impl Window {
    fn guess(&self, sequence: u16) -> Option<u64> {
        let [.., high, low] = self.highest.to_be_bytes();
        let last = u16::from_be_bytes([high, low]);
        let turn = self.highest >> 16;
        let turn = if last < HALF && sequence > last && sequence - last > HALF {
            turn.checked_sub(1)?
        } else if last >= HALF && last - HALF > sequence {
            turn + 1
        } else {
            turn
        };
        Some(turn << 16 | u64::from(sequence)).filter(|it| *it < INDEX_END)
    }

    fn is_fresh(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(age) => age < WINDOW && self.used >> age & 1 == 0,
        }
    }

    fn accept(&mut self, index: u64) {
        match self.highest.checked_sub(index) {
            Some(age) if age < WINDOW => self.used |= 1 << age,
            Some(_) => {}
            None => {
                let step = index - self.highest;
                self.used = match step {
                    _ if std::mem::take(&mut self.is_resumed) => u128::MAX,
                    0..WINDOW => self.used << step | 1,
                    _ => 1,
                };
                self.highest = index;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_rolls_over_forwards_and_late_packets_belong_to_the_turn_before() {
        let mut it = Streams::default();
        for (sequence, index) in [
            (65_500, 65_500),
            (65_535, 65_535),
            (2, 65_538),
            (65_534, 65_534),
            (32_000, 97_536),
            (60_000, 125_536),
            (1, 131_073),
        ] {
            assert_eq!(it.index_of(7, sequence), Some(index), "{sequence}");
            it.accept(7, index);
            assert_eq!(it.index_of(7, sequence), None, "{sequence} again");
        }
    }

    #[test]
    fn a_window_reaches_back_128_packets() {
        let mut it = Streams::default();
        it.accept(7, 1_000);
        assert_eq!(it.index_of(7, 873), Some(873));
        assert_eq!(it.index_of(7, 872), None);
        it.accept(7, 873);
        assert_eq!(it.index_of(7, 873), None);
        it.accept(7, 1_001);
        assert_eq!(it.index_of(7, 1_000), None);
        it.accept(7, 9_000);
        assert_eq!((it.index_of(7, 8_999), it.index_of(7, 1_001)), (Some(8_999), None));
    }

    #[test]
    fn a_stream_that_is_taken_up_goes_on_in_its_turn_and_nothing_before_is_new() {
        let mut it = Streams::default();
        it.resume(7, 131_000);
        assert_eq!(it.latest(), Some((7, 131_000)));
        for old in [131_000_u64, 130_999, 130_950, 100_000] {
            let sequence = u16::try_from(old & 0xFFFF).unwrap();
            assert_eq!(it.index_of(7, sequence), None, "{old}");
        }
        // Two turns were counted before, and a third begins.
        assert_eq!(it.index_of(7, 500), Some(131_572));
        it.accept(7, 131_572);
        // What lies between may have come to the process before.
        assert_eq!((it.index_of(7, 499), it.index_of(7, 65_000)), (None, None));
        it.accept(7, 131_574);
        assert_eq!(it.index_of(7, 501), Some(131_573));
    }

    #[test]
    fn each_stream_has_a_window_of_its_own() {
        let mut it = Streams::default();
        for ssrc in 0..20 {
            assert_eq!(it.index_of(ssrc, 5), Some(5));
            it.accept(ssrc, 5);
            assert_eq!(it.index_of(ssrc, 5), None);
        }
        assert_eq!(it.index_of(13, 5), None);
    }
}
