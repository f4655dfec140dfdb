//! SIP on real sockets: UDP, TCP, TLS and WebSocket in, parsed messages out; transmissions in,
//! packets out.
//!
//! **Invariant:** binds nothing, decides nothing. A transport never answers for a call; what it
//! cannot read goes to control together with a ready answer, and what it must drop is counted.

#![forbid(unsafe_code)]

mod config;
mod connection;
mod counters;
mod frames;
mod gate;
mod icmp;
mod keepalive;
mod outlet;
mod router;
mod stream;
mod stun;
mod tls;
mod udp;
mod ws;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use hotline_base::ConnId;
use hotline_sip::{Flow, Message, PeerMisbehaved, Transport};
use tokio::{runtime::Handle, sync::mpsc};

pub use self::{
    config::{Config, Flood},
    counters::{Count, Counters},
    gate::{Ban, Gate, Verdict},
    outlet::Outlet,
    tls::{BadFile, Tls, TlsPeer, TlsServer},
};

/// What the wire tells control.
#[derive(Debug)]
pub enum NetInput {
    Sip {
        flow: Flow,
        message: Message,
        /// When it came to the socket; by a connection, when the last of it was read.
        at: Instant,
    },
    /// It could not be read. `reply` is a complete answer where one can be given.
    Broken {
        flow: Flow,
        why: PeerMisbehaved,
        reply: Option<Vec<u8>>,
    },
    ConnectionGone {
        conn: ConnId,
    },
    /// Nothing sent by this flow arrives: no connection can be made, or ICMP said so.
    Unreachable {
        flow: Flow,
    },
}

/// Bytes for the wire.
#[derive(Clone, Debug)]
pub struct Transmit {
    pub flow: Flow,
    pub bytes: Arc<[u8]>,
}

/// Sockets that somebody else has bound.
#[derive(Debug, Default)]
pub struct Sockets {
    pub udp: Vec<std::net::UdpSocket>,
    /// Listeners, and what is spoken over the connections they accept.
    pub streams: Vec<(Transport, std::net::TcpListener)>,
}

/// Whose threads do what the caller's runtime does not.
#[derive(Clone, Debug)]
pub struct Threads {
    /// Reads datagrams. Where it is the reader's of the inputs, no thread is woken for another one.
    pub datagrams: Handle,
    /// Lets peers in by TLS, each of whom costs as much as a call: whatever comes, it takes the time
    /// of these threads alone.
    pub handshakes: Handle,
}

/// Serves until the transmissions end. The gate is shared with who knows the telephones.
///
/// # Errors
/// When a socket cannot be registered with the runtime.
pub async fn run(
    sockets: Sockets,
    config: Config,
    counters: Arc<Counters>,
    gate: Arc<Gate>,
    control: (mpsc::Sender<NetInput>, mpsc::Receiver<Transmit>),
    threads: Threads,
) -> std::io::Result<()> {
    router::run(sockets, config, counters, gate, control, threads).await
}
