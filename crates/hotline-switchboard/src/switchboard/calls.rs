//! What calls say, and what media says to them.

use hotline_acd::{Enqueue, EnqueueRefused};
use hotline_base::{
    CallId, GroupId, LegId, Now,
    media::{Order, Play},
    push_digits,
};
use hotline_call::{LegOrder, Output as CallOutput, QueueOrder};
use hotline_cdr::RefusedWhy;
use hotline_ivr::{EarlyReject, QueueRefusal};
use hotline_sip::HangUp;

use super::{Duration, Output, Switchboard, restore::kept_as};
use crate::timers::Owner;

impl Switchboard {
    pub(super) fn act_on_call(&mut self, id: CallId, output: CallOutput, now: Now) {
        match output {
            CallOutput::Leg { leg, order } => self.order_leg(id, leg, order, now),
            CallOutput::Media(order) => {
                if let Order::Record { recording, .. } = &order {
                    self.recordings.insert(recording.clone(), id);
                    if let Some(entry) = self.calls.get_mut(&id) {
                        entry.recordings.push(recording.clone());
                    }
                }
                self.order_media(order, now);
            }
            CallOutput::Queue(QueueOrder::Enqueue {
                groups,
                priority,
                ring_limit,
                early_reject,
            }) => {
                self.enqueue(id, groups, (priority, ring_limit, early_reject), now);
            }
            CallOutput::Queue(QueueOrder::Leave { ticket }) => {
                if let Some(offer) = self.dispatcher.leave(ticket) {
                    self.refresh(&offer.agent);
                }
            }
            CallOutput::Offer { offer, update } => self.offer_moved(id, offer, update, now),
            CallOutput::Transferred { status } => self.transferred(id, status, now),
            CallOutput::Fact(fact) => self.say_fact(id, fact),
            CallOutput::Record(record) => {
                let complete = record.complete;
                self.end_ladder(&record, now);
                self.durable.push_back(Output::Record(record));
                self.admission.release(id);
                if complete {
                    self.forget(id);
                }
            }
            CallOutput::Recording(news) => self.durable.push_back(Output::Recording(news)),
            CallOutput::Keep => drop(self.to_keep.insert(id)),
        }
    }

    /// The record is complete: nothing of the call is left.
    fn forget(&mut self, id: CallId) {
        self.drop_refer(id);
        let Some(entry) = self.calls.remove(&id) else { return };
        self.timers.replace(Owner::Call(id), entry.due, None);
        if entry.kept {
            self.outputs.push_back(Output::Keep { key: kept_as(id), value: None });
        }
        for recording in &entry.recordings {
            self.recordings.remove(recording);
        }
        for way in &entry.ways {
            self.went_over.remove(way);
        }
        for leg in &entry.media_legs {
            self.media_legs.remove(leg);
            self.unanswered.remove(leg);
            self.take_events.remove(leg);
            self.forget_keys(*leg);
            self.door.forget(*leg);
        }
    }

    fn order_leg(&mut self, id: CallId, leg: LegId, order: LegOrder, now: Now) {
        match order {
            LegOrder::Answer { sdp } => self.endpoint.answer(leg, sdp, now),
            LegOrder::Ring { sdp } => self.ring(id, leg, sdp, now),
            LegOrder::Refuse { why } => {
                self.legs.remove(&leg);
                self.endpoint.hang_up(leg, refusal(why), now);
            }
            LegOrder::Dial { extension, profile, sdp } => match self.outside_at(&extension) {
                Some(it) => self.ring_outside((id, leg), it, sdp, now),
                None => self.dial_phones((id, leg), &extension, profile, &sdp, now),
            },
            LegOrder::DialOut { number, display, sdp } => {
                self.dial_out((id, leg), number, display, sdp, now);
            }
            LegOrder::HangUp { cause } => {
                self.attempts.remove(&leg);
                if let Some(trunk) = self.guest_ways.remove(&leg) {
                    self.admission.release_out(id, &trunk);
                }
                // The call is done with the leg; its end is nobody's news.
                self.legs.remove(&leg);
                let reason = Some(q850(cause));
                self.endpoint.hang_up(leg, HangUp { status: refusal_of(cause), reason }, now);
            }
            LegOrder::AcceptOffer { sdp } => self.endpoint.accept_offer(leg, sdp, now),
            LegOrder::SendKeys { keys } => self.send_keys(id, leg, keys, now),
            LegOrder::RefuseOffer { status } => self.endpoint.refuse_offer(leg, status, now),
        }
    }

