//! What outlives a call: the node's journal, the database that is filled from it, and the forms in
//! which records leave the house.
//!
//! **Invariant:** the journal is the truth for what happened and is not in the database yet; the
//! database is a copy that may be away for hours without a call noticing.

#![forbid(unsafe_code)]

mod chain;
mod db;
mod error;
#[cfg(test)]
mod fixture;
mod journal;
mod loader;
mod marks;
mod priority;
mod sidecar;
pub mod wire;

pub use self::{
    chain::{ChainHead, Link, digest},
    db::{
        Backlog, CallPage, CallQuery, Database, DatabaseConfig, LetterJson, LetterPage, ListChange,
        ListDraft, ListInForce, ListPage, ListQuery, PushRow, PushTarget, PushVerdict,
        RecordingPlace, Sight,
    },
    error::StoreError,
    journal::{
        Batch, Commit, Done, Entry, Item, Journal, JournalConfig, JournalError, Kind, Opened,
        Position, Reader, Refused, Running, Saved, Stats,
    },
    loader::{Loader, LoaderStats},
    sidecar::place_of,
};

/// The journal's consumer that fills the database.
pub const LOADER: &str = "database";
