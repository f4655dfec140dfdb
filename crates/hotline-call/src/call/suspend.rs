//! 挂起转: the agent sends the caller to a flow (a password, a payment, a rating) and waits. What
//! the flow gives back is for the agent's screen and for the record.
//!
//! The caller hangs up in it: the call is over, and the agent has his after-call work. The agent
//! hangs up meanwhile: the caller goes on in the flow, and then after the talk as ever. The flow
//! fails, or takes too long: the caller is back.

use std::{collections::BTreeMap, sync::Arc};

use hotline_base::{AgentNo, FlowId, OfferId, Pii};
use hotline_cdr::{FlowResult, Stamped};
use hotline_ivr::{Bundle, Entry, Event, Returned, Session};

use super::{Call, CallFact, EndReason, Environment, FlowReturn, Guest, Now, Output, Party, Phase};

/// A caller in a flow, and for whom.
#[derive(Debug)]
pub(super) struct Suspension {
    offer: OfferId,
    flow: FlowId,
}

/// Why a caller was not sent to a flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotSuspended {
    /// The agent does not talk to the caller alone.
    WrongState,
    /// No flow of this name is for callers in the middle of a talk.
    UnknownFlow,
}

impl Call {
    /// 挂起转 by command of this agent. `bundle` has the flow when the call began without one.
    ///
    /// # Errors
    /// Why the caller stays where he is.
    pub fn suspend(
        &mut self,
        agent: &AgentNo,
        flow: &FlowId,
        bundle: &Arc<Bundle>,
        env: &dyn Environment,
        now: Now,
    ) -> Result<(), NotSuspended> {
        let alone = self.guests.iter().all(Guest::is_supervisor) && self.takeover.is_none();
        if !self.may_transfer(agent) || !alone {
            return Err(NotSuspended::WrongState);
        }
        let Some(side) = self.agent.as_mut() else { return Err(NotSuspended::WrongState) };
        let (offer, group) = (side.offering.offer, side.offering.group.clone());
        if self.session.is_none() {
            self.session = Some(Session::in_talk(Arc::clone(bundle), self.entry_in_talk()));
        }
        if !self.session.as_ref().is_some_and(|it| it.may_visit(flow)) {
            self.end_own_session();
            return Err(NotSuspended::UnknownFlow);
        }
        if let Some(side) = &mut self.agent {
            // What follows is another wait; the hold would outlast it.
            side.held_by_desk = false;
        }
        let (agent, flow) = (agent.clone(), flow.clone());
        self.suspended = Some(Suspension { offer, flow: flow.clone() });
        self.remix(now);
        self.fact(CallFact::Suspended { offer, flow: flow.clone() }, now);
        let talk_ms = self.talked_ms(offer, now);
        self.tell(Event::Suspended { flow, agent, group, talk_ms }, env, now);
        self.outputs.push_back(Output::Keep);
        Ok(())
    }

    /// 恢复: the agent takes the caller back out of the flow. Says whether he was in one.
    pub(super) fn recall(&mut self, env: &dyn Environment, now: Now) -> bool {
        let is_there = self.suspended.is_some() && self.agent.is_some();
        if is_there {
            self.tell(Event::Recalled, env, now);
        }
        is_there
    }

    /// What a flow knows of a call that no flow led to its talk.
    fn entry_in_talk(&self) -> Entry {
        let first = self.facts.first().map(|it| it.at.wall);
        let mut entry = Entry {
            flow: FlowId::new(""),
            row_params: BTreeMap::new(),
            call_id: self.id.to_string(),
            from: Pii::new(String::new()),
            to: String::new(),
            dnis: String::new(),
            trunk: String::new(),
            started_at: first.unwrap_or_default(),
            recording_id: self.recordings.last().map(ToString::to_string).unwrap_or_default(),
        };
        for it in &self.facts {
            if let CallFact::Arrived(came) = &it.fact {
                entry.from = came.caller.clone().unwrap_or_else(|| Pii::new(String::new()));
                (entry.to, entry.dnis) = (came.called_raw.clone(), came.called.clone());
                entry.trunk = came.trunk.to_string();
            } else if let CallFact::Dialled { number, .. } = &it.fact {
                entry.from = number.clone();
            } else if let CallFact::WentOut { trunk, display, .. } = &it.fact {
                (entry.to, entry.dnis) = (display.clone(), display.clone());
                entry.trunk = trunk.to_string();
            }
        }
        entry
    }

    /// A flow goes on when the talk is over.
    pub(super) fn has_flow(&self) -> bool {
        self.session.as_ref().is_some_and(Session::has_flow)
    }

    /// A session that was there for one flow in the talk.
    fn end_own_session(&mut self) {
        if self.session.take_if(|it| !it.has_flow()).is_some() {
            self.to_session.clear();
        }
    }

    /// The caller is out of the flow.
    pub(super) fn returned(
        &mut self,
        how: Returned,
        values: Vec<(String, Pii<String>)>,
        env: &dyn Environment,
        now: Now,
    ) {
        let how = match how {
            Returned::Done => FlowReturn::Done,
            Returned::Failed => FlowReturn::Failed,
            Returned::Recalled => FlowReturn::Recalled,
        };
        let Some(suspension) = self.suspended.take() else { return };
        self.mask_by_flow(false, now);
        self.mute_by_node(None, now);
        if self.agent.is_some() {
            self.end_own_session();
            self.remix(now);
        }
        self.say_result(suspension, how, values, now);
        self.outputs.push_back(Output::Keep);
        if self.agent.is_none() && !self.has_flow() {
            let reason = EndReason::Normal { tag: "agent_done".to_owned() };
            self.end(Party::Platform, reason, None, env, now);
        }
    }

    /// The call is over: if the caller was in a flow, he left it so.
    pub(super) fn end_suspension(&mut self, now: Now) {
        if let Some(it) = self.suspended.take() {
            self.say_result(it, FlowReturn::HungUp, Vec::new(), now);
        }
    }

    fn say_result(
        &mut self,
        Suspension { offer, flow }: Suspension,
        how: FlowReturn,
        values: Vec<(String, Pii<String>)>,
        now: Now,
    ) {
        let result = FlowResult { offer, flow, how, values };
        self.fact(CallFact::Returned(Box::new(result)), now);
    }

    /// What has happened so far, oldest first.
    pub fn facts(&self) -> &[Arc<Stamped>] {
        &self.facts
    }

    /// What came of the last flow that an agent of this call sent the caller to.
    pub fn last_flow(&self) -> Option<&FlowResult> {
        self.facts.iter().rev().find_map(|it| {
            let CallFact::Returned(result) = &it.fact else { return None };
            Some(result.as_ref())
        })
    }

    /// The caller is in a flow, and an agent waits for him.
    pub fn is_suspended(&self) -> bool {
        self.phase == Phase::Live && self.suspended.is_some()
    }
}

/// The offer and the flow of a caller who is in one that an agent sent him to.
pub(super) fn suspended(facts: &[Arc<Stamped>]) -> Option<(OfferId, &FlowId)> {
    facts.iter().fold(None, |open, it| {
        if let CallFact::Suspended { offer, flow } = &it.fact {
            Some((*offer, flow))
        } else if let CallFact::Returned(_) = it.fact {
            None
        } else {
            open
        }
    })
}
