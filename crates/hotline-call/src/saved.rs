//! What of a call outlives the control process.

use std::{borrow::Cow, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{AgentNo, CallId, Extension, GroupId, LegId, OfferId, RecordingId};
use hotline_cdr::{CalledParty, PartyRole, Stamped};

/// Enough to end the call cleanly and to write its record: its legs, its facts so far, and whom it
/// was talking to.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct SavedCall<'a> {
    pub call: CallId,
    /// `None` once the caller is gone: others may still talk, or only the record is open.
    pub caller: Option<LegId>,
    pub talk: Option<SavedTalk>,
    /// Who else was there.
    pub guests: Vec<SavedGuest>,
    pub recordings: Vec<RecordingId>,
    /// Those of the call itself while it is written down, which happens several times in a call.
    pub facts: Cow<'a, [Arc<Stamped>]>,
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
    /// Hold by a re-INVITE of the telephone, and by command.
    pub held_by_phone: bool,
    pub held_by_desk: bool,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct SavedGuest {
    pub offer: OfferId,
    pub leg: LegId,
    pub party: CalledParty,
    pub role: PartyRole,
    pub held: bool,
}

impl SavedCall<'_> {
    /// All legs of it.
    pub fn legs(&self) -> impl Iterator<Item = LegId> {
        let guests = self.guests.iter().map(|it| it.leg);
        self.caller.into_iter().chain(self.talk.iter().map(|it| it.leg)).chain(guests)
    }
}
