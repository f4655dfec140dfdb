//! 咨询 by telephone: the agent's telephone calls whom he wants to ask, in a call of its own beside
//! the one with the caller, and then leaves the two to each other (RFC 5589 §7).

use hotline_base::{
    AgentNo,
    media::{FailReason, FailedOrder, Order},
};
use hotline_cdr::PartyRole;

use super::{
    Call, Environment, Joining, LegEvent, LegId, LegOrder, MonoTime, Now, OfferEnd, Party,
    PhoneCall, events::refused_reoffer,
};
use crate::{Role, Room, Seat};

/// The second call of an agent's telephone.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) leg: LegId,
    state: State,
    /// Its INVITE had no offer, and the answer to ours has not come.
    owes_answer: bool,
    pub(super) held: bool,
}

#[derive(Debug)]
enum State {
    Opening {
        until: MonoTime,
    },
    /// It hears that the other side rings; this is what a 200 will say.
    Rings {
        sdp: String,
    },
    Up,
}

impl Aside {
    pub(super) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    pub(super) fn seat(&self) -> Option<Seat> {
        let room = if self.held { Room::Apart } else { Room::Aside };
        self.is_up().then_some(Seat { leg: self.leg, role: Role::Agent, room })
    }
}

impl Call {
    /// 咨询 by a second call of the agent's telephone, with what its INVITE describes. Says whether
    /// it could be done.
    pub fn consult_by_phone(
        &mut self,
        agent: &AgentNo,
        (leg, offer, profile): PhoneCall,
        it: Joining,
        now: Now,
    ) -> bool {
        if !self.may_consult(agent) {
            return false;
        }
        let until = now.mono + self.config.open_limit;
        let owes_answer = offer.is_none();
        let state = State::Opening { until };
        if let Some(side) = &mut self.agent {
            side.aside = Some(Aside { leg, state, owes_answer, held: false });
        }
        self.open_leg(leg, offer, profile);
        self.consult(agent, it, now)
    }

    /// Whether these are the two calls of one agent's telephone: the caller's, and that with whom
    /// he asks. Says whose.
    pub fn consults_between(&self, leg: LegId, other: LegId) -> Option<&AgentNo> {
        let side = self.agent.as_ref()?;
        let (main, aside) = (side.offering.leg, side.aside.as_ref()?.leg);
        let both = [(main, aside), (aside, main)].contains(&(leg, other));
        both.then_some(&side.offering.agent)
    }

    pub(super) fn aside(&mut self, leg: LegId) -> Option<&mut Aside> {
        self.agent.as_mut()?.aside.as_mut().filter(|it| it.leg == leg)
    }

    pub(super) fn aside_opening_until(&self) -> Option<MonoTime> {
        match self.agent.as_ref()?.aside.as_ref()?.state {
            State::Opening { until } => Some(until),
            State::Rings { .. } | State::Up => None,
        }
    }

    pub(super) fn aside_opened(&mut self, leg: LegId, sdp: String, now: Now) {
        let Some(it) = self.aside(leg) else { return };
        if !matches!(it.state, State::Opening { .. }) {
            return;
        }
        it.state = State::Rings { sdp: sdp.clone() };
        self.leg(leg, LegOrder::Ring { sdp });
        self.answer_aside(now);
    }

    /// Whom the agent asks is there: his telephone is answered.
    pub(super) fn answer_aside(&mut self, now: Now) {
        let there = |it: &super::Guest| it.role == PartyRole::Consulted && it.is_in();
        let is_there = self.guests.iter().any(there);
        let Some(it) = self.agent.as_mut().and_then(|it| it.aside.as_mut()) else { return };
        let leg = it.leg;
        match std::mem::replace(&mut it.state, State::Up) {
            State::Rings { sdp } if is_there => {
                self.leg(leg, LegOrder::Answer { sdp });
                self.connect(leg);
                self.remix(now);
            }
            state @ (State::Opening { .. } | State::Rings { .. } | State::Up) => it.state = state,
        }
    }

    pub(super) fn handle_aside(
        &mut self,
        leg: LegId,
        event: LegEvent,
        env: &dyn Environment,
        now: Now,
    ) {
        match event {
            LegEvent::Offered { sdp } => self.reoffered(leg, sdp),
            LegEvent::Reanswered { sdp } => self.media(Order::Answer { leg, answer: sdp }),
            LegEvent::Ended(_) => self.aside_ends(env, now),
            LegEvent::Ringing { .. } | LegEvent::Answered { .. } | LegEvent::Key { .. } => (),
        }
    }

    /// Its first answer is understood, or a later one.
    pub(super) fn aside_settled(&mut self, leg: LegId, hold: bool, now: Now) {
        let Some(it) = self.aside(leg) else { return };
        it.held = hold && !std::mem::take(&mut it.owes_answer);
        self.remix(now);
    }

    pub(super) fn aside_failed(
        &mut self,
        leg: LegId,
        (order, reason): (FailedOrder, FailReason),
        env: &dyn Environment,
        now: Now,
    ) {
        let owes_answer = self.aside(leg).is_some_and(|it| it.owes_answer);
        match order {
            FailedOrder::Open => {
                self.open_legs.remove(&leg);
                self.aside_ends(env, now);
            }
            FailedOrder::Answer if owes_answer => self.aside_ends(env, now),
            // It goes on as it was.
            FailedOrder::Answer => (),
            // A browser that is not who it says it is is never heard.
            FailedOrder::Secure => self.aside_ends(env, now),
            FailedOrder::Reoffer => self.leg(leg, refused_reoffer(reason)),
        }
    }

    /// The agent asks no more: whom he asked goes, too.
    pub(super) fn aside_ends(&mut self, env: &dyn Environment, now: Now) {
        self.drop_aside(super::ending::NORMAL);
        let consulted = self.guests.iter().find(|it| it.role == PartyRole::Consulted);
        match consulted.map(|it| it.leg) {
            Some(leg) => self.guest_leaves(leg, Party::Agent, OfferEnd::CallerLeft, env, now),
            None => self.remix(now),
        }
    }

    /// The telephone's second call is over; the first goes on.
    pub(super) fn drop_aside(&mut self, cause: u8) {
        let aside = self.agent.as_mut().and_then(|it| it.aside.take());
        self.close_aside(aside, cause);
    }

    pub(super) fn close_aside(&mut self, aside: Option<Aside>, cause: u8) {
        if let Some(Aside { leg, .. }) = aside {
            self.leg(leg, LegOrder::HangUp { cause });
            self.close_leg(leg);
        }
    }
}
