//! What an agent asks for, and how agents and groups are.

use std::time::Duration;

use axum::{Json, extract::State};
use hotline_agent::{Command, Refused};
use hotline_base::{AgentNo, Extension, Pii};
use serde::{Deserialize, Serialize};

use super::{Body, Name};
use crate::{
    App, CommandError, Role,
    auth::Who,
    error::ApiError,
    wire::{agent::AgentJson, group::GroupJson},
};

pub(super) type Reply = Result<Json<AgentJson>, ApiError>;

/// A rest without a planned length is this long.
const REST: Duration = Duration::from_mins(10);

/// No rest is planned for longer than a day.
const REST_MAX_S: u64 = 24 * 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    extension: Option<String>,
    /// 外线坐席: instead of an extension.
    outside_no: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Busy {
    #[serde(default = "own_wish")]
    reason: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rest {
    planned_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dial {
    /// Left out it is no number, which is said only to those who may ask.
    number: Option<String>,
    /// An entry of the directory, instead of a number.
    directory: Option<String>,
    display_no: Option<String>,
}

/// No parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

const fn own_wish() -> u16 {
    1
}

pub(super) async fn sign_in(
    State(app): State<App>,
    who: Who,
    name: Name,
    Body(body): Body<SignIn>,
) -> Reply {
    if let Some(number) = body.outside_no {
        who.may_act_for(&AgentNo::new(&name.0))?;
        if body.extension.is_some() {
            return Err(ApiError::field("outside_no", "name an extension or a number, not both"));
        }
        let number = Pii::new(number);
        return ask(app, who, name, Command::SignInOutside { number }).await;
    }
    let extension = match body.extension {
        Some(it) if it.is_empty() || it.len() > 64 => {
            return Err(ApiError::field("extension", "an extension has 1 to 64 characters"));
        }
        it => it.map(|it| Extension::new(&it)),
    };
    ask(app, who, name, Command::SignIn { extension }).await
}

pub(super) async fn busy(
    State(app): State<App>,
    who: Who,
    name: Name,
    Body(body): Body<Busy>,
) -> Reply {
    ask(app, who, name, Command::SetBusy { reason: body.reason }).await
}

pub(super) async fn rest(
    State(app): State<App>,
    who: Who,
    name: Name,
    Body(body): Body<Rest>,
) -> Reply {
    let planned = match body.planned_s {
        None => REST,
        Some(it @ 1..=REST_MAX_S) => Duration::from_secs(it),
        Some(_) => {
            return Err(ApiError::field("planned_s", "a rest is planned for 1 to 86400 seconds"));
        }
    };
    ask(app, who, name, Command::SetRest { planned }).await
}

/// 外呼. What is too long to be a number is refused as none.
pub(super) async fn dial(
    State(app): State<App>,
    who: Who,
    name: Name,
    Body(body): Body<Dial>,
) -> Reply {
    let Dial { number, directory, display_no: display } = body;
    let Some(entry) = directory else {
        let number = Pii::new(number.unwrap_or_default());
        return ask(app, who, name, Command::Dial { number, display }).await;
    };
    who.may_act_for(&AgentNo::new(&name.0))?;
    if number.is_some() {
        return Err(ApiError::field("directory", "name a number or an entry, not both"));
    }
    ask(app, who, name, Command::DialListed { entry, display }).await
}

/// Handlers of commands without parameters.
macro_rules! plain {
    ($($handler:ident => $command:ident)+) => {$(
        pub(super) async fn $handler(
            State(app): State<App>,
            who: Who,
            name: Name,
            Body(Empty {}): Body<Empty>,
        ) -> Reply {
            ask(app, who, name, Command::$command).await
        }
    )+};
}

pub(super) use plain;

plain! {
    sign_out => SignOut
    ready => SetReady
    hold => Hold
    retrieve => Retrieve
    mute => Mute
    unmute => Unmute
    hang_up => HangUp
    enter_acw => EnterAcw
    finish_acw => FinishAcw
}

pub(super) async fn ask(app: App, who: Who, Name(name): Name, command: Command) -> Reply {
    let agent = AgentNo::new(&name);
    who.may_act_for(&agent)?;
    match app.desk.command(agent.clone(), command).await {
        Ok(view) => Ok(Json(AgentJson::from(&view))),
        Err(error) => {
            let view = match &error {
                CommandError::Refused(Refused::UnknownAgent)
                | CommandError::Busy
                | CommandError::Away => None,
                CommandError::Refused(_) => app.desk.view(&agent).map(Box::new),
            };
            Err(ApiError::Command(error, view))
        }
    }
}

pub(super) async fn one(State(app): State<App>, who: Who, Name(name): Name) -> Reply {
    let agent = AgentNo::new(&name);
    who.may_act_for(&agent)?;
    let view = app.desk.view(&agent).ok_or(ApiError::NotFound("agent"))?;
    Ok(Json(AgentJson::from(&view)))
}

/// A list that is whole.
#[derive(Serialize)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
}

/// All agents for a system or an operator; an agent sees itself.
pub(super) async fn list(State(app): State<App>, Who(role): Who) -> Json<Items<AgentJson>> {
    let views = match role {
        Role::System | Role::Operator => app.desk.agents(),
        Role::Agent(own) => app.desk.view(&own).into_iter().collect(),
    };
    Json(Items { items: views.iter().map(AgentJson::from).collect() })
}

pub(super) async fn groups(State(app): State<App>, _who: Who) -> Json<Items<GroupJson>> {
    Json(Items { items: app.desk.groups().iter().map(GroupJson::from).collect() })
}
