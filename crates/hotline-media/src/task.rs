//! What the desk has the worker do, and what the worker reports. Both cross bounded rings.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use hotline_base::{
    Key, LegId, PlayId, WallTime,
    media::{Channel, Hearing, LegQuality, LegStats, NetworkTone, PlayEnd},
};
use hotline_rtp::{Outbound, SrtpProgress, SrtpReceiver, SrtpSender};
use hotline_sdp::Stream;

use crate::worker::Playing;

/// Orders that wait for the worker.
pub(crate) const TASKS_MAX: usize = 1_024;

/// Reports that wait for the desk.
pub(crate) const REPORTS_MAX: usize = 4_096;

/// Checks and handshakes that wait for the desk.
pub(crate) const HANDOVERS_MAX: usize = 128;

/// Bytes of the longest one; what goes over Ethernet without fragments is shorter.
pub(crate) const HANDOVER: usize = 1_500;

/// Where a leg or a tape lies in its slab. The desk hands slots out; the generation tells a slot's
/// present owner from an earlier one. No two workers have the same place.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Slot {
    pub(crate) index: u32,
    pub(crate) generation: u32,
    /// Whose it is.
    pub(crate) worker: u8,
}

/// Do this. Desk → worker.
#[derive(Debug)]
pub(crate) enum Task {
    Open(Box<Opening>),
    Settle {
        leg: Slot,
        stream: Stream,
    },
    /// The port of all browsers, from now on.
    Share {
        socket: UdpSocket,
    },
    /// Keys, but for those that stay as they are.
    Secure {
        leg: Slot,
        sender: Option<Box<SrtpSender>>,
        receiver: Option<Box<SrtpReceiver>>,
    },
    /// What stands behind the header of each packet to the leg.
    Label {
        leg: Slot,
        label: Box<[u8]>,
    },
    /// What comes from this address to the port of browsers is the leg's.
    Find {
        leg: Slot,
        address: SocketAddr,
    },
    Lose {
        address: SocketAddr,
    },
    /// Where a browser's leg is sent to.
    Choose {
        leg: Slot,
        to: Option<SocketAddr>,
    },
    Hear {
        listener: Slot,
        speakers: Vec<Slot>,
    },
    Play {
        leg: Slot,
        play: Box<Playing>,
    },
    Stop {
        leg: Slot,
        play: PlayId,
    },
    SendKeys {
        leg: Slot,
        keys: Vec<Key>,
    },
    HeedTones {
        leg: Slot,
    },
    Record {
        tape: Slot,
        left: Option<Slot>,
        right: Option<Slot>,
        /// What names the recording in its blocks.
        key: u64,
    },
    Source {
        tape: Slot,
        channel: Channel,
        legs: Vec<Slot>,
    },
    Mute {
        tape: Slot,
        muted: bool,
    },
    EndRecord {
        tape: Slot,
    },
    Close {
        leg: Slot,
    },
    Quit,
}

/// A new leg.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) slot: Slot,
    pub(crate) id: LegId,
    pub(crate) door: Door,
    /// Nothing is heard or sent before keys are there.
    pub(crate) secure: bool,
    pub(crate) out: Outbound,
    pub(crate) reports: ReportStart,
    /// Complexity of Opus, 0 to 10.
    pub(crate) complexity: u8,
    /// A process that died had sent it packets.
    pub(crate) resumes: bool,
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

/// Where a leg's datagrams come in.
#[derive(Debug)]
pub(crate) enum Door {
    /// Bound and non-blocking.
    Own(UdpSocket),
    /// At the port of all browsers.
    Shared,
}

impl Door {
    /// Of a leg that has one of its own.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Own(socket) => socket.local_addr().ok().map(|it| it.port()),
            Self::Shared => None,
        }
    }
}

/// A datagram that the worker passes on as it came: a check or a handshake of a browser.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) from: SocketAddr,
    len: usize,
    bytes: [u8; HANDOVER],
}

impl Handover {
    /// `None` when it is too long.
    pub(crate) fn new(from: SocketAddr, datagram: &[u8]) -> Option<Self> {
        let (len, mut bytes) = (datagram.len(), [0; HANDOVER]);
        bytes.get_mut(..len)?.copy_from_slice(datagram);
        Some(Self { from, len, bytes })
    }

    pub(crate) fn datagram(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
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
    /// How far a peer's protected packets have come, for the process after this one.
    Progress {
        leg: LegId,
        progress: SrtpProgress,
    },
    /// The tape's last block is on its way.
    TapeDone {
        tape: Slot,
    },
}

/// A prompt in memory: A-law, shared by everybody who hears it.
pub(crate) type Audio = Arc<[u8]>;
