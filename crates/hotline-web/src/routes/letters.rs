//! Pushes that were given up: the list, and another try.

use axum::{extract::State, http::Uri, response::Response};
use serde::Deserialize;

use super::{
    Body, Name,
    agents::Empty,
    calls::{page_size, written},
    json, query,
};
use crate::{App, auth::Who, error::ApiError};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    limit: Option<usize>,
    after: Option<String>,
}

pub(super) async fn list(State(app): State<App>, who: Who, uri: Uri) -> Result<Response, ApiError> {
    who.must_be_system()?;
    let params = query::<Params>(&uri)?;
    let n_max = page_size(params.limit)?;
    let page = app.archive.dead_letters(n_max, params.after).await.map_err(ApiError::Archive)?;
    Ok(json(written(&page)))
}

pub(super) async fn resend(
    State(app): State<App>,
    who: Who,
    Name(id): Name,
    Body(Empty {}): Body<Empty>,
) -> Result<Response, ApiError> {
    who.must_be_system()?;
    if app.archive.resend(id).await.map_err(ApiError::Archive)? {
        Ok(json("{\"resent\":true}".to_owned()))
    } else {
        Err(ApiError::NotFound("dead letter"))
    }
}
