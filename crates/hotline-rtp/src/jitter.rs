//! The jitter buffer: packets in as the network brings them, one steady stream out.

mod spread;
mod store;
#[cfg(test)]
mod tests;

use hotline_base::MonoTime;

use self::{
    spread::Spread,
    store::{Kind, Place, Store},
};
use crate::{Header, SourceClock};

/// The delay that is kept for packets to catch up in: never less, never more.
const DELAY_MIN_MS: i64 = 20;
const DELAY_MAX_MS: i64 = 120;

/// What is given at once, and the length of a part of a longer packet.
const FRAME_MS: i64 = 20;

/// After this long without a packet there is nothing left to conceal: the sender paused.
const STARVED_MS: i64 = 100;

/// Bytes of the longest packets that are kept: 120 ms of G.711, in parts of 20; and 60 ms of Opus at
/// 64 kbit/s, which are whole.
const BYTES_MAX: usize = 960;
const PART_BYTES: u16 = 160;
const PACKET_BYTES: u16 = 480;

/// A delay this much over the one that is wanted is cut at once; less is worked off unheard.
const EXCESS_MS: i64 = 160;

/// After a loss this many packets (10 s) are waited for as long as their copies take to come.
const LOSSY_FOR: u32 = 500;

/// Smaller errors of the delay are left alone.
const NEGLIGIBLE: i64 = 8;

/// Sequence numbers further apart are another stream (RFC 3550 A.1).
const DROPOUT_MAX: i64 = 3_000;

/// Payload type of comfort noise at 8,000 Hz (RFC 3389 §5).
const COMFORT_NOISE: u8 = 13;

/// How a payload relates to time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// A byte a tick, so that a packet can be cut anywhere: G.711 and G.722, 8 ticks a millisecond.
    Bytes,
    /// Packets that only their decoder can cut: Opus, 48 ticks a millisecond.
    Packets,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inserted {
    Kept,
    /// Its time is over; it is counted and widens the delay.
    Late,
    Duplicate,
    /// Empty, or longer than anybody needs.
    Unfit,
}

/// What is heard next. `samples` are at 8,000 Hz.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next<'a> {
    Packet {
        payload_type: u8,
        payload: &'a [u8],
    },
    /// Something was sent and did not come in time. `next` is the packet behind it, which may
    /// carry a copy (Opus in-band FEC).
    Lost {
        samples: usize,
        next: Option<&'a [u8]>,
    },
    /// Nothing was sent: noise of `level` −dBov if the sender asked for it (RFC 3389 §3).
    Pause {
        samples: usize,
        level: Option<u8>,
    },
}

/// Counted since the buffer was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct JitterCounts {
    pub late: u64,
    pub duplicate: u64,
    /// Kept, but thrown away to bring the delay down or to make room.
    pub discarded: u64,
    /// Times something was concealed.
    pub lost: u64,
    /// Another source, or the same one that set its numbers anew.
    pub restarts: u64,
    /// Packets that were sent and not given: lost, late or discarded, as far as numbers tell.
    pub missing: u64,
}

/// Packets of one sender on their way to one listener.
///
/// 1. [`insert`](Self::insert) what arrives. 2. Every 20 ms take [`next`](Self::next) until a
///    frame is full. 3. Shorten or lengthen that frame as [`excess`](Self::excess) says; that is
///    how a sender's drifting clock and a changed delay are followed without a step.
///
/// The delay follows the network between 20 and 120 ms. Nothing is allocated after construction.
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    format: Format,
    clock: SourceClock,
    spread: Spread,
    store: Store,
    ssrc: Option<u32>,
    /// The last sequence number that came, counted on.
    newest: i64,
    /// The last sequence number that was given.
    given: i64,
    /// The tick after the last that was given.
    tick: i64,
    state: State,
    delay_ms: i64,
    lowered: i64,
    /// Packets to go until the sender is taken for one of whom nothing is lost.
    lossy: u32,
    counts: JitterCounts,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Ticks since the last packet was given.
    Speaking { starved: i64 },
    /// The next packet is given at its own time, whatever was before.
    Resting { level: Option<u8> },
}

