//! Everything a robot's ear got: packets with their times, and the sound they make.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use hotline_base::Key;
use hotline_sdp::{Codec, Stream};
use tokio::time::Instant;

use crate::{
    Continuity, Sound,
    coder::{self, Decoder},
    continuity,
    rtp::{Packet, TelephoneEvent},
    sound::samples_of,
};

/// What one ear heard since its leg began.
///
/// The sound is laid out by RTP timestamp: a packet that was lost, and a time in which nothing was
/// sent, are silence. When the peer begins anew (another SSRC, or a jump of more than ten seconds)
/// its sound follows directly.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    samples: Vec<i16>,
    packets: Vec<PacketHeard>,
    keys: Vec<KeyHeard>,
    strangers: Vec<SocketAddr>,
    n_refused: u64,
    anchor: Option<Anchor>,
    decoder: Decoder,
}

/// One packet of the peer.
#[derive(Clone, Copy, Debug)]
pub struct PacketHeard {
    pub at: Instant,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    pub payload_type: u8,
    pub marker: bool,
    /// A key, not sound.
    pub is_event: bool,
    /// Length of the payload in ticks of its timestamps; 0 for a key.
    pub n_samples: u32,
    /// Nothing is to be heard in it.
    pub is_silent: bool,
}

/// A key that the peer sent.
#[derive(Clone, Copy, Debug)]
pub struct KeyHeard {
    pub at: Instant,
    pub key: Key,
    /// RTP timestamp of its beginning.
    pub timestamp: u32,
    /// How long it has been down.
    pub length: Duration,
    pub ended: bool,
}

/// Ties a timestamp to a place in the sound.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ssrc: u32,
    timestamp: u32,
    sample: usize,
}

/// A lower level is silence.
pub(crate) const SILENCE: f64 = 40.0;

/// A jump of the timestamp by more than this is a new beginning, not silence.
const JUMP_MAX: usize = 80_000;

impl Heard {
    /// All sound so far.
    pub fn sound(&self) -> Sound {
        Sound::new(self.samples.clone())
    }

    /// How many samples there are: a mark to give to [`since`](Self::since).
    pub fn mark(&self) -> usize {
        self.samples.len()
    }

    /// The sound from a mark on.
    pub fn since(&self, mark: usize) -> Sound {
        Sound::new(self.samples.get(mark..).unwrap_or_default().to_vec())
    }

    /// The newest sound, no longer than `length`.
    pub fn last(&self, length: Duration) -> Sound {
        self.since(self.samples.len().saturating_sub(samples_of(length)))
    }

    pub(crate) fn samples(&self) -> &[i16] {
        &self.samples
    }

    /// The peer's packets in the order of arrival.
    pub fn packets(&self) -> &[PacketHeard] {
        &self.packets
    }

    pub fn keys(&self) -> &[KeyHeard] {
        &self.keys
    }

    /// Where packets came from that were not the peer's; one entry a packet.
    pub fn strangers(&self) -> &[SocketAddr] {
        &self.strangers
    }

    /// Packets of the peer that are not RTP or of a payload type nobody agreed on.
    pub fn n_refused(&self) -> u64 {
        self.n_refused
    }

    /// Whether the packets are one stream without a seam.
    pub fn continuity(&self) -> Continuity {
        continuity::of(&self.packets)
    }

    /// The same of the packets from an instant on.
    pub fn continuity_since(&self, since: Instant) -> Continuity {
        let at = self.packets.iter().position(|it| it.at >= since);
        continuity::of(at.and_then(|it| self.packets.get(it..)).unwrap_or_default())
    }

    /// Takes a datagram.
    pub(crate) fn note(&mut self, bytes: &[u8], from: SocketAddr, stream: &Stream, at: Instant) {
        if from != stream.address {
            self.strangers.push(from);
            return;
        }
        let Some(packet) = Packet::parse(bytes) else {
            self.n_refused += 1;
            return;
        };
        let payload_type = packet.payload_type;
        let is_event = Some(payload_type) == stream.telephone_event_in;
        let codec = if payload_type == stream.payload_type_in {
            Some(stream.codec)
        } else {
            // We offered both laws by their static numbers; a peer may use either.
            let both = [Codec::Pcma, Codec::Pcmu];
            both.into_iter().find(|it| it.static_payload_type() == Some(payload_type))
        };
        let mut heard = PacketHeard {
            at,
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            payload_type,
            marker: packet.marker,
            is_event,
            n_samples: 0,
            is_silent: true,
        };
        if is_event {
            self.note_key(&packet, at);
        } else if let Some(codec) = codec {
            heard.n_samples = coder::ticks(codec, packet.payload);
            self.note_sound(&packet, codec);
            heard.is_silent = self.last(Duration::from_millis(10)).level() < SILENCE;
        } else {
            self.n_refused += 1;
            return;
        }
        self.packets.push(heard);
    }

    fn note_key(&mut self, packet: &Packet<'_>, at: Instant) {
        let Some(event) = TelephoneEvent::parse(packet.payload) else { return };
        let Some(key) = Key::from_event(event.event) else { return };
        let length = crate::sound::length_of(usize::from(event.duration));
        // RFC 4733 §2.5.1.2: all packets of one event carry its first timestamp.
        let same = |it: &&mut KeyHeard| it.timestamp == packet.timestamp;
        if let Some(it) = self.keys.iter_mut().rev().find(same) {
            it.length = it.length.max(length);
            it.ended |= event.end;
        } else {
            let timestamp = packet.timestamp;
            self.keys.push(KeyHeard { at, key, timestamp, length, ended: event.end });
        }
    }

    fn note_sound(&mut self, packet: &Packet<'_>, codec: Codec) {
        let anchor = self.anchor.filter(|it| it.ssrc == packet.ssrc);
        let scale = coder::scale(codec);
        let place = anchor.and_then(|it| it.place(packet.timestamp, scale, self.samples.len()));
        let place = place.unwrap_or(self.samples.len());
        if anchor.is_none() || place == self.samples.len() {
            let (ssrc, timestamp) = (packet.ssrc, packet.timestamp);
            self.anchor = Some(Anchor { ssrc, timestamp, sample: place });
        }
        let decoded = self.decoder.decode(codec, packet.payload);
        let end = place + decoded.len();
        if self.samples.len() < end {
            self.samples.resize(end, 0);
        }
        for (to, sample) in self.samples.iter_mut().skip(place).zip(decoded) {
            *to = sample;
        }
    }
}

impl Anchor {
    /// Where a timestamp lies; `None` when it is too far away to belong to the same sound.
    fn place(self, timestamp: u32, scale: u32, end: usize) -> Option<usize> {
        let ahead = timestamp.wrapping_sub(self.timestamp).cast_signed();
        let ahead = ahead / i32::try_from(scale).unwrap_or(1).max(1);
        let place = self.sample.checked_add_signed(isize::try_from(ahead).ok()?)?;
        (place <= end + JUMP_MAX).then_some(place)
    }
}

/// Datagrams that came before the answer said whom to listen to; the newest are kept.
#[derive(Debug, Default)]
pub(crate) struct Early(VecDeque<(Vec<u8>, SocketAddr, Instant)>);

impl Early {
    pub(crate) fn keep(&mut self, bytes: &[u8], from: SocketAddr, at: Instant) {
        if self.0.len() == 50 {
            self.0.pop_front();
        }
        self.0.push_back((bytes.to_vec(), from, at));
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Vec<u8>, SocketAddr, Instant)> + '_ {
        self.0.drain(..)
    }
}
