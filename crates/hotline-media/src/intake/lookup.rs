//! One socket for all legs of a worker: a BPF program steers every leg's own port into it, and a
//! raw socket sends from that port. No visit to a cold socket, many datagrams a system call.
//!
//! Each leg's own socket stays bound and silent, so that nobody else gets its port.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    ops::RangeInclusive,
    os::fd::AsRawFd,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt,
    sockopt,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    Arrival, BATCH, DATAGRAM, Inbox, Intake, REPORTS, SHARED, datagram, pace::Pace, steer::Steer,
};
use crate::{
    counters::{Counters, count},
    wake::Wake,
};

/// Bytes that may wait in the socket: a second of a thousand legs' packets, which take 830 each
/// (the kernel doubles this for what it adds to them).
const RECEIVE_BUFFER: usize = 32 << 20;

const SEND_BUFFER: usize = 4 << 20;

/// Every so often the socket is emptied under load.
const TICK: Duration = Duration::from_millis(5);

/// Packets in a tenth of a second from which on one waits for the tick (20,000 a second).
const MANY: u32 = 2_000;

/// What the kernel has allowed; becomes an intake in the thread that works with it.
#[derive(Debug)]
pub(crate) struct Granted {
    steer: Arc<Steer>,
    /// The number of the socket.
    number: u8,
    address: Ipv4Addr,
    socket: UdpSocket,
    raw: Socket,
    ports: RangeInclusive<u16>,
}

#[derive(Debug)]
pub(crate) struct Lookup {
    steer: Arc<Steer>,
    number: u8,
    address: Ipv4Addr,
    socket: UdpSocket,
    raw: Socket,
    wake: Wake,
    legs: Vec<Option<(u16, UdpSocket)>>,
    /// The port of all browsers.
    shared: Option<(u16, UdpSocket)>,
    /// New legs, whose own socket may hold what came before its port was steered.
    fresh: Vec<u32>,
    /// The leg of each port from `first` on.
    by_port: Vec<Option<u32>>,
    first: u16,
    received: MultiHeaders<SockaddrIn>,
    /// Whether the last batch was full, so that more may wait.
    more: bool,
    pace: Pace,
    outbox: Outbox,
    system_calls: u64,
    counters: Arc<Counters>,
}

/// Datagrams with their headers that wait to be sent.
#[derive(Debug)]
struct Outbox {
    arena: Box<[u8]>,
    to: [Option<SockaddrIn>; BATCH],
    lengths: [usize; BATCH],
    n: usize,
    headers: MultiHeaders<SockaddrIn>,
}

impl Granted {
    /// # Errors
    /// When the process lacks `CAP_BPF`, `CAP_NET_ADMIN` or `CAP_NET_RAW`, the kernel is too old,
    /// or the address is not one of IPv4.
    /// For so many workers.
    pub(crate) fn ask(
        address: IpAddr,
        ports: RangeInclusive<u16>,
        workers: usize,
    ) -> io::Result<Vec<Self>> {
        let IpAddr::V4(address) = address else { return Err(io::ErrorKind::Unsupported.into()) };
        let sockets = (0..workers).map(|_| receiver(address)).collect::<io::Result<Vec<_>>>()?;
        let steer = Arc::new(Steer::new(address, *ports.start(), *ports.end(), &sockets)?);
        let granted = |(socket, number)| {
            let (steer, ports, raw) = (Arc::clone(&steer), ports.clone(), sender()?);
            Ok(Self { steer, number, address, socket, raw, ports })
        };
        sockets.into_iter().zip(0..).map(granted).collect()
    }
}

fn receiver(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 0))?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?;
    setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)?;
    Ok(socket)
}

fn sender() -> io::Result<Socket> {
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(datagram::RAW)))?;
    raw.set_nonblocking(true)?;
    raw.set_send_buffer_size(SEND_BUFFER)?;
    Ok(raw)
}

