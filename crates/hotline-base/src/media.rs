//! What control orders of media, and what media tells control.
//!
//! Both are plain values. They cross a bounded local socket as a 4-byte big-endian length and the
//! `borsh` form of [`Order`] or [`Event`]; [`VERSION`] is checked in the greeting. Media knows
//! legs, plays and files; it does not know calls or agents.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{ContextId, Key, LegId, PlayId, PromptId, RecordingId, WallTime};

/// Version of the values in this file. A peer of another version is refused.
pub const VERSION: u16 = 11;

/// Do this. Control → media, at most 1,024 waiting.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// First on every connection. Media answers [`Event::Inventory`].
    Hello {
        version: u16,
    },
    /// Make a leg. With an offer media answers it ([`Event::Opened`] carries the answer) in the
    /// offer's own profile; without one it makes an offer in this profile ([`Event::Opened`]
    /// carries the offer, [`Order::Answer`] follows). Legs hear, and are recorded with, those of
    /// their own context alone; the first one of a context is a new call.
    Open {
        leg: LegId,
        offer: Option<String>,
        profile: Profile,
        context: ContextId,
    },
    /// The peer's answer to our offer, or to our re-offer. Answered by [`Event::Settled`].
    Answer {
        leg: LegId,
        answer: String,
    },
    /// The peer offers anew (re-INVITE, UPDATE). Answered by [`Event::Reanswered`].
    Reoffer {
        leg: LegId,
        offer: String,
    },
    /// Who hears whom from now on: the legs named hear exactly what is listed. A leg that hears a
    /// play goes on hearing the play until it ends or is stopped. Who was told that he hears nobody
    /// is sent silence without a pause, then and later; name nobody so who is not answered yet.
    Mix {
        hears: Vec<Hears>,
    },
    /// Play prompts to a leg, in order and without a gap. Replaces a running play. Ends with
    /// [`Event::PlayDone`] in every case; unknown legs are ignored.
    Play(Play),
    /// End a play early; answered by [`Event::PlayDone`]. Unknown plays are ignored.
    Stop {
        leg: LegId,
        play: PlayId,
    },
    /// Send keys to a leg by RFC 4733, 100 ms each with 100 ms between.
    SendKeys {
        leg: LegId,
        keys: Vec<Key>,
    },
    /// Record what `left` and `right` say into one two-channel A-law WAV at `path`, relative to
    /// the recording directory. Ends with [`Event::Recorded`] or [`Event::RecordFailed`].
    Record {
        recording: RecordingId,
        path: String,
        left: LegId,
        right: LegId,
    },
    /// The parties of one channel changed (transfer, conference): their sum is written, silence
    /// without any.
    RecordSource {
        recording: RecordingId,
        channel: Channel,
        legs: Vec<LegId>,
    },
    StopRecord {
        recording: RecordingId,
    },
    /// End a leg; its port drains. Answered by [`Event::Closed`]. Unknown legs are ignored.
    Close {
        leg: LegId,
    },
    /// The peer wants an offer of ours in the middle of a call (a re-INVITE without one). Answered
    /// by [`Event::Described`]; [`Order::Answer`] follows. Unknown legs are ignored.
    Describe {
        leg: LegId,
    },
    /// Listen for tones of the network (回铃音, 忙音) in what comes from a leg.
    HeedTones {
        leg: LegId,
    },
    /// While muted, a recording holds silence on both channels and its time goes on: what is said
    /// and what is pressed meanwhile is in no file. Unknown recordings are ignored.
    RecordMute {
        recording: RecordingId,
        muted: bool,
    },
}

/// How RTP travels in an offer of ours (the `proto` of the `m=` line). Later ones are better kept
/// from strangers.
#[derive(
    BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd,
)]
pub enum Profile {
    /// `RTP/AVP`: in the clear.
    #[default]
    Plain,
    /// `RTP/SAVP` with keys in the description (SDES, RFC 4568), for telephones over TLS.
    Sdes,
    /// `UDP/TLS/RTP/SAVPF`: ICE and DTLS-SRTP, for browsers (RFC 8827).
    WebRtc,
}

