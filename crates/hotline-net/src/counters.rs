//! What the edge counts. A packet that is dropped is a number, never a log line.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)+) => {
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum Count { $($(#[$doc])* $name),+ }

        impl Count {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The metric's label.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label),+ }
            }
        }
    };
}

counts! {
    UdpReceived => "udp_received",
    UdpSent => "udp_sent",
    TcpReceived => "tcp_received",
    TcpSent => "tcp_sent",
    /// A datagram or frame that is not SIP.
    Malformed => "malformed",
    /// Control's inbox was full. SIP retransmits.
    InboxFull => "inbox_full",
    /// The socket refused; ICMP unreachable is one reason.
    SendFailed => "send_failed",
    ReceiveFailed => "receive_failed",
    /// ICMP said that a trunk, a telephone or a friend is not there.
    Unreachable => "unreachable",
    /// No such connection, or its outbox was full.
    ConnectionUnknown => "connection_unknown",
    OutboxFull => "outbox_full",
    Accepted => "accepted",
    AcceptFailed => "accept_failed",
    RefusedOverLimit => "refused_over_limit",
    RefusedOverAddressLimit => "refused_over_address_limit",
    /// Connected and said nothing in time.
    FirstMessageLate => "first_message_late",
    ConnectFailed => "connect_failed",
    Connected => "connected",
    KeepAlive => "keep_alive",
    /// A known telephone or trunk asked for its address (RFC 5626 §4.4.2), or a stranger did.
    StunAnswered => "stun_answered",
    StunRefused => "stun_refused",
    /// A peer that used to answer pings does not any more.
    KeepAliveLost => "keep_alive_lost",
    /// A known peer's stream lost its frames and was followed again at the next message.
    Resynchronised => "resynchronised",
    /// Nothing came over a stranger's connection for too long.
    IdleClosed => "idle_closed",
    /// Handshakes of TLS and WebSocket that failed or came too late.
    HandshakeFailed => "handshake_failed",
    /// Handshakes of strangers beyond what they may begin in a second.
    HandshakesOverRate => "handshakes_over_rate",
    /// A stranger's unfinished message for which all connections together left no room.
    BuffersFull => "buffers_full",
    /// A trunk showed another's certificate or none, or came without TLS.
    CertificateRefused => "certificate_refused",
    /// A page that may not opened a WebSocket.
    OriginRefused => "origin_refused",
    /// New certificates came into use, or could not.
    CertificatesLoaded => "certificates_loaded",
    CertificatesBad => "certificates_bad",
    /// Addresses that were banned, messages of banned addresses, and connections of them.
    Banned => "banned",
    BannedDropped => "banned_dropped",
    BannedRefused => "banned_refused",
    /// Messages beyond what all strangers together, or one known address, may send in a second.
    StrangersOverRate => "strangers_over_rate",
    KnownOverRate => "known_over_rate",
    Closed => "closed",
}

/// One number per [`Count`]; shared by all tasks of the edge and read by `/metrics`.
pub struct Counters([AtomicU64; Count::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Count::ALL.len()])
    }
}

impl Counters {
    pub(crate) fn add(&self, what: Count) {
        if let Some(it) = self.0.get(what as usize) {
            it.fetch_add(1, Relaxed);
        }
    }

    pub fn of(&self, what: Count) -> u64 {
        self.0.get(what as usize).map_or(0, |it| it.load(Relaxed))
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Count::ALL.iter().map(|it| (it.label(), self.of(*it)))).finish()
    }
}
