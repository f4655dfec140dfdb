//! A call that goes out: the agent's telephone rings first, then the number is called.

use hotline_base::{
    PlayId, TicketId,
    media::{Hears, Play, Profile},
};

use hotline_cdr::FailCause;

use super::{
    AgentNo, AgentSide, AgentState, Arc, Call, CallFact, CallId, Caller, CallerState, Config,
    EndReason, Environment, Extension, GroupId, LegId, LegOrder, Now, OfferEnd, OfferId, Offering,
    Order, Output, Party, Pii, RefusedWhy, Stamped, TrunkId, network::Network,
};
use crate::LegEnd;

/// What the agent hears while it rings; music on hold is numbered from the next number on.
const RINGBACK: PlayId = PlayId(1 << 32);

/// An agent wants to call somebody.
#[derive(Clone, Debug)]
pub struct Dialling {
    pub call: CallId,
    pub offer: OfferId,
    pub agent: AgentNo,
    pub extension: Extension,
    /// On whose behalf.
    pub group: GroupId,
    /// A fresh leg for the agent's telephone, and one for the called party.
    pub agent_leg: LegId,
    /// How audio travels to the agent's telephone.
    pub profile: Profile,
    pub leg: LegId,
    /// Normalised.
    pub number: Pii<String>,
    /// The number to be shown, if the trunk owns it.
    pub display: Option<String>,
    pub emergency: bool,
}

/// Whom the agent calls.
#[derive(Debug)]
pub(super) struct Dialled {
    number: Pii<String>,
    display: Option<String>,
    /// The party's telephone was said to ring.
    rings: bool,
    /// The agent hears our ring-back.
    ringback: bool,
    /// `None`: what the network lets be heard before the answer is not passed on.
    network: Option<Network>,
    /// The agent's telephone called us; otherwise we ring it.
    by_phone: Option<ByPhone>,
}

/// How an agent's telephone dialled by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct ByPhone {
    /// Its INVITE had no offer: ours is answered in its ACK.
    owes_answer: bool,
}

/// What is made of the sound of a trunk's network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NetworkSound {
    /// The agent hears it before the answer.
    pub early: bool,
    /// Its tones are recognised; the busy tone after the answer is the called party's hanging up.
    pub tones: bool,
}

impl Dialled {
    const fn new(number: Pii<String>, display: Option<String>) -> Self {
        let (rings, ringback) = (false, false);
        Self { number, display, rings, ringback, network: None, by_phone: None }
    }

    /// Of a call that an earlier control process began.
    pub(super) fn restore(facts: &[Arc<Stamped>]) -> Option<Self> {
        facts.iter().find_map(|it| {
            let CallFact::Dialled { number, .. } = &it.fact else { return None };
            Some(Self { rings: true, ..Self::new(number.clone(), None) })
        })
    }
}

impl Call {
    /// Takes an agent's wish and rings his telephone.
    pub fn dial(it: Dialling, config: Arc<Config>, now: Now) -> Self {
        let (leg, profile) = (it.agent_leg, it.profile);
        let mut this = Self::dialling(it, config, now);
        this.open_leg(leg, None, profile);
        this
    }

    /// The agent dialled on his telephone, whose call is `agent_leg` and has this offer. It is
    /// answered at once, so that it hears what the called party's network says.
    pub fn dial_by_phone(
        it: Dialling,
        offer: Option<String>,
        config: Arc<Config>,
        now: Now,
    ) -> Self {
        let (leg, profile) = (it.agent_leg, it.profile);
        let mut this = Self::dialling(it, config, now);
        if let Some(it) = &mut this.dialled {
            it.by_phone = Some(ByPhone { owes_answer: offer.is_none() });
        }
        this.open_leg(leg, offer, profile);
        this
    }

    fn dialling(it: Dialling, config: Arc<Config>, now: Now) -> Self {
        let Dialling { call, offer, agent, extension, group, agent_leg, profile, leg, .. } = it;
        let until = now.mono + config.open_limit;
        let offering = Offering {
            offer,
            // No caller waits.
            ticket: TicketId(0),
            agent: agent.clone(),
            extension: extension.clone(),
            group: group.clone(),
            leg: agent_leg,
            profile,
        };
        let state = AgentState::Opening { until };
        let caller = Caller { leg, state: CallerState::Waits, owes_answer: false, held: false };
        let mut this = Self::blank(call, config, caller);
        this.dialled = Some(Dialled::new(it.number.clone(), it.display));
        this.agent = Some(AgentSide::new(offering, state));
        let (number, emergency) = (it.number, it.emergency);
        this.fact(CallFact::Dialled { agent: agent.clone(), leg, number, emergency }, now);
        this.fact(CallFact::AgentCalled { offer, agent, extension, group, leg: agent_leg }, now);
        this
    }

