//! What can happen to a call, each thing once (house rule 18).

use std::{borrow::Cow, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::{
    AgentNo, Extension, FlowId, GroupId, Key, LegId, Now, OfferId, Pii, RecordingId, TicketId,
    TrunkId,
    media::{Gap, Hearing, LegQuality, LegStats, MarkedGap, NetworkTone},
};

use crate::{CalledParty, EndReason, Muting, PartyRole, RecordingControl, TransferMode};

/// A fact and when it happened.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct Stamped {
    pub at: Now,
    pub fact: CallFact,
}

/// One thing that happened to a call. The `t_…` names are those of the event model under every
/// figure (requirements 4.1).
///
/// A call keeps some twenty of them as long as it lives, so what is large and rare is in a box.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum CallFact {
    /// `t_in`: the first INVITE reached us.
    /// Shared, because it goes out as a fact and is in every version of the record.
    Arrived(Arc<Incoming>),
    /// We refused the call on the wire.
    Refused {
        status: u16,
        why: RefusedWhy,
    },
    /// `t_ans`: we answered; charging starts.
    Answered,
    /// `t_ivr0`.
    FlowEntered,
    /// `t_ivr1`: the flow handed the caller to a person, or the call ended in it.
    FlowLeft,
    /// The caller passed a node of a flow.
    Node {
        flow: FlowId,
        node: Arc<str>,
        outcome: Cow<'static, str>,
        ms: u64,
    },
    /// `t_req`: first request for a person.
    PersonRequested,
    /// `t_q`: entered a queue.
    Enqueued {
        ticket: TicketId,
        group: GroupId,
        priority: u8,
        position: u32,
    },
    /// The flow wanted to queue the caller and could not.
    EnqueueRefused {
        group: GroupId,
        why: QueueExit,
    },
    /// `t_qx`: left the queue.
    LeftQueue {
        ticket: TicketId,
        why: QueueExit,
    },
    /// `t_off`: INVITE to the agent's phone.
    Offered {
        offer: OfferId,
        ticket: TicketId,
        agent: AgentNo,
        extension: Extension,
        group: GroupId,
        leg: LegId,
    },
    /// `t_ring`: 180 of the agent's phone.
    Ringing {
        offer: OfferId,
    },
    /// The offer ended before the bridge.
    OfferEnded {
        offer: OfferId,
        why: OfferEnd,
    },
    /// `t_agent`: the agent answered.
    AgentAnswered {
        offer: OfferId,
    },
    /// `t_br`: two-way speech opened.
    Bridged {
        offer: OfferId,
    },
    Held {
        offer: OfferId,
        by: Party,
    },
    Retrieved {
        offer: OfferId,
        by: Party,
    },
    /// The agent's part of the call is over.
    AgentReleased {
        offer: OfferId,
        by: Party,
    },
    RecordingStarted {
        recording: RecordingId,
        path: String,
        offer: OfferId,
    },
    RecordingSealed {
        recording: RecordingId,
        duration_ms: u64,
        bytes: u64,
        sha256: String,
        gap_ms: u64,
        n_gaps: u32,
    },
    RecordingFailed {
        recording: RecordingId,
        reason: String,
    },
    SurveyOffered {
        survey: String,
        agent: AgentNo,
    },
    Rated(Box<SurveyAnswer>),
    Tagged {
        tag: String,
    },
    Untagged {
        tag: String,
    },
    /// A variable of the flow that goes into the record and the screen pop.
    Exported {
        name: String,
        label: String,
        value: Pii<String>,
    },
    FlowLogged {
        level: String,
        text: Pii<String>,
    },
    FlowError {
        flow: FlowId,
        node: String,
        reason: String,
    },
    /// No RTP from this leg for so long.
    MediaQuiet {
        leg: LegId,
        secs: u32,
    },
    LegClosed {
        leg: LegId,
        stats: LegStats,
    },
    /// The control process was replaced while the call went on; later facts are those the new
    /// process saw.
    ControlRestarted,
    /// `t_rel`: the caller's connection ended. `cause` is Q.850 if a peer gave one.
    Ended {
        by: Party,
        reason: EndReason,
        cause: Option<u16>,
    },
    /// The caller is on a list (`blacklist`, `vip`): the entry, and what it asks for.
    Listed {
        list: String,
        entry: u64,
        action: String,
    },
    /// `t_in` of a call that goes out: an agent wants to call a number.
    Dialled {
        agent: AgentNo,
        /// The called party's leg.
        leg: LegId,
        /// Normalised.
        number: Pii<String>,
        emergency: bool,
    },
    /// `t_off` of a call that goes out: INVITE to the telephone of the agent who dials.
    AgentCalled {
        offer: OfferId,
        agent: AgentNo,
        extension: Extension,
        group: GroupId,
        leg: LegId,
    },
    /// INVITE to a gateway of a trunk. The last one is the way the call went.
    WentOut {
        trunk: TrunkId,
        gateway: String,
        /// The number shown to the called.
        display: String,
    },
    /// A gateway did not take the call; the next one is tried. `status` is 408 for silence.
    WayRefused {
        trunk: TrunkId,
        status: u16,
    },
    /// The called party's telephone rings, or the network speaks.
    PartyRinging,
    /// A leg that we dialled came to nothing: the peer's final status, and its Q.850 cause if it
    /// gave one; or those that the tone of its network stands for, which was heard just before.
    /// What both mean says [`FailCause`](crate::FailCause).
    DialFailed {
        leg: LegId,
        status: u16,
        cause: Option<u16>,
    },
    /// What else the caller's INVITE said; after [`CallFact::Arrived`], when there is any of it.
    Signalled(Box<Signalled>),
    /// Somebody is called into the running call: `t_off` of an agent.
    PartyCalled {
        offer: OfferId,
        leg: LegId,
        role: PartyRole,
        party: CalledParty,
    },
    /// INVITE to a gateway of a trunk, for a party outside who is called in or for an agent whose
    /// telephone is a number outside.
    PartyWentOut {
        offer: OfferId,
        trunk: TrunkId,
        gateway: String,
        display: String,
    },
    /// A party outside, or a supervisor, is there.
    PartyJoined {
        offer: OfferId,
    },
    /// A party takes part in another way from now on.
    PartyMoved {
        offer: OfferId,
        role: PartyRole,
    },
    /// A party outside, or a supervisor, is gone; `why` when he had not been there.
    PartyLeft {
        offer: OfferId,
        by: Party,
        why: Option<OfferEnd>,
    },
    /// 转移: this agent gave the caller away.
    Transferred {
        offer: OfferId,
        mode: TransferMode,
    },
    /// `t_rel` of a call whose other parties talk on.
    CallerLeft {
        by: Party,
        cause: Option<u16>,
    },
    /// The recording that runs is this agent's too.
    RecordingFollows {
        recording: RecordingId,
        offer: OfferId,
    },
    /// None of the agent's telephones of one kind was there: those of another kind are called, by
    /// this leg.
    PhoneChanged {
        offer: OfferId,
        leg: LegId,
    },
    /// A party began or ceased to be heard.
    Hearing {
        leg: LegId,
        state: Hearing,
    },
    /// The network said something by a tone to this leg, which we called.
    ToneHeard {
        leg: LegId,
        tone: NetworkTone,
    },
    /// How a leg sounded over its life.
    LegSounded {
        leg: LegId,
        quality: LegQuality,
    },
    /// The agent goes on at another of his telephones, which has this leg.
    TakenOver {
        offer: OfferId,
        leg: LegId,
    },
    /// 暂停录音, 遮蔽: silence is written from here on.
    RecordingMuted {
        recording: RecordingId,
        how: Muting,
        by: AgentNo,
    },
    /// 恢复录音. `by` muted it when it is his leaving that ends it.
    RecordingResumed {
        recording: RecordingId,
        by: AgentNo,
    },
    /// What was measured of a sealed recording.
    RecordingMeasured {
        recording: RecordingId,
        /// Audio that arrived for the caller's and for the agents' channel.
        heard_ms: [u64; 2],
        /// Where audio that arrived could not be written; the first of them.
        gaps: Vec<Gap>,
    },
    /// The media process was replaced, and the legs of the call came back with the next one. What
    /// was said in between nobody heard.
    MediaRestarted,
    /// 挂起转: the agent sent the caller to a flow and waits.
    Suspended {
        offer: OfferId,
        flow: FlowId,
    },
    /// The caller is out of that flow: back with the agent, if he is still there.
    Returned(Box<FlowResult>),
    /// 静音: nobody hears the agent from here on.
    AgentMuted {
        offer: OfferId,
    },
    /// 取消静音.
    AgentUnmuted {
        offer: OfferId,
    },
    /// 停止录音 by command: what is said from here on is in no part, or in another one.
    RecordingStopped {
        recording: RecordingId,
        by: AgentNo,
    },
    /// 外线坐席: what rings for this agent is a number outside; [`CallFact::PartyWentOut`] follows
    /// with the trunk.
    RungOutside {
        offer: OfferId,
        leg: LegId,
        number: Pii<String>,
    },
    /// A flow, or a supervisor, changed a recording.
    RecordingControlled(Box<RecordingControl>),
    /// A recording that failed is written again; what is missing is a gap.
    RecordingRecovered {
        recording: RecordingId,
    },
    /// Why something is missing in a recording that is sealed next; none where nothing is.
    RecordingGaps {
        recording: RecordingId,
        gaps: Vec<MarkedGap>,
    },
    /// A trunk has no channel left for this outgoing leg ([`RefusedWhy::OverLimit`]), or took as
    /// many calls in this second as it may ([`RefusedWhy::TooFast`]): the next one is tried.
    WayFull {
        trunk: TrunkId,
        why: RefusedWhy,
    },
}

