//! What strangers may send, in the hands of the code that reads it: targets, how bytes are spoilt,
//! and what each input costs.
//!
//! A target takes any bytes. It panics when a promise is broken, and returns a trace of what the
//! code did with them, so that inputs that lead somewhere new are kept and spoilt further.

#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a target's way to tell"
)]

pub mod corpus;
pub mod meter;
pub mod mutate;
mod targets;
mod trace;

pub use self::targets::{TARGETS, Target, script, target};
