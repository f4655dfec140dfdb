//! Presence: whether the person behind a 工号 wants calls.

use std::{io, time::Duration};

use borsh::{BorshDeserialize, BorshSerialize};

hotline_base::fsm! {
    /// What the person wants (domain paper 4.3). While the line is in use the presence stays
    /// `Idle`; wishes wait as [`Pending`].
    #[derive(BorshDeserialize, BorshSerialize)]
    pub state Presence {
        /// 未签入.
        SignedOut,
        /// 空闲: wants calls.
        Idle,
        /// 示忙, with a [`BusyReason`].
        Busy,
        /// 小休, with a planned length.
        Rest,
        /// 话后整理.
        Acw,
    }
    /// What changes it.
    pub event PresenceEvent {
        /// 签入.
        SignIn,
        /// 签出.
        SignOut,
        /// 示闲.
        SetReady,
        /// 示忙.
        SetBusy,
        /// 小休.
        SetRest,
        /// 进入话后整理, by the agent or by the end of a call.
        EnterAcw,
        /// 完成话后整理, by the agent or by the timer.
        FinishAcw,
        /// Set aside by the engine or by a supervisor.
        ForceBusy,
    }
    table {
        SignedOut + SignIn => Busy,

        Idle + SignOut => SignedOut,
        Idle + SetReady => Idle,
        Idle + SetBusy => Busy,
        Idle + SetRest => Rest,
        Idle + EnterAcw => Acw,
        Idle + ForceBusy => Busy,

        Busy + SignOut => SignedOut,
        Busy + SetReady => Idle,
        Busy + SetBusy => Busy,
        Busy + SetRest => Rest,
        Busy + EnterAcw => Acw,
        Busy + ForceBusy => Busy,

        Rest + SignOut => SignedOut,
        Rest + SetReady => Idle,
        Rest + SetBusy => Busy,
        Rest + SetRest => Rest,
        Rest + ForceBusy => Busy,

        Acw + SignOut => SignedOut,
        Acw + SetReady => Idle,
        Acw + SetBusy => Busy,
        Acw + SetRest => Rest,
        Acw + EnterAcw => Acw,
        Acw + FinishAcw => Idle,
        Acw + ForceBusy => Busy,
    }
}

/// Why an agent is busy. [`code`](Self::code) gives the numbers of the domain paper, 4.3.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum BusyReason {
    /// 1: the agent's own wish.
    Own,
    /// 2 久不应答: the telephone rang and nobody answered.
    RingNoAnswer,
    /// 3: by a supervisor.
    Forced,
    /// 5: the telephone is not registered.
    DeviceUnavailable,
    /// 7: the agent rejected a call.
    Rejected,
    /// 200–250: the centre's own list.
    Custom(u16),
}

impl BusyReason {
    pub const fn code(self) -> u16 {
        match self {
            Self::Own => 1,
            Self::RingNoAnswer => 2,
            Self::Forced => 3,
            Self::DeviceUnavailable => 5,
            Self::Rejected => 7,
            Self::Custom(code) => code,
        }
    }

    /// The reasons an agent may give: 1 and 200–250. The others are the engine's.
    pub const fn chosen(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Own),
            200..=250 => Some(Self::Custom(code)),
            _ => None,
        }
    }
}

/// 预示忙, 预休息, …: asked for while the line was in use; takes effect when it is free. There is
/// at most one, and the last one asked for counts.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pending {
    Busy(BusyReason),
    Rest {
        #[borsh(serialize_with = "write_duration", deserialize_with = "read_duration")]
        planned: Duration,
    },
    SignOut,
    Acw,
}

/// Whole milliseconds.
pub(crate) fn write_duration<W: io::Write>(it: &Duration, writer: &mut W) -> io::Result<()> {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX).serialize(writer)
}

pub(crate) fn read_duration<R: io::Read>(reader: &mut R) -> io::Result<Duration> {
    u64::deserialize_reader(reader).map(Duration::from_millis)
}
