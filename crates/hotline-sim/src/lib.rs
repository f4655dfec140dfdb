//! Shifts on virtual time: the production switchboard among seeded callers, agents, a carrier, a
//! media plane, a disk and their faults.
//!
//! The same seed gives the same shift, to the last message. After every turn the invariants are
//! checked; at the end the faults stop, and everything must come to rest.
//!
//! **Invariant:** nothing here copies the wiring of the switchboard, and nothing here is random
//! but by the seed.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod agenda;
mod callees;
mod callers;
mod clock;
mod crowd;
mod ledger;
mod lines;
mod media;
mod pages;
mod parties;
mod phones;
mod shift;
mod storm;
mod vanish;
mod voice;
mod wire;

pub use self::{
    clock::Start,
    crowd::Crowd,
    ledger::Report,
    shift::{Faults, GATEWAY, Plan, SWITCHBOARD, Shift, TRUNK},
    storm::Storm,
    vanish::Vanish,
};
