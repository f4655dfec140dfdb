//! What a party says in a codec that a tape cannot hold, decoded for its tapes.
//!
//! A-law goes to a tape as it comes. Opus and G.722 are decoded on the tick, behind the jitter
//! buffer, with losses concealed; so what is recorded is what was played to the others.

use std::time::Duration;

use hotline_base::MonoTime;
use hotline_dsp::FRAME;
use hotline_rtp::{Header, MediaTime, SAMPLES_PER_MS, samples_in};

/// Samples by which the place of a frame may be off before it is set anew in the middle of speech.
const OFF_MAX: i64 = 160;

/// Samples by which the place of a frame of speech moves at most: as many as playback bends a frame
/// by, so that nothing is cut and nothing left out.
const SLEW: i64 = 1;

const SAMPLE_MICROS: u64 = 125;

/// The stream that the tapes of one party see.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dictation {
    /// The number of the next frame, and the sample since [`MonoTime::default`] that it is due at.
    next: Option<(u16, u64)>,
    /// Packets of his that were not heard, as of the last frame.
    missing: u64,
}

impl Dictation {
    /// The header of the next 20 ms, which were spoken `delay_ms` before `due`, and its time. While
    /// the party is `talking` frames follow each other; where they shall be is crept up to,
    /// unheard.
    ///
    /// So many packets of his were `missing` so far. Where nothing could be made up for them any
    /// more the numbers of frames leap with the place, for the tape to tell what was lost.
    ///
    /// Timestamp and time are one, so that a tape sees a clock that runs like its own: it must not
    /// follow what is followed here, or both would tear at what is said.
    pub(crate) fn header(
        &mut self,
        due: MonoTime,
        delay_ms: u64,
        (talking, missing): (bool, u64),
    ) -> Option<(Header, MonoTime)> {
        let epoch = MonoTime::default();
        let spoken =
            samples_in(due.since(epoch)).checked_sub(delay_ms * u64::from(SAMPLES_PER_MS))?;
        let missed = missing.saturating_sub(std::mem::replace(&mut self.missing, missing));
        let (sequence, at) = match self.next {
            Some((sequence, next)) => {
                let off = spoken.cast_signed() - next.cast_signed();
                let is_crept_up_to = talking && off.abs() <= OFF_MAX;
                let step = if is_crept_up_to { off.clamp(-SLEW, SLEW) } else { off };
                let missed = if off > OFF_MAX { u16::try_from(missed).unwrap_or(0) } else { 0 };
                (sequence.wrapping_add(missed), next.saturating_add_signed(step))
            }
            None => (0, spoken),
        };
        self.next = Some((sequence.wrapping_add(1), at + FRAME as u64));
        let timestamp = MediaTime(wrapped(at));
        let header = Header { marker: false, payload_type: 8, sequence, timestamp, ssrc: 1 };
        Some((header, epoch + Duration::from_micros(at * SAMPLE_MICROS)))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a timestamp wraps around")]
const fn wrapped(samples: u64) -> u32 {
    samples as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_creeps_to_where_it_belongs_and_a_pause_leaps() {
        let mut it = Dictation::default();
        let mut at = |frame: u64, delay, talking| {
            let due = MonoTime::default() + Duration::from_millis(1_000 + frame * 20);
            let (header, spoken) = it.header(due, delay, (talking, 0)).unwrap();
            let samples = samples_in(spoken.since(MonoTime::default()));
            assert_eq!(samples, u64::from(header.timestamp.0), "a clock like the tape's own");
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
