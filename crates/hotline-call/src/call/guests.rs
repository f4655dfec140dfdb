//! Who is called into a running call: consulted, joined, transferred to, or supervising.

use hotline_base::{
    AgentNo, Oversight,
    media::{Order, Profile},
};
use hotline_cdr::{CalledParty, PartyRole};

use super::{
    AgentSide, AgentState, Call, CallFact, CallerState, Environment, LegEvent, LegId, LegOrder,
    MonoTime, Now, OfferEnd, OfferId, OfferUpdate, Offering, Output, Party, Phase, TicketId,
    network::Network, side::Told,
};
use crate::{LegEnd, Role, Room, SavedGuest, Seat};

/// As many as a conference has places, with the caller and the agent.
pub(super) const GUESTS_MAX: usize = 30;

/// Q.850: user busy.
const BUSY: u8 = 17;

/// Somebody to be called into a call.
#[derive(Clone, Debug)]
pub struct Joining {
    pub offer: OfferId,
    /// A fresh leg.
    pub leg: LegId,
    /// How audio travels to the telephones that are dialled.
    pub profile: Profile,
    pub who: Who,
}

/// Whom.
#[derive(Clone, Debug)]
pub struct Who {
    pub party: CalledParty,
    /// The number to be shown to somebody outside, if the trunk owns it.
    pub display: Option<String>,
}

#[derive(Debug)]
pub(super) struct Guest {
    pub(super) offer: OfferId,
    pub(super) leg: LegId,
    party: CalledParty,
    display: Option<String>,
    profile: Profile,
    pub(super) role: PartyRole,
    /// `Talking`: he is there.
    pub(super) state: AgentState,
    pub(super) held: bool,
    /// Whom he is asked by leaves when he answers (成功转).
    pub(super) takes_over: bool,
    pub(super) told: Told,
    /// What is heard before he answers; `None`: nothing is.
    pub(super) network: Option<Network>,
}

impl Guest {
    pub(super) fn restore(it: SavedGuest) -> Self {
        let SavedGuest { offer, leg, party, role, held } = it;
        let told = Told { bridged: true, apart: held, ..Told::default() };
        let (profile, state) = (Profile::default(), AgentState::Talking);
        let (display, takes_over, network) = (None, false, None);
        Self { offer, leg, party, display, profile, role, state, held, takes_over, told, network }
    }

    /// Only of those who are there.
    pub(super) fn save(&self) -> Option<SavedGuest> {
        self.is_in().then(|| SavedGuest {
            offer: self.offer,
            leg: self.leg,
            party: self.party.clone(),
            role: self.role,
            held: self.held,
        })
    }

    pub(super) fn is_in(&self) -> bool {
        self.state == AgentState::Talking
    }

    pub(super) const fn is_supervisor(&self) -> bool {
        matches!(self.role, PartyRole::Supervisor(_))
    }

    /// He is there, and is more than an observer.
    pub(super) fn talks(&self) -> bool {
        self.is_in() && !self.is_supervisor()
    }

    /// A supervisor whom everybody hears.
    pub(super) fn barges_in(&self) -> bool {
        self.is_in() && self.role == PartyRole::Supervisor(Oversight::BargeIn)
    }

    pub(super) fn is_agent(&self, no: &AgentNo) -> bool {
        match &self.party {
            CalledParty::Agent { agent, .. } => agent == no,
            CalledParty::Outside { .. } => false,
        }
    }

    pub(super) const fn is_outside(&self) -> bool {
        matches!(self.party, CalledParty::Outside { .. })
    }

    /// His network speaks to whom he is asked by, before he answers.
    pub(super) fn is_only_heard(&self) -> bool {
        let is_asked = self.role == PartyRole::Consulted && !self.is_in();
        is_asked && self.network.as_ref().is_some_and(Network::is_heard)
    }

    /// `room` is the agent's.
    pub(super) fn seat(&self, room: Option<Room>) -> Option<Seat> {
        let (role, room) = match self.role {
            PartyRole::Consulted => (Role::Guest, Room::Aside),
            PartyRole::Joined | PartyRole::Transferred => (Role::Guest, Room::Talk),
            PartyRole::Supervisor(it) => {
                let room = room.filter(|it| *it != Room::Apart).unwrap_or(Room::Talk);
                (Role::Supervisor(it), room)
            }
        };
        let room = if self.held { Room::Apart } else { room };
        let is_there = self.is_in() || self.is_only_heard();
        is_there.then_some(Seat { leg: self.leg, role, room })
    }

