//! The kinds of nodes, one file each: what the file may say, and what the interpreter does on
//! entering.

mod answer;
mod branch;
mod call;
mod check_list;
mod collect;
mod data;
mod hangup;
mod input;
mod menu;
mod play;
mod prompt;
mod queue;
mod record;
mod report;
mod schedule;
mod survey;

pub(crate) use self::{
    answer::{Answer, Pause},
    branch::{Branch, Switch},
    call::{Call, FlowCall, Return},
    check_list::CheckList,
    collect::Collect,
    data::{Lookup, Set, VarRef},
    hangup::Hangup,
    input::{Ask, Asking, Defaults, Input, Judgement, KeyRule},
    menu::{Choice as MenuChoice, Menu},
    play::Play,
    prompt::{Insert, Prompt, PromptPart},
    queue::Queue,
    record::Record,
    report::{Log, Note, Tag},
    schedule::ScheduleNode,
    survey::Survey,
};
use crate::{
    Environment, RecordAction,
    check::NodeReader,
    session::{Session, Turn},
};
use hotline_base::Now;

#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    Answer(Answer),
    Pause(Pause),
    Play(Play),
    Menu(Box<Menu>),
    Collect(Box<Collect>),
    Survey(Box<Survey>),
    Queue(Box<Queue>),
    Record(Record),
    Set(Set),
    Branch(Branch),
    Switch(Switch),
    Schedule(ScheduleNode),
    Lookup(Lookup),
    CheckList(Box<CheckList>),
    Tag(Tag),
    Log(Log),
    Note(Note),
    Call(Call),
    Return(Return),
    Hangup(Hangup),
}

/// An outcome of a kind of node, and what happens when the flow does not name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) need: Need,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// `next` stands for it; must be wired.
    Main,
    /// Must be wired, by name.
    Wired,
    /// Must be wired or covered by `on_error`.
    Covered,
    /// Goes where the named outcome goes.
    Like(&'static str),
}

pub(crate) const fn outcome(name: &'static str, need: Need) -> Outcome {
    Outcome { name, need }
}

/// Names of the kinds, as flows write them.
pub(crate) const KINDS: [&str; 20] = [
    "answer",
    "pause",
    "play",
    "menu",
    "collect",
    "survey",
    "queue",
    "record",
    "set",
    "branch",
    "switch",
    "schedule",
    "lookup",
    "check_list",
    "tag",
    "log",
    "event",
    "call",
    "return",
    "hangup",
];

