//! One connection from its first byte to its last, whatever it speaks.

use hotline_base::ConnId;
use hotline_sip::{Flow, Transport};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use tokio_rustls::TlsStream;

use crate::{
    Count,
    stream::{self, Own, Pulse, Shared},
    ws,
};

/// What remains of a connection.
pub(crate) struct Ended {
    pub(crate) conn: ConnId,
    /// It never was one: nothing sent by this flow arrives.
    pub(crate) unreachable: Option<Flow>,
}

/// Serves a connection of a peer.
pub(crate) async fn accepted(
    conn: ConnId,
    stream: TcpStream,
    flow: Flow,
    own: Own,
    shared: Shared,
) -> Ended {
    stream::keep_alive(&stream);
    let deadline = Instant::now() + shared.config.first_message;
    let pulse = Pulse::default();
    let naked = matches!(flow.transport, Transport::Udp | Transport::Tcp | Transport::Ws);
    if naked && shared.certificates.demands(flow.remote.ip()) {
        shared.counters.add(Count::CertificateRefused);
        return Ended { conn, unreachable: None };
    }
    match flow.transport {
        Transport::Udp | Transport::Tcp => {
            stream::serve(stream, flow, own, &shared, deadline, pulse).await;
        }
        Transport::Ws => ws::serve(stream, flow, own, &shared, deadline).await,
        Transport::Tls => {
            if let Some(it) = shared.certificates.accept(stream, flow, &shared, deadline).await {
                stream::serve(it, flow, own, &shared, deadline, pulse).await;
            }
        }
        Transport::Wss => {
            if let Some(it) = shared.certificates.accept(stream, flow, &shared, deadline).await {
                ws::serve(it, flow, own, &shared, deadline).await;
            }
        }
    }
    Ended { conn, unreachable: None }
}

/// Makes an outgoing connection and serves it. Its flow keeps our listening address: that is where
/// the peer finds us when the connection is gone.
pub(crate) async fn connect(conn: ConnId, flow: Flow, own: Own, shared: Shared) -> Ended {
    let dial = async {
        let stream = stream::dial(flow.local, flow.remote).await.ok()?;
        stream::keep_alive(&stream);
        if flow.transport != Transport::Tls {
            return Some(Opened::Plain(stream));
        }
        let secure = shared.certificates.connect(stream, flow.remote).await?;
        Some(Opened::Secure(Box::new(secure)))
    };
    let Ok(Some(opened)) = timeout(shared.config.connect, dial).await else {
        shared.counters.add(Count::ConnectFailed);
        return Ended { conn, unreachable: Some(flow) };
    };
    shared.counters.add(Count::Connected);
    // Whom we call owes us no first message.
    let deadline = Instant::now() + shared.config.stranger_idle;
    let pulse = Pulse::ours();
    match opened {
        Opened::Plain(it) => stream::serve(it, flow, own, &shared, deadline, pulse).await,
        Opened::Secure(it) => stream::serve(it, flow, own, &shared, deadline, pulse).await,
    }
    Ended { conn, unreachable: None }
}

enum Opened {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}
