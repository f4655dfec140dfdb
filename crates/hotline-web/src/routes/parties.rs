//! 咨询, 转移, 三方通话, 监控: who else takes part in a call.

use axum::extract::State;
use hotline_agent::{Command, Forced, RecordingWish, Target};
use hotline_base::{AgentNo, FlowId, GroupId, Key, Oversight, Pii};
use serde::Deserialize;

use super::{
    Body, Name,
    agents::{Empty, Reply, ask, plain},
    calls,
};
use crate::{App, auth::Who, error::ApiError};

/// Whom a caller is given to, or an agent asks: exactly one of the four.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct To {
    agent_no: Option<String>,
    skill_group: Option<String>,
    number: Option<String>,
    /// An entry of the directory, by its id.
    directory: Option<String>,
}

/// The same, and when the agent leaves.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Away {
    agent_no: Option<String>,
    skill_group: Option<String>,
    number: Option<String>,
    directory: Option<String>,
    /// 成功转: when the target answers, and not at once.
    #[serde(default)]
    on_answer: bool,
}

impl To {
    fn target(self) -> Result<Target, ApiError> {
        match (self.agent_no, self.skill_group, self.number, self.directory) {
            (Some(it), None, None, None) => Ok(Target::Agent(AgentNo::new(&it))),
            (None, Some(it), None, None) => Ok(Target::Group(GroupId::new(&it))),
            (None, None, Some(it), None) => Ok(Target::Number(Pii::new(it))),
            (None, None, None, Some(it)) => Ok(Target::Entry(it)),
            (_, _, _, _) => Err(ApiError::BadRequest {
                field: None,
                why: "name exactly one of agent_no, skill_group, number and directory".to_owned(),
            }),
        }
    }
}

/// To which flow. Left out it is none, which is said only to those who may ask.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspended {
    #[serde(default)]
    flow: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    #[serde(default)]
    keys: String,
}

/// Keys of one command.
const KEYS_MAX: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Supervised {
    #[serde(default)]
    agent_no: String,
    #[serde(default)]
    mode: Mode,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Listen,
    Whisper,
    BargeIn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Other {
    #[serde(default)]
    agent_no: String,
}

pub(super) async fn consult(
    State(app): State<App>,
    who: Who,
    name: Name,
    Body(to): Body<To>,
) -> Reply {
    // Who may not ask is told nothing of what he asked.
    who.may_act_for(&AgentNo::new(&name.0))?;
    let to = to.target()?;
    ask(app, who, name, Command::Consult { to }).await
}

pub(super) async fn transfer(
    State(app): State<App>,
    who: Who,
    name: Name,
    Body(it): Body<Away>,
) -> Reply {
    // Who may not ask is told nothing of what he asked.
    who.may_act_for(&AgentNo::new(&name.0))?;
    let Away { agent_no, skill_group, number, directory, on_answer } = it;
    let to = To { agent_no, skill_group, number, directory }.target()?;
    let command =
        if on_answer { Command::TransferOnAnswer { to } } else { Command::Transfer { to } };
    ask(app, who, name, command).await
}

pub(super) async fn suspend(
    State(app): State<App>,
    who: Who,
    name: Name,
    Body(it): Body<Suspended>,
) -> Reply {
    ask(app, who, name, Command::Suspend { flow: FlowId::new(&it.flow) }).await
}

pub(super) async fn send_keys(
    State(app): State<App>,
    who: Who,
    name: Name,
    Body(it): Body<Keys>,
) -> Reply {
    // Who may not ask is told nothing of what he asked.
    who.may_act_for(&AgentNo::new(&name.0))?;
    let keys: Result<Vec<_>, _> = it.keys.chars().map(Key::try_from).collect();
    match keys {
        Ok(keys) if (1..=KEYS_MAX).contains(&keys.len()) => {
            ask(app, who, name, Command::SendKeys { keys }).await
        }
        Ok(_) | Err(_) => Err(ApiError::field("keys", "1 to 32 keys of 0-9 * # A-D")),
    }
}

/// The agent in the path is the supervisor; whether he is one is for the control thread to say.
pub(super) async fn supervise(
    State(app): State<App>,
    who: Who,
    name: Name,
    Body(it): Body<Supervised>,
) -> Reply {
    let how = match it.mode {
        Mode::Listen => Oversight::Listen,
        Mode::Whisper => Oversight::Whisper,
        Mode::BargeIn => Oversight::BargeIn,
    };
    let agent = AgentNo::new(&it.agent_no);
    ask(app, who, name, Command::Supervise { agent, how }).await
}

pub(super) async fn force_release(
    State(app): State<App>,
    who: Who,
    name: Name,
    Body(it): Body<Other>,
) -> Reply {
    let agent = AgentNo::new(&it.agent_no);
    ask(app, who, name, Command::ForceRelease { agent }).await
}

/// Handlers by which a supervisor decides for another agent.
macro_rules! forced {
    ($($handler:ident => $to:ident)+) => {$(
        pub(super) async fn $handler(
            State(app): State<App>,
            who: Who,
            name: Name,
            Body(it): Body<Other>,
        ) -> Reply {
            let agent = AgentNo::new(&it.agent_no);
            ask(app, who, name, Command::Force { agent, to: Forced::$to }).await
        }
    )+};
}

forced! {
    force_ready => Ready
    force_busy => Busy
    force_sign_out => SignedOut
}

/// 班长 who decides about a call's recording. An agent's token says itself who he is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Supervisor {
    agent_no: Option<String>,
}

/// Handlers by which a supervisor decides about the recording of the call in the path.
macro_rules! recording {
    ($($handler:ident => $to:ident)+) => {$(
        pub(super) async fn $handler(
            State(app): State<App>,
            who: Who,
            Name(call): Name,
            Body(it): Body<Supervisor>,
        ) -> Reply {
            let no = who.person(it.agent_no)?;
            let call = calls::id(&call)?;
            let command = Command::ControlRecording { call, to: RecordingWish::$to };
            ask(app, who, Name(no.to_string()), command).await
        }
    )+};
}

recording! {
    start_call_recording => Start
    stop_call_recording => Stop
    pause_call_recording => Pause
    mask_call_recording => Mask
    resume_call_recording => Resume
}

plain! {
    cancel_consult => CancelConsult
    three_way => Confer
    complete_transfer => CompleteTransfer
    intercept => Intercept
    pause_recording => PauseRecording
    mask_recording => MaskRecording
    resume_recording => ResumeRecording
    start_recording => StartRecording
    stop_recording => StopRecording
}
