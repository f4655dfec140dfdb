//! The agent's side of a call: an offer in progress, or the talk.

use hotline_base::media::Profile;

use super::{AgentState, Offering, TicketId, aside::Aside};
use crate::{TalkLine, saved::SavedTalk};

#[derive(Debug)]
pub(super) struct AgentSide {
    pub(super) offering: Offering,
    pub(super) state: AgentState,
    /// Hold by a re-INVITE of the phone, and by command.
    pub(super) held_by_phone: bool,
    pub(super) held_by_desk: bool,
    pub(super) told: Told,
    /// His telephone's second call, with whom he asks.
    pub(super) aside: Option<Aside>,
}

/// What the agent's desk and the record were last told of a party.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) line: TalkLine,
    /// He and the caller heard each other once.
    pub(super) bridged: bool,
    /// They do not now.
    pub(super) apart: bool,
}

impl AgentSide {
    pub(super) fn new(offering: Offering, state: AgentState) -> Self {
        let told = Told::default();
        let (held_by_phone, held_by_desk) = (false, false);
        Self { offering, state, held_by_phone, held_by_desk, told, aside: None }
    }

    pub(super) fn restore(saved: SavedTalk) -> Self {
        // Who holds during the announcement has not left anybody yet.
        let apart = saved.bridged && (saved.held_by_phone || saved.held_by_desk);
        let line = if apart { TalkLine::Held } else { TalkLine::Talking };
        Self {
            offering: Offering {
                offer: saved.offer,
                ticket: TicketId(0),
                agent: saved.agent,
                extension: saved.extension,
                group: saved.group,
                leg: saved.leg,
                profile: Profile::default(),
            },
            state: if saved.bridged { AgentState::Talking } else { AgentState::Announcing },
            held_by_phone: saved.held_by_phone,
            held_by_desk: saved.held_by_desk,
            told: Told { line, bridged: saved.bridged, apart },
            aside: None,
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
            held_by_phone: self.held_by_phone,
            held_by_desk: self.held_by_desk,
        }
    }

    /// He answered.
    pub(super) const fn is_in(&self) -> bool {
        matches!(self.state, AgentState::Announcing | AgentState::Talking)
    }

    pub(super) const fn is_held(&self) -> bool {
        self.held_by_phone || self.held_by_desk
    }
}
