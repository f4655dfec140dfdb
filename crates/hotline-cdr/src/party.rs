//! Who is called into a call, and as what.

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{AgentNo, Extension, GroupId, Oversight, Pii};

/// Who is called into a call.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum CalledParty {
    Agent { agent: AgentNo, extension: Extension, group: GroupId },
    Outside { number: Pii<String> },
}

/// As what.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum PartyRole {
    /// 咨询: talks to the agent while the caller waits.
    Consulted,
    /// 三方通话, 会议: talks with everybody.
    Joined,
    /// 转移: the caller waits for him.
    Transferred,
    /// 监控.
    Supervisor(Oversight),
}

impl PartyRole {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consulted => "consulted",
            Self::Joined => "joined",
            Self::Transferred => "transferred",
            Self::Supervisor(it) => it.as_str(),
        }
    }
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransferMode {
    /// 盲转, 释放转: before the target was asked.
    Blind,
    /// 成功转, 咨询转: to whom the agent had called first.
    Attended,
}

impl TransferMode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Attended => "attended",
        }
    }
}
