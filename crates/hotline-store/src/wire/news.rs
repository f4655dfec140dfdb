//! Events of a recording, as other systems get them.

use hotline_cdr::{RecordingEvent, RecordingNews};
use serde::Serialize;

/// `data` of `recording.started`, `recording.sealed` and `recording.failed`. What an event does not
/// say is left out.
#[derive(Debug, Serialize)]
pub struct RecordingNewsJson {
    pub recording_id: String,
    pub call_id: String,
    /// Relative to the recording directory.
    pub path: String,
    /// Who is or was on the right channel.
    pub agents: Vec<String>,
    #[serde(flatten)]
    pub sealed: Option<SealedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct SealedJson {
    pub duration_ms: u64,
    pub bytes: u64,
    pub sha256: String,
    pub gap_ms: u64,
    pub n_gaps: u32,
    /// Pairs of milliseconds from the start.
    pub gaps: Vec<[u64; 2]>,
    /// Audio that arrived, and its share of the duration in thousandths; `null` when nobody could
    /// measure it to the end.
    pub caller_heard_ms: Option<u64>,
    pub agent_heard_ms: Option<u64>,
    pub caller_coverage_permille: Option<u64>,
    pub agent_coverage_permille: Option<u64>,
}

impl From<&RecordingNews> for RecordingNewsJson {
    fn from(it: &RecordingNews) -> Self {
        let (sealed, reason) = match &it.event {
            RecordingEvent::Started => (None, None),
            RecordingEvent::Failed { reason } => (None, Some(reason.clone())),
            RecordingEvent::Sealed { .. } => (SealedJson::of(&it.event), None),
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

impl SealedJson {
    fn of(event: &RecordingEvent) -> Option<Self> {
        let RecordingEvent::Sealed { duration_ms, bytes, sha256, gap_ms, n_gaps, heard_ms, gaps } =
            event
        else {
            return None;
        };
        let heard = |side: fn([u64; 2]) -> u64| heard_ms.map(side);
        let permille = |it: u64| (it * 1_000).checked_div(*duration_ms).unwrap_or(0);
        let (caller, agent) = (heard(|[caller, _]| caller), heard(|[_, agent]| agent));
        Some(Self {
            duration_ms: *duration_ms,
            bytes: *bytes,
            sha256: sha256.clone(),
            gap_ms: *gap_ms,
            n_gaps: *n_gaps,
            gaps: gaps.iter().map(|it| [it.from_ms, it.to_ms]).collect(),
            caller_heard_ms: caller,
            agent_heard_ms: agent,
            caller_coverage_permille: caller.map(permille),
            agent_coverage_permille: agent.map(permille),
        })
    }
}
