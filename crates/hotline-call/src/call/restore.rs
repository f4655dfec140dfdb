//! What of a call outlives the control process, and how it is taken up again.

use std::borrow::Cow;

use hotline_cdr::{CalledParty, FlowResult, PartyRole};

use super::{
    AgentSide, AgentState, Arc, BTreeSet, Call, CallFact, Caller, CallerState, Config, FlowReturn,
    Guest, LegId, Now, OfferEnd, OfferId, Phase, QueueExit, SavedCall, Stamped, TicketId, outbound,
    suspend::suspended,
};

impl Call {
    /// Adopts a call of an earlier control process: it can be ended, and its record written.
    pub fn restore(saved: SavedCall<'_>, config: Arc<Config>, now: Now) -> Self {
        let open_legs = saved.legs().collect();
        let SavedCall { call, caller, talk, guests, recordings, facts } = saved;
        let facts = facts.into_owned();
        let is_over = caller.is_none() && talk.is_none() && guests.is_empty();
        let closing = Phase::Closing { until: now.mono + config.seal_limit };
        let caller = Caller {
            leg: caller.unwrap_or(LegId(0)),
            state: if caller.is_some() { CallerState::Up } else { CallerState::Gone },
            owes_answer: false,
            held: false,
        };
        let mut it = Self::blank(call, config, caller);
        if is_over {
            it.phase = closing;
        }
        it.dialled = outbound::Dialled::restore(&facts);
        it.agent = talk.map(AgentSide::restore);
        it.guests = guests.into_iter().map(Guest::restore).collect();
        it.n_recordings = u32::try_from(recordings.len()).unwrap_or(u32::MAX);
        it.recordings = recordings.into_iter().collect();
        it.open_legs = open_legs;
        it.audio.restart(&facts);
        it.facts = facts;
        it.fact(CallFact::ControlRestarted, now);
        if let Some((offer, flow)) = suspended(&it.facts) {
            // The flow ended with its process.
            let (flow, how, values) = (flow.clone(), FlowReturn::Lost, Vec::new());
            it.fact(CallFact::Returned(Box::new(FlowResult { offer, flow, how, values })), now);
        }
        for offer in open_visits(&it.facts) {
            // Who was only being called then is not here now.
            if !it.has_offer(offer) {
                it.fact(CallFact::OfferEnded { offer, why: OfferEnd::System }, now);
            }
        }
        if let Some(ticket) = open_ticket(&it.facts) {
            // The queue died with its process.
            it.fact(CallFact::LeftQueue { ticket, why: QueueExit::System }, now);
        }
        it
    }

    fn has_offer(&self, offer: OfferId) -> bool {
        self.agent.as_ref().is_some_and(|it| it.offering.offer == offer)
            || self.guests.iter().any(|it| it.offer == offer)
    }

    /// What [`restore`](Self::restore) needs; `None` when nothing has to survive (not answered
    /// yet, or over).
    pub fn save(&self) -> Option<SavedCall<'_>> {
        let agent_is_in = self.agent.as_ref().is_some_and(|it| it.state == AgentState::Announcing);
        let caller = match (&self.phase, &self.caller.state) {
            // An agent who answered for a call of his own must be told when it is lost.
            (
                Phase::Live,
                CallerState::Opening { .. } | CallerState::Invited { .. } | CallerState::Settling,
            ) if self.dialled.is_some() && agent_is_in => Some(self.caller.leg),
            (Phase::Done, _)
            | (
                Phase::Live,
                CallerState::Opening { .. }
                | CallerState::Ready { .. }
                | CallerState::Waits
                | CallerState::Invited { .. }
                | CallerState::Settling,
            ) => return None,
            (Phase::Live, CallerState::Up) => Some(self.caller.leg),
            (Phase::Live, CallerState::Left | CallerState::Gone) | (Phase::Closing { .. }, _) => {
                None
            }
        };
        let talk = self.agent.as_ref().filter(|it| match it.state {
            AgentState::Announcing | AgentState::Talking => true,
            AgentState::Opening { .. } | AgentState::Dialing | AgentState::Settling => false,
        });
        Some(SavedCall {
            call: self.id,
            caller,
            talk: talk.map(AgentSide::save),
            guests: self.guests.iter().filter_map(Guest::save).collect(),
            recordings: self.recordings.iter().cloned().collect(),
            facts: Cow::Borrowed(&self.facts),
        })
    }
}

/// The visits to agents that have not ended.
fn open_visits(facts: &[Arc<Stamped>]) -> BTreeSet<OfferId> {
    let mut open = BTreeSet::new();
    for it in facts {
        if let CallFact::Offered { offer, .. } | CallFact::AgentCalled { offer, .. } = &it.fact {
            open.insert(*offer);
        } else if let CallFact::PartyCalled {
            offer, role, party: CalledParty::Agent { .. }, ..
        } = &it.fact
            && !matches!(role, PartyRole::Supervisor(_))
        {
            open.insert(*offer);
        } else if let CallFact::OfferEnded { offer, .. }
        | CallFact::AgentReleased { offer, .. }
        | CallFact::PartyLeft { offer, .. } = &it.fact
        {
            open.remove(offer);
        }
    }
    open
}

/// The visit to a queue that has not ended.
fn open_ticket(facts: &[Arc<Stamped>]) -> Option<TicketId> {
    facts.iter().fold(None, |open, it| {
        if let CallFact::Enqueued { ticket, .. } = it.fact {
            Some(ticket)
        } else if let CallFact::LeftQueue { .. } = it.fact {
            None
        } else {
            open
        }
    })
}
