//! Calling others into a call: consultation, transfer, supervision.

use hotline_agent::{Action, Agent, Forced, LineEvent, RecordingWish, Refused, Target};
use hotline_base::{
    AgentNo, CallId, FlowId, GroupId, Key, Now, OfferId, Oversight, Pii, media::Profile,
};
use hotline_call::{Call, Joining, NotSuspended, Who};
use hotline_cdr::{CalledParty, Controller, Muting};

use super::{Arc, Switchboard};

/// An agent is in a call, or on his way into it.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub(super) call: CallId,
    pub(super) agent: AgentNo,
    pub(super) via: Via,
}

/// How the call got him.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Via {
    /// The dispatcher offered him; its lease ends by itself.
    Queue,
    /// Somebody in the call asked for him; his telephone's ring limit ends it.
    Direct,
    /// His own wish: he dials, or supervises.
    Own,
}

impl Switchboard {
    pub(super) fn consult(&mut self, no: &AgentNo, to: &Target, now: Now) -> Result<(), Refused> {
        let call = self.call_for(no, Action::Consult)?;
        if !self.calls.get(&call).is_some_and(|it| it.call.may_consult(no)) {
            return Err(self.wrong_state(no, Action::Consult));
        }
        let (to, listed) = self.look_up(no, to, now)?;
        let it = self.joining(call, no, &to, listed, now)?;
        self.call_in((call, Action::Consult), no, it, now, |call, it, _, now| {
            call.consult(no, it, now)
        })
    }

    pub(super) fn transfer(&mut self, no: &AgentNo, to: &Target, now: Now) -> Result<(), Refused> {
        let call = self.call_for(no, Action::Transfer)?;
        if !self.calls.get(&call).is_some_and(|it| it.call.may_transfer(no)) {
            return Err(self.wrong_state(no, Action::Transfer));
        }
        let (to, listed) = self.look_up(no, to, now)?;
        if let Target::Group(group) = &to {
            if self.dispatcher.group(group).is_none() || self.staff.of(group) == 0 {
                return Err(Refused::TargetAway);
            }
            let group = group.clone();
            self.step(call, now, |call, env, now| {
                call.transfer_to_group(no, group, env, now);
            });
            return Ok(());
        }
        let it = self.joining(call, no, &to, listed, now)?;
        self.call_in((call, Action::Transfer), no, it, now, |call, it, env, now| {
            call.transfer_to(no, it, env, now)
        })
    }

    /// 成功转. Of a skill group it is one agent who is asked, as in a consultation.
    pub(super) fn transfer_on_answer(
        &mut self,
        no: &AgentNo,
        to: &Target,
        now: Now,
    ) -> Result<(), Refused> {
        let call = self.call_for(no, Action::Transfer)?;
        if !self.calls.get(&call).is_some_and(|it| it.call.may_transfer(no)) {
            return Err(self.wrong_state(no, Action::Transfer));
        }
        let (to, listed) = self.look_up(no, to, now)?;
        let it = self.joining(call, no, &to, listed, now)?;
        self.call_in((call, Action::Transfer), no, it, now, |call, it, _, now| {
            call.transfer_on_answer(no, it, now)
        })
    }

    /// 挂起转: the caller goes to a flow while the agent waits.
    pub(super) fn suspend(&mut self, no: &AgentNo, flow: &FlowId, now: Now) -> Result<(), Refused> {
        let call = self.call_for(no, Action::Suspend)?;
        let bundle = Arc::clone(&self.config.bundle);
        let mut done = Err(NotSuspended::WrongState);
        self.step(call, now, |call, env, now| done = call.suspend(no, flow, &bundle, env, now));
        done.map_err(|why| match why {
            NotSuspended::WrongState => self.wrong_state(no, Action::Suspend),
            NotSuspended::UnknownFlow => Refused::UnknownFlow,
        })
    }

    /// 二次拨号.
    pub(super) fn send_keys_of(
        &mut self,
        no: &AgentNo,
        keys: &[Key],
        now: Now,
    ) -> Result<(), Refused> {
        let call = self.call_for(no, Action::SendKeys)?;
        let mut done = false;
        self.step(call, now, |call, _, _| done = call.send_keys(no, keys));
        if done { Ok(()) } else { Err(self.wrong_state(no, Action::SendKeys)) }
    }