    /// 180, and for a carrier that can do it reliably our description in a 183 before.
    fn ring(&mut self, id: CallId, leg: LegId, sdp: String, now: Now) {
        let carrier = self.calls.get(&id).filter(|it| it.call.caller_leg() == leg);
        let trunk = carrier.and_then(|it| self.admission.trunk(&it.arrival.trunk));
        self.traffic.rang(id, now);
        if trunk.is_some_and(|it| it.prack) {
            self.endpoint.ring_reliably(leg, sdp, now);
        } else {
            self.endpoint.ring(leg, None, now);
        }
    }

    fn enqueue(
        &mut self,
        id: CallId,
        groups: Vec<GroupId>,
        (priority, ring_limit, reject): (u8, Option<Duration>, EarlyReject),
        now: Now,
    ) {
        let Some(owner) = groups.first().cloned() else {
            return self.refuse_queue(id, &GroupId::new(""), QueueRefusal::UnknownGroup, now);
        };
        if reject.no_agents && !self.is_staffed(&groups) {
            return self.refuse_queue(id, &owner, QueueRefusal::NoAgents, now);
        }
        let ticket = self.new_ticket();
        let Some(entry) = self.calls.get_mut(&id) else { return };
        entry.ring_limit = ring_limit;
        let entered = *entry.entered.get_or_insert(now.mono);
        let wish = Enqueue { ticket, call: id, groups, priority, entered };
        match self.dispatcher.enqueue_ringing(wish, ring_limit, now) {
            Ok(position) => self.step(id, now, |call, env, now| {
                call.enqueued((ticket, &owner, priority), position, env, now);
            }),
            Err(EnqueueRefused::Full) => self.refuse_queue(id, &owner, QueueRefusal::Full, now),
            Err(EnqueueRefused::UnknownGroup) => {
                self.refuse_queue(id, &owner, QueueRefusal::UnknownGroup, now);
            }
        }
    }

    fn refuse_queue(&mut self, id: CallId, group: &GroupId, why: QueueRefusal, now: Now) {
        self.step(id, now, |call, env, now| call.enqueue_refused(group, why, env, now));
    }

    /// Somebody of one of the groups is signed in.
    fn is_staffed(&self, groups: &[GroupId]) -> bool {
        groups.iter().any(|it| self.staff.of(it) > 0)
    }

    /// Media did not get an order of this call's.
    pub(super) fn order_lost(&mut self, order: &Order, now: Now) {
        let call = match order {
            Order::Open { leg, .. }
            | Order::Answer { leg, .. }
            | Order::Reoffer { leg, .. }
            | Order::Describe { leg }
            | Order::Play(Play { leg, .. })
            | Order::Stop { leg, .. }
            | Order::SendKeys { leg, .. }
            | Order::HeedTones { leg }
            | Order::Close { leg } => self.media_legs.get(leg),
            Order::Mix { hears } => hears.first().and_then(|it| self.media_legs.get(&it.listener)),
            Order::Record { recording, .. }
            | Order::RecordSource { recording, .. }
            | Order::RecordMute { recording, .. }
            | Order::StopRecord { recording } => self.recordings.get(recording),
            Order::Hello { .. } => None,
        };
        if let Some(id) = call.copied() {
            self.step(id, now, |call, env, now| call.order_lost(env, now));
        }
    }
}

/// A Reason (RFC 3326).
fn q850(cause: u8) -> String {
    let mut reason = String::with_capacity("Q.850;cause=127".len());
    reason.push_str("Q.850;cause=");
    push_digits::<10>(&mut reason, cause.into(), 1);
    reason
}

/// What a caller whom we do not take is told: the status, and why in the words of his network.
pub(super) fn refusal(why: RefusedWhy) -> HangUp {
    HangUp { status: why.status(), reason: Some(q850(why.cause())) }
}

/// The status for a Q.850 cause when the call was not answered yet.
const fn refusal_of(cause: u8) -> u16 {
    match cause {
        1 => 404,
        17 => 486,
        21 => 603,
        34 | 38 | 41 | 42 => 503,
        _ => 480,
    }
}
