//! What waits to be pushed.

use std::{collections::BTreeSet, time::Duration};

use hotline_base::WallTime;
use sqlx::{QueryBuilder, Row};
use tokio::sync::watch;

use super::{Database, Db, unsigned};
use crate::StoreError;

/// How long the key of a finished push is kept.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// One event for one target.
#[derive(Clone, Eq, PartialEq)]
pub struct PushRow {
    /// The idempotency key.
    pub id: String,
    pub order_key: String,
    pub kind: String,
    pub body: String,
    pub created: WallTime,
    pub n_attempts: u32,
}

/// The body holds personal data.
impl std::fmt::Debug for PushRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PushRow({}, after {})", self.id, self.n_attempts)
    }
}

/// What became of an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PushVerdict {
    Done,
    Retry { at: WallTime, why: String },
    Dead { why: String },
}

/// How much waits for a target.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Backlog {
    pub n_waiting: u64,
    pub oldest: Option<WallTime>,
    pub n_dead: u64,
}

/// Only the oldest of its order key, and none that is under way.
const HEAD: &str = " AND NOT EXISTS (SELECT 1 FROM push_outbox e WHERE e.target = o.target
  AND e.state = 'waiting' AND e.order_key = o.order_key AND e.seq < o.seq)";

impl Database {
    /// Changes when something was added to the outbox.
    pub fn push_watch(&self) -> watch::Receiver<u64> {
        self.added.subscribe()
    }

    /// At most `n_max` rows that are due, each the oldest of its order key, none with an order key
    /// in `busy`; the one that has been due longest first.
    pub async fn push_due(
        &self,
        target: &str,
        now: WallTime,
        n_max: usize,
        busy: &BTreeSet<String>,
    ) -> Result<Vec<PushRow>, StoreError> {
        let mut sql = QueryBuilder::<Db>::new(
            "SELECT o.id, o.order_key, o.kind, o.body, o.created_at, o.n_attempts
             FROM push_outbox o WHERE o.state = 'waiting' AND o.target = ",
        );
        sql.push_bind(target.to_owned());
        sql.push(" AND o.next_at <= ").push_bind(now.0);
        without(&mut sql, busy);
        sql.push(HEAD).push(" ORDER BY o.next_at, o.seq LIMIT ");
        sql.push_bind(i64::try_from(n_max).unwrap_or(i64::MAX));
        let rows = sql.build().fetch_all(self.reader().await?).await?;
        rows.iter()
            .map(|row| {
                Ok(PushRow {
                    id: row.try_get(0)?,
                    order_key: row.try_get(1)?,
                    kind: row.try_get(2)?,
                    body: row.try_get(3)?,
                    created: WallTime(row.try_get(4)?),
                    n_attempts: u32::try_from(row.try_get::<i64, _>(5)?).unwrap_or(u32::MAX),
                })
            })
            .collect()
    }

    /// When the next row is due whose order key is not in `busy`.
    pub async fn push_next_due(
        &self,
        target: &str,
        busy: &BTreeSet<String>,
    ) -> Result<Option<WallTime>, StoreError> {
        let mut sql = QueryBuilder::<Db>::new(
            "SELECT o.next_at FROM push_outbox o WHERE o.state = 'waiting' AND o.target = ",
        );
        sql.push_bind(target.to_owned());
        without(&mut sql, busy);
        sql.push(HEAD).push(" ORDER BY o.next_at, o.seq LIMIT 1");
        let row = sql.build().fetch_optional(self.reader().await?).await?;
        Ok(row.map(|it| it.try_get(0)).transpose()?.map(WallTime))
    }

    /// Writes verdicts down, all or none. A retry counts one attempt more; a dead row becomes a
    /// dead letter.
    pub async fn push_settle(
        &self,
        target: &str,
        verdicts: &[(String, PushVerdict)],
        now: WallTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        for (id, verdict) in verdicts {
            match verdict {
                PushVerdict::Done => {
                    sqlx::query(
                        "UPDATE push_outbox SET state = 'done', body = '', settled_at = $3
                         WHERE target = $1 AND id = $2 AND state = 'waiting'",
                    )
                    .bind(target)
                    .bind(id)
                    .bind(now.0)
                    .execute(&mut *tx)
                    .await?;
                }
                PushVerdict::Retry { at, why } => {
                    sqlx::query(
                        "UPDATE push_outbox
                         SET n_attempts = n_attempts + 1, next_at = $3, last_error = $4
                         WHERE target = $1 AND id = $2 AND state = 'waiting'",
                    )
                    .bind(target)
                    .bind(id)
                    .bind(at.0)
                    .bind(why)
                    .execute(&mut *tx)
                    .await?;
                }
                PushVerdict::Dead { why } => bury(&mut tx, target, id, why, now).await?,
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Whatever waits for a later time is due now.
    pub async fn push_hurry(&self, target: &str, now: WallTime) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE push_outbox SET next_at = $2
             WHERE target = $1 AND state = 'waiting' AND next_at > $2",
        )
        .bind(target)
        .bind(now.0)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    pub async fn push_backlog(&self, target: &str) -> Result<Backlog, StoreError> {
        let waiting = sqlx::query(
            "SELECT COUNT(*), MIN(created_at) FROM push_outbox
             WHERE target = $1 AND state = 'waiting'",
        )
        .bind(target)
        .fetch_one(self.reader().await?)
        .await?;
        let dead = sqlx::query("SELECT COUNT(*) FROM dead_letters WHERE target = $1")
            .bind(target)
            .fetch_one(self.reader().await?)
            .await?;
        Ok(Backlog {
            n_waiting: unsigned(waiting.try_get(0)?),
            oldest: waiting.try_get::<Option<i64>, _>(1)?.map(WallTime),
            n_dead: unsigned(dead.try_get(0)?),
        })
    }

    /// Forgets pushes that ended more than seven days ago.
    pub async fn push_forget(&self, now: WallTime) -> Result<u64, StoreError> {
        let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let gone = sqlx::query("DELETE FROM push_outbox WHERE state = 'done' AND settled_at < $1")
            .bind(now.0.saturating_sub(kept))
            .execute(&self.writer)
            .await?;
        Ok(gone.rows_affected())
    }
}

fn without(sql: &mut QueryBuilder<Db>, busy: &BTreeSet<String>) {
    if busy.is_empty() {
        return;
    }
    sql.push(" AND o.order_key NOT IN (");
    let mut keys = sql.separated(", ");
    for key in busy {
        keys.push_bind(key.clone());
    }
    sql.push(")");
}

async fn bury(
    tx: &mut sqlx::Transaction<'static, Db>,
    target: &str,
    id: &str,
    why: &str,
    now: WallTime,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO dead_letters
         (target, id, died_at, seq, kind, body, created_at, n_attempts, why)
         SELECT target, id, $3, seq, kind, body, created_at, n_attempts + 1, $4
         FROM push_outbox WHERE target = $1 AND id = $2 AND state = 'waiting'
         ON CONFLICT (target, id) DO NOTHING",
    )
    .bind(target)
    .bind(id)
    .bind(now.0)
    .bind(why)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "UPDATE push_outbox SET state = 'dead', body = '', settled_at = $3, last_error = $4
         WHERE target = $1 AND id = $2 AND state = 'waiting'",
    )
    .bind(target)
    .bind(id)
    .bind(now.0)
    .bind(why)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
