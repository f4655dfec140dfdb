//! One party's audio: who it hears, what it says, what it saw.

use std::net::SocketAddr;

use hotline_base::{
    Key, LegId, MonoTime,
    media::{Channel, LegQuality, LegStats},
};
use hotline_dsp::{DtmfTone, FRAME};
use hotline_rtp::{EventReceiver, EventSender, HEADER_LEN, Outbound, Reception};
use hotline_sdp::{Codec, Stream};

use super::{
    coder::{Encoder, SPEECH_MAX, complexity_under},
    dictation::Dictation,
    floor::Guard,
    latch::Latch,
    play::Playing,
    repack::Repack,
    senses::{Ears, Senses, Sent},
    tap::Tap,
};
use crate::{
    intake::{Intake, SHARED},
    task::{Door, Opening, Slot},
};

/// Tapes that one leg can be on.
const TAPES_MAX: usize = 2;

/// The tapes that a leg is on, and where.
pub(crate) type Tapes = [Option<(Slot, Channel)>; TAPES_MAX];

/// What each packet needs comes first, in nine cache lines: a thousand legs do not fit into a near
/// cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Leg {
    /// What was agreed with the peer, and whom that lets us hear.
    pub(crate) line: Option<(Stream, Latch)>,
    pub(crate) slot: Slot,
    /// Since when nothing is heard, and how many times that was said.
    pub(crate) quiet: (MonoTime, u8),
    pub(crate) out: Outbound,
    pub(crate) reception: Reception,
    /// Those on the relay path who hear this one.
    pub(crate) relayed_to: Vec<Slot>,
    pub(crate) tapes: Tapes,
    pub(crate) guard: Guard,
    pub(crate) play: Option<Box<Playing>>,
    pub(crate) keys: Option<Box<Dialling>>,
    /// What those on the mix path and tapes hear of this one; while there are any.
    pub(crate) tap: Option<Box<Tap>>,
    packets_out: u64,
    octets_out: u64,
    pub(crate) id: LegId,
    pub(crate) senses: Box<Senses>,
    /// While something is looked for in the sound.
    pub(crate) ears: Option<Box<Ears>>,
    /// What stands behind the header of each packet to it.
    pub(crate) label: Box<[u8]>,
    pub(crate) refused: u64,
    /// Set while what it says is decoded for its tapes.
    pub(crate) dictation: Option<Dictation>,
    pub(crate) events: EventReceiver,
    pub(crate) plan: Plan,
    /// Of what Opus encodes, while the load allows it.
    pub(crate) complexity: u8,
    /// Its port hears the peer alone.
    is_connected: bool,
    /// Who is heard now was not when his last press began: the rest of it is not for this leg.
    pub(crate) missed_press: bool,
    /// The same of a press in the sound.
    pub(crate) missed_tone: bool,
    /// A press in its sound is under way that is for no tape and no mix: they began during it.
    pub(crate) hides_press: bool,
    /// It is sent silence, because nobody else is heard.
    pub(crate) fills: bool,
    /// It is sent silence also before anything else: it is there and was to hear nobody, or a
    /// process that died had sent it packets.
    pub(crate) is_awake: bool,
    /// Found by ICE, not by the description.
    is_guest: bool,
    pub(crate) repack: Repack,
    /// Makes what this one is sent, in the codec of `line`.
    pub(crate) encoder: Encoder,
    /// The legs that this one hears, sorted, and how.
    pub(crate) hears: Vec<Slot>,
    /// Where a guest is sent to, also before anything is agreed.
    pub(crate) path: Option<SocketAddr>,
}

/// How a leg gets what it hears.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Plan {
    Nobody,
    /// One speaker's packets, as they come.
    Relay,
    /// The sum of several, on the tick.
    Mix,
}

/// Keys that are being sent.
#[derive(Debug)]
pub(crate) struct Dialling {
    pub(crate) press: EventSender,
    /// The same press as sound, for a peer who takes no events: as long, and in the same steps.
    pub(crate) tone: Option<DtmfTone>,
    /// The keys after this one, the next one last.
    pub(crate) rest: Vec<Key>,
}

impl Dialling {
    pub(crate) fn new(key: Key, rest: Vec<Key>) -> Self {
        Self { press: EventSender::new(key), tone: DtmfTone::new(key.event()), rest }
    }
}

