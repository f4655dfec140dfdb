//! Waiting for a person, and the person.

use std::time::Duration;

use hotline_base::{AgentNo, Due, GroupId, Key, MonoTime, Now, earliest, media::PlayEnd};

use super::{Leg, PlayOrder, Session, Turn, Wait, Why};
use crate::{
    EndReason, Enqueue, Environment, ErrorHop, FlowFact, KeyFate, LeaveWhy, QueueRefusal, Step,
    node::{NodeKind, Queue},
};

/// One visit of a `queue` node.
pub(super) struct QueueWait {
    stage: Stage,
    group: Option<GroupId>,
    /// `max_wait` is over; kept while an agent is being connected.
    deadline: MonoTime,
    hearing: Hearing,
    /// What the agent hears before the bridge.
    agent_hears: Option<u64>,
    next_announcement: Option<MonoTime>,
}

enum Stage {
    /// The answer to `Enqueue` is due.
    Asked {
        until: MonoTime,
    },
    Waiting,
    /// An agent answered; the caller hears the agent's number.
    Whisper {
        until: MonoTime,
    },
    /// The bridge is being made.
    Connecting,
    Talking,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Hearing {
    Nothing,
    Music(u64),
    Announcement(u64),
    Whisper(u64),
}

/// The answer to `Enqueue` comes at once; later than this it never does.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Longest announcement of a number.
const WHISPER_MAX: Duration = Duration::from_secs(20);
const ANNOUNCEMENT_MAX: Duration = Duration::from_secs(30);
/// Music that ends sooner than this is not played again.
const MUSIC_MIN_MS: u32 = 1_000;

impl QueueWait {
    /// The caller is with an agent.
    pub(super) const fn talks(&self) -> bool {
        matches!(self.stage, Stage::Connecting | Stage::Talking)
    }

    pub(super) fn due(&self) -> Option<Due> {
        match self.stage {
            Stage::Asked { until } => Some((until, "queue answer")),
            Stage::Waiting => {
                let next = match self.hearing {
                    Hearing::Announcement(_) => None,
                    Hearing::Nothing | Hearing::Music(_) | Hearing::Whisper(_) => {
                        self.next_announcement.map(|it| (it, "announcement"))
                    }
                };
                earliest(Some((self.deadline, "max_wait")), next)
            }
            Stage::Whisper { until } => Some((until, "play guard")),
            Stage::Connecting | Stage::Talking => None,
        }
    }
}

impl Session {
    pub(crate) fn begin_queue(
        &mut self,
        queue: &Queue,
        order: Enqueue,
        env: &dyn Environment,
        now: Now,
    ) -> Turn {
        self.flush_typed();
        if self.parked().is_some() {
            return Turn::fail("queue in the middle of a talk");
        }
        if !self.person_requested {
            self.person_requested = true;
            self.fact(FlowFact::PersonRequested);
        }
        if order.groups.iter().any(|it| !env.group_known(it)) {
            return Turn::fail("unknown group");
        }
        let nobody = order.groups.iter().all(|it| env.agents_signed_in(it) == 0);
        if nobody && order.early_reject.no_agents {
            if let Some(group) = order.groups.first().cloned() {
                self.fact(FlowFact::QueueRefused { group, why: QueueRefusal::NoAgents });
            }
            return Turn::leave("no_agents");
        }
        self.clock.pause(now);
        self.wait = Wait::Queue(Box::new(QueueWait {
            stage: Stage::Asked { until: now.mono + ANSWER_MAX },
            group: order.groups.first().cloned(),
            deadline: now.mono + queue.max_wait,
            hearing: Hearing::Nothing,
            agent_hears: None,
            next_announcement: queue.announce.as_ref().map(|it| now.mono + it.first_after),
        }));
        self.steps.push_back(Step::Enqueue(Box::new(order)));
        Turn::Wait
    }

    fn queue(&mut self) -> Option<&mut QueueWait> {
        match &mut self.wait {
            Wait::Queue(it) => Some(it),
            Wait::Ready
            | Wait::Start
            | Wait::Answer { .. }
            | Wait::Delay { .. }
            | Wait::Pause { .. }
            | Wait::Play(_)
            | Wait::Goodbye { .. }
            | Wait::Input(_)
            | Wait::Talk
            | Wait::Done => None,
        }
    }

