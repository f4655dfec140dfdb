//! What the signalling of calls shows: ladders, captures. The engine implements this.

use std::fmt;

use hotline_base::{CallId, WallTime};

use crate::{Answer, ArchiveError};

/// How a ladder is given out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LadderForm {
    /// `Ladder` in the OpenAPI document.
    Json,
    /// A drawing of plain text.
    Text,
    /// A capture for Wireshark.
    Pcap,
}

pub trait Signalling: Send + Sync + 'static {
    /// The messages of a call, from memory or as they were stored. `None`: neither has it.
    fn ladder(
        &self,
        call: CallId,
        form: LadderForm,
        masked: bool,
    ) -> Answer<'_, Result<Option<Vec<u8>>, ArchiveError>>;

    /// Stores the ladder of a call that is still in memory; of a running call when it is over.
    /// `false`: it is not in memory.
    fn keep_ladder(&self, call: CallId) -> Answer<'_, Result<bool, ArchiveError>>;

    /// `TrunkStatistics` in the OpenAPI document.
    fn traffic(&self, filter: TrafficFilter) -> Answer<'_, Result<String, ArchiveError>>;
}

/// Which quarter hours of trunks. What is `None` does not restrict.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TrafficFilter {
    /// Beginning at or after.
    pub from: Option<WallTime>,
    /// Beginning before.
    pub to: Option<WallTime>,
    /// The trunks of each carrier added up.
    pub by_carrier: bool,
}

impl fmt::Debug for dyn Signalling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signalling")
    }
}
