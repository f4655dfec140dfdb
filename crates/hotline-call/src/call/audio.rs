//! What is heard and recorded, as it follows from where the parties are.

use std::{collections::BTreeSet, sync::Arc};

use hotline_base::{
    AgentNo, LegId, OfferId, PlayId, RecordingId,
    media::{Hears, Order, Play},
};
use hotline_cdr::{Controller, PartyRole, RecordingChange, Stamped};

use super::{
    AgentSide, AgentState, Call, CallFact, CallerState, Environment, Now, OfferUpdate, Output,
    Party, aside::Aside, guests::Guest, muting::Mute, side::Told, suspend::suspended,
};
use crate::{Role, Room, Seat, TalkLine, hears};

/// Plays of the call itself are numbered from here; below are those of the flow.
const OWN_PLAYS: u64 = 1 << 32;

/// What media was told last.
#[derive(Debug, Default)]
pub(super) struct Audio {
    pub(super) heard: Vec<Hears>,
    /// Who is with nobody, so that music is played to him.
    alone: Vec<LegId>,
    /// 静音: whom nobody hears, by his part in the call.
    silent: BTreeSet<OfferId>,
    pub(super) recording: Option<RecordingId>,
    /// Whose voices are in its right channel.
    pub(super) recorded: Vec<LegId>,
    /// Who wants the caller recorded also while he is with nobody.
    pub(super) kept_by: Option<Controller>,
    pub(super) mute: Mute,
    /// A play of an earlier control process may still run, in a flow that ended with it.
    stray: bool,
    /// Somebody stopped the recording, and nothing began another part.
    pub(super) stopped: bool,
    /// Who hears music, and who hears ring-back.
    music: Option<(LegId, PlayId)>,
    park_music: Option<(LegId, PlayId)>,
    ringback: Option<(LegId, PlayId)>,
    n_plays: u64,
    /// What the flow plays to the caller, and to an agent who has answered.
    prompts: Option<Play>,
    agent_prompts: Option<(LegId, PlayId)>,
}

impl Audio {
    /// Plays of an earlier control process may still run; ours have other numbers.
    pub(super) fn restart(&mut self, facts: &[Arc<Stamped>]) {
        self.n_plays = 1 << 32;
        self.mute = Mute::of(facts);
        self.stray = suspended(facts).is_some();
        for it in facts {
            if let CallFact::AgentMuted { offer } = &it.fact {
                self.silent.insert(*offer);
            } else if let CallFact::AgentUnmuted { offer } = &it.fact {
                self.silent.remove(offer);
            } else if it.fact.recording_started().is_some() {
                self.stopped = false;
            } else if let Some((_, _, RecordingChange::Stopped)) = it.fact.recording_change() {
                self.stopped = true;
            }
        }
    }
}

impl Call {
    /// Two-way speech between the caller and the agent who was offered.
    pub(super) fn bridge(&mut self, now: Now) {
        let Some(side) = &mut self.agent else { return };
        if side.state != AgentState::Announcing {
            return;
        }
        side.state = AgentState::Talking;
        if let Some((leg, play)) = self.audio.agent_prompts.take() {
            self.media(Order::Stop { leg, play });
        }
        let Some(side) = &mut self.agent else { return };
        // A telephone that held during the announcement holds from now on.
        let held = std::mem::take(&mut side.held_by_phone);
        let offer = side.offering.offer;
        self.remix(now);
        self.outputs.push_back(Output::Offer { offer, update: OfferUpdate::Bridged });
        self.leave_queue(super::QueueExit::Answered, now);
        self.outputs.push_back(Output::Keep);
        if held && let Some(side) = &mut self.agent {
            side.held_by_phone = true;
            self.remix(now);
        }
    }

    /// The caller is with people, or on his way from one to another: what he hears is the call's
    /// to say, not the flow's.
    pub fn is_open(&self) -> bool {
        self.is_talking() || self.transfer.is_some() || self.guests.iter().any(Guest::talks)
    }

    /// Who is where. Empty while the flow has the caller.
    fn seats(&self) -> Vec<Seat> {
        let mut seats = Vec::new();
        if !self.is_open() {
            return seats;
        }
        if matches!(self.caller.state, CallerState::Up) {
            let room = if self.suspended.is_some() { Room::Apart } else { Room::Talk };
            seats.push(Seat { leg: self.caller.leg, role: Role::Caller, room });
        }
        let room = self.agents_room();
        if let Some(side) = self.agent.as_ref().filter(|_| room.is_some()) {
            let own = self.phones_room(side);
            seats.push(Seat { leg: side.offering.leg, role: Role::Agent, room: own });
            seats.extend(side.aside.as_ref().and_then(Aside::seat));
        }
        seats.extend(self.guests.iter().filter_map(|it| it.seat(room)));
        seats
    }