    pub(super) const fn opening_until(&self) -> Option<MonoTime> {
        match self.state {
            AgentState::Opening { until } => Some(until),
            AgentState::Dialing
            | AgentState::Settling
            | AgentState::Announcing
            | AgentState::Talking => None,
        }
    }

    /// The agent he is, as if the caller had been offered to him; gives back who is no agent.
    fn promoted(self) -> Result<AgentSide, Self> {
        let CalledParty::Agent { agent, extension, group } = self.party else { return Err(self) };
        let offering = Offering {
            offer: self.offer,
            ticket: TicketId(0),
            agent,
            extension,
            group,
            leg: self.leg,
            profile: self.profile,
        };
        let mut side = AgentSide::new(offering, AgentState::Talking);
        (side.held_by_desk, side.told) = (self.held, self.told);
        Ok(side)
    }
}

impl Call {
    /// Opens a leg for somebody and rings him. `false`: the call has no room for one more.
    pub(super) fn call_in(&mut self, it: Joining, role: PartyRole, now: Now) -> bool {
        if self.phase != Phase::Live || self.guests.len() >= GUESTS_MAX {
            return false;
        }
        let Joining { offer, leg, profile, who: Who { party, display } } = it;
        let called = CallFact::PartyCalled { offer, leg, role, party: party.clone() };
        self.fact(called, now);
        self.open_leg(leg, None, profile);
        let state = AgentState::Opening { until: now.mono + self.config.open_limit };
        self.guests.push(Guest {
            offer,
            leg,
            party,
            display,
            profile,
            role,
            state,
            held: false,
            takes_over: false,
            told: Told::default(),
            network: None,
        });
        self.remix(now);
        true
    }

    pub(super) fn guest(&mut self, leg: LegId) -> Option<&mut Guest> {
        self.guests.iter_mut().find(|it| it.leg == leg)
    }

    /// Whether this agent's leg, or that of somebody else who was called in, is of this call.
    pub fn has_party(&self, offer: OfferId, agent: &AgentNo) -> bool {
        self.guests.iter().any(|it| it.offer == offer && it.is_agent(agent))
            || self.agent().is_some_and(|it| it.0 == offer && it.1 == agent)
    }

    /// Called in, and not offered by the dispatcher.
    pub fn is_guest(&self, leg: LegId) -> bool {
        self.guests.iter().any(|it| it.leg == leg)
    }

    /// The offers of those outside who were called in.
    pub(super) fn guest_opened(&mut self, leg: LegId, sdp: String) {
        let Some(guest) = self.guest(leg).filter(|it| it.opening_until().is_some()) else { return };
        guest.state = AgentState::Dialing;
        let order = match &guest.party {
            CalledParty::Agent { extension, .. } => {
                LegOrder::Dial { extension: extension.clone(), profile: guest.profile, sdp }
            }
            CalledParty::Outside { number } => {
                let (number, display) = (number.clone(), guest.display.clone());
                LegOrder::DialOut { number, display, sdp }
            }
        };
        self.leg(leg, order);
    }

    /// None of the telephones that were dialled by a leg is there: those to which audio travels in
    /// another way are, by a fresh leg. `false`: nobody rings by that leg.
    pub fn ring_otherwise(&mut self, leg: LegId, fresh: LegId, profile: Profile, now: Now) -> bool {
        let opening = AgentState::Opening { until: now.mono + self.config.open_limit };
        let side = self.agent.as_mut().filter(|it| it.offering.leg == leg);
        let offer = if let Some(it) = side.filter(|it| it.state == AgentState::Dialing) {
            (it.offering.leg, it.offering.profile, it.state) = (fresh, profile, opening);
            it.offering.offer
        } else if let Some(it) = self.guest(leg).filter(|it| it.state == AgentState::Dialing) {
            (it.leg, it.profile, it.state) = (fresh, profile, opening);
            it.offer
        } else {
            return false;
        };
        self.close_leg(leg);
        self.fact(CallFact::PhoneChanged { offer, leg: fresh }, now);
        self.open_leg(fresh, None, profile);
        true
    }

