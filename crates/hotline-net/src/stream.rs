//! One TCP connection: frames in, messages out.
//!
//! A stream has no retransmission above it, so a reader here waits for control instead of dropping;
//! the peer feels it as a full window.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hotline_sip::{Flow, StreamStep, split_stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, tcp::OwnedReadHalf},
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

use crate::{Count, Counters, NetInput, keepalive::PONG, udp::parse};

/// Messages that may wait for one connection's window.
pub(crate) const OUTBOX_MAX: usize = 64;

const READ_CHUNK: usize = 4_096;

/// Malformed messages after which a connection is not worth keeping.
const MALFORMED_MAX: u32 = 16;

/// What every connection needs.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) counters: Arc<Counters>,
    pub(crate) to_control: mpsc::Sender<NetInput>,
    pub(crate) first_message: Duration,
    pub(crate) connect: Duration,
}

/// A connection's own ends of what the router holds.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) outbox: mpsc::Receiver<Vec<u8>>,
    /// Into the same outbox, for answers to keep-alives.
    pub(crate) pong: mpsc::WeakSender<Vec<u8>>,
    /// Resolves when the router lets go.
    pub(crate) dropped: oneshot::Receiver<()>,
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve(stream: TcpStream, flow: Flow, own: Own, shared: Shared) {
    keep_alive(&stream);
    let Own { mut outbox, pong, dropped } = own;
    let (half, mut writer) = stream.into_split();
    let deadline = Instant::now() + shared.first_message;
    let write = async {
        while let Some(bytes) = outbox.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                shared.counters.add(Count::SendFailed);
                return;
            }
            shared.counters.add(Count::TcpSent);
        }
    };
    let reader = Reader { half, flow, buffer: Vec::new(), n_malformed: 0, pong };
    tokio::select! {
        () = write => (),
        () = read(reader, deadline, &shared) => (),
        _ = dropped => (),
    }
    shared.counters.add(Count::Closed);
}

/// Makes an outgoing connection and serves it.
pub(crate) async fn connect(flow: Flow, own: Own, shared: Shared) {
    let Ok(Ok(stream)) = timeout(shared.connect, dial(flow.local, flow.remote)).await else {
        shared.counters.add(Count::ConnectFailed);
        return;
    };
    shared.counters.add(Count::Connected);
    let local = stream.local_addr().unwrap_or(flow.local);
    serve(stream, Flow { local, ..flow }, own, shared).await;
}

async fn dial(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if !local.ip().is_unspecified() && local.is_ipv4() == remote.is_ipv4() {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    socket.connect(remote).await
}

struct Reader {
    half: OwnedReadHalf,
    flow: Flow,
    buffer: Vec<u8>,
    n_malformed: u32,
    pong: mpsc::WeakSender<Vec<u8>>,
}

async fn read(mut it: Reader, deadline: Instant, shared: &Shared) {
    let mut heard = false;
    loop {
        let room = it.buffer.len();
        it.buffer.resize(room + READ_CHUNK, 0);
        let target = it.buffer.get_mut(room..).unwrap_or_default();
        let got = if heard {
            it.half.read(target).await
        } else if let Ok(got) = timeout_at(deadline, it.half.read(target)).await {
            got
        } else {
            shared.counters.add(Count::FirstMessageLate);
            return;
        };
        let n = got.unwrap_or(0);
        it.buffer.truncate(room + n);
        if n == 0 {
            return;
        }
        match frames(&mut it, shared).await {
            Frames::Continue { message } => heard |= message,
            Frames::Close => return,
        }
    }
}

enum Frames {
    Continue { message: bool },
    Close,
}

/// Takes every whole frame out of the buffer.
async fn frames(it: &mut Reader, shared: &Shared) -> Frames {
    let mut at = 0;
    let mut message = false;
    loop {
        let rest = it.buffer.get(at..).unwrap_or_default();
        let input = match split_stream(rest) {
            StreamStep::NeedMore => break,
            StreamStep::KeepAlive(n, wants_pong) => {
                at += n;
                shared.counters.add(Count::KeepAlive);
                if wants_pong {
                    pong(it, shared);
                }
                continue;
            }
            StreamStep::Frame(n) => {
                let frame = rest.get(..n).unwrap_or_default();
                at += n;
                message = true;
                shared.counters.add(Count::TcpReceived);
                parse(frame, it.flow, &shared.counters)
            }
            StreamStep::Broken(why) => {
                // Where the next message begins can no longer be known.
                shared.counters.add(Count::Malformed);
                let broken = NetInput::Broken { flow: it.flow, why, reply: None };
                return match shared.to_control.send(broken).await {
                    Ok(()) | Err(_) => Frames::Close,
                };
            }
        };
        if matches!(input, NetInput::Broken { .. }) {
            it.n_malformed += 1;
        }
        if shared.to_control.send(input).await.is_err() || it.n_malformed > MALFORMED_MAX {
            return Frames::Close;
        }
    }
    it.buffer.drain(..at);
    if it.buffer.is_empty() {
        it.buffer.shrink_to(READ_CHUNK);
    }
    Frames::Continue { message }
}

fn pong(it: &Reader, shared: &Shared) {
    let sent = it.pong.upgrade().is_some_and(|outbox| outbox.try_send(PONG.to_vec()).is_ok());
    if !sent {
        shared.counters.add(Count::OutboxFull);
    }
}

/// A phone that lost its power never says so: the kernel asks.
fn keep_alive(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_mins(1))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    if socket.set_tcp_keepalive(&probes).is_err() || stream.set_nodelay(true).is_err() {
        tracing::debug!("A connection takes no socket options.");
    }
}
