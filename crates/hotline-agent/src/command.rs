//! What an agent can ask for, and the refusals.

use std::{fmt, time::Duration};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{AgentNo, CallId, Extension, FlowId, GroupId, Key, Oversight, Pii};

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
    /// 静音: nobody hears this agent, and he is not recorded; he hears everybody.
    Mute,
    /// 取消静音.
    Unmute,
    /// 挂机.
    HangUp,
    /// 进入话后整理, without a timer. During timed after-call work it takes the timer away.
    EnterAcw,
    /// 完成话后整理.
    FinishAcw,
    /// 外呼: the agent's telephone rings first, then the number is called.
    Dial {
        number: Pii<String>,
        /// 外显号码: the number to be shown, if the trunk taken owns it; some trunk must.
        display: Option<String>,
    },
    /// 咨询: the caller waits with music while the agent talks to somebody else.
    Consult { to: Target },
    /// 取消咨询: back to the caller.
    CancelConsult,
    /// 三方通话: whom the agent consults joins the talk.
    Confer,
    /// 转移: the agent leaves the caller to whom he consults.
    CompleteTransfer,
    /// 盲转: the agent leaves at once, and somebody else is called for the caller.
    Transfer { to: Target },
    /// 挂起转: the caller goes to a flow of `kind: mid_call` while the agent waits, and comes back.
    /// [`Command::Retrieve`] takes him back at once.
    Suspend { flow: FlowId },
    /// 二次拨号: keys for who is outside and hears the agent.
    SendKeys { keys: Vec<Key> },
    /// 监听, 耳语, 强插: rings the supervisor and lets him take part in this agent's call; in the
    /// call, changes how.
    Supervise { agent: AgentNo, how: Oversight },
    /// 拦截: the supervisor takes over the call he is in.
    Intercept,
    /// 强拆: cuts this agent's call.
    ForceRelease { agent: AgentNo },
    /// 暂停录音: the recording of the call holds silence from here on.
    PauseRecording,
    /// 遮蔽: the same, while something secret is said or pressed.
    MaskRecording,
    /// 恢复录音.
    ResumeRecording,
    /// 开始录音: a further part of the call's recording, after it was stopped.
    StartRecording,
    /// 停止录音: the part that runs is sealed.
    StopRecording,
    /// 强制示闲, 强制示忙, 强制签出 of this agent.
    Force { agent: AgentNo, to: Forced },
    /// 外线坐席: 签入 with a number outside as the telephone (手机, 固话), which is rung over a trunk.
    SignInOutside { number: Pii<String> },
    /// 录音 of any call, by a supervisor who need not be in it.
    ControlRecording { call: CallId, to: RecordingWish },
    /// 外呼 to an entry of the directory, by its name there.
    DialListed {
        entry: String,
        /// As with [`Command::Dial`].
        display: Option<String>,
    },
    /// 成功转: like [`Command::Consult`], and the agent leaves the caller to whom he asked as soon as
    /// that one answers.
    TransferOnAnswer { to: Target },
}

/// What a supervisor wants of a call's recording.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecordingWish {
    /// 开始录音, also of a caller who is with nobody.
    Start,
    /// 停止录音.
    Stop,
    /// 暂停录音.
    Pause,
    /// 遮蔽.
    Mask,
    /// 恢复录音.
    Resume,
}

/// What a supervisor makes of an agent. During a call it waits for the end, like a wish of the
/// agent's own.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forced {
    /// 强制示闲: as if the agent had asked for it; it takes back what waits.
    Ready,
    /// 强制示忙 with reason 3; it ends a rest.
    Busy,
    /// 强制签出.
    SignedOut,
}

/// Whom a caller is given to, or an agent asks.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum Target {
    Agent(AgentNo),
    /// Whoever of the group is free longest; a transferred caller waits there.
    Group(GroupId),
    Number(Pii<String>),
    /// 一键转接: an entry of the directory, by its name there.
    Entry(String),
}

/// An enum of words, and all of them in order.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($word:ident,)* }) => {
        $(#[$meta])*
        pub enum $name {
            $($word,)*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$word,)*];
        }
    };
}

