//! What a party says, decoded and waiting for the next mix.
//!
//! Samples lie at their timestamp, so that loss leaves silence of the right length, and packets of
//! any length can be read 20 ms at a time. The reader keeps a fixed distance to the speaker.

use hotline_dsp::{
    FRAME,
    g711::{alaw_to_linear, ulaw_to_linear},
};
use hotline_rtp::{Header, MediaTime};
use hotline_sdp::Codec;

/// Samples that are held; divides the range of timestamps, so that they index it.
const ROOM: usize = 2_048;

/// The first packet of a stream is read this many samples after it came (20 ms), and by up to a
/// tick later: so much may the ones after it be late.
const DELAY: u32 = 160;

/// A speaker this many samples ahead (160 ms) waits for a reader that stood still: what lies
/// between is left out.
const AHEAD: i32 = 1_280;

/// When more than this (40 ms) waited after each of [`WATCH`] mixes, the speaker has the faster
/// clock or there was a burst: a frame is left out.
const WAITING: i32 = 320;

/// Mixes (1 s).
const WATCH: u8 = 50;

/// So many packets one after the other that came too late set the reader's place anew.
const LATE_MAX: u8 = 3;

#[derive(Debug)]
pub(crate) struct Tap {
    samples: Box<[i16; ROOM]>,
    /// Whose samples these are, and the next one to be read.
    clock: Option<(u32, MediaTime)>,
    /// One after the last sample that came.
    end: MediaTime,
    late: u8,
    /// Mixes that are watched, and how much waited at least.
    watched: u8,
    waiting: i32,
    frame: [i16; FRAME],
    /// The mix that `frame` belongs to.
    turn: u64,
    /// Mixes that read it.
    pub(crate) n_mixes: usize,
}

impl Tap {
    pub(crate) fn new() -> Self {
        Self {
            samples: Box::new([0; ROOM]),
            clock: None,
            end: MediaTime(0),
            late: 0,
            watched: 0,
            waiting: i32::MAX,
            frame: [0; FRAME],
            turn: 0,
            n_mixes: 0,
        }
    }

    pub(crate) fn write(&mut self, header: &Header, codec: Codec, audio: &[u8]) {
        let clock = self.clock.filter(|it| it.0 == header.ssrc);
        let first = match clock {
            Some((_, at)) if self.fits(header, at, audio.len()) => at,
            Some(_) | None => {
                self.samples.fill(0);
                let at = MediaTime(header.timestamp.0.wrapping_sub(DELAY));
                self.clock = Some((header.ssrc, at));
                self.end = at;
                at
            }
        };
        let decode = match codec {
            Codec::Pcma => alaw_to_linear,
            Codec::Pcmu => ulaw_to_linear,
        };
        let mut at = header.timestamp;
        for byte in audio {
            if at.since(first) >= 0
                && let Some(sample) = self.samples.get_mut(at.0 as usize % ROOM)
            {
                *sample = decode(*byte);
            }
            at = at + 1;
        }
        if at.since(self.end) > 0 {
            self.end = at;
        }
    }

    /// Whether a packet lies where the reader will come by. One that came too late does, too, in
    /// that nothing of it is kept.
    fn fits(&mut self, header: &Header, at: MediaTime, len: usize) -> bool {
        let begins = header.timestamp.since(at);
        let ends = begins.saturating_add(i32::try_from(len).unwrap_or(i32::MAX));
        if ends > 0 {
            self.late = 0;
            return ends <= AHEAD;
        }
        self.late += 1;
        self.late < LATE_MAX
    }

    /// The 20 ms of this mix, whoever asks how often.
    pub(crate) fn frame(&mut self, turn: u64) -> &[i16; FRAME] {
        if self.turn != turn {
            self.turn = turn;
            self.advance();
            if self.is_slow() {
                self.advance();
            }
        }
        &self.frame
    }

