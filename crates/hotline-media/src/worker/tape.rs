//! The worker's end of a recording: what both sides say, laid on one timeline in blocks.
//!
//! The place of a packet follows from its timestamp, side by side: loss leaves silence of the
//! right length, and a burst after a stall does not make anybody speak faster. A sender whose clock
//! is off is followed, so that both sides stay beside each other for hours.

mod mute;
mod source;
#[cfg(test)]
mod tests;

use hotline_base::{MonoTime, media::Channel};
use hotline_dsp::g711::{self, ALAW_SILENCE, ULAW_TO_ALAW};
use hotline_rtp::{Header, samples_in};
use hotline_sdp::Codec;

use self::{
    mute::Mute,
    source::{Line, Place, STEP_MAX, Source},
};

use crate::{
    recorder::{BLOCK, Block, Filled},
    task::Slot,
};

/// Samples that a block stays open after its time, for packets that come late (200 ms).
const SLACK: u64 = 1_600;

/// Samples that were sent and did not arrive, from which on they are told (100 ms).
const LOST_MIN: u64 = 800;

/// Samples of a packet that cannot be written (20 ms).
const UNWRITTEN: u64 = 160;

/// Blocks that are open at once: one being spoken, one waiting for stragglers; and after almost two
/// seconds in which the worker stood still, all that waits in its queues.
const OPEN: usize = 12;

/// Blocks that there are for each leg. Two are on a tape, as a rule, which needs the open ones and
/// may have 1.6 s on their way to the disk.
pub(crate) const BLOCKS_A_LEG: usize = 6;

/// What each packet needs comes first, in two cache lines.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Tape {
    began: MonoTime,
    /// Everything before this sample is on its way to the file.
    flushed: u64,
    sides: [Side; 2],
    /// Since something was not to be recorded.
    mute: Option<Box<Mute>>,
    /// What names the recording in its blocks.
    key: u64,
    /// Of which the first two or three are, as a rule.
    open: [Option<Block>; OPEN],
    /// Samples in all, once the tape ends.
    ending: Option<u64>,
    pub(crate) slot: Slot,
}

const _: () = assert!(std::mem::offset_of!(Tape, open) == 64, "two cache lines");

/// Those who are heard on one channel.
#[derive(Debug, Default)]
struct Side {
    sources: Box<[Source]>,
}

/// What a party says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    pub(crate) by: Slot,
    /// It came between then and now; earlier than now only what waited while the worker stood
    /// still.
    pub(crate) since: MonoTime,
    pub(crate) header: &'a Header,
    pub(crate) codec: Codec,
    pub(crate) audio: &'a [u8],
}

/// Where a tape's blocks come from and go to.
pub(crate) trait Blocks {
    fn take(&mut self) -> Option<Block>;
    fn give_back(&mut self, block: Block);
    /// On to the recorder; what does not fit comes back.
    fn send(&mut self, filled: Filled) -> Result<(), Filled>;
}

impl Tape {
    pub(crate) fn new(slot: Slot, key: u64, now: MonoTime) -> Self {
        Self {
            slot,
            key,
            began: now,
            flushed: 0,
            open: [const { None }; OPEN],
            sides: [Side::default(), Side::default()],
            mute: None,
            ending: None,
        }
    }

    /// Makes these a channel's sources; those that stay keep their place in time. Returns those
    /// that go: until they are dropped, what they said before now is still laid.
    pub(crate) fn set_sources(
        &mut self,
        channel: Channel,
        legs: &[Slot],
        now: MonoTime,
    ) -> Vec<Slot> {
        let at = self.position(now);
        let legs: &[Slot] = if self.is_ending() { &[] } else { legs };
        let side = self.side(channel);
        let mut sources = std::mem::take(&mut side.sources).into_vec();
        let mut gone = Vec::new();
        for source in &mut sources {
            if legs.contains(&source.leg) {
                // Maybe back before he was dropped; what he said meanwhile is not for this tape.
                source.join(at);
            } else if source.leave(at) {
                gone.push(source.leg);
            }
        }
        for leg in legs {
            if sources.iter().all(|it| it.leg != *leg) {
                sources.push(Source::new(*leg, at));
            }
        }
        side.sources = sources.into();
        gone
    }

