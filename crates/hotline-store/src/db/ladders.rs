//! Stored signalling of calls. What the bytes say is not read here.

use std::time::Duration;

use hotline_base::{CallId, WallTime};
use sqlx::{Row, Sqlite, Transaction};

use super::{Database, signed};
use crate::StoreError;

impl Database {
    /// The ladder of a call as it was written. `None`: none was stored, or its time is over.
    pub async fn ladder(&self, call: CallId) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT trace_hex FROM call_ladders WHERE call_id = $1")
            .bind(signed(call.0))
            .fetch_optional(self.reader().await?)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(bytes(row.try_get(0)?))
    }

    /// Forgets ladders that were stored longer ago than `keep`; says how many.
    pub(crate) async fn forget_ladders(
        &self,
        keep: Duration,
        now: WallTime,
    ) -> Result<u64, StoreError> {
        let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let gone = sqlx::query("DELETE FROM call_ladders WHERE stored_at < $1")
            .bind(now.0.saturating_sub(keep))
            .execute(&self.writer)
            .await?;
        Ok(gone.rows_affected())
    }
}

/// A later ladder of the same call replaces the earlier one.
pub(super) async fn store(
    tx: &mut Transaction<'static, Sqlite>,
    call: CallId,
    trace: &[u8],
    now: WallTime,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO call_ladders (call_id, stored_at, trace_hex) VALUES ($1, $2, $3)
         ON CONFLICT (call_id) DO UPDATE
         SET stored_at = excluded.stored_at, trace_hex = excluded.trace_hex",
    )
    .bind(signed(call.0))
    .bind(now.0)
    .bind(super::load::hex(trace))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// `None`: not hexadecimal.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |it: u8| char::from(it).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let pair = |it: &[u8]| match it {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    hex.as_bytes().chunks(2).map(pair).collect()
}
