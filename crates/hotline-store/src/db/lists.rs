//! Entries of the blacklist and of VIP: drafted by one person, approved by another, counted by the
//! records of the calls they met.

use hotline_base::{Pii, WallTime};
use sqlx::{QueryBuilder, Row, sqlite::SqliteRow};

use super::{Database, Db, Sight, load::Tx, signed, unsigned};
use crate::{
    StoreError,
    wire::{ListAuditJson, ListEntryJson, Time, masked_number},
};

/// What a person wants on a list; checked by who takes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListDraft {
    pub list: String,
    /// Empty: everywhere.
    pub city: String,
    /// Normalised.
    pub number: Pii<String>,
    pub is_prefix: bool,
    pub action: String,
    pub priority: Option<u8>,
    pub group: Option<String>,
    pub reason: String,
    pub expires: Option<WallTime>,
}

/// An approved entry, without what only people read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListInForce {
    pub id: u64,
    pub draft: ListDraft,
}

/// Which entries. What is `None` does not restrict.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListQuery {
    pub list: Option<String>,
    /// `draft`, `approved`, `expired` or `removed`; without it, all but the removed.
    pub state: Option<String>,
    /// Normalised.
    pub number: Option<Pii<String>>,
    pub n_max: usize,
    pub after: Option<String>,
}

/// Newest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListPage {
    pub items: Vec<ListEntryJson>,
    pub next: Option<String>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListChange {
    Done,
    /// No entry has this id, or it was removed.
    Missing,
    /// Who drafted or changed it last cannot approve it.
    SamePerson,
    /// It is approved already.
    NotADraft,
}

/// What is approved and over: no state of the table, since nobody writes at that moment.
const EXPIRED: &str = "expired";

const COLUMNS: &str = "SELECT id, list, city, number, is_prefix, action, priority, skill_group,
    reason, expires_at, state, drafted_at, drafted_by, approved_at, approved_by,
    (SELECT COUNT(*) FROM list_hits WHERE entry_id = list_entries.id),
    (SELECT MAX(hit_at) FROM list_hits WHERE entry_id = list_entries.id)
    FROM list_entries WHERE 1 = 1";