    /// Where the agent is who has the caller; `None` when nobody has.
    fn agents_room(&self) -> Option<Room> {
        let side = self.agent.as_ref().filter(|it| it.state == AgentState::Talking)?;
        let aside = side.aside.as_ref().and_then(Aside::seat).map(|it| it.room);
        let own = self.phones_room(side);
        Some(if own == Room::Apart { aside.unwrap_or(own) } else { own })
    }

    /// Where his telephone's call with the caller is.
    fn phones_room(&self, side: &AgentSide) -> Room {
        let asks = self.guests.iter().any(|it| it.role == PartyRole::Consulted);
        if side.is_held() {
            Room::Apart
        } else if asks && side.aside.is_none() {
            Room::Aside
        } else {
            Room::Talk
        }
    }

    /// Makes everybody hear what follows from where everybody is, and tells desks and the record
    /// what has become of whom.
    pub(super) fn remix(&mut self, now: Now) {
        let seats = self.seats();
        let mut hears = hears(&seats);
        let is_only_heard = |leg| self.guests.iter().any(|it| it.leg == leg && it.is_only_heard());
        hears.retain(|it| !is_only_heard(it.listener));
        let alone = hears.iter().filter(|it| it.speakers.is_empty()).map(|it| it.listener);
        self.audio.alone = alone.collect();
        for it in &mut hears {
            it.speakers.retain(|leg| !self.is_silent(*leg));
        }
        if hears != self.audio.heard {
            self.audio.heard.clone_from(&hears);
            if !hears.is_empty() {
                self.media(Order::Mix { hears });
            }
        }
        self.play_music();
        self.play_park_music();
        self.play_ringback();
        self.record_parties();
        self.resume_if_left(now);
        self.tell_parties(&seats, now);
    }

    /// A party is there. From now on it is sent a stream without a pause: silence, until it hears
    /// somebody. Telephones and NATs count on that.
    pub(super) fn connect(&mut self, leg: LegId) {
        let hears = vec![Hears { listener: leg, speakers: Vec::new() }];
        self.media(Order::Mix { hears });
    }

    /// Who is in the talk and hears nobody.
    fn is_alone(&self, leg: LegId) -> bool {
        self.audio.alone.contains(&leg)
    }

    /// A caller who is alone hears music, unless he is in a flow; and when he has left, whom an
    /// agent lets wait.
    fn play_music(&mut self) {
        let waits = match self.caller.state {
            CallerState::Up => self.suspended.is_none().then_some(self.caller.leg),
            CallerState::Gone => {
                let waits = |it: &&Guest| it.talks() && !it.held && self.is_alone(it.leg);
                self.guests.iter().find(waits).map(|it| it.leg)
            }
            CallerState::Opening { .. }
            | CallerState::Ready { .. }
            | CallerState::Left
            | CallerState::Waits
            | CallerState::Invited { .. }
            | CallerState::Settling => None,
        };
        let wanted = waits.filter(|it| self.is_alone(*it));
        let (running, prompt) = (self.audio.music, self.config.hold_music.clone());
        self.audio.music = self.play(running, wanted, prompt);
    }

    /// An agent who waits for a caller in a flow hears music, if that is wanted.
    fn play_park_music(&mut self) {
        let prompt = self.config.park_music.clone().filter(|_| self.suspended.is_some());
        let agent = self.agent.as_ref().map(|it| it.offering.leg);
        let wanted = agent.filter(|it| prompt.is_some() && self.is_alone(*it));
        let running = self.audio.park_music;
        self.audio.park_music = match prompt {
            Some(prompt) => self.play(running, wanted, prompt),
            None => self.play(running, None, self.config.hold_music.clone()),
        };
    }

    /// An agent who waits for whom he consults hears it ring.
    fn play_ringback(&mut self) {
        let rings = self.guests.iter().any(|it| it.role == PartyRole::Consulted && !it.is_in());
        let agent = self.agent.as_ref().map(|it| it.offering.leg);
        let aside = self.agents_room() == Some(Room::Aside);
        let wanted = agent.filter(|it| rings && aside && self.is_alone(*it));
        let (running, prompt) = (self.audio.ringback, self.config.ringback.clone());
        self.audio.ringback = self.play(running, wanted, prompt);
    }

    fn play(
        &mut self,
        running: Option<(LegId, PlayId)>,
        wanted: Option<LegId>,
        prompt: hotline_base::PromptId,
    ) -> Option<(LegId, PlayId)> {
        if running.map(|it| it.0) == wanted {
            return running;
        }
        if let Some((leg, play)) = running {
            self.media(Order::Stop { leg, play });
        }
        let leg = wanted?;
        let play = self.next_play();
        self.media(Order::Play(Play {
            leg,
            play,
            prompts: vec![prompt],
            times: 0,
            gap_ms: 0,
            stop_on_key: false,
            grace_ms: 0,
            limit_ms: 0,
        }));
        Some((leg, play))
    }

