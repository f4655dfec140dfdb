//! What an agent (坐席) may do and may be given: presence and line, two tables, and the display
//! state derived from both.
//!
//! **Invariant:** no call, no queue, no socket. An agent here is a person with a telephone; who
//! rings it is decided elsewhere.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod agent;
mod command;
mod line;
mod presence;
mod saved;
mod view;

pub use self::{
    agent::{Agent, AgentConfig, SignInState},
    command::{Action, Command, Forced, RecordingWish, Refused, Target},
    line::{Line, LineEvent},
    presence::{BusyReason, Pending, Presence, PresenceEvent},
    view::{Actions, AgentFact, AgentView, Display},
};
