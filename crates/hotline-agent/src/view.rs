//! What others see of an agent: the whole picture, and one change at a time.

use std::{fmt, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{AgentNo, CallId, Extension, GroupId, Pii, WallTime};

use crate::{Action, BusyReason, Line, Pending, Presence};

/// The one state a screen shows: the line's while a call is on it, else the presence.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Display {
    SignedOut,
    Idle,
    Busy,
    Rest,
    Reserved,
    Ringing,
    Connecting,
    Talking,
    Held,
    Acw,
    Dialing,
    Consulting,
    Conferring,
    Suspended,
}

impl Display {
    pub const fn of(presence: Presence, line: Line) -> Self {
        match line {
            Line::Free => match presence {
                Presence::SignedOut => Self::SignedOut,
                Presence::Idle => Self::Idle,
                Presence::Busy => Self::Busy,
                Presence::Rest => Self::Rest,
                Presence::Acw => Self::Acw,
            },
            Line::Reserved => Self::Reserved,
            Line::Ringing => Self::Ringing,
            Line::Connecting => Self::Connecting,
            Line::Talking => Self::Talking,
            Line::Held => Self::Held,
            Line::Dialing => Self::Dialing,
            Line::Consulting => Self::Consulting,
            Line::Conferring => Self::Conferring,
            Line::Suspended => Self::Suspended,
        }
    }
}

/// A set of actions.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Eq, PartialEq)]
pub struct Actions(u64);

const _: () = assert!(Action::ALL.len() <= 64, "each action has a bit");

impl Actions {
    pub(crate) fn of(is: impl Fn(Action) -> bool) -> Self {
        let bits = Action::ALL.iter().enumerate().map(|(n, it)| u64::from(is(*it)) << n);
        Self(bits.sum())
    }

    /// In the order of [`Action::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Action> {
        let all = Action::ALL.iter().enumerate();
        all.filter(move |(n, _)| self.0 >> n & 1 == 1).map(|(_, it)| *it)
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// An agent as a screen needs it.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct AgentView {
    pub no: AgentNo,
    /// The telephone in use; `None` when signed out.
    pub extension: Option<Extension>,
    pub display: Display,
    pub presence: Presence,
    pub line: Line,
    /// Why busy; `None` in every other presence.
    pub reason: Option<BusyReason>,
    pub pending: Option<Pending>,
    /// When `display` became what it is.
    pub since_wall: WallTime,
    /// When after-call work ends by itself, or when a rest is planned to end.
    pub until_wall: Option<WallTime>,
    /// What can be asked for.
    pub actions: Actions,
    /// Shared by all views of the agent.
    pub groups: Arc<[GroupId]>,
    /// 外线坐席: the number outside that rings.
    pub outside: Option<Pii<String>>,
}

/// An agent's state changed: the state from `at` on. One for each change of presence, line,
/// reason, pending wish or extension; two changes in one step are one fact.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct AgentFact {
    pub at: WallTime,
    pub agent: AgentNo,
    pub extension: Option<Extension>,
    pub presence: Presence,
    pub line: Line,
    pub display: Display,
    /// [`BusyReason::code`].
    pub reason: Option<u16>,
    pub pending: Option<Pending>,
    /// The call on the line; the fact of its release still names it.
    pub call: Option<CallId>,
}
