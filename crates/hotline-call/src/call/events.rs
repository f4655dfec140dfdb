//! What legs, media and the agent's desk tell a call.

use hotline_base::{
    KeyWay,
    media::{
        FailReason, FailedOrder, Gap, GapWhy, Hearing, LegStats, MarkedGap, Measured, NetworkTone,
        Recorded,
    },
};

use super::{
    AgentState, Call, CallFact, CallerState, EndReason, Environment, Key, LegEvent, LegId,
    LegOrder, MediaEvent, Now, OfferEnd, OfferUpdate, Order, Output, Party, Phase, RefusedWhy,
    network::Network,
};
use crate::LegEnd;

/// RTP silence after which a party is lost, in seconds.
const LOST_SECS: u32 = 30;

impl Call {
    /// Something happened on one of this call's legs.
    pub fn handle_leg(&mut self, leg: LegId, event: LegEvent, env: &dyn Environment, now: Now) {
        if let LegEvent::Key { key, alone } = event
            && leg != self.caller.leg
        {
            if !self.answers_question(leg, key, env, now) {
                self.pressed_inside(leg, key, KeyWay::Info, alone, now);
            }
        } else if self.aside(leg).is_some() {
            self.handle_aside(leg, event, env, now);
        } else if self.is_taking_over(leg) {
            self.handle_takeover(event);
        } else if leg == self.caller.leg {
            self.handle_caller(event, env, now);
        } else if self.agent.as_ref().is_some_and(|it| it.offering.leg == leg) {
            self.handle_agent(leg, event, env, now);
        } else {
            self.handle_guest(leg, event, env, now);
        }
    }

    fn handle_caller(&mut self, event: LegEvent, env: &dyn Environment, now: Now) {
        let leg = self.caller.leg;
        match event {
            LegEvent::Reanswered { sdp } => self.media(Order::Answer { leg, answer: sdp }),
            LegEvent::Offered { sdp } => self.reoffered(leg, sdp),
            LegEvent::Key { key, .. } => self.pressed(key, KeyWay::Info, env, now),
            LegEvent::Ended(end) if self.is_outbound() => self.party_ended(end, env, now),
            LegEvent::Ended(end) => self.caller_ended(end, env, now),
            LegEvent::Ringing { sdp } => self.party_rings(sdp, now),
            LegEvent::Answered { sdp } => self.party_answered(sdp, env, now),
        }
    }

    /// The same press by two methods counts once, however late the second is: an INFO is sent when
    /// the key is let go.
    fn pressed(&mut self, key: Key, way: KeyWay, env: &dyn Environment, now: Now) {
        if let Some(key) = self.keys.handle(key, way, now.mono) {
            self.tell(hotline_ivr::Event::Key(key), env, now);
        }
    }

    fn caller_ended(&mut self, end: LegEnd, env: &dyn Environment, now: Now) {
        self.caller.state = CallerState::Gone;
        let normal = || EndReason::Normal { tag: "caller_hung_up".to_owned() };
        let (by, reason, cause) = match end {
            LegEnd::HungUp { cause } => (Party::Caller, normal(), cause),
            LegEnd::Cancelled => (Party::Caller, EndReason::Cancelled, None),
            LegEnd::Refused { cause, .. } => (Party::Carrier, EndReason::PeerGone, cause),
            LegEnd::AckMissing => (Party::Carrier, EndReason::AckMissing, None),
            LegEnd::Expired => (Party::Carrier, EndReason::SessionExpired, None),
            LegEnd::NoAnswer | LegEnd::NoResponse | LegEnd::PeerGone => {
                (Party::Carrier, EndReason::PeerGone, None)
            }
        };
        if !self.caller_leaves(by, &reason, cause, env, now) {
            self.end(by, reason, cause, env, now);
        }
    }

