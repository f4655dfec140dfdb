//! What outlives the control process, and how it is taken up again.

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_agent::{Agent, LineEvent};
use hotline_base::{
    AgentNo, CallId, Extension, LegId, Now, OfferId, TrunkId, media::Order, push_digits,
};
use hotline_call::{Call, SavedCall};
use hotline_cdr::{CallFact, CalledParty, EndReason, Party, Stamped, fold};
use hotline_sip::HangUp;
use hotline_trunk::Way;

use super::{
    Arc, CallEntry, Output, Switchboard,
    desk_phones::REFER_KEPT,
    look::Arrived,
    parties::{Holding, Via},
};
use crate::{
    io::Count,
    region::{Region, Regions},
    timers::Owner,
};

/// A call and its dialogs.
#[derive(BorshDeserialize, BorshSerialize)]
struct KeptCall<'a> {
    form: u8,
    saved: SavedCall<'a>,
    dialogs: Vec<Vec<u8>>,
}

/// The form of [`KeptCall`]; other forms are not read.
const FORM: u8 = 3;

/// Under which key a call outlives the process.
pub(super) fn kept_as(id: CallId) -> String {
    let mut key = String::with_capacity("call/18446744073709551615".len());
    key.push_str("call/");
    push_digits::<10>(&mut key, id.0, 1);
    key
}

