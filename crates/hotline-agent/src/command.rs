//! What an agent can ask for, and the refusals.

use std::{fmt, time::Duration};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{Extension, Pii};

use crate::{
    Display, LineEvent,
    presence::{read_duration, write_duration},
};

/// A request of an agent. It is carried out, refused with a [`Refused`], or put off as
/// [`Pending`](crate::Pending).
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// 签入. Without an extension, the agent's usual one.
    SignIn { extension: Option<Extension> },
    /// 签出.
    SignOut,
    /// 示闲; in after-call work it finishes the work; during a call it takes back a wish.
    SetReady,
    /// 示忙 with code 1 or 200–250.
    SetBusy { reason: u16 },
    /// 小休. The planned length is shown; it does not end the rest.
    SetRest {
        #[borsh(serialize_with = "write_duration", deserialize_with = "read_duration")]
        planned: Duration,
    },
    /// 保持.
    Hold,
    /// 恢复 / 取回.
    Retrieve,
    /// 挂机.
    HangUp,
    /// 进入话后整理, without a timer. During timed after-call work it takes the timer away.
    EnterAcw,
    /// 完成话后整理.
    FinishAcw,
    /// 外呼: the agent's telephone rings first, then the number is called.
    Dial {
        number: Pii<String>,
        /// 外显号码: the number to be shown, if the trunk owns it.
        display: Option<String>,
    },
}

/// A button of the softphone bar (软电话条): what is possible now.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Action {
    SignIn,
    SignOut,
    SetReady,
    SetBusy,
    SetRest,
    Hold,
    Retrieve,
    HangUp,
    EnterAcw,
    FinishAcw,
    Dial,
}

impl Command {
    pub const fn action(&self) -> Action {
        match self {
            Self::SignIn { .. } => Action::SignIn,
            Self::SignOut => Action::SignOut,
            Self::SetReady => Action::SetReady,
            Self::SetBusy { .. } => Action::SetBusy,
            Self::SetRest { .. } => Action::SetRest,
            Self::Hold => Action::Hold,
            Self::Retrieve => Action::Retrieve,
            Self::HangUp => Action::HangUp,
            Self::EnterAcw => Action::EnterAcw,
            Self::FinishAcw => Action::FinishAcw,
            Self::Dial { .. } => Action::Dial,
        }
    }
}

impl Action {
    pub const ALL: &'static [Self] = &[
        Self::SignIn,
        Self::SignOut,
        Self::SetReady,
        Self::SetBusy,
        Self::SetRest,
        Self::Hold,
        Self::Retrieve,
        Self::HangUp,
        Self::EnterAcw,
        Self::FinishAcw,
        Self::Dial,
    ];
}

/// Why a request was not carried out. `Display` gives a sentence without personal data.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum Refused {
    /// The agent's state does not allow it; the state is given so that a late click sees it.
    WrongState { display: Display, command: Action },
    /// The telephone's state does not allow it.
    WrongLine { display: Display, event: LineEvent },
    /// No such 工号.
    UnknownAgent,
    /// Another agent is signed in with this extension.
    ExtensionTaken,
    /// The extension has no registered telephone.
    NotRegistered,
    /// A busy reason that is neither 1 nor 200–250.
    UnknownReason(u16),
    /// What the request was about is over.
    Late,
    /// What is to be dialled is no number.
    NotANumber,
    /// The agent's role does not permit calls to this number.
    NotPermitted,
    /// The agent has called as often as an hour allows.
    TooManyCalls,
    /// Calls abroad are stopped for everybody, because there were too many.
    AbroadBlocked,
    /// No trunk leads to this number.
    NoTrunk,
    /// The engine takes no new calls now.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongState { display, command } => {
                write!(f, "{command:?} is not possible while the agent is {display:?}")
            }
            Self::WrongLine { display, event } => {
                write!(f, "the line cannot {event:?} while the agent is {display:?}")
            }
            Self::UnknownAgent => f.write_str("no such agent"),
            Self::ExtensionTaken => f.write_str("another agent is signed in with this extension"),
            Self::NotRegistered => {
                f.write_str("the extension has no registered telephone; register it first")
            }
            Self::UnknownReason(code) => {
                write!(f, "busy reason {code} is neither 1 nor from 200 to 250")
            }
            Self::Late => f.write_str("too late: what the request was about is over"),
            Self::NotANumber => f.write_str("this is no number that can be dialled"),
            Self::NotPermitted => f.write_str("the agent may not call this number"),
            Self::TooManyCalls => f.write_str("the agent called as often as an hour allows"),
            Self::AbroadBlocked => {
                f.write_str("calls abroad are stopped for a while: there were too many")
            }
            Self::NoTrunk => f.write_str("no trunk leads to this number"),
            Self::Closed => f.write_str("the engine takes no new calls now"),
        }
    }
}

impl std::error::Error for Refused {}