impl NodeKind {
    /// Reads the fields of a node whose `type` is `kind`.
    pub(crate) fn read(kind: &str, it: &mut NodeReader<'_>) -> Option<Self> {
        Some(match kind {
            "answer" => Self::Answer(Answer::read(it)),
            "pause" => Self::Pause(Pause::read(it)?),
            "play" => Self::Play(Play::read(it)?),
            "menu" => Self::Menu(Box::new(Menu::read(it)?)),
            "collect" => Self::Collect(Box::new(Collect::read(it)?)),
            "survey" => Self::Survey(Box::new(Survey::read(it)?)),
            "queue" => Self::Queue(Box::new(Queue::read(it)?)),
            "record" => Self::Record(Record::read(it)?),
            "set" => Self::Set(Set::read(it)?),
            "branch" => Self::Branch(Branch::read(it)?),
            "switch" => Self::Switch(Switch::read(it)?),
            "schedule" => Self::Schedule(ScheduleNode::read(it)?),
            "lookup" => Self::Lookup(Lookup::read(it)?),
            "check_list" => Self::CheckList(Box::new(CheckList::read(it)?)),
            "tag" => Self::Tag(Tag::read(it)),
            "log" => Self::Log(Log::read(it)?),
            "event" => Self::Note(Note::read(it)?),
            "call" => Self::Call(Call::read(it)?),
            "return" => Self::Return(Return::read(it)),
            "hangup" => Self::Hangup(Hangup::read(it)?),
            _ => return None,
        })
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Answer(_) => "answer",
            Self::Pause(_) => "pause",
            Self::Play(_) => "play",
            Self::Menu(_) => "menu",
            Self::Collect(_) => "collect",
            Self::Survey(_) => "survey",
            Self::Queue(_) => "queue",
            Self::Record(_) => "record",
            Self::Set(_) => "set",
            Self::Branch(_) => "branch",
            Self::Switch(_) => "switch",
            Self::Schedule(_) => "schedule",
            Self::Lookup(_) => "lookup",
            Self::CheckList(_) => "check_list",
            Self::Tag(_) => "tag",
            Self::Log(_) => "log",
            Self::Note(_) => "event",
            Self::Call(_) => "call",
            Self::Return(_) => "return",
            Self::Hangup(_) => "hangup",
        }
    }

    /// Whether the caller hears or is heard in it, so that the call must be answered first.
    pub(crate) const fn needs_audio(&self) -> bool {
        match self {
            Self::Play(_) | Self::Menu(_) | Self::Collect(_) | Self::Survey(_) | Self::Queue(_) => {
                true
            }
            Self::Hangup(it) => it.prompt.is_some(),
            Self::Record(it) => matches!(it.action, RecordAction::Start),
            Self::Answer(_)
            | Self::Pause(_)
            | Self::Set(_)
            | Self::Branch(_)
            | Self::Switch(_)
            | Self::Schedule(_)
            | Self::Lookup(_)
            | Self::CheckList(_)
            | Self::Tag(_)
            | Self::Log(_)
            | Self::Note(_)
            | Self::Call(_)
            | Self::Return(_) => false,
        }
    }

    /// Whether time passes in it, so that a cycle through it cannot spin. A `call` counts: the
    /// flow it enters has its own check, and the interpreter's limit stands behind both.
    pub(crate) const fn waits(&self) -> bool {
        let hears = self.needs_audio() && !matches!(self, Self::Record(_));
        hears || matches!(self, Self::Pause(_) | Self::Call(_) | Self::Hangup(_))
    }

    /// Whether it may stand in a hang-up chain: nobody listens any more and nothing may wait.
    pub(crate) const fn may_follow_hangup(&self) -> bool {
        matches!(
            self,
            Self::Set(_)
                | Self::Branch(_)
                | Self::Switch(_)
                | Self::Log(_)
                | Self::Tag(_)
                | Self::Note(_)
        )
    }

    /// The node as one that asks for keys.
    pub(crate) fn as_ask(&self) -> Option<&dyn Ask> {
        match self {
            Self::Menu(it) => Some(it.as_ref()),
            Self::Collect(it) => Some(it.as_ref()),
            Self::Survey(it) => Some(it.as_ref()),
            Self::Answer(_)
            | Self::Pause(_)
            | Self::Play(_)
            | Self::Queue(_)
            | Self::Record(_)
            | Self::Set(_)
            | Self::Branch(_)
            | Self::Switch(_)
            | Self::Schedule(_)
            | Self::Lookup(_)
            | Self::CheckList(_)
            | Self::Tag(_)
            | Self::Log(_)
            | Self::Note(_)
            | Self::Call(_)
            | Self::Return(_)
            | Self::Hangup(_) => None,
        }
    }

    /// What happens when the call comes to this node.
    pub(crate) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        match self {
            Self::Answer(it) => it.enter(session, now),
            Self::Pause(it) => it.enter(session, now),
            Self::Play(it) => it.enter(session, env, now),
            Self::Menu(it) => session.begin_input(it.as_ref(), env, now),
            Self::Collect(it) => session.begin_input(it.as_ref(), env, now),
            Self::Survey(it) => it.enter(session, env, now),
            Self::Queue(it) => it.enter(session, env, now),
            Self::Record(it) => it.enter(session),
            Self::Set(it) => it.enter(session, env, now),
            Self::Branch(it) => it.enter(session, env, now),
            Self::Switch(it) => it.enter(session, env, now),
            Self::Schedule(it) => it.enter(session, env, now),
            Self::Lookup(it) => it.enter(session, env, now),
            Self::CheckList(it) => it.enter(session, env, now),
            Self::Tag(it) => it.enter(session),
            Self::Log(it) => it.enter(session, env, now),
            Self::Note(it) => it.enter(session, env, now),
            Self::Call(it) => it.enter(session, env, now),
            Self::Return(it) => it.enter(session, env, now),
            Self::Hangup(it) => it.enter(session, env, now),
        }
    }
}