    pub(super) fn handle_guest(
        &mut self,
        leg: LegId,
        event: LegEvent,
        env: &dyn Environment,
        now: Now,
    ) {
        let Some(guest) = self.guest(leg) else { return };
        let offer = guest.offer;
        match event {
            LegEvent::Ringing { sdp } if guest.state == AgentState::Dialing => {
                self.guest_rings(leg, sdp, now);
                self.fact(CallFact::Ringing { offer }, now);
                self.outputs.push_back(Output::Offer { offer, update: OfferUpdate::Ringing });
            }
            LegEvent::Answered { sdp } if guest.state == AgentState::Dialing => match sdp {
                Some(answer) => {
                    guest.state = AgentState::Settling;
                    self.media(Order::Answer { leg, answer });
                }
                None => self.guest_lost(leg, OfferEnd::System, env, now),
            },
            LegEvent::Ringing { .. } | LegEvent::Answered { .. } | LegEvent::Key { .. } => (),
            LegEvent::Offered { sdp } => self.reoffered(leg, sdp),
            LegEvent::Reanswered { sdp } => self.media(Order::Answer { leg, answer: sdp }),
            LegEvent::Ended(end) => self.guest_ended(leg, end, env, now),
        }
    }

    /// Before he answers: his telephone rings, with or without a description of his network's sound
    /// (彩铃, announcements), which whom he is asked by hears.
    fn guest_rings(&mut self, leg: LegId, sdp: Option<String>, now: Now) {
        match self.guest(leg).and_then(|it| it.network.as_mut()) {
            Some(network) => {
                if let Some(answer) = network.rings(sdp) {
                    self.media(Order::Answer { leg, answer });
                }
                self.remix(now);
            }
            None => self.listens_early(leg, sdp),
        }
    }

    /// What a guest's network says before he answers changed.
    pub(super) fn guest_network(
        &mut self,
        leg: LegId,
        change: impl FnOnce(&mut Network),
        now: Now,
    ) {
        if let Some(network) = self.guest(leg).and_then(|it| it.network.as_mut()) {
            change(network);
            self.remix(now);
        }
    }

    fn guest_ended(&mut self, leg: LegId, end: LegEnd, env: &dyn Environment, now: Now) {
        if let LegEnd::Refused { status, cause } = end {
            self.fact(CallFact::DialFailed { leg, status, cause }, now);
            if self.guest(leg).is_some_and(|it| it.role == PartyRole::Transferred) {
                self.outputs.push_back(Output::Transferred { status });
            }
        }
        let is_outside = self.guest(leg).is_some_and(|it| it.is_outside());
        let by = match end {
            LegEnd::HungUp { .. } if is_outside => Party::Called,
            LegEnd::HungUp { .. } => Party::Agent,
            LegEnd::Cancelled
            | LegEnd::Refused { .. }
            | LegEnd::NoAnswer
            | LegEnd::NoResponse
            | LegEnd::AckMissing
            | LegEnd::PeerGone
            | LegEnd::Expired => {
                if is_outside {
                    Party::Carrier
                } else {
                    Party::Telephone
                }
            }
        };
        self.guest_leaves(leg, by, super::events::offer_end(end), env, now);
    }

    /// He is there: his answer was understood.
    pub(super) fn guest_settled(&mut self, leg: LegId, env: &dyn Environment, now: Now) {
        let Some(guest) = self.guest(leg).filter(|it| it.state == AgentState::Settling) else {
            return;
        };
        guest.state = AgentState::Talking;
        let (offer, role) = (guest.offer, guest.role);
        let is_agent = matches!(guest.party, CalledParty::Agent { .. });
        if is_agent && !guest.is_supervisor() {
            self.fact(CallFact::AgentAnswered { offer }, now);
        } else {
            self.fact(CallFact::PartyJoined { offer }, now);
        }
        self.outputs.push_back(Output::Offer { offer, update: OfferUpdate::Joined });
        self.connect(leg);
        if role == PartyRole::Consulted {
            self.answer_aside(now);
        }
        if role == PartyRole::Transferred {
            self.transfer = None;
            self.outputs.push_back(Output::Transferred { status: 200 });
            if let Some(it) = self.guest(leg) {
                it.role = PartyRole::Joined;
            }
            if self.agent.is_none() {
                self.promote(now);
            }
        }
        if let Some(recording) = self.recording().cloned().filter(|_| is_agent) {
            let follows = !matches!(role, PartyRole::Supervisor(_));
            let fact = CallFact::RecordingFollows { recording, offer };
            if follows {
                self.fact(fact, now);
            }
        }
        self.remix(now);
        self.settle_parties(Party::Platform, env, now);
        self.outputs.push_back(Output::Keep);
        let takes_over = self.guest(leg).is_some_and(|it| it.takes_over);
        let asker = self.agent.as_ref().filter(|_| takes_over && role == PartyRole::Consulted);
        if let Some(asker) = asker.map(|it| it.offering.agent.clone()) {
            self.complete_transfer(&asker, env, now);
        }
    }