    /// Media has a leg for the agent's telephone: it is answered if it called us, else called.
    pub(super) fn agent_opened(&mut self, sdp: String, env: &dyn Environment, now: Now) {
        let by_phone = self.dialled.as_ref().and_then(|it| it.by_phone);
        let Some(side) = &mut self.agent else { return };
        let leg = side.offering.leg;
        let Some(ByPhone { owes_answer }) = by_phone else {
            side.state = AgentState::Dialing;
            let (extension, profile) = (side.offering.extension.clone(), side.offering.profile);
            return self.leg(leg, LegOrder::Dial { extension, profile, sdp });
        };
        side.state = AgentState::Settling;
        self.leg(leg, LegOrder::Answer { sdp });
        if !owes_answer {
            self.settled(leg, env, now);
        }
    }

    /// The INVITE to a party outside leaves over this trunk, whose sound before the answer the
    /// agent hears, or our ring-back instead.
    pub fn went_out(
        &mut self,
        leg: LegId,
        (trunk, sound): (TrunkId, NetworkSound),
        gateway: String,
        display: String,
        now: Now,
    ) {
        if sound.tones {
            self.heeds_tones.insert(leg);
            self.media(Order::HeedTones { leg });
        } else {
            self.heeds_tones.remove(&leg);
        }
        let network = sound.early.then(Network::default);
        if let Some(offer) = self.called_in(leg) {
            if let Some(guest) = self.guest(leg) {
                guest.network = network;
            }
            return self.fact(CallFact::PartyWentOut { offer, trunk, gateway, display }, now);
        }
        if let Some(it) = &mut self.dialled {
            it.network = network;
        }
        self.fact(CallFact::WentOut { trunk, gateway, display }, now);
    }

    /// After a restart of control: a busy tone on this leg ends it, as its trunk says.
    pub fn heed_tones(&mut self, leg: LegId) {
        self.heeds_tones.insert(leg);
    }

    /// What the network says from now on, and says already: control or media may not have heard it.
    pub(super) fn heed_tones_again(&mut self) {
        for leg in self.heeds_tones.clone() {
            self.media(Order::HeedTones { leg });
        }
    }

    /// 外线坐席: the leg of this agent goes to a number outside.
    pub fn rings_outside(&mut self, leg: LegId, number: Pii<String>, now: Now) {
        if let Some(offer) = self.called_in(leg) {
            self.will_ask(leg);
            self.fact(CallFact::RungOutside { offer, leg, number }, now);
        }
    }

    /// Whose leg it is, when it is not the caller's.
    fn called_in(&self, leg: LegId) -> Option<OfferId> {
        let agent = self.agent.as_ref().map(|it| &it.offering).filter(|it| it.leg == leg);
        agent
            .map(|it| it.offer)
            .or_else(|| self.guests.iter().find(|it| it.leg == leg).map(|it| it.offer))
    }

    /// A gateway did not take the call; another one is tried, if there is one.
    pub fn way_refused(&mut self, leg: LegId, trunk: TrunkId, status: u16, now: Now) {
        if leg == self.caller.leg {
            self.fact(CallFact::WayRefused { trunk, status }, now);
        }
    }

    /// A trunk's own limits let no further call out; the next trunk is tried, if there is one.
    pub fn way_full(&mut self, trunk: TrunkId, why: RefusedWhy, now: Now) {
        self.fact(CallFact::WayFull { trunk, why }, now);
    }

    /// The agent's own call, before the called party was there.
    pub(super) const fn is_dialling(&self) -> bool {
        self.dialled.is_some() && !self.has_caller()
    }

    /// The agent is there: make a leg for the called party.
    pub(super) fn open_party(&mut self, now: Now) {
        let leg = self.caller.leg;
        self.caller.state = CallerState::Opening { until: now.mono + self.config.open_limit };
        self.open_leg(leg, None, Profile::Plain);
        self.outputs.push_back(Output::Keep);
    }

