//! Telephone keys as events (RFC 4733): one press in, one key out, whatever the network does.

#[cfg(test)]
mod tests;

use hotline_base::Key;

use crate::{Header, MediaTime};

/// Longest event duration that 16 bits hold; a longer press goes on in a new segment that begins
/// where the last one ended (§2.5.1.3).
const SEGMENT: u32 = 0xFFFF;

/// Some senders move the timestamp with every packet of one press. No human presses twice within
/// this many samples (60 ms: the shortest tone and the shortest pause together are longer).
const CREEP: i32 = 480;

/// A packet this many samples (5 s) behind is late; further behind, the sender restarted its clock.
const STRAGGLER: i32 = 40_000;

/// A press that goes on under another source has lasted longer than before, by less than this
/// (200 ms): packets of an event come every 20 to 50 ms (§2.5.1.2).
const GOES_ON_MAX: u16 = 1_600;

/// A key that is held down is told of again within so many samples (60 ms).
const UPDATED_WITHIN: i32 = 480;

/// Finds presses in the event packets of one source.
#[derive(Clone, Debug, Default)]
pub struct EventReceiver {
    last: Option<Press>,
}

#[derive(Clone, Copy, Debug)]
struct Press {
    ssrc: u32,
    timestamp: MediaTime,
    code: u8,
    ended: bool,
    duration: u16,
}

impl Press {
    /// Whether `self` is the press `last`, from a sender that took another SSRC while the key was
    /// down (a re-INVITE, a relay that changed).
    const fn goes_on_from(&self, last: &Self, marker: bool) -> bool {
        let longer = self.duration.wrapping_sub(last.duration);
        let same_key = self.code == last.code && !last.ended && !marker;
        same_key && self.duration > last.duration && longer <= GOES_ON_MAX
    }
}

impl EventReceiver {
    /// Takes an event packet. Returns the key when this packet is the first that is seen of its
    /// press: its start may be lost, its end may be lost, packets may come twice or too late.
    pub fn handle(&mut self, header: &Header, payload: &[u8]) -> Option<Key> {
        let [code, flags, d0, d1] = *payload.first_chunk()?;
        let ended = flags & 0x80 != 0;
        let duration = u16::from_be_bytes([d0, d1]);
        let this = Press { ssrc: header.ssrc, timestamp: header.timestamp, code, ended, duration };
        if let Some(last) = self.last
            && last.ssrc != this.ssrc
            && this.goes_on_from(&last, header.marker)
        {
            self.last = Some(this);
            return None;
        }
        if let Some(last) = self.last
            && last.ssrc == this.ssrc
        {
            let later = this.timestamp.since(last.timestamp);
            if (-STRAGGLER..0).contains(&later) {
                // A straggler of an earlier press.
                return None;
            }
            let same_key = last.code == code && !header.marker && !last.ended;
            let goes_on =
                same_key && ((0..=CREEP).contains(&later) || later.unsigned_abs() == SEGMENT);
            if later == 0 || goes_on {
                self.last = Some(Press {
                    ended: last.ended || ended,
                    duration: duration.max(last.duration),
                    ..this
                });
                return None;
            }
        }
        self.last = Some(this);
        Key::from_event(code)
    }

    /// Whether speech was said while the last key was down: its tone, which some gateways leave in
    /// (RFC 4733 §2.1 has them take it out).
    pub fn covers(&self, speech: &Header) -> bool {
        self.last.is_some_and(|it| {
            let lasts = i32::from(it.duration) + if it.ended { 0 } else { UPDATED_WITHIN };
            it.ssrc == speech.ssrc && (0..lasts).contains(&speech.timestamp.since(it.timestamp))
        })
    }
}

/// One packet of a press that we send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventPacket {
    pub payload: [u8; 4],
    /// The first packet of the press: it takes a new timestamp, the others keep it.
    pub first: bool,
}

/// Sends one press of a key: 100 ms, then 100 ms of pause, in 20 ms steps.
#[derive(Clone, Debug)]
pub struct EventSender {
    key: Key,
    step: u8,
}

impl EventSender {
    /// Samples of one press.
    pub const PRESS: u16 = 800;
    const STEPS_DOWN: u8 = 5;
    const STEPS: u8 = 10;
    /// −10 dBm0 (§2.3.4).
    const VOLUME: u8 = 10;

    pub const fn new(key: Key) -> Self {
        Self { key, step: 0 }
    }

    /// The packets of the next 20 ms: `None` when press and pause are over, else a packet and how
    /// often it is sent. The last one of a press is sent three times (§2.5.1.4), none in the pause.
    pub fn next_step(&mut self) -> Option<(EventPacket, u8)> {
        if self.step >= Self::STEPS {
            return None;
        }
        let step = self.step;
        self.step += 1;
        let last = step + 1 == Self::STEPS_DOWN;
        let n = match step + 1 {
            it if it < Self::STEPS_DOWN => 1,
            it if it == Self::STEPS_DOWN => 3,
            _ => 0,
        };
        let [high, low] = (u16::from(step + 1) * 160).min(Self::PRESS).to_be_bytes();
        let flags = u8::from(last) << 7 | Self::VOLUME;
        Some((EventPacket { payload: [self.key.event(), flags, high, low], first: step == 0 }, n))
    }
}
