//! What goes from the worker to the recorder and back again.

use std::ops::Range;

use hotline_base::media::Channel;
use hotline_dsp::g711::ALAW_SILENCE;

use crate::task::Slot;

/// Samples of a block (200 ms).
pub(crate) const BLOCK: usize = 1_600;

/// Samples of a unit that was heard or was not (5 ms).
const UNIT: usize = 40;

/// 200 ms of both sides, in A-law.
#[derive(Debug)]
pub(crate) struct Block {
    pub(super) tape: Slot,
    pub(super) start: u64,
    /// Samples that count.
    pub(crate) len: usize,
    sides: Box<[Side; 2]>,
}

#[derive(Debug)]
struct Side {
    audio: [u8; BLOCK],
    /// A bit for each unit whose first sample somebody said.
    heard: u64,
}

impl Block {
    /// An empty one.
    pub(crate) fn silent() -> Self {
        let side = || Side { audio: [ALAW_SILENCE; BLOCK], heard: 0 };
        let tape = Slot { index: 0, generation: 0 };
        Self { tape, start: 0, len: 0, sides: Box::new([side(), side()]) }
    }

    /// Makes it a silent block of `tape` that starts at this sample.
    pub(crate) fn begin(&mut self, tape: Slot, start: u64) {
        self.tape = tape;
        self.start = start;
        self.len = BLOCK;
        for side in &mut *self.sides {
            side.audio.fill(ALAW_SILENCE);
            side.heard = 0;
        }
    }

    /// The sample of the tape after its last.
    pub(super) const fn end(&self) -> u64 {
        self.start + self.len as u64
    }

    #[cfg(test)]
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    pub(crate) const fn channel(&mut self, channel: Channel) -> &mut [u8] {
        &mut self.side(channel).audio
    }

    const fn side(&mut self, channel: Channel) -> &mut Side {
        let [left, right] = &mut *self.sides;
        match channel {
            Channel::Left => left,
            Channel::Right => right,
        }
    }

    /// Somebody said these samples of a channel.
    pub(crate) const fn note_heard(&mut self, channel: Channel, samples: Range<usize>) {
        self.side(channel).heard |= units(samples);
    }

    /// Takes out of a channel what lies in these samples of the tape.
    pub(crate) fn silence(&mut self, channel: Channel, from: u64, to: u64) {
        let within = |at: u64| {
            let at = at.saturating_sub(self.start);
            usize::try_from(at).map_or(BLOCK, |it| it.min(BLOCK))
        };
        let samples = within(from)..within(to);
        let side = self.side(channel);
        if let Some(it) = side.audio.get_mut(samples.clone()) {
            it.fill(ALAW_SILENCE);
            side.heard &= !units(samples);
        }
    }

    /// Left and right, sample by sample.
    pub(super) fn interleaved(&self) -> impl Iterator<Item = u8> {
        let [left, right] = &*self.sides;
        let both = left.audio.iter().zip(&right.audio).take(self.len);
        both.flat_map(|(left, right)| [*left, *right])
    }

    /// Samples that somebody said, of the left and of the right channel.
    pub(crate) fn heard(&self) -> [u64; 2] {
        let counted = units(0..self.len);
        let [left, right] = &*self.sides;
        [left, right].map(|it| u64::from((it.heard & counted).count_ones()) * UNIT as u64)
    }
}

/// The units whose first sample lies among these.
const fn units(samples: Range<usize>) -> u64 {
    below(samples.end.div_ceil(UNIT)) & !below(samples.start.div_ceil(UNIT))
}

const fn below(unit: usize) -> u64 {
    if unit >= 64 { u64::MAX } else { (1 << unit) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_is_counted_once_wherever_packets_begin() {
        for shift in [0, 1, 39, 77] {
            let mut block = Block::silent();
            block.begin(Slot { index: 0, generation: 0 }, 0);
            // Seven packets of ten; one comes twice.
            for n in [0, 1, 2, 2, 4, 5, 7, 8] {
                let at = n * 160 + shift;
                block.note_heard(Channel::Left, at..at + 160);
            }
            assert_eq!(block.heard(), [7 * 160, 0], "{shift}");
            block.silence(Channel::Left, 0, 480 + shift as u64);
            assert_eq!(block.heard(), [4 * 160, 0], "{shift}");
        }
    }
}