    /// The first agent who is there has the caller, when nobody else has.
    pub(super) fn promote(&mut self, now: Now) {
        let is_fit = |it: &Guest| it.talks() && matches!(it.party, CalledParty::Agent { .. });
        let Some(at) = self.guests.iter().position(is_fit) else { return };
        match self.guests.remove(at).promoted() {
            Ok(side) => self.agent = Some(side),
            Err(guest) => self.guests.insert(at, guest),
        }
        self.remix(now);
    }

    /// He cannot be had: not opened, not reached, not understood.
    pub(super) fn guest_lost(
        &mut self,
        leg: LegId,
        why: OfferEnd,
        env: &dyn Environment,
        now: Now,
    ) {
        self.guest_leaves(leg, Party::Platform, why, env, now);
    }

    /// Somebody who was called in is gone; those who are left go on.
    pub(super) fn guest_leaves(
        &mut self,
        leg: LegId,
        by: Party,
        why: OfferEnd,
        env: &dyn Environment,
        now: Now,
    ) {
        let Some(role) = self.drop_guest(leg, by, why, now) else { return };
        if role == PartyRole::Transferred {
            self.outputs.push_back(Output::Transferred { status: status_of(why) });
            self.transfer_failed(now);
        }
        self.settle_parties(by, env, now);
        self.outputs.push_back(Output::Keep);
    }

    /// Takes his part of the call apart. `why` counts when he was not there yet.
    pub(super) fn drop_guest(
        &mut self,
        leg: LegId,
        by: Party,
        why: OfferEnd,
        now: Now,
    ) -> Option<PartyRole> {
        let at = self.guests.iter().position(|it| it.leg == leg)?;
        let guest = self.guests.remove(at);
        let offer = guest.offer;
        self.leg(leg, LegOrder::HangUp { cause: super::ending::NORMAL });
        self.close_leg(leg);
        if guest.role == PartyRole::Consulted {
            self.drop_aside(if why == OfferEnd::Rejected { BUSY } else { super::ending::NORMAL });
        }
        let is_agent = matches!(guest.party, CalledParty::Agent { .. });
        let (was_in, is_counted) = (guest.is_in(), is_agent && !guest.is_supervisor());
        self.fact(
            match (was_in, is_counted) {
                (true, true) => CallFact::AgentReleased { offer, by },
                (false, true) => CallFact::OfferEnded { offer, why },
                (true, false) => CallFact::PartyLeft { offer, by, why: None },
                (false, false) => CallFact::PartyLeft { offer, by, why: Some(why) },
            },
            now,
        );
        let update = if was_in { OfferUpdate::Released { by } } else { OfferUpdate::Ended(why) };
        self.outputs.push_back(Output::Offer { offer, update });
        Some(guest.role)
    }

    /// Everybody who was called in goes.
    pub(super) fn drop_guests(&mut self, by: Party, why: OfferEnd, now: Now) {
        for leg in self.guests.iter().map(|it| it.leg).collect::<Vec<_>>() {
            self.drop_guest(leg, by, why, now);
        }
    }

    /// Who is with the caller, or would go on without him.
    pub(super) fn n_talking(&self) -> usize {
        usize::from(self.is_talking()) + self.guests.iter().filter(|it| it.talks()).count()
    }

    /// The caller is there.
    pub(super) const fn has_caller(&self) -> bool {
        matches!(self.caller.state, CallerState::Up)
    }
}

/// The status of a call that somebody did not take.
const fn status_of(why: OfferEnd) -> u16 {
    match why {
        OfferEnd::NoAnswer => 408,
        OfferEnd::Rejected => 486,
        OfferEnd::CallerLeft => 487,
        OfferEnd::System => 500,
        OfferEnd::Unreachable | OfferEnd::AgentLeft | OfferEnd::NotReached => 480,
    }
}