impl Switchboard {
    /// Writes down what a later control process needs to end this call well.
    pub(super) fn keep_call(&mut self, id: CallId) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        let value = entry.call.save().and_then(|saved| {
            let dialogs = saved.legs().filter_map(|it| self.endpoint.save(it)).collect();
            let kept = KeptCall { form: FORM, saved, dialogs };
            // It waits for the disk, and shall take no more room there than it needs.
            self.scratch.clear();
            kept.serialize(&mut self.scratch).ok()?;
            Some(self.scratch.as_slice().to_vec())
        });
        if value.is_some() || entry.kept {
            entry.kept = value.is_some();
            self.outputs.push_back(Output::Keep { key: kept_as(id), value });
        }
    }

    /// First phones, then agents, then calls: each needs the one before.
    pub(super) fn restore(&mut self, entries: Vec<(String, Vec<u8>)>, now: Now) {
        self.awaits_inventory = true;
        self.restore_traffic(&entries, now);
        for (key, value) in &entries {
            if key.starts_with("phone/") {
                self.restore_phone(key, value, now);
            }
        }
        for (key, value) in &entries {
            if let Some(no) = key.strip_prefix("agent/") {
                self.restore_agent(key, &AgentNo::new(no), value, now);
            }
        }
        for (key, value) in &entries {
            if key.starts_with("call/") {
                match KeptCall::try_from_slice(value) {
                    Ok(kept) if kept.form == FORM => self.restore_call(kept, now),
                    Ok(_) | Err(_) => self.not_restored(key),
                }
            }
        }
        for (key, value) in entries.iter().filter(|it| it.0.starts_with(REFER_KEPT)) {
            self.restore_refer(key, value, now);
        }
        // Last, so that who talks without a registered phone goes on talking.
        self.miss_phones(now);
    }

    /// Agents whose phones are not there any more, or do not react.
    fn miss_phones(&mut self, now: Now) {
        let gone = |(extension, _): &(&Extension, _)| !self.endpoint.is_reachable(extension, now);
        let gone: Vec<_> = self.desks.iter().filter(gone).map(|it| it.1.clone()).collect();
        for no in gone {
            if let Some(agent) = self.agents.get_mut(&no) {
                agent.device_lost(now);
            }
            self.agent_changed(&no, now);
        }
    }

    pub(super) fn forget_kept(&mut self, key: &str) {
        self.outputs.push_back(Output::Keep { key: key.to_owned(), value: None });
    }

    pub(super) fn not_restored(&mut self, key: &str) {
        self.outputs.push_back(Output::Count(Count::NotRestored));
        self.forget_kept(key);
    }

    fn restore_agent(&mut self, key: &str, no: &AgentNo, value: &[u8], now: Now) {
        let Some(config) = self.agents.get(no).map(|it| it.config().clone()) else {
            return self.forget_kept(key);
        };
        let Some(agent) = Agent::restore(config, value, now) else {
            return self.not_restored(key);
        };
        if let Some(extension) = agent.extension() {
            self.desks.seat(no, Some(extension));
        }
        self.agents.insert(no.clone(), agent);
        self.agent_changed(no, now);
    }

    fn restore_call(&mut self, kept: KeptCall<'_>, now: Now) {
        let KeptCall { saved, dialogs, .. } = kept;
        let id = saved.call;
        for dialog in dialogs {
            if let Some(leg) = self.endpoint.restore(&dialog, now) {
                self.legs.insert(leg, id);
            }
        }
        let media_legs: Vec<_> = saved.legs().collect();
        self.media_legs.extend(media_legs.iter().map(|it| (*it, id)));
        let recordings = saved.recordings.clone();
        self.recordings.extend(recordings.iter().map(|it| (it.clone(), id)));
        let arrival = arrived_of(&saved.facts, &self.config.regions, now);
        if let Some(arrival) = &arrival {
            let way = if is_outbound(&saved.facts) { Way::Out } else { Way::In };
            self.admission.adopt(id, &arrival.trunk, way);
        }
        self.restore_ladder(&saved, arrival.as_ref(), now);
        self.restore_credentials(&saved, arrival.as_ref());
        self.seat_all(&saved, now);
        let heeded = self.heeded(&saved, arrival.as_ref());
        let mut call = Call::restore(saved, Arc::clone(&self.call_config), now);
        for leg in heeded {
            call.heed_tones(leg);
        }
        for (no, agent) in &mut self.agents {
            if agent.call() == Some(id) {
                agent.set_muted(call.is_muted(no));
            }
        }
        let entry = CallEntry {
            call,
            arrival: arrival.unwrap_or_default(),
            ring_limit: None,
            earlier_hours: Vec::new(),
            entered: None,
            kept: true,
            due: None,
            media_legs,
            recordings,
            ways: Vec::new(),
        };
        self.calls.insert(id, Box::new(entry));
        self.step(id, now, |_, _, _| ());
    }

    /// The legs whose trunks say that their busy tone is a hang-up.
    fn heeded(&self, saved: &SavedCall<'_>, arrival: Option<&Arrived>) -> Vec<LegId> {
        let main = saved.caller.zip(arrival).filter(|_| is_outbound(&saved.facts));
        let main = main.map(|(leg, it)| (leg, &it.trunk));
        let outside =
            others(saved).filter_map(|(offer, leg)| Some((leg, went_out(&saved.facts, offer)?.0)));
        let ends = |trunk| self.admission.trunk(trunk).is_some_and(|it| it.busy_tone_ends);
        let legs = main.into_iter().chain(outside).filter(|it| ends(it.1));
        legs.map(|it| it.0).collect()
    }

    /// Secrets are not on the disk: who we are in the calls over a trunk is looked up again.
    fn restore_credentials(&mut self, saved: &SavedCall<'_>, arrival: Option<&Arrived>) {
        // Of a call that goes out `called` is the number that is shown: our own in either case.
        let main = saved.caller.zip(arrival).map(|(leg, it)| (leg, &it.trunk, &*it.called));
        let guests = others(saved).filter_map(|(offer, leg)| {
            let (trunk, display) = went_out(&saved.facts, offer)?;
            Some((leg, trunk, display.as_str()))
        });
        for (leg, trunk, own) in main.into_iter().chain(guests) {
            let at = self.endpoint.peer_of(leg);
            let it = at.and_then(|at| self.credentials_at(trunk, at.ip(), own));
            if let Some(it) = it {
                self.endpoint.set_credentials(leg, it);
            }
        }
    }

    /// Everybody's line is in the call it was in.
    fn seat_all(&mut self, saved: &SavedCall<'_>, now: Now) {
        let id = saved.call;
        if let Some(talk) = &saved.talk {
            let via = if is_outbound(&saved.facts) { Via::Own } else { Via::Direct };
            let held = talk.bridged && (talk.held_by_phone || talk.held_by_desk);
            self.seat((id, talk.offer), &talk.agent, via, (talk.bridged, held), now);
        }
        for guest in &saved.guests {
            match &guest.party {
                CalledParty::Agent { agent, .. } => {
                    self.seat((id, guest.offer), agent, Via::Direct, (true, guest.held), now);
                }
                CalledParty::Outside { .. } => (),
            }
        }
        for (offer, leg) in others(saved) {
            if let Some((trunk, _)) = went_out(&saved.facts, offer) {
                self.admission.adopt(id, trunk, Way::Out);
                self.guest_ways.insert(leg, trunk.clone());
            }
        }
    }

    fn seat(
        &mut self,
        (call, offer): (CallId, OfferId),
        no: &AgentNo,
        via: Via,
        (bridged, held): (bool, bool),
        now: Now,
    ) {
        self.offers.insert(offer, Holding { call, agent: no.clone(), via });
        let Some(agent) = self.agents.get_mut(no) else { return };
        agent.set_call(Some(call));
        let path = [
            Some(LineEvent::Reserve),
            Some(LineEvent::Answer),
            bridged.then_some(LineEvent::Bridge),
            held.then_some(LineEvent::Hold),
        ];
        for event in path.into_iter().flatten() {
            let moved = agent.line_event(event, now);
            debug_assert!(moved.is_ok(), "a restored agent's line is free: {moved:?}");
        }
        self.agent_changed(no, now);
    }

    /// Takes apart a call whose step panicked, without running any more of its code.
    pub(super) fn abandon(&mut self, id: CallId, now: Now) {
        self.from_calls.forget(id);
        let Some(entry) = self.calls.remove(&id) else { return };
        self.timers.replace(Owner::Call(id), entry.due, None);
        let (mut facts, ticket) = entry.call.abandon();
        if let Some(ticket) = ticket {
            self.dispatcher.leave(ticket);
        }
        for leg in entry.media_legs {
            let reason = Some("Q.850;cause=41".to_owned());
            self.endpoint.hang_up(leg, HangUp { status: 500, reason }, now);
            self.legs.remove(&leg);
            self.attempts.remove(&leg);
            self.guest_ways.remove(&leg);
            self.media_legs.remove(&leg);
            self.unanswered.remove(&leg);
            self.outputs.push_back(Output::Order(Order::Close { leg }));
        }
        for recording in entry.recordings {
            self.recordings.remove(&recording);
            self.outputs.push_back(Output::Order(Order::StopRecord { recording }));
        }
        self.admission.release(id);
        let fact =
            CallFact::Ended { by: Party::Platform, reason: EndReason::Internal, cause: None };
        let ended = Arc::new(Stamped { at: now, fact });
        facts.push(Arc::clone(&ended));
        let record = fold(id, true, &facts, self.call_config.short_after);
        self.end_ladder(&record, now);
        self.durable.push_back(Output::Record(Box::new(record)));
        self.say_fact(id, ended);
        if entry.kept {
            self.forget_kept(&kept_as(id));
        }
        self.release_agents_of(id, now);
    }

    fn release_agents_of(&mut self, id: CallId, now: Now) {
        let held: Vec<_> = self
            .offers
            .iter()
            .filter(|(_, it)| it.call == id)
            .map(|(offer, it)| (*offer, it.agent.clone()))
            .collect();
        for (offer, agent) in held {
            self.dispatcher.ended(offer, hotline_acd::OfferEnd::Withdrawn);
            self.offers.remove(&offer);
            self.move_line(&agent, LineEvent::Release, now);
            self.free(&agent);
        }
    }
}

