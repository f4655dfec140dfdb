//! An agent's change of state.

use hotline_agent::{AgentFact, BusyReason, Display, Line, Pending, Presence};
use serde::Serialize;

use super::Time;

#[derive(Debug, Serialize)]
pub struct AgentStateJson {
    pub agent_no: String,
    pub at: Time,
    pub extension: Option<String>,
    /// The one state a screen shows.
    pub state: &'static str,
    pub presence: &'static str,
    pub line: &'static str,
    pub reason: Option<u16>,
    pub pending: Option<PendingJson>,
    pub call_id: Option<String>,
}

/// A wish that waits for the end of a call.
#[derive(Debug, Serialize)]
#[serde(tag = "wish", rename_all = "snake_case")]
pub enum PendingJson {
    Busy { reason: u16 },
    Rest { planned_s: u64 },
    SignOut,
    Acw,
}

impl From<&AgentFact> for AgentStateJson {
    fn from(it: &AgentFact) -> Self {
        Self {
            agent_no: it.agent.to_string(),
            at: Time(it.at),
            extension: it.extension.as_ref().map(ToString::to_string),
            state: display_name(it.display),
            presence: presence_name(it.presence),
            line: line_name(it.line),
            reason: it.reason,
            pending: it.pending.map(PendingJson::from),
            call_id: it.call.map(|it| it.to_string()),
        }
    }
}

impl From<Pending> for PendingJson {
    fn from(it: Pending) -> Self {
        match it {
            Pending::Busy(reason) => Self::Busy { reason: BusyReason::code(reason) },
            Pending::Rest { planned } => Self::Rest { planned_s: planned.as_secs() },
            Pending::SignOut => Self::SignOut,
            Pending::Acw => Self::Acw,
        }
    }
}

const fn display_name(it: Display) -> &'static str {
    match it {
        Display::SignedOut => "signed_out",
        Display::Idle => "idle",
        Display::Busy => "busy",
        Display::Rest => "rest",
        Display::Reserved => "reserved",
        Display::Ringing => "ringing",
        Display::Connecting => "connecting",
        Display::Talking => "talking",
        Display::Held => "held",
        Display::Acw => "acw",
        Display::Dialing => "dialing",
        Display::Consulting => "consulting",
        Display::Conferring => "conferring",
        Display::Suspended => "suspended",
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
