//! Files in, checked values out: the engine's configuration in TOML and the flows in YAML, with
//! every complaint at once.
//!
//! **Invariant:** nobody else reads a configuration file; what leaves this crate needs no further
//! check. Secrets come from files that the configuration names and are in no `Debug` output.

#![forbid(unsafe_code)]

mod complaint;
mod csv;
mod embedded;
mod flows;
mod load;
mod part;
mod report;
mod section;
mod trial;
mod wav;
mod yaml;

pub use self::{
    complaint::Complaint,
    load::{Loaded, load, load_text},
    part::{http::Http, push::PushTarget},
    report::{Report, check, check_text},
    trial::{Trial, TrialOutcome, try_incoming, try_outgoing},
};
