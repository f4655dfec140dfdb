//! Silence for who hears nobody. Peers, SBCs and NATs count on packets: most end a call or forget a
//! path after some seconds without any, and few speak of it in SIP. RFC 3551 §4.1 lets a sender of
//! G.711 pause; what is in the field expects a packet every 20 ms, so that is what is sent, in the
//! codec that was agreed, as the same stream.

use std::time::Duration;

use hotline_base::MonoTime;
use hotline_dsp::{FRAME, g711::ALAW_SILENCE};
use hotline_rtp::HEADER_LEN;

use super::{
    Floor,
    speech::{PACKET_MAX, send_speech},
};
use crate::{
    counters::count,
    intake::Intake,
    task::Slot,
    worker::{
        coder::{Encoder, SPEECH_MAX},
        leg::Plan,
    },
};

/// A speaker from whom nothing came for so long pauses: his listener gets silence of ours.
const PAUSES_AFTER: Duration = Duration::from_millis(200);

impl Floor {
    /// From here on a leg that hears nobody is sent silence. Not before it was sent anything, by
    /// this process or one before it: who was not answered yet hears that it rings as long as no
    /// packet comes (RFC 3960 §3.2).
    pub(super) fn fall_silent(&mut self, slot: Slot, now: MonoTime) {
        if self.leg(slot).is_some_and(|it| it.plan == Plan::Nobody) {
            self.fill_from(slot, now);
        }
    }

    /// Legs that were sent nothing lately, though they hear somebody, are sent silence meanwhile.
    pub(super) fn find_pauses(&mut self, now: MonoTime) {
        for idx in 0..self.legs.len() {
            let Some(Some(leg)) = self.legs.get(idx) else { continue };
            let pauses = leg.out.last().is_some_and(|(_, at)| now.since(at) >= PAUSES_AFTER);
            if pauses && !leg.fills && !leg.is_busy() {
                self.fill_from(leg.slot, now);
            }
        }
    }

    fn fill_from(&mut self, slot: Slot, now: MonoTime) {
        let Some(leg) = self.leg_mut(slot) else { return };
        let is_heard = matches!(leg.encoder, Encoder::Nothing) || leg.plan == Plan::Mix;
        let rings = leg.out.last().is_none() && !leg.resumes;
        if is_heard || rings || leg.route().is_none() {
            return;
        }
        leg.fills = true;
        if leg.out.is_relayed() {
            leg.out.pause();
        }
        self.set_busy(slot.index, now);
    }

    /// The next 20 ms of silence. `false` when the leg needs none any more.
    pub(super) fn fill(&mut self, index: u32, intake: &mut impl Intake, now: MonoTime) -> bool {
        let busy = self.busy_percent;
        let Some(Some(leg)) = self.legs.get_mut(index as usize) else { return false };
        let route = leg.route().filter(|_| leg.fills);
        let Some(route) = route.filter(|_| leg.plan != Plan::Mix && !leg.out.is_relayed()) else {
            leg.fills = false;
            return false;
        };
        let mut packet = [0; PACKET_MAX];
        let Some(audio) = packet.last_chunk_mut::<SPEECH_MAX>() else { return true };
        let n = leg.encode_alaw(&[ALAW_SILENCE; FRAME], audio, busy);
        let packet = packet.get_mut(..HEADER_LEN + n).unwrap_or_default();
        if !send_speech(leg, &route, packet, intake, now) {
            count(&self.out.counters.sends_refused);
        }
        true
    }
}
