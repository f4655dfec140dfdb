//! Every path in one table. The OpenAPI document is compared with it by a test.

mod agents;
mod bans;
mod calls;
mod directory;
mod events;
mod ladders;
mod letters;
mod lists;
mod outside;
mod parties;
mod prompts;
mod recordings;
mod statistics;
mod trunks;

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request,
        rejection::BytesRejection,
    },
    http::{StatusCode, Uri, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post, put},
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::{App, error::ApiError};

/// The OpenAPI 3.1 document, as served.
pub const OPENAPI: &str = include_str!("openapi.json");

/// No request of ours needs more.
const BODY_MAX: usize = 16 << 10;

pub(crate) use self::lists::refusal as list_refusal;

pub(crate) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with the OpenAPI document"))]
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) handler: MethodRouter<App>,
}

/// Says when the server stops.
#[derive(Clone)]
pub(crate) struct Stopping(pub(crate) watch::Receiver<bool>);

pub(crate) fn table() -> Vec<Route> {
    let on = |method, path, handler| Route { method, path, handler };
    vec![
        on("get", "/api/v1/agents", get(agents::list)),
        on("get", "/api/v1/agents/{no}", get(agents::one)),
        on("get", "/api/v1/agents/{no}/directory", get(directory::list)),
        on("get", "/api/v1/agents/{no}/events", get(events::listen)),
        on("post", "/api/v1/agents/{no}/sign-in", post(agents::sign_in)),
        on("post", "/api/v1/agents/{no}/sign-out", post(agents::sign_out)),
        on("post", "/api/v1/agents/{no}/ready", post(agents::ready)),
        on("post", "/api/v1/agents/{no}/busy", post(agents::busy)),
        on("post", "/api/v1/agents/{no}/rest", post(agents::rest)),
        on("post", "/api/v1/agents/{no}/dial", post(agents::dial)),
        on("post", "/api/v1/agents/{no}/hold", post(agents::hold)),
        on("post", "/api/v1/agents/{no}/retrieve", post(agents::retrieve)),
        on("post", "/api/v1/agents/{no}/mute", post(agents::mute)),
        on("post", "/api/v1/agents/{no}/unmute", post(agents::unmute)),
        on("post", "/api/v1/agents/{no}/hang-up", post(agents::hang_up)),
        on("post", "/api/v1/agents/{no}/enter-acw", post(agents::enter_acw)),
        on("post", "/api/v1/agents/{no}/finish-acw", post(agents::finish_acw)),
        on("post", "/api/v1/agents/{no}/consult", post(parties::consult)),
        on("post", "/api/v1/agents/{no}/cancel-consult", post(parties::cancel_consult)),
        on("post", "/api/v1/agents/{no}/three-way", post(parties::three_way)),
        on("post", "/api/v1/agents/{no}/complete-transfer", post(parties::complete_transfer)),
        on("post", "/api/v1/agents/{no}/transfer", post(parties::transfer)),
        on("post", "/api/v1/agents/{no}/suspend", post(parties::suspend)),
        on("post", "/api/v1/agents/{no}/send-keys", post(parties::send_keys)),
        on("post", "/api/v1/agents/{no}/supervise", post(parties::supervise)),
        on("post", "/api/v1/agents/{no}/intercept", post(parties::intercept)),
        on("post", "/api/v1/agents/{no}/force-release", post(parties::force_release)),
        on("post", "/api/v1/agents/{no}/pause-recording", post(parties::pause_recording)),
        on("post", "/api/v1/agents/{no}/mask-recording", post(parties::mask_recording)),
        on("post", "/api/v1/agents/{no}/resume-recording", post(parties::resume_recording)),
        on("post", "/api/v1/agents/{no}/start-recording", post(parties::start_recording)),
        on("post", "/api/v1/agents/{no}/stop-recording", post(parties::stop_recording)),
        on("post", "/api/v1/agents/{no}/force-ready", post(parties::force_ready)),
        on("post", "/api/v1/agents/{no}/force-busy", post(parties::force_busy)),
        on("post", "/api/v1/agents/{no}/force-sign-out", post(parties::force_sign_out)),
        on("get", "/api/v1/groups", get(agents::groups)),
        on("get", "/api/v1/trunks/statistics", get(statistics::list)),
        on("get", "/api/v1/trunks", get(trunks::list)),
        on("get", "/api/v1/calls", get(calls::list)),
        on("get", "/api/v1/calls/{id}", get(calls::one)),
        on("get", "/api/v1/calls/{id}/ladder", get(ladders::ladder)),
        on("post", "/api/v1/calls/{id}/ladder/keep", post(ladders::keep)),
        on("get", "/api/v1/calls/{id}/pcap", get(ladders::pcap)),
        on("post", "/api/v1/calls/{id}/start-recording", post(parties::start_call_recording)),
        on("post", "/api/v1/calls/{id}/stop-recording", post(parties::stop_call_recording)),
        on("post", "/api/v1/calls/{id}/pause-recording", post(parties::pause_call_recording)),
        on("post", "/api/v1/calls/{id}/mask-recording", post(parties::mask_call_recording)),
        on("post", "/api/v1/calls/{id}/resume-recording", post(parties::resume_call_recording)),
        on("get", "/api/v1/recordings/{id}", get(recordings::hear)),
        on("get", "/api/v1/dead-letters", get(letters::list)),
        on("post", "/api/v1/dead-letters/{id}/resend", post(letters::resend)),
        on("get", "/api/v1/list-entries", get(lists::list)),
        on("post", "/api/v1/list-entries", post(lists::draft)),
        on("get", "/api/v1/list-entries/{id}", get(lists::one)),
        on("put", "/api/v1/list-entries/{id}", put(lists::change)),
        on("delete", "/api/v1/list-entries/{id}", delete(lists::remove)),
        on("post", "/api/v1/list-entries/{id}/approve", post(lists::approve)),
        on("get", "/api/v1/list-entries/{id}/audit", get(lists::audit)),
        on("put", "/api/v1/prompts/{name}", put(prompts::put)),
        on("get", "/api/v1/bans", get(bans::list)),
        on("post", "/api/v1/bans/{address}/lift", post(bans::lift)),
        on("get", "/openapi.json", get(outside::openapi)),
        on("get", "/metrics", get(outside::metrics)),
        on("get", "/healthz", get(outside::healthz)),
    ]
}

pub(crate) fn router(stopping: watch::Receiver<bool>) -> Router<App> {
    table()
        .into_iter()
        .fold(Router::new(), |router, it| router.route(it.path, it.handler))
        .fallback(async || ApiError::NotFound("path"))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(Extension(Stopping(stopping)))
}

/// The one name in a path.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| {
            ApiError::BadRequest { field: None, why: "the path is not UTF-8".into() }
        })?;
        Ok(Self(name))
    }
}

/// A JSON object in the body; no body is an empty object. Unknown keys are refused.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|it| unread(&it))?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| ApiError::BadRequest {
            field: None,
            why: format!("the body is not the JSON object expected: {error}"),
        })
    }
}

fn unread(rejection: &BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::TooLarge;
    }
    ApiError::BadRequest { field: None, why: "the body did not arrive whole".to_owned() }
}

/// The query as a value. Unknown keys are refused.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    let Query(it) = Query::<T>::try_from_uri(uri).map_err(|error| ApiError::BadRequest {
        field: None,
        why: format!("the query is not understood: {}", error.body_text()),
    })?;
    Ok(it)
}

/// JSON that is text already.
pub(crate) fn json(text: String) -> Response {
    ([("content-type", "application/json")], text).into_response()
}

#[cfg(test)]
mod tests;
