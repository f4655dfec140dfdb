//! Every way out of a call, an offer and a talk.

use super::{
    AgentState, Call, CallFact, CallerState, EndReason, Environment, LegOrder, Now, OfferEnd,
    OfferId, OfferUpdate, Output, Party, Phase, QueueExit, QueueOrder, RefusedWhy, Served, fold,
};

/// Q.850: normal call clearing.
pub(super) const NORMAL: u8 = 16;

impl Call {
    /// The call is over, whoever ended it. Frees the agent, the place in the queue, the legs and
    /// the recording, and writes the record.
    pub fn end(
        &mut self,
        by: Party,
        reason: EndReason,
        cause: Option<u16>,
        env: &dyn Environment,
        now: Now,
    ) {
        if self.phase != Phase::Live {
            return;
        }
        self.phase = Phase::Closing { until: now.mono + self.config.seal_limit };
        self.end_suspension(now);
        self.end_agent_side(by, &reason, now);
        self.stop_recording();
        if !self.has_flow() {
            // A restored call does not know which of its recordings still runs.
            for recording in self.recordings.clone() {
                self.media(hotline_base::media::Order::StopRecord { recording });
            }
        }
        self.leave_queue_at_end(by, &reason, now);
        if matches!(self.caller.state, CallerState::Up | CallerState::Left) && !self.is_outbound() {
            self.left_flow(now);
        }
        self.run_hang_up_chain(by, &reason, env, now);
        let caller = self.caller.leg;
        if !matches!(self.caller.state, CallerState::Left | CallerState::Gone | CallerState::Waits)
        {
            self.leg(caller, LegOrder::HangUp { cause: NORMAL });
        }
        self.caller.state = CallerState::Gone;
        self.close_leg(caller);
        self.fact(CallFact::Ended { by, reason, cause }, now);
        if self.is_all_closed() {
            self.complete(now);
        } else {
            let record = fold(self.id, false, &self.facts, self.config.short_after);
            self.outputs.push_back(Output::Record(Box::new(record)));
            self.outputs.push_back(Output::Keep);
        }
    }

    /// Nothing is open any more, or was waited for long enough: the final record.
    pub(super) fn complete(&mut self, now: Now) {
        for recording in std::mem::take(&mut self.recordings) {
            let reason = "not sealed in time".to_owned();
            self.fact(CallFact::RecordingFailed { recording, reason }, now);
        }
        self.phase = Phase::Done;
        let record = fold(self.id, true, &self.facts, self.config.short_after);
        self.outputs.push_back(Output::Record(Box::new(record)));
        self.outputs.push_back(Output::Keep);
    }

    pub(super) fn complete_if_closed(&mut self, now: Now) {
        if matches!(self.phase, Phase::Closing { .. }) && self.is_all_closed() {
            self.complete(now);
        }
    }

    fn is_all_closed(&self) -> bool {
        self.open_legs.is_empty() && self.recordings.is_empty()
    }

    /// The call cannot be taken; says so on the wire.
    pub(super) fn refuse(&mut self, why: RefusedWhy, env: &dyn Environment, now: Now) {
        if self.phase != Phase::Live {
            return;
        }
        let leg = self.caller.leg;
        self.leg(leg, LegOrder::Refuse { why });
        self.caller.state = CallerState::Gone;
        self.fact(CallFact::Refused { status: why.status(), why }, now);
        self.end(Party::Platform, EndReason::Refused, None, env, now);
    }

    /// The offer ends without a bridge; the caller goes on waiting in his place.
    pub(super) fn end_offer(&mut self, why: OfferEnd, env: &dyn Environment, now: Now) {
        if self.agent.as_ref().is_none_or(|it| it.state == AgentState::Talking) {
            return;
        }
        if self.is_dialling() {
            return self.end_dialling(why, env, now);
        }
        let had_answered = self.drop_offer(why, now);
        if had_answered {
            self.tell(hotline_ivr::Event::AgentLost, env, now);
        }
    }

    /// Takes the offer apart. Says whether the agent had answered.
    pub(super) fn drop_offer(&mut self, why: OfferEnd, now: Now) -> bool {
        let Some(side) = self.agent.take() else { return false };
        let leg = side.offering.leg;
        if self.transfer.is_none() {
            self.stop_recording_of_talk();
        }
        self.leg(leg, LegOrder::HangUp { cause: NORMAL });
        self.close_leg(leg);
        self.close_aside(side.aside, NORMAL);
        let offer = side.offering.offer;
        self.fact(CallFact::OfferEnded { offer, why }, now);
        self.outputs.push_back(Output::Offer { offer, update: OfferUpdate::Ended(why) });
        let had_answered = side.state == AgentState::Announcing;
        if had_answered {
            self.outputs.push_back(Output::Keep);
        }
        had_answered
    }

