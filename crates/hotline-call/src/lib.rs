//! One call over all its legs: what the caller hears, who is dialled, what is recorded, when it
//! ends.
//!
//! **Invariant:** nothing here knows SIP. A leg is a leg, whether it ends at a carrier, a desk
//! phone or a browser. Every way out of a call passes through one function, which frees the
//! agent, the place in the queue, the legs and the recording.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod call;
mod hears;
mod leg;
mod naming;
mod saved;

pub use self::{
    call::{
        Alive, Arrival, Call, Config, Dialling, Joining, NetworkSound, NotSuspended, Offering,
        Output, PhoneCall, QueueOrder, Who,
    },
    hears::{Role, Room, Seat, hears},
    leg::{LegEnd, LegEvent, LegOrder, OfferUpdate, TalkLine},
    saved::{SavedCall, SavedGuest, SavedTalk},
};
