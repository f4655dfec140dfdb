//! 一键转接: whom an agent gives callers to by one button.

use axum::{Json, extract::State};
use hotline_agent::Target;
use hotline_base::AgentNo;
use serde::Serialize;

use super::{Name, agents::Items};
use crate::{App, DirectoryView, auth::Who, error::ApiError};

/// `TransferTarget` in the OpenAPI document.
#[derive(Serialize)]
pub(super) struct EntryJson {
    id: String,
    name: String,
    category: String,
    agent_no: Option<String>,
    skill_group: Option<String>,
    number: Option<String>,
    cities: Vec<String>,
    hours: Vec<String>,
    /// Somebody is there now.
    open: bool,
}

impl From<DirectoryView> for EntryJson {
    fn from(it: DirectoryView) -> Self {
        let (agent_no, skill_group, number) = match it.to {
            Target::Agent(no) => (Some(no.to_string()), None, None),
            Target::Group(group) => (None, Some(group.to_string()), None),
            Target::Number(number) => (None, None, Some(number.reveal().clone())),
            // No entry leads to another.
            Target::Entry(_) => (None, None, None),
        };
        let DirectoryView { id, name, category, cities, hours, open, .. } = it;
        Self { id, name, category, agent_no, skill_group, number, cities, hours, open }
    }
}

/// What this agent may use, in the order of the configuration.
pub(super) async fn list(
    State(app): State<App>,
    who: Who,
    Name(name): Name,
) -> Result<Json<Items<EntryJson>>, ApiError> {
    let agent = AgentNo::new(&name);
    who.may_act_for(&agent)?;
    app.desk.view(&agent).ok_or(ApiError::NotFound("agent"))?;
    let all = app.desk.directory(&agent, (app.now)());
    Ok(Json(Items { items: all.into_iter().map(EntryJson::from).collect() }))
}
