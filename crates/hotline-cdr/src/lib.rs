//! Facts of a call, and the record that is folded from them.
//!
//! **Invariant:** there is no second way to count. A record holds nothing that its facts do not
//! say, and figures, metrics and pushes are made from the same facts.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod cause;
mod end;
mod fact;
mod fold;
mod news;
mod record;

pub use self::{
    cause::FailCause,
    end::EndReason,
    fact::{
        CallFact, CalledParty, Incoming, OfferEnd, Party, PartyRole, QueueExit, RefusedWhy,
        Signalled, Stamped, SurveyAnswer, TransferMode,
    },
    fold::fold,
    news::{Muting, RecordingEvent, RecordingNews, recording_news},
    record::{
        AudioMark, CallRecord, CallSegment, Direction, Outcome, QueueSegment, Rating,
        RecordedAudio, ShortAfter,
    },
};