    fn handle_agent(&mut self, leg: LegId, event: LegEvent, env: &dyn Environment, now: Now) {
        let Some(side) = &mut self.agent else { return };
        let offer = side.offering.offer;
        match event {
            LegEvent::Ringing { sdp } => {
                if side.state == AgentState::Dialing {
                    self.listens_early(leg, sdp);
                    self.fact(CallFact::Ringing { offer }, now);
                    if self.is_dialling() {
                        return;
                    }
                    let update = OfferUpdate::Ringing;
                    self.outputs.push_back(Output::Offer { offer, update });
                }
            }
            LegEvent::Answered { sdp } => match (side.state, sdp) {
                (AgentState::Dialing, Some(answer)) => {
                    side.state = AgentState::Settling;
                    self.media(Order::Answer { leg, answer });
                }
                (AgentState::Dialing, None) => self.end_offer(OfferEnd::System, env, now),
                (
                    AgentState::Opening { .. }
                    | AgentState::Settling
                    | AgentState::Announcing
                    | AgentState::Talking,
                    _,
                ) => (),
            },
            LegEvent::Offered { sdp } => self.reoffered(leg, sdp),
            LegEvent::Ended(end) => self.agent_ended(end, env, now),
            LegEvent::Reanswered { sdp } => self.media(Order::Answer { leg, answer: sdp }),
            LegEvent::Key { .. } => (),
        }
    }

    fn agent_ended(&mut self, end: LegEnd, env: &dyn Environment, now: Now) {
        let Some(side) = &self.agent else { return };
        let state = side.state;
        if let LegEnd::Refused { status, cause } = end {
            let leg = side.offering.leg;
            self.fact(CallFact::DialFailed { leg, status, cause }, now);
        }
        match (state, end) {
            (AgentState::Talking, LegEnd::HungUp { .. }) => {
                self.release_agent(Party::Agent, env, now);
            }
            (AgentState::Talking, _) => self.release_agent(Party::Telephone, env, now),
            (
                AgentState::Opening { .. }
                | AgentState::Dialing
                | AgentState::Settling
                | AgentState::Announcing,
                _,
            ) => self.end_offer(offer_end(end), env, now),
        }
    }

    /// A party offers anew, and media answers; or it wants an offer of ours, and its answer comes
    /// as [`LegEvent::Reanswered`].
    pub(super) fn reoffered(&mut self, leg: LegId, sdp: Option<String>) {
        match sdp {
            Some(offer) => self.media(Order::Reoffer { leg, offer }),
            None => self.media(Order::Describe { leg }),
        }
    }

    /// The peer stopped hearing us, or hears us again.
    fn held_by_peer(&mut self, leg: LegId, hold: bool, now: Now) {
        if self.aside(leg).is_some() {
            self.aside_settled(leg, hold, now);
        } else if leg == self.caller.leg {
            self.caller.held = hold;
        } else {
            self.hold_by_phone(leg, hold, now);
        }
    }