    pub(super) fn party_opened(&mut self, sdp: String) {
        let Some(it) = &self.dialled else { return };
        if matches!(self.caller.state, CallerState::Opening { .. }) {
            let (number, display) = (it.number.clone(), it.display.clone());
            self.caller.state = CallerState::Invited { early: false };
            self.leg(self.caller.leg, LegOrder::DialOut { number, display, sdp });
        }
    }

    /// The media plane has no leg for the party outside.
    pub(super) fn not_opened(&mut self, why: RefusedWhy, env: &dyn Environment, now: Now) {
        if self.is_outbound() {
            self.caller.state = CallerState::Gone;
            self.end(Party::Platform, EndReason::MediaFailed, None, env, now);
        } else {
            self.refuse(why, env, now);
        }
    }

    /// 振铃, with or without audio of the network (彩铃, announcements). Of several telephones that
    /// ring, the first to describe its sound is heard, until one answers. A telephone that rings
    /// after a description without sound gets our ring-back (RFC 3960 §3.2).
    pub(super) fn party_rings(&mut self, sdp: Option<String>, now: Now) {
        let CallerState::Invited { early } = self.caller.state else { return };
        let first = self.dialled.as_mut().is_some_and(|it| !std::mem::replace(&mut it.rings, true));
        if first {
            self.fact(CallFact::PartyRinging, now);
        }
        let heeds_tones = self.heeds_tones.contains(&self.caller.leg);
        let network = self.dialled.as_mut().and_then(|it| it.network.as_mut());
        let is_heard = network.is_some();
        match sdp.filter(|_| is_heard || heeds_tones) {
            Some(answer) if !early => {
                self.caller.state = CallerState::Invited { early: true };
                self.media(Order::Answer { leg: self.caller.leg, answer });
                if !is_heard {
                    self.start_ringback();
                }
            }
            None if !early => self.start_ringback(),
            None => {
                let silent = network.is_some_and(|it| {
                    it.alerts = true;
                    it.silent
                });
                if silent {
                    self.start_ringback();
                }
            }
            Some(_) => (),
        }
    }

    /// Early sound of a leg stopped or never came, or is there again.
    pub(super) fn speaks_early(&mut self, leg: LegId, speaks: bool, now: Now) {
        if leg != self.caller.leg {
            return self.guest_network(leg, |it| it.silent = !speaks, now);
        }
        let Some(it) = self.dialled.as_mut().and_then(|it| it.network.as_mut()) else { return };
        it.silent = !speaks;
        if speaks {
            self.stop_ringback();
        } else if it.alerts {
            self.start_ringback();
        }
    }

    pub(super) fn party_answered(&mut self, sdp: Option<String>, env: &dyn Environment, now: Now) {
        let CallerState::Invited { early } = self.caller.state else { return };
        self.caller.state = CallerState::Settling;
        self.fact(CallFact::Answered, now);
        match sdp {
            Some(answer) => self.media(Order::Answer { leg: self.caller.leg, answer }),
            // The description came before the answer, and only then.
            None if early => self.party_settled(now),
            None => self.end(Party::Carrier, EndReason::PeerGone, None, env, now),
        }
    }

    /// Media understood the party's description: before the answer the agent listens, after it the
    /// two talk.
    pub(super) fn party_settled(&mut self, now: Now) {
        let Some(agent) = self.agent.as_ref().map(|it| it.offering.leg) else { return };
        let caller = self.caller.leg;
        match self.caller.state {
            CallerState::Invited { .. } if !self.hears_network() => (),
            CallerState::Invited { .. } => {
                self.stop_ringback();
                let hears = vec![Hears { listener: agent, speakers: vec![caller] }];
                self.media(Order::Mix { hears });
            }
            CallerState::Settling => {
                self.stop_ringback();
                self.caller.state = CallerState::Up;
                self.connect(caller);
                self.record(now);
                self.bridge(now);
            }
            CallerState::Opening { .. }
            | CallerState::Ready { .. }
            | CallerState::Up
            | CallerState::Left
            | CallerState::Gone
            | CallerState::Waits => (),
        }
    }