impl Lookup {
    pub(crate) fn new(
        granted: Granted,
        legs_max: usize,
        wake: Wake,
        counters: Arc<Counters>,
    ) -> Self {
        let Granted { steer, number, address, socket, raw, ports } = granted;
        let (first, last) = (*ports.start(), *ports.end());
        let mut legs = Vec::new();
        legs.resize_with(legs_max, || None);
        let space = nix::cmsg_space!(nix::libc::sockaddr_in);
        Self {
            steer,
            number,
            address,
            socket,
            raw,
            wake,
            legs,
            shared: None,
            fresh: Vec::with_capacity(legs_max),
            by_port: vec![None; usize::from(last.saturating_sub(first)) + 1],
            first,
            received: MultiHeaders::preallocate(BATCH, Some(space)),
            more: false,
            pace: Pace::new(TICK, MANY, Instant::now()),
            outbox: Outbox {
                arena: vec![0; BATCH * DATAGRAM].into_boxed_slice(),
                to: [None; BATCH],
                lengths: [0; BATCH],
                n: 0,
                headers: MultiHeaders::preallocate(BATCH, None),
            },
            system_calls: 0,
            counters,
        }
    }

    /// Waits for a wake, a datagram or, under load, the tick.
    fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let mut fds =
            [PollFd::new(&self.wake, PollFlags::IN), PollFd::new(&self.socket, PollFlags::IN)];
        let (fds, timeout) = if self.more || !self.fresh.is_empty() {
            (fds.get_mut(..1), Some(Duration::ZERO))
        } else if let Some(tick) = self.pace.rest(Instant::now()) {
            (fds.get_mut(..1), Some(timeout.map_or(tick, |it| it.min(tick))))
        } else {
            (fds.get_mut(..), timeout)
        };
        let fds = fds.unwrap_or_default();
        let timeout = timeout.and_then(|it| Timespec::try_from(it).ok());
        match poll(fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if fds.first().is_some_and(|it| it.revents().contains(PollFlags::IN)) {
            self.wake.clear();
        }
        Ok(())
    }

    /// Reads what new legs' own sockets hold.
    fn read_fresh(&mut self, inbox: &mut Inbox) {
        while let Some(leg) = self.fresh.pop() {
            let Some(Some((_, socket))) = self.legs.get(leg as usize) else { continue };
            let mut empty = false;
            while !empty {
                let room = inbox.receive(|place| {
                    let read = socket.recv_from(place).ok();
                    empty = read.is_none();
                    read.map(|(len, from)| (leg, from, len))
                });
                if !room {
                    return self.fresh.push(leg);
                }
            }
        }
    }

