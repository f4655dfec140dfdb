//! Calls that go out: who may dial what, over which trunk, and the next trunk when one does not
//! take the call.

use std::collections::{BTreeSet, VecDeque};

use hotline_agent::{Action, Agent, LineEvent, Refused, Target};
use hotline_base::{AgentNo, CallId, GroupId, LegId, Now, Pii, TrunkId};
use hotline_call::{Call, Dialling, LegEnd, LegEvent, NetworkSound, PhoneCall};
use hotline_cdr::RefusedWhy;
use hotline_ladder::Role;
use hotline_sip::{Dial, EndWhy};
use hotline_trunk::{
    Barred, DialPlan, GatewayConfig, GatewayId, NumberOf, Purpose, Refusal, normalise_caller,
    rewrite, trunks_for,
};

use super::{
    Arc, CallEntry, Duration, Output, Switchboard,
    look::Arrived,
    parties::{Holding, Via},
};
use crate::{Alarm, Dialer};

/// A gateway that says nothing for so long is not waited for (requirement R10).
const SILENCE: Duration = Duration::from_secs(1);

/// A call on its way out, until somebody takes it.
#[derive(Debug)]
pub(super) struct Attempt {
    call: CallId,
    number: Pii<String>,
    /// The number wished to be shown.
    display: Option<String>,
    sdp: String,
    ring_limit: Option<Duration>,
    purpose: Purpose,
    /// What may still be tried, best first.
    ways: VecDeque<GatewayId>,
    at: Option<GatewayId>,
    /// A telephone rings or the network speaks: from now on this is the only call there is.
    rings: bool,
    /// What the call is told when nothing is left.
    last: LegEnd,
}

impl Switchboard {
    /// 外呼 by an agent: checks everything that can be known, then rings his own telephone.
    pub(super) fn dial(
        &mut self,
        no: &AgentNo,
        number: &Pii<String>,
        display: Option<&String>,
        now: Now,
    ) -> Result<(), Refused> {
        self.dial_from(no, number, (display, false), None, now)
    }

    /// 外呼 to an entry of the directory, which is the permission. Agents and groups are reached in a
    /// call only.
    pub(super) fn dial_listed(
        &mut self,
        no: &AgentNo,
        entry: &str,
        display: Option<&String>,
        now: Now,
    ) -> Result<(), Refused> {
        self.agents.get(no).ok_or(Refused::UnknownAgent)?;
        let (to, listed) = self.look_up(no, &Target::Entry(entry.to_owned()), now)?;
        let Target::Number(number) = to else { return Err(Refused::NotANumber) };
        self.dial_from(no, &number, (display, listed), None, now)
    }

    /// 外呼 by the agent's telephone, which called us: what is permitted is the same.
    pub(super) fn dial_by_phone(
        &mut self,
        no: &AgentNo,
        number: &Pii<String>,
        phone: PhoneCall,
        now: Now,
    ) -> Result<(), Refused> {
        self.dial_from(no, number, (None, false), Some(phone), now)
    }

    fn dial_from(
        &mut self,
        no: &AgentNo,
        number: &Pii<String>,
        shown: (Option<&String>, bool),
        phone: Option<PhoneCall>,
        now: Now,
    ) -> Result<(), Refused> {
        let agent = self.agents.get(no).ok_or(Refused::UnknownAgent)?;
        if !agent.allows(Action::Dial) {
            let display = agent.display();
            return Err(Refused::WrongState { display, command: Action::Dial });
        }
        if self.is_closed_to(number) {
            return Err(Refused::Closed);
        }
        let (number, display, emergency) = self.passed(no, number, shown, now)?;
        self.begin_dialling(no, (number, display, emergency), phone, now)
    }

