//! Datagrams in.

use std::{io, net::SocketAddr, sync::Arc};

use hotline_sip::{Flow, Message, Transport};
use tokio::{
    net::UdpSocket,
    sync::mpsc::{self, error::TrySendError},
};

use crate::{Count, Counters, NetInput, keepalive::is_keepalive};

/// The largest UDP payload there is.
const DATAGRAM_MAX: usize = 65_536;

/// Reads until control is gone.
pub(crate) async fn read(
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    counters: Arc<Counters>,
    to_control: mpsc::Sender<NetInput>,
) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((n, remote)) => {
                let flow = Flow { transport: Transport::Udp, local, remote, conn: None };
                let datagram = buffer.get(..n).unwrap_or_default();
                if !take(datagram, flow, &counters, &to_control) {
                    return;
                }
            }
            Err(error) => {
                // An ICMP error of an earlier packet; the socket itself is well.
                counters.add(Count::ReceiveFailed);
                if error.kind() == io::ErrorKind::OutOfMemory {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

/// `false`: control is gone.
fn take(
    datagram: &[u8],
    flow: Flow,
    counters: &Counters,
    to_control: &mpsc::Sender<NetInput>,
) -> bool {
    counters.add(Count::UdpReceived);
    if is_keepalive(datagram) {
        counters.add(Count::KeepAlive);
        return true;
    }
    let input = parse(datagram, flow, counters);
    match to_control.try_send(input) {
        Ok(()) => true,
        Err(TrySendError::Full(_)) => {
            counters.add(Count::InboxFull);
            true
        }
        Err(TrySendError::Closed(_)) => false,
    }
}

/// One message, or what is wrong with it.
pub(crate) fn parse(bytes: &[u8], flow: Flow, counters: &Counters) -> NetInput {
    match Message::parse(bytes) {
        Ok(message) => NetInput::Sip { flow, message },
        Err(malformed) => {
            counters.add(Count::Malformed);
            NetInput::Broken { flow, why: malformed.why, reply: malformed.reply }
        }
    }
}
