//! Limits of the signalling edge.

use std::time::Duration;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// TCP connections in all, and from one address. Many agents may share one address.
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    /// A connection that has not sent a whole message by then is closed.
    pub first_message: Duration,
    /// How long an outgoing connection may take.
    pub connect: Duration,
    /// The first [`ConnId`](hotline_base::ConnId); a restart must not repeat earlier ones.
    pub first_conn: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connections_per_address_max: 512,
            first_message: Duration::from_secs(10),
            connect: Duration::from_secs(4),
            first_conn: 1,
        }
    }
}