impl Database {
    /// A new draft; gives its id.
    pub async fn list_draft(
        &self,
        it: &ListDraft,
        who: &str,
        now: WallTime,
    ) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let row = sqlx::query("SELECT COALESCE(MAX(id), 0) + 1 FROM list_entries")
            .fetch_one(&mut *tx)
            .await?;
        let id: i64 = row.try_get(0)?;
        sqlx::query(
            "INSERT INTO list_entries
             (id, list, city, number, is_prefix, action, priority, skill_group, reason, expires_at,
              state, drafted_at, drafted_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'draft', $11, $12)",
        )
        .bind(id)
        .bind(&it.list)
        .bind(&it.city)
        .bind(it.number.reveal())
        .bind(i64::from(it.is_prefix))
        .bind(&it.action)
        .bind(it.priority.map(i64::from))
        .bind(&it.group)
        .bind(&it.reason)
        .bind(it.expires.map(|it| it.0))
        .bind(now.0)
        .bind(who)
        .execute(&mut *tx)
        .await?;
        audit(&mut tx, id, "drafted", who, now).await?;
        tx.commit().await?;
        Ok(unsigned(id))
    }

    /// Changes an entry. It is a draft again: what was approved was something else.
    pub async fn list_change(
        &self,
        id: u64,
        it: &ListDraft,
        who: &str,
        now: WallTime,
    ) -> Result<ListChange, StoreError> {
        let mut tx = self.write().await?;
        let changed = sqlx::query(
            "UPDATE list_entries SET list = $2, city = $3, number = $4, is_prefix = $5,
             action = $6, priority = $7, skill_group = $8, reason = $9, expires_at = $10,
             state = 'draft', drafted_at = $11, drafted_by = $12,
             approved_at = NULL, approved_by = NULL
             WHERE id = $1 AND state <> 'removed'",
        )
        .bind(signed(id))
        .bind(&it.list)
        .bind(&it.city)
        .bind(it.number.reveal())
        .bind(i64::from(it.is_prefix))
        .bind(&it.action)
        .bind(it.priority.map(i64::from))
        .bind(&it.group)
        .bind(&it.reason)
        .bind(it.expires.map(|it| it.0))
        .bind(now.0)
        .bind(who)
        .execute(&mut *tx)
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(ListChange::Missing);
        }
        audit(&mut tx, signed(id), "changed", who, now).await?;
        tx.commit().await?;
        Ok(ListChange::Done)
    }

    /// Puts a draft into force. Somebody else than who drafted it must say so.
    pub async fn list_approve(
        &self,
        id: u64,
        who: &str,
        now: WallTime,
    ) -> Result<ListChange, StoreError> {
        let mut tx = self.write().await?;
        let row = sqlx::query("SELECT state, drafted_by FROM list_entries WHERE id = $1")
            .bind(signed(id))
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(ListChange::Missing) };
        let (state, drafted_by): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        match state.as_str() {
            "draft" if drafted_by == who => return Ok(ListChange::SamePerson),
            "draft" => (),
            "removed" => return Ok(ListChange::Missing),
            _ => return Ok(ListChange::NotADraft),
        }
        sqlx::query(
            "UPDATE list_entries SET state = 'approved', approved_at = $2, approved_by = $3
             WHERE id = $1",
        )
        .bind(signed(id))
        .bind(now.0)
        .bind(who)
        .execute(&mut *tx)
        .await?;
        audit(&mut tx, signed(id), "approved", who, now).await?;
        tx.commit().await?;
        Ok(ListChange::Done)
    }

    /// Takes an entry off its list. One person may: it shuts nobody out.
    pub async fn list_remove(
        &self,
        id: u64,
        who: &str,
        now: WallTime,
    ) -> Result<ListChange, StoreError> {
        let mut tx = self.write().await?;
        let sql = "UPDATE list_entries SET state = 'removed' WHERE id = $1 AND state <> 'removed'";
        let removed = sqlx::query(sql).bind(signed(id)).execute(&mut *tx).await?;
        if removed.rows_affected() == 0 {
            return Ok(ListChange::Missing);
        }
        audit(&mut tx, signed(id), "removed", who, now).await?;
        tx.commit().await?;
        Ok(ListChange::Done)
    }

    pub async fn list_entries(
        &self,
        query: &ListQuery,
        sight: &Sight,
        now: WallTime,
    ) -> Result<ListPage, StoreError> {
        let n_max = query.n_max.clamp(1, 500);
        let mut sql = QueryBuilder::<Db>::new(COLUMNS);
        if let Some(it) = &query.list {
            sql.push(" AND list = ").push_bind(it.clone());
        }
        match query.state.as_deref() {
            Some("approved") => {
                sql.push(" AND state = 'approved' AND (expires_at IS NULL OR expires_at > ");
                sql.push_bind(now.0).push(")")
            }
            Some(EXPIRED) => {
                sql.push(" AND state = 'approved' AND expires_at <= ").push_bind(now.0)
            }
            Some(it) => sql.push(" AND state = ").push_bind(it.to_owned()),
            None => sql.push(" AND state <> 'removed'"),
        };
        if let Some(it) = &query.number {
            sql.push(" AND number = ").push_bind(it.reveal().clone());
        }
        if let Some(it) = &query.after {
            let id: i64 = it.parse().map_err(|_| StoreError::BadCursor)?;
            sql.push(" AND id < ").push_bind(id);
        }
        sql.push(" ORDER BY id DESC LIMIT ");
        sql.push_bind(i64::try_from(n_max + 1).unwrap_or(i64::MAX));
        let rows = sql.build().fetch_all(&mut *self.searcher().await?).await?;
        let items = rows.iter().take(n_max).map(|it| entry(it, sight, now));
        let items: Vec<_> = items.collect::<Result<_, _>>()?;
        let last = items.last().filter(|_| rows.len() > n_max);
        let next = last.map(|it| it.id.clone());
        Ok(ListPage { items, next })
    }

    pub async fn list_entry(
        &self,
        id: u64,
        sight: &Sight,
        now: WallTime,
    ) -> Result<Option<ListEntryJson>, StoreError> {
        let mut sql = QueryBuilder::<Db>::new(COLUMNS);
        sql.push(" AND id = ").push_bind(signed(id));
        let row = sql.build().fetch_optional(self.reader().await?).await?;
        row.map(|it| entry(&it, sight, now)).transpose()
    }

    /// Who did what to an entry, oldest first; empty when there is none.
    pub async fn list_audit(&self, id: u64) -> Result<Vec<ListAuditJson>, StoreError> {
        let sql = "SELECT happened_at, who, what, detail FROM list_audit WHERE entry_id = $1
             ORDER BY idx";
        let rows = sqlx::query(sql).bind(signed(id)).fetch_all(self.reader().await?).await?;
        let step = |it: &SqliteRow| {
            Ok(ListAuditJson {
                at: Time(WallTime(it.try_get(0)?)),
                who: it.try_get(1)?,
                what: it.try_get(2)?,
                detail: it.try_get(3)?,
            })
        };
        rows.iter().map(step).collect()
    }

    /// Every approved entry that is not over by now, oldest first.
    pub async fn lists_in_force(&self, now: WallTime) -> Result<Vec<ListInForce>, StoreError> {
        let mut sql = QueryBuilder::<Db>::new(COLUMNS);
        sql.push(" AND state = 'approved' AND (expires_at IS NULL OR expires_at > ");
        sql.push_bind(now.0).push(") ORDER BY id");
        let rows = sql.build().fetch_all(self.reader().await?).await?;
        rows.iter().map(in_force).collect()
    }
}

