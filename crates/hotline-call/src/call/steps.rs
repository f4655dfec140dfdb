//! The flow's session: what it is told, and what its steps do.

use hotline_base::{
    Now, Pii, PlayId,
    media::{Order, Play},
};
use hotline_cdr::{CallFact, EndReason, Party, QueueExit, SurveyAnswer};
use hotline_ivr::{
    Environment, Event, FlowFact, LeaveWhy, QueueRefusal, Session, SessionEnd, Step,
};

use super::{Call, CallerState, Output, Phase, QueueOrder};
use crate::LegOrder;

impl Call {
    pub(super) fn tell(&mut self, event: Event, env: &dyn Environment, now: Now) {
        if self.phase != Phase::Live || self.session.is_none() {
            return;
        }
        self.to_session.push_back(event);
        self.drive(env, now);
    }

    /// Acts on every step of the session, and tells it what its steps led to.
    pub(super) fn drive(&mut self, env: &dyn Environment, now: Now) {
        loop {
            while let Some(step) = self.session.as_mut().and_then(Session::poll_step) {
                self.step(step, env, now);
                if self.phase != Phase::Live {
                    self.to_session.clear();
                    return;
                }
            }
            let Some(session) = &mut self.session else { return };
            let Some(event) = self.to_session.pop_front() else { return };
            session.handle(event, env, now);
        }
    }

    fn step(&mut self, step: Step, env: &dyn Environment, now: Now) {
        let leg = self.caller.leg;
        match step {
            Step::Answer => self.answer(now),
            Step::Play { play, prompts, times, gap_ms, stop_on_key, grace_ms, limit_ms } => {
                let play = PlayId(play);
                self.play_prompts(Play {
                    leg,
                    play,
                    prompts,
                    times,
                    gap_ms,
                    stop_on_key,
                    grace_ms,
                    limit_ms,
                });
            }
            Step::StopPlay { play } => {
                let play = PlayId(play);
                // The session waits for no end of what it stops.
                self.prompts_done(play);
                self.media(Order::Stop { leg, play });
            }
            Step::PlayToAgent { play, prompts, limit_ms } => {
                self.play_to_agent(PlayId(play), prompts, limit_ms);
            }
            Step::Enqueue(it) => {
                let hotline_ivr::Enqueue { groups, priority, ring_timeout, early_reject, .. } = *it;
                self.outputs.push_back(Output::Queue(QueueOrder::Enqueue {
                    groups,
                    priority,
                    ring_limit: ring_timeout,
                    early_reject,
                }));
            }
            Step::LeaveQueue { why } => {
                let exit = match why {
                    LeaveWhy::Timeout => QueueExit::TimedOut,
                    LeaveWhy::Key => QueueExit::Key,
                    LeaveWhy::Error => QueueExit::System,
                };
                self.give_up_waiting(exit, now);
            }
            Step::Connect => {
                self.bridge(now);
                self.to_session.push_back(Event::Bridged);
            }
            Step::Mask { on } => self.mask_by_flow(on, now),
            Step::Record { flow, action } => self.record_by_flow(flow, action, now),
            Step::Returned { how, values } => self.returned(how, values, env, now),
            Step::HangUp { reason, cause, end } => {
                self.hang_up_by_flow(reason, cause, end, env, now);
            }
            Step::Fact(fact) => self.flow_fact(fact, now),
        }
    }

    fn answer(&mut self, now: Now) {
        let state = std::mem::replace(&mut self.caller.state, CallerState::Up);
        match state {
            CallerState::Ready { sdp } => {
                let leg = self.caller.leg;
                self.leg(leg, LegOrder::Answer { sdp });
                self.connect(leg);
                self.fact(CallFact::Answered, now);
                self.outputs.push_back(Output::Keep);
                self.to_session.push_back(Event::Answered);
            }
            state @ (CallerState::Opening { .. }
            | CallerState::Up
            | CallerState::Left
            | CallerState::Gone
            | CallerState::Waits
            | CallerState::Invited { .. }
            | CallerState::Settling) => {
                self.caller.state = state;
            }
        }
    }