    /// The group that owns the caller's place.
    pub(crate) fn queued_group(&self) -> Option<&GroupId> {
        match &self.wait {
            Wait::Queue(it) => it.group.as_ref(),
            Wait::Ready
            | Wait::Start
            | Wait::Answer { .. }
            | Wait::Delay { .. }
            | Wait::Pause { .. }
            | Wait::Play(_)
            | Wait::Goodbye { .. }
            | Wait::Input(_)
            | Wait::Talk
            | Wait::Done => None,
        }
    }

    fn with_queue(&mut self, act: impl FnOnce(&mut Self, &Queue) -> Turn) -> Turn {
        let Some((flow, at)) = self.here() else { return Turn::fail("no flow") };
        match flow.node(at).map(|it| &it.kind) {
            Some(NodeKind::Queue(queue)) => act(self, queue),
            Some(_) | None => Turn::Wait,
        }
    }

    pub(super) fn on_enqueued(&mut self, env: &dyn Environment, now: Now) -> Turn {
        self.with_queue(|this, queue| {
            let Some(QueueWait { stage: stage @ Stage::Asked { .. }, .. }) = this.queue() else {
                return Turn::Wait;
            };
            *stage = Stage::Waiting;
            this.begin_music(queue, env, now);
            Turn::Wait
        })
    }

    pub(super) fn on_enqueue_refused(&mut self, refusal: QueueRefusal, now: Now) -> Turn {
        if self.queue().is_none() {
            return Turn::Wait;
        }
        self.stop_hearing();
        self.clock.resume(now);
        match refusal {
            QueueRefusal::Full => Turn::leave("full"),
            QueueRefusal::NoAgents => Turn::leave("no_agents"),
            QueueRefusal::Closed => Turn::leave("closed"),
            QueueRefusal::UnknownGroup => Turn::fail("unknown group"),
        }
    }

    /// Music until further notice. Without music the caller waits in silence, and somebody hears
    /// of it.
    fn begin_music(&mut self, queue: &Queue, env: &dyn Environment, now: Now) {
        let prompts = self.prompts_known(&queue.music, env, now);
        let hearing = if prompts.is_empty() {
            self.error_fact("music is missing", ErrorHop::Ignored);
            Hearing::Nothing
        } else {
            Hearing::Music(self.queue_play(prompts, 0, Duration::ZERO))
        };
        if let Some(it) = self.queue() {
            it.hearing = hearing;
        }
    }

    fn queue_play(
        &mut self,
        prompts: Vec<hotline_base::PromptId>,
        times: u32,
        limit: Duration,
    ) -> u64 {
        let gap = Duration::ZERO;
        let order = PlayOrder { prompts, times, gap, barge_in: false, limit };
        self.order_play(order, Duration::ZERO)
    }

    fn stop_hearing(&mut self) {
        let Some(it) = self.queue() else { return };
        match std::mem::replace(&mut it.hearing, Hearing::Nothing) {
            Hearing::Music(play) | Hearing::Announcement(play) | Hearing::Whisper(play) => {
                self.steps.push_back(Step::StopPlay { play });
            }
            Hearing::Nothing => (),
        }
    }

    /// Gives up the place.
    fn leave_queue(&mut self, why: LeaveWhy, now: Now) {
        self.stop_hearing();
        self.steps.push_back(Step::LeaveQueue { why });
        self.clock.resume(now);
    }

    /// Digits pressed while waiting go to the queue's keys only; those of the talk to nobody.
    pub(super) fn queue_key(&mut self, key: Key, now: Now) -> Turn {
        self.with_queue(|this, queue| {
            let waiting = this.queue().is_some_and(|it| matches!(it.stage, Stage::Waiting));
            if waiting && queue.keys.contains(&key) {
                this.key_fact(KeyFate::Taken);
                this.leave_queue(LeaveWhy::Key, now);
                return Turn::leave(format!("key.{key}"));
            }
            this.key_fact(KeyFate::Dropped);
            Turn::Wait
        })
    }

