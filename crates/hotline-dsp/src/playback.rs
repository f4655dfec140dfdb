//! What one listener hears of one speaker: packets of any length in, frames of 20 ms out, a little
//! shorter or longer where the speaker's clock asks for it.

#[cfg(test)]
mod tests;

use crate::{Concealer, FRAME, Noise, level::energy};

/// Samples that can wait: a packet of 60 ms behind a started frame, twice.
const WAITING: usize = 1_280;

/// By how many samples a frame of speech is shortened or lengthened: 0.6 %, a tenth of a semitone,
/// is not heard.
const SPEECH_BEND: i32 = 1;

/// The same where nobody talks.
const QUIET_BEND: i32 = 40;

/// A frame below −45 dBm0 is quiet: mean square of 130.
const QUIET_ENERGY: i64 = 130 * 130 * 160;

/// Turns decoded packets, losses and pauses into an even stream.
#[derive(Clone, Debug)]
pub struct Playback {
    waiting: [i16; WAITING],
    n: usize,
    concealer: Concealer,
    noise: Noise,
}

impl Default for Playback {
    fn default() -> Self {
        Self {
            waiting: [0; WAITING],
            n: 0,
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

    /// Whether a frame of any length can be taken.
    pub const fn is_ready(&self) -> bool {
        self.n > FRAME
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
        let loud = energy(self.waiting.get(..FRAME).unwrap_or_default()) > QUIET_ENERGY;
        let bend = if loud { SPEECH_BEND } else { QUIET_BEND };
        let bend = isize::try_from(excess.clamp(-bend, bend)).unwrap_or(0);
        let taken = FRAME.saturating_add_signed(bend).min(self.n);
        let from = self.waiting.get(..taken).unwrap_or_default();
        resample(from, &mut frame);
        self.waiting.copy_within(taken..self.n, 0);
        self.n -= taken;
        frame
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

/// Spreads `from` over `to` by linear interpolation; a plain copy when they are equally long.
fn resample(from: &[i16], to: &mut [i16]) {
    if from.len() == to.len() {
        to.copy_from_slice(from);
        return;
    }
    let (Some(last), n) = (from.len().checked_sub(1), to.len().max(1)) else { return };
    for (at, to) in to.iter_mut().enumerate() {
        // In 1/256 of a sample; the first and the last stay where they are.
        let place = at * last * 256 / (n - 1).max(1);
        let (whole, part) = (place / 256, place % 256);
        let a = i32::from(from.get(whole).copied().unwrap_or(0));
        let b = i32::from(from.get((whole + 1).min(last)).copied().unwrap_or(0));
        let part = i32::try_from(part).unwrap_or(0);
        *to = i16::try_from(a + (b - a) * part / 256).unwrap_or(0);
    }
}
