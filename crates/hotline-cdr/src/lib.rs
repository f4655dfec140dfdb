//! Facts of a call, and the record that is folded from them.
//!
//! **Invariant:** there is no second way to count. A record holds nothing that its facts do not
//! say, and figures, metrics and pushes are made from the same facts.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod attached;
mod cause;
mod control;
mod end;
mod fact;
mod fold;
mod news;
mod party;
mod record;

pub use self::{
    attached::{exported, tags},
    cause::FailCause,
    control::{Controller, RecordingChange, RecordingControl},
    end::EndReason,
    fact::{
        CallFact, FlowResult, FlowReturn, Incoming, OfferEnd, Party, QueueExit, RefusedWhy,
        Signalled, Stamped, SurveyAnswer,
    },
    fold::fold,
    news::{Muting, RecordingEvent, RecordingNews, recording_news},
    party::{CalledParty, PartyRole, TransferMode},
    record::{
        AudioMark, CallRecord, CallSegment, Direction, Outcome, QueueSegment, Rating,
        RecordedAudio, ShortAfter,
    },
};