    pub(super) fn party_ended(&mut self, end: LegEnd, env: &dyn Environment, now: Now) {
        let was_up = matches!(self.caller.state, CallerState::Up);
        self.caller.state = CallerState::Gone;
        let (by, tag, cause) = match end {
            LegEnd::HungUp { cause } => (Party::Called, "called_hung_up", cause),
            LegEnd::Refused { status, cause } => {
                let leg = self.caller.leg;
                self.fact(CallFact::DialFailed { leg, status, cause }, now);
                let (by, tag) = not_reached(status, cause);
                (by, tag, cause)
            }
            LegEnd::NoAnswer => (Party::Platform, "no_answer", None),
            LegEnd::NoResponse | LegEnd::PeerGone if !was_up => {
                (Party::Carrier, "unreachable", None)
            }
            LegEnd::Expired => {
                return self.end(Party::Carrier, EndReason::SessionExpired, None, env, now);
            }
            LegEnd::NoResponse | LegEnd::PeerGone | LegEnd::Cancelled | LegEnd::AckMissing => {
                return self.end(Party::Carrier, EndReason::PeerGone, None, env, now);
            }
        };
        let reason = EndReason::Normal { tag: tag.to_owned() };
        if !self.caller_leaves(by, &reason, cause, env, now) {
            self.end(by, reason, cause, env, now);
        }
    }

    /// The agent's telephone did not answer, or is gone before the two talked.
    pub(super) fn end_dialling(&mut self, why: OfferEnd, env: &dyn Environment, now: Now) {
        let (by, tag) = match why {
            OfferEnd::NoAnswer => (Party::Agent, "agent_no_answer"),
            OfferEnd::Rejected => (Party::Agent, "agent_rejected"),
            OfferEnd::AgentLeft | OfferEnd::CallerLeft | OfferEnd::NotReached => {
                (Party::Agent, "agent_hung_up")
            }
            OfferEnd::Unreachable => (Party::Platform, "agent_unreachable"),
            OfferEnd::System => (Party::Platform, "media_failed"),
        };
        self.drop_offer(why, now);
        self.end(by, EndReason::Normal { tag: tag.to_owned() }, None, env, now);
    }

    /// What this leg plays comes before the called party's answer.
    pub(super) fn is_early(&self, leg: LegId) -> bool {
        if leg == self.caller.leg {
            return matches!(self.caller.state, CallerState::Invited { .. });
        }
        self.state_of(leg) == Some(AgentState::Dialing)
    }

    /// The agent hears what the network lets be heard before the answer.
    fn hears_network(&self) -> bool {
        self.dialled.as_ref().is_some_and(|it| it.network.is_some())
    }

    fn start_ringback(&mut self) {
        let leg = self.agent.as_ref().map(|it| it.offering.leg);
        let (Some(leg), Some(it)) = (leg, &mut self.dialled) else { return };
        if !std::mem::replace(&mut it.ringback, true) {
            let prompts = vec![self.config.ringback.clone()];
            self.media(Order::Play(Play {
                leg,
                play: RINGBACK,
                prompts,
                times: 0,
                gap_ms: 0,
                stop_on_key: false,
                grace_ms: 0,
                limit_ms: 0,
            }));
        }
    }

    /// What the agent hears before the answer, for a media process that does not know of it.
    pub(super) fn dial_tones_again(&mut self) {
        let agent = self.agent.as_ref().map(|it| it.offering.leg);
        if let (CallerState::Invited { early: true }, Some(listener)) = (&self.caller.state, agent)
            && self.hears_network()
        {
            let hears = vec![Hears { listener, speakers: vec![self.caller.leg] }];
            self.media(Order::Mix { hears });
        }
        if self.dialled.as_mut().is_some_and(|it| std::mem::take(&mut it.ringback)) {
            self.start_ringback();
        }
    }

    fn stop_ringback(&mut self) {
        let leg = self.agent.as_ref().map(|it| it.offering.leg);
        let (Some(leg), Some(it)) = (leg, &mut self.dialled) else { return };
        if std::mem::take(&mut it.ringback) {
            self.media(Order::Stop { leg, play: RINGBACK });
        }
    }
}

/// Who says no, and in a word why.
const fn not_reached(status: u16, cause: Option<u16>) -> (Party, &'static str) {
    match FailCause::of(Some(status), cause) {
        Some(FailCause::Busy) => (Party::Called, "busy"),
        Some(FailCause::NoAnswer) => (Party::Called, "no_answer"),
        Some(FailCause::Rejected) => (Party::Called, "rejected"),
        Some(FailCause::Vacant) => (Party::Carrier, "unallocated"),
        Some(FailCause::SwitchedOff | FailCause::Suspended) => (Party::Carrier, "unreachable"),
        Some(FailCause::Congestion) => (Party::Carrier, "congestion"),
        Some(FailCause::Other) | None => (Party::Carrier, "refused"),
    }
}

#[cfg(test)]
mod tests;
