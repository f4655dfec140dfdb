//! The worker's end of a recording: what both sides say, laid on one timeline in blocks.
//!
//! The place of a packet follows from its timestamp, side by side: loss leaves silence of the
//! right length, and a burst after a stall does not make anybody speak faster.

#[cfg(test)]
mod tests;

use hotline_base::{MonoTime, media::Channel};
use hotline_dsp::g711::{self, ULAW_TO_ALAW};
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

#[derive(Debug, Default)]
struct Side {
    leg: Option<Slot>,
    clock: Option<SideClock>,
}

/// Relates a source's timestamps to the tape.
#[derive(Clone, Copy, Debug)]
struct SideClock {
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

    pub(crate) const fn source(&self, channel: Channel) -> Option<Slot> {
        let [left, right] = &self.sides;
        match channel {
            Channel::Left => left.leg,
            Channel::Right => right.leg,
        }
    }

    pub(crate) const fn set_source(&mut self, channel: Channel, leg: Option<Slot>) {
        let [left, right] = &mut self.sides;
        let side = match channel {
            Channel::Left => left,
            Channel::Right => right,
        };
        side.leg = leg;
        side.clock = None;
    }

    pub(crate) const fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Writes what a side says.
    pub(crate) fn write(
        &mut self,
        channel: Channel,
        header: &Header,
        codec: Codec,
        audio: &[u8],
        now: MonoTime,
        blocks: &mut impl Blocks,
    ) {
        if self.ending.is_some() {
            return;
        }
        let arrived = self.position(now);
        let [left, right] = &mut self.sides;
        let side = match channel {
            Channel::Left => left,
            Channel::Right => right,
        };
        let Some(mut at) = side.place(header, arrived, self.flushed) else { return };
        let mut rest = audio;
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
                match codec {
                    Codec::Pcma => to.copy_from_slice(now),
                    Codec::Pcmu => g711::transcode_into(&ULAW_TO_ALAW, now, to),
                }
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

impl Side {
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
                    *clock = SideClock { ssrc: header.ssrc, timestamp: header.timestamp, at };
                }
                return Some(at);
            }
            if (-STRAGGLER..0).contains(&later) {
                return None;
            }
        }
        let at = arrived.max(flushed);
        self.clock = Some(SideClock { ssrc: header.ssrc, timestamp: header.timestamp, at });
        Some(at)
    }
}
