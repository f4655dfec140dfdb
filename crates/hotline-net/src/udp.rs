//! Datagrams in, and what ICMP says of those that left.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::Arc,
    time::Instant,
};

use hotline_sip::{Flow, Malformed, Message, Transport};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc::error::TrySendError,
    task::yield_now,
};

use crate::{Count, NetInput, gate::Verdict, icmp, keepalive::is_keepalive, stream::Shared, stun};

/// Datagrams read before others have their turn. Whoever decides in the same thread is not kept
/// from the first by the reading of the last, and the wait that says how busy he is stays true.
const AT_ONCE_MAX: usize = 8;

/// The largest UDP payload there is.
const DATAGRAM_MAX: usize = 65_536;

/// Reads until control is gone. Nobody waits here to write, or every datagram that has left would
/// wake the reader.
pub(crate) async fn serve(socket: Arc<UdpSocket>, local: SocketAddr, shared: Shared) {
    let socket = match registered(socket, Interest::READABLE | Interest::ERROR) {
        Ok(it) => it,
        Err(error) => {
            tracing::error!(%error, "A signalling socket cannot be read.");
            return;
        }
    };
    tokio::select! {
        () = read(&socket, local, &shared) => (),
        () = icmp::watch(&socket, local, &shared) => (),
    }
}

/// With the runtime, for nothing but `interest`: tokio's own sockets are always woken for both
/// ways.
#[expect(deprecated, reason = "std's sockets keep the handle they have; the other way is unsafe")]
pub(crate) fn registered<T: AsRawFd>(socket: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(socket, interest)
}

async fn read(socket: &AsyncFd<Arc<UdpSocket>>, local: SocketAddr, shared: &Shared) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut place = Message::blank();
    let mut n = 0_usize;
    loop {
        n = n.wrapping_add(1);
        if n.is_multiple_of(AT_ONCE_MAX) {
            yield_now().await;
        }
        match socket.async_io(Interest::READABLE, |it| it.recv_from(&mut buffer)).await {
            Ok((n, remote)) => {
                let flow = Flow { transport: Transport::Udp, local, remote, conn: None };
                let datagram = buffer.get(..n).unwrap_or_default();
                if stun::is_stun(datagram) {
                    answer_stun(socket.get_ref(), datagram, remote, shared);
                } else if !take(datagram, flow, &mut place, shared) {
                    return;
                }
            }
            Err(error) => {
                // An ICMP error of an earlier packet; the socket itself is well.
                shared.counters.add(Count::ReceiveFailed);
                if error.kind() == io::ErrorKind::OutOfMemory {
                    yield_now().await;
                }
            }
        }
    }
}

/// The answer is larger than the question, and keeps a flow alive (RFC 5626 §8): it goes only to
/// where a telephone registered from, port and all. One whose address was translated anew gets
/// none, which is how it learns to register again (§4.4.2). An answer that the socket cannot take
/// now is asked for again.
fn answer_stun(socket: &UdpSocket, datagram: &[u8], remote: SocketAddr, shared: &Shared) {
    shared.counters.add(Count::UdpReceived);
    let heard = shared.gate.judge(remote, Instant::now()) == Verdict::Known;
    if !(heard && shared.gate.is_flow(Transport::Udp, remote)) {
        shared.counters.add(Count::StunRefused);
        return;
    }
    match stun::answer(datagram, remote).map(|it| socket.send_to(&it, remote)) {
        Some(Ok(_)) => shared.counters.add(Count::StunAnswered),
        Some(Err(_)) => shared.counters.add(Count::SendFailed),
        None => shared.counters.add(Count::Malformed),
    }
}

/// `false`: control is gone. `place` is where messages are read; only a good one is copied.
fn take(datagram: &[u8], flow: Flow, place: &mut Message, shared: &Shared) -> bool {
    shared.counters.add(Count::UdpReceived);
    if is_keepalive(datagram) {
        shared.counters.add(Count::KeepAlive);
        return true;
    }
    if shared.gate.judge(flow.remote, Instant::now()) == Verdict::Refused {
        return true;
    }
    if shared.certificates.demands(flow.remote.ip()) {
        shared.counters.add(Count::CertificateRefused);
        return true;
    }
    let input = match place.read_again(flow, datagram, shared.config.limits) {
        Ok(()) => NetInput::Sip { flow, message: place.clone(), at: Instant::now() },
        Err(malformed) => broken(malformed, flow, shared),
    };
    match shared.to_control.try_send(input) {
        Ok(()) => true,
        Err(TrySendError::Full(_)) => {
            shared.counters.add(Count::InboxFull);
            true
        }
        Err(TrySendError::Closed(_)) => false,
    }
}

/// One message, or what is wrong with it.
pub(crate) fn parse(bytes: &[u8], flow: Flow, shared: &Shared) -> NetInput {
    match Message::parse_from(flow, bytes, shared.config.limits) {
        Ok(message) => NetInput::Sip { flow, message, at: Instant::now() },
        Err(malformed) => broken(malformed, flow, shared),
    }
}

fn broken(it: Malformed, flow: Flow, shared: &Shared) -> NetInput {
    shared.counters.add(Count::Malformed);
    NetInput::Broken { flow, why: it.why, reply: it.reply }
}
