//! Which trunk a call came over, what its two numbers mean, which flow it enters, and whether
//! there is a channel for it.
//!
//! **Invariant:** no SIP here. Numbers come as text, sources as addresses; a refusal is a value
//! that somebody else puts on the wire.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod admission;
mod number;
mod source;
mod table;

pub use self::{
    admission::{Admission, Admitted, CallerForms, CallerNo, Refusal, TrunkConfig},
    number::{CalledNo, normalise_called, normalise_caller},
    source::{NotASource, Source},
    table::NumberRow,
};
