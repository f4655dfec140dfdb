//! SIP as control sees it: messages, transactions, dialogs as legs, the registrar of agents'
//! phones, and the [`Endpoint`] that ties them together.
//!
//! **Invariant:** no socket, no clock, no thread. Bytes and times come in, bytes and events go out;
//! the same seed and the same inputs give the same outputs. Nothing here knows calls, agents or
//! trunks: whether a source is trusted is said by the caller.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod body;
mod build;
mod by_conn;
mod dialog;
mod digest;
mod endpoint;
mod event;
mod flow;
mod identity;
mod leg;
mod limits;
mod message;
mod method;
mod misbehaved;
mod registrar;
mod replaces;
mod row;
mod rule;
mod session;
mod stream;
mod text;
mod timers;
mod transaction;
mod uri;
mod value;

pub use self::{
    build::MessageBuilder,
    digest::{Challenges, Credentials, NotAnswered, Secret},
    endpoint::Endpoint,
    event::{
        Account, Admit, Binding, Config, Dial, Diverted, EndWhy, Enrolled, Enrolment, Event,
        HangUp, Invited, Output, Replaced, UnboundWhy,
    },
    flow::{Flow, Transport},
    limits::{Limits, MESSAGE_MAX},
    message::{Feedback, Malformed, Message},
    method::Method,
    misbehaved::PeerMisbehaved,
    rule::{
        Action, BadRule, Direction, HeaderRule, HeaderRules, Kind, RULES_MAX, Repair, RuleFault,
        RuleText,
    },
    stream::{StreamStep, next_start, split_stream},
    text::{decode, visible},
    uri::Uri,
    value::{CSeq, NameAddr, Params, Via},
};
