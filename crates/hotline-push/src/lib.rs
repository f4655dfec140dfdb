//! Pushes finished records and agents' states to other systems' webhooks: at least once, in order
//! per call, each with a key by which the receiver recognises what it has.
//!
//! # What a receiver sees
//!
//! `POST` with a JSON body and these headers:
//!
//! | Header | Value |
//! |---|---|
//! | `Idempotency-Key` | the event's name; the same in every attempt and after a restart |
//! | `X-Hotline-Event` | `call.finished`, `agent.state`, `recording.started`, `….sealed`, … |
//! | `X-Hotline-Attempt` | 1, 2, … |
//! | `X-Hotline-Timestamp` | seconds since 1970 at this attempt |
//! | `X-Hotline-Signature` | `v1=` and the HMAC-SHA256 of `timestamp.key.body` in hexadecimal |
//!
//! A receiver computes the signature over the bytes it received, compares it in constant time,
//! refuses a timestamp more than five minutes off, and answers 2xx once it has stored the event.
//! 400, 409, 410, 413, 415 and 422 say that this one event is not acceptable; anything else, or no
//! answer in time, says that the receiver is not well, and the event is sent again.
//!
//! **Invariant:** nothing is kept here. Whatever must survive is in the [`Outbox`].

#![forbid(unsafe_code)]

mod breaker;
mod outbox;
mod policy;
mod post;
mod sender;
mod signature;

pub use self::{
    outbox::{Delivery, Outbox, OutboxError, Verdict},
    policy::Retry,
    post::{HttpPost, Post, PostError, PushRequest},
    sender::{Clock, Counts, Sender, Target},
    signature::{Secret, sign},
};
