//! What a session is told, what it orders, and what it reports.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{AgentNo, FlowId, GroupId, Key, Pii, PromptId, WallTime, media::PlayEnd};

use crate::Value;

/// What the flow may ask of the rest of the engine, answered at once.
pub trait Environment {
    /// Callers waiting in the group's queue.
    fn queue_waiting(&self, group: &GroupId) -> usize;
    /// This caller's place, from 1.
    fn queue_position(&self) -> Option<usize>;
    fn agents_ready(&self, group: &GroupId) -> usize;
    fn agents_signed_in(&self, group: &GroupId) -> usize;
    fn group_known(&self, group: &GroupId) -> bool;
    /// 归属地 of the caller's number as a region code of six digits, or empty.
    fn caller_city(&self) -> String;
    /// Calls of this caller in the last `hours`, this one not counted.
    fn caller_repeat(&self, hours: u32) -> u32;
    /// Expected wait of a caller who enters now; `None` when it cannot be told.
    fn queue_ewt(&self, _group: &GroupId) -> Option<Duration> {
        None
    }
    fn caller_carrier(&self) -> String {
        String::new()
    }
    /// The entry in force for a number on a list (`blacklist`, `vip`): entries of `city` and those
    /// for everywhere. Live: a change counts from the next question on.
    fn listed(&self, _list: &str, _number: &str, _city: &str, _at: WallTime) -> Option<Listed> {
        None
    }
}

/// An entry of a list, as flows use it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    pub entry: u64,
    /// `reject`, `announce`, `low_priority`, `voicemail`, `prefer`.
    pub action: &'static str,
    /// 0–9, 9 first.
    pub priority: Option<u8>,
    pub group: Option<GroupId>,
}

/// How a call enters its flow.
#[derive(Clone, Debug)]
pub struct Entry {
    pub flow: FlowId,
    /// Checked parameters of the number's row; what is missing takes the flow's default.
    pub row_params: BTreeMap<String, Value>,
    pub call_id: String,
    /// Normalised caller number; empty when hidden.
    pub from: Pii<String>,
    /// The number dialled, as it came.
    pub to: String,
    /// The number dialled, normalised.
    pub dnis: String,
    pub trunk: String,
    pub started_at: WallTime,
    pub recording_id: String,
}

/// This happened to the call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// First event of every session.
    Start,
    /// The call is answered (after [`Step::Answer`]).
    Answered,
    Key(Key),
    PlayDone {
        play: u64,
        played_ms: u32,
        end: PlayEnd,
    },
    /// After [`Step::Enqueue`].
    Enqueued {
        position: usize,
    },
    /// After [`Step::Enqueue`].
    EnqueueRefused(QueueRefusal),
    /// An agent took the offer. The session says when to connect.
    AgentAnswered {
        agent: AgentNo,
        group: GroupId,
    },
    /// The agent went away before the bridge; the caller is back at the old place in the queue.
    AgentLost,
    /// After [`Step::Connect`].
    Bridged,
    /// 挂起转: the agent who talks to the caller sends him to this flow and waits. Ignored unless
    /// [`Session::may_visit`](crate::Session::may_visit) says yes; answered by [`Step::Returned`].
    Suspended {
        flow: FlowId,
        agent: AgentNo,
        group: GroupId,
        /// Since the bridge.
        talk_ms: u64,
    },
    /// The agent takes the caller back out of the flow.
    Recalled,
    /// The agent's leg ended and the caller is still there. During a visit to a flow of
    /// [`Event::Suspended`] it counts when that flow is left.
    AgentDone {
        agent: AgentNo,
        group: GroupId,
        talk_ms: u64,
        ended_by: EndedBy,
    },
    /// The caller's leg is gone. The hang-up chain runs at once.
    HungUp {
        reason: EndReason,
    },
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum QueueRefusal {
    Full,
    NoAgents,
    Closed,
    UnknownGroup,
}

/// Who ended the agent's leg.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum EndedBy {
    Agent,
    System,
    Supervisor,
}

impl EndedBy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::System => "system",
            Self::Supervisor => "supervisor",
        }
    }
}

/// `session.end_reason`: why the caller left the flow.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum EndReason {
    CallerHangup,
    SystemHangup,
    Transferred,
    /// 排队放弃. The session makes this of [`EndReason::CallerHangup`] in a queue.
    QueueAbandon,
    Error,
    Timeout,
}

impl EndReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallerHangup => "caller_hangup",
            Self::SystemHangup => "system_hangup",
            Self::Transferred => "transferred",
            Self::QueueAbandon => "queue_abandon",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}

