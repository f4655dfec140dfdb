//! Between the SIP endpoint and the calls.

use std::collections::VecDeque;

use hotline_base::{CallId, FlowId, LegId, Now, Pii, TrunkId};
use hotline_call::{Arrival, Call, LegEnd, LegEvent};
use hotline_cdr::{CallFact, EndReason, Incoming, Party, RefusedWhy, Signalled, Stamped, fold};
use hotline_ivr::Entry;
use hotline_ladder::Role;
use hotline_sip::{Admit, EndWhy, Event, Flow, Invited};
use hotline_trunk::{Admitted, CallerForms, Refusal};

use super::{
    Arc, CallEntry, Duration, MonoTime, Output, REPEAT_CALLERS_MAX, REPEAT_SPAN, Switchboard,
    calls::refusal, look::Arrived,
};
use crate::{io::Count, region::Region};

impl Switchboard {
    /// A recognised trunk, or the path of a registered phone. Behind a carrier's own proxy phones
    /// look like the carrier.
    pub(super) fn admit(&self, flow: Flow) -> Admit {
        if self.admission.trunk_of(flow.remote).is_some() {
            Admit::Trusted
        } else if self.endpoint.is_phone(flow) {
            Admit::Phone
        } else {
            Admit::Stranger
        }
    }

    pub(super) fn act_on_sip(&mut self, output: hotline_sip::Output, now: Now) {
        match output {
            hotline_sip::Output::Transmit { flow, bytes } => {
                // The ladder shows what the carrier gets.
                let (flow, bytes) = self.adapt(flow, bytes, now);
                self.ladders.sent(flow, &bytes, now);
                self.outputs.push_back(Output::Transmit { flow, bytes });
            }
            hotline_sip::Output::Event(event) => self.act_on_sip_event(event, now),
        }
    }

    fn act_on_sip_event(&mut self, event: Event, now: Now) {
        match event {
            Event::Invited(invited) => {
                self.note_keys(invited.leg, invited.sdp.as_deref());
                self.invited(*invited, now);
            }
            Event::Ringing { leg, sdp, .. } => {
                self.way_rings(leg);
                self.leg(leg, LegEvent::Ringing { sdp }, now);
            }
            Event::Answered { leg, sdp } => {
                self.attempts.remove(&leg);
                self.ringing.remove(&leg);
                self.note_keys(leg, sdp.as_deref());
                self.leg(leg, LegEvent::Answered { sdp }, now);
            }
            Event::Offered { leg, sdp } => {
                self.note_keys(leg, sdp.as_deref());
                self.leg(leg, LegEvent::Offered { sdp }, now);
            }
            Event::Reanswered { leg, sdp } => {
                self.note_keys(leg, sdp.as_deref());
                let sdp = sdp.unwrap_or_default();
                self.leg(leg, LegEvent::Reanswered { sdp }, now);
            }
            Event::Key { leg, key } => {
                let alone = !self.take_events.contains(&leg);
                self.leg(leg, LegEvent::Key { key, alone }, now);
            }
            Event::Ended { leg, why } => {
                self.note_ladder_end(leg, why);
                if self.way_ended(leg, why, now) || self.rings_otherwise(leg, why, now) {
                    return;
                }
                if let Some(end) = leg_end(why) {
                    self.leg(leg, LegEvent::Ended(end), now);
                }
                self.legs.remove(&leg);
            }
            Event::Bound { binding }
            | Event::Unbound { binding, .. }
            | Event::Reachable { binding }
            | Event::Unreachable { binding } => self.phone_changed(&binding.extension, now),
            Event::Stranger { .. } => self.count(Count::Stranger),
            Event::AuthFailed { locks, .. } => {
                self.count(Count::AuthFailed);
                if locks {
                    self.count(Count::LockedOut);
                }
            }
            Event::Probed { probe, status } => self.fleet.probed(probe, status, now.mono),
            Event::Misbehaved { why, .. } => self.count(Count::Misbehaved(why)),
            // The latter three answer what the switchboard never does.
            Event::Confirmed { .. } => (),
            Event::ReofferRefused { .. }
            | Event::RegisterDone { .. }
            | Event::ReferProgress { .. } => (),
            Event::Referred { leg, to, replaces } => self.referred(leg, &to, replaces, now),
            Event::Enrolled(it) => self.enrolled(*it, now),
            Event::Changed { leg } => {
                if let Some(id) = self.legs.get(&leg).copied() {
                    self.to_keep.insert(id);
                }
            }
        }
    }

