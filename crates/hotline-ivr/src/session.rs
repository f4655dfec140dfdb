//! The interpreter of one call.
//!
//! `walk` goes from node to node, `play`, `input` and `queue` hold the waits, `visit` is a
//! flow in the middle of a talk, `rescue` leads errors to a person, `end` runs the hang-up chain,
//! `values` gives names their meaning.

mod end;
mod input;
mod play;
mod queue;
mod rescue;
mod values;
mod visit;
mod walk;

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use hotline_base::{AgentNo, Due, FlowId, GroupId, Key, MonoTime, Now, earliest};

pub(crate) use self::play::PlayOrder;
use self::{input::InputWait, play::PlayWait, queue::QueueWait, rescue::Rescue, visit::Parked};
use crate::{
    Bundle, EndReason, Entry, Environment, Event, FlowFact, KeyFate, Step, Value,
    flow::{Flow, NodeIdx},
    node::VarRef,
};

/// One call in its flow. It owns everything the caller hears until the bridge.
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact about the call")]
pub struct Session {
    bundle: Arc<Bundle>,
    entry: Entry,
    /// Flows entered and not left, the running one last.
    frames: Vec<Frame>,
    wait: Wait,
    /// Type-ahead: keys that no node has used yet.
    typed: VecDeque<Key>,
    /// A terminator that may still follow a full value.
    swallow: Option<(Key, MonoTime)>,
    steps: VecDeque<Step>,
    n_plays: u64,
    /// `session.*`.
    vars: Vec<Value>,
    last: Last,
    leg: Option<Leg>,
    answered: bool,
    person_requested: bool,
    /// Nodes executed, in all and since the last wait.
    n_steps: u32,
    n_without_wait: u32,
    clock: FlowClock,
    rescue: Rescue,
    /// It began in a talk that no flow led to.
    in_talk: bool,
    /// The agent left while the caller was in a flow of his; for the turn in which that ends.
    left_meanwhile: Option<Leg>,
    /// The caller has rated the agent he talks to.
    rated: bool,
    /// What was said last by [`Step::Mask`].
    masked: bool,
    end_reason: Option<EndReason>,
    /// Nodes entered, when a test wants to know.
    trace: Option<Vec<String>>,
}

/// One flow that was entered.
struct Frame {
    flow: Arc<Flow>,
    at: NodeIdx,
    entered: MonoTime,
    params: Vec<Value>,
    vars: Vec<Value>,
    why: Why,
    /// Menus on the way here, for the back key.
    menus: Vec<NodeIdx>,
    /// How often `on_error` was taken.
    n_failures: u32,
}

/// How a flow was entered.
enum Why {
    Entry,
    Call {
        into: Vec<(String, VarRef)>,
    },
    AfterAgent,
    Fallback,
    Platform,
    /// What goes on when it is left.
    Visit(Box<Parked>),
}

/// What the session waits for.
enum Wait {
    /// Nothing: the node at hand is to be entered.
    Ready,
    Start,
    /// The call is being answered; then the node is entered anew or left.
    Answer {
        again: bool,
    },
    Delay {
        until: MonoTime,
    },
    Pause {
        until: MonoTime,
        listen: bool,
    },
    Play(PlayWait),
    Goodbye {
        play: u64,
        until: MonoTime,
        reason: String,
        cause: u8,
    },
    Input(Box<InputWait>),
    Queue(Box<QueueWait>),
    /// A talk that no flow led to.
    Talk,
    Done,
}

/// `last.*`.
#[derive(Default)]
struct Last {
    outcome: Cow<'static, str>,
    reason: String,
    digits: String,
}

/// The agent the caller talked to, `agent.*`.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) agent: AgentNo,
    pub(crate) group: GroupId,
    talk_ms: u64,
    ended_by: &'static str,
    surveyed: bool,
}