    pub(super) fn queue_timeout(&mut self, env: &dyn Environment, now: Now) -> Turn {
        self.with_queue(|this, queue| {
            let Some(it) = this.queue() else { return Turn::Wait };
            match it.stage {
                Stage::Asked { .. } => {
                    this.leave_queue(LeaveWhy::Error, now);
                    Turn::fail("queue did not answer")
                }
                Stage::Waiting if now.mono >= it.deadline => {
                    this.leave_queue(LeaveWhy::Timeout, now);
                    Turn::leave("timeout")
                }
                Stage::Waiting => {
                    this.announce(queue, env, now);
                    Turn::Wait
                }
                Stage::Whisper { .. } => {
                    this.stop_hearing();
                    this.connect();
                    Turn::Wait
                }
                Stage::Connecting | Stage::Talking => Turn::Wait,
            }
        })
    }

    fn announce(&mut self, queue: &Queue, env: &dyn Environment, now: Now) {
        let Some(announce) = &queue.announce else { return };
        let prompts = announce.say(self, env, now);
        let next = (!announce.every.is_zero()).then(|| now.mono + announce.every);
        let play = if prompts.is_empty() {
            None
        } else {
            Some(self.queue_play(prompts, 1, ANNOUNCEMENT_MAX))
        };
        if let Some(it) = self.queue() {
            it.next_announcement = next;
            if let Some(play) = play {
                it.hearing = Hearing::Announcement(play);
            }
        }
    }

    pub(super) fn queue_play_done(
        &mut self,
        play: u64,
        played_ms: u32,
        end: PlayEnd,
        env: &dyn Environment,
        now: Now,
    ) -> Turn {
        self.with_queue(|this, queue| {
            let Some(it) = this.queue() else { return Turn::Wait };
            let hearing = it.hearing;
            if hearing == Hearing::Announcement(play) {
                // The interval runs from the end of the announcement.
                let every = queue.announce.as_ref().map(|it| it.every);
                it.next_announcement =
                    every.filter(|it| !it.is_zero()).map(|every| now.mono + every);
                this.begin_music(queue, env, now);
            } else if hearing == Hearing::Whisper(play) {
                it.hearing = Hearing::Nothing;
                this.connect_if_said();
            } else if it.agent_hears == Some(play) {
                it.agent_hears = None;
                this.connect_if_said();
            } else if hearing == Hearing::Music(play) {
                it.hearing = Hearing::Nothing;
                if end == PlayEnd::Missing || played_ms < MUSIC_MIN_MS {
                    this.error_fact("music ended", ErrorHop::Ignored);
                } else {
                    this.begin_music(queue, env, now);
                }
            }
            Turn::Wait
        })
    }

    pub(super) fn on_agent_answered(
        &mut self,
        agent: AgentNo,
        group: GroupId,
        env: &dyn Environment,
        now: Now,
    ) -> Turn {
        self.with_queue(|this, queue| {
            let waiting = |it: &QueueWait| matches!(it.stage, Stage::Asked { .. } | Stage::Waiting);
            if !this.queue().is_some_and(|it| waiting(it)) {
                return Turn::Wait;
            }
            let whisper = queue.caller_whisper.as_ref();
            this.rated = false;
            this.leg =
                Some(Leg { agent: agent.clone(), group, talk_ms: 0, ended_by: "", surveyed: true });
            let prompts = whisper.map(|it| it.say(&agent, this, env, now)).unwrap_or_default();
            let own = queue.agent_whisper.as_ref();
            let mut to_agent = own.map(|it| it.say(&agent, this, env, now)).unwrap_or_default();
            if queue.whisper_to_both {
                to_agent.extend(prompts.iter().cloned());
            }
            if prompts.is_empty() && to_agent.is_empty() {
                this.stop_hearing();
                this.connect();
                return Turn::Wait;
            }
            // Without a word for him the caller goes on hearing music.
            let play = (!prompts.is_empty()).then(|| this.queue_play(prompts, 1, WHISPER_MAX));
            let agent_hears = (!to_agent.is_empty()).then(|| this.play_to_agent(to_agent));
            if let Some(it) = this.queue() {
                it.hearing = play.map_or(it.hearing, Hearing::Whisper);
                it.agent_hears = agent_hears;
                it.stage = Stage::Whisper { until: now.mono + WHISPER_MAX + super::play::GUARD };
            }
            Turn::Wait
        })
    }

