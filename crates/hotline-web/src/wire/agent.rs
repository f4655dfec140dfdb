//! An agent on a screen.

use hotline_agent::{Action, AgentView, BusyReason, Display, Line, Pending, Presence};
use serde::Serialize;

use super::time;

/// `Agent` in the OpenAPI document.
#[derive(Serialize)]
pub(crate) struct AgentJson {
    agent_no: String,
    extension: Option<String>,
    /// The one state a screen shows, and its Chinese name.
    state: &'static str,
    state_zh: &'static str,
    presence: &'static str,
    line: &'static str,
    reason: Option<ReasonJson>,
    pending: Option<PendingJson>,
    since: String,
    until: Option<String>,
    /// What can be asked for now.
    actions: Vec<&'static str>,
    skill_groups: Vec<String>,
    /// 外线坐席: the number that rings instead of the extension.
    outside_no: Option<String>,
}

#[derive(Serialize)]
struct ReasonJson {
    code: u16,
    text_zh: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "wish", rename_all = "snake_case")]
enum PendingJson {
    Busy { reason: ReasonJson },
    Rest { planned_s: u64 },
    SignOut,
    Acw,
}

impl From<&AgentView> for AgentJson {
    fn from(it: &AgentView) -> Self {
        let (state, state_zh) = display_name(it.display);
        Self {
            agent_no: it.no.to_string(),
            extension: it.extension.as_ref().map(ToString::to_string),
            state,
            state_zh,
            presence: presence_name(it.presence),
            line: line_name(it.line),
            reason: it.reason.map(ReasonJson::from),
            pending: it.pending.map(PendingJson::from),
            since: time::write(it.since_wall),
            until: it.until_wall.map(time::write),
            actions: it.actions.iter().map(|it| action_name(it).0).collect(),
            skill_groups: it.groups.iter().map(ToString::to_string).collect(),
            outside_no: it.outside.as_ref().map(|it| it.reveal().clone()),
        }
    }
}

impl From<BusyReason> for ReasonJson {
    fn from(it: BusyReason) -> Self {
        let text_zh = match it {
            BusyReason::Own => "坐席自行示忙",
            BusyReason::RingNoAnswer => "久不应答",
            BusyReason::Forced => "强制示忙",
            BusyReason::DeviceUnavailable => "话机不可用",
            BusyReason::Rejected => "拒接来电",
            BusyReason::Custom(_) => "自定义",
        };
        Self { code: it.code(), text_zh }
    }
}

impl From<Pending> for PendingJson {
    fn from(it: Pending) -> Self {
        match it {
            Pending::Busy(reason) => Self::Busy { reason: reason.into() },
            Pending::Rest { planned } => Self::Rest { planned_s: planned.as_secs() },
            Pending::SignOut => Self::SignOut,
            Pending::Acw => Self::Acw,
        }
    }
}

/// English identifier and Chinese name.
pub(crate) const fn display_name(it: Display) -> (&'static str, &'static str) {
    match it {
        Display::SignedOut => ("signed_out", "签出"),
        Display::Idle => ("idle", "空闲"),
        Display::Busy => ("busy", "示忙"),
        Display::Rest => ("rest", "小休"),
        Display::Reserved => ("reserved", "占用"),
        Display::Ringing => ("ringing", "振铃"),
        Display::Connecting => ("connecting", "接续"),
        Display::Talking => ("talking", "通话"),
        Display::Held => ("held", "保持"),
        Display::Acw => ("acw", "话后整理"),
        Display::Dialing => ("dialing", "外呼"),
        Display::Consulting => ("consulting", "咨询"),
        Display::Conferring => ("conferring", "三方通话"),
        Display::Suspended => ("suspended", "挂起"),
    }
}

/// English identifier and Chinese name.
pub(crate) const fn action_name(it: Action) -> (&'static str, &'static str) {
    match it {
        Action::SignIn => ("sign_in", "签入"),
        Action::SignOut => ("sign_out", "签出"),
        Action::SetReady => ("set_ready", "示闲"),
        Action::SetBusy => ("set_busy", "示忙"),
        Action::SetRest => ("set_rest", "小休"),
        Action::Hold => ("hold", "保持"),
        Action::Retrieve => ("retrieve", "恢复"),
        Action::Mute => ("mute", "静音"),
        Action::Unmute => ("unmute", "取消静音"),
        Action::HangUp => ("hang_up", "挂机"),
        Action::EnterAcw => ("enter_acw", "进入话后整理"),
        Action::FinishAcw => ("finish_acw", "完成话后整理"),
        Action::Dial => ("dial", "外呼"),
        Action::Consult => ("consult", "咨询"),
        Action::CancelConsult => ("cancel_consult", "取消咨询"),
        Action::Confer => ("confer", "三方通话"),
        Action::CompleteTransfer => ("complete_transfer", "转移"),
        Action::Transfer => ("transfer", "盲转"),
        Action::Suspend => ("suspend", "挂起转"),
        Action::SendKeys => ("send_keys", "二次拨号"),
        Action::Supervise => ("supervise", "监控"),
        Action::Intercept => ("intercept", "拦截"),
        Action::ForceRelease => ("force_release", "强拆"),
        Action::PauseRecording => ("pause_recording", "暂停录音"),
        Action::MaskRecording => ("mask_recording", "遮蔽录音"),
        Action::ResumeRecording => ("resume_recording", "恢复录音"),
        Action::StartRecording => ("start_recording", "开始录音"),
        Action::StopRecording => ("stop_recording", "停止录音"),
        Action::Force => ("force", "强制示闲、示忙、签出"),
        Action::ControlRecording => ("control_recording", "控制任一通话的录音"),
    }
}

const fn presence_name(it: Presence) -> &'static str {
    match it {
        Presence::SignedOut => "signed_out",
        Presence::Idle => "idle",
        Presence::Busy => "busy",
        Presence::Rest => "rest",
        Presence::Acw => "acw",
    }
}

const fn line_name(it: Line) -> &'static str {
    match it {
        Line::Free => "free",
        Line::Reserved => "reserved",
        Line::Ringing => "ringing",
        Line::Connecting => "connecting",
        Line::Talking => "talking",
        Line::Held => "held",
        Line::Dialing => "dialing",
        Line::Consulting => "consulting",
        Line::Conferring => "conferring",
        Line::Suspended => "suspended",
    }
}
