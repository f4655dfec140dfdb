//! JSON twins of records and facts: the one form in which they leave the house and lie in the
//! database. Field names are the identifiers of the domain paper; times are RFC 3339 in UTC+8.

mod agent;
mod call;
mod control;
mod envelope;
mod fact;
mod gap;
mod list;
mod mask;
mod news;
mod quality;
mod stamped;
mod time;

pub use self::{
    agent::{AgentStateJson, PendingJson},
    call::{AttachedJson, CallJson, QueueSegmentJson, RatingJson, RecordingJson, SegmentJson},
    control::ControlJson,
    envelope::Envelope,
    fact::FactJson,
    gap::GapJson,
    list::{ListAuditJson, ListEntryJson},
    mask::masked_number,
    news::{RecordingNewsJson, SealedJson},
    quality::QualityJson,
    stamped::StampedJson,
    time::Time,
};

#[cfg(test)]
mod tests;
