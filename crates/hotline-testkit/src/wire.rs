//! A robot's signalling socket: UDP, or one TCP connection to its server.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use hotline_base::ConnId;
use hotline_sip::{Flow, Limits, StreamStep, Transport, split_stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream, UdpSocket},
};

/// The connection of a robot over TCP; it has only one.
pub(crate) const CONN: ConnId = ConnId(1);

#[derive(Debug)]
pub(crate) struct Wire {
    local: SocketAddr,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Udp { socket: UdpSocket, buffer: Vec<u8> },
    Tcp { stream: TcpStream, remote: SocketAddr, buffer: Vec<u8>, gone: bool },
}

/// What came.
#[derive(Debug)]
pub(crate) enum Received {
    Message {
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    /// The connection is closed or cannot be followed.
    Gone,
}

impl Wire {
    pub(crate) async fn bind(ip: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0)).await?;
        let local = socket.local_addr()?;
        Ok(Self { local, kind: Kind::Udp { socket, buffer: vec![0; hotline_sip::MESSAGE_MAX] } })
    }

    pub(crate) async fn connect(ip: IpAddr, remote: SocketAddr) -> io::Result<Self> {
        let socket = if ip.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind((ip, 0).into())?;
        let stream = socket.connect(remote).await?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        Ok(Self { local, kind: Kind::Tcp { stream, remote, buffer: Vec::new(), gone: false } })
    }

    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// The path to a server, or to the sender of a message.
    pub(crate) const fn flow(&self, remote: SocketAddr) -> Flow {
        let local = self.local;
        match &self.kind {
            Kind::Udp { .. } => Flow { transport: Transport::Udp, local, remote, conn: None },
            Kind::Tcp { remote, .. } => {
                Flow { transport: Transport::Tcp, local, remote: *remote, conn: Some(CONN) }
            }
        }
    }

    pub(crate) async fn send(&mut self, flow: &Flow, bytes: &[u8]) {
        // What is lost is sent again by its transaction, or the connection turns out to be gone.
        match &mut self.kind {
            Kind::Udp { socket, .. } => drop(socket.send_to(bytes, flow.remote).await),
            Kind::Tcp { stream, .. } => drop(stream.write_all(bytes).await),
        }
    }

    /// The next message. May be dropped while it waits; nothing is lost then.
    pub(crate) async fn receive(&mut self) -> Received {
        match &mut self.kind {
            Kind::Udp { socket, buffer } => loop {
                if let Ok((n, from)) = socket.recv_from(buffer).await {
                    let bytes = buffer.get(..n).unwrap_or_default().to_vec();
                    return Received::Message { from, bytes };
                }
            },
            Kind::Tcp { gone: true, .. } => std::future::pending().await,
            Kind::Tcp { stream, remote, buffer, gone } => loop {
                match split_stream(buffer, Limits::new()) {
                    StreamStep::Frame(n) => {
                        let bytes = buffer.drain(..n.min(buffer.len())).collect();
                        return Received::Message { from: *remote, bytes };
                    }
                    StreamStep::KeepAlive(n, _) => drop(buffer.drain(..n.min(buffer.len()))),
                    StreamStep::NeedMore if stream.read_buf(buffer).await.unwrap_or(0) > 0 => {}
                    StreamStep::NeedMore | StreamStep::Broken { .. } => {
                        *gone = true;
                        return Received::Gone;
                    }
                }
            },
        }
    }
}
