//! RTP ports: handed out shuffled, taken back into quarantine.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use hotline_base::Random;
use socket2::{Domain, Protocol, Socket, Type};

/// Bytes a socket may hold: about half a second of packets with the kernel's own bookkeeping, so
/// that a flood at a quarantined port costs little.
const RECEIVE_BUFFER: usize = 64 * 1_024;

/// Expedited forwarding (RFC 3246) in the upper six bits.
const TRAFFIC_CLASS: u32 = 46 << 2;

#[derive(Debug)]
pub(super) struct Ports {
    address: IpAddr,
    quarantine: Duration,
    /// Kept for browsers, by worker.
    reserved: Vec<u16>,
    free: VecDeque<u16>,
    /// Bound and silent until the instant; without a socket when the port was somebody else's.
    resting: VecDeque<(Instant, u16, Option<UdpSocket>)>,
}

impl Ports {
    pub(super) fn new(
        address: IpAddr,
        ports: RangeInclusive<u16>,
        quarantine: Duration,
        random: &mut Random,
    ) -> Self {
        // Odd ports belong to RTCP (RFC 3550 §11).
        let mut free: Vec<_> = ports.filter(|it| it % 2 == 0 && *it != 0).collect();
        for last in (1..free.len()).rev() {
            let other = usize::try_from(random.below(last as u64 + 1)).unwrap_or(last);
            free.swap(last, other);
        }
        let (free, resting) = (free.into(), VecDeque::new());
        Self { address, quarantine, reserved: Vec::new(), free, resting }
    }

    /// Keeps ports for the browsers of each worker, from this even one on, which no leg is given.
    pub(super) fn reserve(&mut self, first: Option<u16>, workers: usize) {
        let ports = first.into_iter().flat_map(|it| (it..).step_by(2).take(workers));
        self.reserved = ports.filter(|it| self.free.contains(it)).collect();
        self.free.retain(|it| !self.reserved.contains(it));
    }

    /// Binds the port of a worker's browsers: the one that was kept, or else the next free one.
    pub(super) fn open_shared(&mut self, worker: u8, now: Instant) -> Option<(u16, UdpSocket)> {
        let Some(port) = self.reserved(worker) else { return self.open(now) };
        bind(SocketAddr::new(self.address, port))
            .inspect_err(|error| tracing::error!(port, %error, "No port for browsers."))
            .ok()
            .map(|socket| (port, socket))
    }

    fn reserved(&self, worker: u8) -> Option<u16> {
        self.reserved.get(usize::from(worker)).copied()
    }

    /// Binds the next free port; `None` when there is none. Ports that other programs hold are
    /// passed over and tried again later.
    pub(super) fn open(&mut self, now: Instant) -> Option<(u16, UdpSocket)> {
        self.wake_up(now);
        for _ in 0..self.free.len() {
            let port = self.free.pop_front()?;
            match bind(SocketAddr::new(self.address, port)) {
                Ok(socket) => return Some((port, socket)),
                Err(error) => {
                    tracing::warn!(port, %error, "An RTP port cannot be bound.");
                    self.resting.push_back((now + self.quarantine, port, None));
                }
            }
        }
        None
    }

    /// The socket for RTCP beside a leg's port (RFC 3550 §11). Without one, no reports come in.
    pub(super) fn open_reports(&self, port: u16) -> Option<UdpSocket> {
        bind(SocketAddr::new(self.address, port.checked_add(1)?))
            .inspect_err(|error| tracing::debug!(port, %error, "No port for RTCP."))
            .ok()
    }

    /// Binds the port of a leg that an earlier process had.
    pub(super) fn reopen(&mut self, port: u16) -> Option<UdpSocket> {
        let at = self.free.iter().position(|it| *it == port)?;
        let socket = bind(SocketAddr::new(self.address, port));
        let socket = socket.inspect_err(|error| {
            tracing::warn!(port, %error, "The port of a leg cannot be bound again.");
        });
        self.free.remove(at);
        if socket.is_err() {
            self.resting.push_back((Instant::now() + self.quarantine, port, None));
        }
        socket.ok()
    }

    /// The same for the port of browsers.
    pub(super) fn reopen_shared(&mut self, worker: u8, port: u16) -> Option<UdpSocket> {
        match self.reserved(worker) {
            Some(it) if it == port => self.open_shared(worker, Instant::now()).map(|it| it.1),
            // Another one is configured now.
            Some(_) => None,
            None => self.reopen(port),
        }
    }

    /// A leg's port is over.
    pub(super) fn close(&mut self, port: u16, socket: Option<UdpSocket>, now: Instant) {
        self.resting.push_back((now + self.quarantine, port, socket));
    }

    /// Ports that a leg could be given.
    pub(super) fn n_free(&self) -> usize {
        self.free.len()
    }

    /// When the next port is free again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.resting.front().map(|it| it.0)
    }

    /// Takes back the ports whose time is over.
    pub(super) fn wake_up(&mut self, now: Instant) {
        while let Some((_, port, socket)) = self.resting.pop_front_if(|it| it.0 <= now) {
            drop(socket);
            self.free.push_back(port);
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    let classed = match address {
        SocketAddr::V4(_) => socket.set_tos_v4(TRAFFIC_CLASS),
        SocketAddr::V6(_) => socket.set_tclass_v6(TRAFFIC_CLASS),
    };
    if let Err(error) = classed {
        tracing::debug!(%error, "RTP is sent without a traffic class.");
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Six ports of the kernel's choice, half of them even, free a moment ago.
    fn ports(quarantine: Duration) -> Ports {
        loop {
            let at = UdpSocket::bind((LOCAL, 0)).unwrap().local_addr().unwrap().port() & !1;
            let range = at..=at.saturating_add(5);
            if range.clone().all(|it| UdpSocket::bind((LOCAL, it)).is_ok()) {
                return Ports::new(LOCAL, range, quarantine, &mut Random::new(7));
            }
        }
    }

    #[test]
    fn only_even_ports_are_opened_and_then_none() {
        let (mut ports, now) = (ports(Duration::from_secs(40)), Instant::now());
        let mut open: Vec<_> = std::iter::from_fn(|| ports.open(now)).collect();
        assert_eq!(open.len(), 3);
        assert!(open.iter().all(|it| it.0 % 2 == 0));
        let (port, socket) = open.pop().unwrap();
        ports.close(port, Some(socket), now);
        assert!(ports.open(now + Duration::from_secs(39)).is_none());
        assert_eq!(ports.open(now + Duration::from_secs(40)).map(|it| it.0), Some(port));
    }

    #[test]
    fn a_resting_port_stays_bound() {
        let (mut ports, now) = (ports(Duration::from_secs(40)), Instant::now());
        let (port, socket) = ports.open(now).unwrap();
        ports.close(port, Some(socket), now);
        assert!(UdpSocket::bind((LOCAL, port)).is_err());
        assert_eq!(ports.due(), Some(now + Duration::from_secs(40)));
    }

    #[test]
    fn a_port_of_another_program_is_passed_over() {
        let (mut ports, now) = (ports(Duration::from_secs(40)), Instant::now());
        let taken = *ports.free.front().unwrap();
        let _other = UdpSocket::bind((LOCAL, taken)).unwrap();
        assert_ne!(ports.open(now).unwrap().0, taken);
    }
}
