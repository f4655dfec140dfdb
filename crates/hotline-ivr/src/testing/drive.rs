//! A session, a virtual clock, and what the session would hear from the engine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hotline_base::{
    AgentNo, FlowId, GroupId, Key, MonoTime, Now, Pii, PromptId, WallTime, media::PlayEnd,
};

use super::{
    case::{AgentMock, Case},
    world::MockWorld,
};
use crate::{Bundle, EndReason, Enqueue, Entry, Event, FlowFact, QueueRefusal, Session, Step};

/// What a test sees.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// A prompt began to play.
    Heard {
        prompt: PromptId,
        play: u64,
        at: MonoTime,
    },
    Queued {
        groups: Vec<GroupId>,
        priority: u8,
    },
    Answered {
        agent: String,
    },
    Returned {
        how: &'static str,
        values: BTreeMap<String, Pii<String>>,
    },
    Ended {
        by: &'static str,
        reason: String,
    },
}

/// A play on its way.
struct Playing {
    play: u64,
    began: MonoTime,
    /// Start of each prompt, in milliseconds from the beginning.
    starts: Vec<(u64, PromptId)>,
    /// How many of them have begun.
    n_begun: usize,
    /// `None` for music.
    ends: Option<MonoTime>,
    stop_on_key: bool,
    grace: Duration,
}

pub(super) struct Driver<'a> {
    pub(super) session: Session,
    pub(super) now: Now,
    pub(super) seen: Vec<Seen>,
    /// Plays that ended by a key.
    pub(super) interrupted: Vec<u64>,
    pub(super) facts: Vec<FlowFact>,
    /// What flows did to the recording.
    pub(super) recording: Vec<&'static str>,
    world: MockWorld<'a>,
    durations: &'a BTreeMap<PromptId, u32>,
    play: Option<Playing>,
    /// When an agent takes the caller.
    pub(super) answer_due: Option<(MonoTime, GroupId, AgentMock)>,
    bridged: Option<(GroupId, AgentMock)>,
    talk_ends: Option<(MonoTime, GroupId, AgentMock)>,
    pub(super) waits_in: Option<GroupId>,
}

/// Length of a prompt nobody measured.
const PROMPT_MS: u32 = 1_000;

impl<'a> Driver<'a> {
    pub(super) fn new(
        bundle: &Arc<Bundle>,
        case: &'a Case,
        durations: &'a BTreeMap<PromptId, u32>,
    ) -> Option<Self> {
        let number = bundle.number(&case.number)?;
        let entry = Entry {
            flow: number.flow.clone(),
            row_params: number.params.clone(),
            call_id: "1".to_owned(),
            from: Pii::new(case.from.clone()),
            to: case.number.clone(),
            dnis: case.number.clone(),
            trunk: "test".to_owned(),
            started_at: case.at,
            recording_id: "R1".to_owned(),
        };
        let mut session = Session::new(Arc::clone(bundle), entry);
        session.begin_trace();
        let mut it = Self {
            session,
            now: Now { mono: MonoTime(0), wall: case.at },
            seen: Vec::new(),
            interrupted: Vec::new(),
            facts: Vec::new(),
            recording: Vec::new(),
            world: MockWorld { mocks: &case.mocks, group: None },
            durations,
            play: None,
            answer_due: None,
            bridged: None,
            talk_ends: None,
            waits_in: None,
        };
        it.tell(Event::Start);
        Some(it)
    }

    pub(super) fn set_clock(&mut self, wall: WallTime) {
        self.now.wall = wall;
    }

