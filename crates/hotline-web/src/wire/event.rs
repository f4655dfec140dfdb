//! What an agent's WebSocket says.

use hotline_base::{
    FlowId, Pii,
    media::{Channel, MarkedGap},
};
use hotline_cdr::{FlowReturn, RecordingEvent, RecordingNews};
use serde::Serialize;

use super::{agent::AgentJson, time};
use crate::CallView;

/// `Event` in the OpenAPI document.
#[derive(Serialize)]
pub(crate) struct EventJson {
    /// Names one life of the engine; numbers of another one mean nothing.
    pub(crate) epoch: String,
    pub(crate) seq: u64,
    pub(crate) ts: String,
    #[serde(rename = "type")]
    pub(crate) kind: EventKind,
    pub(crate) agent: AgentJson,
    /// The call on the line.
    pub(crate) call: Option<CallJson>,
    /// In events of a recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recording: Option<RecordingJson>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventKind {
    /// The state on connection, when events before it are not to be had.
    Snapshot,
    /// The agent's state changed.
    State,
    /// A recording of the agent's began, was sealed, or cannot be written.
    #[serde(rename = "recording.started")]
    RecordingStarted,
    #[serde(rename = "recording.sealed")]
    RecordingSealed,
    #[serde(rename = "recording.failed")]
    RecordingFailed,
}

impl EventKind {
    pub(crate) const fn of(news: Option<&RecordingNews>) -> Self {
        match news {
            None => Self::State,
            Some(it) => match it.event {
                RecordingEvent::Started => Self::RecordingStarted,
                RecordingEvent::Sealed { .. } => Self::RecordingSealed,
                RecordingEvent::Failed { .. } => Self::RecordingFailed,
            },
        }
    }
}

/// `RecordingEvent` in the OpenAPI document, the `data` of a push. What an event does not say is
/// left out.
#[derive(Serialize)]
pub(crate) struct RecordingJson {
    recording_id: String,
    call_id: String,
    path: String,
    agents: Vec<String>,
    #[serde(flatten)]
    sealed: Option<SealedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct SealedJson {
    duration_ms: u64,
    bytes: u64,
    sha256: String,
    gap_ms: u64,
    n_gaps: u32,
    gaps: Vec<GapJson>,
    caller_heard_ms: Option<u64>,
    agent_heard_ms: Option<u64>,
    caller_coverage_permille: Option<u64>,
    agent_coverage_permille: Option<u64>,
}

/// What is missing, in milliseconds from the start.
#[derive(Serialize)]
struct GapJson {
    from_ms: u64,
    to_ms: u64,
    why: &'static str,
    /// `None` is both.
    side: Option<&'static str>,
}

impl From<&MarkedGap> for GapJson {
    fn from(it: &MarkedGap) -> Self {
        let (from_ms, to_ms) = (it.gap.from_ms, it.gap.to_ms);
        Self { from_ms, to_ms, why: it.why.as_str(), side: it.channel.map(Channel::side) }
    }
}

impl From<&RecordingNews> for RecordingJson {
    fn from(it: &RecordingNews) -> Self {
        let (sealed, reason) = match &it.event {
            RecordingEvent::Started => (None, None),
            RecordingEvent::Failed { reason } => (None, Some(reason.clone())),
            RecordingEvent::Sealed {
                duration_ms,
                bytes,
                sha256,
                gap_ms,
                n_gaps,
                heard_ms,
                gaps,
            } => {
                let permille =
                    |it: u64| it.saturating_mul(1_000).checked_div(*duration_ms).unwrap_or(0);
                let (caller, agent) = heard_ms.map(|[caller, agent]| (caller, agent)).unzip();
                let sealed = SealedJson {
                    duration_ms: *duration_ms,
                    bytes: *bytes,
                    sha256: sha256.clone(),
                    gap_ms: *gap_ms,
                    n_gaps: *n_gaps,
                    gaps: gaps.iter().map(GapJson::from).collect(),
                    caller_heard_ms: caller,
                    agent_heard_ms: agent,
                    caller_coverage_permille: caller.map(permille),
                    agent_coverage_permille: agent.map(permille),
                };
                (Some(sealed), None)
            }
        };
        Self {
            recording_id: it.recording.to_string(),
            call_id: it.call.to_string(),
            path: it.path.clone(),
            agents: it.agents.iter().map(ToString::to_string).collect(),
            sealed,
            reason,
        }
    }
}

/// `CurrentCall` in the OpenAPI document: 来电弹屏.
#[derive(Serialize)]
pub(crate) struct CallJson {
    call_id: String,
    /// `null` is 匿名.
    caller_no: Option<String>,
    called_no: String,
    direction: &'static str,
    skill_group: Option<String>,
    recording_id: Option<String>,
    t_in: String,
    wait_ms: u64,
    tags: Vec<String>,
    attached: Vec<AttachedJson>,
    /// After a 挂起转.
    returned: Option<ReturnedJson>,
}

/// From which flow the caller came back, and how.
#[derive(Serialize)]
struct ReturnedJson {
    flow: String,
    how: &'static str,
    how_zh: &'static str,
}

/// 随路数据: one exported variable of the flow.
#[derive(Serialize)]
struct AttachedJson {
    name: String,
    label: String,
    value: String,
}

impl From<&CallView> for CallJson {
    fn from(it: &CallView) -> Self {
        let outside = it.caller_no.as_ref().map(|it| it.reveal().clone());
        let own = it.called_no.clone();
        let (from, to, direction) = if it.outbound {
            (Some(own), outside.unwrap_or_default(), "outbound")
        } else {
            (outside, own, "inbound")
        };
        Self {
            call_id: it.call.to_string(),
            caller_no: from,
            called_no: to,
            direction,
            skill_group: it.group.as_ref().map(ToString::to_string),
            recording_id: it.recording.as_ref().map(ToString::to_string),
            t_in: time::write(it.t_in),
            wait_ms: it.wait_ms,
            tags: it.tags.clone(),
            attached: it.attached.iter().map(AttachedJson::from).collect(),
            returned: it.last_flow.as_ref().map(ReturnedJson::from),
        }
    }
}

impl From<&(FlowId, FlowReturn)> for ReturnedJson {
    fn from((flow, how): &(FlowId, FlowReturn)) -> Self {
        let how_zh = match how {
            FlowReturn::Done => "流程走完",
            FlowReturn::Failed => "流程出错或超时",
            FlowReturn::Recalled => "坐席取回",
            FlowReturn::HungUp => "在流程中挂机",
            FlowReturn::Lost => "系统重启，流程中断",
        };
        Self { flow: flow.to_string(), how: how.as_str(), how_zh }
    }
}

impl From<&(String, String, Pii<String>)> for AttachedJson {
    fn from((name, label, value): &(String, String, Pii<String>)) -> Self {
        Self { name: name.clone(), label: label.clone(), value: value.reveal().clone() }
    }
}
