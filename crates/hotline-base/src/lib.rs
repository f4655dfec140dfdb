//! Vocabulary of the house: identifiers, the two clocks, personal data, the state-machine table,
//! keys and which of them are one press, and the values that control and media exchange.
//!
//! **Invariant:** nothing here decides about a call, reads a clock or knows a protocol.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod digits;
mod fsm;
mod hashed;
mod id;
mod key;
mod machine;
pub mod media;
mod merge;
mod oversight;
mod pii;
mod random;
pub mod rewrite;
mod time;

pub use self::{
    digits::push_digits,
    hashed::{Hashed, HashedMap, Sought},
    id::{
        AgentNo, CallId, CommandId, ConnId, ContextId, Extension, FlowId, GroupId, LegId, OfferId,
        PlayId, PromptId, RecordingId, TicketId, TrunkId,
    },
    key::{Key, NotAKey},
    machine::{Due, Machine, earliest},
    merge::{KeyMerger, KeyWay},
    oversight::Oversight,
    pii::Pii,
    random::Random,
    time::{MonoTime, Now, WallTime},
};
