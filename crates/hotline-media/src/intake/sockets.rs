//! A socket a leg on plain epoll: works everywhere, silent legs are free, wakes at once or, under
//! load, after half a millisecond. A port whose peer is known for certain is connected to him, and
//! is soon read without asking whose packets they are.

use std::{
    io,
    mem::MaybeUninit,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll, poll},
    fd::OwnedFd,
    io::Errno,
    net::{
        connect_unspec,
        sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover},
    },
};

use super::{BATCH, Inbox, Intake, REPORTS, SHARED, pace::Pace};
use crate::wake::Wake;

/// Datagrams read at once from the port of all browsers.
const SHARED_BATCH: usize = 16;

/// Every so often the sockets are looked at under load. Ears do not notice it, and a wake-up for
/// each packet or two would cost a quarter of all (`benches/README.md`).
const TICK: Duration = Duration::from_micros(500);

/// Packets in a tenth of a second from which on one waits for the tick (10,000 a second).
const MANY: u32 = 1_000;

/// Marks the wake descriptor among the legs.
const WAKE: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Sockets {
    epoll: OwnedFd,
    wake: Wake,
    legs: Vec<Option<Port>>,
    /// Those of RTCP, which nobody waits for: they are visited now and then.
    reports: OwnedFd,
    reporters: Vec<Option<UdpSocket>>,
    /// The port of all browsers.
    shared: Option<UdpSocket>,
    /// Whether the last batch was full, so that more may wait.
    more: bool,
    /// Whether queues are read to their end.
    empties: bool,
    pace: Pace,
    system_calls: u64,
}

/// A leg's port.
#[derive(Debug)]
struct Port {
    socket: UdpSocket,
    /// Whom it is connected to: it hears nobody else, and the kernel need not find the way to him
    /// for each packet.
    peer: Option<SocketAddr>,
    /// Its queue was empty since then: what strangers had sent before is gone.
    is_his: bool,
}

impl Port {
    /// The next datagram: its length, and who sent it. The kernel need not say that of his.
    fn receive(&mut self, place: &mut [u8]) -> Option<(usize, SocketAddr)> {
        if let Some(peer) = self.peer.filter(|_| self.is_his) {
            return self.socket.recv(place).ok().map(|len| (len, peer));
        }
        let read = self.socket.recv_from(place);
        let is_empty = read.as_ref().is_err_and(|it| it.kind() == io::ErrorKind::WouldBlock);
        self.is_his = is_empty && self.peer.is_some();
        // Nothing there after all, or an ICMP error of an earlier send.
        read.ok()
    }

    /// Whether it is to be read until it is empty.
    const fn settles(&self) -> bool {
        self.peer.is_some() && !self.is_his
    }

    fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<usize> {
        if self.peer == Some(to)
            && let Ok(n) = self.socket.send(datagram)
        {
            return Ok(n);
        }
        // An error may be of an earlier packet that nobody took, and this one is not sent then.
        self.socket.send_to(datagram, to)
    }

    /// One that is not connected works as well, only dearer. Its port stays, because it was bound
    /// to that one and not to any.
    fn connect(&mut self, peer: Option<SocketAddr>) {
        if self.peer == peer {
            return;
        }
        let done = match peer {
            Some(peer) => self.socket.connect(peer),
            None => connect_unspec(&self.socket).map_err(io::Error::from),
        };
        self.peer = peer.filter(|_| done.is_ok());
        self.is_his = false;
    }
}

