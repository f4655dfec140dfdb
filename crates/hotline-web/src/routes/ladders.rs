//! The signalling of one call: as a ladder, as a capture, and kept for later.

use axum::{
    extract::State,
    http::Uri,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{Body, Name, agents::Empty, calls::id, json, query};
use crate::{App, LadderForm, auth::Who, error::ApiError};

/// Parameters of a ladder; a capture has no `format`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    format: Option<String>,
    /// Masked even for those who may see numbers: to be shown to others.
    masked: bool,
}

pub(super) async fn ladder(
    State(app): State<App>,
    who: Who,
    Name(name): Name,
    uri: Uri,
) -> Result<Response, ApiError> {
    let params = query::<Params>(&uri)?;
    let form = match params.format.as_deref() {
        None | Some("json") => LadderForm::Json,
        Some("text") => LadderForm::Text,
        Some(_) => return Err(ApiError::field("format", "a ladder is json or text")),
    };
    let bytes = found(&app, &who, &name, form, params.masked).await?;
    let kind = match form {
        LadderForm::Json => "application/json",
        LadderForm::Text => "text/plain; charset=utf-8",
        LadderForm::Pcap => CAPTURE,
    };
    Ok(([("content-type", kind), ("cache-control", "no-store")], bytes).into_response())
}

pub(super) async fn pcap(
    State(app): State<App>,
    who: Who,
    Name(name): Name,
    uri: Uri,
) -> Result<Response, ApiError> {
    let params = query::<Params>(&uri)?;
    if params.format.is_some() {
        return Err(ApiError::field("format", "a capture has one form"));
    }
    let bytes = found(&app, &who, &name, LadderForm::Pcap, params.masked).await?;
    let file = format!("attachment; filename=\"call-{}.pcap\"", id(&name)?);
    let headers = [
        ("content-type", CAPTURE.to_owned()),
        ("cache-control", "no-store".to_owned()),
        ("content-disposition", file),
    ];
    Ok((headers, bytes).into_response())
}

pub(super) async fn keep(
    State(app): State<App>,
    who: Who,
    Name(name): Name,
    Body(Empty {}): Body<Empty>,
) -> Result<Response, ApiError> {
    who.may_watch()?;
    if app.signalling.keep_ladder(id(&name)?).await.map_err(ApiError::Archive)? {
        Ok(json("{\"kept\":true}".to_owned()))
    } else {
        Err(ApiError::NotFound("ladder"))
    }
}

const CAPTURE: &str = "application/vnd.tcpdump.pcap";

async fn found(
    app: &App,
    who: &Who,
    name: &str,
    form: LadderForm,
    masked: bool,
) -> Result<Vec<u8>, ApiError> {
    let masked = !who.may_watch()? || masked;
    let found = app.signalling.ladder(id(name)?, form, masked).await;
    found.map_err(ApiError::Archive)?.ok_or(ApiError::NotFound("ladder"))
}