    fn count(&mut self, what: Count) {
        self.outputs.push_back(Output::Count(what));
    }

    fn leg(&mut self, leg: LegId, event: LegEvent, now: Now) {
        if let Some(id) = self.legs.get(&leg).copied() {
            self.step(id, now, |call, env, now| call.handle_leg(leg, event, env, now));
        }
    }

    fn invited(&mut self, mut it: Invited, now: Now) {
        if let Some(extension) = it.phone.clone() {
            return self.phone_calls(it, &extension, now);
        }
        // Only an agent's own telephone may.
        if it.replaces.is_some() {
            return self.endpoint.refuse(it.leg, 403, now);
        }
        let trunk = self.recognise(&mut it);
        self.rewrite_numbers(&mut it);
        let id = self.new_call();
        let (called, forms) = (&it.request_user, forms_of(&it));
        let admitted = self.admission.admit(id, trunk.as_ref(), called, &forms, now.mono);
        match (admitted, self.closed().or_else(|| self.door.no_room())) {
            (Ok(admitted), None) => self.arrived(id, it, admitted, now),
            (Ok(admitted), Some(why)) => {
                self.admission.release(id);
                self.refused(id, &it, (trunk, Some(admitted.flow)), why, now);
            }
            (Err(Refusal::UnknownNumber), _) => {
                self.refused(id, &it, (trunk, None), RefusedWhy::UnknownNumber, now);
            }
            (Err(Refusal::OverLimit), _) => {
                self.refused(id, &it, (trunk, None), RefusedWhy::OverLimit, now);
            }
            (Err(Refusal::TooFast), _) => {
                self.refused(id, &it, (trunk, None), RefusedWhy::TooFast, now);
            }
            // A registered phone that dials: outbound calls have their own issue.
            (Err(Refusal::UnknownSource), _) => {
                self.endpoint.refuse(it.leg, 403, now);
                self.count(Count::Stranger);
            }
        }
    }

    /// Why no call can be taken now.
    pub(super) const fn closed(&self) -> Option<RefusedWhy> {
        if self.draining {
            Some(RefusedWhy::Draining)
        } else if !self.spool_healthy {
            Some(RefusedWhy::SpoolDown)
        } else if !self.media_up {
            Some(RefusedWhy::MediaDown)
        } else {
            None
        }
    }

    /// Refused on the wire, and recorded: every call that reached us has one record, while there is
    /// room for it.
    fn refused(
        &mut self,
        id: CallId,
        it: &Invited,
        (trunk, flow): (Option<TrunkId>, Option<FlowId>),
        why: RefusedWhy,
        now: Now,
    ) {
        let Some(trunk) = trunk else { return };
        // Whoever did not get through is to be called back.
        let (who, whom) = self.admission.parties(&trunk, &it.request_user, &forms_of(it));
        self.join_ladder(id, it.leg, Role::Carrier(trunk.clone()), now);
        self.ladders.fail(id);
        self.ladders.end(id, now);
        let facts = [
            CallFact::Arrived(Arc::new(Incoming {
                leg: it.leg,
                trunk,
                caller: who.number,
                caller_raw: who.raw,
                restricted: who.restricted,
                called: whom.map_or_else(|| it.request_user.clone(), |it| it.norm),
                called_raw: it.request_user.clone(),
                flow,
                bundle: self.config.bundle.hash.clone(),
            })),
            CallFact::Refused { status: why.status(), why },
            CallFact::Ended { by: Party::Platform, reason: EndReason::Refused, cause: None },
        ];
        let facts: Vec<_> = facts.map(|fact| Arc::new(Stamped { at: now, fact })).to_vec();
        let short = self.call_config.short_after;
        self.durable.push_back(Output::Record(Box::new(fold(id, true, &facts, short))));
        for fact in facts {
            self.say_fact(id, fact);
        }
        if why == RefusedWhy::Draining {
            self.endpoint.refuse_until(it.leg, refusal(why).reason, DRAIN_PAUSE, now);
        } else {
            self.endpoint.hang_up(it.leg, refusal(why), now);
        }
    }