    /// Whether nobody can be called there now. For 110 a record that waits for its disk, or a
    /// drain, is no reason; no voice is one.
    pub(super) fn is_closed_to(&self, number: &Pii<String>) -> bool {
        let area_code = self.config.outbound.area_code.as_deref();
        let dialled = normalise_caller(number.reveal(), area_code);
        let emergency = dialled.is_some_and(|it| self.guard.is_emergency(&it));
        if emergency { !self.media_up } else { self.closed().is_some() }
    }

    /// What an agent may call, normalised, with the number to be shown, and whether it is for
    /// emergencies. A permission counts as a call.
    pub(super) fn permitted(
        &mut self,
        no: &AgentNo,
        number: &Pii<String>,
        display: Option<&String>,
        now: Now,
    ) -> Result<(Pii<String>, Option<String>, bool), Refused> {
        self.passed(no, number, (display, false), now)
    }

    /// The same without a wish for the number shown. What the directory lists needs no plan; it
    /// counts like any call.
    pub(super) fn permitted_if(
        &mut self,
        no: &AgentNo,
        number: &Pii<String>,
        listed: bool,
        now: Now,
    ) -> Result<(Pii<String>, Option<String>, bool), Refused> {
        self.passed(no, number, (None, listed), now)
    }

    fn passed(
        &mut self,
        no: &AgentNo,
        number: &Pii<String>,
        (display, listed): (Option<&String>, bool),
        now: Now,
    ) -> Result<(Pii<String>, Option<String>, bool), Refused> {
        let outbound = &self.config.outbound;
        let number = normalise_caller(number.reveal(), outbound.area_code.as_deref())
            .ok_or(Refused::NotANumber)?;
        let emergency = self.guard.is_emergency(&number);
        // A slip in a wish must not be shown as another number without a word; for 110 it may.
        if display.is_some_and(|it| !emergency && !self.admission.is_own(it)) {
            return Err(Refused::NotOwnNumber);
        }
        let dialer = outbound.dialers.get(no);
        let call = self.agents.get(no).and_then(Agent::call);
        if self.trunks_out(call, dialer, &number, now).is_empty() {
            return Err(Refused::NoTrunk);
        }
        let plan = dialer.and_then(|it| it.plan.as_ref());
        let just_this = listed.then(|| DialPlan::just(&number, plan));
        let passed = self.guard.pass(no, just_this.as_ref().or(plan), &number, now.mono);
        let display = display.or_else(|| dialer.and_then(|it| it.display.as_ref())).cloned();
        match passed {
            Ok(()) => Ok((Pii::new(number), display, emergency)),
            Err(why) => Err(self.barred(no, why)),
        }
    }

    fn barred(&mut self, agent: &AgentNo, why: Barred) -> Refused {
        match why {
            Barred::NoPlan | Barred::NotInPlan => Refused::NotPermitted,
            Barred::TooOften => Refused::TooManyCalls,
            Barred::Abroad { began } => {
                if began {
                    let alarm = Alarm::AbroadBlocked { agent: agent.clone() };
                    self.outputs.push_back(Output::Alarm(alarm));
                }
                Refused::AbroadBlocked
            }
        }
    }