/// `listener` hears the sum of all `speakers`; silence without any.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct Hears {
    pub listener: LegId,
    pub speakers: Vec<LegId>,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum Channel {
    Left,
    Right,
}

impl Channel {
    /// Who is on it, in the word of records.
    pub const fn side(self) -> &'static str {
        match self {
            Self::Left => "caller",
            Self::Right => "agent",
        }
    }
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct Play {
    pub leg: LegId,
    pub play: PlayId,
    pub prompts: Vec<PromptId>,
    /// How often the list is played; 0 is for ever (music).
    pub times: u32,
    /// Silence between two rounds, in milliseconds.
    pub gap_ms: u32,
    /// Whether a key ends the play. Keys in the first `grace_ms` do not.
    pub stop_on_key: bool,
    pub grace_ms: u32,
    /// The play ends after this time, in milliseconds; 0 is no limit.
    pub limit_ms: u32,
}

/// This happened. Media → control, at most 4,096 waiting.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Answer to [`Order::Hello`]: the legs and recordings alive in this process, which may have
    /// begun under an earlier control process.
    Inventory {
        version: u16,
        legs: Vec<LegId>,
        recordings: Vec<RecordingId>,
        /// When this process began: what is older was brought back from one that died.
        began: WallTime,
    },
    /// The leg has a port; `sdp` is our answer or our offer.
    Opened {
        leg: LegId,
        sdp: String,
    },
    /// The peer's answer was understood.
    Settled {
        leg: LegId,
        hold: bool,
    },
    /// Our answer to a re-offer; `hold` says whether the peer asked us to stop sending
    /// (RFC 3264 §8.4: `sendonly`, `inactive`, or address 0.0.0.0).
    Reanswered {
        leg: LegId,
        sdp: String,
        hold: bool,
    },
    /// The order could not be carried out. After `Open` the leg does not exist; after `Answer` and
    /// `Reoffer` it goes on as it was.
    Failed {
        leg: LegId,
        order: FailedOrder,
        reason: FailReason,
    },
    /// A play ended.
    PlayDone {
        leg: LegId,
        play: PlayId,
        played_ms: u32,
        end: PlayEnd,
    },
    /// A key went down. One press is one event.
    Key {
        leg: LegId,
        key: Key,
    },
    /// No RTP for this long on a leg that should hear some; once at 5 s and again at 30 s. 0: after
    /// such a time there is some again.
    Quiet {
        leg: LegId,
        secs: u32,
    },
    Recorded(Recorded),
    RecordFailed {
        recording: RecordingId,
        reason: String,
    },
    /// The leg is gone, with what it saw.
    Closed {
        leg: LegId,
        stats: LegStats,
    },
    /// Our offer, as [`Order::Describe`] asked for.
    Described {
        leg: LegId,
        sdp: String,
    },
    /// A party begins or ceases to be heard, each change once.
    Hearing {
        leg: LegId,
        state: Hearing,
    },
    /// The network says something by a tone, on a leg that [`Order::HeedTones`] named.
    Tone {
        leg: LegId,
        tone: NetworkTone,
    },
    /// How a leg sounded over its life; just before [`Event::Closed`].
    Sounded {
        leg: LegId,
        quality: LegQuality,
    },
    /// What the process counts, every few seconds; not kept for a control that is not there.
    Figures(Box<Figures>),
    /// After [`Event::RecordFailed`]: the recording is written again.
    RecordRecovered {
        recording: RecordingId,
    },
    /// Whether sound is due from a leg's peer, each change once: none is while he holds, or where
    /// he only listens. Until something is said it is due.
    OwesSound {
        leg: LegId,
        owes: bool,
    },
    /// What there is room for: plain legs of new calls, and ports. Said when it has changed, every
    /// 20 ms at most; whoever orders counts those legs himself of which he has not heard yet.
    Room {
        legs: u32,
        ports: u32,
    },
}

