//! What an agent's WebSocket says.

use hotline_base::Pii;
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
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventKind {
    /// The state on connection, when events before it are not to be had.
    Snapshot,
    /// The agent's state changed.
    State,
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
        }
    }
}

impl From<&(String, String, Pii<String>)> for AttachedJson {
    fn from((name, label, value): &(String, String, Pii<String>)) -> Self {
        Self { name: name.clone(), label: label.clone(), value: value.reveal().clone() }
    }
}