    /// Whether what waits has been too much for a while.
    fn is_slow(&mut self) -> bool {
        let Some((_, at)) = self.clock else { return false };
        self.waiting = self.waiting.min(self.end.since(at));
        self.watched += 1;
        if self.watched < WATCH {
            return false;
        }
        self.watched = 0;
        std::mem::replace(&mut self.waiting, i32::MAX) > WAITING
    }

    fn advance(&mut self) {
        let Some((_, at)) = &mut self.clock else { return };
        for to in &mut self.frame {
            if let Some(sample) = self.samples.get_mut(at.0 as usize % ROOM) {
                *to = std::mem::take(sample);
            }
            *at = *at + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use hotline_dsp::g711::linear_to_alaw;

    use super::*;

    /// Packets of one value each, `(before which mix, ssrc, timestamp, value)`; lists the values
    /// of the first sample of each mix.
    fn check(said: &[(u64, u32, u32, i16)], expected: &[i16]) {
        let mut tap = Tap::new();
        let mut heard = Vec::new();
        for turn in 1..=expected.len() as u64 {
            for (_, ssrc, timestamp, value) in said.iter().filter(|it| it.0 == turn) {
                let header = Header {
                    marker: false,
                    payload_type: 8,
                    sequence: 0,
                    timestamp: MediaTime(*timestamp),
                    ssrc: *ssrc,
                };
                tap.write(&header, Codec::Pcma, &[linear_to_alaw(*value); 160]);
            }
            let first = tap.frame(turn)[0];
            assert_eq!(tap.frame(turn)[0], first, "a second reader hears the same");
            heard.push((first + 50) / 100);
        }
        assert_eq!(heard, expected);
    }

    #[test]
    fn a_packet_is_read_once_20_ms_after_it_came() {
        check(&[(1, 7, 0, 900), (2, 7, 160, 500)], &[0, 9, 5, 0, 0]);
    }

    #[test]
    fn jitter_and_reorder_within_a_frame_are_not_heard() {
        check(&[(1, 7, 0, 900), (3, 7, 320, 300), (3, 7, 160, 500)], &[0, 9, 5, 3, 0]);
        check(&[(1, 7, 0, 900), (2, 7, 320, 300), (2, 7, 160, 500)], &[0, 9, 5, 3, 0]);
    }

    #[test]
    fn loss_is_silence_of_its_length_also_where_timestamps_wrap() {
        let first = u32::MAX - 99;
        let said = [(1, 7, first, 900), (3, 7, first.wrapping_add(320), 300)];
        check(&said, &[0, 9, 0, 3, 0]);
    }

    #[test]
    fn another_source_begins_anew() {
        check(&[(1, 7, 0, 900), (2, 8, 77_000, 500)], &[0, 0, 5, 0]);
    }

    #[test]
    fn after_a_burst_the_speaker_is_heard_as_early_as_before() {
        // Half a second comes at once, and then a packet before each mix.
        let burst = (0..25).map(|n| (1, n * 160));
        let said: Vec<_> = burst.chain((2..400).map(|n| (n, (23 + n) * 160))).collect();
        let mut tap = Tap::new();
        let mut late = 0;
        for turn in 1..=400 {
            for (_, timestamp) in said.iter().filter(|it| it.0 == turn) {
                let timestamp = MediaTime(*timestamp);
                let header =
                    Header { marker: false, payload_type: 8, sequence: 0, timestamp, ssrc: 7 };
                tap.write(&header, Codec::Pcma, &[0x2A; 160]);
            }
            tap.frame(turn.into());
            late = tap.end.since(tap.clock.unwrap().1);
            assert!(late <= AHEAD);
        }
        assert!((0..=WAITING).contains(&late), "{late} samples wait");
    }

    #[test]
    fn a_speaker_whose_clock_falls_behind_is_heard_again() {
        let mut said = vec![(1, 7, 4_800, 900)];
        said.extend((0..4).map(|n| (4 + u64::from(n), 7, n * 160, 500)));
        check(&said, &[0, 9, 0, 0, 0, 0, 5, 5]);
    }
}
