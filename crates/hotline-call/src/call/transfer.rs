//! 咨询, 转移, 三方通话, 监控: how parties come and go while the caller stays, or leaves first.
//!
//! Who leaves first (domain paper 4.4): when the agent does, caller and target stay connected; when
//! the caller does, agent and target; when the target does, agent and caller.

use std::time::Duration;

use hotline_base::{AgentNo, GroupId, Oversight};
use hotline_cdr::{PartyRole, TransferMode};
use hotline_ivr::EarlyReject;

use super::{
    AgentState, Call, CallFact, CallerState, EndReason, Environment, Joining, MonoTime, Now,
    OfferEnd, Output, Party, Phase, QueueExit, QueueOrder,
};

/// How long a transferred caller may be on his way before the flow takes him back.
const TRANSFER_LIMIT: Duration = Duration::from_mins(5);

/// A caller who was with an agent goes before those who still wait for their first.
const TRANSFER_PRIORITY: u8 = 9;

/// The caller is on his way to somebody.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) until: MonoTime,
}

/// The agent's part that is over, for the flow that goes on.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) agent: AgentNo,
    pub(super) group: GroupId,
    pub(super) talk_ms: u64,
}

impl Call {
    /// Whether this agent may call somebody in now.
    pub fn may_consult(&self, agent: &AgentNo) -> bool {
        let asks = self.guests.iter().any(|it| it.role == PartyRole::Consulted);
        let is_free = self.is_agent_talking(agent) && self.suspended.is_none();
        is_free && !asks && self.guests.len() < super::guests::GUESTS_MAX
    }

    /// Whether this agent may give the caller away now.
    pub fn may_transfer(&self, agent: &AgentNo) -> bool {
        let is_on_his_way = self.transfer.is_some() || self.ticket.is_some();
        self.may_consult(agent) && self.has_caller() && !is_on_his_way
    }

    /// Who has the caller, or had him last.
    pub fn responsible(&self) -> Option<&AgentNo> {
        let served = self.served.as_ref().map(|it| &it.agent);
        self.agent.as_ref().map(|it| &it.offering.agent).or(served)
    }

    /// 咨询: the caller waits with music, and the agent talks to somebody else. Says whether it
    /// could be done.
    pub fn consult(&mut self, agent: &AgentNo, it: Joining, now: Now) -> bool {
        if !self.may_consult(agent) {
            return false;
        }
        if let Some(side) = &mut self.agent {
            // What follows is another room; the hold would outlast it.
            side.held_by_desk = false;
        }
        self.call_in(it, PartyRole::Consulted, now)
    }

    /// 三方通话: whom the agent consulted joins the talk.
    pub fn confer(&mut self, agent: &AgentNo, now: Now) -> bool {
        let is_main = self.is_agent_talking(agent);
        let mut guests = self.guests.iter_mut();
        let consulted = guests.find(|it| it.role == PartyRole::Consulted && it.is_in());
        let Some(guest) = consulted.filter(|_| is_main) else { return false };
        guest.role = PartyRole::Joined;
        let offer = guest.offer;
        self.drop_aside(super::ending::NORMAL);
        self.fact(CallFact::PartyMoved { offer, role: PartyRole::Joined }, now);
        self.remix(now);
        self.outputs.push_back(Output::Keep);
        true
    }

    /// 取消咨询: whom the agent consulted goes, and he is with the caller again.
    pub fn cancel_consult(&mut self, agent: &AgentNo, env: &dyn Environment, now: Now) -> bool {
        let consulted = self.guests.iter().find(|it| it.role == PartyRole::Consulted);
        let Some(leg) = consulted.map(|it| it.leg).filter(|_| self.is_agent_talking(agent)) else {
            return false;
        };
        self.guest_leaves(leg, Party::Agent, OfferEnd::CallerLeft, env, now);
        true
    }

    /// 转移 after a consultation: the agent leaves, and caller and target are connected, at once or
    /// when the target answers.
    pub fn complete_transfer(&mut self, agent: &AgentNo, env: &dyn Environment, now: Now) -> bool {
        let asks = self.guests.iter().any(|it| it.role == PartyRole::Consulted);
        if !self.is_agent_talking(agent) || !asks {
            return false;
        }
        let mut asked = self.guests.iter().filter(|it| it.role == PartyRole::Consulted);
        if asked.any(super::Guest::is_in) {
            // Before the agent's telephone is hung up.
            self.outputs.push_back(Output::Transferred { status: 200 });
        }
        self.release_agent(Party::Agent, env, now);
        true
    }

