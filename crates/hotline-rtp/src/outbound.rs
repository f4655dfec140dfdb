//! One outgoing stream: a single SSRC, sequence numbers and timestamps that go on without a break
//! while what feeds it changes (a prompt, the other party, keys, another party after a transfer).

#[cfg(test)]
mod tests;

use hotline_base::MonoTime;

use crate::{Header, MediaTime, samples_in};

/// Samples (at 8,000 Hz) of a frame; a new source starts on this grid.
const FRAME: u32 = 160;

/// A speaker whose numbers leap so much further than time went by has begun anew: samples at
/// 8,000 Hz, and packets, of which nobody sends more than one in 5 ms.
const LEAP_SAMPLES: u32 = 8_000;
const LEAP_PACKETS: u16 = 200;
const PACKET_SAMPLES_MIN: u32 = 40;

/// Or further than this, however long it took; and back: as long as a key is held down.
const PACKETS_MAX: u16 = 3_000;
const BACK_SAMPLES: u32 = 80_000;

/// What our own audio and events are stamped with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp {
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: MediaTime,
}

/// The state of one outgoing stream.
#[derive(Clone, Debug)]
pub struct Outbound {
    ssrc: u32,
    /// Ticks of its clock for each sample at 8,000 Hz.
    scale: u32,
    /// Highest that was sent.
    sequence: u16,
    /// Highest that was sent, and how many ticks it covered.
    timestamp: MediaTime,
    ticks: u32,
    sent: Option<MonoTime>,
    source: Source,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    None,
    Own,
    Relayed {
        /// Who, as the caller numbers speakers.
        speaker: u64,
        ssrc: u32,
        /// Added to the speaker's numbers.
        sequence: u16,
        timestamp: u32,
        /// The first relayed sequence number, ours; nothing older belongs to us.
        first: u16,
    },
}