words! {
    /// A button of the softphone bar (软电话条): what is possible now.
    #[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
    Action {
        SignIn,
        SignOut,
        SetReady,
        SetBusy,
        SetRest,
        Hold,
        Retrieve,
        Mute,
        Unmute,
        HangUp,
        EnterAcw,
        FinishAcw,
        Dial,
        Consult,
        CancelConsult,
        Confer,
        CompleteTransfer,
        Transfer,
        Suspend,
        SendKeys,
        Supervise,
        Intercept,
        ForceRelease,
        PauseRecording,
        MaskRecording,
        ResumeRecording,
        StartRecording,
        StopRecording,
        Force,
        ControlRecording,
    }
}

impl Command {
    pub const fn action(&self) -> Action {
        match self {
            Self::SignIn { .. } | Self::SignInOutside { .. } => Action::SignIn,
            Self::SignOut => Action::SignOut,
            Self::SetReady => Action::SetReady,
            Self::SetBusy { .. } => Action::SetBusy,
            Self::SetRest { .. } => Action::SetRest,
            Self::Hold => Action::Hold,
            Self::Retrieve => Action::Retrieve,
            Self::Mute => Action::Mute,
            Self::Unmute => Action::Unmute,
            Self::HangUp => Action::HangUp,
            Self::EnterAcw => Action::EnterAcw,
            Self::FinishAcw => Action::FinishAcw,
            Self::Dial { .. } | Self::DialListed { .. } => Action::Dial,
            Self::Consult { .. } => Action::Consult,
            Self::CancelConsult => Action::CancelConsult,
            Self::Confer => Action::Confer,
            Self::CompleteTransfer => Action::CompleteTransfer,
            Self::Transfer { .. } | Self::TransferOnAnswer { .. } => Action::Transfer,
            Self::Suspend { .. } => Action::Suspend,
            Self::SendKeys { .. } => Action::SendKeys,
            Self::Supervise { .. } => Action::Supervise,
            Self::Intercept => Action::Intercept,
            Self::ForceRelease { .. } => Action::ForceRelease,
            Self::PauseRecording => Action::PauseRecording,
            Self::MaskRecording => Action::MaskRecording,
            Self::ResumeRecording => Action::ResumeRecording,
            Self::StartRecording => Action::StartRecording,
            Self::StopRecording => Action::StopRecording,
            Self::Force { .. } => Action::Force,
            Self::ControlRecording { .. } => Action::ControlRecording,
        }
    }
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
    /// Whom the caller is to be given to has no free telephone, or is not there.
    TargetAway,
    /// Only a supervisor may.
    NotSupervisor,
    /// There is no call of this agent to be supervised.
    NoCall,
    /// No flow of this name takes a caller from an agent and gives him back.
    UnknownFlow,
    /// No such call goes on.
    UnknownCall,
    /// The call has no recording that could be changed so: none runs, or one does already.
    WrongRecording,
    /// The directory has no such entry for this agent.
    UnknownEntry,
    /// The number to be shown is no trunk's.
    NotOwnNumber,
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
            Self::NotOwnNumber => f.write_str("the number to be shown is none of a trunk"),
            Self::NotPermitted => f.write_str("the agent may not call this number"),
            Self::TooManyCalls => f.write_str("the agent called as often as an hour allows"),
            Self::AbroadBlocked => {
                f.write_str("calls abroad are stopped for a while: there were too many")
            }
            Self::NoTrunk => f.write_str("no trunk leads to this number"),
            Self::Closed => f.write_str("the engine takes no new calls now"),
            Self::TargetAway => f.write_str("whom this is meant for is not free now"),
            Self::NotSupervisor => f.write_str("only a supervisor may do this"),
            Self::UnknownFlow => {
                f.write_str("no flow of this name takes a caller from an agent and gives him back")
            }
            Self::UnknownEntry => f.write_str("the directory has no such entry for this agent"),
            Self::NoCall => f.write_str("the agent has no call that can be supervised"),
            Self::UnknownCall => f.write_str("no such call goes on"),
            Self::WrongRecording => f.write_str(
                "the call's recording cannot be changed so: none runs, or one runs already",
            ),
        }
    }
}

impl std::error::Error for Refused {}