/// What came of a flow that an agent sent the caller to.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct FlowResult {
    pub offer: OfferId,
    pub flow: FlowId,
    pub how: FlowReturn,
    /// What the flow gives back, by name.
    pub values: Vec<(String, Pii<String>)>,
}

/// How a flow ended that an agent sent the caller to.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum FlowReturn {
    Done,
    /// It failed, or took longer than it may.
    Failed,
    /// The agent took the caller back.
    Recalled,
    /// The caller hung up in it, or the flow did.
    HungUp,
    /// It ended with its control process.
    Lost,
}

impl FlowReturn {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Recalled => "recalled",
            Self::HungUp => "hung_up",
            Self::Lost => "lost",
        }
    }
}

/// A caller's INVITE.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct Incoming {
    pub leg: LegId,
    pub trunk: TrunkId,
    /// Normalised; `None` is 匿名.
    pub caller: Option<Pii<String>>,
    pub caller_raw: Pii<String>,
    pub restricted: bool,
    pub called: String,
    pub called_raw: String,
    /// `None` when no flow claims the number.
    pub flow: Option<FlowId>,
    pub bundle: String,
}

/// What a carrier may tell of a call besides its two numbers.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Default, Eq, PartialEq)]
pub struct Signalled {
    /// The number the caller would be called by, vouched for by nobody.
    pub preferred: Option<Pii<String>>,
    /// The number first dialled, when the call was diverted to us, and why as the network says.
    pub diverted_from: Option<Pii<String>>,
    pub diverted_why: String,
    /// User-to-User as it came (RFC 7433).
    pub user_to_user: Option<Pii<String>>,
}

