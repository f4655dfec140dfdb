//! An agent's part of a call moves to another of his telephones (RFC 3891): one that he picks up
//! while the first rings, or goes on with.

use hotline_base::{
    AgentNo,
    media::{Order, Profile},
};

use super::{
    AgentState, Call, CallFact, Environment, LegEvent, LegId, LegOrder, MonoTime, Now, Output,
    Phase,
};

/// The leg of a telephone that called us, its offer if it made one, and how audio is to travel in
/// an offer of ours if it made none.
pub type PhoneCall = (LegId, Option<String>, Profile);

/// The other telephone, until media knows it.
#[derive(Debug)]
pub(super) struct Takeover {
    old: LegId,
    pub(super) new: LegId,
    pub(super) until: MonoTime,
    /// Its INVITE had no offer: ours is answered in its ACK.
    owes_answer: bool,
}

impl Call {
    /// Another telephone of this agent takes his part over, with what its INVITE describes. Says
    /// whether `old` is his and can be taken over now.
    pub fn take_over(
        &mut self,
        agent: &AgentNo,
        old: LegId,
        (new, offer, profile): PhoneCall,
        now: Now,
    ) -> bool {
        if self.phase != Phase::Live || self.takeover.is_some() || !self.is_his(agent, old) {
            return false;
        }
        let until = now.mono + self.config.open_limit;
        self.takeover = Some(Takeover { old, new, until, owes_answer: offer.is_none() });
        self.open_leg(new, offer, profile);
        true
    }

    /// This leg is the agent's, and rings or is answered.
    fn is_his(&self, agent: &AgentNo, leg: LegId) -> bool {
        let is_fit = |it: AgentState| match it {
            AgentState::Dialing | AgentState::Announcing | AgentState::Talking => true,
            AgentState::Opening { .. } | AgentState::Settling => false,
        };
        let main = self.agent.as_ref().map(|it| &it.offering);
        let main = main.filter(|it| it.leg == leg && it.agent == *agent).and(self.agent.as_ref());
        let guest = self.guests.iter().find(|it| it.leg == leg && it.is_agent(agent));
        main.map(|it| it.state).or_else(|| guest.map(|it| it.state)).is_some_and(is_fit)
    }

    pub(super) fn is_taking_over(&self, leg: LegId) -> bool {
        self.takeover.as_ref().is_some_and(|it| it.new == leg)
    }

    pub(super) fn takeover_opened(&mut self, sdp: String, env: &dyn Environment, now: Now) {
        let Some(it) = &self.takeover else { return };
        let (leg, owes_answer) = (it.new, it.owes_answer);
        self.leg(leg, LegOrder::Answer { sdp });
        if !owes_answer {
            self.change_phones(env, now);
        }
    }

    pub(super) fn handle_takeover(&mut self, event: LegEvent) {
        let Some(leg) = self.takeover.as_ref().map(|it| it.new) else { return };
        match event {
            LegEvent::Reanswered { sdp } => self.media(Order::Answer { leg, answer: sdp }),
            LegEvent::Offered { .. } => self.leg(leg, LegOrder::RefuseOffer { status: 491 }),
            LegEvent::Ended(_) => self.drop_takeover(),
            LegEvent::Ringing { .. } | LegEvent::Answered { .. } | LegEvent::Key { .. } => (),
        }
    }

    /// The other telephone is there: the first one is hung up.
    pub(super) fn change_phones(&mut self, env: &dyn Environment, now: Now) {
        let Some(Takeover { old, new, .. }) = self.takeover.take() else { return };
        let main = self.agent.as_mut().filter(|it| it.offering.leg == old);
        let found = if let Some(side) = main {
            side.offering.leg = new;
            side.held_by_phone = false;
            Some((side.offering.offer, &mut side.state))
        } else {
            let guest = self.guests.iter_mut().find(|it| it.leg == old);
            guest.map(|it| {
                (it.leg, it.held) = (new, false);
                (it.offer, &mut it.state)
            })
        };
        let Some((offer, state)) = found else {
            // Whose part it was left meanwhile.
            self.leg(new, LegOrder::HangUp { cause: super::ending::NORMAL });
            return self.close_leg(new);
        };
        let picks_up = *state == AgentState::Dialing;
        if picks_up {
            *state = AgentState::Settling;
        }
        self.leg(old, LegOrder::HangUp { cause: super::ending::NORMAL });
        self.close_leg(old);
        self.fact(CallFact::TakenOver { offer, leg: new }, now);
        if picks_up {
            self.settled(new, env, now);
        } else {
            self.connect(new);
        }
        self.remix(now);
        self.outputs.push_back(Output::Keep);
    }

    /// The other telephone will not be there.
    pub(super) fn drop_takeover(&mut self) {
        if let Some(Takeover { new, .. }) = self.takeover.take() {
            self.leg(new, LegOrder::HangUp { cause: super::ending::NORMAL });
            self.close_leg(new);
        }
    }
}
