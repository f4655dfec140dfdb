//! Blacklist and VIP: drafting, approving, removing, looking up.

use axum::{extract::State, http::Uri, response::Response};
use hotline_base::Pii;
use serde::Deserialize;

use super::{
    Body, Name,
    calls::{page_size, written},
    json, query,
};
use crate::{
    App, ListDraft, ListError, ListFilter,
    auth::{Person, Who},
    error::ApiError,
    wire::time,
};

/// Parameters of `GET /api/v1/list-entries`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    list: Option<String>,
    state: Option<String>,
    number: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

/// `ListDraft` in the OpenAPI document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DraftBody {
    list: String,
    #[serde(default)]
    city: String,
    number: String,
    #[serde(default)]
    prefix: bool,
    action: String,
    priority: Option<u8>,
    skill_group: Option<String>,
    reason: String,
    expires: Option<String>,
    operator: Option<String>,
}

/// `Operator` in the OpenAPI document.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OperatorBody {
    operator: Option<String>,
}

impl DraftBody {
    fn draft(self) -> Result<ListDraft, ApiError> {
        let expires = match self.expires {
            None => None,
            Some(text) => {
                let why = "a time is RFC 3339, such as 2026-11-22T08:00:00+08:00";
                Some(time::read(&text).ok_or_else(|| ApiError::field("expires", why))?)
            }
        };
        Ok(ListDraft {
            list: self.list,
            city: self.city,
            number: Pii::new(self.number),
            is_prefix: self.prefix,
            action: self.action,
            priority: self.priority,
            group: self.skill_group,
            reason: self.reason,
            expires,
        })
    }
}

fn id_of(name: &str) -> Result<u64, ApiError> {
    name.parse().map_err(|_| ApiError::NotFound("entry"))
}

pub(super) async fn list(State(app): State<App>, who: Who, uri: Uri) -> Result<Response, ApiError> {
    let params = query::<Params>(&uri)?;
    // An agent who may not see numbers must not find them out by asking for each.
    if params.number.is_some() {
        who.must_be_system()?;
    }
    if params.list.as_deref().is_some_and(|it| !["blacklist", "vip"].contains(&it)) {
        return Err(ApiError::field("list", "a list is blacklist or vip"));
    }
    let states = ["draft", "approved", "expired", "removed"];
    if params.state.as_deref().is_some_and(|it| !states.contains(&it)) {
        let why = "a state is draft, approved, expired or removed";
        return Err(ApiError::field("state", why));
    }
    let filter = ListFilter {
        list: params.list,
        state: params.state,
        number: params.number.map(Pii::new),
        n_max: page_size(params.limit)?,
        after: params.after,
    };
    let page = app.lists.page(filter, who.sight()).await.map_err(ApiError::Archive)?;
    Ok(json(written(&page)))
}

pub(super) async fn one(
    State(app): State<App>,
    who: Who,
    Name(name): Name,
) -> Result<Response, ApiError> {
    let found = app.lists.one(id_of(&name)?, who.sight()).await.map_err(ApiError::Archive)?;
    found.map(json).ok_or(ApiError::NotFound("entry"))
}

pub(super) async fn audit(
    State(app): State<App>,
    who: Who,
    Name(name): Name,
) -> Result<Response, ApiError> {
    who.must_be_system()?;
    let steps = app.lists.audit(id_of(&name)?).await.map_err(ApiError::Archive)?;
    if steps.is_empty() {
        return Err(ApiError::NotFound("entry"));
    }
    Ok(json(format!("{{\"items\":[{}]}}", steps.join(","))))
}

pub(super) async fn draft(
    State(app): State<App>,
    person: Person,
    Body(body): Body<DraftBody>,
) -> Result<Response, ApiError> {
    let who = person.name(body.operator.as_deref())?;
    save(&app, None, body, who).await
}

pub(super) async fn change(
    State(app): State<App>,
    person: Person,
    Name(name): Name,
    Body(body): Body<DraftBody>,
) -> Result<Response, ApiError> {
    let who = person.name(body.operator.as_deref())?;
    save(&app, Some(id_of(&name)?), body, who).await
}

async fn save(
    app: &App,
    id: Option<u64>,
    body: DraftBody,
    who: String,
) -> Result<Response, ApiError> {
    let entry = app.lists.draft(id, body.draft()?, who).await?;
    Ok(json(entry))
}

pub(super) async fn approve(
    State(app): State<App>,
    person: Person,
    Name(name): Name,
    Body(body): Body<OperatorBody>,
) -> Result<Response, ApiError> {
    let who = person.name(body.operator.as_deref())?;
    let entry = app.lists.approve(id_of(&name)?, who).await?;
    Ok(json(entry))
}

pub(super) async fn remove(
    State(app): State<App>,
    person: Person,
    Name(name): Name,
    Body(body): Body<OperatorBody>,
) -> Result<Response, ApiError> {
    let who = person.name(body.operator.as_deref())?;
    app.lists.remove(id_of(&name)?, who).await?;
    Ok(json("{\"removed\":true}".to_owned()))
}

/// Status, code, English, Chinese, field.
pub(crate) fn refusal(
    it: &ListError,
) -> (u16, &'static str, &'static str, &'static str, Option<&'static str>) {
    match it {
        ListError::Missing => (404, "not_found", "no such entry", "未找到该名单条目", None),
        ListError::SamePerson => (
            409,
            "four_eyes",
            "who drafted or changed an entry cannot approve it; somebody else must",
            "起草或修改条目的人不能批准它，请由另一人批准",
            None,
        ),
        ListError::NotADraft => {
            (409, "not_a_draft", "the entry is approved already", "该条目已批准", None)
        }
        ListError::Full => (
            409,
            "full",
            "as many entries are in force as there may be; remove some, or use prefixes",
            "生效的条目已达上限，请删去一些，或改用号码前缀",
            None,
        ),
        ListError::Invalid(field, english, chinese) => {
            (400, "bad_request", english, chinese, Some(field))
        }
        ListError::Archive(_) => {
            (503, "archive_away", "the database cannot be reached", "数据库暂不可用", None)
        }
    }
}
