//! All that comes in and all that goes out.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_agent::{AgentFact, AgentView, Command, Refused};
use hotline_base::{
    AgentNo, CallId, CommandId, ConnId, FlowId, GroupId, Pii, RecordingId, TrunkId, WallTime,
    media::{Event, Order},
};
use hotline_cdr::{CallRecord, FlowReturn, RecordingNews, Stamped};
use hotline_ladder::Trace;
use hotline_sip::{Flow, Message, PeerMisbehaved, Transport};
use hotline_trunk::{
    Lists,
    statistics::{Figures, RowKey},
    watch::CarrierAlarm,
};

/// Everything that can happen. A list of these with their times replays a shift.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug)]
pub enum Input {
    /// A SIP message that could be read.
    Sip {
        flow: Flow,
        message: Message,
        /// How long it waited for its turn since it reached the socket, in microseconds.
        waited_us: u64,
    },
    /// Bytes that are no SIP message; `reply` goes back if there is one.
    SipBroken {
        flow: Flow,
        why: PeerMisbehaved,
        reply: Option<Vec<u8>>,
    },
    ConnectionGone {
        conn: ConnId,
    },
    Media(Event),
    /// A media process is connected; it knows nothing of calls.
    MediaUp,
    /// The media process is gone, with every leg.
    MediaDown,
    /// A person or a system asks for something; answered by exactly one [`Output::Reply`].
    Command {
        id: CommandId,
        agent: AgentNo,
        command: Command,
    },
    /// Whether facts can be written to disk. New calls are refused while they cannot.
    Spool {
        healthy: bool,
    },
    /// First input after the start: what an earlier control process kept.
    Restored {
        entries: Vec<(String, Vec<u8>)>,
    },
    /// Take no new calls.
    Drain,
    /// The grace period of a drain is over: end the calls that still run.
    EndCalls,
    /// Nothing sent by this flow arrives.
    Unreachable {
        flow: Flow,
    },
    /// There was no room for this order on its way to media. Its call cannot be as it was decided
    /// and ends.
    OrderLost(Order),
    /// Somebody wants a call's ladder; answered by exactly one [`Output::LadderShown`]. `store`:
    /// it shall be kept beyond this process, at once or when the call is over.
    ShowLadder {
        id: CommandId,
        call: CallId,
        store: bool,
    },
    /// Blacklist and VIP as they are from now on, also for calls in progress.
    Lists(Arc<Lists>),
    /// Somebody wants the figures of the trunks; answered by exactly one
    /// [`Output::TrafficShown`].
    ShowTraffic {
        id: CommandId,
    },
    /// The shortest time that a message waited for its turn since this was last said, in
    /// microseconds; at most ten times a second, while messages come. Of new calls, where they wait
    /// behind others.
    Waited {
        least_us: u64,
    },
}

impl Input {
    /// For timing and logs; no personal data.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sip { .. } => "sip",
            Self::SipBroken { .. } => "sip broken",
            Self::ConnectionGone { .. } => "connection gone",
            Self::Media(_) => "media",
            Self::MediaUp => "media up",
            Self::MediaDown => "media down",
            Self::Command { .. } => "command",
            Self::Spool { .. } => "spool",
            Self::Restored { .. } => "restored",
            Self::Drain => "drain",
            Self::EndCalls => "end calls",
            Self::Unreachable { .. } => "unreachable",
            Self::OrderLost(_) => "order lost",
            Self::ShowLadder { .. } => "show ladder",
            Self::Lists(_) => "lists",
            Self::ShowTraffic { .. } => "show traffic",
            Self::Waited { .. } => "waited",
        }
    }
}