/// What a node did on entering, or what an event made of its wait.
#[derive(Debug, PartialEq)]
pub(crate) enum Turn {
    /// The node waits.
    Wait,
    /// The node is left by this outcome.
    Leave(Cow<'static, str>),
    /// The node cannot do its work.
    Fail(String),
    /// A complete answer that is not acceptable.
    Wrong,
    /// Back to this node of the same flow.
    Jump(NodeIdx),
    /// The last word was said.
    HangUp,
    /// A flow in the middle of the talk is left.
    Returned,
    /// The session is somewhere else already.
    Moved,
}

impl Turn {
    /// A named outcome; most are words of the node kinds, of which nothing is copied.
    pub(crate) fn leave(outcome: impl Into<Cow<'static, str>>) -> Self {
        Self::Leave(outcome.into())
    }

    pub(crate) fn fail(reason: &str) -> Self {
        Self::Fail(reason.to_owned())
    }
}

/// Time spent in flows; queueing and talking do not count.
#[derive(Default)]
struct FlowClock {
    used: Duration,
    since: Option<MonoTime>,
}

impl FlowClock {
    fn pause(&mut self, now: Now) {
        if let Some(since) = self.since.take() {
            self.used += now.mono.since(since);
        }
    }

    fn resume(&mut self, now: Now) {
        self.since.get_or_insert(now.mono);
    }

    fn restart(&mut self, now: Now) {
        *self = Self { used: Duration::ZERO, since: Some(now.mono) };
    }

    fn due(&self, limit: Duration) -> Option<MonoTime> {
        self.since.map(|it| it + limit.saturating_sub(self.used))
    }
}

/// Keys that wait for a node (4.2).
const TYPED_MAX: usize = 16;

impl Session {
    /// A session that waits for [`Event::Start`].
    pub fn new(bundle: Arc<Bundle>, entry: Entry) -> Self {
        let vars = bundle.session.iter().map(|it| it.default.clone()).collect();
        Self {
            bundle,
            entry,
            frames: Vec::new(),
            wait: Wait::Start,
            typed: VecDeque::new(),
            swallow: None,
            steps: VecDeque::new(),
            n_plays: 0,
            vars,
            last: Last::default(),
            leg: None,
            answered: false,
            person_requested: false,
            n_steps: 0,
            n_without_wait: 0,
            clock: FlowClock::default(),
            rescue: Rescue::None,
            in_talk: false,
            left_meanwhile: None,
            rated: false,
            masked: false,
            end_reason: None,
            trace: None,
        }
    }

    pub fn handle(&mut self, event: Event, env: &dyn Environment, now: Now) {
        if self.is_done() {
            return;
        }
        let turn = match event {
            Event::Start => self.on_start(now),
            Event::Answered => self.on_answered(),
            Event::Key(key) => self.on_key(key, env, now),
            Event::PlayDone { play, played_ms, end } => {
                self.on_play_done(play, played_ms, end, env, now)
            }
            Event::Enqueued { position: _ } => self.on_enqueued(env, now),
            Event::EnqueueRefused(refusal) => self.on_enqueue_refused(refusal, now),
            Event::AgentAnswered { agent, group } => self.on_agent_answered(agent, group, env, now),
            Event::AgentLost => self.on_agent_lost(env, now),
            Event::Bridged => self.on_bridged(),
            Event::Suspended { flow, agent, group, talk_ms } => {
                let leg = Leg { agent, group, talk_ms, ended_by: "", surveyed: self.rated };
                self.on_suspended(&flow, leg, now)
            }
            Event::Recalled => self.on_recalled(now),
            Event::AgentDone { agent, group, talk_ms, ended_by } => {
                let ended_by = ended_by.as_str();
                let leg = Leg { agent, group, talk_ms, ended_by, surveyed: self.rated };
                match self.parked() {
                    Some(parked) => {
                        parked.left = Some(leg);
                        Turn::Wait
                    }
                    None => self.on_agent_done(leg, env, now),
                }
            }
            Event::HungUp { reason } => self.on_hung_up(reason, env, now),
        };
        self.act(turn, env, now);
        self.run(env, now);
        self.note_secret();
    }

