//! What others are told of a recording at once, and not only when its call is over.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{AgentNo, CallId, OfferId, RecordingId, WallTime, media::MarkedGap};

use crate::{CallFact, CalledParty, Stamped};

/// Why a recording holds silence though somebody speaks.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum Muting {
    /// 暂停: this part of the talk is nobody's business.
    Paused,
    /// 遮蔽: something secret is said or pressed, such as a card number.
    Masked,
    /// 遮蔽 by a flow that asks for something secret.
    MaskedByFlow,
}

impl Muting {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Masked => "masked",
            Self::MaskedByFlow => "masked_by_flow",
        }
    }
}

/// Something happened to a recording.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct RecordingNews {
    pub call: CallId,
    pub at: WallTime,
    pub recording: RecordingId,
    /// Relative to the recording directory.
    pub path: String,
    /// Who is or was on its right channel.
    pub agents: Vec<AgentNo>,
    pub event: RecordingEvent,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum RecordingEvent {
    /// It began, or is written again after [`RecordingEvent::Failed`].
    Started,
    Sealed {
        duration_ms: u64,
        bytes: u64,
        sha256: String,
        gap_ms: u64,
        n_gaps: u32,
        /// Audio that arrived for the caller's and for the agents' channel, if it was measured.
        heard_ms: Option<[u64; 2]>,
        gaps: Vec<MarkedGap>,
    },
    /// The recording may still go on when its disk is back.
    Failed { reason: String },
}

impl RecordingEvent {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Started => "recording.started",
            Self::Sealed { .. } => "recording.sealed",
            Self::Failed { .. } => "recording.failed",
        }
    }
}

/// What the last of a call's facts says of a recording, if it is one that others are told.
pub fn recording_news(call: CallId, facts: &[Arc<Stamped>]) -> Option<RecordingNews> {
    let (last, before) = facts.split_last()?;
    let (recording, event) = if let Some((recording, ..)) = last.fact.recording_started() {
        (recording, RecordingEvent::Started)
    } else if let CallFact::RecordingRecovered { recording } = &last.fact {
        (recording, RecordingEvent::Started)
    } else if let CallFact::RecordingFailed { recording, reason } = &last.fact {
        (recording, RecordingEvent::Failed { reason: reason.clone() })
    } else {
        sealed(&last.fact, before)?
    };
    let path = facts.iter().find_map(|it| {
        let (of, path, _) = it.fact.recording_started()?;
        (of == recording).then(|| path.to_owned())
    })?;
    Some(RecordingNews {
        call,
        at: last.at.wall,
        recording: recording.clone(),
        path,
        agents: agents_of(recording, facts),
        event,
    })
}

/// A seal, with what was measured before.
fn sealed<'a>(
    fact: &'a CallFact,
    before: &[Arc<Stamped>],
) -> Option<(&'a RecordingId, RecordingEvent)> {
    let CallFact::RecordingSealed { recording, duration_ms, bytes, sha256, gap_ms, n_gaps } = fact
    else {
        return None;
    };
    let heard_ms = before.iter().rev().find_map(|it| {
        let CallFact::RecordingMeasured { recording: of, heard_ms, .. } = &it.fact else {
            return None;
        };
        (of == recording).then_some(*heard_ms)
    });
    let gaps = before.iter().rev().find_map(|it| {
        let CallFact::RecordingGaps { recording: of, gaps } = &it.fact else { return None };
        (of == recording).then(|| gaps.clone())
    });
    let event = RecordingEvent::Sealed {
        duration_ms: *duration_ms,
        bytes: *bytes,
        sha256: sha256.clone(),
        gap_ms: *gap_ms,
        n_gaps: *n_gaps,
        heard_ms,
        gaps: gaps.unwrap_or_default(),
    };
    Some((recording, event))
}

/// The agents on a recording's right channel, in the order in which they came.
fn agents_of(recording: &RecordingId, facts: &[Arc<Stamped>]) -> Vec<AgentNo> {
    let mut agents = Vec::new();
    for it in facts {
        let offer = if let CallFact::RecordingFollows { recording: of, offer } = &it.fact {
            (of == recording).then_some(*offer)
        } else {
            it.fact.recording_started().filter(|it| it.0 == recording).and_then(|it| it.2)
        };
        if let Some(agent) = offer.and_then(|it| agent_of(it, facts))
            && !agents.contains(agent)
        {
            agents.push(agent.clone());
        }
    }
    agents
}

fn agent_of(offer: OfferId, facts: &[Arc<Stamped>]) -> Option<&AgentNo> {
    facts.iter().find_map(|it| {
        let (CallFact::Offered { offer: of, agent, .. }
        | CallFact::AgentCalled { offer: of, agent, .. }
        | CallFact::PartyCalled { offer: of, party: CalledParty::Agent { agent, .. }, .. }) =
            &it.fact
        else {
            return None;
        };
        (*of == offer).then_some(agent)
    })
}
