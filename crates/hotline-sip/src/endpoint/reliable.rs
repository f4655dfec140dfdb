//! Provisional responses that arrive (RFC 3262), as the called side sends them.

use std::sync::Arc;

use hotline_base::{LegId, Now};

use super::{
    Endpoint,
    names::{ALLOW, SUPPORTED},
};
use crate::{
    EndWhy, Event, HangUp, Message,
    leg::{Can, Incoming, Leg, Offer, Purpose, Unacked},
    message::Reply,
    text::{number, split_bare},
    timers::TimerName,
    transaction::{TxId, transmit},
};

impl Endpoint {
    /// 180, or 183 with a description. Reliable only when the peer demands it. Does nothing for a
    /// leg that is not incoming and unanswered.
    pub fn ring(&mut self, leg: LegId, sdp: Option<String>, now: Now) {
        let Some(Leg::Incoming(it)) = self.legs.get(&leg) else { return };
        let required = it.reliable.can == Can::Required;
        self.ring_as(leg, sdp, required, now);
    }

    /// 183 with our description and 180 after it, each sent again until its PRACK comes (RFC 3262);
    /// after 64 T1 without one the leg ends with [`EndWhy::AckMissing`]. [`answer`](Self::answer)
    /// then describes nothing any more. A peer that cannot hears a plain 180.
    pub fn ring_reliably(&mut self, leg: LegId, sdp: String, now: Now) {
        let Some(Leg::Incoming(it)) = self.legs.get(&leg) else { return };
        let reliable = it.reliable.can != Can::No;
        if reliable {
            self.ring_as(leg, Some(sdp), true, now);
        }
        self.ring_as(leg, None, reliable, now);
    }

    fn ring_as(&mut self, leg: LegId, sdp: Option<String>, reliable: bool, now: Now) {
        let Some(Leg::Incoming(it)) = self.legs.get_mut(&leg) else { return };
        let status = if sdp.is_some() { 183 } else { 180 };
        if reliable {
            it.reliable.waiting.push_back((status, sdp));
            return self.next_reliable(leg, now);
        }
        let Some((request, flow, tag)) = self.transactions.request(it.server) else { return };
        let reply = Reply::new(request, status).from(flow).tag(tag).feedback(self.feedback);
        let reply = reply.with("Contact", it.dialog.contact()).with("Allow", ALLOW);
        let bytes: Arc<[u8]> = reply.build_with_sdp(sdp.as_deref()).into();
        it.ringing = Some((status, Arc::clone(&bytes)));
        self.transactions.respond(it.server, status, bytes, now.mono, &mut self.out);
        self.timers.set(leg, TimerName::Remind, now.mono + super::incoming::REMIND);
    }

    /// Sends the reliable response that waits, when none is unacknowledged.
    fn next_reliable(&mut self, leg: LegId, now: Now) {
        let t1 = self.config.t1;
        let Some(Leg::Incoming(it)) = self.legs.get_mut(&leg) else { return };
        let all = &mut it.reliable;
        if all.unacked.is_some() || all.answer.is_some() {
            return;
        }
        let Some((status, sdp)) = all.waiting.pop_front() else { return };
        let Some((request, flow, tag)) = self.transactions.request(it.server) else { return };
        all.rseq = all.rseq.saturating_add(1);
        // The description settled already: once is enough (RFC 3262 §5).
        let sdp = sdp.filter(|_| all.described.is_none());
        let reply = Reply::new(request, status).from(flow).tag(tag).feedback(self.feedback);
        let reply = reply.with("Contact", it.dialog.contact()).with("Allow", ALLOW);
        let reply = reply.with("Supported", SUPPORTED).with("Require", "100rel");
        let reply = reply.with("RSeq", all.rseq.to_string());
        let bytes: Arc<[u8]> = reply.build_with_sdp(sdp.as_deref()).into();
        let has_sdp = sdp.is_some();
        if has_sdp {
            all.described = sdp;
        }
        all.unacked = Some(Unacked { bytes: Arc::clone(&bytes), flow, interval: t1, has_sdp });
        it.ringing = None;
        self.transactions.respond(it.server, status, bytes, now.mono, &mut self.out);
        self.timers.cancel(leg, TimerName::Remind);
        self.timers.set(leg, TimerName::Reliable, now.mono + t1);
        self.timers.set(leg, TimerName::Prack, now.mono + t1.saturating_mul(64));
    }

    /// RFC 3262 §3: twice the time before, whatever the transport.
    pub(super) fn repeat_reliable(&mut self, leg: LegId, now: Now) {
        let Some(Leg::Incoming(it)) = self.legs.get_mut(&leg) else { return };
        let Some(unacked) = &mut it.reliable.unacked else { return };
        transmit(&mut self.out, unacked.flow, Arc::clone(&unacked.bytes));
        unacked.interval = unacked.interval.saturating_mul(2);
        self.timers.set(leg, TimerName::Reliable, now.mono + unacked.interval);
    }

