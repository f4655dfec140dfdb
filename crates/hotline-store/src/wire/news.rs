//! Events of a recording, as other systems get them.

use hotline_cdr::{RecordingEvent, RecordingNews};
use serde::Serialize;

use super::GapJson;

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
    /// As in the sidecar.
    pub gaps: Vec<GapJson>,
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
            gaps: gaps.iter().map(GapJson::from).collect(),
            caller_heard_ms: caller,
            agent_heard_ms: agent,
            caller_coverage_permille: caller.map(permille),
            agent_coverage_permille: agent.map(permille),
        })
    }
}

#[cfg(test)]
mod tests {
    use hotline_cdr::{CallFact, recording_news};
    use serde_json::json;

    use super::*;
    use crate::fixture;

    #[test]
    fn a_sealed_recording_says_in_its_push_why_something_is_missing() {
        let record = fixture::muted(7);
        let mut facts = record.facts.iter();
        let at = facts.position(|it| matches!(it.fact, CallFact::RecordingSealed { .. })).unwrap();
        let news = recording_news(record.call, &record.facts[..=at]).unwrap();
        let data = serde_json::to_value(RecordingNewsJson::from(&news)).unwrap();
        let gaps = json!([
            {"from_ms": 1_000, "to_ms": 1_200, "why": "disk", "side": null},
            {"from_ms": 2_000, "to_ms": 2_300, "why": "lost", "side": "agent"}
        ]);
        assert_eq!(data["gaps"], gaps);
    }
}
