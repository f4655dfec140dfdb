//! What the desk has the worker do, and what the worker reports. Both cross bounded rings.

use std::{net::UdpSocket, sync::Arc};

use hotline_base::{
    Key, LegId, PlayId, WallTime,
    media::{Channel, Hearing, LegQuality, LegStats, NetworkTone, PlayEnd},
};
use hotline_rtp::Outbound;
use hotline_sdp::Stream;

use crate::{recorder::Block, worker::Playing};

/// Orders that wait for the worker.
pub(crate) const TASKS_MAX: usize = 1_024;

/// Reports that wait for the desk.
pub(crate) const REPORTS_MAX: usize = 4_096;

/// Where a leg or a tape lies in its slab. The desk hands slots out; the generation tells a slot's
/// present owner from an earlier one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Slot {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Do this. Desk → worker.
#[derive(Debug)]
pub(crate) enum Task {
    Open(Box<Opening>),
    Settle { leg: Slot, stream: Stream },
    Hear { listener: Slot, speakers: Vec<Slot> },
    Play { leg: Slot, play: Box<Playing> },
    Stop { leg: Slot, play: PlayId },
    SendKeys { leg: Slot, keys: Vec<Key> },
    HeedTones { leg: Slot },
    Record { tape: Slot, left: Option<Slot>, right: Option<Slot>, blocks: Vec<Block> },
    Source { tape: Slot, channel: Channel, legs: Vec<Slot> },
    Mute { tape: Slot, muted: bool },
    EndRecord { tape: Slot },
    Close { leg: Slot },
    Quit,
}

/// A new leg.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) slot: Slot,
    pub(crate) id: LegId,
    /// Bound and non-blocking.
    pub(crate) socket: UdpSocket,
    pub(crate) out: Outbound,
    pub(crate) reports: ReportStart,
    /// Complexity of Opus, 0 to 10.
    pub(crate) complexity: u8,
}

/// What a leg's RTCP begins with.
#[derive(Debug)]
pub(crate) struct ReportStart {
    /// Bound and non-blocking; `None` where reports come in otherwise, or not at all.
    pub(crate) socket: Option<UdpSocket>,
    pub(crate) seed: u64,
    /// The canonical name (RFC 3550 §6.5.1): random, so that it tells nobody anything (RFC 7022).
    pub(crate) name: [u8; 16],
    pub(crate) wall: WallTime,
}

/// This happened. Worker → desk.
#[derive(Debug)]
pub(crate) enum Report {
    Key {
        leg: LegId,
        key: Key,
    },
    /// `spent` goes back so that its memory is freed elsewhere.
    PlayDone {
        leg: LegId,
        play: PlayId,
        played_ms: u32,
        end: PlayEnd,
        spent: Box<Playing>,
    },
    Quiet {
        leg: LegId,
        secs: u32,
    },
    Closed {
        leg: LegId,
        slot: Slot,
        socket: Option<UdpSocket>,
        stats: LegStats,
        quality: LegQuality,
    },
    Hearing {
        leg: LegId,
        state: Hearing,
    },
    Tone {
        leg: LegId,
        tone: NetworkTone,
    },
    /// The tape's last block is on its way; blocks that are not needed any more come back.
    TapeDone {
        tape: Slot,
        blocks: Vec<Block>,
    },
}

/// A prompt in memory: A-law, shared by everybody who hears it.
pub(crate) type Audio = Arc<[u8]>;