/// What a payload type means on a leg.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Voice(Codec),
    Event,
    /// Comfort noise and what else we did not agree on: a sign of life, but not heard.
    Other,
}

impl Leg {
    pub(crate) fn new(opening: &Opening, now: MonoTime) -> Self {
        Self {
            id: opening.id,
            slot: opening.slot,
            line: None,
            hears: Vec::new(),
            plan: Plan::Nobody,
            relayed_to: Vec::new(),
            encoder: Encoder::default(),
            tap: None,
            dictation: None,
            tapes: [None; TAPES_MAX],
            out: opening.out.clone(),
            repack: Repack::new(),
            complexity: opening.complexity,
            reception: Reception::default(),
            events: EventReceiver::default(),
            play: None,
            keys: None,
            missed_press: false,
            missed_tone: false,
            hides_press: false,
            fills: false,
            is_awake: opening.resumes,
            quiet: (now, 0),
            is_connected: false,
            packets_out: 0,
            octets_out: 0,
            refused: 0,
            senses: Box::new(Senses::new(&opening.reports, opening.out.ssrc(), now)),
            ears: None,
            guard: if opening.secure { Guard::Waiting } else { Guard::Open },
            label: Box::default(),
            is_guest: matches!(opening.door, Door::Shared),
            path: None,
        }
    }

    /// Reads from each cache line that a packet needs. What it returns means nothing.
    pub(crate) fn touch(&self) -> u64 {
        let line = self.line.as_ref().map_or(0, |(stream, latch)| {
            latch.touch() ^ u64::from(stream.payload_type) ^ u64::from(stream.address.port())
        });
        let here = [self.out.ssrc(), self.slot.index, u32::from(self.keys.is_some())];
        let here = here.into_iter().fold(self.packets_out, |sum, it| sum ^ u64::from(it));
        let lengths = self.relayed_to.len() ^ self.repack.len();
        line ^ here ^ self.refused ^ self.reception.n_packets() ^ lengths as u64
    }

    /// Meaning of an incoming payload type. Both laws are understood at their static numbers
    /// whatever was agreed: after an offer of both a peer may send either (RFC 3264 §6.1).
    pub(crate) fn kind(line: &Stream, payload_type: u8) -> Kind {
        let events = [line.telephone_event_in, line.telephone_event];
        if payload_type == line.payload_type_in {
            Kind::Voice(line.codec)
        } else if events.contains(&Some(payload_type)) {
            // A peer that numbered keys anew in its answer often sends them by its own number,
            // though RFC 3264 §5.1 wants ours.
            Kind::Event
        } else {
            [Codec::Pcma, Codec::Pcmu]
                .into_iter()
                .find(|it| it.static_payload_type() == Some(payload_type))
                .map_or(Kind::Other, Kind::Voice)
        }
    }

    /// The agreed codec; A-law before there is one.
    pub(crate) fn codec(&self) -> Codec {
        self.line.as_ref().map_or(Codec::Pcma, |(it, _)| it.codec)
    }

    /// The tap, made if there is none, with one reader more.
    pub(crate) fn tap_for_one_more(&mut self) {
        let codec = self.codec();
        if self.tap.is_none() {
            self.hide_press();
        }
        self.tap.get_or_insert_with(|| Box::new(Tap::new(codec))).n_readers += 1;
    }

    /// The rest of a press that is under way in the sound is for nobody who comes now.
    pub(crate) fn hide_press(&mut self) {
        self.hides_press |= self.ears.as_ref().is_some_and(|it| it.hears_key());
    }

    /// One reader less; the last one takes the tap with him.
    pub(crate) fn leave_tap(&mut self) {
        let Some(tap) = &mut self.tap else { return };
        tap.n_readers -= 1;
        if tap.n_readers == 0 {
            self.tap = None;
        }
    }

    /// What it says in the 20 ms of this mix; `None` when nobody mixes it, or, while `gated`, when
    /// it does not talk.
    pub(crate) fn said(&mut self, turn: u64, due: MonoTime, gated: bool) -> Option<&[i16; FRAME]> {
        let tap = self.tap.as_mut()?;
        tap.frame(turn, due);
        (!gated || tap.is_talking()).then(|| tap.frame(turn, due))
    }

