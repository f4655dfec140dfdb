//! Reading records.

use hotline_base::{AgentNo, CallId, GroupId, Pii, RecordingId, WallTime};
use sqlx::{QueryBuilder, Row};

use super::{Database, Db, signed};
use crate::{StoreError, wire::CallJson};

/// Whose eyes see an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Sight {
    /// Everything.
    All,
    /// Calls this agent was offered are shown whole; of others numbers are masked, and they are
    /// not found by their caller's number.
    Agent(AgentNo),
    /// Numbers are masked, and calls are not found by their caller's number.
    Masked,
}

/// Which calls. What is `None` does not restrict.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CallQuery {
    /// `t_in` at or after.
    pub from: Option<WallTime>,
    /// `t_in` before.
    pub to: Option<WallTime>,
    /// Normalised; with a `*` at its end, the beginning of a number.
    pub caller_no: Option<Pii<String>>,
    /// As dialled or as normalised.
    pub called_no: Option<String>,
    /// The agent was offered the call.
    pub agent: Option<AgentNo>,
    /// The call was in the group's queue.
    pub group: Option<GroupId>,
    pub outcome: Option<String>,
    pub recording: Option<RecordingId>,
    pub n_max: usize,
    /// [`CallPage::next`] of the page before.
    pub after: Option<String>,
}

/// Newest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CallPage {
    pub items: Vec<CallJson>,
    pub next: Option<String>,
}

/// Where a recording lies and whose call it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordingPlace {
    /// Relative to the recording directory, and below it.
    pub path: String,
    pub call: CallId,
    pub sealed: bool,
    pub sha256: String,
    /// Agents who were offered the call.
    pub agents: Vec<AgentNo>,
}

impl Database {
    pub async fn calls(&self, query: &CallQuery, sight: &Sight) -> Result<CallPage, StoreError> {
        let n_max = query.n_max.clamp(1, 500);
        let mut sql = select(query, sight)?;
        sql.push(" ORDER BY c.t_in DESC, c.call_id DESC LIMIT ");
        sql.push_bind(i64::try_from(n_max + 1).unwrap_or(i64::MAX));
        let rows = sql.build().fetch_all(&mut *self.searcher().await?).await?;
        let mut page = CallPage::default();
        for row in rows.iter().take(n_max) {
            page.items.push(shown(row.try_get(2)?, sight)?);
        }
        if rows.len() > n_max
            && let Some(last) = rows.get(n_max - 1)
        {
            page.next =
                Some(format!("{}.{}", last.try_get::<i64, _>(0)?, last.try_get::<i64, _>(1)?));
        }
        Ok(page)
    }

    /// With segments and facts. `None`: no such call.
    pub async fn call(&self, call: CallId, sight: &Sight) -> Result<Option<CallJson>, StoreError> {
        let row = sqlx::query("SELECT record_json, facts_json FROM calls WHERE call_id = $1")
            .bind(signed(call.0))
            .fetch_optional(self.reader().await?)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut it: CallJson = serde_json::from_str(row.try_get(0)?)?;
        it.facts = Some(serde_json::from_str(row.try_get(1)?)?);
        Ok(Some(seen(it, sight)))
    }