impl Sockets {
    pub(crate) fn new(legs_max: usize, wake: Wake) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let mut legs = Vec::new();
        legs.resize_with(legs_max, || None);
        let reports = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut reporters = Vec::new();
        reporters.resize_with(legs_max, || None);
        let pace = Pace::new(TICK, MANY, Instant::now());
        let (shared, more, empties, system_calls) = (None, false, false, 0);
        Ok(Self {
            epoll,
            wake,
            legs,
            reports,
            reporters,
            shared,
            more,
            empties,
            pace,
            system_calls,
        })
    }

    /// Lets packets gather until the tick, if there are many. Returns whether it did; then nobody
    /// need wait any longer. A wake ends it.
    fn rest(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let Some(rest) = self.pace.rest(Instant::now()) else { return Ok(false) };
        let rest = timeout.map_or(rest, |it| it.min(rest));
        if !self.more && !rest.is_zero() {
            self.system_calls += 1;
            let mut fds = [PollFd::new(&self.wake, PollFlags::IN)];
            match poll(&mut fds, Timespec::try_from(rest).ok().as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Many legs are behind it, so it is read more than once; what is left wakes again.
    fn read_shared(&self, inbox: &mut Inbox) {
        let Some(socket) = &self.shared else { return };
        for _ in 0..SHARED_BATCH {
            let mut empty = true;
            let room = inbox.receive(|place| {
                let (len, from) = socket.recv_from(place).ok()?;
                empty = false;
                Some((SHARED, from, len))
            });
            if empty || !room {
                return;
            }
        }
    }
}

impl Intake for Sockets {
    fn fill(&mut self, inbox: &mut Inbox, timeout: Option<Duration>) -> io::Result<()> {
        inbox.clear();
        let timeout = if self.rest(timeout)? { Some(Duration::ZERO) } else { timeout };
        let mut ready = [const { MaybeUninit::uninit() }; BATCH];
        let timeout = timeout.and_then(|it| Timespec::try_from(it).ok());
        let ready = match epoll::wait(&self.epoll, &mut ready, timeout.as_ref()) {
            Ok((ready, _)) => ready,
            Err(Errno::INTR) => &mut [],
            Err(error) => return Err(error.into()),
        };
        self.system_calls += 1;
        self.more = ready.len() == BATCH;
        self.pace.note(ready.len(), Instant::now());
        for it in ready {
            self.system_calls += 1;
            let data = it.data.u64();
            if data == WAKE {
                self.wake.clear();
                continue;
            }
            let leg = u32::try_from(data).unwrap_or(u32::MAX);
            if leg == SHARED {
                self.read_shared(inbox);
                continue;
            }
            let Some(Some(port)) = self.legs.get_mut(leg as usize) else { continue };
            loop {
                let mut is_read = false;
                let has_room = inbox.receive(|place| {
                    let (len, from) = port.receive(place)?;
                    is_read = true;
                    Some((leg, from, len))
                });
                if !((self.empties || port.settles()) && is_read && has_room) {
                    break;
                }
                self.system_calls += 1;
            }
        }
        Ok(())
    }

    fn empty_queues(&mut self, on: bool) {
        self.empties = on;
    }

    fn send(&mut self, leg: u32, to: SocketAddr, datagram: &[u8]) -> bool {
        self.system_calls += 1;
        match (leg, self.legs.get(leg as usize), &self.shared) {
            (SHARED, _, Some(socket)) => socket.send_to(datagram, to).is_ok(),
            (_, Some(Some(port)), _) => port.send(to, datagram).is_ok(),
            (_, _, _) => false,
        }
    }

    fn flush(&mut self) {}

    fn connect(&mut self, leg: u32, peer: Option<SocketAddr>) {
        if let Some(Some(port)) = self.legs.get_mut(leg as usize) {
            port.connect(peer);
        }
    }

    fn send_report(&mut self, leg: u32, to: SocketAddr, datagram: &[u8]) -> bool {
        let Some(Some(socket)) = self.reporters.get(leg as usize) else { return false };
        self.system_calls += 1;
        socket.send_to(datagram, to).is_ok()
    }

    fn fill_reports(&mut self, inbox: &mut Inbox) {
        inbox.clear();
        let mut ready = [const { MaybeUninit::uninit() }; BATCH];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        self.system_calls += 1;
        // Those beyond the batch are ready at the next visit, too.
        let Ok((ready, _)) = epoll::wait(&self.reports, &mut ready, Some(&now)) else { return };
        for it in ready {
            let leg = u32::try_from(it.data.u64()).unwrap_or(u32::MAX);
            let Some(Some(socket)) = self.reporters.get(leg as usize) else { continue };
            self.system_calls += 1;
            inbox.receive(|place| {
                let (len, from) = socket.recv_from(place).ok()?;
                Some((leg | REPORTS, from, len))
            });
        }
    }

    fn add_reports(&mut self, leg: u32, socket: Option<UdpSocket>) {
        let (Some(place), Some(socket)) = (self.reporters.get_mut(leg as usize), socket) else {
            return;
        };
        let data = epoll::EventData::new_u64(u64::from(leg));
        // One that cannot be watched hears nothing and still sends.
        let _unheard = epoll::add(&self.reports, &socket, data, epoll::EventFlags::IN);
        *place = Some(socket);
    }

    fn add(&mut self, leg: u32, socket: UdpSocket) -> io::Result<()> {
        let place = self.legs.get_mut(leg as usize).ok_or(io::ErrorKind::StorageFull)?;
        let data = epoll::EventData::new_u64(u64::from(leg));
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN)?;
        // Packets of speech are far shorter than any path's limit: the kernel need not number them
        // for whoever might take one to pieces, nor heed what strangers say of a path.
        let _numbered = set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE);
        *place = Some(Port { socket, peer: None, is_his: false });
        Ok(())
    }

    fn share(&mut self, socket: UdpSocket) -> io::Result<()> {
        let data = epoll::EventData::new_u64(SHARED.into());
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN)?;
        self.shared = Some(socket);
        Ok(())
    }

    fn remove(&mut self, leg: u32) -> Option<UdpSocket> {
        // Closing it ends epoll's watch.
        drop(self.reporters.get_mut(leg as usize).and_then(Option::take));
        let mut port = self.legs.get_mut(leg as usize)?.take()?;
        // Whoever still sends here shall not be told that nobody is here.
        port.connect(None);
        let Port { socket, .. } = port;
        // A socket that epoll does not know needs no leave-taking.
        let _unknown = epoll::delete(&self.epoll, &socket);
        Some(socket)
    }

    fn system_calls(&self) -> u64 {
        self.system_calls
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rustix::net::sockopt::ip_mtu_discover;

    use super::*;

    const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(PATIENCE).unwrap();
        socket
    }

    /// A leg at the port of a peer, as nobody else has it, and at an address that nobody else uses.
    fn with_a_leg(peer: &UdpSocket) -> (Sockets, SocketAddr) {
        let mut sockets = Sockets::new(1, Wake::new().unwrap()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 78], peer.local_addr().unwrap().port()));
        let own = UdpSocket::bind(address).unwrap();
        own.set_nonblocking(true).unwrap();
        sockets.add(0, own).unwrap();
        (sockets, address)
    }

    /// Who is heard next.
    fn heard(sockets: &mut Sockets) -> SocketAddr {
        let mut inbox = Inbox::new();
        sockets.fill(&mut inbox, PATIENCE).unwrap();
        inbox.arrivals()[0].from
    }

    #[test]
    fn a_connected_port_hears_its_peer_alone_and_everybody_again_afterwards() {
        let (peer, stranger) = (socket(), socket());
        let (mut sockets, port) = with_a_leg(&peer);
        let [his, strange] = [&peer, &stranger].map(|it| it.local_addr().unwrap());
        for (connected, first) in [(None, strange), (Some(his), his), (None, strange)] {
            sockets.connect(0, connected);
            stranger.send_to(&[1], port).unwrap();
            peer.send_to(&[1], port).unwrap();
            assert_eq!(heard(&mut sockets), first, "{connected:?}");
            if first == strange {
                assert_eq!(heard(&mut sockets), his);
            }
            // He hears us whether his port is connected or not, and so does anybody else.
            for (to, ear) in [(his, &peer), (strange, &stranger)] {
                assert!(sockets.send(0, to, &[2, 3]));
                assert_eq!(ear.recv_from(&mut [0; 9]).unwrap(), (2, port));
            }
        }
    }

    #[test]
    fn what_a_stranger_had_sent_before_a_port_was_connected_is_not_taken_for_the_peers() {
        let (peer, stranger) = (socket(), socket());
        let (mut sockets, port) = with_a_leg(&peer);
        let [his, strange] = [&peer, &stranger].map(|it| it.local_addr().unwrap());
        stranger.send_to(&[1], port).unwrap();
        sockets.connect(0, Some(his));
        peer.send_to(&[1], port).unwrap();
        let mut inbox = Inbox::new();
        sockets.fill(&mut inbox, PATIENCE).unwrap();
        let from: Vec<_> = inbox.arrivals().iter().map(|it| it.from).collect();
        assert_eq!(from, [strange, his], "read to its end");
        assert!(sockets.legs[0].as_ref().unwrap().is_his);
        peer.send_to(&[1], port).unwrap();
        assert_eq!(heard(&mut sockets), his);
        // Whoever is connected next has the same to show.
        sockets.connect(0, None);
        assert!(!sockets.legs[0].as_ref().unwrap().is_his);
        stranger.send_to(&[1], port).unwrap();
        sockets.connect(0, Some(his));
        assert_eq!(heard(&mut sockets), strange);
    }

    #[test]
    fn packets_of_a_leg_are_sent_without_a_number_for_fragments() {
        let (sockets, _) = with_a_leg(&socket());
        let port = sockets.legs[0].as_ref().unwrap();
        assert_eq!(ip_mtu_discover(&port.socket).unwrap(), Ipv4PathMtuDiscovery::PROBE);
    }

    #[test]
    fn a_packet_that_found_nobody_does_not_cost_the_one_after_it() {
        let peer = socket();
        let (mut sockets, _) = with_a_leg(&peer);
        let his = peer.local_addr().unwrap();
        sockets.connect(0, Some(his));
        drop(peer);
        assert!(sockets.send(0, his, &[1]), "the kernel says only later that nobody was there");
        let peer = UdpSocket::bind(his).unwrap();
        peer.set_read_timeout(PATIENCE).unwrap();
        assert!(sockets.send(0, his, &[2]));
        let mut heard = [0; 9];
        assert_eq!(peer.recv(&mut heard).unwrap(), 1);
        assert_eq!(heard[0], 2);
    }

    /// A leg, and its address.
    fn leg(sockets: &mut Sockets, leg: u32) -> SocketAddr {
        // Nobody else's stragglers come to this address.
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 79), 0)).unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_nonblocking(true).unwrap();
        sockets.add(leg, socket).unwrap();
        address
    }

    /// Few at a time, as packets come, and more than fit into a batch; at once and by the tick.
    #[test]
    fn thousands_of_datagrams_to_sockets_of_their_own_allocate_nothing() {
        const LEGS: u32 = 100;
        let mut sockets = Sockets::new(LEGS as usize, Wake::new().unwrap()).unwrap();
        let addresses: Vec<_> = (0..LEGS).map(|it| leg(&mut sockets, it)).collect();
        let mut inbox = Inbox::new();
        let (mut heard, mut strange) = (0, 0);
        let counted = allocation_counter::measure(|| {
            for round in 0..200_u8 {
                let n = if round % 2 == 0 { 2 } else { LEGS };
                for to in 0..n {
                    let from = (to + 1) % LEGS;
                    assert!(sockets.send(from, addresses[to as usize], &[round; 172]));
                }
                sockets.flush();
                let mut here = 0;
                while here < n {
                    sockets.fill(&mut inbox, PATIENCE).unwrap();
                    for (arrival, bytes) in inbox.drain() {
                        here += 1;
                        let from = addresses[((arrival.leg + 1) % LEGS) as usize];
                        strange += u32::from(arrival.from != from || *bytes != [round; 172]);
                    }
                }
                heard += here;
            }
        });
        assert_eq!((heard, strange), (100 * (2 + LEGS), 0));
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    }
}
