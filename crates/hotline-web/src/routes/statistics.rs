//! Figures of trunks and carriers for each quarter hour.

use axum::{extract::State, http::Uri, response::Response};
use serde::Deserialize;

use super::{calls::moment, json, query};
use crate::{App, TrafficFilter, auth::Who, error::ApiError};

/// Parameters of `GET /api/v1/trunks/statistics`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    from: Option<String>,
    to: Option<String>,
    by: Option<String>,
}

pub(super) async fn list(State(app): State<App>, who: Who, uri: Uri) -> Result<Response, ApiError> {
    who.may_watch()?;
    let params = query::<Params>(&uri)?;
    let by_carrier = match params.by.as_deref() {
        None | Some("trunk") => false,
        Some("carrier") => true,
        Some(_) => return Err(ApiError::field("by", "rows are by trunk or by carrier")),
    };
    let (from, to) = (moment("from", params.from)?, moment("to", params.to)?);
    let filter = TrafficFilter { from, to, by_carrier };
    app.signalling.traffic(filter).await.map(json).map_err(ApiError::Archive)
}
