//! Facts of a call as JSON.

use std::collections::BTreeMap;

use hotline_base::Pii;
use hotline_cdr::{CallFact, CalledParty, FailCause};
use serde::{Deserialize, Serialize};

use super::{ControlJson, GapJson, QualityJson};

/// `type` and the fields of [`CallFact`]; identifiers are text.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FactJson {
    Arrived {
        leg: String,
        trunk: String,
        caller_no: Option<String>,
        caller_raw: String,
        restricted: bool,
        called_no: String,
        called_raw: String,
        flow: Option<String>,
        bundle: String,
    },
    Refused {
        status: u16,
        why: String,
    },
    Answered,
    Dialled {
        agent_no: String,
        leg: String,
        called_no: String,
        emergency: bool,
    },
    AgentCalled {
        offer: String,
        agent_no: String,
        extension: String,
        skill_group: String,
        leg: String,
    },
    WentOut {
        trunk: String,
        gateway: String,
        display_no: String,
    },
    WayRefused {
        trunk: String,
        status: u16,
    },
    PartyRinging,
    FlowEntered,
    FlowLeft,
    Node {
        flow: String,
        node: String,
        outcome: String,
        ms: u64,
    },
    PersonRequested,
    Enqueued {
        ticket: String,
        skill_group: String,
        priority: u8,
        position: u32,
    },
    EnqueueRefused {
        skill_group: String,
        why: String,
    },
    LeftQueue {
        ticket: String,
        why: String,
    },
    Offered {
        offer: String,
        ticket: String,
        agent_no: String,
        extension: String,
        skill_group: String,
        leg: String,
    },
    Ringing {
        offer: String,
    },
    OfferEnded {
        offer: String,
        why: String,
    },
    AgentAnswered {
        offer: String,
    },
    Bridged {
        offer: String,
    },
    Held {
        offer: String,
        by: String,
    },
    Retrieved {
        offer: String,
        by: String,
    },
    AgentMuted {
        offer: String,
    },
    AgentUnmuted {
        offer: String,
    },
    AgentReleased {
        offer: String,
        by: String,
    },
    RecordingStarted {
        recording_id: String,
        path: String,
        offer: String,
    },
    RecordingSealed {
        recording_id: String,
        duration_ms: u64,
        bytes: u64,
        sha256: String,
        gap_ms: u64,
        n_gaps: u32,
    },
    RecordingFailed {
        recording_id: String,
        reason: String,
    },
    SurveyOffered {
        survey: String,
        agent_no: String,
    },
    Rated {
        survey: String,
        agent_no: String,
        skill_group: String,
        key: String,
        value: i64,
        label: String,
        satisfied: bool,
    },
    Tagged {
        tag: String,
    },
    Untagged {
        tag: String,
    },
    Exported {
        name: String,
        label: String,
        value: String,
    },
    FlowLogged {
        level: String,
        text: String,
    },
    FlowError {
        flow: String,
        node: String,
        reason: String,
    },
    MediaQuiet {
        leg: String,
        secs: u32,
    },
    LegClosed {
        leg: String,
        packets_in: u64,
        packets_out: u64,
        lost: u64,
        jitter_us: u32,
        refused: u64,
    },
    Hearing {
        leg: String,
        /// `one_way`, `dead`, `silent`, `heard`.
        state: String,
    },
    ToneHeard {
        leg: String,
        /// `dial`, `ring_back`, `busy`, `congestion`, `vacant`.
        tone: String,
    },
    LegSounded(QualityJson),
    ControlRestarted,
    MediaRestarted,
    Ended {
        by: String,
        reason: String,
        cause: Option<u16>,
    },
    Listed {
        list: String,
        /// As the lists' API names it.
        entry: String,
        action: String,
    },
    PhoneChanged {
        offer: String,
        leg: String,
    },
    DialFailed {
        leg: String,
        status: u16,
        cause: Option<u16>,
        /// 空号, 停机, 关机, 忙, 无应答, 拒接, 网络拥塞 or 其他.
        cause_text: Option<String>,
    },
    Signalled {
        preferred: Option<String>,
        diverted_from: Option<String>,
        diverted_why: String,
        user_to_user: Option<String>,
    },
    PartyCalled {
        offer: String,
        leg: String,
        /// `consulted`, `joined`, `transferred`, `listen`, `whisper` or `barge_in`.
        role: String,
        /// Of an agent, all three; of somebody outside, the number.
        agent_no: Option<String>,
        extension: Option<String>,
        skill_group: Option<String>,
        called_no: Option<String>,
    },
    PartyWentOut {
        offer: String,
        trunk: String,
        gateway: String,
        display_no: String,
    },
    PartyJoined {
        offer: String,
    },
    PartyMoved {
        offer: String,
        role: String,
    },
    TakenOver {
        offer: String,
        leg: String,
    },
    PartyLeft {
        offer: String,
        by: String,
        why: Option<String>,
    },
    Transferred {
        offer: String,
        mode: String,
    },
    CallerLeft {
        by: String,
        cause: Option<u16>,
    },
    RecordingFollows {
        recording_id: String,
        offer: String,
    },
    RecordingMuted {
        recording_id: String,
        how: String,
        by: String,
    },
    RecordingResumed {
        recording_id: String,
        by: String,
    },
    RecordingMeasured {
        recording_id: String,
        caller_heard_ms: u64,
        agent_heard_ms: u64,
        /// Pairs of milliseconds from the recording's start.
        gaps: Vec<[u64; 2]>,
    },
    RecordingGaps {
        recording_id: String,
        gaps: Vec<GapJson>,
    },
    WayFull {
        trunk: String,
        /// `over_limit` or `too_fast`.
        why: String,
    },
    Suspended {
        offer: String,
        flow: String,
    },
    Returned {
        offer: String,
        flow: String,
        /// `done`, `failed`, `recalled`, `hung_up` or `lost`.
        how: String,
        values: BTreeMap<String, String>,
    },
    RecordingStopped {
        recording_id: String,
        by: String,
    },
    RungOutside {
        offer: String,
        leg: String,
        called_no: String,
    },
    RecordingControlled(ControlJson),
    RecordingRecovered {
        recording_id: String,
    },
}