    /// Something happened to the audio of one of this call's legs.
    pub fn handle_media(&mut self, event: MediaEvent, env: &dyn Environment, now: Now) {
        match event {
            MediaEvent::Opened { leg, sdp } => self.opened(leg, sdp, env, now),
            MediaEvent::Settled { leg, hold } => {
                if self.aside(leg).is_some() {
                    self.aside_settled(leg, hold, now);
                } else if self.is_taking_over(leg) {
                    self.change_phones(env, now);
                } else if leg != self.caller.leg && self.is_early(leg) {
                    self.guest_network(leg, Network::begin, now);
                } else if self.has_audio(leg) {
                    self.held_by_peer(leg, hold, now);
                } else {
                    self.settled(leg, env, now);
                }
            }
            MediaEvent::Reanswered { leg, sdp, hold } => {
                self.leg(leg, LegOrder::AcceptOffer { sdp });
                self.held_by_peer(leg, hold, now);
            }
            MediaEvent::Described { leg, sdp } => self.leg(leg, LegOrder::AcceptOffer { sdp }),
            MediaEvent::Failed { leg, order, reason } => {
                self.media_failed(leg, order, reason, env, now);
            }
            MediaEvent::PlayDone { leg, play, played_ms, end } => {
                if leg == self.caller.leg {
                    self.prompts_done(play);
                    let done = hotline_ivr::Event::PlayDone { play: play.0, played_ms, end };
                    self.tell(done, env, now);
                } else if self.agent_prompts_done(leg, play) {
                    let done = hotline_ivr::Event::PlayDone { play: play.0, played_ms, end };
                    self.tell(done, env, now);
                }
            }
            MediaEvent::Key { leg, key } => {
                if leg == self.caller.leg {
                    self.pressed(key, KeyWay::Event, env, now);
                } else if !self.answers_question(leg, key, env, now) {
                    self.pressed_inside(leg, key, KeyWay::Event, false, now);
                }
            }
            MediaEvent::Quiet { leg, secs } => self.quiet(leg, secs, env, now),
            MediaEvent::Recorded(it) => self.recorded(it, now),
            MediaEvent::RecordFailed { recording, reason } => {
                if self.recordings.contains(&recording) {
                    // The file may still grow and be sealed when the disk is back.
                    self.fact(CallFact::RecordingFailed { recording, reason }, now);
                }
            }
            MediaEvent::RecordRecovered { recording } => {
                if self.recordings.contains(&recording) {
                    self.fact(CallFact::RecordingRecovered { recording }, now);
                }
            }
            MediaEvent::Hearing { leg, state } => self.hearing(leg, state, now),
            MediaEvent::Tone { leg, tone } => self.tone_heard(leg, tone, env, now),
            MediaEvent::Sounded { leg, quality } => {
                if self.open_legs.contains(&leg) {
                    self.fact(CallFact::LegSounded { leg, quality }, now);
                }
            }
            MediaEvent::Closed { leg, stats } => self.closed(leg, stats, now),
            MediaEvent::Inventory { .. }
            | MediaEvent::Figures(_)
            | MediaEvent::OwesSound { .. }
            | MediaEvent::Room { .. } => (),
        }
    }

    fn opened(&mut self, leg: LegId, sdp: String, env: &dyn Environment, now: Now) {
        if self.phase != Phase::Live {
            return;
        }
        if self.aside(leg).is_some() {
            self.aside_opened(leg, sdp, now);
        } else if self.is_taking_over(leg) {
            self.takeover_opened(sdp, env, now);
        } else if leg == self.caller.leg {
            if self.is_outbound() {
                self.party_opened(sdp);
            } else if matches!(self.caller.state, CallerState::Opening { .. }) {
                self.caller.state = CallerState::Ready { sdp };
                self.fact(CallFact::FlowEntered, now);
                self.tell(hotline_ivr::Event::Start, env, now);
                // A flow that answers later lets the caller hear that it rings.
                if let CallerState::Ready { sdp } = &self.caller.state {
                    let sdp = sdp.clone();
                    self.leg(leg, LegOrder::Ring { sdp });
                }
            }
        } else if let Some(side) = &self.agent
            && side.offering.leg == leg
            && matches!(side.state, AgentState::Opening { .. })
        {
            self.agent_opened(sdp, env, now);
        } else {
            self.guest_opened(leg, sdp);
        }
    }

    /// Whether the first description of a leg was answered.
    fn has_audio(&self, leg: LegId) -> bool {
        if leg == self.caller.leg {
            let called = self.is_outbound() && !matches!(self.caller.state, CallerState::Up);
            return !self.caller.owes_answer && !called;
        }
        if let Some(guest) = self.guests.iter().find(|it| it.leg == leg) {
            return guest.is_in();
        }
        match self.agent.as_ref().filter(|it| it.offering.leg == leg).map(|it| it.state) {
            Some(AgentState::Announcing | AgentState::Talking) => true,
            Some(AgentState::Opening { .. } | AgentState::Dialing | AgentState::Settling)
            | None => false,
        }
    }