    pub fn handle_timeout(&mut self, env: &dyn Environment, now: Now) {
        while let Some((due, _)) = self.poll_timeout()
            && due <= now.mono
        {
            let turn = self.on_timeout(env, now);
            self.act(turn, env, now);
            self.run(env, now);
        }
        self.note_secret();
    }

    pub fn poll_timeout(&self) -> Option<Due> {
        let own = match &self.wait {
            Wait::Ready | Wait::Start | Wait::Talk | Wait::Done | Wait::Answer { .. } => None,
            Wait::Delay { until } => Some((*until, "delay before answer")),
            Wait::Pause { until, .. } => Some((*until, "pause")),
            Wait::Goodbye { until, .. } => Some((*until, "play guard")),
            Wait::Play(it) => Some(it.due(!self.typed.is_empty())),
            Wait::Input(it) => Some(it.due(!self.typed.is_empty())),
            Wait::Queue(it) => it.due(),
        };
        earliest(own, self.time_limit())
    }

    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    pub fn is_done(&self) -> bool {
        matches!(self.wait, Wait::Done)
    }

    /// The bundle this call is pinned to.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// `session.<name>`.
    pub fn session_var(&self, name: &str) -> Option<&Value> {
        let idx = self.bundle.session.iter().position(|it| it.name == name)?;
        self.vars.get(idx)
    }

    fn on_start(&mut self, now: Now) -> Turn {
        if !matches!(self.wait, Wait::Start) {
            return Turn::Wait;
        }
        self.clock.restart(now);
        let (flow, params) = (self.entry.flow.clone(), self.entry.row_params.clone());
        match self.push_frame(&flow, &params, Why::Entry, now) {
            Ok(()) => Turn::Moved,
            Err(reason) => self.rescue(&reason, now),
        }
    }

    fn on_answered(&mut self) -> Turn {
        self.answered = true;
        match self.wait {
            Wait::Answer { again: true } => {
                self.wait = Wait::Ready;
                Turn::Moved
            }
            Wait::Answer { again: false } => Turn::leave("done"),
            Wait::Ready
            | Wait::Start
            | Wait::Delay { .. }
            | Wait::Pause { .. }
            | Wait::Play(_)
            | Wait::Goodbye { .. }
            | Wait::Input(_)
            | Wait::Queue(_)
            | Wait::Talk
            | Wait::Done => Turn::Wait,
        }
    }

    fn on_key(&mut self, key: Key, env: &dyn Environment, now: Now) -> Turn {
        if let Some((term, until)) = self.swallow.take()
            && term == key
            && now.mono < until
        {
            self.key_fact(KeyFate::Dropped);
            return Turn::Wait;
        }
        match &self.wait {
            Wait::Start | Wait::Ready | Wait::Answer { .. } | Wait::Delay { .. } => {
                self.keep_key(key);
            }
            Wait::Pause { listen: true, .. } => self.keep_key(key),
            Wait::Pause { listen: false, .. } | Wait::Goodbye { .. } | Wait::Talk => {
                self.key_fact(KeyFate::Dropped);
            }
            Wait::Play(_) => return self.play_key(key, now),
            Wait::Input(_) => return self.input_key(key, env, now),
            Wait::Queue(_) => return self.queue_key(key, now),
            Wait::Done => (),
        }
        Turn::Wait
    }

    fn on_timeout(&mut self, env: &dyn Environment, now: Now) -> Turn {
        if self.time_limit().is_some_and(|(due, _)| due <= now.mono) {
            return self.rescue("max_time", now);
        }
        match &self.wait {
            Wait::Delay { .. } => {
                self.wait = Wait::Answer { again: false };
                self.steps.push_back(Step::Answer);
                Turn::Wait
            }
            Wait::Pause { .. } => Turn::leave("done"),
            Wait::Goodbye { .. } => self.after_goodbye(env, now),
            Wait::Play(_) => self.play_timeout(now),
            Wait::Input(_) => self.input_timeout(env, now),
            Wait::Queue(_) => self.queue_timeout(env, now),
            Wait::Ready | Wait::Start | Wait::Answer { .. } | Wait::Talk | Wait::Done => Turn::Wait,
        }
    }

