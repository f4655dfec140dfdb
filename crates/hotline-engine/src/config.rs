//! What the engine is told before it starts: every part's own configuration, already checked.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hotline_sip::Transport;

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
    pub sip_tls: Vec<SocketAddr>,
    pub sip_ws: Vec<SocketAddr>,
    pub sip_wss: Vec<SocketAddr>,
    pub http: Option<SocketAddr>,
}

impl Listen {
    /// Addresses where connections are accepted, and what is spoken there.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (Transport, SocketAddr)> {
        let of = |transport, all: &[SocketAddr]| {
            all.iter().map(move |it| (transport, *it)).collect::<Vec<_>>()
        };
        let all = [
            of(Transport::Tcp, &self.sip_tcp),
            of(Transport::Tls, &self.sip_tls),
            of(Transport::Ws, &self.sip_ws),
            of(Transport::Wss, &self.sip_wss),
        ];
        all.into_iter().flatten()
    }

    pub(crate) fn add(&mut self, transport: Transport, address: SocketAddr) {
        match transport {
            Transport::Udp => self.sip_udp.push(address),
            Transport::Tcp => self.sip_tcp.push(address),
            Transport::Tls => self.sip_tls.push(address),
            Transport::Ws => self.sip_ws.push(address),
            Transport::Wss => self.sip_wss.push(address),
        }
    }
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