/// Everybody but the caller, by offer and leg.
fn others(saved: &SavedCall<'_>) -> impl Iterator<Item = (OfferId, LegId)> {
    let talk = saved.talk.iter().map(|it| (it.offer, it.leg));
    talk.chain(saved.guests.iter().map(|it| (it.offer, it.leg)))
}

/// Over which trunk who is outside was called last, and the number shown.
fn went_out(facts: &[Arc<Stamped>], of: OfferId) -> Option<(&TrunkId, &String)> {
    facts.iter().rev().find_map(|it| {
        let CallFact::PartyWentOut { offer, trunk, display, .. } = &it.fact else { return None };
        (*offer == of).then_some((trunk, display))
    })
}

fn is_outbound(facts: &[Arc<Stamped>]) -> bool {
    facts.iter().any(|it| matches!(it.fact, CallFact::Dialled { .. }))
}

/// Where a call that goes out went last.
fn went_of(facts: &[Arc<Stamped>], now: Now) -> Option<Arrived> {
    let (t_in, party) = facts.iter().find_map(|it| {
        let CallFact::Dialled { number, .. } = &it.fact else { return None };
        Some((it.at.wall.min(now.wall), number.clone()))
    })?;
    facts.iter().rev().find_map(|it| {
        let CallFact::WentOut { trunk, display, .. } = &it.fact else { return None };
        let (trunk, called) = (trunk.clone(), display.clone());
        Some(Arrived {
            caller: Some(party.clone().into()),
            called: called.into(),
            trunk,
            t_in,
            city: Region::default(),
            user_to_user: None,
        })
    })
}

fn arrived_of(facts: &[Arc<Stamped>], regions: &Regions, now: Now) -> Option<Arrived> {
    if is_outbound(facts) {
        return went_of(facts, now);
    }
    facts.iter().find_map(|it| {
        let CallFact::Arrived(came) = &it.fact else { return None };
        Some(Arrived {
            caller: came.caller.clone().map(Arc::new),
            called: came.called.as_str().into(),
            trunk: came.trunk.clone(),
            t_in: it.at.wall.min(now.wall),
            city: came.caller.as_ref().map_or_else(Region::default, |it| regions.of(it.reveal())),
            user_to_user: None,
        })
    })
}