    fn read(&mut self, inbox: &mut Inbox) {
        let Self { socket, received, by_port, first, address, .. } = self;
        // A leg that does not exist: nobody hears it.
        let from = SocketAddr::from((*address, 0));
        let mut arrivals = [Arrival { leg: u32::MAX, from, len: 0 }; BATCH];
        let mut places = inbox.places();
        let read =
            recvmmsg(socket.as_raw_fd(), received, places.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
        let mut n = 0;
        // Nothing there, or an ICMP error that belongs to no leg.
        if let Ok(messages) = read {
            for (arrival, message) in arrivals.iter_mut().zip(messages) {
                n += 1;
                let to = message.cmsgs().ok().and_then(|mut it| it.next());
                let leg = match to {
                    Some(ControlMessageOwned::Ipv4OrigDstAddr(to)) => {
                        u16::from_be(to.sin_port).checked_sub(*first)
                    }
                    _ => None,
                };
                let leg = leg.and_then(|it| by_port.get(usize::from(it))).copied().flatten();
                if let Some((leg, from)) = leg.zip(message.address) {
                    let from = SocketAddr::from((from.ip(), from.port()));
                    *arrival = Arrival { leg, from, len: message.bytes };
                }
            }
        }
        for arrival in arrivals.into_iter().take(n) {
            inbox.arrived(arrival);
        }
        self.more = n == BATCH;
        self.pace.note(n, Instant::now());
    }

    /// Puts a datagram from one of our ports among those that wait to be sent.
    fn post(&mut self, port: u16, to: SocketAddr, payload: &[u8]) -> bool {
        let SocketAddr::V4(to) = to else { return false };
        let from = SocketAddrV4::new(self.address, port);
        if self.outbox.n == BATCH {
            self.flush();
        }
        let outbox = &mut self.outbox;
        let Some(place) = outbox.arena.chunks_exact_mut(DATAGRAM).nth(outbox.n) else {
            return false;
        };
        let Some(len) = datagram::write(place, from, to, payload) else { return false };
        let (Some(address), Some(length)) =
            (outbox.to.get_mut(outbox.n), outbox.lengths.get_mut(outbox.n))
        else {
            return false;
        };
        *address = Some(SockaddrIn::from(to));
        *length = len;
        outbox.n += 1;
        true
    }
}

impl Intake for Lookup {
    fn fill(&mut self, inbox: &mut Inbox, timeout: Option<Duration>) -> io::Result<()> {
        inbox.clear();
        self.wait(timeout)?;
        self.system_calls += 2;
        if self.fresh.is_empty() {
            self.read(inbox);
        } else {
            self.read_fresh(inbox);
        }
        Ok(())
    }

    fn send(&mut self, leg: u32, to: SocketAddr, payload: &[u8]) -> bool {
        let place = match leg {
            SHARED => self.shared.as_ref(),
            _ => self.legs.get(leg as usize).and_then(Option::as_ref),
        };
        let Some((port, _)) = place else { return false };
        self.post(*port, to, payload)
    }

    fn send_report(&mut self, leg: u32, to: SocketAddr, payload: &[u8]) -> bool {
        let Some(Some((port, _))) = self.legs.get(leg as usize) else { return false };
        port.checked_add(1).is_some_and(|port| self.post(port, to, payload))
    }

    fn flush(&mut self) {
        let Outbox { arena, to, lengths, n, headers } = &mut self.outbox;
        let mut done = 0;
        while done < *n {
            let mut datagrams = arena.chunks_exact(DATAGRAM).zip(*lengths).skip(done);
            let messages: [_; BATCH] = std::array::from_fn(|_| {
                let datagram = datagrams.next().and_then(|(it, length)| it.get(..length));
                [io::IoSlice::new(datagram.unwrap_or_default())]
            });
            let messages = messages.iter().take(*n - done);
            let to = to.get(done..*n).unwrap_or_default();
            self.system_calls += 1;
            let sent =
                sendmmsg(self.raw.as_raw_fd(), headers, messages, to, [], MsgFlags::MSG_DONTWAIT);
            match sent.map(Iterator::count) {
                Ok(sent) if sent > 0 => done += sent,
                Ok(_) | Err(_) => {
                    // The kernel does not take this one; the others go on.
                    count(&self.counters.sends_refused);
                    done += 1;
                }
            }
        }
        *n = 0;
    }

    fn add(&mut self, leg: u32, socket: UdpSocket) -> io::Result<()> {
        let port = socket.local_addr()?.port();
        let idx = port.checked_sub(self.first).ok_or(io::ErrorKind::InvalidInput)?;
        let place = self.legs.get_mut(leg as usize).ok_or(io::ErrorKind::StorageFull)?;
        let by_port = self.by_port.get_mut(usize::from(idx)).ok_or(io::ErrorKind::InvalidInput)?;
        self.steer.set(port, Some(self.number))?;
        *by_port = Some(leg);
        // The port after it, which nobody else is given. The last one of the range has none, and
        // then no reports come in.
        let after = self.by_port.get_mut(usize::from(idx) + 1);
        if let Some(after) = after.filter(|_| self.steer.set(port + 1, Some(self.number)).is_ok()) {
            *after = Some(leg | REPORTS);
        }
        self.fresh.push(leg);
        *place = Some((port, socket));
        Ok(())
    }