/// What a network says by a tone of 450 Hz (GF 002-9002).
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum NetworkTone {
    /// 拨号音
    Dial,
    /// 回铃音
    RingBack,
    /// 忙音
    Busy,
    /// 拥塞音
    Congestion,
    /// 空号音
    Vacant,
}

impl NetworkTone {
    /// The word for it in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dial => "dial",
            Self::RingBack => "ring_back",
            Self::Busy => "busy",
            Self::Congestion => "congestion",
            Self::Vacant => "vacant",
        }
    }
}

/// Whether a party is heard (单通, 无声电话).
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hearing {
    /// For 5 s nothing has come from him at all, though it should (单通).
    OneWay,
    /// Packets came from him, and for 5 s no longer do.
    Dead,
    /// Packets come, and for 15 s nothing was in them that is louder than −50 dBm0.
    Silent,
    /// After one of the above there is sound.
    Heard,
}

impl Hearing {
    /// The word for it in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneWay => "one_way",
            Self::Dead => "dead",
            Self::Silent => "silent",
            Self::Heard => "heard",
        }
    }
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailedOrder {
    Open,
    Answer,
    Reoffer,
    /// DTLS with a browser, whenever it ends so: the leg stays, and stays silent.
    Secure,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailReason {
    /// The description cannot be read (400).
    BadSdp,
    /// No audio line, or no codec we speak (488).
    NoCommonCodec,
    /// No port free (503).
    NoPort,
    /// The worker takes no more legs (503).
    Busy,
    UnknownLeg,
    /// The description names no address we can send to (488).
    NoCommonAddress,
    /// The peer's certificate is not the one of its description.
    BadCertificate,
}

#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum PlayEnd {
    /// Played to its end.
    Finished,
    /// Interrupted by this key, which is also reported as [`Event::Key`] (after this event).
    Key(Key),
    /// Stopped by order, by another play or by its limit.
    Stopped,
    /// Some prompts of the list do not exist; the others, if any, were played.
    Missing,
}

/// A sealed recording.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Eq, PartialEq)]
pub struct Recorded {
    pub recording: RecordingId,
    /// Relative to the recording directory.
    pub path: String,
    pub duration_ms: u64,
    pub bytes: u64,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// Audio that could not be written, in milliseconds, and how many times. A recording that broke
    /// off because its process died has one gap more, of unknown length, at its end.
    pub gap_ms: u64,
    pub n_gaps: u32,
    /// What was measured while it was written; `None` when its process died.
    pub measured: Option<Box<Measured>>,
}

/// How much of a recording is what somebody said.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Default, Eq, PartialEq)]
pub struct Measured {
    /// Audio that arrived for the left and for the right channel, in milliseconds. The rest is
    /// silence: lost on the way, muted, or not sent.
    pub heard_ms: [u64; 2],
    /// What is missing and why; the first [`GAPS_MAX`] of them.
    pub gaps: Vec<MarkedGap>,
}

/// Gaps of a recording that are told one by one.
pub const GAPS_MAX: usize = 64;

/// A stretch of a recording, in milliseconds from its start.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gap {
    pub from_ms: u64,
    pub to_ms: u64,
}

/// A gap, and what is known of it.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub struct MarkedGap {
    pub gap: Gap,
    pub why: GapWhy,
    /// What is missing is one side's; `None` is both.
    pub channel: Option<Channel>,
}

/// Why something is missing in a recording. What a person or a flow muted is no gap.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum GapWhy {
    /// The disk did not take it: full, too slow, broken.
    Disk,
    /// It arrived, and there was no room on its way to the disk.
    Shed,
    /// Packets that were sent did not arrive, 100 ms of them or more.
    Lost,
    /// It was said in a codec that is only passed on.
    Codec,
    /// The media process died; what the next one records is in another recording.
    MediaRestarted,
}

impl GapWhy {
    /// The word for it in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Shed => "shed",
            Self::Lost => "lost",
            Self::Codec => "codec",
            Self::MediaRestarted => "media_restarted",
        }
    }
}