    /// The number of a play of the call itself.
    pub(super) const fn next_play(&mut self) -> PlayId {
        self.audio.n_plays += 1;
        PlayId(OWN_PLAYS + self.audio.n_plays)
    }

    /// What media was told is forgotten there.
    pub(super) fn forget_sound(&mut self) {
        self.audio.heard.clear();
        self.audio.alone.clear();
        (self.audio.music, self.audio.ringback, self.audio.park_music) = (None, None, None);
    }

    /// The flow has prompts played to the caller.
    pub(super) fn play_prompts(&mut self, play: Play) {
        self.audio.prompts = Some(play.clone());
        self.media(Order::Play(play));
    }

    /// The flow has prompts played to the agent before the bridge.
    pub(super) fn play_to_agent(
        &mut self,
        play: PlayId,
        prompts: Vec<hotline_base::PromptId>,
        limit_ms: u32,
    ) {
        let Some(side) = self.agent.as_ref().filter(|it| it.state == AgentState::Announcing) else {
            return;
        };
        let leg = side.offering.leg;
        self.audio.agent_prompts = Some((leg, play));
        self.media(Order::Play(Play {
            leg,
            play,
            prompts,
            times: 1,
            gap_ms: 0,
            stop_on_key: false,
            grace_ms: 0,
            limit_ms,
        }));
    }

    /// Whether this was played to an agent by the flow, and is over.
    pub(super) fn agent_prompts_done(&mut self, leg: LegId, play: PlayId) -> bool {
        self.audio.agent_prompts.take_if(|it| *it == (leg, play)).is_some()
    }

    pub(super) fn prompts_done(&mut self, play: PlayId) {
        self.audio.prompts.take_if(|it| it.play == play);
    }

    /// What an earlier control process played in a flow that ended with it is known by no number:
    /// something else takes its place, and ends.
    pub(super) fn silence_strays(&mut self) {
        if !std::mem::take(&mut self.audio.stray) {
            return;
        }
        let agent = self.agent.as_ref().map(|it| it.offering.leg);
        for leg in [Some(self.caller.leg), agent] {
            let running = self.play(None, leg, self.config.hold_music.clone());
            self.play(running, None, self.config.hold_music.clone());
        }
    }

    /// The prompts that were cut off, from their beginning.
    pub(super) fn play_again(&mut self) {
        if let Some(play) = self.audio.prompts.clone() {
            self.media(Order::Play(play));
        }
    }

    /// Says of everybody who is in the talk whether the caller hears him, and what his telephone
    /// is doing, when it is another than before.
    fn tell_parties(&mut self, seats: &[Seat], now: Now) {
        let has_caller = matches!(self.caller.state, CallerState::Up);
        let asks = self.agent.as_ref().is_some_and(|it| it.aside.is_some());
        let waits = self.suspended.is_some();
        let others = |it: &&Seat| !matches!(it.role, Role::Supervisor(_));
        let n_talking = seats.iter().filter(|it| it.room == Room::Talk).filter(others).count();
        let parties =
            self.agent.as_mut().map(|it| (it.offering.offer, it.offering.leg, &mut it.told));
        let guests = self.guests.iter_mut().filter(|it| it.talks());
        let guests = guests.map(|it| (it.offer, it.leg, &mut it.told));
        let mut said = Vec::new();
        for (offer, leg, told) in parties.into_iter().chain(guests) {
            let Some(seat) = seats.iter().find(|it| it.leg == leg) else { continue };
            if waits && seat.role == Role::Agent {
                // Not a hold: it has a fact of its own.
                let apart = told.apart;
                said.push((offer, told.take(TalkLine::Suspended, apart, has_caller)));
                continue;
            }
            let line = match seat.room {
                Room::Apart | Room::Talk if asks && seat.role == Role::Agent => {
                    TalkLine::Consulting
                }
                Room::Apart => TalkLine::Held,
                Room::Aside if seat.role == Role::Agent => TalkLine::Consulting,
                Room::Talk if n_talking > 2 => TalkLine::Conferring,
                Room::Aside | Room::Talk => TalkLine::Talking,
            };
            said.push((offer, told.take(line, seat.room != Room::Talk, has_caller)));
        }
        for (offer, (fact, line)) in said {
            let by = Party::Agent;
            match fact {
                Some(Heard::First) => self.fact(CallFact::Bridged { offer }, now),
                Some(Heard::NoMore) => self.fact(CallFact::Held { offer, by }, now),
                Some(Heard::Again) => self.fact(CallFact::Retrieved { offer, by }, now),
                None => (),
            }
            if let Some(line) = line {
                self.outputs.push_back(Output::Offer { offer, update: OfferUpdate::Line(line) });
            }
        }
    }

