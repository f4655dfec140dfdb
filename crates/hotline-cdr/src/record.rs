//! 话单: one record per call, with a segment per device visit and a segment per queue visit.

use std::{sync::Arc, time::Duration};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{
    AgentNo, CallId, Extension, FlowId, GroupId, LegId, OfferId, Pii, RecordingId, TicketId,
    TrunkId, WallTime, media::LegQuality,
};

use crate::{CallFact, EndReason, OfferEnd, Party, QueueExit, Stamped, SurveyAnswer};

/// By how much the two clocks may part between two facts, besides a thousandth of the time: a clock
/// that is corrected slowly is not set.
const APART_MAX_MS: u64 = 1_000;

/// The whole of a finished call. Times are wall-clock milliseconds; lengths are measured on the
/// monotonic clock and so are right even if the wall clock was set in between.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct CallRecord {
    pub call: CallId,
    /// 1 when the caller's connection ends; 2 when everything that was still open (recordings,
    /// counters of legs) is known too. The later version replaces the earlier one.
    pub version: u32,
    /// Nothing will be added any more: this version is pushed.
    pub complete: bool,
    pub trunk: Option<TrunkId>,
    /// Normalised; `None` is 匿名.
    pub caller: Option<Pii<String>>,
    pub caller_raw: Option<Pii<String>>,
    pub restricted: bool,
    pub called: String,
    pub called_raw: String,
    pub flow: Option<FlowId>,
    pub bundle: String,
    pub t_in: Option<WallTime>,
    pub t_ans: Option<WallTime>,
    pub t_ivr0: Option<WallTime>,
    pub t_ivr1: Option<WallTime>,
    pub t_req: Option<WallTime>,
    /// Two-way speech with the first agent.
    pub t_br: Option<WallTime>,
    pub t_rel: Option<WallTime>,
    /// From `t_in` to `t_rel`.
    pub duration_ms: u64,
    /// From the first queue entry to the first bridge or the end.
    pub wait_ms: u64,
    /// Sum over the segments.
    pub talk_ms: u64,
    pub queues: Vec<QueueSegment>,
    pub segments: Vec<CallSegment>,
    pub ratings: Vec<Rating>,
    pub surveys_offered: u32,
    pub tags: Vec<String>,
    /// Name, label and value of the variables the flow exported; the last value of each.
    pub exported: Vec<(String, String, Pii<String>)>,
    pub recordings: Vec<RecordedAudio>,
    pub released_by: Option<Party>,
    pub reason: Option<EndReason>,
    /// Q.850, if a peer gave one.
    pub cause: Option<u16>,
    pub refused_status: Option<u16>,
    pub outcome: Outcome,
    /// The control process was replaced during the call.
    pub control_restarted: bool,
    /// Those of the call itself, for each version of the record.
    pub facts: Vec<Arc<Stamped>>,
}

/// Which way a call went (呼入, 呼出).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl CallRecord {
    /// Of an outbound call `caller` is the party outside, whom the agent called, and `called` is
    /// our own number that was shown.
    pub fn direction(&self) -> Direction {
        let dialled = |it: &Arc<Stamped>| matches!(it.fact, CallFact::Dialled { .. });
        if self.facts.iter().any(dialled) { Direction::Outbound } else { Direction::Inbound }
    }

    /// Whether somebody set the wall clock during the call, or the machine was started anew: its
    /// times cannot be compared then; its lengths are right.
    pub fn clock_was_set(&self) -> bool {
        let pairs = self.facts.iter().zip(self.facts.iter().skip(1));
        pairs.into_iter().any(|(a, b)| {
            let wall = i128::from(b.at.wall.0) - i128::from(a.at.wall.0);
            let mono = (i128::from(b.at.mono.0) - i128::from(a.at.mono.0)) / 1_000_000;
            wall.abs_diff(mono) > u128::from(APART_MAX_MS) + mono.unsigned_abs() / 1_000
        })
    }
}

impl CallRecord {
    /// The media process was replaced during the call, which went on.
    pub fn media_restarted(&self) -> bool {
        self.facts.iter().any(|it| it.fact == CallFact::MediaRestarted)
    }

    /// How each leg sounded, in the order in which they ended.
    pub fn sounded(&self) -> impl Iterator<Item = (LegId, &LegQuality)> {
        self.facts.iter().filter_map(|it| {
            let CallFact::LegSounded { leg, quality } = &it.fact else { return None };
            Some((*leg, quality))
        })
    }