    /// The peer's first answer is understood. If he is the agent, he is there.
    pub(super) fn settled(&mut self, leg: LegId, env: &dyn Environment, now: Now) {
        if leg == self.caller.leg {
            self.caller.owes_answer = false;
            if self.is_outbound() {
                return self.party_settled(now);
            }
        }
        if self.is_asked_first(leg, now) {
            return;
        }
        if self.is_guest(leg) {
            return self.guest_settled(leg, env, now);
        }
        let Some(side) = &mut self.agent else { return };
        if side.offering.leg != leg || side.state != AgentState::Settling {
            return;
        }
        side.state = AgentState::Announcing;
        let (offer, agent, group) =
            (side.offering.offer, side.offering.agent.clone(), side.offering.group.clone());
        self.connect(leg);
        self.fact(CallFact::AgentAnswered { offer }, now);
        if self.is_dialling() {
            return self.open_party(now);
        }
        self.outputs.push_back(Output::Offer { offer, update: OfferUpdate::Answered });
        self.record(now);
        self.outputs.push_back(Output::Keep);
        if self.transfer.take().is_some() {
            self.outputs.push_back(Output::Transferred { status: 200 });
            // The flow is done with asking; nothing is announced once more.
            return self.bridge(now);
        }
        self.tell(hotline_ivr::Event::AgentAnswered { agent, group }, env, now);
    }

    fn media_failed(
        &mut self,
        leg: LegId,
        order: FailedOrder,
        reason: FailReason,
        env: &dyn Environment,
        now: Now,
    ) {
        if self.aside(leg).is_some() {
            return self.aside_failed(leg, (order, reason), env, now);
        }
        if self.is_taking_over(leg) {
            if order == FailedOrder::Open {
                self.open_legs.remove(&leg);
            }
            return self.drop_takeover();
        }
        let is_caller = leg == self.caller.leg;
        match order {
            FailedOrder::Open => {
                self.open_legs.remove(&leg);
                if is_caller {
                    self.not_opened(refused_why(reason), env, now);
                } else if self.is_guest(leg) {
                    self.guest_lost(leg, OfferEnd::System, env, now);
                } else {
                    self.end_offer(OfferEnd::System, env, now);
                }
                self.complete_if_closed(now);
            }
            // The answer itself may be better.
            FailedOrder::Answer if self.is_early(leg) => self.speaks_early(leg, false, now),
            // An answer that makes no sense in the middle of a talk: it goes on as it was.
            FailedOrder::Answer if self.has_audio(leg) => (),
            FailedOrder::Answer if is_caller => {
                self.end(Party::Carrier, EndReason::PeerGone, None, env, now);
            }
            FailedOrder::Answer if self.is_guest(leg) => {
                self.guest_lost(leg, OfferEnd::System, env, now);
            }
            FailedOrder::Answer => self.end_offer(OfferEnd::System, env, now),
            // A browser that is not who it says it is is never heard, as one that is gone.
            FailedOrder::Secure if is_caller => {
                self.end(Party::Platform, EndReason::MediaLost, None, env, now);
            }
            FailedOrder::Secure if self.is_guest(leg) => {
                self.guest_leaves(leg, Party::Platform, OfferEnd::Unreachable, env, now);
            }
            FailedOrder::Secure if self.is_talking() => {
                self.release_agent(Party::Platform, env, now);
            }
            FailedOrder::Secure => self.end_offer(OfferEnd::Unreachable, env, now),
            FailedOrder::Reoffer => self.leg(leg, refused_reoffer(reason)),
        }
    }

    fn quiet(&mut self, leg: LegId, secs: u32, env: &dyn Environment, now: Now) {
        if self.phase != Phase::Live {
            return;
        }
        // Not everybody speaks before the answer; the ring limit ends that.
        if self.is_early(leg) {
            return self.speaks_early(leg, secs == 0, now);
        }
        if secs == 0 {
            return;
        }
        self.fact(CallFact::MediaQuiet { leg, secs }, now);
        if secs < LOST_SECS {
            return;
        }
        if self.aside(leg).is_some() {
            self.aside_ends(env, now);
        } else if leg == self.caller.leg {
            self.end(Party::Platform, EndReason::MediaLost, None, env, now);
        } else if let Some(guest) = self.guest(leg) {
            let by = if guest.is_outside() { Party::Platform } else { Party::Telephone };
            self.guest_leaves(leg, by, OfferEnd::Unreachable, env, now);
        } else if self.is_talking() {
            self.release_agent(Party::Telephone, env, now);
        } else {
            self.end_offer(OfferEnd::Unreachable, env, now);
        }
    }