impl JitterBuffer {
    pub fn new(format: Format) -> Self {
        let ticks_per_ms = match format {
            Format::Bytes => 8,
            Format::Packets => 48,
        };
        Self {
            format,
            clock: SourceClock::new(ticks_per_ms),
            spread: Spread::new(),
            store: Store::new(match format {
                Format::Bytes => PART_BYTES,
                Format::Packets => PACKET_BYTES,
            }),
            ssrc: None,
            newest: 0,
            given: 0,
            tick: i64::MIN,
            state: State::Resting { level: None },
            delay_ms: DELAY_MIN_MS * 2,
            lowered: 0,
            lossy: 0,
            counts: JitterCounts::default(),
        }
    }

    pub const fn counts(&self) -> JitterCounts {
        self.counts
    }

    /// The delay that is aimed at, in milliseconds behind the quickest packet.
    pub const fn delay_ms(&self) -> i64 {
        self.delay_ms
    }

    /// The sender's clock as it is seen here.
    pub const fn clock(&self) -> &SourceClock {
        &self.clock
    }

    /// Whether no packet waits.
    pub fn is_empty(&self) -> bool {
        self.store.len() == 0
    }

    /// Reads from each cache line that a packet and a frame need, so that those of many senders are
    /// fetched side by side. What it returns means nothing.
    pub fn touch(&self) -> u64 {
        let own = self.newest ^ self.tick ^ self.delay_ms ^ self.counts.late.cast_signed();
        own.cast_unsigned() ^ self.store.touch() ^ self.spread.touch()
    }

    /// Takes a packet of speech or comfort noise that lasts `ticks` of the sender's clock; with
    /// [`Format::Bytes`] its length says that by itself.
    pub fn insert(
        &mut self,
        header: &Header,
        payload: &[u8],
        ticks: u32,
        now: MonoTime,
    ) -> Inserted {
        if header.payload_type == COMFORT_NOISE {
            let level = payload.first().map(|it| it & 0x7F);
            let (sequence, tick) = self.locate(header, 0, now);
            return self.rest(sequence, tick, level);
        }
        let ticks = match self.format {
            Format::Bytes => i64::try_from(payload.len()).unwrap_or(0),
            Format::Packets => i64::from(ticks),
        };
        let too_long = match self.format {
            Format::Bytes => payload.len() > BYTES_MAX,
            Format::Packets => payload.len() > usize::from(PACKET_BYTES),
        };
        if payload.is_empty() || ticks == 0 || too_long {
            return Inserted::Unfit;
        }
        let (sequence, tick) = self.locate(header, ticks, now);
        if tick + ticks <= self.tick || self.is_over(sequence) {
            self.counts.late += 1;
            return Inserted::Late;
        }
        if self.store.has(Place { sequence, part: 0 }) {
            self.counts.duplicate += 1;
            return Inserted::Duplicate;
        }
        let kind = Kind::Speech { payload_type: header.payload_type };
        let part_len = match self.format {
            Format::Bytes => usize::from(PART_BYTES),
            Format::Packets => payload.len(),
        };
        let mut at = tick;
        for (part, bytes) in (0..).zip(payload.chunks(part_len)) {
            let ticks = match self.format {
                Format::Bytes => i64::try_from(bytes.len()).unwrap_or(0),
                Format::Packets => ticks,
            };
            self.make_room();
            let marker = header.marker && part == 0;
            self.store.insert(Place { sequence, part }, (at, ticks), marker, kind, bytes);
            at += ticks;
        }
        Inserted::Kept
    }

    /// Takes note of a packet that is neither speech nor noise but has a sequence number among
    /// them (a telephone event), so that it is not taken for a loss.
    pub fn insert_other(&mut self, header: &Header) -> Inserted {
        let ahead = self.ahead(header);
        if self.ssrc != Some(header.ssrc) || ahead.abs() >= DROPOUT_MAX {
            return Inserted::Unfit;
        }
        // RFC 4733 §2.2: the timestamp is the beginning of the event, not the packet's time, and
        // so says nothing about the clock.
        let sequence = self.newest + ahead;
        self.newest = self.newest.max(sequence);
        self.rest(sequence, self.clock.extend(header.timestamp), None)
    }

    fn rest(&mut self, sequence: i64, tick: i64, level: Option<u8>) -> Inserted {
        let place = Place { sequence, part: 0 };
        if self.is_over(sequence) {
            self.counts.late += 1;
            return Inserted::Late;
        }
        if self.store.has(place) {
            self.counts.duplicate += 1;
            return Inserted::Duplicate;
        }
        self.make_room();
        self.store.insert(place, (tick, 0), false, Kind::Rest { level }, &[]);
        Inserted::Kept
    }

