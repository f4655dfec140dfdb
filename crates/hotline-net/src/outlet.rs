//! Bytes out, from threads that must not wait.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use hotline_sip::Transport;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{Count, Counters, Sockets, Transmit};

/// The way to the wire. Cheap to clone; never waits.
///
/// A datagram goes to the kernel at once, in the sender's thread: handing it to a task would cost a
/// wake-up for every packet. Everything for connections goes by way of the router, and so does a
/// datagram that the kernel does not take: the router can wait, and knows what a refusal means.
#[derive(Clone, Debug)]
pub struct Outlet {
    udp: Arc<[(SocketAddr, UdpSocket)]>,
    router: mpsc::Sender<Transmit>,
    counters: Arc<Counters>,
}

impl Outlet {
    /// `router` is the other end of what [`run`](crate::run) reads.
    ///
    /// # Errors
    /// When a socket's handle cannot be copied.
    pub fn new(
        sockets: &Sockets,
        router: mpsc::Sender<Transmit>,
        counters: Arc<Counters>,
    ) -> std::io::Result<Self> {
        let udp = sockets.udp.iter().map(|it| {
            it.set_nonblocking(true)?;
            Ok((it.local_addr()?, it.try_clone()?))
        });
        Ok(Self { udp: udp.collect::<std::io::Result<_>>()?, router, counters })
    }

    /// # Errors
    /// When the router has no room, or has ended.
    pub fn send(&self, it: Transmit) -> Result<(), TrySendError<Transmit>> {
        let exact = self.udp.iter().find(|(local, _)| *local == it.flow.local);
        let (Transport::Udp, Some((_, socket))) = (it.flow.transport, exact) else {
            return self.router.try_send(it);
        };
        if socket.send_to(&it.bytes, it.flow.remote).is_err() {
            return self.router.try_send(it);
        }
        self.counters.add(Count::UdpSent);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hotline_sip::Flow;

    use super::*;

    #[test]
    fn datagram_leaves_at_once_and_what_is_for_a_connection_by_way_of_the_router() {
        let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (socket, phone) = (bind(), bind());
        phone.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (local, remote) = (socket.local_addr().unwrap(), phone.local_addr().unwrap());
        let counters = Arc::new(Counters::default());
        let (to_router, mut router) = mpsc::channel(1);
        let sockets = Sockets { udp: vec![socket], ..Sockets::default() };
        let outlet = Outlet::new(&sockets, to_router, Arc::clone(&counters)).unwrap();
        let transmit = |transport| {
            let flow = Flow { transport, local, remote, conn: None };
            Transmit { flow, bytes: b"ring".as_slice().into() }
        };
        outlet.send(transmit(Transport::Udp)).unwrap();
        let mut got = [0; 8];
        assert_eq!(phone.recv_from(&mut got).unwrap(), (4, local));
        assert_eq!(counters.of(Count::UdpSent), 1);
        assert!(router.try_recv().is_err());
        outlet.send(transmit(Transport::Tcp)).unwrap();
        assert!(router.try_recv().is_ok());
    }
}