/// Counted over a leg's life, from our end.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LegStats {
    pub packets_in: u64,
    pub packets_out: u64,
    /// Missing sequence numbers.
    pub lost: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1) at the end, in microseconds.
    pub jitter_us: u32,
    /// Packets of strangers and packets that are not RTP, dropped.
    pub refused: u64,
}

/// How a leg sounded. *In* is what came from the peer, *out* what he got of us, as his RTCP reports
/// tell; `None` where nothing tells.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LegQuality {
    /// Lost on the way, in thousandths of what was sent.
    pub loss_in_permille: Option<u16>,
    pub loss_out_permille: Option<u16>,
    /// Interarrival jitter (RFC 3550 §6.4.1), in microseconds.
    pub jitter_in_us: Option<u32>,
    pub jitter_out_us: Option<u32>,
    /// There and back again, without the time he took to answer, in microseconds.
    pub round_trip_us: Option<u32>,
    /// Mean opinion score by the E-model (ITU-T G.107), times 100: 100 to 450.
    pub mos_in_x100: Option<u16>,
    pub mos_out_x100: Option<u16>,
    /// RTCP datagrams taken from the peer, and sent to him.
    pub reports_in: u32,
    pub reports_out: u32,
    /// We should have heard him for 5 s or longer, and no packet ever came (单通).
    pub one_way: bool,
    /// Packets came for 5 s or longer, and no sound was in any of them (无声).
    pub silent: bool,
}

/// What a media process counts. Totals since it began, but for `legs` and shares.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// Legs alive.
    pub legs: u32,
    /// Events that control did not hear.
    pub events_dropped: u64,
    /// Links to control that were ended by force.
    pub links_dropped: u64,
    /// 20 ms ticks, those left out, and the latest one in microseconds behind its time.
    pub ticks: u64,
    pub ticks_skipped: u64,
    pub tick_late_max_us: u64,
    /// Packets that the kernel did not take.
    pub sends_refused: u64,
    /// Parties and tapes beyond what a mix or a leg can hold.
    pub mixes_refused: u64,
    /// Syncs of recordings that were put off because the disk was behind.
    pub syncs_skipped: u64,
    /// RTCP datagrams taken, refused (of strangers, or broken) and sent.
    pub reports_in: u64,
    pub reports_refused: u64,
    pub reports_out: u64,
    /// Datagrams at the port of browsers that are nobody's, and those the desk had no room for.
    pub browser_refused: u64,
    pub handovers_dropped: u64,
    /// Whether packets come in by `sk_lookup`.
    pub sk_lookup: bool,
    /// Legs not opened because workers were busy or late.
    pub legs_refused: u64,
    /// Legs of a process that died, brought back by this one.
    pub legs_revived: u64,
    /// Whether memory is kept from being swapped out.
    pub memory_locked: bool,
    /// By their numbers.
    pub workers: Vec<WorkerFigures>,
}

/// How the kernel chooses a media worker among threads that can run.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scheduling {
    /// Like all others.
    #[default]
    Normal,
    /// Before others, as a rule.
    Nice,
    /// Before all that are not of this kind (`SCHED_FIFO`).
    Fifo,
}

/// What a media worker counts.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WorkerFigures {
    /// Legs alive.
    pub legs: u64,
    /// Its share of a core over the last second, and of what was due, the share that came more than
    /// 5 ms late; in thousandths.
    pub busy_permille: u64,
    pub late_permille: u64,
    /// What came more than 40 ms late.
    pub rounds_missed: u64,
    /// Packets that had queued up meanwhile and were not passed on.
    pub packets_stale: u64,
    /// For want of time: reports (RTCP) that were not sent, and mixes of conferences in which those
    /// who do not talk were heard.
    pub reports_shed: u64,
    pub gates_shed: u64,
    pub scheduling: Scheduling,
    /// The core that it is pinned to.
    pub core: Option<u32>,
}