    /// The sequence number and timestamp of a packet that lasts so long, counted on; notices
    /// another stream.
    fn locate(&mut self, header: &Header, ticks: i64, now: MonoTime) -> (i64, i64) {
        let ahead = self.ahead(header);
        let same = self.ssrc == Some(header.ssrc) && ahead.abs() < DROPOUT_MAX;
        if !same {
            self.clock = SourceClock::new(self.clock.ticks_per_ms());
        }
        let arrival = self.clock.handle(header.timestamp, now);
        if !same || arrival.leapt {
            self.counts.restarts += u64::from(self.ssrc.is_some());
            self.ssrc = Some(header.ssrc);
            self.store.clear();
            self.tick = i64::MIN;
            self.state = State::Resting { level: None };
            self.newest = i64::from(header.sequence);
            return (self.newest, arrival.tick);
        }
        let per_ms = i64::from(self.clock.ticks_per_ms());
        self.spread.shift(arrival.moved / per_ms);
        self.spread.note(arrival.late / per_ms, ticks / per_ms);
        self.aim(ticks / per_ms);
        let sequence = self.newest + ahead;
        self.newest = self.newest.max(sequence);
        (sequence, arrival.tick)
    }

    /// How far a sequence number is ahead of the newest.
    fn ahead(&self, header: &Header) -> i64 {
        let [low, high, ..] = self.newest.to_le_bytes();
        let newest = u16::from_le_bytes([low, high]);
        i64::from(header.sequence.wrapping_sub(newest).cast_signed())
    }

    /// Whether the turn of a packet has passed.
    fn is_over(&self, sequence: i64) -> bool {
        self.tick != i64::MIN && sequence <= self.given
    }

    /// The delay grows at once and shrinks by 5 ms a second. `packet_ms`: length of a packet.
    fn aim(&mut self, packet_ms: i64) {
        // A frame is begun up to its length before its last packet is needed; a copy of what was
        // lost comes one packet later.
        self.lossy = self.lossy.saturating_sub(1);
        let copies = matches!(self.format, Format::Packets) && self.lossy > 0;
        let copy = if copies { packet_ms } else { 0 };
        let wanted = (self.spread.delay_ms() + FRAME_MS + copy).clamp(DELAY_MIN_MS, DELAY_MAX_MS);
        self.lowered = if wanted < self.delay_ms { self.lowered + 1 } else { 0 };
        if wanted > self.delay_ms {
            self.delay_ms = wanted;
        } else if self.lowered >= 50 {
            self.delay_ms -= 5;
            self.lowered = 0;
        }
    }

    fn make_room(&mut self) {
        if self.store.is_full() {
            self.store.pop();
            self.counts.discarded += 1;
        }
    }

