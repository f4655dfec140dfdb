//! Who holds which socket, and which one a packet leaves by. The sole owner of the directory.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hotline_base::ConnId;
use hotline_sip::{Flow, Transport};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    task::JoinSet,
    time::{Duration, sleep},
};

use crate::{
    Config, Count, Counters, NetInput, Sockets, Transmit,
    stream::{self, OUTBOX_MAX, Own, Shared},
    udp,
};

/// Accepted connections that may wait for the router.
const ACCEPTED_MAX: usize = 64;

pub(crate) async fn run(
    sockets: Sockets,
    config: Config,
    counters: Arc<Counters>,
    to_control: mpsc::Sender<NetInput>,
    mut from_control: mpsc::Receiver<Transmit>,
) -> io::Result<()> {
    let mut readers = JoinSet::new();
    let (accepted_tx, mut accepted) = mpsc::channel(ACCEPTED_MAX);
    let mut router = Router::new(config, counters, to_control);
    for socket in sockets.udp {
        router.add_udp(socket, &mut readers)?;
    }
    for listener in sockets.tcp {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        readers.spawn(accept(listener, accepted_tx.clone(), Arc::clone(&router.shared.counters)));
    }
    loop {
        tokio::select! {
            transmit = from_control.recv() => match transmit {
                Some(transmit) => router.transmit(transmit).await,
                None => return Ok(()),
            },
            Some((stream, remote)) = accepted.recv() => router.admit(stream, remote),
            Some(ended) = router.connections.join_next() => {
                if let Ok(conn) = ended {
                    router.forget(conn).await;
                }
            }
        }
    }
}

struct Router {
    config: Config,
    shared: Shared,
    udp: Vec<(SocketAddr, Arc<UdpSocket>)>,
    peers: BTreeMap<ConnId, Peer>,
    by_remote: BTreeMap<SocketAddr, ConnId>,
    by_address: BTreeMap<IpAddr, usize>,
    connections: JoinSet<ConnId>,
    next_conn: u64,
}

struct Peer {
    remote: SocketAddr,
    outbox: mpsc::Sender<Vec<u8>>,
    /// The connection ends when this is dropped.
    alive: Option<oneshot::Sender<()>>,
}

impl Router {
    fn new(config: Config, counters: Arc<Counters>, to_control: mpsc::Sender<NetInput>) -> Self {
        let shared = Shared {
            counters,
            to_control,
            first_message: config.first_message,
            connect: config.connect,
        };
        Self {
            shared,
            udp: Vec::new(),
            peers: BTreeMap::new(),
            by_remote: BTreeMap::new(),
            by_address: BTreeMap::new(),
            connections: JoinSet::new(),
            next_conn: config.first_conn,
            config,
        }
    }

    fn add_udp(
        &mut self,
        socket: std::net::UdpSocket,
        readers: &mut JoinSet<()>,
    ) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let counters = Arc::clone(&self.shared.counters);
        let to_control = self.shared.to_control.clone();
        readers.spawn(udp::read(Arc::clone(&socket), local, counters, to_control));
        self.udp.push((local, socket));
        Ok(())
    }

    fn count(&self, what: Count) {
        self.shared.counters.add(what);
    }

    async fn transmit(&mut self, it: Transmit) {
        match it.flow.transport {
            Transport::Udp => self.transmit_udp(&it).await,
            Transport::Tcp => self.transmit_tcp(it),
        }
    }

    async fn transmit_udp(&self, it: &Transmit) {
        let Some(socket) = self.udp_for(&it.flow) else {
            self.count(Count::ConnectionUnknown);
            return;
        };
        let sent = socket.send_to(&it.bytes, it.flow.remote).await;
        self.count(if sent.is_ok() { Count::UdpSent } else { Count::SendFailed });
    }

    /// The socket the flow names, or one that speaks the peer's address family.
    fn udp_for(&self, flow: &Flow) -> Option<&UdpSocket> {
        let exact = self.udp.iter().find(|(local, _)| *local == flow.local);
        let family = || self.udp.iter().find(|(it, _)| it.is_ipv4() == flow.remote.is_ipv4());
        exact.or_else(family).map(|(_, socket)| &**socket)
    }

    fn transmit_tcp(&mut self, it: Transmit) {
        let conn = match it.flow.conn {
            Some(conn) => Some(conn),
            None => self.by_remote.get(&it.flow.remote).copied(),
        };
        let conn = match conn {
            Some(conn) => conn,
            None => match self.connect(it.flow) {
                Some(conn) => conn,
                None => return,
            },
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

    fn connect(&mut self, flow: Flow) -> Option<ConnId> {
        if self.is_full(flow.remote) {
            return None;
        }
        let (conn, own) = self.enter(flow.remote);
        let flow = Flow { conn: Some(conn), ..flow };
        let shared = self.shared.clone();
        self.connections.spawn(async move {
            stream::connect(flow, own, shared).await;
            conn
        });
        Some(conn)
    }

    fn admit(&mut self, stream: TcpStream, remote: SocketAddr) {
        let Ok(local) = stream.local_addr() else {
            self.count(Count::AcceptFailed);
            return;
        };
        if self.is_full(remote) {
            return;
        }
        self.count(Count::Accepted);
        let (conn, own) = self.enter(remote);
        let flow = Flow { transport: Transport::Tcp, local, remote, conn: Some(conn) };
        let shared = self.shared.clone();
        self.connections.spawn(async move {
            stream::serve(stream, flow, own, shared).await;
            conn
        });
    }

    /// Counts the refusal when it is.
    fn is_full(&self, remote: SocketAddr) -> bool {
        if self.peers.len() >= self.config.connections_max {
            self.count(Count::RefusedOverLimit);
            return true;
        }
        let of_address = self.by_address.get(&remote.ip()).copied().unwrap_or(0);
        if of_address >= self.config.connections_per_address_max {
            self.count(Count::RefusedOverAddressLimit);
            return true;
        }
        false
    }

    fn enter(&mut self, remote: SocketAddr) -> (ConnId, Own) {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let (outbox, receiver) = mpsc::channel(OUTBOX_MAX);
        let (alive, dropped) = oneshot::channel();
        let own = Own { pong: outbox.downgrade(), outbox: receiver, dropped };
        self.peers.insert(conn, Peer { remote, outbox, alive: Some(alive) });
        self.by_remote.insert(remote, conn);
        *self.by_address.entry(remote.ip()).or_default() += 1;
        (conn, own)
    }

    async fn forget(&mut self, conn: ConnId) {
        let Some(peer) = self.peers.remove(&conn) else { return };
        if self.by_remote.get(&peer.remote) == Some(&conn) {
            self.by_remote.remove(&peer.remote);
        }
        if let Some(n) = self.by_address.get_mut(&peer.remote.ip()) {
            *n -= 1;
            if *n == 0 {
                self.by_address.remove(&peer.remote.ip());
            }
        }
        // Control must hear of it; when it is gone itself, so is everything else.
        if self.shared.to_control.send(NetInput::ConnectionGone { conn }).await.is_err() {
            self.count(Count::InboxFull);
        }
    }
}

async fn accept(
    listener: TcpListener,
    accepted: mpsc::Sender<(TcpStream, SocketAddr)>,
    counters: Arc<Counters>,
) {
    loop {
        let Ok(it) = listener.accept().await else {
            // Out of handles, most likely: pausing leaves the caller in the backlog.
            counters.add(Count::AcceptFailed);
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        if accepted.send(it).await.is_err() {
            return;
        }
    }
}
