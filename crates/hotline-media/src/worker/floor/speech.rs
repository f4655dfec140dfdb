//! Legs of several codecs in one house: what is sent in each one's own, and tapes of what a tape
//! cannot hold as it comes.

use std::net::SocketAddr;

use hotline_base::MonoTime;
use hotline_dsp::g711::linear_to_alaw;
use hotline_rtp::{HEADER_LEN, write_header};
use hotline_sdp::{Codec, Stream};

use super::{
    Floor, TICK,
    edge::send,
    repack::{send_repacked, wanted},
    talk::headed,
};
use crate::{
    intake::Intake,
    task::Slot,
    worker::{
        coder::{Encoder, SPEECH_MAX},
        dictation::Dictation,
        leg::Leg,
        tape::Said,
    },
};

/// Frames that wait in a jitter buffer at most: 640 ms.
const WAITING_MAX: usize = 32;

/// A packet of our own speech before it is known how long it is.
pub(super) const PACKET_MAX: usize = HEADER_LEN + SPEECH_MAX;

impl Floor {
    /// The peer agreed to another codec than before.
    pub(super) fn change_codec(&mut self, slot: Slot, codec: Codec, now: MonoTime) {
        let Some(leg) = self.leg_mut(slot) else { return };
        leg.encoder = Encoder::new(codec, leg.complexity);
        leg.out.set_clock(codec.clock());
        leg.reception.set_clock(codec.clock());
        leg.senses.set_clock(codec.clock());
        leg.repack.forget();
        if let Some(tap) = &mut leg.tap {
            tap.set_codec(codec);
        }
        self.replan(slot, now);
        self.note_dictation(slot, now);
    }

    /// Whether what a leg says has to be decoded for its tapes; begins with that, or ends it.
    pub(super) fn note_dictation(&mut self, slot: Slot, now: MonoTime) {
        let Some(leg) = self.leg_mut(slot) else { return };
        let is_taped = leg.tapes.iter().any(Option::is_some);
        let wanted = is_taped && leg.codec().is_spoken() && !leg.codec().is_g711();
        if wanted == leg.dictation.is_some() {
            return;
        }
        if wanted {
            leg.dictation = Some(Dictation::default());
            leg.tap_for_one_more();
            self.dictated.push(slot);
            self.start_ticking(now);
        } else {
            leg.dictation = None;
            leg.leave_tap();
            self.dictated.retain(|it| *it != slot);
        }
    }

    /// Writes the 20 ms that are `due` of everybody who is decoded for tapes.
    pub(super) fn dictate(&mut self, due: MonoTime) {
        let mut idx = 0;
        while let Some(slot) = self.dictated.get(idx).copied() {
            if self.dictate_leg(slot, due) {
                idx += 1;
            } else {
                self.dictated.swap_remove(idx);
            }
        }
    }

    /// Writes at once what of a leg waits to be heard: it is on tapes no more after this.
    pub(super) fn dictate_rest(&mut self, slot: Slot, now: MonoTime) {
        let mut due = self.tick.unwrap_or(now);
        let mut n_left = WAITING_MAX;
        while n_left > 0 {
            let leg = self.leg(slot).filter(|it| it.dictation.is_some());
            let Some(tap) = leg.and_then(|it| it.tap.as_ref()) else { return };
            n_left = tap.frames_left().map_or(n_left, |it| it.min(n_left));
            if n_left > 0 {
                self.turn += 1;
                self.dictate_leg(slot, due);
                due = due + TICK;
                n_left -= 1;
            }
        }
    }

    /// `false` when the leg is gone.
    fn dictate_leg(&mut self, slot: Slot, due: MonoTime) -> bool {
        let turn = self.turn;
        let Some(leg) = self.leg_mut(slot) else { return false };
        let (Some(tap), Some(dictation)) = (&mut leg.tap, &mut leg.dictation) else { return false };
        let audio = tap.frame(turn, due).map(linear_to_alaw);
        // A tape counts what was heard; of a pause there is nothing to count.
        if !tap.says_something() {
            return true;
        }
        let delay_ms = tap.delay_ms().unsigned_abs();
        let how = (tap.is_talking(), tap.missing());
        let Some((header, spoken)) = dictation.header(due, delay_ms, how) else {
            return true;
        };
        for (tape, channel) in leg.tapes.into_iter().flatten() {
            // What was said before it began is not on it.
            if let Some(Some(tape)) = self.tapes.get_mut(tape.index as usize)
                && tape.began() <= spoken
            {
                let (since, codec) = (spoken, Codec::Pcma);
                let said = Said { by: slot, since, header: &header, codec, audio: &audio };
                tape.write(channel, &said, spoken, &mut self.out);
            }
        }
        true
    }
}

/// Sends 20 ms that were coded behind the header's place, in packets as long as the listener wants
/// them where they can be cut anywhere. `false` when they were refused.
pub(super) fn send_speech(
    leg: &mut Leg,
    (line, to): &(Stream, SocketAddr),
    packet: &mut [u8],
    intake: &mut impl Intake,
    now: MonoTime,
) -> bool {
    if packet.len() <= HEADER_LEN {
        return true;
    }
    let speech = packet.get(HEADER_LEN..).unwrap_or_default();
    if line.codec.has_byte_a_sample() && speech.len() != wanted(line) {
        return send_repacked(leg, (line, *to), speech, intake, now);
    }
    let stamp = leg.out.stamp(160, now);
    let header = headed(leg, stamp, line.payload_type);
    let sent = write_header(packet, &header) && send(leg, intake, *to, packet);
    if sent {
        leg.note_sent(packet.len());
    }
    sent
}
