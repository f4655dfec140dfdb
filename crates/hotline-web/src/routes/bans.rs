//! Addresses that flooded and are not heard for a while: the list, and hearing one again.

use axum::{extract::State, response::Response};
use serde::Serialize;

use super::{Body, Name, agents::Empty, json};
use crate::{App, auth::Who, error::ApiError};

#[derive(Serialize)]
struct Ban {
    address: String,
    left_secs: u64,
    n_dropped: u64,
}

#[derive(Serialize)]
struct Bans {
    items: Vec<Ban>,
}

pub(super) async fn list(State(app): State<App>, who: Who) -> Result<Response, ApiError> {
    who.must_be_system()?;
    let all = app.bans.bans().into_iter();
    let items = all.map(|it| Ban {
        address: it.address.to_string(),
        left_secs: it.left.as_secs(),
        n_dropped: it.n_dropped,
    });
    let bans = Bans { items: items.collect() };
    // Texts and numbers always become JSON.
    Ok(json(serde_json::to_string(&bans).unwrap_or_default()))
}

pub(super) async fn lift(
    State(app): State<App>,
    who: Who,
    Name(address): Name,
    Body(Empty {}): Body<Empty>,
) -> Result<Response, ApiError> {
    who.must_be_system()?;
    let lifted = address.parse().is_ok_and(|it| app.bans.lift(it));
    if lifted { Ok(json("{\"lifted\":true}".to_owned())) } else { Err(ApiError::NotFound("ban")) }
}