    /// Whom a telephone dials: an agent by 工号 or extension, a skill group, or a number outside.
    pub(super) fn named(&self, user: &Pii<String>) -> Target {
        let name = user.reveal().as_str();
        let by_extension = self.desks.whose(name);
        let by_no = self.agents.get_key_value(name).map(|it| it.0);
        if let Some(no) = by_no.or(by_extension) {
            Target::Agent(no.clone())
        } else if self.dispatcher.group(&GroupId::new(name)).is_some() {
            Target::Group(GroupId::new(name))
        } else {
            Target::Number(user.clone())
        }
    }

    /// A supervisor takes part in an agent's call, or in another way than before.
    pub(super) fn supervise(
        &mut self,
        no: &AgentNo,
        agent: &AgentNo,
        how: Oversight,
        now: Now,
    ) -> Result<(), Refused> {
        let call = self.supervised(no, agent)?;
        let supervisor = self.agents.get_mut(no).ok_or(Refused::UnknownAgent)?;
        if supervisor.call() == Some(call) {
            let mut done = false;
            self.step(call, now, |call, _, now| done = call.change_oversight(no, how, now));
            return if done { Ok(()) } else { Err(self.wrong_state(no, Action::Supervise)) };
        }
        if supervisor.call().is_some() || !supervisor.allows(Action::Supervise) {
            return Err(self.wrong_state(no, Action::Supervise));
        }
        if !self.calls.get(&call).is_some_and(|it| it.call.is_talking()) {
            return Err(Refused::NoCall);
        }
        let it = self.reserve((call, None), no, Via::Own, now)?;
        self.call_in((call, Action::Supervise), no, it, now, |call, it, _, now| {
            call.supervise(it, how, now)
        })
    }

    /// 强拆.
    pub(super) fn force_release(
        &mut self,
        no: &AgentNo,
        agent: &AgentNo,
        now: Now,
    ) -> Result<(), Refused> {
        let call = self.supervised(no, agent)?;
        self.step(call, now, |call, env, now| call.force_release(env, now));
        Ok(())
    }

    /// 强制示闲, 强制示忙, 强制签出.
    pub(super) fn force(
        &mut self,
        no: &AgentNo,
        agent: &AgentNo,
        to: Forced,
        now: Now,
    ) -> Result<(), Refused> {
        let supervisor = self.agents.get(no).ok_or(Refused::UnknownAgent)?;
        if !supervisor.config().supervisor {
            return Err(Refused::NotSupervisor);
        }
        if !supervisor.allows(Action::Force) {
            return Err(self.wrong_state(no, Action::Force));
        }
        let forced = self.agents.get_mut(agent).ok_or(Refused::UnknownAgent)?.force(to, now);
        self.agent_changed(agent, now);
        self.refresh(agent);
        forced
    }

    /// 录音 of a call by a supervisor, whether he is in it or not.
    pub(super) fn control_recording(
        &mut self,
        no: &AgentNo,
        call: CallId,
        to: RecordingWish,
        now: Now,
    ) -> Result<(), Refused> {
        let supervisor = self.agents.get(no).ok_or(Refused::UnknownAgent)?;
        if !supervisor.config().supervisor {
            return Err(Refused::NotSupervisor);
        }
        if !supervisor.allows(Action::ControlRecording) {
            return Err(self.wrong_state(no, Action::ControlRecording));
        }
        if self.calls.get(&call).is_none_or(|it| it.call.is_over()) {
            return Err(Refused::UnknownCall);
        }
        let (by, mut done) = (Controller::Supervisor(no.clone()), false);
        self.step(call, now, |call, _, now| {
            done = match to {
                RecordingWish::Start => call.start_recording_for(&by, now),
                RecordingWish::Stop => call.stop_recording_for(&by, now),
                RecordingWish::Pause => call.mute_recording(&by, Muting::Paused, now),
                RecordingWish::Mask => call.mute_recording(&by, Muting::Masked, now),
                RecordingWish::Resume => call.resume_recording(&by, now),
            };
        });
        if done { Ok(()) } else { Err(Refused::WrongRecording) }
    }

    /// The call of an agent, for a supervisor.
    fn supervised(&self, no: &AgentNo, agent: &AgentNo) -> Result<CallId, Refused> {
        let supervisor = self.agents.get(no).ok_or(Refused::UnknownAgent)?;
        if !supervisor.config().supervisor {
            return Err(Refused::NotSupervisor);
        }
        if no == agent {
            return Err(Refused::NoCall);
        }
        self.agents.get(agent).and_then(Agent::call).ok_or(Refused::NoCall)
    }