    /// 成功转: the agent consults, and leaves the two to each other when the target answers. Until
    /// then it is a consultation like any other; without an answer he has the caller again.
    pub fn transfer_on_answer(&mut self, agent: &AgentNo, it: Joining, now: Now) -> bool {
        let leg = it.leg;
        if !self.may_transfer(agent) || !self.consult(agent, it, now) {
            return false;
        }
        if let Some(guest) = self.guest(leg) {
            guest.takes_over = true;
        }
        true
    }

    /// 盲转 (释放转): the agent leaves at once, and somebody else is called for the caller.
    pub fn transfer_to(
        &mut self,
        agent: &AgentNo,
        it: Joining,
        env: &dyn Environment,
        now: Now,
    ) -> bool {
        if !self.may_transfer(agent) || !self.call_in(it, PartyRole::Transferred, now) {
            return false;
        }
        self.begin_transfer(now);
        self.release_agent(Party::Agent, env, now);
        true
    }

    /// 盲转 to a skill group: the agent leaves at once, and the caller waits there. Who talks to
    /// others besides does not wait.
    pub fn transfer_to_group(
        &mut self,
        agent: &AgentNo,
        group: GroupId,
        env: &dyn Environment,
        now: Now,
    ) -> bool {
        if !self.may_transfer(agent) || self.n_talking() > 1 {
            return false;
        }
        self.begin_transfer(now);
        self.queue_for(group);
        self.release_agent(Party::Agent, env, now);
        true
    }

    fn begin_transfer(&mut self, now: Now) {
        self.transfer = Some(Transfer { until: now.mono + TRANSFER_LIMIT });
    }

    fn queue_for(&mut self, group: GroupId) {
        self.outputs.push_back(Output::Queue(QueueOrder::Enqueue {
            groups: vec![group],
            priority: TRANSFER_PRIORITY,
            ring_limit: None,
            early_reject: EarlyReject { closed: false, no_agents: true, full: false },
        }));
    }

    /// The agent is gone or going; whom he consulted is for the caller now.
    pub(super) fn hand_over(&mut self, offer: hotline_base::OfferId, now: Now) {
        let consulted = self.guests.iter_mut().find(|it| it.role == PartyRole::Consulted);
        if let Some(guest) = consulted {
            guest.role = if guest.is_in() { PartyRole::Joined } else { PartyRole::Transferred };
            let moved = CallFact::PartyMoved { offer: guest.offer, role: guest.role };
            if guest.role == PartyRole::Transferred {
                self.begin_transfer(now);
            }
            self.fact(CallFact::Transferred { offer, mode: TransferMode::Attended }, now);
            self.fact(moved, now);
        } else if self.transfer.is_some() {
            self.fact(CallFact::Transferred { offer, mode: TransferMode::Blind }, now);
        }
        self.promote(now);
    }

    /// Whom the caller was transferred to cannot be had: he waits for the group he came from,
    /// before others.
    pub(super) fn transfer_failed(&mut self, now: Now) {
        let group = self.served.as_ref().map(|it| it.group.clone());
        let is_alone = self.n_talking() == 0 && self.agent.is_none();
        let waits = self.has_caller() && self.has_flow() && self.ticket.is_none() && is_alone;
        match group.filter(|_| waits) {
            Some(group) => {
                self.begin_transfer(now);
                self.queue_for(group);
            }
            None => self.transfer = None,
        }
    }

    /// The transfer came to nothing within its time, or nobody takes the caller in.
    pub(super) fn give_transfer_up(&mut self, env: &dyn Environment, now: Now) {
        self.transfer = None;
        self.outputs.push_back(Output::Transferred { status: 480 });
        if self.agent.is_some() && !self.is_talking() {
            self.drop_offer(OfferEnd::CallerLeft, now);
        }
        self.drop_transferred(now);
        self.leave_queue(QueueExit::TimedOut, now);
        self.settle_parties(Party::Platform, env, now);
    }