    fn play_to_agent(&mut self, prompts: Vec<hotline_base::PromptId>) -> u64 {
        self.n_plays += 1;
        let play = self.n_plays;
        let limit_ms = u32::try_from(WHISPER_MAX.as_millis()).unwrap_or(u32::MAX);
        self.steps.push_back(Step::PlayToAgent { play, prompts, limit_ms });
        play
    }

    /// Both have heard what is said before the bridge.
    fn connect_if_said(&mut self) {
        let whispers =
            |it: &QueueWait| it.agent_hears.is_some() || matches!(it.hearing, Hearing::Whisper(_));
        if self.queue().is_some_and(|it| !whispers(it)) {
            self.stop_hearing();
            self.connect();
        }
    }

    fn connect(&mut self) {
        self.steps.push_back(Step::Connect);
        if let Some(it) = self.queue() {
            it.stage = Stage::Connecting;
        }
    }

    /// Back to the old place: music again, and no more time than before.
    pub(super) fn on_agent_lost(&mut self, env: &dyn Environment, now: Now) -> Turn {
        self.with_queue(|this, queue| {
            let Some(it) = this.queue() else { return Turn::Wait };
            match it.stage {
                Stage::Whisper { .. } | Stage::Connecting => (),
                Stage::Asked { .. } | Stage::Waiting | Stage::Talking => return Turn::Wait,
            }
            it.stage = Stage::Waiting;
            it.agent_hears = None;
            if let (Some(next), Some(announce)) = (&mut it.next_announcement, &queue.announce) {
                *next = (*next).max(now.mono + announce.first_after);
            }
            let over = now.mono >= it.deadline;
            this.leg = None;
            if over {
                this.leave_queue(LeaveWhy::Timeout, now);
                return Turn::leave("timeout");
            }
            this.begin_music(queue, env, now);
            Turn::Wait
        })
    }

    pub(super) fn on_bridged(&mut self) -> Turn {
        if let Some(it) = self.queue()
            && matches!(it.stage, Stage::Connecting)
        {
            it.stage = Stage::Talking;
        }
        Turn::Wait
    }

    /// `after_agent` runs once for each answered agent leg whose `when` holds; its failure costs
    /// the caller nothing.
    pub(super) fn on_agent_done(&mut self, leg: Leg, env: &dyn Environment, now: Now) -> Turn {
        self.with_queue(|this, queue| {
            let talked = this
                .queue()
                .is_some_and(|it| matches!(it.stage, Stage::Talking | Stage::Connecting));
            if !talked {
                return Turn::Wait;
            }
            this.leg = Some(leg);
            this.clock.resume(now);
            let Some(after) = &queue.after_agent else { return Turn::leave("agent_done") };
            let wanted = match &after.when {
                Some(when) => this.holds(when, env, now),
                None => Ok(true),
            };
            let entered = match wanted {
                Ok(false) => return Turn::leave("agent_done"),
                Ok(true) => after
                    .call
                    .resolve(this, env, now)
                    .and_then(|it| this.push_frame(&it.0, &it.1, Why::AfterAgent, now)),
                Err(reason) => Err(reason),
            };
            match entered {
                Ok(()) => Turn::Moved,
                Err(reason) => {
                    this.error_fact(&reason, ErrorHop::Ignored);
                    Turn::leave("agent_done")
                }
            }
        })
    }

    /// Why the caller left, seen from the queue.
    pub(super) fn queue_end_reason(&self, reason: EndReason) -> EndReason {
        match &self.wait {
            Wait::Queue(it) if reason == EndReason::CallerHangup => match it.stage {
                Stage::Asked { .. }
                | Stage::Waiting
                | Stage::Whisper { .. }
                | Stage::Connecting => EndReason::QueueAbandon,
                Stage::Talking => reason,
            },
            Wait::Queue(_)
            | Wait::Ready
            | Wait::Start
            | Wait::Answer { .. }
            | Wait::Delay { .. }
            | Wait::Pause { .. }
            | Wait::Play(_)
            | Wait::Goodbye { .. }
            | Wait::Input(_)
            | Wait::Talk
            | Wait::Done => reason,
        }
    }
}