    /// Whom the agent means, and whether the directory permits to call him.
    pub(super) fn look_up(
        &self,
        no: &AgentNo,
        to: &Target,
        now: Now,
    ) -> Result<(Target, bool), Refused> {
        let Target::Entry(id) = to else { return Ok((to.clone(), false)) };
        let entry = self.config.directory.find(no, id).ok_or(Refused::UnknownEntry)?;
        if !entry.is_open(now.wall) {
            return Err(Refused::TargetAway);
        }
        Ok((entry.to.clone(), true))
    }

    /// Whom the agent named, with everything reserved that he needs.
    pub(super) fn joining(
        &mut self,
        call: CallId,
        no: &AgentNo,
        to: &Target,
        listed: bool,
        now: Now,
    ) -> Result<Joining, Refused> {
        match to {
            Target::Agent(other) => self.reserve((call, None), other, Via::Direct, now),
            Target::Group(group) => {
                let other = self.dispatcher.in_turn(group).cloned();
                let other = other.ok_or(Refused::TargetAway)?;
                self.reserve((call, Some(group.clone())), &other, Via::Direct, now)
            }
            Target::Number(number) => {
                if self.is_closed_to(number) {
                    return Err(Refused::Closed);
                }
                let (number, display, _) = self.permitted_if(no, number, listed, now)?;
                let offer = self.dispatcher.new_offer();
                let who = Who { party: CalledParty::Outside { number }, display };
                let (leg, profile) = (self.endpoint.new_leg(), Profile::Plain);
                Ok(Joining { offer, leg, profile, who })
            }
            Target::Entry(_) => Err(Refused::UnknownEntry),
        }
    }

    /// Promises an agent to a call. Who is called by others must be ready; who supervises need
    /// not be.
    fn reserve(
        &mut self,
        (call, group): (CallId, Option<GroupId>),
        no: &AgentNo,
        via: Via,
        now: Now,
    ) -> Result<Joining, Refused> {
        let agent = self.agents.get_mut(no).ok_or(Refused::UnknownAgent)?;
        let event = match via {
            Via::Queue | Via::Direct if !agent.is_ready() => return Err(Refused::TargetAway),
            Via::Queue | Via::Direct => LineEvent::Reserve,
            Via::Own => LineEvent::Dial,
        };
        let extension = agent.extension().cloned().ok_or(Refused::TargetAway)?;
        let groups = &agent.config().groups;
        let group = group.or_else(|| groups.first().map(|it| it.0.clone()));
        let group = group.unwrap_or_else(|| GroupId::new(""));
        agent.line_event(event, now)?;
        agent.set_call(Some(call));
        let offer = self.dispatcher.new_offer();
        self.offers.insert(offer, Holding { call, agent: no.clone(), via });
        self.agent_changed(no, now);
        let profile = self.best_profile(&extension, now);
        let party = CalledParty::Agent { agent: no.clone(), extension, group };
        let who = Who { party, display: None };
        Ok(Joining { offer, leg: self.endpoint.new_leg(), profile, who })
    }

    /// Lets the call have him, and gives him back if it cannot.
    pub(super) fn call_in(
        &mut self,
        (id, action): (CallId, Action),
        no: &AgentNo,
        it: Joining,
        now: Now,
        step: impl FnOnce(&mut Call, Joining, &dyn hotline_ivr::Environment, Now) -> bool,
    ) -> Result<(), Refused> {
        let (offer, leg) = (it.offer, it.leg);
        self.legs.insert(leg, id);
        self.media_legs.insert(leg, id);
        if let Some(entry) = self.calls.get_mut(&id) {
            entry.media_legs.push(leg);
        }
        let mut done = false;
        self.step(id, now, |call, env, now| done = step(call, it, env, now));
        if done {
            return Ok(());
        }
        self.legs.remove(&leg);
        self.give_back(offer, now);
        Err(self.wrong_state(no, action))
    }

    fn give_back(&mut self, offer: OfferId, now: Now) {
        if let Some(Holding { agent, .. }) = self.offers.remove(&offer) {
            self.move_line(&agent, LineEvent::Release, now);
            self.free(&agent);
        }
    }
}
