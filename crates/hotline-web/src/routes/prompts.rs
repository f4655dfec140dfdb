//! Sounds that people send to be prompts.

use std::io;

use axum::{
    body::{Body, HttpBody as _},
    extract::State,
    http::Uri,
    response::Response,
};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use tokio_util::io::StreamReader;

use super::{Name, json, query};
use crate::{App, Upload, auth::Who, error::ApiError};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// Nothing is stored.
    check: bool,
}

/// `Prompt` in the OpenAPI document.
#[derive(Serialize)]
struct PromptJson {
    stored: bool,
    length_ms: u64,
    rate: u32,
    channels: u16,
    coding: String,
    peak_dbfs: f64,
    loudness_dbfs: f64,
    clipped: u64,
    warnings: Vec<String>,
}

/// The body is not gathered here: it may be thousands of times what others are.
pub(super) async fn put(
    State(app): State<App>,
    who: Who,
    Name(name): Name,
    uri: Uri,
    body: Body,
) -> Result<Response, ApiError> {
    who.must_be_system()?;
    let Params { check } = query(&uri)?;
    let length = body.size_hint().upper();
    let bytes = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let sound = Upload { length, bytes: Box::pin(bytes) };
    let it = app.prompts.put(name, sound, check).await.map_err(ApiError::Prompt)?;
    let tenths = |it: f64| (it * 10.0).round() / 10.0;
    let prompt = PromptJson {
        stored: !check,
        length_ms: it.length_ms,
        rate: it.rate,
        channels: it.channels,
        coding: it.coding,
        peak_dbfs: tenths(it.peak_dbfs),
        loudness_dbfs: tenths(it.loudness_dbfs),
        clipped: it.clipped,
        warnings: it.warnings,
    };
    // Texts and numbers always become JSON.
    Ok(json(serde_json::to_string(&prompt).unwrap_or_default()))
}
