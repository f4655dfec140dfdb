//! Where a party's packets lie on a tape.

use std::ops::Range;

use hotline_base::MonoTime;
use hotline_rtp::{Header, SAMPLES_PER_MS, SourceClock};

use crate::task::Slot;

/// Samples that a sender may be ahead of our clock before its clock is set anew (250 ms).
const AHEAD: i64 = 2_000;

/// Packets in a row that come when their block is gone (half a second). More of them are not a
/// stall: the way has become longer, and what follows is laid by its arrival.
const STALE_MAX: u8 = 25;

/// A place that is this far off (8 ms) is moved, until it is off by no more than this (1 ms).
const FAR: i64 = 64;
const NEAR: i64 = 8;

/// A place that is this far off (15 ms) is moved faster.
const HASTE: i64 = 120;

/// Samples before a packet that are filled when its place moves, at most (8 ms).
pub(super) const STEP_MAX: usize = 64;

/// A packet that comes so few samples (1 ms) after the one before it follows on it: silence between
/// them would be heard as a crackle.
const TORN: i64 = 8;

/// The first packets of a stream (half a second). The first one often comes late, and those behind
/// it show where it belonged: its place is moved once, instead of bending all that follows.
const FIRST: u8 = 25;

/// A pause of this many samples (50 ms): nobody hears a step in it.
const PAUSE: i64 = 400;

/// In two cache lines, whose ends are touched.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Source {
    pub(super) leg: Slot,
    ssrc: Option<u32>,
    clock: SourceClock,
    /// Place on the tape minus the sender's tick; follows the clock in small steps.
    offset: i64,
    /// It is being moved.
    is_off: bool,
    /// Packets since the stream began, up to [`FIRST`].
    n_first: u8,
    /// The samples of the tape between which he is laid, of which 32 bits count six days; the
    /// latter, `until`, is [`STAYS`] while he is on it.
    from: u32,
    /// The tick after the last packet.
    next: i64,
    /// Packets in a row that came too late to be laid.
    n_stale: u8,
    /// The highest sequence number, and which of the 64 up to it came: the sum of two parties must
    /// not hold a packet twice.
    highest: u16,
    seen: u64,
    /// Sequence numbers that the newest packet left out.
    n_missed: u16,
    until: u32,
}

const STAYS: u32 = u32::MAX;

const _: () = assert!(size_of::<Source>() == 128, "two cache lines");

/// Where a tape is when a packet comes, in samples from its start.
pub(super) struct Line {
    /// It came between these.
    pub(super) since: MonoTime,
    pub(super) now: MonoTime,
    pub(super) began: MonoTime,
    pub(super) arrived: u64,
    pub(super) flushed: u64,
}

/// Where a packet belongs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) at: u64,
    /// Samples before it that are to be filled, because the sender is slower than we are.
    pub(super) hole: usize,
    /// Samples before it that were sent and did not arrive, or too late.
    pub(super) lost: u64,
}

impl Source {
    pub(super) fn new(leg: Slot, from: u64) -> Self {
        Self {
            leg,
            ssrc: None,
            clock: SourceClock::new(SAMPLES_PER_MS),
            offset: 0,
            is_off: false,
            n_first: 0,
            from: short(from),
            next: 0,
            n_stale: 0,
            highest: 0,
            seen: 0,
            n_missed: 0,
            until: STAYS,
        }
    }

    /// On the tape from this sample on, if he was not.
    pub(super) fn join(&mut self, at: u64) {
        if self.has_left() {
            (self.from, self.until) = (short(at), STAYS);
        }
    }

    /// On the tape no more from this sample on. Says whether he was.
    pub(super) fn leave(&mut self, at: u64) -> bool {
        let was_there = !self.has_left();
        if was_there {
            self.until = short(at);
        }
        was_there
    }

    pub(super) const fn has_left(&self) -> bool {
        self.until != STAYS
    }

    /// Whether he left so many samples before this one.
    pub(super) fn left_before(&self, at: u64, slack: u64) -> bool {
        self.has_left() && at >= u64::from(self.until) + slack
    }

    /// What of so many samples at a place is laid.
    pub(super) fn laid(&self, at: u64, len: usize) -> Range<usize> {
        let within = |edge: u32| {
            let edge = u64::from(edge).saturating_sub(at);
            usize::try_from(edge).unwrap_or(len).min(len)
        };
        within(self.from)..if self.has_left() { within(self.until) } else { len }
    }

