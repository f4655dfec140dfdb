//! Concealment of what the network lost: the last period of the voice once more, fading away.

/// The periods of human voices that are looked for: 66 Hz to 400 Hz (G.711 Appendix I §2.2).
const PERIOD_MIN: usize = 20;
const PERIOD_MAX: usize = 120;

/// Samples that are compared: 20 ms.
const WINDOW: usize = 160;

/// Samples that a period is looked for in.
pub(crate) const HISTORY: usize = WINDOW + PERIOD_MAX;

/// It begins to fade after 10 ms and is gone after 60 (G.711 Appendix I §2.7).
const FADE_BEGINS: usize = 80;
const FADE_ENDS: usize = 480;

/// Samples over which what comes back takes over: 4 ms.
const OVERLAP: usize = 32;

/// Hides losses of one listener's stream. What every packet needs comes last, before what it needs
/// of a [`Playback`](crate::Playback).
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Concealer {
    /// The last period before a loss, which goes round and round.
    period: [i16; PERIOD_MAX],
    len: usize,
    /// Samples concealed so far, while something is.
    loss: Option<usize>,
}

impl Default for Concealer {
    fn default() -> Self {
        Self { loss: None, period: [0; PERIOD_MAX], len: PERIOD_MAX }
    }
}

impl Concealer {
    /// Samples came again: their beginning is blended with what was made up.
    pub(crate) fn join(&mut self, samples: &mut [i16]) {
        let Some(lost) = self.loss.take() else { return };
        for ((n, it), at) in (1_i32..).zip(samples.iter_mut().take(OVERLAP)).zip(lost..) {
            let made_up = i32::from(self.made_up(at));
            let mixed = (i32::from(*it) * n + made_up * (OVERLAP_I32 - n)) / OVERLAP_I32;
            *it = i16::try_from(mixed).unwrap_or(*it);
        }
    }

    /// Fills with what may have been said after what was `heard`.
    pub(crate) fn conceal(&mut self, heard: &[i16; HISTORY], samples: &mut [i16]) {
        if self.loss.is_none() {
            self.len = find_period(heard);
            let last = heard.get(HISTORY - self.len..).unwrap_or_default();
            for (to, from) in self.period.iter_mut().zip(last) {
                *to = *from;
            }
        }
        let lost = self.loss.unwrap_or(0);
        self.loss = Some(lost + samples.len());
        for (it, at) in samples.iter_mut().zip(lost..) {
            *it = self.made_up(at);
        }
    }

    fn made_up(&self, at: usize) -> i16 {
        let sample = i32::from(self.period.get(at % self.len).copied().unwrap_or(0));
        let left = FADE_ENDS.saturating_sub(at).min(FADE_ENDS - FADE_BEGINS);
        let faded = sample * i32::try_from(left).unwrap_or(0) / FADE_SAMPLES;
        i16::try_from(faded).unwrap_or(0)
    }
}

/// The distance at which the last 20 ms are most like themselves, by the normalised correlation;
/// every second sample tells enough.
fn find_period(heard: &[i16; HISTORY]) -> usize {
    let now = heard.get(HISTORY - WINDOW..).unwrap_or_default();
    let mut best = (f32::MIN, PERIOD_MAX);
    for period in PERIOD_MIN..=PERIOD_MAX {
        let then = heard.get(HISTORY - WINDOW - period..).unwrap_or_default();
        let (mut product, mut power) = (0.0_f32, 1.0_f32);
        for (a, b) in now.iter().zip(then).step_by(2) {
            let (a, b) = (f32::from(*a), f32::from(*b));
            product += a * b;
            power += b * b;
        }
        let likeness = product / power.sqrt();
        if likeness > best.0 {
            best = (likeness, period);
        }
    }
    best.1
}

const OVERLAP_I32: i32 = 32;
const FADE_SAMPLES: i32 = 400;

#[cfg(test)]
mod tests {
    use crate::{FRAME, Playback, Tone, level_dbm0, strength};

    /// 200 ms of a voice-like sound, and what a listener hears when `lost` frames are missing.
    fn heard(lost: std::ops::Range<usize>) -> Vec<[i16; FRAME]> {
        let (mut low, mut high) = (Tone::new(200, 6_000), Tone::new(800, 2_000));
        let mut playback = Playback::default();
        let frames = (0..10).map(|n| {
            let mut frame = [0; FRAME];
            frame.fill_with(|| low.next_sample() + high.next_sample());
            if lost.contains(&n) {
                playback.conceal(FRAME);
            } else {
                playback.hear(&frame);
            }
            *playback.frame(0)
        });
        frames.collect()
    }

    fn largest_step(frames: &[[i16; FRAME]]) -> i32 {
        let all: Vec<_> = frames.concat().into_iter().map(i32::from).collect();
        all.windows(2).map(|it| (it[1] - it[0]).abs()).max().unwrap()
    }

    #[test]
    fn one_lost_packet_of_a_vowel_is_not_heard_as_a_gap_or_a_click() {
        let frames = heard(5..6);
        assert!(strength(&frames[5], 200) > 0.75);
        assert!(level_dbm0(&frames[5]) > level_dbm0(&frames[4]) - 3.0);
        assert!(largest_step(&frames) <= largest_step(&heard(0..0)) * 3 / 2);
    }

    #[test]
    fn a_long_loss_fades_to_silence_instead_of_a_buzz() {
        let frames = heard(3..8);
        assert!(level_dbm0(&frames[4]) < level_dbm0(&frames[3]));
        assert_eq!(frames[6], [0; FRAME], "60 ms later");
        assert!(largest_step(&frames) <= largest_step(&heard(0..0)) * 3 / 2);
    }

    #[test]
    fn a_loss_before_anything_was_heard_is_silence() {
        assert_eq!(heard(0..1)[0], [0; FRAME]);
    }
}
