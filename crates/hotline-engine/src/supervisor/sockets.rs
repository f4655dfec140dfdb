//! The listening sockets, and the note that says where they are.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd,
    path::PathBuf,
};

use hotline_sip::Transport;
use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::{
    config::Listen,
    error::Error,
    handover::{Channel, HANDLES_MAX, Handover, SocketKind},
};

/// What arrives while control is away for two seconds must fit. The kernel may grant less.
const UDP_BUFFER: usize = 4 << 20;

/// Connections that wait to be accepted while control is away.
const BACKLOG: i32 = 1_024;

/// The note's name in the data directory.
pub(super) const NOTE: &str = "engine.json";

pub(super) struct Bound {
    udp: Vec<UdpSocket>,
    streams: Vec<(Transport, TcpListener)>,
    http: Option<TcpListener>,
    note: PathBuf,
}

impl Bound {
    pub(super) fn bind(listen: &Listen, data_dir: PathBuf) -> Result<Self, Error> {
        let n = listen.sip_udp.len() + listen.streams().count() + 1;
        if n > HANDLES_MAX {
            let source = io::Error::other("more than 63 listening addresses");
            return Err(Error::Io { what: "the configuration asks for too much", source });
        }
        let udp = listen.sip_udp.iter().map(|it| bind_udp(*it)).collect::<Result<_, _>>()?;
        let bind = |(transport, it)| Ok((transport, bind_tcp("SIP", it)?));
        let streams = listen.streams().map(bind).collect::<Result<_, _>>()?;
        let http = listen.http.map(|it| bind_tcp("HTTP", it)).transpose()?;
        Ok(Self { udp, streams, http, note: data_dir.join(NOTE) })
    }

    /// Gives a new control process all sockets. If it has died, its end says so.
    pub(super) async fn send(&self, channel: &Channel) {
        let udp = self.udp.iter().map(|it| (SocketKind::SipUdp, it.as_fd()));
        let streams =
            self.streams.iter().map(|(kind, it)| (SocketKind::SipStream(*kind), it.as_fd()));
        let http = self.http.iter().map(|it| (SocketKind::Http, it.as_fd()));
        let (kinds, handles): (Vec<_>, Vec<_>) = udp.chain(streams).chain(http).unzip();
        if channel.send(&Handover::Sockets { kinds }, &handles).await.is_err() {
            tracing::debug!("Control is gone before it got its sockets.");
        }
    }

    /// Where it is bound in fact.
    pub(super) fn addresses(&self) -> Listen {
        let mut listen = Listen {
            sip_udp: self.udp.iter().filter_map(|it| it.local_addr().ok()).collect(),
            http: self.http.as_ref().and_then(|it| it.local_addr().ok()),
            ..Listen::default()
        };
        for (transport, it) in &self.streams {
            if let Ok(address) = it.local_addr() {
                listen.add(*transport, address);
            }
        }
        listen
    }

    /// Writes `engine.json`: process ids and addresses, for people, tests and the demo.
    pub(super) fn note(&self, control: Option<u32>, media: Option<u32>) {
        let Listen { sip_udp, sip_tcp, sip_tls, sip_ws, sip_wss, http } = self.addresses();
        let texts = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let note = json!({
            "pid": std::process::id(),
            "control": control,
            "media": media,
            "sip_udp": texts(&sip_udp),
            "sip_tcp": texts(&sip_tcp),
            "sip_tls": texts(&sip_tls),
            "sip_ws": texts(&sip_ws),
            "sip_wss": texts(&sip_wss),
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
    let socket = bound(address, Type::DGRAM).map_err(fail)?;
    if socket.set_recv_buffer_size(UDP_BUFFER).is_err() {
        tracing::debug!("The socket keeps its small buffer.");
    }
    Ok(socket.into())
}

fn bind_tcp(what: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    let fail = |source| Error::Bind { what, address, source };
    let socket = bound(address, Type::STREAM).map_err(fail)?;
    socket.listen(BACKLOG).map_err(fail)?;
    Ok(socket.into())
}

/// `[::]` is IPv6 alone, so that `0.0.0.0` can stand beside it and every peer has the address of
/// its own family.
fn bound(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.cloexec(), None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // As std does: a restart must not wait for old connections to be forgotten.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}