    /// Reads from both ends of it.
    pub(super) fn touch(&self) -> u64 {
        self.seen ^ u64::from(self.leg.index)
    }

    /// Where the packet after the last one begins, so many samples behind this one of the tape.
    pub(super) fn next_place(&self, from: u64) -> Option<usize> {
        let at = u64::try_from(self.next + self.offset).ok()?;
        usize::try_from(at.checked_sub(from)?).ok()
    }

    /// Takes note of a packet, and tells whether it came before.
    pub(super) fn came(&mut self, header: &Header) -> bool {
        let ahead = header.sequence.wrapping_sub(self.highest).cast_signed();
        let stale = !(-64..3_000).contains(&ahead);
        self.n_missed = 0;
        if self.seen == 0 || stale || self.ssrc != Some(header.ssrc) {
            (self.highest, self.seen) = (header.sequence, 1);
            return false;
        }
        if ahead > 0 {
            self.n_missed = ahead.unsigned_abs() - 1;
            self.seen = self.seen.checked_shl(u32::from(ahead.unsigned_abs())).unwrap_or(0) | 1;
            self.highest = header.sequence;
            return false;
        }
        let bit = 1_u64.checked_shl(u32::from(ahead.unsigned_abs())).unwrap_or(0);
        let came = self.seen & bit != 0;
        self.seen |= bit;
        came
    }

    /// Where a packet of so many samples belongs: where its timestamp says, on the sender's clock
    /// as the quickest packets show it. `None` when the block is gone.
    pub(super) fn place(&mut self, header: &Header, len: usize, line: &Line) -> Option<Place> {
        let is_new = self.ssrc.replace(header.ssrc) != Some(header.ssrc);
        if is_new {
            self.clock = SourceClock::new(SAMPLES_PER_MS);
        }
        let arrival = self.clock.handle_waited(header.timestamp, line.since, line.now);
        let (tick, wanted) = (arrival.tick, self.clock.local(0) - self.clock.ticks(line.began));
        let len = i64::try_from(len).unwrap_or(0);
        let pause = if is_new || arrival.leapt { 0 } else { (tick - self.next).max(0) };
        let mut lost = pause.min(i64::from(self.n_missed) * len);
        let mut hole = 0;
        if is_new || arrival.leapt || tick - self.next >= PAUSE {
            (self.offset, self.is_off) = (wanted, false);
            self.n_first = if is_new { 0 } else { self.n_first };
        } else if tick >= self.next {
            let moved = self.step(wanted - self.offset);
            self.offset += moved;
            let left_out = tick - self.next;
            hole = if left_out <= TORN { left_out + moved } else { 0 };
        }
        self.n_first = self.n_first.saturating_add(1).min(FIRST);
        let arrived = i64::try_from(line.arrived).unwrap_or(i64::MAX);
        if tick + self.offset > arrived + AHEAD {
            self.offset = wanted;
        }
        if is_new || arrival.leapt || tick >= self.next {
            self.next = tick + len;
        }
        let at = u64::try_from(tick + self.offset).ok().filter(|it| *it >= line.flushed);
        if at.is_some() {
            // What came too late to be laid is missing like what never came.
            lost = lost.max(i64::from(std::mem::take(&mut self.n_stale)) * len);
        } else {
            self.n_stale = self.n_stale.saturating_add(1);
            // What waited to be read tells nothing of the way.
            if self.n_stale >= STALE_MAX && line.since >= line.now {
                self.ssrc = None;
            }
        }
        let hole = usize::try_from(hole).unwrap_or(0).min(STEP_MAX);
        Some(Place { at: at?, hole, lost: u64::try_from(lost).unwrap_or(0) })
    }

    /// The next step of a place that is so many samples off. What is near enough is let be: every
    /// step is a small tear in what he says.
    fn step(&mut self, off: i64) -> i64 {
        if off.abs() >= FAR || off.abs() <= NEAR {
            self.is_off = off.abs() >= FAR;
        }
        if !self.is_off {
            return 0;
        }
        if off >= HASTE || self.n_first < FIRST {
            // Later: a hole, and nothing is lost.
            off
        } else if off <= -HASTE {
            // Earlier: what is said is laid over what was said, a little at a time.
            -2
        } else {
            off.signum()
        }
    }
}

/// A place on a tape in 32 bits.
fn short(at: u64) -> u32 {
    u32::try_from(at).unwrap_or(STAYS - 1)
}
