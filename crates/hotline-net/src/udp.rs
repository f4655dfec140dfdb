//! Datagrams in, and what ICMP says of those that left.

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use hotline_sip::{Flow, Malformed, Message, Transport};
use nix::{
    cmsg_space,
    sys::{
        socket::{
            ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
            sockopt::ReceiveTimestampns,
        },
        time::TimeSpec,
    },
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc::error::TrySendError,
    task::yield_now,
};

use crate::{Count, NetInput, gate::Verdict, icmp, keepalive::is_keepalive, stream::Shared, stun};

/// Datagrams read before others have their turn: more than are decided meanwhile (`turn` in
/// `hotline-engine`), so that what waits does so where what belongs to a call goes first, and not
/// in the kernel, where it cannot; few enough that the first does not wait for the last.
const AT_ONCE_MAX: usize = 64;

/// No socket's buffer holds what came longer ago.
const WAITED_MAX: Duration = Duration::from_secs(10);

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
    // How busy control is shows by how long datagrams wait in the kernel.
    if let Err(error) = stamp_datagrams(socket.get_ref()) {
        tracing::warn!(%error, "Datagrams do not say when they came: overload is seen late.");
    }
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut stamp = cmsg_space!(TimeSpec);
    let mut place = Message::blank();
    let mut n = 0_usize;
    loop {
        n = n.wrapping_add(1);
        if n.is_multiple_of(AT_ONCE_MAX) {
            yield_now().await;
        }
        let read =
            socket.async_io(Interest::READABLE, |it| receive(it, &mut buffer, &mut stamp)).await;
        match read {
            Ok((n, remote, at)) => {
                let flow = Flow { transport: Transport::Udp, local, remote, conn: None };
                let datagram = buffer.get(..n).unwrap_or_default();
                if stun::is_stun(datagram) {
                    answer_stun(socket.get_ref(), datagram, remote, shared);
                } else if !take(datagram, (flow, at), &mut place, shared) {
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

fn stamp_datagrams(socket: &UdpSocket) -> io::Result<()> {
    Ok(setsockopt(socket, ReceiveTimestampns, &true)?)
}

/// A datagram, who sent it, and when it came to the socket.
fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    stamp: &mut [u8],
) -> io::Result<(usize, SocketAddr, Instant)> {
    let mut place = [IoSliceMut::new(buffer)];
    let fd = socket.as_raw_fd();
    let it = recvmsg::<SockaddrStorage>(fd, &mut place, Some(stamp), MsgFlags::MSG_DONTWAIT)?;
    // Read before the clock on the wall: a wait is rather too long than too short.
    let now = Instant::now();
    let waited = it.cmsgs()?.find_map(|it| {
        if let ControlMessageOwned::ScmTimestampns(came) = it {
            waited(came.into(), SystemTime::now())
        } else {
            None
        }
    });
    let at = waited.and_then(|it| now.checked_sub(it)).unwrap_or(now);
    let remote = it.address.as_ref().and_then(icmp::address);
    Ok((it.bytes, remote.ok_or(io::ErrorKind::InvalidData)?, at))
}

/// How long a datagram waited that came then by the clock on the wall. `None`: the clock was set
/// meanwhile.
fn waited(came: Duration, now: SystemTime) -> Option<Duration> {
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    since_epoch.checked_sub(came).filter(|it| *it <= WAITED_MAX)
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
fn take(
    datagram: &[u8],
    (flow, at): (Flow, Instant),
    place: &mut Message,
    shared: &Shared,
) -> bool {
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
        Ok(()) => NetInput::Sip { flow, message: place.clone(), at },
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

/// One message, read at that time, or what is wrong with it.
pub(crate) fn parse(bytes: &[u8], (flow, at): (Flow, Instant), shared: &Shared) -> NetInput {
    match Message::parse_from(flow, bytes, shared.config.limits) {
        Ok(message) => NetInput::Sip { flow, message, at },
        Err(malformed) => broken(malformed, flow, shared),
    }
}

fn broken(it: Malformed, flow: Flow, shared: &Shared) -> NetInput {
    shared.counters.add(Count::Malformed);
    NetInput::Broken { flow, why: it.why, reply: it.reply }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_says_when_it_came_and_not_when_it_was_read() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        stamp_datagrams(&socket).unwrap();
        let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
        let before = Instant::now();
        phone.send_to(b"OPTIONS", socket.local_addr().unwrap()).unwrap();
        let after = Instant::now();
        let (mut buffer, mut stamp) = ([0; 64], cmsg_space!(TimeSpec));
        let (n, from, at) = receive(&socket, &mut buffer, &mut stamp).unwrap();
        assert_eq!((&buffer[..n], from), (&b"OPTIONS"[..], phone.local_addr().unwrap()));
        assert!(at < after, "it was there before anybody read it");
        assert!(before.saturating_duration_since(at) < Duration::from_secs(1));
        assert!(
            receive(&socket, &mut buffer, &mut stamp)
                .is_err_and(|it| { it.kind() == io::ErrorKind::WouldBlock })
        );
    }

    #[test]
    fn a_clock_that_was_set_tells_no_wait() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let wait = |secs| waited(Duration::from_secs(secs), now);
        assert_eq!(wait(999), Some(Duration::from_secs(1)));
        assert_eq!((wait(1_001), wait(10)), (None, None));
    }
}
