//! Which caller gets which agent: queues, skill levels and offers that are leases.
//!
//! **Invariant:** no telephone and no presence here. Who is ready is told; what an offer leads to
//! is told; nothing is remembered about a caller who has left.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod dispatcher;
mod offer;
mod queue;
mod ready;

pub use self::{
    dispatcher::{Dispatcher, Output},
    offer::{CONNECT_LIMIT, Late, Offer, OfferEnd},
    queue::{Enqueue, EnqueueRefused, GroupConfig, Ticket},
};
