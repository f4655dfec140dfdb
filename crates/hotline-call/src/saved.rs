//! What of a call outlives the control process.

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{AgentNo, CallId, Extension, GroupId, LegId, OfferId, RecordingId};
use hotline_cdr::Stamped;

/// Enough to end the call cleanly and to write its record: its legs, its facts so far, and the
/// agent it was talking to.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct SavedCall {
    pub call: CallId,
    /// `None` once the caller is gone and only the record is open.
    pub caller: Option<LegId>,
    pub talk: Option<SavedTalk>,
    pub recordings: Vec<RecordingId>,
    pub facts: Vec<Stamped>,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct SavedTalk {
    pub offer: OfferId,
    pub leg: LegId,
    pub agent: AgentNo,
    pub extension: Extension,
    pub group: GroupId,
    /// The two hear each other; otherwise the announcement before runs.
    pub bridged: bool,
    pub held: bool,
}
