//! Where datagrams come from and go to. All that is done with them lies above this trait, so that
//! another way into the kernel changes nothing else.

mod datagram;
mod lookup;
mod pace;
mod sockets;
mod steer;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

pub(crate) use self::{
    lookup::{Granted, Lookup},
    sockets::Sockets,
};

/// In [`Arrival::leg`]: what came to the leg's RTCP port.
pub(crate) const REPORTS: u32 = 1 << 31;

/// In [`Arrival::leg`] and [`Intake::send`]: the port of all browsers.
pub(crate) const SHARED: u32 = 1 << 30;

/// Datagrams read in one turn.
pub(crate) const BATCH: usize = 64;

/// Bytes of the longest datagram that is read whole; RTP over Ethernet is shorter.
const DATAGRAM: usize = 2_048;

pub(crate) trait Intake {
    /// Waits until a datagram arrives, the worker is woken, or `timeout` is over; reads at most
    /// one datagram a leg.
    fn fill(&mut self, inbox: &mut Inbox, timeout: Option<Duration>) -> io::Result<()>;

    /// From now on [`fill`](Self::fill) reads the queue of each leg to its end, as far as there is
    /// room, so that a batch that is not full leaves nothing behind.
    fn empty_queues(&mut self, _on: bool) {}

    /// Sends from a leg's own port. A back end may gather until [`flush`](Self::flush).
    fn send(&mut self, leg: u32, to: SocketAddr, datagram: &[u8]) -> bool;

    fn flush(&mut self);

    /// From now on a leg's port hears this peer alone, where that makes sending to him cheaper;
    /// with `None` it hears everybody again.
    fn connect(&mut self, _leg: u32, _peer: Option<SocketAddr>) {}

    /// Sends from the port after the leg's own, which is that of its RTCP.
    fn send_report(&mut self, leg: u32, to: SocketAddr, datagram: &[u8]) -> bool;

    /// Reads without waiting what came to RTCP ports, where [`fill`](Self::fill) does not.
    fn fill_reports(&mut self, inbox: &mut Inbox) {
        inbox.clear();
    }

    /// A leg's RTCP socket, if it has one. Gone with [`remove`](Self::remove).
    fn add_reports(&mut self, _leg: u32, _socket: Option<UdpSocket>) {}

    fn add(&mut self, leg: u32, socket: UdpSocket) -> io::Result<()>;

    /// Hears the port of all browsers as well, as [`SHARED`].
    fn share(&mut self, socket: UdpSocket) -> io::Result<()>;

    /// The leg's socket, still bound.
    fn remove(&mut self, leg: u32) -> Option<UdpSocket>;

    /// System calls for packets so far: waiting, reading, sending.
    fn system_calls(&self) -> u64;
}

/// What one turn read: datagrams in a fixed arena.
#[derive(Debug)]
pub(crate) struct Inbox {
    arena: Box<[u8]>,
    arrivals: Vec<Arrival>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The leg's index, with [`REPORTS`] for its RTCP port.
    pub(crate) leg: u32,
    pub(crate) from: SocketAddr,
    pub(crate) len: usize,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            arena: vec![0; BATCH * DATAGRAM].into_boxed_slice(),
            arrivals: Vec::with_capacity(BATCH),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.arrivals.clear();
    }

    /// Lets `read` put a datagram into the next free place; `false` when there is none.
    pub(crate) fn receive(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Option<(u32, SocketAddr, usize)>,
    ) -> bool {
        let at = self.arrivals.len();
        let Some(place) = self.arena.chunks_exact_mut(DATAGRAM).nth(at) else { return false };
        if let Some((leg, from, len)) = read(place) {
            self.arrivals.push(Arrival { leg, from, len });
        }
        true
    }

    /// Room for a whole turn; what came into it, place by place, is then told to
    /// [`arrived`](Self::arrived).
    pub(crate) fn places(&mut self) -> [[io::IoSliceMut<'_>; 1]; BATCH] {
        let mut places = self.arena.chunks_exact_mut(DATAGRAM);
        std::array::from_fn(|_| [io::IoSliceMut::new(places.next().unwrap_or_default())])
    }

    pub(crate) fn arrived(&mut self, arrival: Arrival) {
        if self.arrivals.len() < BATCH {
            self.arrivals.push(arrival);
        }
    }

    /// What was read.
    pub(crate) fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// What was read, each with its bytes.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (&Arrival, &mut [u8])> {
        self.arrivals
            .iter()
            .zip(self.arena.chunks_exact_mut(DATAGRAM))
            .filter_map(|(it, place)| Some((it, place.get_mut(..it.len)?)))
    }
}
