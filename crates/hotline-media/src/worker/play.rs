//! Prompts in memory, cut into frames.

use hotline_base::PlayId;
use hotline_dsp::{FRAME, g711::ALAW_SILENCE};

use crate::task::Audio;

/// Milliseconds of a frame.
pub(crate) const FRAME_MS: u32 = 20;

/// A play in progress.
#[derive(Debug)]
pub(crate) struct Playing {
    pub(crate) id: PlayId,
    /// A-law.
    parts: Vec<Audio>,
    /// Rounds to go; 0 is for ever.
    times: u32,
    gap_frames: u32,
    stop_on_key: bool,
    grace_ms: u32,
    limit_ms: u32,
    /// Some prompts of the list do not exist.
    pub(crate) incomplete: bool,
    round: u32,
    part: usize,
    at: usize,
    /// Frames of silence to go before the next round.
    gap: u32,
    frames: u32,
}

/// What the next 20 ms of a play are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    Frame,
    Finished,
    /// Its limit of time is reached.
    Limit,
}

impl Playing {
    /// `parts` in the order of `order.prompts`.
    pub(crate) fn new(
        order: &hotline_base::media::Play,
        mut parts: Vec<Audio>,
        incomplete: bool,
    ) -> Self {
        parts.retain(|it| !it.is_empty());
        Self {
            id: order.play,
            parts,
            times: order.times,
            gap_frames: order.gap_ms / FRAME_MS,
            stop_on_key: order.stop_on_key,
            grace_ms: order.grace_ms,
            limit_ms: order.limit_ms,
            incomplete,
            round: 1,
            part: 0,
            at: 0,
            gap: 0,
            frames: 0,
        }
    }

    pub(crate) const fn played_ms(&self) -> u32 {
        self.frames.saturating_mul(FRAME_MS)
    }

    /// Whether a key pressed at this moment ends the play.
    pub(crate) const fn ends_on_key(&self) -> bool {
        self.stop_on_key && self.played_ms() >= self.grace_ms
    }

    /// Writes the next A-law frame. Prompts follow each other without a gap, also within a frame.
    pub(crate) fn next_frame(&mut self, frame: &mut [u8; FRAME]) -> Next {
        if self.limit_ms != 0 && self.played_ms() >= self.limit_ms {
            return Next::Limit;
        }
        if self.is_round_over() {
            if !self.plays_again() {
                return Next::Finished;
            }
            self.begin_round();
            self.gap = self.gap_frames;
        }
        self.frames += 1;
        if self.gap > 0 {
            self.gap -= 1;
            frame.fill(ALAW_SILENCE);
            return Next::Frame;
        }
        let mut space = frame.as_mut_slice();
        while !space.is_empty() {
            if self.is_round_over() {
                if self.gap_frames > 0 || !self.plays_again() {
                    break;
                }
                self.begin_round();
            }
            let n = self.copy(space);
            space = space.get_mut(n..).unwrap_or_default();
        }
        space.fill(ALAW_SILENCE);
        Next::Frame
    }

    /// Copies from the present prompt, as much as it has and fits.
    fn copy(&mut self, to: &mut [u8]) -> usize {
        let rest = self.parts.get(self.part).and_then(|it| it.get(self.at..)).unwrap_or_default();
        let n = rest.len().min(to.len());
        for (to, from) in to.iter_mut().zip(rest) {
            *to = *from;
        }
        self.at += n;
        if n == rest.len() {
            self.part += 1;
            self.at = 0;
        }
        n
    }

    const fn is_round_over(&self) -> bool {
        self.part >= self.parts.len()
    }

    const fn plays_again(&self) -> bool {
        // An empty list would be played for ever in no time.
        !self.parts.is_empty() && (self.times == 0 || self.round < self.times)
    }

    const fn begin_round(&mut self) {
        self.round = self.round.saturating_add(1);
        self.part = 0;
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use hotline_base::{LegId, media::Play};

    use super::*;

    fn order(times: u32, gap_ms: u32, limit_ms: u32) -> Play {
        Play {
            leg: LegId(1),
            play: PlayId(1),
            prompts: Vec::new(),
            times,
            gap_ms,
            stop_on_key: true,
            grace_ms: 40,
            limit_ms,
        }
    }

    /// Plays prompts of these lengths (in samples; the n-th sounds like byte n) and lists the runs
    /// of equal bytes that are heard; silence is byte 0.
    fn check(order: &Play, lengths: &[u8], expected: &[(u8, usize)]) {
        let parts = (1..).zip(lengths).map(|(byte, len)| Audio::from(vec![byte; (*len).into()]));
        let mut it = Playing::new(order, parts.collect(), false);
        let mut runs: Vec<(u8, usize)> = Vec::new();
        let mut frame = [0; FRAME];
        while it.next_frame(&mut frame) == Next::Frame && it.frames < 20 {
            for byte in frame.map(|it| if it == ALAW_SILENCE { 0 } else { it }) {
                match runs.last_mut() {
                    Some(run) if run.0 == byte => run.1 += 1,
                    Some(_) | None => runs.push((byte, 1)),
                }
            }
        }
        assert_eq!(runs, expected);
    }

    #[test]
    fn prompts_follow_each_other_without_a_gap_and_silence_fills_the_last_frame() {
        let expected = [(1, 160), (2, 100), (4, 100), (0, 120)];
        check(&order(1, 0, 0), &[160, 100, 0, 100], &expected);
    }

    #[test]
    fn a_list_is_played_as_often_as_asked_with_silence_between() {
        check(&order(2, 0, 0), &[240], &[(1, 240 * 2)]);
        check(&order(2, 40, 0), &[160], &[(1, 160), (0, 320), (1, 160)]);
        check(&order(2, 20, 0), &[100], &[(1, 100), (0, 60 + 160), (1, 100), (0, 60)]);
    }

    #[test]
    fn music_plays_until_its_limit() {
        check(&order(0, 0, 100), &[160], &[(1, 800)]);
        check(&order(0, 0, 0), &[], &[]);
        check(&order(0, 0, 0), &[0], &[]);
    }

    #[test]
    fn a_key_in_the_grace_time_does_not_end_the_play() {
        let mut it = Playing::new(&order(0, 0, 0), vec![Audio::from(vec![1; 160])], false);
        let mut frame = [0; FRAME];
        let mut ends = Vec::new();
        for _ in 0..3 {
            ends.push(it.ends_on_key());
            it.next_frame(&mut frame);
        }
        assert_eq!(ends, [false, false, true]);
    }
}
