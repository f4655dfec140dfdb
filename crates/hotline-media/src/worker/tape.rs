//! The worker's end of a recording: what both sides say, laid on one timeline in blocks.
//!
//! The place of a packet follows from its timestamp, side by side: loss leaves silence of the
//! right length, and a burst after a stall does not make anybody speak faster.

#[cfg(test)]
mod tests;

use hotline_base::{MonoTime, media::Channel};
use hotline_dsp::g711::{self, ALAW_SILENCE, ULAW_TO_ALAW};
use hotline_rtp::{Header, MediaTime, samples_in};
use hotline_sdp::Codec;

use crate::{
    recorder::{BLOCK, Block, Filled},
    task::Slot,
};

/// Samples that a block stays open after its time, for packets that come late (200 ms).
const SLACK: u64 = 1_600;

/// Samples that a sender may be ahead of our clock before its clock is set anew (250 ms).
const AHEAD: u64 = 2_000;

/// A packet this many samples (5 s) behind is late; further behind, the sender restarted its clock.
const STRAGGLER: i64 = 40_000;

/// Blocks that are open at once: one being spoken, one waiting for stragglers, two ahead.
const OPEN: usize = 4;

/// Blocks that a tape needs: the open ones and 1.6 s on their way to the disk.
pub(crate) const BLOCKS: usize = 12;

#[derive(Debug)]
pub(crate) struct Tape {
    pub(crate) slot: Slot,
    began: MonoTime,
    /// Everything before this sample is on its way to the file.
    flushed: u64,
    open: [Option<Block>; OPEN],
    sides: [Side; 2],
    /// Samples in all, once the tape ends.
    ending: Option<u64>,
    /// An empty vector with room for the blocks that go back to the desk.
    pub(crate) luggage: Vec<Block>,
}

/// Those who are heard on one channel.
#[derive(Debug, Default)]
struct Side {
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    leg: Slot,
    clock: Option<SourceClock>,
    /// The highest sequence number, and which of the 64 up to it came: the sum of two parties must
    /// not hold a packet twice.
    highest: u16,
    seen: u64,
}

/// What a party says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    pub(crate) by: Slot,
    pub(crate) header: &'a Header,
    pub(crate) codec: Codec,
    pub(crate) audio: &'a [u8],
}

/// Relates a source's timestamps to the tape.
#[derive(Clone, Copy, Debug)]
struct SourceClock {
    ssrc: u32,
    timestamp: MediaTime,
    at: u64,
}

/// Where a tape's blocks come from and go to.
pub(crate) trait Blocks {
    fn take(&mut self) -> Option<Block>;
    fn give_back(&mut self, block: Block);
    /// On to the recorder; what does not fit comes back.
    fn send(&mut self, filled: Filled) -> Result<(), Filled>;
}

impl Tape {
    pub(crate) fn new(slot: Slot, luggage: Vec<Block>, now: MonoTime) -> Self {
        Self {
            slot,
            began: now,
            flushed: 0,
            open: [const { None }; OPEN],
            sides: [Side::default(), Side::default()],
            ending: None,
            luggage,
        }
    }

    /// Makes these a channel's sources; those that stay keep their place in time. Returns those
    /// that go.
    pub(crate) fn set_sources(&mut self, channel: Channel, legs: &[Slot]) -> Vec<Slot> {
        let side = self.side(channel);
        let gone: Vec<_> =
            side.sources.iter().map(|it| it.leg).filter(|it| !legs.contains(it)).collect();
        side.sources.retain(|it| legs.contains(&it.leg));
        for leg in legs {
            if side.sources.iter().all(|it| it.leg != *leg) {
                side.sources.push(Source { leg: *leg, clock: None, highest: 0, seen: 0 });
            }
        }
        gone
    }

    pub(crate) fn drop_source(&mut self, channel: Channel, leg: Slot) {
        self.side(channel).sources.retain(|it| it.leg != leg);
    }

    const fn side(&mut self, channel: Channel) -> &mut Side {
        let [left, right] = &mut self.sides;
        match channel {
            Channel::Left => left,
            Channel::Right => right,
        }
    }

    pub(crate) const fn began(&self) -> MonoTime {
        self.began
    }

    pub(crate) const fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Writes what a party on a channel says; over silence if it is alone there, else added to
    /// what others say.
    pub(crate) fn write(
        &mut self,
        channel: Channel,
        said: &Said<'_>,
        now: MonoTime,
        blocks: &mut impl Blocks,
    ) {
        if self.ending.is_some() {
            return;
        }
        let (arrived, flushed) = (self.position(now), self.flushed);
        let side = self.side(channel);
        let alone = side.sources.len() == 1;
        let Some(source) = side.sources.iter_mut().find(|it| it.leg == said.by) else { return };
        if source.came(said.header) && !alone {
            return;
        }
        let Some(mut at) = source.place(said.header, arrived, flushed) else { return };
        let put = match (said.codec, alone) {
            (Codec::Pcma, true) => <[u8]>::copy_from_slice,
            (Codec::Pcmu, true) => put_ulaw,
            (Codec::Pcma, false) => add_alaw,
            (Codec::Pcmu, false) => add_ulaw,
            // Whoever speaks another codec is decoded before.
            (Codec::G722 | Codec::Opus | Codec::Passed(_), _) => return,
        };
        let mut rest = said.audio;
        while !rest.is_empty() {
            let ahead = at.saturating_sub(self.flushed) / BLOCK as u64;
            let within = usize::try_from((at - self.flushed) % BLOCK as u64).unwrap_or(0);
            let n = rest.len().min(BLOCK - within);
            let (now, later) = rest.split_at(n);
            let Some(open) = usize::try_from(ahead).ok().and_then(|it| self.open.get_mut(it))
            else {
                return;
            };
            if open.is_none() {
                *open = blocks.take().map(|mut it| {
                    it.begin(self.slot, self.flushed + ahead * BLOCK as u64);
                    it
                });
            }
            if let Some(block) = open
                && let Some(to) = block.channel(channel).get_mut(within..within + n)
            {
                put(to, now);
            }
            at += n as u64;
            rest = later;
        }
    }