    fn share(&mut self, socket: UdpSocket) -> io::Result<()> {
        let port = socket.local_addr()?.port();
        let idx = port.checked_sub(self.first).ok_or(io::ErrorKind::InvalidInput)?;
        let by_port = self.by_port.get_mut(usize::from(idx)).ok_or(io::ErrorKind::InvalidInput)?;
        self.steer.set(port, Some(self.number))?;
        *by_port = Some(SHARED);
        // What its own socket holds already, peers say again.
        self.shared = Some((port, socket));
        Ok(())
    }

    fn system_calls(&self) -> u64 {
        self.system_calls
    }

    fn remove(&mut self, leg: u32) -> Option<UdpSocket> {
        let (port, socket) = self.legs.get_mut(leg as usize)?.take()?;
        if let Err(error) = self.steer.set(port, None) {
            tracing::error!(port, %error, "A port is steered that is no leg's any more.");
        }
        let idx = usize::from(port.checked_sub(self.first)?);
        if let Some(leg) = self.by_port.get_mut(idx) {
            *leg = None;
        }
        if let Some(reports) = self.by_port.get_mut(idx + 1) {
            *reports = None;
            // One that is steered further on leads to nobody.
            let _still_steered = self.steer.set(port + 1, None);
        }
        Some(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leg at a free port, and a peer.
    fn leg(lookup: &mut Lookup, leg: u32, ports: &RangeInclusive<u16>) -> SocketAddr {
        let bind = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok();
        let socket = ports.clone().find_map(bind).unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_nonblocking(true).unwrap();
        lookup.add(leg, socket).unwrap();
        address
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "a test that cannot be run says so")]
    fn thousands_of_datagrams_between_two_legs_allocate_nothing() {
        let any = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let first = any.local_addr().unwrap().port().min(65_000);
        let ports = first..=first + 200;
        let granted = match Granted::ask(Ipv4Addr::LOCALHOST.into(), ports.clone(), 1) {
            Ok(mut granted) => granted.remove(0),
            Err(error) => return println!("sk_lookup is not to be had here: {error}"),
        };
        let counters = Arc::new(Counters::default());
        let mut lookup = Lookup::new(granted, 4, Wake::new().unwrap(), counters);
        let (a, b) = (leg(&mut lookup, 0, &ports), leg(&mut lookup, 3, &ports));
        let mut inbox = Inbox::new();
        let patience = Some(Duration::from_secs(10));
        lookup.fill(&mut inbox, Some(Duration::ZERO)).unwrap();
        let (mut heard, mut strange) = (0, 0);
        let counted = allocation_counter::measure(|| {
            for round in 0..100_u8 {
                for _ in 0..70 {
                    assert!(lookup.send(0, b, &[round; 172]) && lookup.send(3, a, &[round; 172]));
                }
                lookup.flush();
                let mut here = 0;
                while here < 140 {
                    lookup.fill(&mut inbox, patience).unwrap();
                    for (arrival, bytes) in inbox.drain() {
                        here += 1;
                        let expected = [(0, b), (3, a)].contains(&(arrival.leg, arrival.from));
                        strange += usize::from(!expected || *bytes != [round; 172]);
                    }
                }
                heard += here;
            }
        });
        assert_eq!((heard, strange), (14_000, 0));
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
        // A leg that is gone is silent, and its socket takes what still comes.
        let socket = lookup.remove(3).unwrap();
        assert!(lookup.send(0, b, &[1; 172]) && !lookup.send(3, a, &[1; 172]));
        lookup.flush();
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(patience).unwrap();
        assert_eq!(socket.recv_from(&mut [0; 200]).unwrap(), (172, a));
    }
}