    /// The flow takes the caller out of the queue; an offer in progress is over.
    fn give_up_waiting(&mut self, why: QueueExit, now: Now) {
        if self.agent.is_some() && !self.is_talking() {
            self.drop_offer(hotline_cdr::OfferEnd::CallerLeft, now);
        }
        self.leave_queue(why, now);
    }

    fn hang_up_by_flow(
        &mut self,
        tag: String,
        cause: u8,
        end: SessionEnd,
        env: &dyn Environment,
        now: Now,
    ) {
        let leg = self.caller.leg;
        self.leg(leg, LegOrder::HangUp { cause });
        self.caller.state = match self.caller.state {
            CallerState::Up => CallerState::Left,
            CallerState::Opening { .. }
            | CallerState::Ready { .. }
            | CallerState::Left
            | CallerState::Gone
            | CallerState::Waits
            | CallerState::Invited { .. }
            | CallerState::Settling => CallerState::Gone,
        };
        let reason = match end {
            SessionEnd::Finished | SessionEnd::TimedOut => EndReason::Normal { tag },
            SessionEnd::Failed => EndReason::Internal,
        };
        self.end(Party::Platform, reason, None, env, now);
    }

    /// The hang-up chain has run: its facts count, its steps have nobody to act on.
    pub(super) fn keep_facts_of_chain(&mut self, now: Now) {
        self.to_session.clear();
        while let Some(step) = self.session.as_mut().and_then(Session::poll_step) {
            match step {
                Step::Fact(fact) => self.flow_fact(fact, now),
                Step::Answer
                | Step::Play { .. }
                | Step::StopPlay { .. }
                | Step::PlayToAgent { .. }
                | Step::Enqueue(_)
                | Step::LeaveQueue { .. }
                | Step::Connect
                | Step::Mask { .. }
                | Step::Record { .. }
                | Step::Returned { .. }
                | Step::HangUp { .. } => (),
            }
        }
    }

    fn flow_fact(&mut self, fact: FlowFact, now: Now) {
        let fact = match fact {
            FlowFact::Node { flow, node, outcome, ms, .. } => {
                CallFact::Node { flow, node, outcome, ms }
            }
            FlowFact::PersonRequested => CallFact::PersonRequested,
            FlowFact::QueueRefused { group, why } => {
                CallFact::EnqueueRefused { group, why: refused_exit(why) }
            }
            FlowFact::Tagged(tag) => CallFact::Tagged { tag },
            FlowFact::Untagged(tag) => CallFact::Untagged { tag },
            FlowFact::Exported { name, label, value } => CallFact::Exported { name, label, value },
            FlowFact::SurveyOffered { survey, agent } => CallFact::SurveyOffered { survey, agent },
            FlowFact::Rated { survey, agent, group, key, value, label, satisfied } => {
                let answer = SurveyAnswer { survey, agent, group, key, value, label, satisfied };
                CallFact::Rated(Box::new(answer))
            }
            FlowFact::Logged { level, text } => CallFact::FlowLogged {
                level: format!("{level:?}").to_lowercase(),
                text: Pii::new(text),
            },
            FlowFact::Error { flow, node, reason, .. } => {
                CallFact::FlowError { flow, node, reason }
            }
            FlowFact::Listed { list, entry, action } => CallFact::Listed { list, entry, action },
            // Statistics of flows come with their reports; a record does not hold keys.
            FlowFact::Noted { .. } | FlowFact::Key { .. } | FlowFact::LeftFlow { .. } => return,
        };
        self.fact(fact, now);
    }
}

pub(super) const fn refused_exit(why: QueueRefusal) -> QueueExit {
    match why {
        QueueRefusal::Full => QueueExit::Full,
        QueueRefusal::NoAgents => QueueExit::NoAgents,
        QueueRefusal::Closed => QueueExit::Closed,
        QueueRefusal::UnknownGroup => QueueExit::System,
    }
}