    /// Sends off blocks whose time is over. Between two calls at most 200 ms may pass.
    pub(crate) fn flush(&mut self, now: MonoTime, blocks: &mut impl Blocks) {
        let position = self.position(now);
        while self.ending.is_none() && position >= self.flushed + BLOCK as u64 + SLACK {
            self.send_first(BLOCK, blocks);
        }
    }

    /// Ends the tape at this moment. Returns whether the recorder knows; else call again.
    pub(crate) fn end(&mut self, now: MonoTime, blocks: &mut impl Blocks) -> bool {
        let end = match self.ending {
            Some(end) => end,
            None => self.position(now),
        };
        self.ending = Some(end);
        while self.flushed < end {
            let rest = usize::try_from(end - self.flushed).unwrap_or(BLOCK);
            self.send_first(rest.min(BLOCK), blocks);
        }
        for open in &mut self.open {
            if let Some(block) = open.take() {
                blocks.give_back(block);
            }
        }
        blocks.send(Filled::End { tape: self.slot, samples: end }).is_ok()
    }

    /// Sends the oldest open block. One that was never opened is silence; when there is no block
    /// to say so, the recorder sees the gap.
    fn send_first(&mut self, len: usize, blocks: &mut impl Blocks) {
        let [first, ..] = &mut self.open;
        let block = first.take().or_else(|| {
            let mut block = blocks.take()?;
            block.begin(self.slot, self.flushed);
            Some(block)
        });
        self.open.rotate_left(1);
        self.flushed += len as u64;
        let Some(mut block) = block else { return };
        block.len = len;
        if let Err(Filled::Block(block)) = blocks.send(Filled::Block(block)) {
            blocks.give_back(block);
        }
    }

    /// Samples since the tape began.
    fn position(&self, now: MonoTime) -> u64 {
        samples_in(now.since(self.began))
    }
}

/// What was not said yet is silence; anything else is added to.
fn add_alaw(to: &mut [u8], said: &[u8]) {
    for (to, said) in to.iter_mut().zip(said) {
        *to = match *to {
            ALAW_SILENCE => *said,
            there => {
                let sum = g711::alaw_to_linear(there).saturating_add(g711::alaw_to_linear(*said));
                g711::linear_to_alaw(sum)
            }
        };
    }
}

fn add_ulaw(to: &mut [u8], said: &[u8]) {
    for (to, said) in to.iter_mut().zip(said) {
        add_alaw(std::slice::from_mut(to), &[g711::through(&ULAW_TO_ALAW, *said)]);
    }
}

fn put_ulaw(to: &mut [u8], said: &[u8]) {
    g711::transcode_into(&ULAW_TO_ALAW, said, to);
}

impl Source {
    /// Takes note of a packet, and tells whether it came before.
    fn came(&mut self, header: &Header) -> bool {
        let ahead = header.sequence.wrapping_sub(self.highest).cast_signed();
        let stale = !(-64..3_000).contains(&ahead);
        if self.seen == 0 || stale || self.clock.is_none_or(|it| it.ssrc != header.ssrc) {
            (self.highest, self.seen) = (header.sequence, 1);
            return false;
        }
        if ahead > 0 {
            self.seen = self.seen.checked_shl(u32::from(ahead.unsigned_abs())).unwrap_or(0) | 1;
            self.highest = header.sequence;
            return false;
        }
        let bit = 1_u64.checked_shl(u32::from(ahead.unsigned_abs())).unwrap_or(0);
        let came = self.seen & bit != 0;
        self.seen |= bit;
        came
    }

    /// Where a packet belongs: where its timestamp says, unless that is out of reach; then this
    /// packet sets the side's clock. `None` for a straggler whose block is gone.
    fn place(&mut self, header: &Header, arrived: u64, flushed: u64) -> Option<u64> {
        if let Some(clock) = &mut self.clock
            && clock.ssrc == header.ssrc
        {
            let later = i64::from(header.timestamp.since(clock.timestamp));
            if let Some(at) = clock.at.checked_add_signed(later)
                && (flushed..=arrived + AHEAD).contains(&at)
            {
                // Keeps the distance small enough for the wrap of timestamps.
                if later > 0 {
                    *clock = SourceClock { ssrc: header.ssrc, timestamp: header.timestamp, at };
                }
                return Some(at);
            }
            if (-STRAGGLER..0).contains(&later) {
                return None;
            }
        }
        let at = arrived.max(flushed);
        self.clock = Some(SourceClock { ssrc: header.ssrc, timestamp: header.timestamp, at });
        Some(at)
    }
}
