//! Who holds which socket, and which one a packet leaves by. The sole owner of the directory.

use std::{
    collections::BTreeMap,
    io, iter,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Instant as Clock,
};

use hotline_base::ConnId;
use hotline_sip::{Flow, Transport};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    task::JoinSet,
    time::{Duration, sleep},
};

use crate::{
    Config, Count, Counters, Gate, NetInput, Sockets, Threads, Transmit,
    connection::{self, Ended},
    gate::address,
    icmp,
    stream::{OUTBOX_MAX, Own, Shared},
    tls::Certificates,
    udp,
};

/// Accepted connections and notes about connections that may wait for the router.
const ACCEPTED_MAX: usize = 64;

/// What acceptors and connections tell the router.
#[derive(Debug)]
pub(crate) enum Note {
    Accepted {
        transport: Transport,
        stream: TcpStream,
        remote: SocketAddr,
    },
    /// Requests to this address of the peer may go by the connection.
    Alias {
        conn: ConnId,
        remote: SocketAddr,
    },
}

pub(crate) async fn run(
    sockets: Sockets,
    config: Config,
    counters: Arc<Counters>,
    gate: Arc<Gate>,
    (to_control, mut from_control): (mpsc::Sender<NetInput>, mpsc::Receiver<Transmit>),
    threads: Threads,
) -> io::Result<()> {
    let mut readers = JoinSet::new();
    let (notes, mut waiting) = mpsc::channel(ACCEPTED_MAX);
    let first_conn = config.first_conn;
    let certificates = Arc::new(Certificates::new(config.tls.clone(), threads.handshakes));
    let config = Arc::new(config);
    let buffered = Arc::default();
    let shared = Shared { counters, gate, config, certificates, to_control, notes, buffered };
    let mut router = Router::new(shared.clone(), first_conn);
    for socket in sockets.udp {
        router.add_udp(socket, &mut readers, &threads.datagrams)?;
    }
    for (transport, listener) in sockets.streams {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        readers.spawn(accept(transport, listener, shared.clone()));
    }
    let watched = shared.clone();
    readers.spawn(async move { watched.certificates.watch(&watched).await });
    loop {
        tokio::select! {
            transmit = from_control.recv() => match transmit {
                Some(transmit) => router.transmit(transmit).await,
                None => return Ok(()),
            },
            Some(note) = waiting.recv() => match note {
                Note::Accepted { transport, stream, remote } => {
                    router.admit(transport, stream, remote);
                }
                Note::Alias { conn, remote } => router.alias(conn, remote),
            },
            Some(ended) = router.connections.join_next() => {
                if let Ok(ended) = ended {
                    router.forget(ended).await;
                }
            }
        }
    }
}

struct Router {
    shared: Shared,
    udp: Vec<(SocketAddr, Arc<UdpSocket>)>,
    peers: BTreeMap<ConnId, Peer>,
    by_remote: BTreeMap<(Transport, SocketAddr), ConnId>,
    by_address: BTreeMap<IpAddr, usize>,
    connections: JoinSet<Ended>,
    next_conn: u64,
}

struct Peer {
    transport: Transport,
    remote: SocketAddr,
    /// Other addresses whose requests go by it.
    aliases: Vec<SocketAddr>,
    outbox: mpsc::Sender<Arc<[u8]>>,
    /// The connection ends when this is dropped.
    alive: Option<oneshot::Sender<()>>,
}

impl Router {
    fn new(shared: Shared, first_conn: u64) -> Self {
        Self {
            shared,
            udp: Vec::new(),
            peers: BTreeMap::new(),
            by_remote: BTreeMap::new(),
            by_address: BTreeMap::new(),
            connections: JoinSet::new(),
            next_conn: first_conn,
        }
    }

