//! Records of finished calls.

use axum::{extract::State, http::Uri, response::Response};
use hotline_base::{AgentNo, CallId, GroupId, Pii, RecordingId, WallTime};
use serde::Deserialize;

use super::{Name, json, query};
use crate::{App, CallFilter, CallPage, auth::Who, error::ApiError, wire::time};

/// A page without a size has so many.
const PAGE: usize = 50;

/// No page has more.
const PAGE_MAX: usize = 500;

/// Parameters of `GET /api/v1/calls`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    from: Option<String>,
    to: Option<String>,
    caller_no: Option<String>,
    called_no: Option<String>,
    agent_no: Option<String>,
    skill_group: Option<String>,
    outcome: Option<String>,
    recording_id: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

impl Params {
    fn filter(self) -> Result<CallFilter, ApiError> {
        Ok(CallFilter {
            from: moment("from", self.from)?,
            to: moment("to", self.to)?,
            caller_no: self.caller_no.map(Pii::new),
            called_no: self.called_no,
            agent: self.agent_no.as_deref().map(AgentNo::new),
            group: self.skill_group.as_deref().map(GroupId::new),
            outcome: self.outcome,
            recording: self.recording_id.as_deref().map(RecordingId::new),
            n_max: page_size(self.limit)?,
            after: self.after,
        })
    }
}

pub(super) fn moment(
    field: &'static str,
    text: Option<String>,
) -> Result<Option<WallTime>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let why = "a time is RFC 3339, such as 2026-11-22T08:00:00%2B08:00 (`+` is written %2B)";
    time::read(&text).map(Some).ok_or_else(|| ApiError::field(field, why))
}

pub(super) fn page_size(limit: Option<usize>) -> Result<usize, ApiError> {
    match limit {
        None => Ok(PAGE),
        Some(it @ 1..=PAGE_MAX) => Ok(it),
        Some(_) => Err(ApiError::field("limit", "a page has 1 to 500 items")),
    }
}

pub(super) async fn list(State(app): State<App>, who: Who, uri: Uri) -> Result<Response, ApiError> {
    let filter = query::<Params>(&uri)?.filter()?;
    let page = app.archive.calls(filter, who.sight()).await.map_err(ApiError::Archive)?;
    Ok(json(written(&page)))
}

pub(super) async fn one(
    State(app): State<App>,
    who: Who,
    Name(name): Name,
) -> Result<Response, ApiError> {
    let call = id(&name)?;
    let found = app.archive.call(call, who.sight()).await.map_err(ApiError::Archive)?;
    found.map(json).ok_or(ApiError::NotFound("call"))
}

/// The call of a path.
pub(super) fn id(name: &str) -> Result<CallId, ApiError> {
    name.parse().map(CallId).map_err(|_| ApiError::NotFound("call"))
}

/// The items are JSON already.
pub(super) fn written(page: &CallPage) -> String {
    let next = serde_json::Value::from(page.next.clone());
    format!("{{\"items\":[{}],\"next\":{next}}}", page.items.join(","))
}