    /// When the flow's `max_time` is over; not while the caller hears the last word.
    fn time_limit(&self) -> Option<Due> {
        if matches!(self.wait, Wait::Goodbye { .. } | Wait::Done) {
            return None;
        }
        let limit = self.limits()?.time;
        self.clock.due(limit).map(|it| (it, "max_time"))
    }

    // What nodes ask of the session

    pub(crate) const fn is_answered(&self) -> bool {
        self.answered
    }

    pub(crate) fn ask_for_answer(&mut self, _now: Now) -> Turn {
        self.wait = Wait::Answer { again: false };
        self.steps.push_back(Step::Answer);
        Turn::Wait
    }

    pub(crate) fn pause_before_answer(&mut self, delay: Duration, now: Now) -> Turn {
        self.wait = Wait::Delay { until: now.mono + delay };
        Turn::Wait
    }

    pub(crate) fn pause(&mut self, duration: Duration, listen: bool, now: Now) -> Turn {
        self.wait = Wait::Pause { until: now.mono + duration, listen };
        Turn::Wait
    }

    pub(crate) fn fact(&mut self, fact: FlowFact) {
        self.step(Step::Fact(fact));
    }

    pub(crate) fn step(&mut self, step: Step) {
        self.steps.push_back(step);
    }

    /// The flow the call is in.
    pub fn flow(&self) -> FlowId {
        self.place().0
    }

    pub(crate) fn has_typed(&self) -> bool {
        !self.typed.is_empty()
    }

    pub(crate) fn flush_typed(&mut self) {
        for _ in 0..self.typed.len() {
            self.key_fact(KeyFate::Dropped);
        }
        self.typed.clear();
    }

    /// The agent leg that may be rated, once.
    pub(crate) fn leg_to_rate(&mut self) -> Option<Leg> {
        let leg = self.leg.as_mut().filter(|it| !it.surveyed)?;
        leg.surveyed = true;
        let leg = leg.clone();
        self.rated = true;
        Some(leg)
    }

    pub(crate) fn leg(&self) -> Option<Leg> {
        self.leg.clone()
    }

    /// Type-ahead, at most [`TYPED_MAX`] keys: the newest is lost.
    fn keep_key(&mut self, key: Key) {
        if self.typed.len() < TYPED_MAX {
            self.typed.push_back(key);
            self.key_fact(KeyFate::Kept);
        } else {
            self.key_fact(KeyFate::Overflow);
        }
    }

    fn key_fact(&mut self, fate: KeyFate) {
        let (flow, node) = self.place();
        self.fact(FlowFact::Key { flow, node, fate });
    }

    /// Flow and node the call is in.
    fn place(&self) -> (FlowId, String) {
        match self.frames.last() {
            Some(frame) => {
                let node = frame.flow.node(frame.at).map(|it| it.id.to_string());
                (frame.flow.id.clone(), node.unwrap_or_default())
            }
            None => (self.entry.flow.clone(), String::new()),
        }
    }

    pub(crate) fn begin_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// Nodes entered so far, `flow/node`.
    pub(crate) fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// The values of a flow's parameters; every one has a value of its type.
    fn bind(flow: &Flow, given: &BTreeMap<String, Value>) -> Result<Vec<Value>, String> {
        let value = |param: &crate::flow::Param| {
            let ty = param.of.ty();
            let value = given.get(&param.name).or(param.default.as_ref());
            let value = value.filter(|it| it.fits(&ty)).cloned();
            value.ok_or_else(|| format!("parameter {} of {} has no value", param.name, flow.id))
        };
        flow.params.iter().map(value).collect()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flow, node) = self.place();
        f.debug_struct("Session")
            .field("flow", &flow)
            .field("node", &node)
            .field("done", &self.is_done())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
