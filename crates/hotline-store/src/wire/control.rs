//! Who changed a recording that is not in its talk, as JSON.

use hotline_cdr::{Controller, RecordingChange, RecordingControl};
use serde::{Deserialize, Serialize};

/// What a flow or a supervisor made of a recording.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ControlJson {
    pub recording_id: String,
    /// `started`, `stopped`, `paused`, `masked`, `masked_by_flow` or `resumed`.
    pub change: String,
    /// Where the file lies, of one that was started.
    pub path: Option<String>,
    /// The person, or nobody when it was the flow.
    pub agent_no: Option<String>,
    pub flow: Option<String>,
}

impl From<&RecordingControl> for ControlJson {
    fn from(it: &RecordingControl) -> Self {
        let (change, path) = match &it.change {
            RecordingChange::Started { path } => ("started", Some(path.clone())),
            RecordingChange::Stopped => ("stopped", None),
            RecordingChange::Muted(how) => (how.as_str(), None),
            RecordingChange::Resumed => ("resumed", None),
        };
        let (agent_no, flow) = match &it.by {
            Controller::Agent(it) | Controller::Supervisor(it) => (Some(it.to_string()), None),
            Controller::Flow(it) => (None, Some(it.to_string())),
        };
        let (recording_id, change) = (it.recording.to_string(), change.to_owned());
        Self { recording_id, change, path, agent_no, flow }
    }
}
