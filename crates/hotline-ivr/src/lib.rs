//! The flow language: what a flow may say (the model and its checker), expressions, and the
//! interpreter of one call.
//!
//! A [`Bundle`] is made by [`check`] from the raw files and never changes; a [`Session`] holds the
//! bundle it began with until its call ends. In a checked flow every edge leads to a node.
//!
//! **Invariant:** no path of a flow ends in silence or in an unexplained hang-up: what a flow
//! leaves open leads to a person.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod bundle;
pub mod calendar;
mod check;
pub mod civil;
mod complaint;
mod event;
mod expr;
mod flow;
mod node;
pub mod raw;
#[cfg(test)]
mod sample;
mod session;
mod speak;
pub mod testing;
mod validate;
mod value;

pub use self::{
    bundle::{Bundle, Number, Table},
    check::check,
    complaint::{Complaint, Severity},
    event::{
        EarlyReject, EndReason, EndedBy, Enqueue, Entry, Environment, ErrorHop, Event, FlowFact,
        KeyFate, LeaveWhy, Listed, LogLevel, QueueRefusal, RecordAction, Returned, SessionEnd,
        Step,
    },
    flow::{Flow, FlowKind},
    session::Session,
    value::{Type, Value},
};
