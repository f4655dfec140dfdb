//! HTTP and WebSocket for agents, for other systems and for operators.
//!
//! **Invariant:** nothing here can change state. It asks the [`Desk`], which asks the control
//! thread; it reads from the [`Archive`]. No number and no name reaches a log.

#![forbid(unsafe_code)]

mod auth;
mod desk;
mod error;
mod feed;
#[cfg(test)]
mod fixture;
mod lists;
mod metrics;
mod prompts;
mod routes;
mod server;
mod signalling;
mod wire;

pub use self::{
    auth::{Role, Token, Tokens},
    desk::{
        AccountView, Answer, Archive, ArchiveError, BanView, Bans, CallFilter, CallPage,
        CommandError, Desk, DirectoryView, GatewayView, GroupView, Health, Part, ProbesView,
        RecordingFile, Sight, TrunkView,
    },
    feed::{CallView, Feeds},
    lists::{ListDraft, ListError, ListFilter, Lists},
    metrics::{Counter, Gauge, Histogram, Metrics},
    prompts::{PromptError, PromptView, Prompts, Upload},
    routes::OPENAPI,
    server::{App, Serving, serve},
    signalling::{LadderForm, Signalling, TrafficFilter},
};