    fn arrived(&mut self, id: CallId, it: Invited, admitted: Admitted, now: Now) {
        let Admitted { trunk, caller, called, row, flow } = admitted;
        self.join_ladder(id, it.leg, Role::Carrier(trunk.clone()), now);
        let credentials = self.credentials_at(&trunk, it.flow.remote.ip(), &called.norm);
        let number = caller.number.as_ref().map(|it| it.reveal().as_str());
        let earlier_hours = self.remember_caller(number, now.mono);
        let params = self.config.number_params.get(row).cloned().unwrap_or_default();
        let bundle = Arc::clone(&self.config.bundle);
        let entry = Entry {
            flow: flow.clone(),
            row_params: params,
            call_id: id.to_string(),
            from: caller.number.clone().unwrap_or_else(|| Pii::new(String::new())),
            to: called.raw.clone(),
            dnis: called.norm.clone(),
            trunk: trunk.as_str().to_owned(),
            started_at: now.wall,
            recording_id: String::new(),
        };
        let arrival = Arrived {
            city: number.map_or_else(Region::default, |it| self.config.regions.of(it)),
            caller: caller.number.clone().map(Arc::new),
            called: called.norm.as_str().into(),
            trunk: trunk.clone(),
            t_in: now.wall,
            user_to_user: it.user_to_user.clone(),
        };
        let call = Call::new(
            Arrival {
                call: id,
                leg: it.leg,
                trunk,
                caller: caller.number,
                caller_raw: caller.raw,
                restricted: caller.restricted,
                called: called.norm,
                called_raw: called.raw,
                flow,
                offer: it.sdp,
                signalled: Signalled {
                    preferred: it.preferred,
                    diverted_from: it.diverted.as_ref().map(|it| it.from.clone()),
                    diverted_why: it.diverted.map(|it| it.reason).unwrap_or_default(),
                    user_to_user: it.user_to_user,
                },
                entry,
                bundle,
            },
            Arc::clone(&self.call_config),
            now,
        );
        if let Some(credentials) = credentials {
            self.endpoint.set_credentials(it.leg, credentials);
        }
        self.legs.insert(it.leg, id);
        self.media_legs.insert(it.leg, id);
        let entry = CallEntry {
            call,
            arrival,
            ring_limit: None,
            earlier_hours,
            entered: None,
            kept: false,
            due: None,
            media_legs: vec![it.leg],
            recordings: Vec::new(),
            ways: Vec::new(),
        };
        self.calls.insert(id, Box::new(entry));
        self.step(id, now, |_, _, _| ());
    }

    /// Notes the call and gives the hours since this caller's earlier calls of the last day.
    fn remember_caller(&mut self, number: Option<&str>, now: MonoTime) -> Vec<u32> {
        let Some(number) = number else { return Vec::new() };
        let number = [number.as_bytes()];
        if !self.repeats.contains_key(&number) {
            self.make_room_for_caller(now);
            self.repeats.insert(&number, VecDeque::new());
        }
        let Some(calls) = self.repeats.get_mut(&number) else { return Vec::new() };
        calls.retain(|it| now.since(*it) < REPEAT_SPAN);
        let hours = calls.iter().rev().map(|it| now.since(*it).as_secs() / 3600);
        let hours = hours.filter_map(|it| u32::try_from(it).ok()).collect();
        calls.push_back(now);
        hours
    }

    fn make_room_for_caller(&mut self, now: MonoTime) {
        if self.repeats.len() < REPEAT_CALLERS_MAX {
            return;
        }
        let mut span = REPEAT_SPAN / 2;
        // Room for many, so that not every call has to look at everybody.
        while self.repeats.len() >= REPEAT_CALLERS_MAX / 10 * 9 {
            self.repeats.retain(|calls| calls.back().is_some_and(|it| now.since(*it) < span));
            span /= 2;
        }
    }
}

/// What an INVITE says of who calls.
fn forms_of(it: &Invited) -> CallerForms<'_> {
    CallerForms {
        asserted: it.asserted.as_ref().map(|it| it.reveal().as_str()),
        from: it.from_user.reveal(),
        anonymous: it.anonymous_from,
        privacy_id: it.privacy_id,
    }
}

/// How long a carrier leaves us alone when we go down as planned: a restart takes less.
const DRAIN_PAUSE: Duration = Duration::from_secs(30);

/// `None` for our own doing, which the call knows.
const fn leg_end(why: EndWhy) -> Option<LegEnd> {
    Some(match why {
        EndWhy::Bye { cause } => LegEnd::HungUp { cause },
        EndWhy::Cancelled => LegEnd::Cancelled,
        EndWhy::Refused { status, cause } => LegEnd::Refused { status, cause },
        EndWhy::NoAnswer => LegEnd::NoAnswer,
        EndWhy::NoResponse => LegEnd::NoResponse,
        EndWhy::AckMissing => LegEnd::AckMissing,
        EndWhy::ConnectionGone => LegEnd::PeerGone,
        EndWhy::Expired => LegEnd::Expired,
        EndWhy::Local => return None,
    })
}
