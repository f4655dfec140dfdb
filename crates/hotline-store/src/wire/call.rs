//! 话单 as JSON.

use hotline_base::{AgentNo, LegId, Pii};
use hotline_cdr::{
    CallFact, CallRecord, CallSegment, Direction, FailCause, QueueSegment, Rating, RecordedAudio,
};
use serde::{Deserialize, Serialize};

use super::{QualityJson, StampedJson, Time, mask::masked_number};

/// One call. Without `facts` in lists and pushes.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a record")]
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct CallJson {
    /// Digits; more than a JavaScript number can hold.
    pub call_id: String,
    /// The higher one replaces the lower one.
    pub version: u32,
    /// Nothing will be added any more.
    pub complete: bool,
    /// `inbound` or `outbound` (an agent's own call).
    #[serde(default = "inbound")]
    pub direction: String,
    pub trunk: Option<String>,
    /// Normalised; `null` is 匿名. Of an outbound call the number shown, one of ours.
    pub caller_no: Option<String>,
    pub caller_raw: Option<String>,
    /// The caller asked to be hidden.
    pub restricted: bool,
    /// Whether the number of the party outside is masked for this reader.
    pub masked: bool,
    pub called_no: String,
    pub called_raw: String,
    pub flow: Option<String>,
    /// Hash of the flows the call ran through.
    pub bundle: String,
    pub t_in: Option<Time>,
    pub t_ans: Option<Time>,
    pub t_ivr0: Option<Time>,
    pub t_ivr1: Option<Time>,
    pub t_req: Option<Time>,
    pub t_br: Option<Time>,
    pub t_rel: Option<Time>,
    pub duration_ms: u64,
    pub wait_ms: u64,
    pub talk_ms: u64,
    pub outcome: String,
    pub released_by: Option<String>,
    pub reason: Option<String>,
    /// Q.850.
    pub cause: Option<u16>,
    /// What `cause` means, if it is a failure: 空号, 停机, 关机, 忙, 无应答, 拒接, 网络拥塞, 其他.
    #[serde(default)]
    pub cause_text: Option<String>,
    pub refused_status: Option<u16>,
    pub control_restarted: bool,
    /// The call went on after the media process was replaced.
    #[serde(default)]
    pub media_restarted: bool,
    /// The wall clock was set meanwhile: times do not fit together, lengths do.
    #[serde(default)]
    pub clock_set: bool,
    pub tags: Vec<String>,
    pub attached: Vec<AttachedJson>,
    pub queues: Vec<QueueSegmentJson>,
    pub segments: Vec<SegmentJson>,
    pub ratings: Vec<RatingJson>,
    pub surveys_offered: u32,
    pub recordings: Vec<RecordingJson>,
    /// How each leg sounded, in the order in which they ended.
    #[serde(default)]
    pub quality: Vec<QualityJson>,
    /// What the audio says about the call: `silent_call` (无声电话), `one_way_audio` (单通),
    /// `agent_one_way`.
    #[serde(default)]
    pub audio_marks: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Vec<StampedJson>>,
}

/// Numbers are personal data.
impl std::fmt::Debug for CallJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CallJson({}, {})", self.call_id, self.outcome)
    }
}

/// 随路数据: what the flow exported.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct AttachedJson {
    pub name: String,
    pub label: String,
    pub value: String,
}

