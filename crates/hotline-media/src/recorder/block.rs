//! What goes from the worker to the recorder and back again.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::atomic::{Ordering::SeqCst, compiler_fence},
};

use hotline_base::{RecordingId, media::Channel};
use hotline_dsp::g711::ALAW_SILENCE;

use crate::task::Slot;

/// Samples of a block (200 ms).
pub(crate) const BLOCK: usize = 1_600;

/// Samples of a unit that was heard or was not (5 ms).
const UNIT: usize = 40;

/// The form of a [`Page`], a part of its key.
const FORM: u64 = 2;

/// 200 ms of both sides, in A-law. A pointer, so that a tape's blocks are in one cache line.
#[derive(Debug)]
pub(crate) struct Block(&'static mut Page);

/// What a channel lacks, in samples of the tape, of which 32 bits count six days: from the first to
/// before the second. It may have begun before the block that tells of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Missing {
    pub(crate) lost: Option<(u32, u32)>,
    /// What was said in a codec that cannot be written.
    pub(super) unwritten: Option<(u32, u32)>,
}

/// A block as it lies in memory that outlives the process. It may be killed at any instruction, so
/// `key` is written last. What each packet needs of its head is in the first cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Page {
    /// Whose it is, by [`key_of`]; 0: nobody's.
    key: u64,
    /// Its first sample's place in the recording.
    start: u64,
    /// By channel, a bit for each unit whose first sample somebody said.
    heard: [u64; 2],
    /// What this process alone reads: whose it is, samples that count, and what is not there, by
    /// channel.
    tape: Slot,
    len: u32,
    missing: [Stretches; 2],
    _rest_of_line: [u64; 6],
    audio: [[u8; BLOCK]; 2],
}

const _: () = assert!(size_of::<Page>() == 128 + 2 * BLOCK, "two cache lines, and audio");

/// A [`Missing`] as it lies in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Stretches {
    lost: Stretch,
    unwritten: Stretch,
}

/// From the first sample to before the second; none when that is 0.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Stretch {
    from: u32,
    to: u32,
}

impl Stretches {
    const NONE: Self = Self { lost: Stretch::NONE, unwritten: Stretch::NONE };
}

impl Stretch {
    const NONE: Self = Self { from: 0, to: 0 };

    fn get(self) -> Option<(u32, u32)> {
        (self.to > 0).then_some((self.from, self.to))
    }
}

/// What names a recording in memory.
pub(crate) fn key_of(recording: &RecordingId) -> u64 {
    let mut hasher = DefaultHasher::new();
    (FORM, recording.as_str()).hash(&mut hasher);
    hasher.finish().max(1)
}

impl Page {
    const EMPTY: Self = Self {
        key: 0,
        start: 0,
        heard: [0; 2],
        tape: Slot { index: 0, generation: 0, worker: 0 },
        len: 0,
        missing: [Stretches::NONE; 2],
        _rest_of_line: [0; 6],
        audio: [[0; BLOCK]; 2],
    };

    /// As another process left it.
    pub(super) fn from_bytes(bytes: &[u8; size_of::<Self>()]) -> Self {
        let word = |at: usize| {
            let word = bytes.get(at..).and_then(|it| it.first_chunk());
            word.map_or(0, |it| u64::from_ne_bytes(*it))
        };
        let side = |at: usize| {
            let side = bytes.get(at..).and_then(|it| it.first_chunk());
            side.copied().unwrap_or([ALAW_SILENCE; BLOCK])
        };
        let audio = std::mem::offset_of!(Self, audio);
        Self {
            key: word(std::mem::offset_of!(Self, key)),
            start: word(std::mem::offset_of!(Self, start)),
            heard: [0, 8].map(|it| word(std::mem::offset_of!(Self, heard) + it)),
            audio: [0, BLOCK].map(|it| side(audio + it)),
            ..Self::EMPTY
        }
    }

    pub(super) const fn key(&self) -> u64 {
        self.key
    }

    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// Samples up to the end of the last word in it.
    pub(super) fn said(&self) -> usize {
        let [left, right] = self.heard;
        let units = 64 - (left | right).leading_zeros() as usize;
        (units * UNIT).min(BLOCK)
    }

    /// Left and right, sample by sample.
    pub(super) fn interleaved(&self) -> [[u8; 2]; BLOCK] {
        let [left, right] = &self.audio;
        let mut both = [[0; 2]; BLOCK];
        for ((both, left), right) in both.iter_mut().zip(left).zip(right) {
            *both = [*left, *right];
        }
        both
    }
}

impl Block {
    /// Nothing of it is read or written before it [begins](Self::begin).
    pub(super) const fn new(page: &'static mut Page) -> Self {
        Self(page)
    }