    /// `None`: no such recording, or its path is not one below the directory.
    pub async fn recording(
        &self,
        recording: &RecordingId,
    ) -> Result<Option<RecordingPlace>, StoreError> {
        let row = sqlx::query(
            "SELECT path, call_id, sealed, sha256 FROM recordings WHERE recording_id = $1",
        )
        .bind(recording.as_str())
        .fetch_optional(self.reader().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let path: String = row.try_get(0)?;
        if !crate::sidecar::is_below(&path) {
            return Ok(None);
        }
        let call: i64 = row.try_get(1)?;
        let rows = sqlx::query("SELECT DISTINCT agent_no FROM call_segments WHERE call_id = $1")
            .bind(call)
            .fetch_all(self.reader().await?)
            .await?;
        let mut agents = Vec::with_capacity(rows.len());
        for row in &rows {
            agents.push(AgentNo::new(row.try_get(0)?));
        }
        Ok(Some(RecordingPlace {
            path,
            call: CallId(super::unsigned(call)),
            sealed: row.try_get::<i64, _>(2)? != 0,
            sha256: row.try_get(3)?,
            agents,
        }))
    }
}

fn shown(json: &str, sight: &Sight) -> Result<CallJson, StoreError> {
    Ok(seen(serde_json::from_str(json)?, sight))
}

fn seen(it: CallJson, sight: &Sight) -> CallJson {
    match sight {
        Sight::All => it,
        Sight::Agent(agent) if it.was_with(agent) => it,
        Sight::Agent(_) | Sight::Masked => it.masked(),
    }
}

/// All conditions, without order and limit.
fn select(query: &CallQuery, sight: &Sight) -> Result<QueryBuilder<Db>, StoreError> {
    let mut sql =
        QueryBuilder::<Db>::new("SELECT c.t_in, c.call_id, c.record_json FROM calls c WHERE 1 = 1");
    if let Some(from) = query.from {
        sql.push(" AND c.t_in >= ").push_bind(from.0);
    }
    if let Some(to) = query.to {
        sql.push(" AND c.t_in < ").push_bind(to.0);
    }
    if let Some(caller) = &query.caller_no {
        with_caller(&mut sql, caller.reveal());
        match sight {
            Sight::All => (),
            Sight::Agent(own) => with_agent(&mut sql, own),
            // Who may not see a number may not try numbers either.
            Sight::Masked => {
                sql.push(" AND 1 = 0");
            }
        }
    }
    if let Some(called) = &query.called_no {
        sql.push(" AND (c.called_no = ").push_bind(called.clone());
        sql.push(" OR c.called_raw = ").push_bind(called.clone()).push(")");
    }
    if let Some(agent) = &query.agent {
        with_agent(&mut sql, agent);
    }
    if let Some(group) = &query.group {
        sql.push(" AND EXISTS (SELECT 1 FROM queue_segments q WHERE q.call_id = c.call_id");
        sql.push(" AND q.skill_group = ").push_bind(group.to_string()).push(")");
    }
    if let Some(outcome) = &query.outcome {
        sql.push(" AND c.outcome = ").push_bind(outcome.clone());
    }
    if let Some(recording) = &query.recording {
        sql.push(" AND EXISTS (SELECT 1 FROM recordings r WHERE r.call_id = c.call_id");
        sql.push(" AND r.recording_id = ").push_bind(recording.to_string()).push(")");
    }
    if let Some(after) = &query.after {
        let (t_in, call) = cursor(after)?;
        sql.push(" AND (c.t_in, c.call_id) < (").push_bind(t_in);
        sql.push(", ").push_bind(call).push(")");
    }
    Ok(sql)
}

fn with_agent(sql: &mut QueryBuilder<Db>, agent: &AgentNo) {
    sql.push(" AND EXISTS (SELECT 1 FROM call_segments s WHERE s.call_id = c.call_id");
    sql.push(" AND s.agent_no = ").push_bind(agent.to_string()).push(")");
}

/// A prefix is a range, so that the index serves it: `~` sorts behind every digit and sign.
fn with_caller(sql: &mut QueryBuilder<Db>, caller: &str) {
    match caller.strip_suffix('*') {
        None => {
            sql.push(" AND c.caller_no = ").push_bind(caller.to_owned());
        }
        Some(prefix) => {
            sql.push(" AND c.caller_no >= ").push_bind(prefix.to_owned());
            sql.push(" AND c.caller_no < ").push_bind(format!("{prefix}~"));
        }
    }
}

fn cursor(text: &str) -> Result<(i64, i64), StoreError> {
    let (t_in, call) = text.split_once('.').ok_or(StoreError::BadCursor)?;
    let number = |it: &str| it.parse::<i64>().map_err(|_| StoreError::BadCursor);
    Ok((number(t_in)?, number(call)?))
}