    /// 静音 by command of this agent: he is in the talk, but nobody hears him and no recording does.
    ///
    /// Says whether he is in the call.
    pub fn mute(&mut self, agent: &AgentNo, now: Now) -> bool {
        let Some(offer) = self.part_of(agent) else { return false };
        if self.audio.silent.insert(offer) {
            self.fact(CallFact::AgentMuted { offer }, now);
            self.outputs.push_back(Output::Keep);
            self.remix(now);
        }
        true
    }

    /// 取消静音.
    pub fn unmute(&mut self, agent: &AgentNo, now: Now) -> bool {
        let Some(offer) = self.part_of(agent) else { return false };
        if self.audio.silent.remove(&offer) {
            self.fact(CallFact::AgentUnmuted { offer }, now);
            self.outputs.push_back(Output::Keep);
            self.remix(now);
        }
        true
    }

    /// Whether nobody hears this agent, by his own wish.
    pub fn is_muted(&self, agent: &AgentNo) -> bool {
        self.part_of(agent).is_some_and(|it| self.audio.silent.contains(&it))
    }

    /// What this agent is in the call by, if he is in it and not only on his way.
    pub(super) fn part_of(&self, no: &AgentNo) -> Option<OfferId> {
        let side = self.agent.as_ref().filter(|it| it.is_in() && it.offering.agent == *no);
        let guest = || self.guests.iter().find(|it| it.is_in() && it.is_agent(no));
        side.map(|it| it.offering.offer).or_else(|| guest().map(|it| it.offer))
    }

    pub(super) fn is_silent(&self, leg: LegId) -> bool {
        let is_his = |it: &AgentSide| {
            it.offering.leg == leg || it.aside.as_ref().is_some_and(|it| it.leg == leg)
        };
        let side = self.agent.as_ref().filter(|it| is_his(it)).map(|it| it.offering.offer);
        let guest = || self.guests.iter().find(|it| it.leg == leg).map(|it| it.offer);
        side.or_else(guest).is_some_and(|it| self.audio.silent.contains(&it))
    }

    /// 保持 by command of this agent: he hears silence, and a caller who is alone then music.
    ///
    /// Says whether there is a talk to hold.
    pub fn hold(&mut self, agent: &AgentNo, now: Now) -> bool {
        self.set_hold_by(agent, true, now)
    }

    /// 恢复, 取回 by command: out of a hold, or of a flow that he sent the caller to.
    pub fn retrieve(&mut self, agent: &AgentNo, env: &dyn Environment, now: Now) -> bool {
        let is_recalled = self.is_agent_talking(agent) && self.recall(env, now);
        is_recalled || self.set_hold_by(agent, false, now)
    }

    fn set_hold_by(&mut self, agent: &AgentNo, held: bool, now: Now) -> bool {
        let waits = self.suspended.is_some();
        let main = self.agent.as_mut().filter(|it| it.offering.agent == *agent);
        if let Some(side) = main {
            if side.state != AgentState::Talking || waits {
                return false;
            }
            side.held_by_desk = held;
        } else if let Some(guest) = self.guests.iter_mut().find(|it| it.is_agent(agent)) {
            if !guest.talks() {
                return false;
            }
            guest.held = held;
        } else {
            return false;
        }
        self.remix(now);
        true
    }

    pub(super) fn hold_by_phone(&mut self, leg: LegId, held: bool, now: Now) {
        if let Some(side) = self.agent.as_mut().filter(|it| it.offering.leg == leg) {
            side.held_by_phone = held;
        } else if let Some(guest) = self.guests.iter_mut().find(|it| it.leg == leg) {
            guest.held = held;
        }
        self.remix(now);
    }
}

/// What the caller and a party hear of each other from now on.
enum Heard {
    First,
    NoMore,
    Again,
}

impl Told {
    /// Notes how it is now; says what is new of it.
    fn take(
        &mut self,
        line: TalkLine,
        apart: bool,
        has_caller: bool,
    ) -> (Option<Heard>, Option<TalkLine>) {
        let heard = if !has_caller || apart == self.apart && self.bridged || apart && !self.bridged
        {
            None
        } else if !self.bridged {
            Some(Heard::First)
        } else if apart {
            Some(Heard::NoMore)
        } else {
            Some(Heard::Again)
        };
        if has_caller {
            self.bridged |= !apart;
            self.apart = apart && self.bridged;
        }
        let is_new = line != std::mem::replace(&mut self.line, line);
        (heard, is_new.then_some(line))
    }
}
