//! Pushes that were given up.

use hotline_base::WallTime;
use serde::Serialize;
use sqlx::{QueryBuilder, Row};

use super::{Database, Db};
use crate::{StoreError, wire::Time};

/// A dead letter, without its body.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct LetterJson {
    /// Names it: the target, a colon, the idempotency key.
    pub id: String,
    pub target: String,
    pub idempotency_key: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub created: Time,
    pub died: Time,
    pub n_attempts: i64,
    pub why: String,
}

/// Newest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LetterPage {
    pub items: Vec<LetterJson>,
    pub next: Option<String>,
}

impl Database {
    pub async fn dead_letters(
        &self,
        n_max: usize,
        after: Option<&str>,
    ) -> Result<LetterPage, StoreError> {
        let n_max = n_max.clamp(1, 500);
        let mut sql = QueryBuilder::<Db>::new(
            "SELECT target, id, kind, created_at, died_at, n_attempts, why, seq
             FROM dead_letters WHERE 1 = 1",
        );
        if let Some(after) = after {
            let (died, seq) = after.split_once('.').ok_or(StoreError::BadCursor)?;
            let number = |it: &str| it.parse::<i64>().map_err(|_| StoreError::BadCursor);
            sql.push(" AND (died_at, seq) < (").push_bind(number(died)?);
            sql.push(", ").push_bind(number(seq)?).push(")");
        }
        sql.push(" ORDER BY died_at DESC, seq DESC LIMIT ");
        sql.push_bind(i64::try_from(n_max + 1).unwrap_or(i64::MAX));
        let rows = sql.build().fetch_all(&mut *self.searcher().await?).await?;
        let mut page = LetterPage::default();
        for row in rows.iter().take(n_max) {
            let (target, key): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            page.items.push(LetterJson {
                id: format!("{target}:{key}"),
                target,
                idempotency_key: key,
                kind: row.try_get(2)?,
                created: Time(WallTime(row.try_get(3)?)),
                died: Time(WallTime(row.try_get(4)?)),
                n_attempts: row.try_get(5)?,
                why: row.try_get(6)?,
            });
        }
        if rows.len() > n_max
            && let Some(last) = rows.get(n_max - 1)
        {
            page.next =
                Some(format!("{}.{}", last.try_get::<i64, _>(4)?, last.try_get::<i64, _>(7)?));
        }
        Ok(page)
    }

    /// Puts a dead letter at the end of its queue again, under its old key. `false`: there is none
    /// with this [`LetterJson::id`].
    pub async fn resend(&self, letter: &str, now: WallTime) -> Result<bool, StoreError> {
        let Some((target, id)) = letter.split_once(':') else { return Ok(false) };
        let mut tx = self.write().await?;
        let row = sqlx::query("SELECT body FROM dead_letters WHERE target = $1 AND id = $2")
            .bind(target)
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(false) };
        let body: String = row.try_get(0)?;
        sqlx::query(
            "UPDATE push_outbox SET state = 'waiting', body = $3, n_attempts = 0, next_at = $4,
             created_at = $4, settled_at = NULL,
             seq = (SELECT MAX(seq) + 1 FROM push_outbox)
             WHERE target = $1 AND id = $2 AND state = 'dead'",
        )
        .bind(target)
        .bind(id)
        .bind(body)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM dead_letters WHERE target = $1 AND id = $2")
            .bind(target)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.announce();
        Ok(true)
    }
}
