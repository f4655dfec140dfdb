//! What one listener hears of one speaker: packets of any length in, frames of 20 ms out, a little
//! shorter or longer where the speaker's clock asks for it.

#[cfg(test)]
mod tests;

use crate::{
    Concealer, FRAME, Noise,
    level::energy,
    resample::{AFTER, BEFORE, resample},
};

/// Samples that can wait: a packet of 60 ms behind a started frame, twice.
const WAITING: usize = 1_280;

/// By how many samples a frame of speech is shortened or lengthened: 0.6 %, a tenth of a semitone,
/// is not heard.
const SPEECH_BEND: i32 = 1;

/// The same where nobody talks.
const QUIET_BEND: i32 = 40;

/// The longest piece that a frame is made of, with what stands around it.
const PIECE: usize = BEFORE + FRAME + 40 + AFTER;

/// Samples in a cache line.
const LINE: usize = 32;

/// A frame below −45 dBm0 is quiet: mean square of 130.
const QUIET_ENERGY: i64 = 130 * 130 * 160;

/// Turns decoded packets, losses and pauses into an even stream.
#[derive(Clone, Debug)]
pub struct Playback {
    waiting: [i16; WAITING],
    n: usize,
    /// What was heard last, for whatever joins it.
    before: [i16; BEFORE],
    concealer: Concealer,
    noise: Noise,
}

impl Default for Playback {
    fn default() -> Self {
        Self {
            waiting: [0; WAITING],
            n: 0,
            before: [0; BEFORE],
            concealer: Concealer::default(),
            noise: Noise::default(),
        }
    }
}

impl Playback {
    /// Samples that wait.
    pub const fn pending(&self) -> usize {
        self.n
    }

    /// Whether a frame of speech can be taken, bent or not.
    pub const fn is_ready(&self) -> bool {
        self.n > FRAME + AFTER
    }

    /// Reads from each cache line that the next frame needs, so that those of many listeners are
    /// fetched side by side. What it returns means nothing.
    pub fn touch(&self) -> i16 {
        let waiting = self.waiting.iter().take(self.n + FRAME).step_by(LINE);
        let remembered = self.before.iter().chain(self.concealer.remembered()).step_by(LINE);
        waiting.chain(remembered).fold(0, |sum, it| sum ^ it)
    }

    /// A decoded packet. What does not fit is cut off.
    pub fn hear(&mut self, decoded: &[i16]) {
        let Some(room) = room(&mut self.waiting, &mut self.n, decoded.len()) else { return };
        for (to, from) in room.iter_mut().zip(decoded) {
            *to = *from;
        }
        self.concealer.hear(room);
    }

    /// Something was lost.
    pub fn conceal(&mut self, samples: usize) {
        if let Some(room) = room(&mut self.waiting, &mut self.n, samples) {
            self.concealer.conceal(room);
        }
    }

    /// The speaker pauses: noise of `level` −dBov, or silence.
    pub fn pause(&mut self, samples: usize, level: Option<u8>) {
        let Some(room) = room(&mut self.waiting, &mut self.n, samples) else { return };
        match level {
            Some(level) => self.noise.fill(level, room),
            None => room.fill(0),
        }
        self.concealer.hear(room);
    }

    /// The next 20 ms. `excess` samples too many (or too few, below zero) wait in all: as many of
    /// them are worked off in this frame as are not heard.
    pub fn frame(&mut self, excess: i32) -> [i16; FRAME] {
        let mut frame = [0; FRAME];
        let loud = || energy(self.waiting.get(..FRAME).unwrap_or_default()) > QUIET_ENERGY;
        // Mostly there is nothing to bend.
        let bend = if excess == 0 || loud() { SPEECH_BEND } else { QUIET_BEND };
        let bend = isize::try_from(excess.clamp(-bend, bend)).unwrap_or(0);
        let taken = FRAME.saturating_add_signed(bend).min(self.n);
        self.bend(taken, &mut frame);
        self.remember(taken);
        self.waiting.copy_within(taken..self.n, 0);
        self.n -= taken;
        frame
    }

    /// Makes a frame of the first `taken` samples.
    fn bend(&self, taken: usize, frame: &mut [i16; FRAME]) {
        if let Some(same) = self.waiting.first_chunk().filter(|_| taken == FRAME) {
            *frame = *same;
            return;
        }
        if taken == 0 {
            return;
        }
        let known = self.n.min(taken + AFTER);
        let from = self.before.iter().chain(self.waiting.get(..known).unwrap_or_default());
        let mut piece = [0; PIECE];
        for (to, from) in piece.iter_mut().zip(from) {
            *to = *from;
        }
        resample(&piece, taken, frame);
    }

    fn remember(&mut self, taken: usize) {
        let last = self.waiting.get(taken.saturating_sub(BEFORE)..taken).unwrap_or_default();
        self.before.copy_within(last.len().., 0);
        if let Some(end) = self.before.get_mut(BEFORE - last.len()..) {
            end.copy_from_slice(last);
        }
    }
}

/// Room for `samples` more behind the `n` that wait, as far as there is any.
fn room<'a>(
    waiting: &'a mut [i16; WAITING],
    n: &mut usize,
    samples: usize,
) -> Option<&'a mut [i16]> {
    let begin = *n;
    *n = (begin + samples).min(WAITING);
    waiting.get_mut(begin..*n)
}
