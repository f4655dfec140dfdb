//! The running whole: the supervisor, the control thread, start, drain, telemetry.
//!
//! **Invariant:** nothing here decides anything about a call. Time is read in [`Clock`] only, and
//! only by the loop that turns the switchboard and by the edge.

#![forbid(unsafe_code)]

pub mod child;
mod clock;
mod config;
mod control;
mod converter;
mod error;
pub mod handover;
mod link;
mod media;
mod meters;
mod priority;
mod recordings;
pub mod supervisor;
pub mod telemetry;
mod turn;

pub use hotline_media::{UPLOAD_MAX, UploadedPrompt, convert_upload, pack_upload, unpack_upload};
pub use hotline_store::wire::GapJson;

pub use self::{
    clock::Clock,
    config::{Config, Listen, LogFormat, Telemetry},
    control::{Control, Receiver, control, system_token},
    converter::{CONVERTED_MAX, converter},
    error::Error,
    media::media,
    recordings::{Finding, verify_recordings},
};