/// Who did it. 挂机方 of a record.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Party {
    Caller,
    Agent,
    Platform,
    Carrier,
    Supervisor,
    /// Whom an agent called.
    Called,
    /// Nobody wished it: an agent's telephone is lost, and gave no sign of life any more.
    Telephone,
}

impl Party {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
            Self::Platform => "platform",
            Self::Carrier => "carrier",
            Self::Supervisor => "supervisor",
            Self::Called => "called",
            Self::Telephone => "telephone",
        }
    }
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum RefusedWhy {
    UnknownNumber,
    OverLimit,
    NoPort,
    BadSdp,
    NoCommonCodec,
    MediaDown,
    MediaSlow,
    SpoolDown,
    Draining,
    /// More calls a second than the trunk is agreed to send.
    TooFast,
    NoCommonAddress,
    MediaBusy,
}

impl RefusedWhy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownNumber => "unknown_number",
            Self::OverLimit => "over_limit",
            Self::NoPort => "no_port",
            Self::BadSdp => "bad_sdp",
            Self::NoCommonCodec => "no_common_codec",
            Self::MediaDown => "media_down",
            Self::MediaSlow => "media_slow",
            Self::SpoolDown => "spool_down",
            Self::Draining => "draining",
            Self::TooFast => "too_fast",
            Self::NoCommonAddress => "no_common_address",
            Self::MediaBusy => "media_busy",
        }
    }

    /// Q.850 of the Reason beside the status (RFC 6432): a network of ISUP tells its caller by it.
    pub const fn cause(self) -> u8 {
        match self {
            Self::UnknownNumber => 1,
            Self::OverLimit => 34, // No circuit.
            Self::TooFast | Self::MediaBusy => 42,
            Self::NoPort => 47,
            // Bearer capability not implemented; RFC 3398 §7.2.4.1 makes 488 of it.
            Self::NoCommonCodec | Self::NoCommonAddress => 65,
            // Invalid information element contents.
            Self::BadSdp => 100,
            Self::MediaDown | Self::MediaSlow | Self::SpoolDown | Self::Draining => 41,
        }
    }

    /// The status that goes out. 503 carries no Retry-After, which would stop the carrier (RFC 3261
    /// §21.5.4), but for [`Draining`](Self::Draining), when that is meant.
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownNumber => 404,
            Self::BadSdp => 400,
            Self::NoCommonCodec | Self::NoCommonAddress => 488,
            Self::OverLimit
            | Self::NoPort
            | Self::MediaDown
            | Self::MediaSlow
            | Self::MediaBusy
            | Self::SpoolDown
            | Self::Draining
            | Self::TooFast => 503,
        }
    }
}

