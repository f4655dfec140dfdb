//! For operators: health, figures, and this interface's own description.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{OPENAPI, json};
use crate::{App, auth::Who, error::ApiError};

/// `Health` in the OpenAPI document.
#[derive(Serialize)]
struct HealthJson {
    healthy: bool,
    parts: Vec<PartJson>,
}

#[derive(Serialize)]
struct PartJson {
    name: &'static str,
    healthy: bool,
    advice: String,
}

pub(super) async fn openapi() -> Response {
    json(OPENAPI.to_owned())
}

pub(super) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !app.open_metrics {
        Who::of(&app, &headers)?.may_watch()?;
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([("content-type", kind)], app.metrics.render()).into_response())
}

pub(super) async fn healthz(State(app): State<App>) -> Response {
    let parts: Vec<PartJson> = app
        .health
        .parts()
        .into_iter()
        .map(|it| PartJson { name: it.name, healthy: it.is_well, advice: it.advice })
        .collect();
    let healthy = parts.iter().all(|it| it.healthy);
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(HealthJson { healthy, parts })).into_response()
}
