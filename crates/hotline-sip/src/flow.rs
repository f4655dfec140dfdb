//! Where a message came from and where an answer goes.

use std::net::SocketAddr;

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_base::ConnId;

#[derive(
    BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd,
)]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    /// As in a Via: `SIP/2.0/UDP`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }

    /// Whether the transport delivers by itself, so that transactions do not retransmit.
    pub const fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp => true,
        }
    }
}

/// One path between a local socket and a peer. Over TCP, `conn` names the connection; without one
/// the rim opens a connection to `remote`.
#[derive(
    BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd,
)]
pub struct Flow {
    pub transport: Transport,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub conn: Option<ConnId>,
}