    fn begin_dialling(
        &mut self,
        no: &AgentNo,
        (number, display, emergency): (Pii<String>, Option<String>, bool),
        phone: Option<PhoneCall>,
        now: Now,
    ) -> Result<(), Refused> {
        let call = self.new_call();
        let agent = self.agents.get_mut(no).ok_or(Refused::UnknownAgent)?;
        let extension = agent.extension().cloned().ok_or(Refused::NotRegistered)?;
        let group = agent.config().groups.first().map(|it| it.0.clone());
        agent.line_event(LineEvent::Dial, now)?;
        agent.set_call(Some(call));
        let (agent_leg, profile, described) = match phone {
            Some((leg, offer, profile)) => (leg, profile, Some(offer)),
            None => (self.endpoint.new_leg(), self.best_profile(&extension, now), None),
        };
        let leg = self.endpoint.new_leg();
        let offer = self.dispatcher.new_offer();
        let dialling = Dialling {
            call,
            offer,
            agent: no.clone(),
            extension: extension.clone(),
            group: group.unwrap_or_else(|| GroupId::new("")),
            agent_leg,
            profile,
            leg,
            number: number.clone(),
            display,
            emergency,
        };
        self.legs.insert(agent_leg, call);
        self.media_legs.insert(agent_leg, call);
        self.media_legs.insert(leg, call);
        let holding = Holding { call, agent: no.clone(), via: Via::Own };
        self.offers.insert(offer, holding);
        let arrival = Arrived { caller: Some(number.into()), t_in: now.wall, ..Arrived::default() };
        let config = Arc::clone(&self.call_config);
        let by_phone = described.is_some();
        let entry = CallEntry {
            call: match described {
                Some(offer) => Call::dial_by_phone(dialling, offer, config, now),
                None => Call::dial(dialling, config, now),
            },
            arrival,
            ring_limit: Some(self.config.outbound.agent_ring_limit),
            earlier_hours: Vec::new(),
            entered: None,
            kept: false,
            due: None,
            media_legs: vec![agent_leg, leg],
            recordings: Vec::new(),
            ways: Vec::new(),
        };
        self.calls.insert(call, Box::new(entry));
        if by_phone {
            self.join_ladder(call, agent_leg, Role::Phone(extension), now);
        }
        self.step(call, now, |_, _, _| ());
        Ok(())
    }

    /// The trunks that lead to a number and have gateways, best first: by the city of the caller in
    /// whose call somebody is called, then by the agent's. An emergency call goes over any trunk.
    pub(super) fn trunks_out(
        &self,
        call: Option<CallId>,
        dialer: Option<&Dialer>,
        number: &str,
        now: Now,
    ) -> Vec<TrunkId> {
        let caller = call.and_then(|it| self.calls.get(&it)).map(|it| it.arrival.city.text());
        let agent = dialer.and_then(|it| it.city.clone());
        let cities: Vec<_> = caller.into_iter().chain(agent).filter(|it| !it.is_empty()).collect();
        let cities: Vec<_> = cities.iter().map(String::as_str).collect();
        let mut trunks = trunks_for(&self.config.outbound.routes, number, &cities, now.wall);
        if self.guard.is_emergency(number) {
            let others = self.config.trunks.iter().map(|it| it.id.clone());
            let others: Vec<_> = others.filter(|it| !trunks.contains(it)).collect();
            trunks.extend(others);
        }
        trunks.retain(|it| self.fleet.gateways(it).next().is_some());
        trunks
    }

    /// The call wants to go out now.
    pub(super) fn dial_out(
        &mut self,
        (call, leg): (CallId, LegId),
        number: Pii<String>,
        display: Option<String>,
        sdp: String,
        now: Now,
    ) {
        let agent = self.calls.get(&call).and_then(|it| it.call.responsible()).cloned();
        let whom = (number, display, Some(self.config.outbound.ring_limit));
        self.dial_over((call, leg), agent.as_ref(), whom, sdp, now);
    }

    /// Calls a number, normalised, over the trunks that lead there for this agent.
    pub(super) fn dial_over(
        &mut self,
        (call, leg): (CallId, LegId),
        agent: Option<&AgentNo>,
        (number, display, ring_limit): (Pii<String>, Option<String>, Option<Duration>),
        sdp: String,
        now: Now,
    ) {
        let dialer = agent.and_then(|it| self.config.outbound.dialers.get(it));
        let emergency = self.guard.is_emergency(number.reveal());
        // A call that came in goes on to somebody outside by what is kept free for that.
        let came_in = self.calls.get(&call).is_some_and(|it| !it.call.is_outbound());
        let purpose = match (emergency, came_in) {
            (true, _) => Purpose::Emergency,
            (false, true) => Purpose::Transfer,
            (false, false) => Purpose::Call,
        };
        let mut ways = Vec::new();
        for trunk in self.trunks_out(Some(call), dialer, number.reveal(), now) {
            ways.extend(self.fleet.order(&trunk, &mut self.random));
        }
        ways.sort_by_key(|it| self.doubts(it));
        let attempt = Attempt {
            call,
            number,
            display,
            sdp,
            ring_limit,
            purpose,
            ways: ways.into(),
            at: None,
            rings: false,
            last: LegEnd::Refused { status: 503, cause: None },
        };
        self.legs.insert(leg, call);
        self.attempts.insert(leg, attempt);
        self.next_way(leg, now);
    }