    /// 挂起转 by the agent of this segment: how often, and how long he waited, in milliseconds.
    pub fn suspensions(&self, segment: &CallSegment) -> (u32, u64) {
        let (mut n, mut ms, mut since) = (0, 0, None);
        for it in &self.facts {
            if let CallFact::Suspended { offer, .. } = &it.fact
                && *offer == segment.offer
            {
                n += 1;
                since = Some(it.at.mono);
            } else if let CallFact::Returned(result) = &it.fact
                && result.offer == segment.offer
            {
                ms += since.take().map_or(0, |since| (it.at.mono - since).as_millis());
            } else if let CallFact::AgentReleased { offer, .. } = &it.fact
                && *offer == segment.offer
            {
                // He did not wait for the end of it.
                ms += since.take().map_or(0, |since| (it.at.mono - since).as_millis());
            }
        }
        (n, u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// What the audio of an answered call says about it: for a disposition (废单) to begin with.
    pub fn audio_marks(&self) -> Vec<AudioMark> {
        let party = self.facts.iter().find_map(|it| {
            if let CallFact::Arrived(it) = &it.fact {
                Some(it.leg)
            } else if let CallFact::Dialled { leg, .. } = it.fact {
                Some(leg)
            } else {
                None
            }
        });
        let of = |it: &LegQuality| {
            let silent = it.silent.then_some(AudioMark::SilentCall);
            it.one_way.then_some(AudioMark::OneWayAudio).or(silent)
        };
        let theirs = self.sounded().find(|it| Some(it.0) == party).and_then(|it| of(it.1));
        let agents = self.sounded().any(|it| Some(it.0) != party && it.1.one_way);
        let agents = agents.then_some(AudioMark::AgentOneWay);
        theirs.into_iter().chain(agents).filter(|_| self.t_ans.is_some()).collect()
    }
}

/// Something was wrong with what was heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AudioMark {
    /// 无声电话: packets of the party outside, and never a sound in them.
    SilentCall,
    /// 单通: nothing ever came from the party outside.
    OneWayAudio,
    /// Nothing ever came from an agent's telephone.
    AgentOneWay,
}

impl AudioMark {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SilentCall => "silent_call",
            Self::OneWayAudio => "one_way_audio",
            Self::AgentOneWay => "agent_one_way",
        }
    }
}

/// A visit to a queue, however short (X28).
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct QueueSegment {
    /// `None` when the queue refused the caller at its door.
    pub ticket: Option<TicketId>,
    pub group: GroupId,
    pub priority: u8,
    pub t_q: WallTime,
    pub t_qx: Option<WallTime>,
    pub wait_ms: u64,
    pub exit: Option<QueueExit>,
}

/// A visit to an agent's device, answered or not.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct CallSegment {
    pub offer: OfferId,
    pub agent: AgentNo,
    pub extension: Extension,
    pub group: GroupId,
    pub leg: LegId,
    pub t_off: WallTime,
    pub t_ring: Option<WallTime>,
    pub t_agent: Option<WallTime>,
    pub t_br: Option<WallTime>,
    pub t_end: Option<WallTime>,
    /// From the bridge to the end, holds included.
    pub talk_ms: u64,
    pub hold_ms: u64,
    pub n_holds: u32,
    pub recording: Option<RecordingId>,
    /// Why there was no bridge.
    pub unanswered: Option<OfferEnd>,
    /// Who ended the talk.
    pub released_by: Option<Party>,
}

/// 按键评价.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct Rating {
    pub at: WallTime,
    pub answer: SurveyAnswer,
    pub recording: Option<RecordingId>,
}

/// What is known of a recording's file.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct RecordedAudio {
    pub recording: RecordingId,
    pub path: String,
    /// The first agent in it; without a letter when there was none.
    pub agent: AgentNo,
    /// His group; without a letter when there was no agent.
    pub group: GroupId,
    pub started: WallTime,
    pub sealed: bool,
    pub failed: Option<String>,
    pub duration_ms: u64,
    pub bytes: u64,
    pub sha256: String,
    pub gap_ms: u64,
    pub n_gaps: u32,
}

impl RecordedAudio {
    /// Whether an agent is in it. A flow may record a caller who comes to nobody.
    pub fn has_agent(&self) -> bool {
        !self.agent.as_str().is_empty()
    }
}

/// Exactly one for every call. A–O are the outcomes of a request for a person (requirements 4.1).
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// A: two-way speech with an agent.
    Answered,
    /// S: the caller left before the short-abandon limit.
    ShortAbandon,
    /// Q: the caller left the queue.
    AbandonedInQueue,
    /// R: the caller left while an agent rang.
    AbandonedRinging,
    /// L: lost by the system.
    Lost,
    /// F: forced out by a full queue, a wait limit, no staff or closed hours.
    Forced,
    /// The call ended in the flow and never asked for a person.
    InFlow,
    /// We refused it on the wire.
    Refused,
    /// An agent's own call: two-way speech with whom he called.
    Reached,
    /// An agent's own call that came to nothing.
    NotReached,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ShortAbandon => "short_abandon",
            Self::AbandonedInQueue => "abandoned_in_queue",
            Self::AbandonedRinging => "abandoned_ringing",
            Self::Lost => "lost",
            Self::Forced => "forced",
            Self::InFlow => "in_flow",
            Self::Refused => "refused",
            Self::Reached => "reached",
            Self::NotReached => "not_reached",
        }
    }
}

/// Waits below this are short abandons; 5 s unless configured (requirements 4.1).
#[derive(Clone, Copy, Debug)]
pub struct ShortAfter(pub Duration);

impl Default for ShortAfter {
    fn default() -> Self {
        Self(Duration::from_secs(5))
    }
}
