//! 监控: how a supervisor takes part in a talk.

use borsh::{BorshDeserialize, BorshSerialize};

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Oversight {
    /// 监听: hears everybody, and nobody hears him.
    Listen,
    /// 耳语: the agent hears him too, the caller does not.
    Whisper,
    /// 强插: everybody hears him.
    BargeIn,
}

impl Oversight {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Whisper => "whisper",
            Self::BargeIn => "barge_in",
        }
    }
}