impl Outbound {
    /// `ssrc`, `sequence` and `timestamp` shall be random (RFC 3550 §5.1).
    pub const fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self {
            ssrc,
            scale: 1,
            sequence,
            timestamp: MediaTime(timestamp),
            ticks: FRAME,
            sent: None,
            source: Source::None,
        }
    }

    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The latest timestamp that was sent, and when; `None` before the first.
    pub fn last(&self) -> Option<(MediaTime, MonoTime)> {
        self.sent.map(|it| (self.timestamp, it))
    }

    /// The clock of what is sent from now on, in ticks a second: 8,000, or a multiple of it that
    /// Opus has. The numbers go on from where they are, in the new measure.
    pub const fn set_clock(&mut self, clock: u32) {
        let scale = clock / 8_000;
        if scale != self.scale && scale != 0 {
            self.ticks = self.ticks / self.scale * scale;
            self.scale = scale;
            self.source = Source::None;
        }
    }

    /// The next packet of our own audio of `samples` samples at 8,000 Hz. Consecutive calls are
    /// taken to be paced by the caller: timestamps follow the samples, not the clock.
    pub fn stamp(&mut self, samples: u32, now: MonoTime) -> Stamp {
        let starts = self.source != Source::Own;
        let timestamp = if starts { self.resumed_at(now) } else { self.timestamp + self.ticks };
        self.source = Source::Own;
        self.note(self.sequence.wrapping_add(1), timestamp, samples, now);
        Stamp { marker: starts, sequence: self.sequence, timestamp }
    }

    /// One more packet with the timestamp of the last one: the updates of an event (RFC 4733
    /// §2.5.1.2).
    pub fn stamp_again(&mut self, now: MonoTime) -> Stamp {
        self.note_ticks(self.sequence.wrapping_add(1), self.timestamp, self.ticks, now);
        Stamp { marker: false, sequence: self.sequence, timestamp: self.timestamp }
    }

    /// Whether somebody's packets are passed on, and not our own audio sent.
    pub const fn is_relayed(&self) -> bool {
        matches!(self.source, Source::Relayed { .. })
    }

    /// Our audio goes on so many samples later than it ended: what lies between never reached us.
    pub const fn skip(&mut self, samples: u32) {
        self.ticks = self.ticks.saturating_add(samples.saturating_mul(self.scale));
    }

    /// Our audio paused: what comes next starts anew, at the time it comes.
    pub fn pause(&mut self) {
        self.source = Source::None;
    }

    /// The header for relaying a packet of `speaker` whose clock is ours and which lasts `samples`
    /// samples at 8,000 Hz: its gaps, its order and its marker are
    /// kept. `None` when it was sent before `speaker` was first relayed and came late.
    pub fn relay(
        &mut self,
        speaker: u64,
        heard: &Header,
        payload_type: u8,
        samples: u32,
        now: MonoTime,
    ) -> Option<Header> {
        let (sequence, timestamp, marker) = match self.source {
            Source::Relayed { speaker: it, ssrc, sequence, timestamp, first }
                if it == speaker
                    && ssrc == heard.ssrc
                    && self.follows(heard, (sequence, timestamp), now) =>
            {
                let ours = heard.sequence.wrapping_add(sequence);
                if ours.wrapping_sub(first) > u16::MAX / 2 {
                    return None;
                }
                (ours, heard.timestamp + timestamp, heard.marker)
            }
            Source::None | Source::Own | Source::Relayed { .. } => {
                let sequence = self.sequence.wrapping_add(1);
                let timestamp = self.resumed_at(now);
                self.source = Source::Relayed {
                    speaker,
                    ssrc: heard.ssrc,
                    sequence: sequence.wrapping_sub(heard.sequence),
                    timestamp: timestamp.0.wrapping_sub(heard.timestamp.0),
                    first: sequence,
                };
                // RFC 3551 §4.1: the marker says that a talk spurt begins.
                (sequence, timestamp, true)
            }
        };
        self.note(sequence, timestamp, samples, now);
        Some(Header { marker, payload_type, sequence, timestamp, ssrc: self.ssrc })
    }

    /// Whether a packet continues what we relay, or the speaker began anew with the same SSRC, as
    /// gateways do that change what lies behind them.
    fn follows(&self, heard: &Header, (sequence, timestamp): (u16, u32), now: MonoTime) -> bool {
        let packets = heard.sequence.wrapping_add(sequence).wrapping_sub(self.sequence);
        let ticks = (heard.timestamp + timestamp).since(self.timestamp);
        let distance = ticks.unsigned_abs() / self.scale;
        if packets > u16::MAX / 2 {
            return packets >= u16::MAX - PACKETS_MAX && ticks <= 0 && distance <= BACK_SAMPLES;
        }
        // The end of a key may be said again after the speech behind it.
        if ticks < 0 {
            return packets <= LEAP_PACKETS && distance <= BACK_SAMPLES;
        }
        if distance <= LEAP_SAMPLES && packets <= LEAP_PACKETS {
            return true;
        }
        let elapsed = self.sent.map_or(0, |it| samples_in(now.since(it)));
        let elapsed = u32::try_from(elapsed).unwrap_or(u32::MAX);
        let packets_max = u32::from(LEAP_PACKETS).saturating_add(elapsed / PACKET_SAMPLES_MIN);
        distance <= elapsed.saturating_add(LEAP_SAMPLES)
            && u32::from(packets) <= packets_max.min(u32::from(PACKETS_MAX))
    }

    /// The timestamp of a new source: as much later as time went by, at least the last packet's
    /// own length, on the grid of frames.
    fn resumed_at(&self, now: MonoTime) -> MediaTime {
        let Some(sent) = self.sent else { return self.timestamp };
        let elapsed = u32::try_from(samples_in(now.since(sent))).unwrap_or(u32::MAX);
        let frames = elapsed.saturating_add(FRAME / 2) / FRAME;
        self.timestamp + frames.saturating_mul(FRAME * self.scale).max(self.ticks)
    }

    fn note(&mut self, sequence: u16, timestamp: MediaTime, samples: u32, now: MonoTime) {
        self.note_ticks(sequence, timestamp, samples.saturating_mul(self.scale), now);
    }

    fn note_ticks(&mut self, sequence: u16, timestamp: MediaTime, ticks: u32, now: MonoTime) {
        if sequence.wrapping_sub(self.sequence) <= u16::MAX / 2 {
            self.sequence = sequence;
        }
        if self.sent.is_none() || timestamp.since(self.timestamp) > 0 {
            self.timestamp = timestamp;
            self.ticks = ticks;
            self.sent = Some(now);
        }
    }
}
