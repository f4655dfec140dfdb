//! The listening sockets, and the note that says where they are.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd,
    path::PathBuf,
};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::json;

use crate::{
    config::Listen,
    error::Error,
    handover::{Channel, HANDLES_MAX, Handover, SocketKind},
};

/// What arrives while control is away for two seconds must fit. The kernel may grant less.
const UDP_BUFFER: usize = 4 << 20;

/// The note's name in the data directory.
pub(super) const NOTE: &str = "engine.json";

pub(super) struct Bound {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    http: Option<TcpListener>,
    note: PathBuf,
}

impl Bound {
    pub(super) fn bind(listen: &Listen, data_dir: PathBuf) -> Result<Self, Error> {
        let n = listen.sip_udp.len() + listen.sip_tcp.len() + 1;
        if n > HANDLES_MAX {
            let source = std::io::Error::other("more than 63 listening addresses");
            return Err(Error::Io { what: "the configuration asks for too much", source });
        }
        let udp = listen.sip_udp.iter().map(|it| bind_udp(*it)).collect::<Result<_, _>>()?;
        let tcp = listen.sip_tcp.iter().map(|it| bind_tcp("SIP", *it)).collect::<Result<_, _>>()?;
        let http = listen.http.map(|it| bind_tcp("HTTP", it)).transpose()?;
        Ok(Self { udp, tcp, http, note: data_dir.join(NOTE) })
    }

    /// Gives a new control process all sockets. If it has died, its end says so.
    pub(super) async fn send(&self, channel: &Channel) {
        let udp = self.udp.iter().map(|it| (SocketKind::SipUdp, it.as_fd()));
        let tcp = self.tcp.iter().map(|it| (SocketKind::SipTcp, it.as_fd()));
        let http = self.http.iter().map(|it| (SocketKind::Http, it.as_fd()));
        let (kinds, handles): (Vec<_>, Vec<_>) = udp.chain(tcp).chain(http).unzip();
        if channel.send(&Handover::Sockets { kinds }, &handles).await.is_err() {
            tracing::debug!("Control is gone before it got its sockets.");
        }
    }

    /// Where it is bound in fact.
    pub(super) fn addresses(&self) -> Listen {
        let tcp = |it: &TcpListener| it.local_addr().ok();
        Listen {
            sip_udp: self.udp.iter().filter_map(|it| it.local_addr().ok()).collect(),
            sip_tcp: self.tcp.iter().filter_map(tcp).collect(),
            http: self.http.as_ref().and_then(tcp),
        }
    }

    /// Writes `engine.json`: process ids and addresses, for people, tests and the demo.
    pub(super) fn note(&self, control: Option<u32>, media: Option<u32>) {
        let Listen { sip_udp, sip_tcp, http } = self.addresses();
        let texts = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let note = json!({
            "pid": std::process::id(),
            "control": control,
            "media": media,
            "sip_udp": texts(&sip_udp),
            "sip_tcp": texts(&sip_tcp),
            "http": http.map(|it| it.to_string()),
        });
        let draft = self.note.with_extension("json.tmp");
        let text = format!("{note:#}\n");
        let written =
            std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &self.note));
        if written.is_err() {
            tracing::warn!("The note of what runs cannot be written.");
        }
    }

    pub(super) fn forget(&self) {
        if std::fs::remove_file(&self.note).is_err() {
            tracing::debug!("There was no note to remove.");
        }
    }
}

fn bind_udp(address: SocketAddr) -> Result<UdpSocket, Error> {
    let fail = |source| Error::Bind { what: "SIP over UDP", address, source };
    let socket = UdpSocket::bind(address).map_err(fail)?;
    if set_socket_recv_buffer_size(&socket, UDP_BUFFER).is_err() {
        tracing::debug!("The socket keeps its small buffer.");
    }
    Ok(socket)
}

fn bind_tcp(what: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).map_err(|source| Error::Bind { what, address, source })
}
