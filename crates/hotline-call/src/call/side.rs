//! The agent's side of a call: an offer in progress, or the talk.

use super::{AgentSide, AgentState, Offering, TicketId};
use crate::saved::SavedTalk;

impl AgentSide {
    pub(super) const fn new(offering: Offering, state: AgentState) -> Self {
        Self { offering, state, held_by_phone: false, held_by_desk: false, recording: None }
    }

    pub(super) fn restore(saved: SavedTalk) -> Self {
        Self {
            offering: Offering {
                offer: saved.offer,
                ticket: TicketId(0),
                agent: saved.agent,
                extension: saved.extension,
                group: saved.group,
                leg: saved.leg,
            },
            state: if saved.bridged { AgentState::Talking } else { AgentState::Announcing },
            held_by_phone: false,
            held_by_desk: saved.held,
            recording: None,
        }
    }

    pub(super) fn save(&self) -> SavedTalk {
        let it = &self.offering;
        SavedTalk {
            offer: it.offer,
            leg: it.leg,
            agent: it.agent.clone(),
            extension: it.extension.clone(),
            group: it.group.clone(),
            bridged: self.state == AgentState::Talking,
            held: self.is_held(),
        }
    }

    pub(super) const fn is_held(&self) -> bool {
        self.held_by_phone || self.held_by_desk
    }
}