impl std::fmt::Debug for AttachedJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AttachedJson({})", self.name)
    }
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct QueueSegmentJson {
    pub ticket: Option<String>,
    pub skill_group: String,
    pub priority: u8,
    pub t_q: Time,
    pub t_qx: Option<Time>,
    pub wait_ms: u64,
    pub exit: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SegmentJson {
    pub offer: String,
    pub agent_no: String,
    pub extension: String,
    pub skill_group: String,
    pub leg: String,
    pub t_off: Time,
    pub t_ring: Option<Time>,
    pub t_agent: Option<Time>,
    pub t_br: Option<Time>,
    pub t_end: Option<Time>,
    pub talk_ms: u64,
    pub hold_ms: u64,
    pub n_holds: u32,
    /// 挂起转, and how long the agent waited in all. Records of earlier versions do not say.
    #[serde(default)]
    pub n_suspends: u32,
    #[serde(default)]
    pub suspended_ms: u64,
    pub recording_id: Option<String>,
    pub unanswered: Option<String>,
    /// Why, if the telephone refused: 空号, 停机, 关机, 忙, 无应答, 拒接, 网络拥塞, 其他.
    #[serde(default)]
    pub cause_text: Option<String>,
    pub released_by: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RatingJson {
    pub t_srv: Time,
    pub survey: String,
    pub agent_no: String,
    pub skill_group: String,
    pub key: String,
    pub value: i64,
    pub label: String,
    pub satisfied: bool,
    pub recording_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RecordingJson {
    pub recording_id: String,
    pub path: String,
    pub agent_no: String,
    pub skill_group: String,
    pub t_start: Time,
    pub sealed: bool,
    pub failed: Option<String>,
    pub duration_ms: u64,
    pub bytes: u64,
    pub sha256: String,
    pub gap_ms: u64,
    pub n_gaps: u32,
}

/// Records of earlier versions do not say.
fn inbound() -> String {
    Direction::Inbound.as_str().to_owned()
}

impl CallJson {
    /// Inside, the party outside stands first whichever way the call went; here who calls does.
    fn turned(mut self) -> Self {
        let own = std::mem::take(&mut self.called_no);
        let own_raw = std::mem::take(&mut self.called_raw);
        self.called_no = self.caller_no.replace(own).unwrap_or_default();
        self.called_raw = self.caller_raw.replace(own_raw).unwrap_or_default();
        self
    }

    /// Whether this agent was offered the call.
    pub fn was_with(&self, agent: &AgentNo) -> bool {
        self.segments.iter().any(|it| it.agent_no == agent.as_str())
    }

    /// For a reader who had nothing to do with the call: numbers masked, what the caller entered
    /// left out.
    #[must_use]
    pub fn masked(mut self) -> Self {
        self.masked = true;
        if self.direction == Direction::Outbound.as_str() {
            self.called_no = masked_number(&self.called_no);
            self.called_raw = masked_number(&self.called_raw);
        } else {
            self.caller_no = self.caller_no.as_deref().map(masked_number);
            self.caller_raw = self.caller_raw.as_deref().map(masked_number);
        }
        for it in &mut self.attached {
            it.value = String::new();
        }
        self.facts = self.facts.map(|it| it.into_iter().map(StampedJson::masked).collect());
        self
    }
}

fn revealed(it: Option<&Pii<String>>) -> Option<String> {
    it.map(|it| it.reveal().clone())
}

fn text(it: Option<impl ToString>) -> Option<String> {
    it.map(|it| it.to_string())
}

/// Without the facts.
impl From<&CallRecord> for CallJson {
    fn from(it: &CallRecord) -> Self {
        let json = Self {
            direction: it.direction().as_str().to_owned(),
            call_id: it.call.to_string(),
            version: it.version,
            complete: it.complete,
            trunk: text(it.trunk.as_ref()),
            caller_no: revealed(it.caller.as_ref()),
            caller_raw: revealed(it.caller_raw.as_ref()),
            restricted: it.restricted,
            masked: false,
            called_no: it.called.clone(),
            called_raw: it.called_raw.clone(),
            flow: text(it.flow.as_ref()),
            bundle: it.bundle.clone(),
            t_in: it.t_in.map(Time),
            t_ans: it.t_ans.map(Time),
            t_ivr0: it.t_ivr0.map(Time),
            t_ivr1: it.t_ivr1.map(Time),
            t_req: it.t_req.map(Time),
            t_br: it.t_br.map(Time),
            t_rel: it.t_rel.map(Time),
            duration_ms: it.duration_ms,
            wait_ms: it.wait_ms,
            talk_ms: it.talk_ms,
            outcome: it.outcome.as_str().to_owned(),
            released_by: text(it.released_by.map(hotline_cdr::Party::as_str)),
            reason: text(it.reason.as_ref().map(hotline_cdr::EndReason::as_str)),
            cause: it.cause,
            cause_text: text(fail_cause(it).map(FailCause::zh)),
            refused_status: it.refused_status,
            control_restarted: it.control_restarted,
            media_restarted: it.media_restarted(),
            clock_set: it.clock_was_set(),
            tags: it.tags.clone(),
            attached: it.exported.iter().map(AttachedJson::from).collect(),
            queues: it.queues.iter().map(QueueSegmentJson::from).collect(),
            segments: it.segments.iter().map(|one| SegmentJson::of(one, it)).collect(),
            ratings: it.ratings.iter().map(RatingJson::from).collect(),
            surveys_offered: it.surveys_offered,
            recordings: it.recordings.iter().map(RecordingJson::from).collect(),
            quality: it.sounded().map(|(leg, it)| QualityJson::of(leg, it)).collect(),
            audio_marks: it.audio_marks().iter().map(|it| it.as_str().to_owned()).collect(),
            facts: None,
        };
        match it.direction() {
            Direction::Inbound => json,
            Direction::Outbound => json.turned(),
        }
    }
}

impl From<&(String, String, Pii<String>)> for AttachedJson {
    fn from((name, label, value): &(String, String, Pii<String>)) -> Self {
        Self { name: name.clone(), label: label.clone(), value: value.reveal().clone() }
    }
}

impl From<&QueueSegment> for QueueSegmentJson {
    fn from(it: &QueueSegment) -> Self {
        Self {
            ticket: text(it.ticket),
            skill_group: it.group.to_string(),
            priority: it.priority,
            t_q: Time(it.t_q),
            t_qx: it.t_qx.map(Time),
            wait_ms: it.wait_ms,
            exit: text(it.exit.map(hotline_cdr::QueueExit::as_str)),
        }
    }
}

impl SegmentJson {
    /// A segment of `record`.
    fn of(it: &CallSegment, record: &CallRecord) -> Self {
        let failed = dial_failed(record, it.leg);
        let (n_suspends, suspended_ms) = record.suspensions(it);
        Self {
            offer: it.offer.to_string(),
            agent_no: it.agent.to_string(),
            extension: it.extension.to_string(),
            skill_group: it.group.to_string(),
            leg: it.leg.to_string(),
            t_off: Time(it.t_off),
            t_ring: it.t_ring.map(Time),
            t_agent: it.t_agent.map(Time),
            t_br: it.t_br.map(Time),
            t_end: it.t_end.map(Time),
            talk_ms: it.talk_ms,
            hold_ms: it.hold_ms,
            n_holds: it.n_holds,
            n_suspends,
            suspended_ms,
            recording_id: text(it.recording.as_ref()),
            unanswered: text(it.unanswered.map(hotline_cdr::OfferEnd::as_str)),
            cause_text: text(failed.map(FailCause::zh)),
            released_by: text(it.released_by.map(hotline_cdr::Party::as_str)),
        }
    }
}

/// What the refusal of a leg that we dialled means.
fn dial_failed(record: &CallRecord, leg: LegId) -> Option<FailCause> {
    record.facts.iter().find_map(|fact| {
        let CallFact::DialFailed { leg: dialled, status, cause } = fact.fact else { return None };
        FailCause::of(Some(status), cause).filter(|_| dialled == leg)
    })
}

/// Why a call failed. Of one that went out also when its carrier gave no cause but a status, and
/// when nobody picked up.
fn fail_cause(record: &CallRecord) -> Option<FailCause> {
    let called = record.facts.iter().find_map(|it| {
        let CallFact::Dialled { leg, .. } = it.fact else { return None };
        Some(leg)
    });
    let unanswered = record.reason.as_ref().is_some_and(|it| it.as_str() == "no_answer");
    called
        .and_then(|it| dial_failed(record, it))
        .or_else(|| record.cause.and_then(FailCause::of_q850))
        .or_else(|| unanswered.then_some(FailCause::NoAnswer))
}

impl From<&Rating> for RatingJson {
    fn from(it: &Rating) -> Self {
        Self {
            t_srv: Time(it.at),
            survey: it.answer.survey.clone(),
            agent_no: it.answer.agent.to_string(),
            skill_group: it.answer.group.to_string(),
            key: it.answer.key.to_string(),
            value: it.answer.value,
            label: it.answer.label.clone(),
            satisfied: it.answer.satisfied,
            recording_id: text(it.recording.as_ref()),
        }
    }
}

impl From<&RecordedAudio> for RecordingJson {
    fn from(it: &RecordedAudio) -> Self {
        Self {
            recording_id: it.recording.to_string(),
            path: it.path.clone(),
            agent_no: it.agent.to_string(),
            skill_group: it.group.to_string(),
            t_start: Time(it.started),
            sealed: it.sealed,
            failed: it.failed.clone(),
            duration_ms: it.duration_ms,
            bytes: it.bytes,
            sha256: it.sha256.clone(),
            gap_ms: it.gap_ms,
            n_gaps: it.n_gaps,
        }
    }
}
