//! What a party says in a codec that a tape cannot hold, decoded for its tapes.
//!
//! A-law goes to a tape as it comes. Opus and G.722 are decoded on the tick, behind the jitter
//! buffer, with losses concealed; so what is recorded is what was played to the others.

use hotline_base::MonoTime;
use hotline_dsp::FRAME;
use hotline_rtp::{Header, MediaTime, samples_in};

/// Samples by which the place of a frame may be off before it is set anew in the middle of speech.
const OFF_MAX: i32 = 160;

/// Samples by which the place of a frame of speech moves at most: as many as playback bends a frame
/// by, so that nothing is cut and nothing left out.
const SLEW: i32 = 1;

/// The stream that the tapes of one party see.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dictation {
    next: Option<(u16, MediaTime)>,
}

impl Dictation {
    /// The header of the next 20 ms, which were spoken `delay_ms` before `due`. While the party is
    /// `talking` frames follow each other; where they shall be is crept up to, unheard.
    pub(crate) fn header(&mut self, due: MonoTime, delay_ms: i64, talking: bool) -> Header {
        let now = wrapped(samples_in(due.since(MonoTime::default())));
        let spoken = MediaTime(now.wrapping_sub(u32::try_from(delay_ms * 8).unwrap_or(0)));
        let (sequence, timestamp) = match self.next {
            Some((sequence, next)) if talking && spoken.since(next).abs() <= OFF_MAX => {
                let step = spoken.since(next).clamp(-SLEW, SLEW);
                (sequence, MediaTime(next.0.wrapping_add_signed(step)))
            }
            Some((sequence, _)) => (sequence, spoken),
            None => (0, spoken),
        };
        self.next = Some((sequence.wrapping_add(1), timestamp + wrapped(FRAME as u64)));
        Header { marker: false, payload_type: 8, sequence, timestamp, ssrc: 1 }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a timestamp wraps around")]
const fn wrapped(samples: u64) -> u32 {
    samples as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn speech_creeps_to_where_it_belongs_and_a_pause_leaps() {
        let mut it = Dictation::default();
        let mut at = |frame: u64, delay, talking| {
            let due = MonoTime::default() + Duration::from_millis(1_000 + frame * 20);
            let header = it.header(due, delay, talking);
            (header.sequence, header.timestamp.0 - 7_680)
        };
        assert_eq!(at(0, 40, true), (0, 0));
        assert_eq!(at(1, 40, true), (1, 160));
        assert_eq!(at(2, 55, true), (2, 319));
        assert_eq!(at(3, 55, true), (3, 478));
        assert_eq!(at(4, 55, false), (4, 520));
        assert_eq!(at(5, 100, true), (5, 320), "45 ms more behind");
    }
}
