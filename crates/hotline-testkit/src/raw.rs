//! Bytes that no telephone would send, and what comes back.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// A UDP socket of a stranger.
#[derive(Debug)]
pub struct RawUdp {
    socket: UdpSocket,
    local: SocketAddr,
}

/// A TCP connection of a stranger.
#[derive(Debug)]
pub struct RawTcp {
    stream: TcpStream,
}

impl RawUdp {
    pub async fn bind(ip: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0)).await?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local })
    }

    pub const fn address(&self) -> SocketAddr {
        self.local
    }

    pub async fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, to).await.map(drop)
    }

    /// The next datagram; `None` when none came in time.
    pub async fn receive(&self, deadline: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; hotline_sip::MESSAGE_MAX];
        let (n, _) = timeout(deadline, self.socket.recv_from(&mut buffer)).await.ok()?.ok()?;
        buffer.truncate(n);
        Some(buffer)
    }

    /// The status of the next final SIP response; `None` when none came in time.
    pub async fn final_status(&self, deadline: Duration) -> Option<u16> {
        let next = async {
            loop {
                let bytes = self.receive(deadline).await?;
                if let Some(status) = status_of(&bytes).filter(|it| *it >= 200) {
                    return Some(status);
                }
            }
        };
        timeout(deadline, next).await.ok().flatten()
    }

    /// Sends bytes and waits for the status of the response.
    pub async fn ask(&self, to: SocketAddr, bytes: &[u8], deadline: Duration) -> Option<u16> {
        self.send(to, bytes).await.ok()?;
        self.final_status(deadline).await
    }
}

impl RawTcp {
    pub async fn connect(to: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(to).await? })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Sends, and lets the bytes leave before the next are sent, so that frames are torn.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// What comes next; `None` when nothing came in time, empty when the connection was closed.
    pub async fn receive(&mut self, deadline: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        let read = timeout(deadline, self.stream.read(&mut buffer)).await.ok()?;
        // A reset is a closed connection, too.
        buffer.truncate(read.unwrap_or(0));
        Some(buffer)
    }

    /// Whether the peer closes the connection in time. What it sends before is passed over.
    pub async fn is_closed_within(&mut self, deadline: Duration) -> bool {
        let closed = async {
            while let Some(bytes) = self.receive(deadline).await {
                if bytes.is_empty() {
                    return true;
                }
            }
            false
        };
        timeout(deadline, closed).await.unwrap_or(false)
    }
}

/// The status of a SIP response.
pub fn status_of(bytes: &[u8]) -> Option<u16> {
    let text = bytes.strip_prefix(b"SIP/2.0 ")?;
    std::str::from_utf8(text.get(..3)?).ok()?.parse().ok()
}

/// A request without a body, complete and in order, to be spoilt by the test that sends it.
pub fn request(method: &str, to: SocketAddr, from: SocketAddr, transport: &str) -> String {
    let branch = format!("z9hG4bK-raw-{}-{}", from.port(), method.len());
    format!(
        "{method} sip:12345@{to} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {from};branch={branch};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:13800138000@{from}>;tag=raw\r\n\
         To: <sip:12345@{to}>\r\n\
         Call-ID: raw-{}@{}\r\n\
         CSeq: 1 {method}\r\n\
         Contact: <sip:13800138000@{from}>\r\n\
         Content-Length: 0\r\n\r\n",
        from.port(),
        from.ip(),
    )
}