    /// RFC 3262 §3: nobody acknowledged it for 64 T1; the INVITE is refused with a 5xx.
    pub(super) fn on_prack_missing(&mut self, leg: LegId, now: Now) {
        let why = HangUp { status: 504, reason: None };
        self.hang_up_because(leg, why, EndWhy::AckMissing, now);
    }

    pub(super) fn on_prack(&mut self, leg: LegId, id: TxId, message: &Message, now: Now) {
        let it = match self.legs.get_mut(&leg) {
            Some(Leg::Incoming(it)) => it,
            // It crossed our 2xx.
            Some(Leg::Up(up)) => {
                let meant =
                    rack(message).is_some_and(|it| up.rseq.take_if(|own| *own == it.0).is_some());
                return self.respond(id, if meant { 200 } else { 481 }, &[], now);
            }
            Some(Leg::Outgoing { .. } | Leg::Closing(_)) | None => {
                return self.respond(id, 481, &[], now);
            }
        };
        let invite = self.transactions.request(it.server).map(|it| it.0.cseq().number);
        let meant = rack(message).is_some_and(|(rseq, cseq)| {
            rseq == it.reliable.rseq && Some(cseq) == invite && it.reliable.unacked.is_some()
        });
        if !meant {
            return self.respond(id, 481, &[], now);
        }
        let was_offer = !it.offered && it.reliable.unacked.take().is_some_and(|it| it.has_sdp);
        it.reliable.unacked = None;
        self.timers.cancel(leg, TimerName::Reliable);
        self.timers.cancel(leg, TimerName::Prack);
        self.timers.set(leg, TimerName::Remind, now.mono + super::incoming::REMIND);
        match message.sdp() {
            sdp if was_offer => {
                self.respond(id, 200, &[], now);
                self.say(Event::Reanswered { leg, sdp });
            }
            None => self.respond(id, 200, &[], now),
            Some(sdp) => self.offered_early(leg, id, sdp, now),
        }
        self.go_on(leg, now);
    }

    /// An offer in a PRACK or UPDATE before our 2xx (RFC 3262 §5, RFC 3311 §5.2): only when the
    /// first offer is answered.
    pub(super) fn offered_early(&mut self, leg: LegId, id: TxId, sdp: String, now: Now) {
        let Some(Leg::Incoming(it)) = self.legs.get_mut(&leg) else { return };
        let unsettled = it.reliable.described.is_none()
            || it.reliable.unacked.as_ref().is_some_and(|it| it.has_sdp);
        if unsettled || !matches!(it.offer, Offer::Idle) {
            return self.respond(id, 500, &[("Retry-After", "2".to_owned())], now);
        }
        it.offer = Offer::Theirs { server: id, is_invite: false, has_offer: true, session: None };
        self.purposes.insert(id, Purpose::Asked(leg));
        self.say(Event::Offered { leg, sdp: Some(sdp) });
    }

    /// After a PRACK or an answer: what waited for it.
    pub(super) fn go_on(&mut self, leg: LegId, now: Now) {
        let Some(Leg::Incoming(it)) = self.legs.get_mut(&leg) else { return };
        if !matches!(it.offer, Offer::Idle) {
            return;
        }
        match it.reliable.answer.take() {
            Some(sdp) => self.answer(leg, sdp, now),
            None => self.next_reliable(leg, now),
        }
    }

    /// Whether the 200 must wait: a description of ours is unacknowledged, or an offer of theirs
    /// unanswered (RFC 3262 §5).
    pub(super) fn answer_waits(it: &Incoming) -> bool {
        let unacked = it.reliable.unacked.as_ref().is_some_and(|it| it.has_sdp);
        unacked || !matches!(it.offer, Offer::Idle)
    }

    /// The leg ends before our 2xx: nothing of the peer stays unanswered.
    pub(super) fn drop_early_offer(&mut self, leg: LegId, now: Now) {
        let Some(Leg::Incoming(it)) = self.legs.get_mut(&leg) else { return };
        match std::mem::replace(&mut it.offer, Offer::Idle) {
            Offer::Theirs { server, .. } => self.respond(server, 487, &[], now),
            Offer::Idle | Offer::Ours { .. } | Offer::Glare { .. } => (),
        }
    }
}

/// `RAck: 776656 1 INVITE`: the response's number and the INVITE's (RFC 3262 §7.2).
fn rack(message: &Message) -> Option<(u32, u32)> {
    let value = message.header("RAck")?;
    let mut parts = split_bare(value, b' ');
    let (rseq, cseq, method) = (number(parts.next()?)?, number(parts.next()?)?, parts.next()?);
    (method == b"INVITE").then_some((rseq, cseq))
}
