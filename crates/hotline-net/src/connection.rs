//! One connection from its first byte to its last, whatever it speaks.

use hotline_base::ConnId;
use hotline_sip::Flow;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    Count,
    stream::{self, Own, Pulse, Shared},
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
    stream::serve(stream, flow, own, &shared, deadline, Pulse::default()).await;
    Ended { conn, unreachable: None }
}

/// Makes an outgoing connection and serves it. Its flow keeps our listening address: that is where
/// the peer finds us when the connection is gone.
pub(crate) async fn connect(conn: ConnId, flow: Flow, own: Own, shared: Shared) -> Ended {
    let dial = timeout(shared.config.connect, stream::dial(flow.local, flow.remote));
    let Ok(Ok(stream)) = dial.await else {
        shared.counters.add(Count::ConnectFailed);
        return Ended { conn, unreachable: Some(flow) };
    };
    stream::keep_alive(&stream);
    shared.counters.add(Count::Connected);
    // Whom we call owes us no first message.
    let deadline = Instant::now() + shared.config.stranger_idle;
    stream::serve(stream, flow, own, &shared, deadline, Pulse::ours()).await;
    Ended { conn, unreachable: None }
}
