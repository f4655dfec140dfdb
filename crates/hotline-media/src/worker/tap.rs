//! What a party says, decoded and waiting for the next mix: behind a jitter buffer, with losses
//! concealed and its clock followed.

use hotline_base::MonoTime;
use hotline_dsp::{
    FRAME, Playback,
    g711::{alaw_to_linear, ulaw_to_linear},
};
use hotline_rtp::{Format, Header, JitterBuffer, Next};
use hotline_sdp::Codec;

/// Pieces that one frame is put together of; the buffer gives 20 ms at a time, rarely less.
const PIECES_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct Tap {
    jitter: JitterBuffer,
    playback: Playback,
    frame: [i16; FRAME],
    /// The mix that `frame` belongs to.
    turn: u64,
    /// Mixes that read it.
    pub(crate) n_mixes: usize,
}

impl Tap {
    pub(crate) fn new() -> Self {
        Self {
            jitter: JitterBuffer::new(Format::Bytes),
            playback: Playback::default(),
            frame: [0; FRAME],
            turn: 0,
            n_mixes: 0,
        }
    }

    /// Speech. Late and doubled packets are the buffer's to sort out.
    pub(crate) fn write(&mut self, header: &Header, codec: Codec, audio: &[u8], now: MonoTime) {
        // Whatever number the peer has for it.
        let header = Header { payload_type: codec.static_payload_type(), ..*header };
        self.jitter.insert(&header, audio, 0, now);
    }

    /// Comfort noise (RFC 3389).
    pub(crate) fn rest(&mut self, header: &Header, level: &[u8], now: MonoTime) {
        self.jitter.insert(header, level, 0, now);
    }

    /// A packet of a key, so that it is not taken for a loss.
    pub(crate) fn skip(&mut self, header: &Header) {
        self.jitter.insert_other(header);
    }

    /// The 20 ms of this mix, which is due at `at`, whoever asks how often.
    pub(crate) fn frame(&mut self, turn: u64, at: MonoTime) -> &[i16; FRAME] {
        if self.turn != turn {
            self.turn = turn;
            self.advance(at);
        }
        &self.frame
    }

    fn advance(&mut self, at: MonoTime) {
        for _ in 0..PIECES_MAX {
            if self.playback.is_ready() {
                break;
            }
            match self.jitter.next(at, self.playback.pending()) {
                Next::Packet { payload_type, payload } => {
                    let ulaw = payload_type == Codec::Pcmu.static_payload_type();
                    let decode = if ulaw { ulaw_to_linear } else { alaw_to_linear };
                    for part in payload.chunks(FRAME) {
                        let mut decoded = [0; FRAME];
                        for (to, from) in decoded.iter_mut().zip(part) {
                            *to = decode(*from);
                        }
                        self.playback.hear(decoded.get(..part.len()).unwrap_or_default());
                    }
                }
                Next::Lost { samples, next: _ } => self.playback.conceal(samples),
                Next::Pause { samples, level } => self.playback.pause(samples, level),
            }
        }
        self.frame = self.playback.frame(self.jitter.excess(at, self.playback.pending()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hotline_dsp::{Tone, level_dbm0, strength};
    use hotline_rtp::MediaTime;

    use super::*;

    /// Says five seconds of a tone, a packet each 20 ms after what `late_ms` says of it (`None`: it
    /// is lost). Returns what the mixes hear from the second second on.
    fn hear(late_ms: impl Fn(u64) -> Option<u64>) -> Vec<i16> {
        let (mut tap, mut tone) = (Tap::new(), Tone::new(400, 8_000));
        let mut packets = Vec::new();
        for n in 0..250_u64 {
            let mut audio = [0; FRAME];
            tone.fill_alaw(&mut audio);
            if let Some(late) = late_ms(n) {
                packets.push((n * 20 + late, n, audio));
            }
        }
        packets.sort_by_key(|it| it.0);
        let mut packets = packets.into_iter().peekable();
        let mut heard = Vec::new();
        for turn in 1..250 {
            let at = MonoTime::default() + Duration::from_millis(turn * 20 + 5);
            while let Some((ms, n, audio)) = packets.next_if(|it| it.0 <= turn * 20 + 5) {
                let now = MonoTime::default() + Duration::from_millis(ms);
                let sequence = u16::try_from(n).unwrap();
                let timestamp = MediaTime(u32::from(sequence).wrapping_mul(160));
                let header =
                    Header { marker: n == 0, payload_type: 99, sequence, timestamp, ssrc: 7 };
                tap.write(&header, Codec::Pcma, &audio, now);
            }
            let frame = *tap.frame(turn, at);
            assert_eq!(*tap.frame(turn, at), frame, "a second reader hears the same");
            heard.extend(frame);
        }
        heard.split_off(8_000)
    }

    /// Frames in which the tone is not heard.
    fn holes(heard: &[i16]) -> usize {
        heard.chunks(FRAME).filter(|it| strength(it, 400) < 0.8).count()
    }

    #[test]
    fn speech_is_heard_whole_through_jitter_and_reorder() {
        assert_eq!(holes(&hear(|_| Some(0))), 0);
        // Every third packet comes after the one behind it.
        assert_eq!(holes(&hear(|n| Some(if n % 3 == 0 { 25 } else { 0 }))), 0);
    }

    #[test]
    fn a_lost_packet_is_concealed() {
        let heard = hear(|n| (n % 20 != 7).then_some(0));
        assert!(holes(&heard) <= 10, "{} frames are missing", holes(&heard));
        let quietest = heard.chunks(FRAME).map(level_dbm0).fold(f64::INFINITY, f64::min);
        assert!(quietest > -30.0, "{quietest} dBm0");
    }
}