/// `detail` is the reason and the expiry as they are now.
async fn audit(
    tx: &mut Tx,
    id: i64,
    what: &str,
    who: &str,
    now: WallTime,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT list, action, reason, expires_at,
         (SELECT COALESCE(MAX(idx), -1) + 1 FROM list_audit WHERE entry_id = $1)
         FROM list_entries WHERE id = $1",
    )
    .bind(id)
    .fetch_one(&mut **tx)
    .await?;
    let (list, action): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let (reason, expires): (String, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
    let until = expires.map_or("-".to_owned(), |it| Time(WallTime(it)).to_string());
    sqlx::query(
        "INSERT INTO list_audit (entry_id, idx, happened_at, who, what, detail)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(row.try_get::<i64, _>(4)?)
    .bind(now.0)
    .bind(who)
    .bind(what)
    .bind(format!("{list} {action} {until}: {reason}"))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Counts an entry that a call met; once, however often the call's record is loaded.
pub(super) async fn count_hit(
    tx: &mut Tx,
    call: i64,
    entry: u64,
    at: WallTime,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO list_hits (call_id, entry_id, hit_at) VALUES ($1, $2, $3)
         ON CONFLICT (call_id, entry_id) DO NOTHING",
    )
    .bind(call)
    .bind(signed(entry))
    .bind(at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn in_force(row: &SqliteRow) -> Result<ListInForce, StoreError> {
    let draft = ListDraft {
        list: row.try_get(1)?,
        city: row.try_get(2)?,
        number: Pii::new(row.try_get(3)?),
        is_prefix: row.try_get::<i64, _>(4)? != 0,
        action: row.try_get(5)?,
        priority: row.try_get::<Option<i64>, _>(6)?.and_then(|it| u8::try_from(it).ok()),
        group: row.try_get(7)?,
        reason: row.try_get(8)?,
        expires: row.try_get::<Option<i64>, _>(9)?.map(WallTime),
    };
    Ok(ListInForce { id: unsigned(row.try_get(0)?), draft })
}

fn entry(row: &SqliteRow, sight: &Sight, now: WallTime) -> Result<ListEntryJson, StoreError> {
    let ListInForce { id, draft: it } = in_force(row)?;
    let number = match sight {
        Sight::All => it.number.reveal().clone(),
        Sight::Masked | Sight::Agent(_) => masked_number(it.number.reveal()),
    };
    let time = |it: Option<i64>| it.map(|it| Time(WallTime(it)));
    let state: String = row.try_get(10)?;
    let is_over = state == "approved" && it.expires.is_some_and(|it| it <= now);
    Ok(ListEntryJson {
        id: id.to_string(),
        list: it.list,
        city: it.city,
        number,
        prefix: it.is_prefix,
        action: it.action,
        priority: it.priority,
        skill_group: it.group,
        reason: it.reason,
        expires: it.expires.map(Time),
        state: if is_over { EXPIRED.to_owned() } else { state },
        drafted: Time(WallTime(row.try_get(11)?)),
        drafted_by: row.try_get(12)?,
        approved: time(row.try_get(13)?),
        approved_by: row.try_get(14)?,
        n_hits: row.try_get(15)?,
        last_hit: time(row.try_get(16)?),
    })
}

#[cfg(test)]
mod tests;