    pub(crate) fn drop_source(&mut self, channel: Channel, leg: Slot) {
        let side = self.side(channel);
        let sources = std::mem::take(&mut side.sources).into_iter();
        side.sources = sources.filter(|it| it.leg != leg).collect();
    }

    /// Whether this leg has left a channel and was not dropped yet.
    pub(crate) fn lingers(&self, channel: Channel, leg: Slot) -> bool {
        let [left, right] = &self.sides;
        let side = match channel {
            Channel::Left => left,
            Channel::Right => right,
        };
        side.sources.iter().any(|it| it.leg == leg && it.has_left())
    }

    /// A source of which nothing can wait any more that it said before it left.
    pub(crate) fn overdue(&self, now: MonoTime) -> Option<(Channel, Slot)> {
        let position = self.position(now);
        let is_over = |it: &&Source| it.left_before(position, SLACK);
        let [left, right] = self.sides.each_ref().map(|it| it.sources.iter().find(is_over));
        let left = left.map(|it| (Channel::Left, it.leg));
        left.or_else(|| right.map(|it| (Channel::Right, it.leg)))
    }

    pub(crate) fn has_sources(&self) -> bool {
        self.sides.iter().any(|it| !it.sources.is_empty())
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

    /// Reads from each cache line of it that a packet needs.
    pub(crate) fn touch(&self) -> u64 {
        let [first, ..] = &self.open;
        self.flushed ^ u64::from(first.is_some())
    }

    /// The same of the first source on a channel.
    pub(crate) fn touch_source(&self, channel: Channel) -> u64 {
        self.first_source(channel).map_or(0, Source::touch)
    }

    /// The same of the block in which its next packet is laid, as a rule.
    pub(crate) fn touch_audio(&self, channel: Channel) -> u64 {
        let ahead = self.first_source(channel).and_then(|it| it.next_place(self.flushed));
        let block = ahead.and_then(|it| self.open.get(it / BLOCK)?.as_ref().zip(Some(it % BLOCK)));
        block.map_or(0, |(block, within)| block.touch(channel, within))
    }

    fn first_source(&self, channel: Channel) -> Option<&Source> {
        let [left, right] = &self.sides;
        let side = match channel {
            Channel::Left => left,
            Channel::Right => right,
        };
        side.sources.first()
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
        let (began, arrived, flushed) = (self.began, self.position(now), self.flushed);
        let side = self.side(channel);
        let alone = side.sources.len() == 1;
        let Some(source) = side.sources.iter_mut().find(|it| it.leg == said.by) else { return };
        if source.came(said.header) && !alone {
            return;
        }
        let line = Line { since: said.since, now, began, arrived, flushed };
        let Some(Place { at, hole, lost }) = source.place(said.header, said.audio.len(), &line)
        else {
            return;
        };
        let laid = source.laid(at, said.audio.len());
        let (skipped, audio) = (laid.start, said.audio.get(laid).unwrap_or_default());
        if audio.is_empty() {
            return;
        }
        let (at, hole) = (at + skipped as u64, if skipped == 0 { hole } else { 0 });
        let put = match (said.codec, alone) {
            (Codec::Pcma, true) => <[u8]>::copy_from_slice,
            (Codec::Pcmu, true) => put_ulaw,
            (Codec::Pcma, false) => add_alaw,
            (Codec::Pcmu, false) => add_ulaw,
            // Whoever speaks another codec is decoded before.
            (Codec::G722 | Codec::Opus | Codec::Passed(_), _) => return,
        };
        if hole > 0
            && let Some(first) = audio.first()
        {
            let filling = [*first; STEP_MAX];
            let filling = filling.get(..hole).unwrap_or_default();
            self.lay(channel, at.saturating_sub(hole as u64).max(flushed), filling, put, blocks);
        }
        self.lay(channel, at, audio, put, blocks);
        if lost >= LOST_MIN
            && let Some(block) =
                block_at(&mut self.open, (self.slot, self.key, self.flushed), at, blocks)
        {
            block.note_lost(channel, at.saturating_sub(lost), at);
        }
    }

    /// A party on a channel says something in a codec that cannot be written: 20 ms, or about that.
    pub(crate) fn pass_over(
        &mut self,
        channel: Channel,
        by: Slot,
        now: MonoTime,
        blocks: &mut impl Blocks,
    ) {
        let at = self.position(now);
        let speaks = self.side(channel).sources.iter().any(|it| it.leg == by);
        if !speaks || self.ending.is_some() || at < self.flushed {
            return;
        }
        if let Some(block) =
            block_at(&mut self.open, (self.slot, self.key, self.flushed), at, blocks)
        {
            block.note_unwritten(channel, at, at + UNWRITTEN);
        }
    }

    /// Puts audio where it belongs, over one block or two.
    fn lay(
        &mut self,
        channel: Channel,
        mut at: u64,
        audio: &[u8],
        put: fn(&mut [u8], &[u8]),
        blocks: &mut impl Blocks,
    ) {
        let mut rest = audio;
        while !rest.is_empty() {
            // The worker stood still for longer than blocks can be open: the oldest go.
            while at >= self.flushed + (OPEN * BLOCK) as u64 {
                self.send_first(BLOCK, blocks);
            }
            let within = usize::try_from((at - self.flushed) % BLOCK as u64).unwrap_or(0);
            let n = rest.len().min(BLOCK - within);
            let (now, later) = rest.split_at(n);
            let tape = (self.slot, self.key, self.flushed);
            if let Some(block) = block_at(&mut self.open, tape, at, blocks) {
                if let Some(to) = block.channel(channel).get_mut(within..within + n) {
                    put(to, now);
                }
                block.note_heard(channel, within..within + n);
                if let Some(mute) = &self.mute {
                    mute.silence(block, channel);
                }
            }
            at += n as u64;
            rest = later;
        }
    }

    /// From now on, and until it is said otherwise, everything is silence.
    pub(crate) fn set_muted(&mut self, muted: bool, now: MonoTime) {
        let (at, flushed) = (self.position(now), self.flushed);
        let mute = self.mute.get_or_insert_default();
        mute.set(muted, at, flushed);
        // A sender may be ahead of us: what he says from now on may lie in a block.
        for block in self.open.iter_mut().flatten() {
            for channel in [Channel::Left, Channel::Right] {
                mute.silence(block, channel);
            }
        }
    }

    /// Sends off blocks whose time is over. Between two calls at most 200 ms may pass.
    pub(crate) fn flush(&mut self, now: MonoTime, blocks: &mut impl Blocks) {
        let position = self.position(now);
        while self.ending.is_none() && position >= self.flushed + BLOCK as u64 + SLACK {
            self.send_first(BLOCK, blocks);
        }
    }

    /// From now on nothing is said on it; what still waits is laid, until it is ended.
    pub(crate) fn stop(&mut self, now: MonoTime) {
        let at = self.position(now);
        self.ending.get_or_insert(at);
    }

    /// Ends the tape where it was stopped, or at this moment. Returns whether the recorder knows;
    /// else call again.
    pub(crate) fn end(&mut self, now: MonoTime, blocks: &mut impl Blocks) -> bool {
        let end = self.ending.unwrap_or_else(|| self.position(now));
        self.ending = Some(end);
        // Whatever is said from here on is not on it.
        self.sides = Default::default();
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
            block.begin(self.slot, self.key, self.flushed);
            Some(block)
        });
        self.open.rotate_left(1);
        self.flushed += len as u64;
        let Some(mut block) = block else { return };
        block.cut(len);
        if let Err(Filled::Block(block)) = blocks.send(Filled::Block(block)) {
            blocks.give_back(block);
        }
    }

    /// Samples since the tape began.
    fn position(&self, now: MonoTime) -> u64 {
        samples_in(now.since(self.began))
    }
}

/// The open block with this sample of a tape, of which all before `flushed` is gone; `None` when
/// there is none to be had.
fn block_at<'a>(
    open: &'a mut [Option<Block>; OPEN],
    (tape, key, flushed): (Slot, u64, u64),
    at: u64,
    blocks: &mut impl Blocks,
) -> Option<&'a mut Block> {
    let ahead = at.checked_sub(flushed)? / BLOCK as u64;
    let open = usize::try_from(ahead).ok().and_then(|it| open.get_mut(it))?;
    if open.is_none() {
        *open = blocks.take().map(|mut it| {
            it.begin(tape, key, flushed + ahead * BLOCK as u64);
            it
        });
    }
    open.as_mut()
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
