//! A checked flow: a graph in which every edge leads to a node.

use std::{sync::Arc, time::Duration};

use hotline_base::{FlowId, GroupId, PromptId};
use regex_lite::Regex;

use crate::{
    Type, Value,
    expr::Expr,
    node::{self, NodeKind},
};

/// One flow of a bundle.
#[derive(Clone, Debug)]
pub struct Flow {
    pub id: FlowId,
    pub title: String,
    pub kind: FlowKind,
    pub(crate) params: Vec<Param>,
    pub(crate) vars: Vec<Var>,
    pub(crate) start: NodeIdx,
    /// Default target of every outcome left open.
    pub(crate) on_error: Option<NodeIdx>,
    /// Start of the hang-up chain.
    pub(crate) on_hangup: Option<NodeIdx>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) limits: Limits,
}

/// Which entry points may use a flow.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum FlowKind {
    /// A called number.
    Inbound,
    /// A `call` node.
    Subflow,
    /// A queue's `after_agent`.
    AfterAgent,
    /// 挂起转: an agent sends the caller there and waits until he comes back.
    MidCall,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct NodeIdx(pub(crate) usize);

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: Arc<str>,
    pub(crate) line: u32,
    pub(crate) stat: bool,
    pub(crate) milestone: String,
    /// False: the node is skipped and `skip` is taken.
    pub(crate) when: Option<Expr>,
    pub(crate) skip: Option<NodeIdx>,
    pub(crate) exits: Vec<Exit>,
    pub(crate) kind: NodeKind,
}

/// An outcome and where it leads; `None` is left to `on_error`, or ends a hang-up chain.
#[derive(Clone, Debug)]
pub(crate) struct Exit {
    pub(crate) outcome: String,
    pub(crate) to: Option<NodeIdx>,
}

#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) of: ParamType,
    pub(crate) default: Option<Value>,
}

/// The type of a parameter, of which expressions see only [`Type`].
#[derive(Clone, Debug)]
pub(crate) enum ParamType {
    Text {
        pattern: Option<Regex>,
    },
    Int {
        min: i64,
        max: i64,
    },
    Bool,
    Duration,
    Choice(Vec<String>),
    /// A name of something in the bundle or the configuration.
    Named(Thing),
    Lang,
    Phone,
    List(Box<ParamType>),
}

/// What a name may stand for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Thing {
    Prompt,
    Group,
    Flow,
    Schedule,
    Calendar,
    Table,
}

/// A variable of a flow or of the whole call.
#[derive(Clone, Debug)]
pub(crate) struct Var {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) default: Value,
    /// Goes into the call record and the screen pop.
    pub(crate) export: bool,
    pub(crate) mask: Mask,
    pub(crate) label: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mask {
    None,
    Digits,
    All,
}

/// `limits` of a flow, each with `max_` in its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) steps: u32,
    pub(crate) steps_without_wait: u32,
    pub(crate) time: Duration,
    pub(crate) depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 300, steps_without_wait: 50, time: Duration::from_mins(15), depth: 8 }
    }
}

impl Thing {
    pub(crate) const fn chinese(self) -> &'static str {
        match self {
            Self::Prompt => "语音",
            Self::Group => "技能组",
            Self::Flow => "流程",
            Self::Schedule => "时间表",
            Self::Calendar => "日历",
            Self::Table => "表",
        }
    }
}

impl ParamType {
    pub(crate) fn ty(&self) -> Type {
        match self {
            Self::Text { .. } | Self::Choice(_) | Self::Named(_) | Self::Lang | Self::Phone => {
                Type::Str
            }
            Self::Int { .. } => Type::Int,
            Self::Bool => Type::Bool,
            Self::Duration => Type::Duration,
            Self::List(of) => Type::List(Box::new(of.ty())),
        }
    }
}

impl Flow {
    /// Names of the nodes, in the order of the file.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|it| &*it.id)
    }

    /// Edges as `(node, outcome)`, those that lead to a node.
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.nodes.iter().flat_map(|node| {
            let open = |it: &&Exit| it.to.is_some();
            node.exits.iter().filter(open).map(|it| (&*node.id, it.outcome.as_str()))
        })
    }

    pub(crate) fn node(&self, idx: NodeIdx) -> Option<&Node> {
        self.nodes.get(idx.0)
    }
}

impl Node {
    pub(crate) fn exit(&self, outcome: &str) -> Option<&Exit> {
        self.exits.iter().find(|it| it.outcome == outcome)
    }
}

/// The last resort: queue to the platform's group; goodbye after the talk; else an apology.
pub(crate) fn platform_flow(group: &GroupId) -> Flow {
    let exit =
        |outcome: &str, to: usize| Exit { outcome: outcome.to_owned(), to: Some(NodeIdx(to)) };
    let node = |id: &str, exits: Vec<Exit>, kind: NodeKind| Node {
        id: id.into(),
        line: 0,
        stat: true,
        milestone: String::new(),
        when: None,
        skip: None,
        exits,
        kind,
    };
    let mut exits = vec![exit("agent_done", 1)];
    for outcome in ["timeout", "full", "no_agents", "closed", "error"] {
        exits.push(exit(outcome, 2));
    }
    let bye = node::Hangup::fixed(PromptId::new("bye.common"), "normal");
    let sorry = node::Hangup::fixed(PromptId::new("sys.later"), "ivr_error");
    Flow {
        id: FlowId::new("platform"),
        title: "平台兜底队列".to_owned(),
        kind: FlowKind::Inbound,
        params: Vec::new(),
        vars: Vec::new(),
        start: NodeIdx(0),
        on_error: Some(NodeIdx(2)),
        on_hangup: None,
        nodes: vec![
            node("person", exits, NodeKind::Queue(Box::new(node::Queue::platform(group)))),
            node("thanks", Vec::new(), NodeKind::Hangup(bye)),
            node("apology", Vec::new(), NodeKind::Hangup(sorry)),
        ],
        limits: Limits::default(),
    }
}
