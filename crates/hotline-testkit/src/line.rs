//! A robot's mouth and keypad: what goes out on its RTP stream every 20 ms.

use std::{collections::VecDeque, net::SocketAddr};

use hotline_base::{Key, Random};
use hotline_sdp::Stream;

use crate::{
    FRAME, Speech,
    coder::{self, Encoder},
    rtp::{self, TelephoneEvent},
    speech::Voice,
};

/// The sending half of a leg's audio.
#[derive(Debug)]
pub(crate) struct Line {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    voice: Voice,
    encoder: Encoder,
    keys: VecDeque<Key>,
    pressed: Option<Pressed>,
    begun: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pressed {
    key: Key,
    timestamp: u32,
    /// 20 ms steps since it went down.
    steps: u16,
}

/// A key is down for 100 ms, then up for 100 ms.
const KEY_STEPS: u16 = 5;

#[expect(clippy::cast_possible_truncation, reason = "160")]
pub(crate) const FRAME_UNITS: u32 = FRAME as u32;

impl Line {
    pub(crate) fn new(mut random: Random) -> Self {
        let number = random.next_u64().to_be_bytes();
        let [s0, s1, s2, s3, q0, q1, ..] = number;
        Self {
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            sequence: u16::from_be_bytes([q0, q1]),
            timestamp: u32::from_be_bytes([s3, s2, q1, q0]),
            voice: Voice::default(),
            encoder: Encoder::default(),
            keys: VecDeque::new(),
            pressed: None,
            begun: false,
        }
    }

    pub(crate) fn speak(&mut self, speech: Speech) {
        self.voice = Voice::of(speech);
    }

    pub(crate) fn press(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.keys.extend(keys);
    }

    /// Whether everything that ends has been said and every key sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.keys.is_empty() && self.pressed.is_none() && self.voice.is_over()
    }

    /// Time goes on by 20 ms; the packets to send, and where to.
    pub(crate) fn next_packets(
        &mut self,
        stream: Option<&Stream>,
    ) -> (Option<SocketAddr>, Vec<Vec<u8>>) {
        let Some(stream) = stream.filter(|it| it.direction.may_send()) else {
            self.timestamp = self.timestamp.wrapping_add(FRAME_UNITS);
            return (None, Vec::new());
        };
        let scale = coder::scale(stream.codec);
        let packets = match stream.telephone_event {
            Some(payload_type) => self.key_packets(payload_type, scale),
            None => None,
        };
        // The voice goes on under a key, so that it does not slip.
        let frame = self.encoder.encode(stream.codec, &self.voice.next_frame());
        let packets = match packets {
            Some(keys) => keys,
            None if !self.voice.is_sent() => Vec::new(),
            None => {
                let marker = !std::mem::replace(&mut self.begun, true);
                vec![self.packet(marker, stream.payload_type, self.timestamp, &frame)]
            }
        };
        self.timestamp = self.timestamp.wrapping_add(FRAME_UNITS * scale);
        (Some(stream.address), packets)
    }

    /// SSRC, sequence number and timestamp of the newest packet.
    pub(crate) const fn newest(&self) -> (u32, u16, u32) {
        (self.ssrc, self.sequence, self.timestamp.wrapping_sub(FRAME_UNITS))
    }

    /// The packets of a key that is down (RFC 4733 §2.5.1): the end is sent three times.
    fn key_packets(&mut self, payload_type: u8, scale: u32) -> Option<Vec<Vec<u8>>> {
        if self.pressed.is_none() {
            let key = self.keys.pop_front()?;
            self.pressed = Some(Pressed { key, timestamp: self.timestamp, steps: 0 });
        }
        let pressed = self.pressed.as_mut()?;
        pressed.steps += 1;
        let Pressed { key, timestamp, steps } = *pressed;
        if steps == 2 * KEY_STEPS {
            self.pressed = None;
        }
        if steps > KEY_STEPS {
            return None;
        }
        let end = steps == KEY_STEPS;
        let duration = u32::from(steps) * FRAME_UNITS * scale;
        let duration = u16::try_from(duration).unwrap_or(u16::MAX);
        let payload = TelephoneEvent { event: key.event(), end, duration }.payload();
        let times = if end { 3 } else { 1 };
        Some(
            (0..times)
                .map(|_| self.packet(steps == 1, payload_type, timestamp, &payload))
                .collect(),
        )
    }

    fn packet(
        &mut self,
        marker: bool,
        payload_type: u8,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        rtp::packet(marker, payload_type, self.sequence, timestamp, self.ssrc, payload)
    }
}

#[cfg(test)]
mod tests {
    use hotline_sdp::{Codec, Direction};
    use tokio::time::Instant;

    use super::*;
    use crate::Heard;

    fn stream() -> Stream {
        Stream {
            address: "127.0.0.1:4000".parse().unwrap(),
            codec: Codec::Pcma,
            payload_type: 8,
            payload_type_in: 8,
            telephone_event: Some(101),
            telephone_event_in: Some(101),
            rtcp: "127.0.0.1:4001".parse().unwrap(),
            rtcp_mux: false,
            ptime_ms: 20,
            direction: Direction::Both,
            hold: false,
        }
    }

    fn hear(line: &mut Line, stream: &Stream, steps: usize) -> Heard {
        let mut heard = Heard::default();
        for _ in 0..steps {
            let (_, packets) = line.next_packets(Some(stream));
            for it in packets {
                heard.note(&it, stream.address, stream, Instant::now());
            }
        }
        heard
    }

    #[test]
    fn keys_are_heard_once_each_and_the_tone_around_them_does_not_slip() {
        let mut line = Line::new(Random::new(3));
        line.speak(Speech::tone(500));
        line.press("1#1".chars().filter_map(|it| Key::try_from(it).ok()));
        let heard = hear(&mut line, &stream(), 60);
        let keys: String = heard.keys().iter().map(|it| it.key.as_char()).collect();
        assert_eq!(keys, "1#1");
        assert!(heard.keys().iter().all(|it| it.ended && it.length.as_millis() == 100));
        assert!(heard.continuity().is_seamless(), "{:?}", heard.continuity());
        assert!(heard.last(std::time::Duration::from_millis(200)).tone_share(500) > 0.9);
        // The place of a key is silent to those who only listen.
        assert_eq!(heard.mark() % FRAME, 0);
    }

    #[test]
    fn a_held_robot_sends_nothing_and_time_goes_on() {
        let held = Stream { direction: Direction::ReceiveOnly, hold: true, ..stream() };
        let mut line = Line::new(Random::new(3));
        let before = line.timestamp;
        assert!(line.next_packets(Some(&held)).1.is_empty());
        assert!(line.next_packets(None).1.is_empty());
        assert_eq!(line.timestamp, before.wrapping_add(320));
    }

    #[test]
    fn a_mute_robot_sends_keys_alone_and_begins_when_it_speaks() {
        let mut line = Line::new(Random::new(3));
        line.speak(Speech::Nothing);
        assert!(hear(&mut line, &stream(), 50).packets().is_empty());
        line.press([Key::try_from('7').unwrap()]);
        let heard = hear(&mut line, &stream(), 50);
        assert_eq!((heard.keys().len(), heard.packets().len()), (1, 7));
        line.speak(Speech::Silence);
        assert_eq!(hear(&mut line, &stream(), 50).packets().len(), 50);
    }
}