    fn add_udp(
        &mut self,
        socket: UdpSocket,
        readers: &mut JoinSet<()>,
        datagrams: &Handle,
    ) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        // Without it a peer that is not there is known by its silence alone.
        if let Err(error) = icmp::ask(&socket) {
            tracing::warn!(%error, "The kernel does not tell of unreachable peers.");
        }
        let socket = Arc::new(socket);
        let serve = udp::serve(Arc::clone(&socket), local, self.shared.clone());
        readers.spawn_on(serve, datagrams);
        self.udp.push((local, socket));
        Ok(())
    }

    fn count(&self, what: Count) {
        self.shared.counters.add(what);
    }

    async fn transmit(&mut self, it: Transmit) {
        match it.flow.transport {
            Transport::Udp => self.transmit_udp(&it).await,
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                self.transmit_stream(it).await;
            }
        }
    }

    async fn transmit_udp(&self, it: &Transmit) {
        let Some(socket) = self.udp_for(&it.flow) else {
            self.count(Count::ConnectionUnknown);
            return;
        };
        let sent = match send(socket, it).await {
            // What ICMP said of an earlier datagram: this one has not left.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                send(socket, it).await
            }
            sent => sent,
        };
        match sent {
            Ok(_) => self.count(Count::UdpSent),
            Err(error) => {
                self.count(Count::SendFailed);
                // Our own routing says so; of what lies beyond, ICMP would.
                let kind = error.kind();
                if kind == io::ErrorKind::NetworkUnreachable
                    || kind == io::ErrorKind::HostUnreachable
                {
                    self.unreachable(it.flow).await;
                }
            }
        }
    }

    /// The socket the flow names, or one that speaks the peer's address family.
    fn udp_for(&self, flow: &Flow) -> Option<&UdpSocket> {
        let exact = self.udp.iter().find(|(local, _)| *local == flow.local);
        let family = || self.udp.iter().find(|(it, _)| it.is_ipv4() == flow.remote.is_ipv4());
        exact.or_else(family).map(|(_, socket)| &**socket)
    }

    async fn transmit_stream(&mut self, it: Transmit) {
        let known = it
            .flow
            .conn
            .or_else(|| self.by_remote.get(&(it.flow.transport, it.flow.remote)).copied());
        let Some(conn) = known.or_else(|| self.connect(it.flow)) else {
            return self.unreachable(it.flow).await;
        };
        let Some(peer) = self.peers.get(&conn) else {
            self.count(Count::ConnectionUnknown);
            return;
        };
        match peer.outbox.try_send(it.bytes) {
            Ok(()) => (),
            Err(TrySendError::Full(_)) => {
                // A peer that does not read.
                self.count(Count::OutboxFull);
                if let Some(peer) = self.peers.get_mut(&conn) {
                    peer.alive = None;
                }
            }
            Err(TrySendError::Closed(_)) => self.count(Count::ConnectionUnknown),
        }
    }

    /// `None`: there are too many, or the peer is a browser, to which nobody can connect.
    fn connect(&mut self, flow: Flow) -> Option<ConnId> {
        let browser = matches!(flow.transport, Transport::Ws | Transport::Wss);
        if browser || self.is_full(flow.remote) {
            self.count(Count::ConnectFailed);
            return None;
        }
        let (conn, own) = self.enter(flow.transport, flow.remote);
        let flow = Flow { conn: Some(conn), ..flow };
        let shared = self.shared.clone();
        self.connections.spawn(connection::connect(conn, flow, own, shared));
        Some(conn)
    }

    fn admit(&mut self, transport: Transport, stream: TcpStream, remote: SocketAddr) {
        let Ok(local) = stream.local_addr() else {
            self.count(Count::AcceptFailed);
            return;
        };
        if self.shared.gate.is_banned(remote.ip(), Clock::now()) {
            self.count(Count::BannedRefused);
            return;
        }
        if self.is_full(remote) {
            return;
        }
        self.count(Count::Accepted);
        let (conn, own) = self.enter(transport, remote);
        let flow = Flow { transport, local, remote, conn: Some(conn) };
        let shared = self.shared.clone();
        self.connections.spawn(connection::accepted(conn, stream, flow, own, shared));
    }

    /// Counts the refusal when it is.
    fn is_full(&self, remote: SocketAddr) -> bool {
        let config = &self.shared.config;
        let known = self.shared.gate.is_known(remote.ip());
        // Strangers can fill their part only, and a trunk finds room when they have.
        let most = if known { config.connections_max } else { config.connections_max / 4 * 3 };
        if self.peers.len() >= most.max(1) {
            self.count(Count::RefusedOverLimit);
            return true;
        }
        let of_address = self.by_address.get(&address(remote.ip())).copied().unwrap_or(0);
        if !known && of_address >= config.connections_per_address_max {
            self.count(Count::RefusedOverAddressLimit);
            return true;
        }
        false
    }

    fn enter(&mut self, transport: Transport, remote: SocketAddr) -> (ConnId, Own) {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let (outbox, receiver) = mpsc::channel(OUTBOX_MAX);
        let (alive, dropped) = oneshot::channel();
        let own = Own { pong: outbox.downgrade(), outbox: receiver, dropped };
        let aliases = Vec::new();
        self.peers.insert(conn, Peer { transport, remote, aliases, outbox, alive: Some(alive) });
        self.by_remote.insert((transport, remote), conn);
        *self.by_address.entry(address(remote.ip())).or_default() += 1;
        (conn, own)
    }

    fn alias(&mut self, conn: ConnId, remote: SocketAddr) {
        if let Some(peer) = self.peers.get_mut(&conn) {
            self.by_remote.entry((peer.transport, remote)).or_insert(conn);
            peer.aliases.push(remote);
        }
    }

    async fn forget(&mut self, ended: Ended) {
        let Ended { conn, unreachable } = ended;
        let Some(peer) = self.peers.remove(&conn) else { return };
        for remote in iter::once(peer.remote).chain(peer.aliases) {
            let name = (peer.transport, remote);
            // A later connection of the peer may have it by now.
            if self.by_remote.get(&name) == Some(&conn) {
                self.by_remote.remove(&name);
            }
        }
        let address = address(peer.remote.ip());
        if let Some(n) = self.by_address.get_mut(&address) {
            *n -= 1;
            if *n == 0 {
                self.by_address.remove(&address);
            }
        }
        self.tell(NetInput::ConnectionGone { conn }).await;
        if let Some(flow) = unreachable {
            self.unreachable(flow).await;
        }
    }

    async fn unreachable(&self, flow: Flow) {
        self.tell(NetInput::Unreachable { flow }).await;
    }

    /// Control must hear of it; when it is gone itself, so is everything else.
    async fn tell(&self, input: NetInput) {
        if self.shared.to_control.send(input).await.is_err() {
            self.count(Count::InboxFull);
        }
    }
}

/// Waits for room when the kernel has none. The wait has a handle of its own for as long as it
/// lasts: with a lasting one, every datagram that has left would wake this thread.
async fn send(socket: &UdpSocket, it: &Transmit) -> io::Result<usize> {
    match socket.send_to(&it.bytes, it.flow.remote) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let socket = udp::registered(socket.try_clone()?, Interest::WRITABLE)?;
            let send = |socket: &UdpSocket| socket.send_to(&it.bytes, it.flow.remote);
            socket.async_io(Interest::WRITABLE, send).await
        }
        sent => sent,
    }
}

async fn accept(transport: Transport, listener: TcpListener, shared: Shared) {
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            // Out of handles, most likely: pausing leaves the caller in the backlog.
            shared.counters.add(Count::AcceptFailed);
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        if shared.notes.send(Note::Accepted { transport, stream, remote }).await.is_err() {
            return;
        }
    }
}
