//! SIP over WebSocket (RFC 7118): one message is one SIP message.

use std::{sync::Arc, time::Instant as Clock};

use futures_util::{SinkExt as _, StreamExt as _};
use hotline_sip::Flow;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Message,
        handshake::server::{Callback, ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header},
        protocol::WebSocketConfig,
    },
};

use crate::{
    Config, Count, NetInput,
    frames::Held,
    gate::Verdict,
    keepalive::{PING, PONG, is_keepalive},
    stream::{MALFORMED_MAX, Own, Shared},
    udp::parse,
};

/// What one connection reads at once; the library's own default is 128 KiB for each.
const READ_BUFFER: usize = 4_096;

const SUBPROTOCOL: &str = "sip";

/// Serves one browser until either side ends it.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin>(
    stream: S,
    flow: Flow,
    own: Own,
    shared: &Shared,
    deadline: Instant,
) {
    let most = shared.config.limits.message;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * most)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let opening = Opening { config: &shared.config, shared };
    let accept = accept_hdr_async_with_config(stream, opening, Some(config));
    if let Ok(Ok(socket)) = timeout_at(deadline, accept).await {
        let Own { outbox, dropped, .. } = own;
        // The library does not say how much of a frame it has: as if it were nearly all.
        let mut held = Held::new(&shared.buffered, flow.transport);
        let all = held.set(most + READ_BUFFER);
        if all > shared.config.flood.buffered_max && !shared.gate.is_known(flow.remote.ip()) {
            shared.counters.add(Count::BuffersFull);
            return shared.counters.add(Count::Closed);
        }
        let talk = Talk { flow, heard: false, n_malformed: 0 };
        tokio::select! {
            () = talk.run(socket, outbox, deadline, shared) => (),
            _ = dropped => (),
        }
    } else {
        shared.counters.add(Count::HandshakeFailed);
        shared.gate.judge(flow.remote, Clock::now());
    }
    shared.counters.add(Count::Closed);
}

/// What the opening request must have.
struct Opening<'a> {
    config: &'a Config,
    shared: &'a Shared,
}

impl Callback for Opening<'_> {
    fn on_request(
        self,
        request: &Request,
        mut response: Response,
    ) -> Result<Response, ErrorResponse> {
        let header = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
        let origins = &self.config.websocket_origins;
        let origin = header(header::ORIGIN).unwrap_or_default();
        if !origins.is_empty() && !origins.iter().any(|it| it.eq_ignore_ascii_case(origin)) {
            self.shared.counters.add(Count::OriginRefused);
            return Err(refusal(StatusCode::FORBIDDEN, "this origin may not"));
        }
        // RFC 7118 §4: without it the peer does not mean SIP.
        let protocols = header(header::SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
        if !protocols.split(',').any(|it| it.trim().eq_ignore_ascii_case(SUBPROTOCOL)) {
            return Err(refusal(StatusCode::BAD_REQUEST, "the subprotocol is sip"));
        }
        let sip = HeaderValue::from_static(SUBPROTOCOL);
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, sip);
        Ok(response)
    }
}

fn refusal(status: StatusCode, why: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(why.to_owned()));
    *response.status_mut() = status;
    response
}

struct Talk {
    flow: Flow,
    heard: bool,
    n_malformed: u32,
}

impl Talk {
    async fn run<S: AsyncRead + AsyncWrite + Send + Unpin>(
        mut self,
        mut socket: WebSocketStream<S>,
        mut outbox: tokio::sync::mpsc::Receiver<Arc<[u8]>>,
        mut deadline: Instant,
        shared: &Shared,
    ) {
        let idle = shared.config.stranger_idle;
        loop {
            let leaving = tokio::select! {
                bytes = outbox.recv() => bytes,
                got = timeout_at(deadline, socket.next()) => match got {
                    Err(_) if shared.gate.is_known(self.flow.remote.ip()) => {
                        deadline = Instant::now() + idle;
                        continue;
                    }
                    Err(_) => {
                        let late =
                            if self.heard { Count::IdleClosed } else { Count::FirstMessageLate };
                        return shared.counters.add(late);
                    }
                    Ok(None | Some(Err(_) | Ok(Message::Close(_)))) => return,
                    Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {
                        continue;
                    }
                    Ok(Some(Ok(it @ (Message::Text(_) | Message::Binary(_))))) => {
                        deadline = Instant::now() + idle;
                        match self.take(&it.into_data(), shared).await {
                            Taken::Done => continue,
                            Taken::Answer => Some(PONG.into()),
                            Taken::Close => return,
                        }
                    }
                },
            };
            let Some(bytes) = leaving else { return };
            // Text where it is text, as browsers' libraries expect.
            let message = match std::str::from_utf8(&bytes) {
                Ok(text) => Message::text(text),
                Err(_) => Message::binary(bytes.to_vec()),
            };
            if socket.send(message).await.is_err() {
                return shared.counters.add(Count::SendFailed);
            }
            shared.counters.add(Count::TcpSent);
        }
    }

    async fn take(&mut self, bytes: &[u8], shared: &Shared) -> Taken {
        if is_keepalive(bytes) {
            shared.counters.add(Count::KeepAlive);
            return if bytes == PING { Taken::Answer } else { Taken::Done };
        }
        let now = Clock::now();
        if shared.gate.judge(self.flow.remote, now) == Verdict::Refused {
            let banned = shared.gate.is_banned(self.flow.remote.ip(), now);
            return if banned { Taken::Close } else { Taken::Done };
        }
        shared.counters.add(Count::TcpReceived);
        self.heard = true;
        let input = parse(bytes, (self.flow, now), shared);
        self.n_malformed += u32::from(matches!(input, NetInput::Broken { .. }));
        let sent = shared.to_control.send(input).await;
        let given_up =
            self.n_malformed > MALFORMED_MAX && !shared.gate.is_known(self.flow.remote.ip());
        if sent.is_err() || given_up { Taken::Close } else { Taken::Done }
    }
}

enum Taken {
    Done,
    /// A ping of RFC 5626.
    Answer,
    Close,
}