    /// Tries the next gateway, or tells the call that there is none left.
    fn next_way(&mut self, leg: LegId, now: Now) {
        let mut full = BTreeSet::new();
        while let Some(attempt) = self.attempts.get_mut(&leg) {
            let Some(way) = attempt.ways.pop_front() else { break };
            if full.contains(&way.trunk) {
                continue;
            }
            let taken =
                self.admission.take_out(attempt.call, &way.trunk, attempt.purpose, now.mono);
            if let Err(refusal) = taken {
                let (call, trunk) = (attempt.call, way.trunk.clone());
                let is_fast = refusal == Refusal::TooFast;
                let why = if is_fast { RefusedWhy::TooFast } else { RefusedWhy::OverLimit };
                self.step(call, now, |call, _, now| call.way_full(trunk, why, now));
                full.insert(way.trunk);
                continue;
            }
            if self.go(leg, way, now) {
                return;
            }
        }
        let Some(attempt) = self.attempts.remove(&leg) else { return };
        self.legs.remove(&leg);
        let gone = LegEvent::Ended(attempt.last);
        self.step(attempt.call, now, |call, env, now| call.handle_leg(leg, gone, env, now));
    }

    /// Sends the INVITE over a way whose channel is taken. `false`: nothing can be shown there.
    fn go(&mut self, leg: LegId, way: GatewayId, now: Now) -> bool {
        let Some(attempt) = self.attempts.get_mut(&leg) else { return false };
        let call = attempt.call;
        let display = self.admission.display(&way.trunk, attempt.display.as_deref());
        let (Some(display), Some(gateway)) = (display.map(str::to_owned), self.fleet.config(&way))
        else {
            self.admission.release_out(call, &way.trunk);
            return false;
        };
        let gateway = *gateway;
        let (sdp, ring_limit) = (attempt.sdp.clone(), attempt.ring_limit);
        attempt.at = Some(way.clone());
        let number = attempt.number.clone();
        let mut dial = self.invitation(&way, &gateway, number.reveal(), &display, sdp);
        dial.ring_limit = ring_limit;
        self.endpoint.dial(leg, dial, now);
        self.note_way(call, leg, &way.trunk);
        self.join_ladder(call, leg, Role::Carrier(way.trunk.clone()), now);
        if let Some(entry) = self.calls.get_mut(&call) {
            if entry.call.caller_leg() == leg {
                entry.arrival.trunk = way.trunk.clone();
                entry.arrival.called = display.as_str().into();
            } else {
                self.guest_ways.insert(leg, way.trunk.clone());
            }
        }
        let gateway = gateway.address.to_string();
        let trunk = self.admission.trunk(&way.trunk);
        let early = trunk.is_none_or(|it| it.early_media);
        let tones = trunk.is_some_and(|it| it.busy_tone_ends);
        let trunk = (way.trunk, NetworkSound { early, tones });
        self.step(call, now, |call, _, now| call.went_out(leg, trunk, gateway, display, now));
        true
    }