/// Do this.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Answer the call; [`Event::Answered`] follows.
    Answer,
    /// Play to the caller; replaces the running play. [`Event::PlayDone`] follows.
    Play {
        /// Chosen by the session, counts up from 1.
        play: u64,
        prompts: Vec<PromptId>,
        /// 0 is for ever.
        times: u32,
        gap_ms: u32,
        stop_on_key: bool,
        grace_ms: u32,
        limit_ms: u32,
    },
    StopPlay {
        play: u64,
    },
    /// Play once to the agent who has answered, until the bridge at the latest;
    /// [`Event::PlayDone`] follows.
    PlayToAgent {
        /// Numbered as those of the caller.
        play: u64,
        prompts: Vec<PromptId>,
        limit_ms: u32,
    },
    Enqueue(Box<Enqueue>),
    /// The caller no longer waits.
    LeaveQueue {
        why: LeaveWhy,
    },
    /// Bridge caller and agent.
    Connect,
    /// What follows is secret, or is not any more: what the caller presses belongs in no recording.
    Mask {
        on: bool,
    },
    /// 录音: what this flow wants of the recording of the call.
    Record {
        flow: FlowId,
        action: RecordAction,
    },
    /// The caller is back from the flow of [`Event::Suspended`].
    Returned {
        how: Returned,
        /// What the flow gives back, of what it declares in `returns`.
        values: Vec<(String, Pii<String>)>,
    },
    /// End the caller's leg. The session is done after this step and the facts behind it.
    HangUp {
        /// Tag for the record.
        reason: String,
        /// Q.850 cause.
        cause: u8,
        end: SessionEnd,
    },
    Fact(FlowFact),
}

/// What a flow does to the recording of its call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecordAction {
    /// Records the caller, and whoever comes to him, until [`RecordAction::Stop`] or the end of the
    /// call. Nothing where a recording runs.
    Start,
    /// Nothing where none runs. A talk with an agent is recorded anyway.
    Stop,
    /// Silence is written, until [`RecordAction::Resume`], or an agent answers.
    Pause,
    /// The same, for something secret.
    Mask,
    Resume,
}

impl RecordAction {
    pub const NAMES: [&str; 5] = ["start", "stop", "pause", "mask", "resume"];

    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::Start, Self::Stop, Self::Pause, Self::Mask, Self::Resume];
        all.into_iter().find(|it| it.as_str() == name)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Mask => "mask",
            Self::Resume => "resume",
        }
    }
}

/// How the caller came back to the agent.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Returned {
    /// By a `return` of the flow.
    Done,
    /// The flow failed, or took longer than it may.
    Failed,
    /// The agent took him back.
    Recalled,
}

impl Returned {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Recalled => "recalled",
        }
    }
}

/// Why the flow takes a caller out of the queue.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LeaveWhy {
    /// `max_wait` is over.
    Timeout,
    /// The caller pressed a key of the node's `keys`.
    Key,
    /// The queue did not answer.
    Error,
}

/// Put the caller into a queue. [`Event::Enqueued`] or [`Event::EnqueueRefused`] follows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Enqueue {
    /// The first is the owner.
    pub groups: Vec<GroupId>,
    /// 0–9, 9 first.
    pub priority: u8,
    pub skills: Vec<String>,
    /// `None`: the group's own.
    pub ring_timeout: Option<Duration>,
    pub early_reject: EarlyReject,
}

/// Refuse at once instead of letting the caller wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EarlyReject {
    pub closed: bool,
    pub no_agents: bool,
    pub full: bool,
}

/// How the engine's own hang-up came about.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SessionEnd {
    /// A hang-up node of the flow.
    Finished,
    /// Even the platform's queue could not take the caller.
    Failed,
    /// The platform's queue kept the caller too long.
    TimedOut,
}

/// One thing that happened in a flow.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum FlowFact {
    /// A node was left. `ms` is the time spent in it.
    Node {
        flow: FlowId,
        node: Arc<str>,
        outcome: Cow<'static, str>,
        kind: Cow<'static, str>,
        milestone: String,
        ms: u64,
    },
    /// The caller asked for a person: a queue node was entered (人工请求).
    PersonRequested,
    /// The node turned the caller away at the queue's door, because nobody is signed in.
    QueueRefused {
        group: GroupId,
        why: QueueRefusal,
    },
    Tagged(String),
    Untagged(String),
    /// A variable with `export: true` was set; `value` is masked as declared.
    Exported {
        name: String,
        label: String,
        value: Pii<String>,
    },
    SurveyOffered {
        survey: String,
        agent: AgentNo,
    },
    /// 按键评价.
    Rated {
        survey: String,
        agent: AgentNo,
        group: GroupId,
        key: Key,
        value: i64,
        label: String,
        satisfied: bool,
    },
    /// An `event` node: a business event for other systems.
    Noted {
        topic: String,
        data: Vec<(String, Pii<String>)>,
    },
    Logged {
        level: LogLevel,
        text: String,
    },
    /// A step failed; `hop` says where the caller goes.
    Error {
        flow: FlowId,
        node: String,
        reason: String,
        hop: ErrorHop,
    },
    /// What became of a key; its value is nobody's business here.
    Key {
        flow: FlowId,
        node: String,
        fate: KeyFate,
    },
    /// The caller is on a list.
    Listed {
        list: String,
        entry: u64,
        action: String,
    },
    /// The hang-up chain of a flow ran.
    LeftFlow {
        flow: FlowId,
        reason: EndReason,
    },
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
}

/// Where an error leads the caller.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ErrorHop {
    /// The flow goes on as if nothing had happened (music that is missing, a failed survey).
    Ignored,
    /// The flow's `on_error`.
    OnError,
    /// The flow was left; its caller decides.
    Unwound,
    /// The platform's fallback flow.
    FallbackFlow,
    /// The platform's queue.
    PlatformQueue,
    /// An apology and the end.
    Apology,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum KeyFate {
    /// Used by the node.
    Taken,
    /// Waits in the type-ahead buffer.
    Kept,
    /// `type_ahead: flush`, a queue, a talk, or a terminator after a full value.
    Dropped,
    /// The type-ahead buffer was full.
    Overflow,
}