    /// A party is heard no longer, or again. Who was not answered yet, or holds, owes no sound.
    fn hearing(&mut self, leg: LegId, state: Hearing, now: Now) {
        if self.phase == Phase::Live && self.has_audio(leg) && !self.is_early(leg) {
            self.fact(CallFact::Hearing { leg, state }, now);
        }
    }

    /// The network says something by a tone, and over some trunks by nothing else (R2 and analogue
    /// lines behind gateways): before the answer why there will be none, and after it by the busy
    /// tone that the party outside has hung up.
    fn tone_heard(&mut self, leg: LegId, tone: NetworkTone, env: &dyn Environment, now: Now) {
        if self.phase != Phase::Live {
            return;
        }
        self.fact(CallFact::ToneHeard { leg, tone }, now);
        if !self.heeds_tones.contains(&leg) {
            return;
        }
        if self.is_early(leg) {
            if let Some(refused) = refusal_by(tone) {
                self.refused_by_tone(leg, refused, env, now);
            }
        } else if tone == NetworkTone::Busy {
            self.hung_up_by_tone(leg, env, now);
        }
    }

    /// Nobody is going to answer, and no response says so.
    fn refused_by_tone(&mut self, leg: LegId, refused: LegEnd, env: &dyn Environment, now: Now) {
        if leg == self.caller.leg {
            self.leg(leg, LegOrder::HangUp { cause: super::ending::NORMAL });
            self.party_ended(refused, env, now);
        } else {
            self.handle_leg(leg, LegEvent::Ended(refused), env, now);
        }
    }

    fn hung_up_by_tone(&mut self, leg: LegId, env: &dyn Environment, now: Now) {
        if leg != self.caller.leg {
            if self.was_answered(leg) {
                let hung_up = LegEvent::Ended(LegEnd::HungUp { cause: None });
                self.handle_leg(leg, hung_up, env, now);
            }
        } else if matches!(self.caller.state, CallerState::Up) {
            let reason = EndReason::Normal { tag: "busy_tone".to_owned() };
            self.end(Party::Called, reason, None, env, now);
        }
    }

    /// How far the telephone of an agent's or a guest's leg is.
    pub(super) fn state_of(&self, leg: LegId) -> Option<AgentState> {
        let agent = self.agent.as_ref().filter(|it| it.offering.leg == leg).map(|it| it.state);
        agent.or_else(|| self.guests.iter().find(|it| it.leg == leg).map(|it| it.state))
    }

    /// Whether the telephone of an agent's or a guest's leg was picked up.
    fn was_answered(&self, leg: LegId) -> bool {
        match self.state_of(leg) {
            Some(AgentState::Settling | AgentState::Announcing | AgentState::Talking) => true,
            Some(AgentState::Opening { .. } | AgentState::Dialing) | None => false,
        }
    }

    /// Tones of the network before the answer are listened for where nobody else hears them.
    pub(super) fn listens_early(&mut self, leg: LegId, sdp: Option<String>) {
        if let Some(answer) = sdp.filter(|_| self.heeds_tones.contains(&leg)) {
            self.media(Order::Answer { leg, answer });
        }
    }