    /// Whom the caller was on his way to is called for nobody any more.
    fn drop_transferred(&mut self, now: Now) {
        let waiting = self.guests.iter().filter(|it| it.role == PartyRole::Transferred);
        for leg in waiting.map(|it| it.leg).collect::<Vec<_>>() {
            self.drop_guest(leg, Party::Platform, OfferEnd::CallerLeft, now);
        }
    }

    /// Legs that media did not open in time, and a transfer that takes too long.
    pub(super) fn guests_timeout(&mut self, env: &dyn Environment, now: Now) {
        let is_due = |it: &super::Guest| it.opening_until().is_some_and(|it| it <= now.mono);
        let due = self.guests.iter().filter(|it| is_due(it)).map(|it| it.leg);
        for leg in due.collect::<Vec<_>>() {
            self.guest_lost(leg, OfferEnd::System, env, now);
        }
        if self.aside_opening_until().is_some_and(|it| it <= now.mono) {
            self.aside_ends(env, now);
        }
        if self.takeover.as_ref().is_some_and(|it| it.until <= now.mono) {
            self.drop_takeover();
        }
        if self.transfer.as_ref().is_some_and(|it| it.until <= now.mono) {
            self.give_transfer_up(env, now);
        }
    }

    /// Somebody came or left: who is left goes on, or the call does in its flow, or it is over.
    pub(super) fn settle_parties(&mut self, by: Party, env: &dyn Environment, now: Now) {
        if self.phase != Phase::Live {
            return;
        }
        let n = self.n_talking();
        let goes_on = if self.has_caller() {
            n > 0 || self.agent.is_some() || self.transfer.is_some()
        } else {
            // Not there yet, in a call that goes out; or gone, and two others talk.
            n > 1 || !matches!(self.caller.state, CallerState::Gone)
        };
        if goes_on {
            self.remix(now);
        } else if self.has_caller() {
            self.back_to_flow(by, env, now);
        } else {
            let reason = EndReason::Normal { tag: "others_done".to_owned() };
            self.end(by, reason, None, env, now);
        }
    }

    /// No agent has the caller any more: the flow goes on after the talk.
    fn back_to_flow(&mut self, by: Party, env: &dyn Environment, now: Now) {
        self.drop_guests(Party::Platform, OfferEnd::CallerLeft, now);
        self.remix(now);
        self.stop_recording_of_talk();
        let Some(served) = self.served.clone().filter(|_| self.session.is_some()) else {
            // The flow of this call ended with an earlier control process, or there never was one.
            let reason = EndReason::Normal { tag: "agent_done".to_owned() };
            return self.end(by, reason, None, env, now);
        };
        self.outputs.push_back(Output::Keep);
        let ended_by = match by {
            Party::Agent => hotline_ivr::EndedBy::Agent,
            Party::Supervisor => hotline_ivr::EndedBy::Supervisor,
            Party::Caller | Party::Telephone | Party::Platform | Party::Carrier | Party::Called => {
                hotline_ivr::EndedBy::System
            }
        };
        let Served { agent, group, talk_ms } = served;
        let done = hotline_ivr::Event::AgentDone { agent, group, talk_ms, ended_by };
        self.tell(done, env, now);
    }

    /// The caller hangs up while others talk: they go on. `false`: the call is over.
    pub(super) fn caller_leaves(
        &mut self,
        by: Party,
        reason: &EndReason,
        cause: Option<u16>,
        env: &dyn Environment,
        now: Now,
    ) -> bool {
        if self.phase != Phase::Live || self.n_talking() < 2 {
            return false;
        }
        self.caller.state = CallerState::Gone;
        self.close_leg(self.caller.leg);
        self.fact(CallFact::CallerLeft { by, cause }, now);
        if self.transfer.take().is_some() {
            self.outputs.push_back(Output::Transferred { status: 487 });
            self.drop_transferred(now);
        }
        self.run_hang_up_chain(by, reason, env, now);
        self.session = None;
        self.remix(now);
        self.outputs.push_back(Output::Keep);
        true
    }

    /// 监听, 耳语, 强插: rings the supervisor, or changes how he who is there takes part.
    pub fn supervise(&mut self, it: Joining, how: Oversight, now: Now) -> bool {
        self.is_talking() && self.call_in(it, PartyRole::Supervisor(how), now)
    }