    fn tell(&mut self, event: Event) {
        self.session.handle(event, &self.world, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(step) = self.session.poll_step() {
            match step {
                Step::Answer => self.tell(Event::Answered),
                Step::Play { play, prompts, times, gap_ms, stop_on_key, grace_ms, limit_ms } => {
                    self.begin(play, prompts, times, gap_ms, limit_ms);
                    if let Some(it) = &mut self.play {
                        it.stop_on_key = stop_on_key;
                        it.grace = Duration::from_millis(u64::from(grace_ms));
                    }
                    self.begin_prompts();
                }
                Step::StopPlay { play } => {
                    if self.play.as_ref().is_some_and(|it| it.play == play) {
                        self.interrupted.push(play);
                        self.play = None;
                    }
                }
                // Nobody listens at the agent's ear; it is over at once.
                Step::PlayToAgent { play, .. } => {
                    self.tell(Event::PlayDone { play, played_ms: 0, end: PlayEnd::Finished });
                }
                Step::Enqueue(order) => self.enqueue(&order),
                Step::LeaveQueue { .. } => self.leave_queue(),
                Step::Connect => self.connect(),
                Step::Mask { .. } => (),
                Step::Record { action, .. } => self.recording.push(action.as_str()),
                Step::Returned { how, values } => {
                    let (how, values) = (how.as_str(), values.into_iter().collect());
                    self.seen.push(Seen::Returned { how, values });
                }
                Step::HangUp { reason, .. } => {
                    self.seen.push(Seen::Ended { by: "system", reason });
                    self.play = None;
                }
                Step::Fact(fact) => self.facts.push(fact),
            }
        }
    }

    fn begin(&mut self, play: u64, prompts: Vec<PromptId>, times: u32, gap_ms: u32, limit: u32) {
        let mut starts = Vec::new();
        let mut at = 0;
        for round in 0..times.max(1) {
            at += if round > 0 { u64::from(gap_ms) } else { 0 };
            for prompt in &prompts {
                starts.push((at, prompt.clone()));
                at += u64::from(self.durations.get(prompt).copied().unwrap_or(PROMPT_MS));
            }
        }
        let length = if limit > 0 { at.min(u64::from(limit)) } else { at };
        let ends = (times > 0).then(|| self.now.mono + Duration::from_millis(length));
        self.play = Some(Playing {
            play,
            began: self.now.mono,
            starts,
            n_begun: 0,
            ends,
            stop_on_key: false,
            grace: Duration::ZERO,
        });
    }

    /// Prompts whose time has come.
    fn begin_prompts(&mut self) {
        let Some(it) = &mut self.play else { return };
        while let Some((start, prompt)) = it.starts.get(it.n_begun) {
            let at = it.began + Duration::from_millis(*start);
            if at > self.now.mono {
                return;
            }
            it.n_begun += 1;
            self.seen.push(Seen::Heard { prompt: prompt.clone(), play: it.play, at });
        }
    }

    fn enqueue(&mut self, order: &Enqueue) {
        self.seen.push(Seen::Queued { groups: order.groups.clone(), priority: order.priority });
        let mocks = self.world.mocks;
        let mocks = || order.groups.iter().map(|it| (it, mocks.queue(it.as_str())));
        let refusal = mocks().find_map(|(_, mock)| match (mock.full, mock.closed) {
            (true, _) => Some(QueueRefusal::Full),
            (false, true) => Some(QueueRefusal::Closed),
            (false, false) => None,
        });
        if let Some(refusal) = refusal {
            return self.tell(Event::EnqueueRefused(refusal));
        }
        let soonest = mocks().filter_map(|(group, mock)| {
            Some((self.now.mono + mock.wait?, group.clone(), mock.agent.clone()))
        });
        self.answer_due = soonest.min_by_key(|it| it.0);
        self.waits_in = order.groups.first().cloned();
        self.world.group.clone_from(&self.waits_in);
        let ahead = mocks().next().map_or(0, |it| it.1.ahead);
        self.tell(Event::Enqueued { position: ahead + 1 });
    }

    fn leave_queue(&mut self) {
        self.answer_due = None;
        self.waits_in = None;
        self.world.group = None;
    }

    fn connect(&mut self) {
        self.play = None;
        let Some((group, agent)) = self.bridged.take() else { return };
        self.talk_ends = Some((self.now.mono + agent.talk, group, agent));
        self.tell(Event::Bridged);
    }

    /// The agent who talks sends the caller to a flow. Says whether he could.
    pub(super) fn suspend(&mut self, flow: &FlowId) -> bool {
        let Some((until, group, agent)) = &self.talk_ends else { return false };
        if !self.session.may_visit(flow) {
            return false;
        }
        let began = until.since(MonoTime(0)).saturating_sub(agent.talk);
        let talked = self.now.mono.since(MonoTime(0)).saturating_sub(began);
        let talk_ms = u64::try_from(talked.as_millis()).unwrap_or(u64::MAX);
        let (agent, group) = (AgentNo::new(&agent.id), group.clone());
        self.tell(Event::Suspended { flow: flow.clone(), agent, group, talk_ms });
        true
    }

    pub(super) fn recall(&mut self) {
        self.tell(Event::Recalled);
    }

    pub(super) fn press(&mut self, key: Key) {
        let stopped =
            self.play.take_if(|it| it.stop_on_key && self.now.mono.since(it.began) >= it.grace);
        if let Some(it) = stopped {
            self.interrupted.push(it.play);
            let played_ms = self.now.mono.since(it.began).as_millis();
            let played_ms = u32::try_from(played_ms).unwrap_or(u32::MAX);
            self.tell(Event::PlayDone { play: it.play, played_ms, end: PlayEnd::Key(key) });
        }
        self.tell(Event::Key(key));
    }

    pub(super) fn hang_up(&mut self) {
        self.leave_queue();
        self.tell(Event::HungUp { reason: EndReason::CallerHangup });
        self.play = None;
        let reason = self.end_reason().map_or_else(String::new, |it| it.as_str().to_owned());
        self.seen.push(Seen::Ended { by: "caller", reason });
    }

    /// Why the caller left, once he has.
    pub(super) fn end_reason(&self) -> Option<EndReason> {
        self.facts.iter().rev().find_map(|it| {
            if let FlowFact::LeftFlow { reason, .. } = it { Some(*reason) } else { None }
        })
    }

    /// When something happens next.
    fn next_due(&self) -> Option<MonoTime> {
        let play = self.play.as_ref().and_then(|it| {
            let start = it.starts.get(it.n_begun);
            start
                .map(|(ms, _)| it.began + Duration::from_millis(*ms))
                .into_iter()
                .chain(it.ends)
                .min()
        });
        let session = self.session.poll_timeout().map(|it| it.0);
        let answer = self.answer_due.as_ref().map(|it| it.0);
        let talk = self.talk_ends.as_ref().map(|it| it.0);
        [play, session, answer, talk].into_iter().flatten().min()
    }

    /// Lets time pass until the next event, but not beyond `until`. False when `until` is reached.
    pub(super) fn step(&mut self, until: MonoTime) -> bool {
        let due = self.next_due().filter(|it| *it <= until);
        let at = due.unwrap_or(until).max(self.now.mono);
        self.now = self.now + at.since(self.now.mono);
        if due.is_none() {
            return false;
        }
        self.begin_prompts();
        let over = |at: &MonoTime| *at <= self.now.mono;
        if let Some((_, group, agent)) = self.talk_ends.take_if(|it| over(&it.0)) {
            let talk_ms = u64::try_from(agent.talk.as_millis()).unwrap_or(u64::MAX);
            let (id, ended_by) = (AgentNo::new(&agent.id), agent.ended_by);
            self.tell(Event::AgentDone { agent: id, group, talk_ms, ended_by });
        } else if let Some((_, group, agent)) = self.answer_due.take_if(|it| over(&it.0)) {
            self.agent_answers(group, agent);
        } else if let Some(it) = self.play.take_if(|it| it.ends.as_ref().is_some_and(over)) {
            let played_ms = self.now.mono.since(it.began).as_millis();
            let played_ms = u32::try_from(played_ms).unwrap_or(u32::MAX);
            self.tell(Event::PlayDone { play: it.play, played_ms, end: PlayEnd::Finished });
        } else {
            self.session.handle_timeout(&self.world, self.now);
            self.drain();
        }
        true
    }

    pub(super) fn agent_answers(&mut self, group: GroupId, agent: AgentMock) {
        self.answer_due = None;
        self.waits_in = None;
        self.seen.push(Seen::Answered { agent: agent.id.clone() });
        let id = AgentNo::new(&agent.id);
        self.bridged = Some((group.clone(), agent));
        self.tell(Event::AgentAnswered { agent: id, group });
    }

    /// Where the prompt that plays now began, when it is this one.
    pub(super) fn playing(&self, prompt: &str) -> Option<MonoTime> {
        let it = self.play.as_ref()?;
        let (start, id) = it.starts.get(it.n_begun.checked_sub(1)?)?;
        (id.as_str() == prompt).then(|| it.began + Duration::from_millis(*start))
    }
}