    fn recorded(&mut self, it: Recorded, now: Now) {
        if !self.recordings.remove(&it.recording) {
            return;
        }
        let Recorded { recording, path: _, duration_ms, bytes, sha256, mut gap_ms, .. } = it;
        let n_gaps = it.n_gaps;
        let mut marked = Vec::new();
        if let Some(measured) = it.measured {
            let Measured { heard_ms, gaps } = *measured;
            marked = gaps;
            let both = marked.iter().filter(|it| it.channel.is_none());
            let (recording, gaps) = (recording.clone(), both.map(|it| it.gap).collect());
            self.fact(CallFact::RecordingMeasured { recording, heard_ms, gaps }, now);
        }
        if let Some(at) = self.broken_off.remove(&recording) {
            // Who seals it now was not there when it broke off.
            let missing = self.recorded_ms(&recording, at).saturating_sub(duration_ms);
            gap_ms = gap_ms.max(missing);
            let gap = Gap { from_ms: duration_ms, to_ms: duration_ms + missing };
            marked.push(MarkedGap { gap, why: GapWhy::MediaRestarted, channel: None });
        }
        if !marked.is_empty() {
            let recording = recording.clone();
            self.fact(CallFact::RecordingGaps { recording, gaps: marked }, now);
        }
        self.fact(
            CallFact::RecordingSealed { recording, duration_ms, bytes, sha256, gap_ms, n_gaps },
            now,
        );
        self.complete_if_closed(now);
    }

    fn closed(&mut self, leg: LegId, stats: LegStats, now: Now) {
        self.keys_inside.remove(&leg);
        self.questions.remove(&leg);
        self.heeds_tones.remove(&leg);
        if self.open_legs.remove(&leg) {
            self.fact(CallFact::LegClosed { leg, stats }, now);
            self.complete_if_closed(now);
        }
    }
}

/// How an offer ended whose telephone said this before the two talked.
pub(super) const fn offer_end(end: LegEnd) -> OfferEnd {
    match end {
        LegEnd::NoAnswer => OfferEnd::NoAnswer,
        LegEnd::NoResponse | LegEnd::PeerGone | LegEnd::Expired => OfferEnd::Unreachable,
        LegEnd::Refused { status, .. } => match status {
            404 | 408 | 410 | 480 | 500..=599 => OfferEnd::Unreachable,
            _ => OfferEnd::Rejected,
        },
        LegEnd::HungUp { .. } | LegEnd::Cancelled | LegEnd::AckMissing => OfferEnd::AgentLeft,
    }
}

/// The refusal that a tone stands for, as a gateway that recognises tones would send it (RFC 3398
/// §8.2.6.1, from the Q.850 cause).
const fn refusal_by(tone: NetworkTone) -> Option<LegEnd> {
    let (status, cause) = match tone {
        NetworkTone::Busy => (486, 17),
        NetworkTone::Congestion => (503, 34),
        NetworkTone::Vacant => (404, 1),
        NetworkTone::Dial | NetworkTone::RingBack => return None,
    };
    Some(LegEnd::Refused { status, cause: Some(cause) })
}

/// What is said to an offer within a talk that media cannot take.
pub(super) const fn refused_reoffer(reason: FailReason) -> LegOrder {
    let status = match reason {
        FailReason::BadSdp => 400,
        FailReason::NoCommonCodec
        | FailReason::NoCommonAddress
        | FailReason::NoPort
        | FailReason::Busy
        | FailReason::UnknownLeg
        | FailReason::BadCertificate => 488,
    };
    LegOrder::RefuseOffer { status }
}

const fn refused_why(reason: FailReason) -> RefusedWhy {
    match reason {
        FailReason::BadSdp => RefusedWhy::BadSdp,
        FailReason::NoCommonCodec => RefusedWhy::NoCommonCodec,
        FailReason::NoCommonAddress => RefusedWhy::NoCommonAddress,
        FailReason::NoPort => RefusedWhy::NoPort,
        FailReason::Busy => RefusedWhy::MediaBusy,
        FailReason::UnknownLeg | FailReason::BadCertificate => RefusedWhy::MediaDown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_that_is_busy_and_media_that_is_away_are_told_apart() {
        let told = |it| {
            let why = refused_why(it);
            (why.as_str(), why.status(), why.cause())
        };
        assert_eq!(told(FailReason::Busy), ("media_busy", 503, 42));
        assert_eq!(told(FailReason::NoPort), ("no_port", 503, 47));
        assert_eq!(told(FailReason::UnknownLeg), ("media_down", 503, 41));
    }
}
