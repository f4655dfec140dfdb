//! What a party says, decoded and waiting for the next mix: behind a jitter buffer, with losses
//! concealed and its clock followed.

use hotline_base::MonoTime;
use hotline_dsp::{FRAME, Playback, energy, level_dbm0, opus_ticks};
use hotline_rtp::{Format, Header, JitterBuffer, Next};
use hotline_sdp::Codec;

use super::coder::Decoder;

/// Pieces that one frame is put together of; the buffer gives 20 ms at a time, rarely less.
const PIECES_MAX: usize = 16;

/// A party whose last 20 ms have a mean square below this (−50 dBm0) does not talk.
const TALK_POWER: i64 = 70 * 70;

/// More than the jitter buffer ever holds back.
const DELAY_MAX_MS: i64 = 200;

const FRAME_MS: i64 = 20;

/// Frames that a party is still taken for talking: 200 ms, so that no word loses its end.
const TALK_HANGOVER: u8 = 10;

#[derive(Debug)]
pub(crate) struct Tap {
    decoder: Decoder,
    jitter: JitterBuffer,
    playback: Playback,
    /// The mix that the last frame of `playback` belongs to.
    turn: u64,
    delay_ms: i64,
    /// Frames to go in which something is of what came.
    saying: u8,
    /// Frames to go until the party is taken for silent, as of this mix.
    talking: u8,
    judged: u64,
    /// Frames to go until nothing waits here of the last press that was in the sound.
    pressing: u8,
    /// Mixes and tapes that read it.
    pub(crate) n_readers: usize,
}

impl Tap {
    pub(crate) fn new(codec: Codec) -> Self {
        let format = match codec {
            Codec::Opus => Format::Packets,
            Codec::Pcma | Codec::Pcmu | Codec::G722 | Codec::Passed(_) => Format::Bytes,
        };
        Self {
            decoder: Decoder::new(codec),
            jitter: JitterBuffer::new(format),
            playback: Playback::default(),
            turn: 0,
            delay_ms: 40,
            saying: 0,
            talking: 0,
            judged: 0,
            pressing: 0,
            n_readers: 0,
        }
    }

    /// The party changed its codec; who reads goes on reading.
    pub(crate) fn set_codec(&mut self, codec: Codec) {
        if !self.decoder.takes(codec) {
            *self = Self { turn: self.turn, n_readers: self.n_readers, ..Self::new(codec) };
        }
    }

    /// Reads from what a packet needs.
    pub(crate) fn touch(&self) -> u64 {
        self.jitter.touch() ^ self.turn ^ u64::from(self.decoder.takes(Codec::Pcma))
    }

    /// Reads from what the next frame needs.
    pub(crate) fn touch_frame(&self) -> u64 {
        self.touch() ^ u64::from(self.playback.touch().cast_unsigned())
    }

    /// Speech. Late and doubled packets are the buffer's to sort out; a codec that was not agreed
    /// on is not heard.
    pub(crate) fn write(&mut self, header: &Header, codec: Codec, audio: &[u8], now: MonoTime) {
        if !self.decoder.takes(codec) {
            return;
        }
        // Whatever number the peer has for it.
        let header = Header { payload_type: codec.offered_payload_type(), ..*header };
        let ticks = if codec == Codec::Opus { opus_ticks(audio).unwrap_or(0) } else { 0 };
        self.jitter.insert(&header, audio, ticks, now);
    }

    /// The same, of somebody who may press a key: its sound is known, and not heard where an event
    /// tells of it.
    pub(crate) fn hear(
        &mut self,
        header: &Header,
        codec: Codec,
        audio: &[u8],
        (presses, told): (bool, bool),
        now: MonoTime,
    ) {
        if presses {
            // What comes now is heard when what waits before it was.
            self.pressing = u8::try_from(self.delay_ms / FRAME_MS).unwrap_or(0) + 1;
        }
        if told {
            self.skip(header);
        } else {
            self.write(header, codec, audio, now);
        }
    }

    /// Whether a press may be in the last frame.
    pub(crate) const fn is_pressing(&self) -> bool {
        self.pressing > 0
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
        self.playback.last()
    }

    /// Whether anything that came, or was lost, is in the last frame; else it is a pause.
    pub(crate) const fn says_something(&self) -> bool {
        self.saying > 0
    }

    /// Frames that are left of what came, once no packet waits any more; `None` while one does.
    pub(crate) fn frames_left(&self) -> Option<usize> {
        self.jitter.is_empty().then(|| self.playback.pending().div_ceil(FRAME))
    }

    /// Whether the party talks, as of the last frame. Worked out for those alone who ask.
    pub(crate) fn is_talking(&mut self) -> bool {
        if self.judged != self.turn {
            self.judged = self.turn;
            let loud =
                energy(self.playback.last()) > TALK_POWER * i64::from(hotline_dsp::RATE / 50);
            self.talking = if loud { TALK_HANGOVER } else { self.talking.saturating_sub(1) };
        }
        self.talking > 0
    }

    /// How loud the last frame is.
    pub(crate) fn level_dbm0(&self) -> f64 {
        level_dbm0(self.playback.last())
    }

    /// Packets that were sent and are not heard, so far.
    pub(crate) const fn missing(&self) -> u64 {
        self.jitter.counts().missing
    }

    /// How long the last frame waited here, in milliseconds.
    pub(crate) const fn delay_ms(&self) -> i64 {
        self.delay_ms
    }

    fn advance(&mut self, at: MonoTime) {
        let Self { decoder, jitter, playback, saying, pressing, .. } = self;
        *saying = saying.saturating_sub(1);
        *pressing = pressing.saturating_sub(1);
        for _ in 0..PIECES_MAX {
            if playback.is_ready() {
                break;
            }
            match jitter.next(at, playback.pending()) {
                Next::Packet { payload_type, payload } => {
                    let ulaw = payload_type == Codec::Pcmu.offered_payload_type();
                    let mut n = 0;
                    decoder.decode(payload, ulaw, |it| {
                        n += it.len();
                        playback.hear(it);
                    });
                    *saying = frames_of(n).max(*saying);
                }
                Next::Lost { samples, next } => {
                    *saying = frames_of(samples).max(*saying);
                    if !decoder.conceal(samples, next, |it| playback.hear(it)) {
                        playback.conceal(samples);
                    }
                }
                Next::Pause { samples, level } => playback.pause(samples, level),
            }
        }
        // In a pause nothing waits, and what was last said tells how long it will again.
        if let Some(playing) = jitter.playing(playback.pending()) {
            let clock = jitter.clock();
            let waited = clock.sender_at(at) - playing;
            self.delay_ms = (waited / i64::from(clock.ticks_per_ms())).clamp(0, DELAY_MAX_MS);
        }
        playback.frame(jitter.excess(at, playback.pending()));
    }
}

/// Frames that a piece of so many samples lies in: it may begin in the middle of one.
fn frames_of(samples: usize) -> u8 {
    u8::try_from(samples.div_ceil(FRAME)).unwrap_or(u8::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hotline_dsp::{Tone, strength};
    use hotline_rtp::MediaTime;

    use super::*;

    /// Says five seconds of a tone, a packet each 20 ms after what `late_ms` says of it (`None`: it
    /// is lost). Returns what the mixes hear from the second second on.
    fn hear(late_ms: impl Fn(u64) -> Option<u64>) -> Vec<i16> {
        let (mut tap, mut tone) = (Tap::new(Codec::Pcma), Tone::new(400, 8_000));
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
