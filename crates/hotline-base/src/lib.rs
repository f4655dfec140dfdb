//! Vocabulary of the house: identifiers, the two clocks, personal data, the state-machine table,
//! and the values that control and media exchange.
//!
//! **Invariant:** nothing here decides anything, reads a clock or knows a protocol.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod fsm;
mod id;
mod key;
mod machine;
pub mod media;
mod oversight;
mod pii;
mod random;
pub mod rewrite;
mod time;

pub use self::{
    id::{
        AgentNo, CallId, CommandId, ConnId, Extension, FlowId, GroupId, LegId, OfferId, PlayId,
        PromptId, RecordingId, TicketId, TrunkId,
    },
    key::{Key, NotAKey},
    machine::{Due, Machine, earliest},
    oversight::Oversight,
    pii::Pii,
    random::Random,
    time::{MonoTime, Now, WallTime},
};