    /// The supervisor who is in the call takes part in another way from now on.
    pub fn change_oversight(&mut self, supervisor: &AgentNo, how: Oversight, now: Now) -> bool {
        let role = PartyRole::Supervisor(how);
        let mut guests = self.guests.iter_mut();
        let Some(guest) = guests.find(|it| it.is_agent(supervisor) && it.is_supervisor()) else {
            return false;
        };
        if guest.role != role {
            guest.role = role;
            let offer = guest.offer;
            self.fact(CallFact::PartyMoved { offer, role }, now);
            self.remix(now);
        }
        true
    }

    /// 拦截: the supervisor who is in the call takes the caller, and the agent is released.
    pub fn intercept(&mut self, supervisor: &AgentNo, env: &dyn Environment, now: Now) -> bool {
        let is_there = |it: &super::Guest| it.is_agent(supervisor) && it.is_supervisor();
        if self.guests.iter().any(|it| is_there(it) && it.is_in()) {
            self.recall(env, now);
        }
        let mut guests = self.guests.iter_mut();
        let is_his = |it: &&mut super::Guest| it.is_agent(supervisor) && it.is_supervisor();
        let Some(guest) = guests.find(is_his).filter(|it| it.is_in()) else { return false };
        guest.role = PartyRole::Joined;
        let (offer, role) = (guest.offer, guest.role);
        self.fact(CallFact::PartyMoved { offer, role }, now);
        if let Some(recording) = self.recording().cloned() {
            self.fact(CallFact::RecordingFollows { recording, offer }, now);
        }
        let consulted = self.guests.iter().filter(|it| it.role == PartyRole::Consulted);
        for leg in consulted.map(|it| it.leg).collect::<Vec<_>>() {
            self.drop_guest(leg, Party::Supervisor, OfferEnd::CallerLeft, now);
        }
        if self.is_talking() {
            self.release_agent(Party::Supervisor, env, now);
        } else {
            self.arrive(env, now);
        }
        true
    }

    /// The caller was on his way to somebody, and is with somebody else.
    fn arrive(&mut self, env: &dyn Environment, now: Now) {
        self.drop_offer(OfferEnd::CallerLeft, now);
        if self.transfer.take().is_some() {
            self.outputs.push_back(Output::Transferred { status: 487 });
        }
        self.drop_transferred(now);
        self.leave_queue(QueueExit::Answered, now);
        self.promote(now);
        self.settle_parties(Party::Supervisor, env, now);
        self.outputs.push_back(Output::Keep);
    }

    /// 强拆: the call is cut.
    pub fn force_release(&mut self, env: &dyn Environment, now: Now) {
        let reason = EndReason::Normal { tag: "forced".to_owned() };
        self.end(Party::Supervisor, reason, None, env, now);
    }

    /// 挂机 by command of an agent in the call. In a consultation it ends only that.
    pub fn hang_up_agent(&mut self, agent: &AgentNo, env: &dyn Environment, now: Now) -> bool {
        if let Some(guest) = self.guests.iter().find(|it| it.is_agent(agent)) {
            let leg = guest.leg;
            self.guest_leaves(leg, Party::Agent, OfferEnd::Rejected, env, now);
            return true;
        }
        let Some(side) = self.agent.as_ref().filter(|it| it.offering.agent == *agent) else {
            return false;
        };
        match side.state {
            AgentState::Talking => {
                if !self.cancel_consult(agent, env, now) {
                    self.release_agent(Party::Agent, env, now);
                }
            }
            AgentState::Announcing | AgentState::Settling => {
                self.end_offer(OfferEnd::AgentLeft, env, now);
            }
            AgentState::Opening { .. } | AgentState::Dialing => {
                self.end_offer(OfferEnd::Rejected, env, now);
            }
        }
        true
    }

    /// This agent has the caller.
    pub(super) fn is_agent_talking(&self, agent: &AgentNo) -> bool {
        let side = self.agent.as_ref().filter(|it| it.offering.agent == *agent);
        self.phase == Phase::Live && side.is_some_and(|it| it.state == AgentState::Talking)
    }
}

#[cfg(test)]
mod outside;
#[cfg(test)]
mod phones;
#[cfg(test)]
mod suspended;
#[cfg(test)]
mod tests;
