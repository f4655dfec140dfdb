//! What the engine is told before it starts: every part's own configuration, already checked.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// The whole engine's configuration, a value. `hotline-config` makes it from files.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Listen,
    /// Where the engine keeps its state: spool, keepsakes, the note of what runs (`engine.json`).
    pub data_dir: PathBuf,
    pub net: hotline_net::Config,
    pub telemetry: Telemetry,
    /// How long running calls may go on after SIGTERM.
    pub grace: Duration,
}

/// Addresses the supervisor binds. Port 0 takes any free port; `engine.json` says which.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listen {
    pub sip_udp: Vec<SocketAddr>,
    pub sip_tcp: Vec<SocketAddr>,
    pub http: Option<SocketAddr>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Telemetry {
    pub format: LogFormat,
    /// A `tracing` filter such as `info,hotline_sip=debug`.
    pub filter: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    Text,
    Json,
}