    /// One that lies nowhere else.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self::new(Box::leak(Box::new(Page::EMPTY)))
    }

    /// Makes it a silent block of `tape` that starts at this sample of the recording with this key.
    pub(crate) fn begin(&mut self, tape: Slot, key: u64, start: u64) {
        let Self(page) = self;
        // What one recording held never becomes another's.
        page.key = 0;
        compiler_fence(SeqCst);
        (page.start, page.tape) = (start, tape);
        (page.heard, page.missing) = ([0; 2], [Stretches::NONE; 2]);
        for side in &mut page.audio {
            side.fill(ALAW_SILENCE);
        }
        self.cut(BLOCK);
        compiler_fence(SeqCst);
        self.0.key = key;
    }

    /// Only so many samples of it count.
    pub(crate) fn cut(&mut self, len: usize) {
        self.0.len = u32::try_from(len.min(BLOCK)).unwrap_or(0);
    }

    /// Samples that count.
    pub(crate) const fn len(&self) -> usize {
        self.0.len as usize
    }

    pub(super) const fn tape(&self) -> Slot {
        self.0.tape
    }

    /// Reads its head, and a channel from this sample to the end of a packet of 20 ms.
    pub(crate) fn touch(&self, channel: Channel, within: usize) -> u64 {
        let [left, right] = &self.0.audio;
        let side = match channel {
            Channel::Left => left,
            Channel::Right => right,
        };
        let lines = [0, 64, 128, 159].into_iter().filter_map(|it| side.get(within + it));
        lines.fold(self.0.start, |sum, it| sum ^ u64::from(*it))
    }

    /// The sample of the tape after its last.
    pub(super) fn end(&self) -> u64 {
        self.0.start + u64::from(self.0.len)
    }

    pub(crate) const fn start(&self) -> u64 {
        self.0.start
    }

    pub(crate) fn channel(&mut self, channel: Channel) -> &mut [u8] {
        of::<[u8; BLOCK]>(&mut self.0.audio, channel)
    }

    /// Somebody said these samples of a channel.
    pub(crate) const fn note_heard(&mut self, channel: Channel, samples: Range<usize>) {
        *of(&mut self.0.heard, channel) |= units(samples);
    }

    /// Packets with these samples of a channel did not arrive. A block tells of one such stretch.
    pub(crate) fn note_lost(&mut self, channel: Channel, from: u64, to: u64) {
        let it = &mut of(&mut self.0.missing, channel).lost;
        let (from, to) = it.get().unwrap_or((short(from), short(to)));
        *it = Stretch { from, to };
    }

    /// These samples of a channel were said, and cannot be written.
    pub(crate) fn note_unwritten(&mut self, channel: Channel, from: u64, to: u64) {
        let it = &mut of(&mut self.0.missing, channel).unwritten;
        let (from, to) = (short(from), short(to));
        let (first, last) = it.get().unwrap_or((from, to));
        *it = Stretch { from: first.min(from), to: last.max(to) };
    }

    /// What is not there, of the left and of the right channel.
    pub(crate) fn missing(&self) -> [Missing; 2] {
        self.0.missing.map(|it| Missing { lost: it.lost.get(), unwritten: it.unwritten.get() })
    }

    /// Takes out of a channel what lies in these samples of the tape.
    pub(crate) fn silence(&mut self, channel: Channel, from: u64, to: u64) {
        let within = |at: u64| {
            let at = at.saturating_sub(self.start());
            usize::try_from(at).map_or(BLOCK, |it| it.min(BLOCK))
        };
        let samples = within(from)..within(to);
        if let Some(it) = self.channel(channel).get_mut(samples.clone()) {
            it.fill(ALAW_SILENCE);
            *of(&mut self.0.heard, channel) &= !units(samples);
        }
    }

    /// Left and right, sample by sample; those beyond `len` do not count.
    pub(super) fn interleaved(&self) -> [[u8; 2]; BLOCK] {
        self.0.interleaved()
    }

    /// Samples that somebody said, of the left and of the right channel.
    pub(crate) fn heard(&self) -> [u64; 2] {
        let counted = units(0..self.len());
        self.0.heard.map(|it| u64::from((it & counted).count_ones()) * UNIT as u64)
    }
}

const fn of<T>(sides: &mut [T; 2], channel: Channel) -> &mut T {
    let [left, right] = sides;
    match channel {
        Channel::Left => left,
        Channel::Right => right,
    }
}

fn short(sample: u64) -> u32 {
    u32::try_from(sample).unwrap_or(u32::MAX)
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
            block.begin(Slot { index: 0, generation: 0, worker: 0 }, 1, 0);
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