/// How a visit to a queue ended.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum QueueExit {
    /// Bridged to an agent.
    Answered,
    /// The caller hung up.
    Abandoned,
    /// The wait limit ran out.
    TimedOut,
    /// The caller pressed a key that leads elsewhere.
    Key,
    Full,
    NoAgents,
    Closed,
    /// The engine lost it.
    System,
}

impl QueueExit {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Abandoned => "abandoned",
            Self::TimedOut => "timed_out",
            Self::Key => "key",
            Self::Full => "full",
            Self::NoAgents => "no_agents",
            Self::Closed => "closed",
            Self::System => "system",
        }
    }
}

/// How an offer ended without a bridge.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum OfferEnd {
    /// 久不应答.
    NoAnswer,
    /// The phone refused.
    Rejected,
    /// The phone cannot be reached.
    Unreachable,
    /// The caller hung up, or left the queue by key or time.
    CallerLeft,
    /// The agent hung up between the answer and the bridge.
    AgentLeft,
    /// The engine could not give the leg a port, or lost it.
    System,
    /// The agent was there, and whom he called was not.
    NotReached,
}

impl OfferEnd {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::CallerLeft => "caller_left",
            Self::AgentLeft => "agent_left",
            Self::System => "system",
            Self::NotReached => "not_reached",
        }
    }
}

/// 按键评价: one answer of one caller about one agent.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct SurveyAnswer {
    pub survey: String,
    pub agent: AgentNo,
    pub group: GroupId,
    pub key: Key,
    pub value: i64,
    pub label: String,
    pub satisfied: bool,
}