/// Everything the switchboard says. Within a turn, what must be on disk comes first: transmissions
/// that follow an [`Output::Record`] may leave only when it is safe there.
#[derive(Debug)]
pub enum Output {
    Record(Box<CallRecord>),
    Agent(Box<AgentUpdate>),
    /// Keep these bytes under this key, across a restart; `None` forgets.
    Keep {
        key: String,
        value: Option<Vec<u8>>,
    },
    Transmit {
        flow: Flow,
        bytes: Arc<[u8]>,
    },
    Order(Order),
    Reply {
        id: CommandId,
        result: Result<AgentView, Refused>,
    },
    /// One thing happened to a call: for metrics, logs and live views.
    Fact {
        call: CallId,
        fact: Arc<Stamped>,
    },
    /// A recording began, was sealed, or cannot be written.
    Recording(Box<RecordingNews>),
    /// Something to count that belongs to no call.
    Count(Count),
    /// Somebody should look at it, or may stop looking.
    Alarm(Alarm),
    /// The first telephone registered by this way, or the last one left: the rim never bans an
    /// address with telephones, and answers their keep-alives.
    PhonesAt {
        transport: Transport,
        address: SocketAddr,
        known: bool,
    },
    /// The signalling of a call that failed, or that somebody asked to keep: to be stored.
    Ladder(Box<Trace>),
    /// `None`: the call is unknown, or its ladder has made room for others.
    LadderShown {
        id: CommandId,
        trace: Option<Box<Trace>>,
    },
    TrafficShown {
        id: CommandId,
        view: Box<TrafficView>,
    },
}

/// What operators are told at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Alarm {
    /// A gateway answers no probes any more, or does again.
    Gateway { trunk: TrunkId, address: SocketAddr, lives: bool },
    /// No gateway of a trunk answers, or one does again.
    Trunk { trunk: TrunkId, lives: bool },
    /// An account of a trunk is registered again, or not any more; `status` is the last answer.
    Registration { trunk: TrunkId, account: String, registered: bool, status: u16 },
    /// One carrier's failures rise while others' do not, or have ceased.
    Carrier(CarrierAlarm),
    /// Too many calls abroad: there are none for a while. This agent wanted the last one.
    AbroadBlocked { agent: AgentNo },
    /// Callers are turned away because too many come; so many new calls a second are taken.
    Overload { per_sec: Option<u64> },
    /// Nobody has been turned away for five seconds.
    OverloadOver,
}

/// Figures of trunks for each quarter hour, oldest first.
#[derive(Clone, Debug)]
pub struct TrafficView {
    pub rows: Vec<TrafficRow>,
    pub carriers: BTreeMap<String, CarrierView>,
}

/// A carrier as it is now: its trunks added up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CarrierView {
    /// Its failures rise while others' do not.
    pub alarm: bool,
    pub trunks: Vec<TrunkId>,
    pub n_gateways: usize,
    /// Those that answer probes, or are not probed.
    pub n_gateways_up: usize,
    /// Probes since the start.
    pub probes_good: u64,
    pub probes_failed: u64,
    pub n_accounts: usize,
    pub n_registered: usize,
}

#[derive(Clone, Debug)]
pub struct TrafficRow {
    pub key: RowKey,
    pub carrier: String,
    pub figures: Figures,
}

/// An agent's state changed.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, PartialEq)]
pub struct AgentUpdate {
    pub fact: AgentFact,
    pub view: AgentView,
    /// The call on the agent's line: what a screen pop shows.
    pub call: Option<CallBrief>,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, PartialEq)]
pub struct CallBrief {
    pub call: CallId,
    /// `None` is 匿名.
    pub caller: Option<Arc<Pii<String>>>,
    pub called: Arc<str>,
    pub trunk: TrunkId,
    pub group: Option<GroupId>,
    pub t_in: WallTime,
    pub waited_ms: u64,
    pub recording: Option<RecordingId>,
    /// The agent made the call: `caller` is whom he calls, `called` the number shown.
    pub outbound: bool,
    /// 随路数据: tags, and name, label and value of what flows exported and gave back so far.
    pub tags: Vec<String>,
    pub attached: Vec<(String, String, Pii<String>)>,
    /// The last flow that an agent sent the caller to, and how it ended.
    pub last_flow: Option<(FlowId, FlowReturn)>,
}

/// Counted, not recorded.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum Count {
    /// A request from nobody we know.
    Stranger,
    /// A REGISTER with wrong credentials.
    AuthFailed,
    /// A peer broke a rule.
    Misbehaved(PeerMisbehaved),
    /// A call's step panicked and the call was ended.
    Panicked,
    /// A kept value of another version was forgotten.
    NotRestored,
    /// Media had a leg that no call owns; it was closed.
    OrphanLeg,
    /// So many REGISTERs with wrong credentials came for one user from one address that no more
    /// are looked at for a while.
    LockedOut,
    /// A carrier's rules made something that is no message; it was taken as it came.
    RulesSpoiled,
    /// A new call that was too much, refused without a record.
    TurnedAway,
}