    /// The INVITE as this carrier wants to read it.
    fn invitation(
        &self,
        way: &GatewayId,
        gateway: &GatewayConfig,
        number: &str,
        display: &str,
        sdp: String,
    ) -> Dial {
        let rules = self.config.rules.get(&way.trunk);
        let written = |of, it: &str| match rules {
            Some(rules) => rewrite(&rules.numbers_out, of, it).0,
            None => it.to_owned(),
        };
        let (number, shown) =
            (written(NumberOf::Called, number), written(NumberOf::Caller, display));
        let identity = self.identity_for(way, display);
        let domain = identity.as_ref().map(|it| it.domain.clone());
        let own_host = || self.own_host(gateway).to_string();
        let pai = format!("<sip:{shown}@{}>", domain.clone().unwrap_or_else(own_host));
        let mut headers = vec![("P-Asserted-Identity".to_owned(), pai)];
        let (mut from_user, mut credentials) = (shown, None);
        if let Some(it) = identity {
            headers.extend(it.routes.into_iter().map(|it| ("Route".to_owned(), it)));
            // A carrier knows its account by its name, however the number is written.
            from_user = if it.is_shown { it.user } else { from_user };
            credentials = it.credentials;
        }
        let host = domain.clone().unwrap_or_else(|| gateway.address.to_string());
        Dial {
            target: format!("sip:{number}@{host}"),
            flow: self.flow_to(gateway),
            from_display: String::new(),
            from_user,
            from_host: domain,
            sdp,
            headers,
            ring_limit: None,
            silence_limit: Some(SILENCE),
            credentials,
        }
    }

    /// What speaks against a way out: it is dead, or its accounts are not registered there.
    fn doubts(&self, way: &GatewayId) -> (bool, bool) {
        let accounts = self.admission.trunk(&way.trunk).is_some_and(|it| !it.accounts.is_empty());
        (!self.fleet.lives(way), accounts && !self.registrations.is_held_at(way))
    }

    /// A leg ended before its answer. `true`: it is tried elsewhere, and the call need not know.
    pub(super) fn way_ended(&mut self, leg: LegId, why: EndWhy, now: Now) -> bool {
        let Some(attempt) = self.attempts.get_mut(&leg) else { return false };
        let (status, last) = match why {
            EndWhy::Refused { status: status @ 503, cause } => {
                (status, LegEnd::Refused { status, cause })
            }
            EndWhy::NoResponse => (408, LegEnd::NoResponse),
            EndWhy::ConnectionGone => (408, LegEnd::PeerGone),
            EndWhy::Bye { .. }
            | EndWhy::Cancelled
            | EndWhy::Refused { .. }
            | EndWhy::NoAnswer
            | EndWhy::AckMissing
            | EndWhy::Expired
            | EndWhy::Local => (0, LegEnd::Cancelled),
        };
        if status == 0 || attempt.rings {
            self.attempts.remove(&leg);
            return false;
        }
        attempt.last = last;
        let call = attempt.call;
        if let Some(way) = attempt.at.take() {
            self.admission.release_out(call, &way.trunk);
            self.guest_ways.remove(&leg);
            if status == 408 {
                self.fleet.suspect(&way, now.mono);
            }
            self.step(call, now, |call, _, now| call.way_refused(leg, way.trunk, status, now));
        }
        self.next_way(leg, now);
        true
    }

    /// A gateway died: what it took and does not ring yet goes on to one that lives.
    pub(super) fn leave_gateway(&mut self, gateway: &GatewayId, now: Now) {
        let fleet = &self.fleet;
        let is_stuck = |it: &Attempt| {
            let is_there = it.at.as_ref() == Some(gateway) && !it.rings;
            is_there && it.ways.iter().any(|it| fleet.lives(it))
        };
        let stuck = self.attempts.iter().filter(|it| is_stuck(it.1));
        let stuck: Vec<LegId> = stuck.map(|it| *it.0).collect();
        for leg in stuck {
            self.endpoint.abandon(leg, now);
        }
    }

    /// A telephone rings, or the network speaks: nothing else is tried any more.
    pub(super) fn way_rings(&mut self, leg: LegId) {
        if let Some(attempt) = self.attempts.get_mut(&leg) {
            attempt.rings = true;
        }
    }
}
