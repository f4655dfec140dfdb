//! What ICMP says of datagrams that left: the peer, or the way to it, is not there.
//!
//! The kernel keeps it in the socket's error queue (ip(7), `IP_RECVERR`), and only for datagrams
//! that this socket sent. RFC 3261 §18.4: whoever sent the request is told at once.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    sync::Arc,
};

use hotline_sip::{Flow, Transport};
use nix::{
    cmsg_space,
    errno::Errno,
    libc::{SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, sock_extended_err},
    sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
        sockopt::{Ipv4RecvErr, Ipv6RecvErr},
    },
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::{Count, NetInput, stream::Shared};

/// Asks the kernel to keep what ICMP says.
pub(crate) fn ask(socket: &UdpSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv6() {
        setsockopt(socket, Ipv6RecvErr, &true)?;
    }
    // A socket of IPv6 sends to addresses of IPv4 as well.
    setsockopt(socket, Ipv4RecvErr, &true)?;
    Ok(())
}

/// Tells control until it is gone.
pub(crate) async fn watch(socket: &AsyncFd<Arc<UdpSocket>>, local: SocketAddr, shared: &Shared) {
    loop {
        let said = socket.async_io(Interest::ERROR, |it| next(it)).await;
        let Ok(Some(remote)) = said else { continue };
        // Answers to strangers, whose addresses may be forged, come to nothing all the time.
        if !shared.gate.is_known(remote.ip()) {
            continue;
        }
        shared.counters.add(Count::Unreachable);
        let flow = Flow { transport: Transport::Udp, local, remote, conn: None };
        if shared.to_control.send(NetInput::Unreachable { flow }).await.is_err() {
            return;
        }
    }
}

/// The next error of the queue; `None`: one that says nothing of the peer.
fn next(socket: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    let mut control = cmsg_space!([u8; CONTROL_MAX]);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let it = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut [], Some(&mut control), flags)?;
    let said = it.cmsgs()?.any(|it| {
        if let ControlMessageOwned::Ipv4RecvErr(it, _) | ControlMessageOwned::Ipv6RecvErr(it, _) =
            it
        {
            is_gone(&it)
        } else {
            false
        }
    });
    // Where the datagram had been sent to.
    Ok(it.address.filter(|_| said).as_ref().and_then(address))
}

/// RFC 1122 §4.1.3.3; a datagram that was too large is not among them.
fn is_gone(it: &sock_extended_err) -> bool {
    let by_icmp = matches!(it.ee_origin, SO_EE_ORIGIN_ICMP | SO_EE_ORIGIN_ICMP6);
    let errno = i32::try_from(it.ee_errno).map_or(Errno::UnknownErrno, Errno::from_raw);
    by_icmp
        && matches!(
            errno,
            Errno::ECONNREFUSED
                | Errno::EHOSTUNREACH
                | Errno::ENETUNREACH
                | Errno::EHOSTDOWN
                | Errno::EACCES
                | Errno::ENOPROTOOPT
        )
}

pub(crate) fn address(it: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = it.as_sockaddr_in().map(|it| SocketAddr::from((it.ip(), it.port())));
    v4.or_else(|| it.as_sockaddr_in6().map(|it| SocketAddr::from((it.ip(), it.port()))))
}

/// What an error with the address of who complained takes.
const CONTROL_MAX: usize = 128;