    /// What follows on the last thing that was given. `pending` samples (at 8,000 Hz) of that are
    /// not played yet. Call it until a frame is full.
    pub fn next(&mut self, now: MonoTime, pending: usize) -> Next<'_> {
        let frame = FRAME_MS * i64::from(self.clock.ticks_per_ms());
        let due = self.due(now, pending);
        if let State::Speaking { .. } = self.state
            && due - self.tick > EXCESS_MS * frame / FRAME_MS
        {
            self.cut(due);
        }
        loop {
            let Some(front) = self.store.front().copied() else { return self.starve(due, frame) };
            if let State::Speaking { .. } = self.state
                && front.tick > self.tick
            {
                if front.place.sequence > self.given + 1 && !front.marker {
                    let missing = front.tick - self.tick;
                    let copied = match self.format {
                        Format::Bytes => 0,
                        Format::Packets => front.ticks,
                    };
                    // A copy is of as much as the packet that it comes with, and of what lies right
                    // before that one. While the delay grows, nothing is due yet.
                    if missing <= copied && due - self.tick > -frame {
                        return self.lose(missing, due, frame, true);
                    }
                    let n = if missing > copied { missing - copied } else { missing };
                    return self.lose(n.min(frame), due, frame, false);
                }
                self.state = State::Resting { level: None };
            }
            if let State::Resting { level } = self.state
                && front.tick > due
            {
                let samples = self.samples((front.tick - due).min(frame));
                return Next::Pause { samples: samples.max(1), level };
            }
            self.store.pop();
            self.note_missing(front.place.sequence);
            self.given = self.given_by(front.place.sequence);
            let payload_type = match front.kind {
                Kind::Rest { level } => {
                    // An event does not end the noise that was asked for.
                    let level = match self.state {
                        State::Speaking { .. } => level,
                        State::Resting { level: before } => level.or(before),
                    };
                    self.state = State::Resting { level };
                    continue;
                }
                Kind::Speech { payload_type } => payload_type,
            };
            let over = self.tick.max(front.tick) - front.tick;
            if over >= front.ticks {
                continue;
            }
            self.tick = front.tick + front.ticks;
            self.state = State::Speaking { starved: 0 };
            let payload = self.store.payload(&front);
            let over = match self.format {
                Format::Bytes => usize::try_from(over).unwrap_or(0),
                Format::Packets => 0,
            };
            return Next::Packet { payload_type, payload: payload.get(over..).unwrap_or_default() };
        }
    }

    /// How many samples (at 8,000 Hz) too many lie between what is played now and the delay that
    /// is aimed at; below zero when too few do. Zero in a pause, whose end is timed by itself.
    pub fn excess(&self, now: MonoTime, pending: usize) -> i32 {
        match self.state {
            State::Resting { .. } => 0,
            State::Speaking { .. } => {
                let ticks = self.due(now, pending) - self.tick;
                let samples = ticks * 8 / i64::from(self.clock.ticks_per_ms());
                if samples.abs() < NEGLIGIBLE { 0 } else { i32::try_from(samples).unwrap_or(0) }
            }
        }
    }

    /// The tick of the sender that is played at `now`, when `pending` samples wait.
    pub fn playing(&self, pending: usize) -> Option<i64> {
        match self.state {
            State::Resting { .. } => None,
            State::Speaking { .. } => Some(self.tick - self.ticks(pending)),
        }
    }

    /// The tick that shall be given now.
    fn due(&self, now: MonoTime, pending: usize) -> i64 {
        let delay = self.delay_ms * i64::from(self.clock.ticks_per_ms());
        self.clock.sender_at(now) - delay + self.ticks(pending)
    }

    fn given_by(&self, sequence: i64) -> i64 {
        if self.tick == i64::MIN { sequence } else { self.given.max(sequence) }
    }

    /// The turn of this packet has come: those between the last one and it were not given.
    fn note_missing(&mut self, sequence: i64) {
        if self.tick != i64::MIN {
            self.counts.missing += u64::try_from(sequence - self.given - 1).unwrap_or(0);
        }
    }

    fn starve(&mut self, due: i64, frame: i64) -> Next<'_> {
        match self.state {
            State::Resting { level } => Next::Pause { samples: self.samples(frame), level },
            State::Speaking { starved } if starved >= STARVED_MS * frame / FRAME_MS => {
                self.state = State::Resting { level: None };
                Next::Pause { samples: self.samples(frame), level: None }
            }
            State::Speaking { .. } => self.lose(frame, due, frame, false),
        }
    }

    /// Conceals `n` ticks. While the delay is too small by a frame or more the sender's time
    /// stands still meanwhile, which is how the delay grows in the middle of speech.
    fn lose(&mut self, n: i64, due: i64, frame: i64, has_next: bool) -> Next<'_> {
        if due - self.tick > -frame {
            self.tick += n;
        }
        if let State::Speaking { starved } = &mut self.state {
            *starved += n;
        }
        self.counts.lost += 1;
        self.lossy = LOSSY_FOR;
        let next = self.store.front().filter(|_| has_next).map(|it| self.store.payload(it));
        Next::Lost { samples: self.samples(n).max(1), next }
    }

    /// Throws away what is too old, down to the delay that is aimed at.
    fn cut(&mut self, due: i64) {
        while self.store.len() > 1
            && self.store.front().is_some_and(|it| it.tick + it.ticks <= due)
            && let Some(it) = self.store.pop()
        {
            self.counts.discarded += 1;
            self.tick = self.tick.max(it.tick + it.ticks);
            self.note_missing(it.place.sequence + 1);
            self.given = self.given_by(it.place.sequence);
        }
    }

    fn samples(&self, ticks: i64) -> usize {
        usize::try_from(ticks * 8 / i64::from(self.clock.ticks_per_ms())).unwrap_or(0)
    }

    fn ticks(&self, samples: usize) -> i64 {
        i64::try_from(samples).unwrap_or(0) * i64::from(self.clock.ticks_per_ms()) / 8
    }
}