impl std::fmt::Debug for FactJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FactJson")
    }
}

impl From<&CallFact> for FactJson {
    #[expect(clippy::too_many_lines, reason = "one arm a fact")]
    fn from(it: &CallFact) -> Self {
        match it {
            CallFact::Arrived(it) => Self::Arrived {
                leg: it.leg.to_string(),
                trunk: it.trunk.to_string(),
                caller_no: it.caller.as_ref().map(Pii::reveal).cloned(),
                caller_raw: it.caller_raw.reveal().clone(),
                restricted: it.restricted,
                called_no: it.called.clone(),
                called_raw: it.called_raw.clone(),
                flow: it.flow.as_ref().map(ToString::to_string),
                bundle: it.bundle.clone(),
            },
            CallFact::Refused { status, why } => {
                Self::Refused { status: *status, why: why.as_str().to_owned() }
            }
            CallFact::Answered => Self::Answered,
            CallFact::FlowEntered => Self::FlowEntered,
            CallFact::FlowLeft => Self::FlowLeft,
            CallFact::Node { flow, node, outcome, ms } => Self::Node {
                flow: flow.to_string(),
                node: node.to_string(),
                outcome: outcome.to_string(),
                ms: *ms,
            },
            CallFact::PersonRequested => Self::PersonRequested,
            CallFact::Enqueued { ticket, group, priority, position } => Self::Enqueued {
                ticket: ticket.to_string(),
                skill_group: group.to_string(),
                priority: *priority,
                position: *position,
            },
            CallFact::EnqueueRefused { group, why } => Self::EnqueueRefused {
                skill_group: group.to_string(),
                why: why.as_str().to_owned(),
            },
            CallFact::LeftQueue { ticket, why } => {
                Self::LeftQueue { ticket: ticket.to_string(), why: why.as_str().to_owned() }
            }
            CallFact::Offered { offer, ticket, agent, extension, group, leg } => Self::Offered {
                offer: offer.to_string(),
                ticket: ticket.to_string(),
                agent_no: agent.to_string(),
                extension: extension.to_string(),
                skill_group: group.to_string(),
                leg: leg.to_string(),
            },
            CallFact::Ringing { offer } => Self::Ringing { offer: offer.to_string() },
            CallFact::OfferEnded { offer, why } => {
                Self::OfferEnded { offer: offer.to_string(), why: why.as_str().to_owned() }
            }
            CallFact::AgentAnswered { offer } => Self::AgentAnswered { offer: offer.to_string() },
            CallFact::Bridged { offer } => Self::Bridged { offer: offer.to_string() },
            CallFact::Held { offer, by } => {
                Self::Held { offer: offer.to_string(), by: by.as_str().to_owned() }
            }
            CallFact::Retrieved { offer, by } => {
                Self::Retrieved { offer: offer.to_string(), by: by.as_str().to_owned() }
            }
            CallFact::AgentMuted { offer } => Self::AgentMuted { offer: offer.to_string() },
            CallFact::AgentUnmuted { offer } => Self::AgentUnmuted { offer: offer.to_string() },
            CallFact::AgentReleased { offer, by } => {
                Self::AgentReleased { offer: offer.to_string(), by: by.as_str().to_owned() }
            }
            CallFact::RecordingStarted { recording, path, offer } => Self::RecordingStarted {
                recording_id: recording.to_string(),
                path: path.clone(),
                offer: offer.to_string(),
            },
            CallFact::RecordingSealed { recording, duration_ms, bytes, sha256, gap_ms, n_gaps } => {
                Self::RecordingSealed {
                    recording_id: recording.to_string(),
                    duration_ms: *duration_ms,
                    bytes: *bytes,
                    sha256: sha256.clone(),
                    gap_ms: *gap_ms,
                    n_gaps: *n_gaps,
                }
            }
            CallFact::RecordingFailed { recording, reason } => Self::RecordingFailed {
                recording_id: recording.to_string(),
                reason: reason.clone(),
            },
            CallFact::SurveyOffered { survey, agent } => {
                Self::SurveyOffered { survey: survey.clone(), agent_no: agent.to_string() }
            }
            CallFact::Rated(it) => Self::Rated {
                survey: it.survey.clone(),
                agent_no: it.agent.to_string(),
                skill_group: it.group.to_string(),
                key: it.key.to_string(),
                value: it.value,
                label: it.label.clone(),
                satisfied: it.satisfied,
            },
            CallFact::Tagged { tag } => Self::Tagged { tag: tag.clone() },
            CallFact::Untagged { tag } => Self::Untagged { tag: tag.clone() },
            CallFact::Exported { name, label, value } => Self::Exported {
                name: name.clone(),
                label: label.clone(),
                value: value.reveal().clone(),
            },
            CallFact::FlowLogged { level, text } => {
                Self::FlowLogged { level: level.clone(), text: text.reveal().clone() }
            }
            CallFact::FlowError { flow, node, reason } => Self::FlowError {
                flow: flow.to_string(),
                node: node.clone(),
                reason: reason.clone(),
            },
            CallFact::MediaQuiet { leg, secs } => {
                Self::MediaQuiet { leg: leg.to_string(), secs: *secs }
            }
            CallFact::LegClosed { leg, stats } => Self::LegClosed {
                leg: leg.to_string(),
                packets_in: stats.packets_in,
                packets_out: stats.packets_out,
                lost: stats.lost,
                jitter_us: stats.jitter_us,
                refused: stats.refused,
            },
            CallFact::Hearing { leg, state } => {
                Self::Hearing { leg: leg.to_string(), state: state.as_str().to_owned() }
            }
            CallFact::ToneHeard { leg, tone } => {
                Self::ToneHeard { leg: leg.to_string(), tone: tone.as_str().to_owned() }
            }
            CallFact::LegSounded { leg, quality } => {
                Self::LegSounded(QualityJson::of(*leg, quality))
            }
            CallFact::ControlRestarted => Self::ControlRestarted,
            CallFact::MediaRestarted => Self::MediaRestarted,
            CallFact::Dialled { agent, leg, number, emergency } => Self::Dialled {
                agent_no: agent.to_string(),
                leg: leg.to_string(),
                called_no: number.reveal().clone(),
                emergency: *emergency,
            },
            CallFact::AgentCalled { offer, agent, extension, group, leg } => Self::AgentCalled {
                offer: offer.to_string(),
                agent_no: agent.to_string(),
                extension: extension.to_string(),
                skill_group: group.to_string(),
                leg: leg.to_string(),
            },
            CallFact::WentOut { trunk, gateway, display } => Self::WentOut {
                trunk: trunk.to_string(),
                gateway: gateway.clone(),
                display_no: display.clone(),
            },
            CallFact::WayRefused { trunk, status } => {
                Self::WayRefused { trunk: trunk.to_string(), status: *status }
            }
            CallFact::WayFull { trunk, why } => {
                Self::WayFull { trunk: trunk.to_string(), why: why.as_str().to_owned() }
            }
            CallFact::PartyRinging => Self::PartyRinging,
            CallFact::PartyCalled { offer, leg, role, party } => {
                let (agent_no, extension, skill_group, called_no) = match party {
                    CalledParty::Agent { agent, extension, group } => {
                        let it = (agent.to_string(), extension.to_string(), group.to_string());
                        (Some(it.0), Some(it.1), Some(it.2), None)
                    }
                    CalledParty::Outside { number } => {
                        (None, None, None, Some(number.reveal().clone()))
                    }
                };
                Self::PartyCalled {
                    offer: offer.to_string(),
                    leg: leg.to_string(),
                    role: role.as_str().to_owned(),
                    agent_no,
                    extension,
                    skill_group,
                    called_no,
                }
            }
            CallFact::PartyWentOut { offer, trunk, gateway, display } => Self::PartyWentOut {
                offer: offer.to_string(),
                trunk: trunk.to_string(),
                gateway: gateway.clone(),
                display_no: display.clone(),
            },
            CallFact::PartyJoined { offer } => Self::PartyJoined { offer: offer.to_string() },
            CallFact::PartyMoved { offer, role } => {
                Self::PartyMoved { offer: offer.to_string(), role: role.as_str().to_owned() }
            }
            CallFact::TakenOver { offer, leg } => {
                Self::TakenOver { offer: offer.to_string(), leg: leg.to_string() }
            }
            CallFact::PartyLeft { offer, by, why } => Self::PartyLeft {
                offer: offer.to_string(),
                by: by.as_str().to_owned(),
                why: why.map(|it| it.as_str().to_owned()),
            },
            CallFact::Transferred { offer, mode } => {
                Self::Transferred { offer: offer.to_string(), mode: mode.as_str().to_owned() }
            }
            CallFact::CallerLeft { by, cause } => {
                Self::CallerLeft { by: by.as_str().to_owned(), cause: *cause }
            }
            CallFact::RecordingFollows { recording, offer } => Self::RecordingFollows {
                recording_id: recording.to_string(),
                offer: offer.to_string(),
            },
            CallFact::PhoneChanged { offer, leg } => {
                Self::PhoneChanged { offer: offer.to_string(), leg: leg.to_string() }
            }
            CallFact::RecordingMuted { recording, how, by } => Self::RecordingMuted {
                recording_id: recording.to_string(),
                how: how.as_str().to_owned(),
                by: by.to_string(),
            },
            CallFact::RecordingResumed { recording, by } => {
                Self::RecordingResumed { recording_id: recording.to_string(), by: by.to_string() }
            }
            CallFact::RecordingStopped { recording, by } => {
                Self::RecordingStopped { recording_id: recording.to_string(), by: by.to_string() }
            }
            CallFact::RecordingRecovered { recording } => {
                Self::RecordingRecovered { recording_id: recording.to_string() }
            }
            CallFact::RecordingControlled(it) => Self::RecordingControlled((&**it).into()),
            CallFact::RecordingMeasured { recording, heard_ms: [caller, agent], gaps } => {
                Self::RecordingMeasured {
                    recording_id: recording.to_string(),
                    caller_heard_ms: *caller,
                    agent_heard_ms: *agent,
                    gaps: gaps.iter().map(|it| [it.from_ms, it.to_ms]).collect(),
                }
            }
            CallFact::RecordingGaps { recording, gaps } => Self::RecordingGaps {
                recording_id: recording.to_string(),
                gaps: gaps.iter().map(GapJson::from).collect(),
            },
            CallFact::Suspended { offer, flow } => {
                Self::Suspended { offer: offer.to_string(), flow: flow.to_string() }
            }
            CallFact::Returned(it) => Self::Returned {
                offer: it.offer.to_string(),
                flow: it.flow.to_string(),
                how: it.how.as_str().to_owned(),
                values: it.values.iter().map(|it| (it.0.clone(), it.1.reveal().clone())).collect(),
            },
            CallFact::Signalled(it) => {
                let text = |it: &Option<Pii<String>>| it.as_ref().map(Pii::reveal).cloned();
                Self::Signalled {
                    preferred: text(&it.preferred),
                    diverted_from: text(&it.diverted_from),
                    diverted_why: it.diverted_why.clone(),
                    user_to_user: text(&it.user_to_user),
                }
            }
            CallFact::DialFailed { leg, status, cause } => Self::DialFailed {
                leg: leg.to_string(),
                status: *status,
                cause: *cause,
                cause_text: FailCause::of(Some(*status), *cause).map(|it| it.zh().to_owned()),
            },
            CallFact::Ended { by, reason, cause } => Self::Ended {
                by: by.as_str().to_owned(),
                reason: reason.as_str().to_owned(),
                cause: *cause,
            },
            CallFact::RungOutside { offer, leg, number } => Self::RungOutside {
                offer: offer.to_string(),
                leg: leg.to_string(),
                called_no: number.reveal().clone(),
            },
            CallFact::Listed { list, entry, action } => Self::Listed {
                list: list.clone(),
                entry: entry.to_string(),
                action: action.clone(),
            },
        }
    }
}
