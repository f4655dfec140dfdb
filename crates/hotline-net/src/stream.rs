//! One connection of a byte stream: frames in, messages out.
//!
//! A stream has no retransmission above it, so a reader here waits for control instead of dropping;
//! the peer feels it as a full window.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hotline_sip::Flow;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpSocket, TcpStream},
    sync::{mpsc, oneshot},
    time::{Instant, interval_at, timeout, timeout_at},
};

use crate::{
    Config, Count, Counters, Gate, NetInput,
    frames::{Frames, Held, Reading},
    keepalive::PING,
    router::Note,
    tls::Certificates,
};

/// Messages that may wait for one connection's window.
pub(crate) const OUTBOX_MAX: usize = 64;

/// Malformed messages after which a stranger's connection is not worth keeping.
pub(crate) const MALFORMED_MAX: u32 = 16;

const READ_CHUNK: usize = 4_096;

/// How long a connection that is given up may take the answer that says why.
const LINGER: Duration = Duration::from_secs(1);

/// What every connection needs.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) counters: Arc<Counters>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) config: Arc<Config>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) to_control: mpsc::Sender<NetInput>,
    pub(crate) notes: mpsc::Sender<Note>,
    /// Bytes of unfinished messages of all connections.
    pub(crate) buffered: Arc<AtomicUsize>,
}

/// A connection's own ends of what the router holds.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) outbox: mpsc::Receiver<Arc<[u8]>>,
    /// Into the same outbox, for answers to keep-alives.
    pub(crate) pong: mpsc::WeakSender<Arc<[u8]>>,
    /// Resolves when the router lets go.
    pub(crate) dropped: oneshot::Receiver<()>,
}

/// Whether the peer of a connection that we opened lives.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// We ping: the connection is ours.
    ours: bool,
    awaited: AtomicBool,
    /// The peer has answered a ping before. One that never did may not know of them.
    answers: AtomicBool,
}

impl Pulse {
    pub(crate) const fn ours() -> Self {
        Self { ours: true, awaited: AtomicBool::new(false), answers: AtomicBool::new(false) }
    }

    /// Line ends came. Says whether a ping of ours waited for them.
    pub(crate) fn beat(&self) -> bool {
        let awaited = self.awaited.swap(false, Relaxed);
        if awaited {
            self.answers.store(true, Relaxed);
        }
        awaited
    }

    /// Time for the next ping; `false`: the last one had no answer, and there used to be one.
    fn ask(&self) -> bool {
        !(self.awaited.swap(true, Relaxed) && self.answers.load(Relaxed))
    }
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Send>(
    stream: S,
    flow: Flow,
    own: Own,
    shared: &Shared,
    deadline: Instant,
    pulse: Pulse,
) {
    let Own { outbox, pong, dropped } = own;
    let (half, writer) = tokio::io::split(stream);
    let reading = Reading::new(flow, pong, Held::new(&shared.buffered, flow.transport));
    tokio::select! {
        () = write(writer, outbox, &pulse, shared) => (),
        () = read(half, reading, deadline, &pulse, shared) => (),
        _ = dropped => (),
    }
    shared.counters.add(Count::Closed);
}

async fn write<S: AsyncWrite + Send>(
    mut writer: WriteHalf<S>,
    mut outbox: mpsc::Receiver<Arc<[u8]>>,
    pulse: &Pulse,
    shared: &Shared,
) {
    let period = shared.config.keep_alive;
    let mut ping = interval_at(Instant::now() + period, period);
    loop {
        let bytes = tokio::select! {
            bytes = outbox.recv() => match bytes {
                Some(bytes) => bytes,
                None => return,
            },
            _ = ping.tick(), if pulse.ours => {
                if !pulse.ask() {
                    shared.counters.add(Count::KeepAliveLost);
                    return;
                }
                PING.into()
            }
        };
        let written = writer.write_all(&bytes).await;
        if written.is_err() || writer.flush().await.is_err() {
            shared.counters.add(Count::SendFailed);
            return;
        }
        shared.counters.add(Count::TcpSent);
    }
}

async fn read<S: AsyncRead + Send>(
    mut half: ReadHalf<S>,
    mut it: Reading,
    mut deadline: Instant,
    pulse: &Pulse,
    shared: &Shared,
) {
    let idle = shared.config.stranger_idle;
    loop {
        let room = it.buffer.len();
        // No more than is needed: a crowd of half messages takes what it sent, not twice that.
        it.buffer.reserve_exact(READ_CHUNK);
        it.buffer.resize(room + READ_CHUNK, 0);
        let target = it.buffer.get_mut(room..).unwrap_or_default();
        let got = timeout_at(deadline, half.read(target)).await;
        let n = match &got {
            Ok(Ok(n)) => *n,
            Ok(Err(_)) | Err(_) => 0,
        };
        it.buffer.truncate(room + n);
        it.read = std::time::Instant::now();
        if got.is_err() {
            if !shared.gate.is_known(it.flow.remote.ip()) {
                let late = if it.heard { Count::IdleClosed } else { Count::FirstMessageLate };
                return shared.counters.add(late);
            }
            it.give_up_half(shared);
            deadline = Instant::now() + idle;
            continue;
        }
        if n == 0 {
            return;
        }
        match it.frames(pulse, shared).await {
            Frames::Continue { message: true } => deadline = Instant::now() + idle,
            Frames::Continue { message: false } => (),
            Frames::Close => return linger(half).await,
        }
        if !it.has_room(shared) {
            return shared.counters.add(Count::BuffersFull);
        }
    }
}

/// Lets the answer to what was wrong leave before the connection ends: closing it with bytes that
/// nobody read would make the kernel take the answer back.
async fn linger<S: AsyncRead + Send>(mut half: ReadHalf<S>) {
    let mut rest = [0; 1_024];
    let drain = async { while half.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
    // Either way it ends.
    drop(timeout(LINGER, drain).await);
}

/// Opens a connection from the local address of a flow, or any when that says nothing.
pub(crate) async fn dial(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if !local.ip().is_unspecified() && local.is_ipv4() == remote.is_ipv4() {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    socket.connect(remote).await
}

/// A telephone that lost its power never says so: the kernel asks.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_mins(1))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    if socket.set_tcp_keepalive(&probes).is_err() || stream.set_nodelay(true).is_err() {
        tracing::debug!("A connection takes no socket options.");
    }
}
