//! Silence for who hears nobody. Peers, SBCs and NATs count on packets: most end a call or forget a
//! path after some seconds without any, and few speak of it in SIP. RFC 3551 §4.1 lets a sender of
//! G.711 pause; what is in the field expects a packet every 20 ms, so that is what is sent, in the
//! codec that was agreed, as the same stream.

use std::time::Duration;

use hotline_base::MonoTime;
use hotline_dsp::{FRAME, g711::ALAW_SILENCE};
use hotline_rtp::{HEADER_LEN, Header};

use super::{
    Floor, TICK,
    speech::{PACKET_MAX, send_speech},
};
use crate::{
    counters::count,
    intake::Intake,
    task::Slot,
    worker::{coder::SPEECH_MAX, leg::Plan},
};

/// A speaker from whom nothing came for so long pauses, though he did not say so: his listener gets
/// silence of ours. Less may be a stall of the network, after which everything comes at once;
/// silence in its place would put off what the listener hears.
const PAUSES_AFTER: Duration = Duration::from_millis(200);

/// What is sent to a leg goes on, if the last of it was sent so recently.
const GOES_ON: Duration = Duration::from_millis(80);

impl Floor {
    /// From here on a leg is sent silence until somebody it hears says something. Nothing changes
    /// while packets are passed on to it.
    pub(super) fn fall_silent(&mut self, slot: Slot, now: MonoTime) {
        let Some(leg) = self.leg(slot) else { return };
        let recent = leg.out.last().is_some_and(|(_, at)| now.since(at) < GOES_ON);
        if !leg.out.is_relayed() || !recent {
            self.fill_from(slot, now);
        }
    }

    /// A speaker says that he pauses, and how loud his room is (RFC 3389): nobody waits for his
    /// next packet.
    pub(super) fn rest(&mut self, speaker: u32, header: &Header, level: &[u8], now: MonoTime) {
        let Some(Some(leg)) = self.legs.get_mut(speaker as usize) else { return };
        leg.senses.hear_noise(now);
        if let Some(tap) = &mut leg.tap {
            tap.rest(header, level, now);
        }
        let listener =
            |it: &Self, n| it.legs.get(speaker as usize)?.as_ref()?.relayed_to.get(n).copied();
        let mut n = 0;
        while let Some(listener) = listener(self, n) {
            n += 1;
            self.fill_from(listener, now);
        }
    }

    /// A leg is to hear nobody, which is said of those alone who are there: it is sent silence from
    /// now on, though it was sent nothing before.
    pub(super) fn wake(&mut self, slot: Slot, now: MonoTime) {
        if let Some(leg) = self.leg_mut(slot) {
            leg.is_awake = true;
            self.fill_from(slot, now);
        }
    }

    /// Legs that were sent nothing lately, though they hear somebody, are sent silence meanwhile;
    /// and those that were sent nothing at all, because keys or a path to them were missing.
    pub(super) fn find_pauses(&mut self, now: MonoTime) {
        for idx in 0..self.legs.len() {
            let Some(Some(leg)) = self.legs.get(idx) else { continue };
            let last = leg.out.last();
            let pauses = last.map_or(leg.is_awake, |(_, at)| now.since(at) >= PAUSES_AFTER);
            if pauses && !leg.fills && !leg.is_busy() {
                self.fill_from(leg.slot, now);
            }
        }
    }

    /// Not before it was sent anything, by this process or one before it, or was to hear nobody:
    /// who was not answered yet hears that it rings as long as no packet comes (RFC 3960 §3.2).
    pub(super) fn fill_from(&mut self, slot: Slot, now: MonoTime) {
        let Some(leg) = self.leg_mut(slot) else { return };
        let rings = leg.out.last().is_none() && !leg.is_awake;
        if leg.plan == Plan::Mix || rings || leg.route().is_none() {
            return;
        }
        leg.fills = true;
        self.set_busy(slot.index, now);
    }

    /// The next 20 ms of silence. `false` when the leg needs none any more.
    pub(super) fn fill(&mut self, index: u32, intake: &mut impl Intake, now: MonoTime) -> bool {
        let busy = self.busy_percent;
        let Some(Some(leg)) = self.legs.get_mut(index as usize) else { return false };
        let route = leg.route().filter(|_| leg.fills);
        let Some(route) = route.filter(|_| leg.plan != Plan::Mix) else {
            leg.fills = false;
            return false;
        };
        // Whoever is heard next may say something before the last packet is over.
        if leg.out.is_relayed() && leg.out.last().is_some_and(|(_, at)| now.since(at) < TICK) {
            return true;
        }
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
