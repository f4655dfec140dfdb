//! What one listener hears of one speaker: packets of any length in, frames of 20 ms out, a little
//! shorter or longer where the speaker's clock asks for it.

#[cfg(test)]
mod tests;

use crate::{
    FRAME, Noise,
    conceal::{Concealer, HISTORY},
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

/// Samples that are kept: those that wait, those before them, and some more, so that it is not
/// for each frame that they are moved to the front again.
const KEPT: usize = HISTORY + WAITING + 40;

/// Turns decoded packets, losses and pauses into an even stream.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Playback {
    concealer: Concealer,
    is_bent: bool,
    strip: Strip,
    /// The last frame, if it was bent; else it is what was heard last.
    bent: [i16; FRAME],
    noise: Noise,
}

/// What was heard, and behind it what waits. A frame lies where it was decoded to: a thousand
/// speakers do not fit into a near cache, and each line that is left alone is one less to wait for.
#[derive(Clone, Debug)]
#[repr(C)]
struct Strip {
    /// Where what waits begins and ends. At least [`HISTORY`] samples are before the end, and a
    /// frame before the beginning.
    begin: usize,
    end: usize,
    samples: [i16; KEPT],
}

impl Default for Playback {
    fn default() -> Self {
        Self {
            strip: Strip { begin: HISTORY, end: HISTORY, samples: [0; KEPT] },
            concealer: Concealer::default(),
            noise: Noise::default(),
            bent: [0; FRAME],
            is_bent: false,
        }
    }
}

impl Playback {
    /// Samples that wait.
    pub const fn pending(&self) -> usize {
        self.strip.end - self.strip.begin
    }

    /// Whether a frame of speech can be taken, bent or not.
    pub const fn is_ready(&self) -> bool {
        self.pending() > FRAME + AFTER
    }

    /// Reads from each cache line that the next frame needs, so that those of many listeners are
    /// fetched side by side. What it returns means nothing.
    pub fn touch(&self) -> i16 {
        let Strip { begin, end, samples } = &self.strip;
        let next = samples.get(*begin..(end + FRAME).min(KEPT)).unwrap_or_default();
        next.iter().step_by(LINE).fold(i16::from(self.is_bent), |sum, it| sum ^ it)
    }

    /// A decoded packet. What does not fit is cut off.
    pub fn hear(&mut self, decoded: &[i16]) {
        let (_, room) = self.strip.room(decoded.len());
        for (to, from) in room.iter_mut().zip(decoded) {
            *to = *from;
        }
        self.concealer.join(room);
    }

    /// Something was lost.
    pub fn conceal(&mut self, samples: usize) {
        let (heard, room) = self.strip.room(samples);
        self.concealer.conceal(heard, room);
    }

    /// The speaker pauses: noise of `level` −dBov, or silence.
    pub fn pause(&mut self, samples: usize, level: Option<u8>) {
        let (_, room) = self.strip.room(samples);
        match level {
            Some(level) => self.noise.fill(level, room),
            None => room.fill(0),
        }
        self.concealer.join(room);
    }

    /// The next 20 ms. `excess` samples too many (or too few, below zero) wait in all: as many of
    /// them are worked off in this frame as are not heard.
    pub fn frame(&mut self, excess: i32) -> &[i16; FRAME] {
        let loud = || energy(self.strip.waiting().get(..FRAME).unwrap_or_default()) > QUIET_ENERGY;
        // Mostly there is nothing to bend.
        let bend = if excess == 0 || loud() { SPEECH_BEND } else { QUIET_BEND };
        let bend = isize::try_from(excess.clamp(-bend, bend)).unwrap_or(0);
        let taken = FRAME.saturating_add_signed(bend).min(self.pending());
        self.is_bent = taken != FRAME;
        if self.is_bent {
            self.bend(taken);
        }
        self.strip.begin += taken;
        self.last()
    }

    /// The last 20 ms; silence before there were any.
    pub fn last(&self) -> &[i16; FRAME] {
        let Strip { begin, samples, .. } = &self.strip;
        let heard = samples.get(..*begin).and_then(|it| it.last_chunk());
        heard.filter(|_| !self.is_bent).unwrap_or(&self.bent)
    }

    /// Makes a frame of the first `taken` samples.
    fn bend(&mut self, taken: usize) {
        self.bent = [0; FRAME];
        if taken == 0 {
            return;
        }
        let Strip { begin, end, samples } = &self.strip;
        let known = samples.get(begin - BEFORE..*end).unwrap_or_default();
        let mut piece = [0; PIECE];
        for (to, from) in piece.iter_mut().zip(known.iter().take(BEFORE + taken + AFTER)) {
            *to = *from;
        }
        resample(&piece, taken, &mut self.bent);
    }
}

impl Strip {
    fn waiting(&self) -> &[i16] {
        self.samples.get(self.begin..self.end).unwrap_or_default()
    }

    /// Room for `n` samples more behind those that wait, as far as there is any; and what was heard
    /// or will be before them.
    fn room(&mut self, n: usize) -> (&[i16; HISTORY], &mut [i16]) {
        let n = n.min(WAITING.saturating_sub(self.end - self.begin));
        if self.end + n > KEPT {
            let from = (self.begin - FRAME).min(self.end - HISTORY);
            self.samples.copy_within(from..self.end, 0);
            (self.begin, self.end) = (self.begin - from, self.end - from);
        }
        let (before, behind) = self.samples.split_at_mut(self.end);
        self.end += n;
        let before = before.last_chunk().unwrap_or(&[0; HISTORY]);
        (before, behind.get_mut(..n).unwrap_or_default())
    }
}
