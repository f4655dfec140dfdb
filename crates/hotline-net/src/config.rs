//! Limits of the signalling edge.

use std::time::Duration;

use hotline_sip::Limits;
use hotline_trunk::Source;

use crate::Tls;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Connections in all. The last quarter is for addresses that are known.
    pub connections_max: usize,
    /// From one address that is not known, or one /64 of IPv6. Many telephones may share one.
    pub connections_per_address_max: usize,
    /// A connection that has not sent a whole message by then is closed, unless its address is
    /// known. The handshakes of TLS and WebSocket count.
    pub first_message: Duration,
    /// After that much silence the connection of an unknown address is closed.
    pub stranger_idle: Duration,
    /// How long an outgoing connection may take.
    pub connect: Duration,
    /// How often a connection that we opened is pinged (RFC 5626 §4.4.1).
    pub keep_alive: Duration,
    /// Bounds of one message.
    pub limits: Limits,
    pub flood: Flood,
    /// Without it nothing is spoken over TLS.
    pub tls: Option<Tls>,
    /// Pages that may open a WebSocket, such as `https://desk.example.cn`; empty: any.
    pub websocket_origins: Vec<String>,
    /// The first [`ConnId`](hotline_base::ConnId); a restart must not repeat earlier ones.
    pub first_conn: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connections_per_address_max: 100,
            first_message: Duration::from_secs(5),
            stranger_idle: Duration::from_secs(30),
            connect: Duration::from_secs(4),
            keep_alive: Duration::from_mins(1),
            limits: Limits::new(),
            flood: Flood::default(),
            tls: None,
            websocket_origins: Vec::new(),
            first_conn: 1,
        }
    }
}

/// What strangers may ask before they are not heard any more, and who is no stranger.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flood {
    /// More messages than this within [`window`](Self::window) and the address is banned.
    pub requests_max: u32,
    pub window: Duration,
    pub ban: Duration,
    /// Messages a second of all strangers together: addresses can be forged over UDP.
    pub strangers_per_sec_max: u32,
    /// Messages a second of each trunk, of each address with telephones and of each of `friends`.
    /// What is above it is dropped and counted; nobody of them is ever banned.
    pub known_per_sec_max: u32,
    /// TLS handshakes a second of all strangers together: each costs a core some tenths of a
    /// millisecond. Connections above it are closed unheard.
    pub handshakes_per_sec_max: u32,
    /// Bytes of unfinished messages of all connections together, and what these take themselves:
    /// TLS its records, a WebSocket the longest message. A stranger's connection that would exceed
    /// it is closed.
    pub buffered_max: usize,
    /// Addresses that are never banned though nobody is registered there yet: an office behind
    /// address translation, a WebSocket proxy.
    pub friends: Vec<Source>,
    pub trunks: Vec<Source>,
}

impl Default for Flood {
    fn default() -> Self {
        Self {
            requests_max: 20,
            window: Duration::from_secs(2),
            ban: Duration::from_mins(5),
            strangers_per_sec_max: 1_000,
            known_per_sec_max: 30_000,
            handshakes_per_sec_max: 200,
            buffered_max: 256 << 20,
            friends: Vec::new(),
            trunks: Vec::new(),
        }
    }
}