    /// The agent leaves while others may still be there.
    pub(super) fn release_agent(&mut self, by: Party, env: &dyn Environment, now: Now) {
        let Some(offer) = self.drop_talk(by, now) else { return };
        if self.phase != Phase::Live {
            return;
        }
        self.hand_over(offer, now);
        self.settle_parties(by, env, now);
        self.outputs.push_back(Output::Keep);
    }

    fn drop_talk(&mut self, by: Party, now: Now) -> Option<OfferId> {
        let side = self.agent.take()?;
        let leg = side.offering.leg;
        let offer = side.offering.offer;
        self.leg(leg, LegOrder::HangUp { cause: NORMAL });
        self.close_leg(leg);
        self.close_aside(side.aside, NORMAL);
        self.fact(CallFact::AgentReleased { offer, by }, now);
        self.outputs.push_back(Output::Offer { offer, update: OfferUpdate::Released { by } });
        let talk_ms = self.talked_ms(offer, now);
        let super::Offering { agent, group, .. } = side.offering;
        self.served = Some(Served { agent, group, talk_ms });
        Some(offer)
    }

    /// How long the caller and this agent have been connected, holds included.
    pub(super) fn talked_ms(&self, offer: OfferId, now: Now) -> u64 {
        let bridged =
            |it: &super::Stamped| matches!(it.fact, CallFact::Bridged { offer: o } if o == offer);
        let since = self.facts.iter().rev().find(|it| bridged(it)).map(|it| it.at.mono);
        let talk = since.map_or(0, |it| (now.mono - it).as_millis());
        u64::try_from(talk).unwrap_or(u64::MAX)
    }

    /// Everybody but the caller goes.
    fn end_agent_side(&mut self, by: Party, reason: &EndReason, now: Now) {
        self.drop_takeover();
        if self.transfer.take().is_some() {
            self.outputs.push_back(Output::Transferred { status: 487 });
        }
        let why = match () {
            () if reason.is_our_fault() => OfferEnd::System,
            () if self.is_outbound() => OfferEnd::NotReached,
            () => OfferEnd::CallerLeft,
        };
        match self.agent.as_ref().map(|it| it.state) {
            None => (),
            Some(AgentState::Talking) => {
                self.drop_talk(by, now);
            }
            Some(
                AgentState::Opening { .. }
                | AgentState::Dialing
                | AgentState::Settling
                | AgentState::Announcing,
            ) => {
                self.drop_offer(why, now);
            }
        }
        let why = if reason.is_our_fault() { OfferEnd::System } else { OfferEnd::CallerLeft };
        self.drop_guests(by, why, now);
    }

    fn leave_queue_at_end(&mut self, by: Party, reason: &EndReason, now: Now) {
        let why = match by {
            _ if reason.is_our_fault() => QueueExit::System,
            Party::Caller | Party::Carrier | Party::Called => QueueExit::Abandoned,
            Party::Agent | Party::Telephone | Party::Platform | Party::Supervisor => {
                QueueExit::System
            }
        };
        self.leave_queue(why, now);
    }

    pub(super) fn leave_queue(&mut self, why: QueueExit, now: Now) {
        if let Some(ticket) = self.ticket.take() {
            self.fact(CallFact::LeftQueue { ticket, why }, now);
            self.outputs.push_back(Output::Queue(QueueOrder::Leave { ticket }));
        }
    }

    pub(super) fn run_hang_up_chain(
        &mut self,
        by: Party,
        reason: &EndReason,
        env: &dyn Environment,
        now: Now,
    ) {
        let Some(session) = &mut self.session else { return };
        let reason = match by {
            _ if reason.is_our_fault() => hotline_ivr::EndReason::Error,
            Party::Caller | Party::Carrier | Party::Called => hotline_ivr::EndReason::CallerHangup,
            Party::Agent | Party::Telephone | Party::Platform | Party::Supervisor => {
                hotline_ivr::EndReason::SystemHangup
            }
        };
        session.handle(hotline_ivr::Event::HungUp { reason }, env, now);
        self.keep_facts_of_chain(now);
    }
}