    /// Codes 20 ms for it, as well as the worker's busy share in percent allows.
    pub(crate) fn encode(
        &mut self,
        frame: &[i16; FRAME],
        to: &mut [u8; SPEECH_MAX],
        busy: u32,
    ) -> usize {
        self.encoder.set_complexity(complexity_under(busy, self.complexity));
        self.encoder.encode(frame, to)
    }

    /// The same for 20 ms of a prompt.
    pub(crate) fn encode_alaw(
        &mut self,
        frame: &[u8; FRAME],
        to: &mut [u8; SPEECH_MAX],
        busy: u32,
    ) -> usize {
        self.encoder.set_complexity(complexity_under(busy, self.complexity));
        self.encoder.encode_alaw(frame, to)
    }

    /// Takes note of how loud a packet of speech is. Of what is not G.711 only a tap knows, which
    /// there is while it is mixed or recorded.
    pub(crate) fn sense_speech(&mut self, codec: Codec, audio: &[u8], now: MonoTime) {
        if codec.is_g711() {
            self.senses.hear(codec, audio, now);
        } else {
            let level = self.tap.as_ref().filter(|_| codec.is_spoken()).map(|it| it.level_dbm0());
            self.senses.hear_level(level, now);
        }
    }

    /// Whether something of our own goes to this leg, so that it hears nobody else.
    pub(crate) const fn is_busy(&self) -> bool {
        self.play.is_some() || self.keys.is_some()
    }

    /// The agreed stream and where to send; `None` while nothing may be sent.
    pub(crate) fn route(&self) -> Option<(Stream, SocketAddr)> {
        let (line, latch) = self.line.as_ref()?;
        if line.hold || !line.direction.may_send() || matches!(self.guard, Guard::Waiting) {
            return None;
        }
        Some((*line, latch.target()?))
    }

    /// Lets its port hear the peer alone while nobody else may be heard, and everybody otherwise.
    pub(crate) fn connect(&mut self, intake: &mut impl Intake) {
        let only = self.line.as_ref().and_then(|(_, latch)| latch.only());
        if only.is_some() != self.is_connected {
            self.is_connected = only.is_some();
            intake.connect(self.slot.index, only);
        }
    }

    /// Lets everybody be heard again: soon another address may take the peer's place.
    pub(crate) fn disconnect(&mut self, intake: &mut impl Intake) {
        if std::mem::take(&mut self.is_connected) {
            intake.connect(self.slot.index, None);
        }
    }

    /// Whether ICE finds it.
    pub(crate) const fn is_guest(&self) -> bool {
        self.is_guest
    }

    /// The port its packets come from and go to.
    pub(crate) const fn port(&self) -> u32 {
        if self.is_guest { SHARED } else { self.slot.index }
    }

    /// A packet of `len` bytes went out.
    pub(crate) const fn note_sent(&mut self, len: usize) {
        self.packets_out += 1;
        self.octets_out += len.saturating_sub(HEADER_LEN) as u64;
    }

    pub(crate) const fn sent(&self) -> Sent {
        Sent { packets: self.packets_out, octets: self.octets_out }
    }

    /// Detectors begin and end as what was agreed wants it.
    pub(crate) fn prick_ears(&mut self, change: impl FnOnce(&mut Ears)) {
        let ears = self.ears.get_or_insert_default();
        change(ears);
        if ears.is_idle() {
            self.ears = None;
        }
    }

    /// Names this leg in another's outgoing stream.
    pub(crate) fn speaker(&self) -> u64 {
        u64::from(self.slot.index) << 32 | u64::from(self.slot.generation)
    }

    /// Whether silence of the peer means something.
    pub(crate) fn expects_audio(&self) -> bool {
        self.line.as_ref().is_some_and(|(it, _)| it.is_sound_due())
    }

    pub(crate) fn stats(&self) -> LegStats {
        LegStats {
            packets_in: self.reception.n_packets(),
            packets_out: self.packets_out,
            lost: self.reception.lost(),
            jitter_us: u32::try_from(self.reception.jitter().as_micros()).unwrap_or(u32::MAX),
            refused: self.refused,
        }
    }

    /// How it sounded.
    pub(crate) fn quality(&self, now: MonoTime) -> LegQuality {
        let codec = self.line.as_ref().map(|it| it.0.codec);
        self.senses.quality(codec, &self.reception, &self.stats(), now)
    }
}
