//! An agent's events over a WebSocket.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, Uri},
    response::Response,
};
use hotline_base::AgentNo;
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::{Name, Stopping, query};
use crate::{App, auth::Who, error::ApiError, feed::Listening, server::stopped};

/// How often a silent peer is asked whether it is there.
const PING: Duration = Duration::from_secs(20);

/// A peer that takes nothing for so long is gone.
const SEND_MAX: Duration = Duration::from_secs(10);

/// A listener says next to nothing.
const READ_BUFFER: usize = 4 << 10;

/// Parameters of the connection.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// The last number seen, with the epoch it belongs to.
    since: Option<u64>,
    epoch: Option<String>,
    /// A browser cannot set a header on a WebSocket.
    token: Option<String>,
}

pub(super) async fn listen(
    State(app): State<App>,
    Extension(stopping): Extension<Stopping>,
    Name(name): Name,
    headers: HeaderMap,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let params = query::<Params>(&uri)?;
    let who = match &params.token {
        Some(token) => Who::with_secret(&app, token)?,
        None => Who::of(&app, &headers)?,
    };
    let agent = AgentNo::new(&name);
    who.may_act_for(&agent)?;
    let view = app.desk.view(&agent).ok_or(ApiError::NotFound("agent"))?;
    let upgrade = upgrade.map_err(|_| ApiError::BadRequest {
        field: None,
        why: "this path speaks WebSocket (RFC 6455) only".to_owned(),
    })?;
    let sized = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(READ_BUFFER)
        .max_frame_size(READ_BUFFER);
    Ok(sized.on_upgrade(move |socket| async move {
        let seen = params.epoch.as_deref().zip(params.since);
        let listening = app.feeds.listen(&view, seen, (app.now)());
        talk(socket, listening, stopping).await;
    }))
}

async fn talk(mut socket: WebSocket, mut it: Listening, Stopping(stopping): Stopping) {
    for text in it.first {
        if !send(&mut socket, text_message(&text)).await {
            return;
        }
    }
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_answered = true;
    let stop = stopped(stopping);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            event = it.rest.recv() => match event {
                Some(text) => {
                    if !send(&mut socket, text_message(&text)).await {
                        return;
                    }
                }
                None => return close(socket, close_code::AGAIN, "too slow").await,
            },
            message = socket.recv() => match message {
                // Whatever it says, it is there.
                Some(Ok(_)) => is_answered = true,
                Some(Err(_)) | None => return,
            },
            _ = pings.tick() => {
                if !is_answered {
                    return;
                }
                is_answered = false;
                if !send(&mut socket, Message::Ping(Vec::new().into())).await {
                    return;
                }
            }
            () = &mut stop => return close(socket, close_code::AWAY, "stopping").await,
        }
    }
}

fn text_message(text: &Arc<str>) -> Message {
    Message::Text((&**text).into())
}

/// `false`: the peer is gone.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SEND_MAX, socket.send(message)).await, Ok(Ok(())))
}

async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code, reason: reason.into() };
    send(&mut socket, Message::Close(Some(frame))).await;
}
