//! How the carriers' trunks are.

use axum::{Json, extract::State};

use super::agents::Items;
use crate::{App, auth::Who, error::ApiError, wire::trunk::TrunkJson};

/// For systems: addresses of carriers are nobody else's business.
pub(super) async fn list(
    State(app): State<App>,
    who: Who,
) -> Result<Json<Items<TrunkJson>>, ApiError> {
    who.may_watch()?;
    Ok(Json(Items { items: app.desk.trunks().iter().map(TrunkJson::from).collect() }))
}
