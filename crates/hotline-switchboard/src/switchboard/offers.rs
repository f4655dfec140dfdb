//! Between the dispatcher, the agents and the calls.

use hotline_acd::{Offer, OfferEnd as DispatchEnd, Output as DispatchOutput};
use hotline_agent::{BusyReason, LineEvent};
use hotline_base::{AgentNo, CallId, Now, OfferId};
use hotline_call::{OfferUpdate, Offering, TalkLine};
use hotline_cdr::OfferEnd;

use super::{
    Switchboard,
    parties::{Holding, Via},
};

impl Switchboard {
    pub(super) fn act_on_dispatch(&mut self, output: DispatchOutput, now: Now) {
        match output {
            DispatchOutput::Offered(offer) => self.offered(offer, now),
            DispatchOutput::Expired(offer) => {
                let id = offer.id;
                self.step(offer.call, now, |call, env, now| call.offer_expired(id, env, now));
            }
        }
    }

    fn offered(&mut self, offer: Offer, now: Now) {
        // A queued offer may have lost its caller or its agent within the same turn.
        if self.dispatcher.offer(offer.id).is_none() {
            return;
        }
        let waits = self
            .calls
            .get(&offer.call)
            .is_some_and(|it| it.call.ticket() == Some(offer.ticket) && it.call.agent().is_none());
        if !waits {
            self.dispatcher.leave(offer.ticket);
            return self.refresh(&offer.agent);
        }
        let extension = self.agents.get_mut(&offer.agent).and_then(|agent| {
            let extension = agent.extension().cloned()?;
            agent.set_call(Some(offer.call));
            agent.line_event(LineEvent::Reserve, now).ok().map(|()| extension)
        });
        let Some(extension) = extension else {
            debug_assert!(false, "the dispatcher offered an agent who is not ready");
            self.dispatcher.ended(offer.id, DispatchEnd::DeviceGone);
            return;
        };
        let profile = self.best_profile(&extension, now);
        let leg = self.endpoint.new_leg();
        self.legs.insert(leg, offer.call);
        self.media_legs.insert(leg, offer.call);
        if let Some(entry) = self.calls.get_mut(&offer.call) {
            entry.media_legs.push(leg);
        }
        let holding = Holding { call: offer.call, agent: offer.agent.clone(), via: Via::Queue };
        self.offers.insert(offer.id, holding);
        let offering = Offering {
            offer: offer.id,
            ticket: offer.ticket,
            agent: offer.agent.clone(),
            extension,
            group: offer.group,
            leg,
            profile,
        };
        self.step(offer.call, now, |call, _, now| call.offered(offering, now));
        self.agent_changed(&offer.agent, now);
    }

    /// A call says what became of an offer.
    pub(super) fn offer_moved(
        &mut self,
        call: CallId,
        offer: OfferId,
        update: OfferUpdate,
        now: Now,
    ) {
        // A party outside holds no agent.
        let Some(Holding { agent, via, .. }) = self.holding_of(call, offer) else { return };
        let line = match (update, via) {
            (OfferUpdate::Ringing, Via::Own) => return,
            (OfferUpdate::Ringing, Via::Queue | Via::Direct) => LineEvent::Ring,
            (OfferUpdate::Answered, Via::Queue) => {
                // Too late only if the lease ran out in this very turn; then its end follows.
                if self.dispatcher.answered(offer).is_err() {
                    return;
                }
                LineEvent::Answer
            }
            (OfferUpdate::Answered, Via::Direct | Via::Own) => LineEvent::Answer,
            (OfferUpdate::Bridged, Via::Queue) => {
                if self.dispatcher.bridged(offer).is_err() {
                    return;
                }
                LineEvent::Bridge
            }
            (OfferUpdate::Bridged, Via::Direct | Via::Own) | (OfferUpdate::Joined, Via::Own) => {
                LineEvent::Bridge
            }
            (OfferUpdate::Joined, Via::Queue | Via::Direct) => {
                self.move_line(&agent, LineEvent::Answer, now);
                LineEvent::Bridge
            }
            (OfferUpdate::Line(line), _) => talk_event(line),
            (OfferUpdate::Ended(_), Via::Own) | (OfferUpdate::Released { .. }, _) => {
                LineEvent::Release
            }
            (OfferUpdate::Ended(why), Via::Queue | Via::Direct) => {
                return self.offer_ended(&agent, offer, why, now);
            }
        };
        self.move_line(&agent, line, now);
        if let OfferUpdate::Released { .. } | OfferUpdate::Ended(_) = update {
            self.offers.remove(&offer);
            self.free(&agent);
        }
    }

    fn offer_ended(&mut self, agent: &AgentNo, offer: OfferId, why: OfferEnd, now: Now) {
        match (why, self.dispatcher.offer(offer).map(|it| it.ticket)) {
            (_, None) => (),
            (OfferEnd::CallerLeft, Some(ticket)) => {
                self.dispatcher.leave(ticket);
            }
            (OfferEnd::NoAnswer | OfferEnd::Rejected, Some(_)) => {
                self.dispatcher.ended(offer, DispatchEnd::Rejected);
            }
            (OfferEnd::Unreachable, Some(_)) => {
                self.dispatcher.ended(offer, DispatchEnd::DeviceGone);
            }
            (OfferEnd::AgentLeft, Some(_)) => {
                self.dispatcher.ended(offer, DispatchEnd::GoneBeforeBridge);
            }
            (OfferEnd::System | OfferEnd::NotReached, Some(_)) => {
                self.dispatcher.ended(offer, DispatchEnd::Withdrawn);
            }
        }
        self.offers.remove(&offer);
        self.move_line(agent, LineEvent::Release, now);
        let reason = match why {
            OfferEnd::NoAnswer => Some(BusyReason::RingNoAnswer),
            OfferEnd::Rejected | OfferEnd::AgentLeft => Some(BusyReason::Rejected),
            OfferEnd::Unreachable => Some(BusyReason::DeviceUnavailable),
            OfferEnd::CallerLeft | OfferEnd::System | OfferEnd::NotReached => None,
        };
        if let (Some(reason), Some(it)) = (reason, self.agents.get_mut(agent)) {
            it.set_aside(reason, now);
            self.agent_changed(agent, now);
        }
        self.free(agent);
    }

    pub(super) fn move_line(&mut self, agent: &AgentNo, event: LineEvent, now: Now) {
        if let Some(it) = self.agents.get_mut(agent) {
            let moved = it.line_event(event, now);
            debug_assert!(moved.is_ok(), "the line follows the call: {event:?} {moved:?}");
        }
        self.agent_changed(agent, now);
    }

    /// The line is free: the facts so far still name the call, later ones do not.
    pub(super) fn free(&mut self, agent: &AgentNo) {
        if let Some(it) = self.agents.get_mut(agent) {
            it.set_call(None);
        }
    }

    /// Who holds the offer.
    fn holding_of(&self, call: CallId, offer: OfferId) -> Option<Holding> {
        self.offers.get(&offer).filter(|it| it.call == call).cloned()
    }
}

const fn talk_event(line: TalkLine) -> LineEvent {
    match line {
        TalkLine::Talking => LineEvent::Retrieve,
        TalkLine::Held => LineEvent::Hold,
        TalkLine::Consulting => LineEvent::Consult,
        TalkLine::Conferring => LineEvent::Confer,
        TalkLine::Suspended => LineEvent::Suspend,
    }
}
