//! What is going to happen, in the order of time.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use hotline_base::{AgentNo, CommandId, ConnId, LegId, MonoTime, media};
use hotline_sip::Flow;

use crate::storm::Line;

/// Something that happens to somebody.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Event {
    /// A datagram arrives.
    Arrives {
        flow: Flow,
        bytes: Arc<[u8]>,
    },
    /// Media tells control; dropped if the media process has died since.
    Media {
        life: u32,
        event: Told,
    },
    CallerDials,
    CallerActs {
        leg: LegId,
        deed: CallerDeed,
    },
    CalleeActs {
        leg: LegId,
        deed: CalleeDeed,
    },
    PhoneActs {
        phone: usize,
        leg: LegId,
        deed: PhoneDeed,
    },
    PhoneRegisters {
        phone: usize,
    },
    /// It has a new connection, and says where it is.
    PhoneConnects {
        phone: usize,
    },
    PhoneLosesPower,
    PhoneReturns {
        phone: usize,
    },
    /// A browser's page is loaded again.
    PageReloads {
        phone: usize,
    },
    /// A browser comes to another network.
    PageMoves {
        phone: usize,
    },
    ConnectionGone {
        conn: ConnId,
    },
    /// There is no connection that this could go by.
    Unreachable {
        flow: Flow,
    },
    /// DTLS with a browser is done.
    CertificateShown {
        leg: LegId,
    },
    /// By now media must have closed the leg, if it is still the same process.
    MustBeClosed {
        leg: LegId,
        life: u32,
    },
    AgentActs {
        agent: AgentNo,
    },
    MediaDies,
    MediaReturns,
    DiskFails,
    DiskReturns,
    PeersVanish,
    ControlDies,
    /// The carrier's second gateway falls silent.
    GatewayDies,
    GatewayReturns,
    LineCut {
        line: Line,
    },
    LineReturns,
    /// By now the switchboard must know.
    GatewayIsKnown,
    /// The wall clock is this many milliseconds ahead from now on.
    ClockSet {
        ahead: i64,
    },
    FaultsEnd,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum CallerDeed {
    Presses(char),
    HangsUp,
    Holds,
    /// As IMS does soon after the answer: the same description once more.
    Refreshes,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum PhoneDeed {
    Answers,
    Rejects,
    Holds,
    HangsUp,
}

/// What somebody outside does whom an agent calls, or the network for him.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum CalleeDeed {
    Rings { early: bool },
    Answers,
    Refuses(u16),
    HangsUp,
}

/// A media event in the agenda's order; `media::Event` has none of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Told(pub(crate) media::Event);

impl Ord for Told {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        // The serial of the agenda has decided before it comes to this.
        std::cmp::Ordering::Equal
    }
}

impl PartialOrd for Told {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A heap by time; the serial breaks ties, so that the order never depends on anything else.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<(MonoTime, u64, Event)>>,
    serial: u64,
    commands: u64,
}

impl Agenda {
    pub(crate) fn at(&mut self, time: MonoTime, event: Event) {
        self.serial += 1;
        self.heap.push(Reverse((time, self.serial, event)));
    }

    pub(crate) fn next_time(&self) -> Option<MonoTime> {
        self.heap.peek().map(|it| it.0.0)
    }

    pub(crate) fn pop(&mut self) -> Option<(MonoTime, Event)> {
        self.heap.pop().map(|Reverse((time, _, event))| (time, event))
    }

    pub(crate) fn command(&mut self) -> CommandId {
        self.commands += 1;
        CommandId(self.commands)
    }
}
