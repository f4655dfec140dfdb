//! From the journal's items to rows, all or none, each once.

use std::fmt::Write as _;

use hotline_agent::AgentFact;
use hotline_base::{CallId, WallTime};
use hotline_cdr::{CallRecord, RecordedAudio};
use sha2::{Digest, Sha256};
use sqlx::{Row, Sqlite, Transaction};

use super::{Database, ladders, signed, unsigned};
use crate::{
    Entry, Kind, Position, StoreError,
    wire::{AgentStateJson, CallJson, Envelope, StampedJson},
};

/// A webhook and what it is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PushTarget {
    pub name: String,
    pub call_records: bool,
    pub agent_states: bool,
}

/// What a loading did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Loaded {
    pub(crate) n_items: u64,
    pub(crate) n_unreadable: u64,
}

type Tx = Transaction<'static, Sqlite>;

/// What a push is about.
struct Event<'a> {
    id: String,
    order_key: String,
    kind: &'static str,
    at: WallTime,
    targets: Vec<&'a PushTarget>,
}

impl Database {
    /// Where the consumer stopped, as the rows say. `None` in a new database.
    pub(crate) async fn cursor(&self, consumer: &str) -> Result<Option<Position>, StoreError> {
        let mut tx = self.write().await?;
        let at = read_cursor(&mut tx, consumer).await?;
        tx.rollback().await?;
        Ok(at)
    }

    /// Loads items and moves the cursor to `next` in one transaction. Items before the cursor are
    /// passed over: they are there.
    pub(crate) async fn load(
        &self,
        consumer: &str,
        entries: &[Entry],
        next: Position,
        targets: &[PushTarget],
        now: WallTime,
    ) -> Result<Loaded, StoreError> {
        let mut tx = self.write().await?;
        let cursor = read_cursor(&mut tx, consumer).await?.unwrap_or_default();
        let mut loading = Loading::begin(&mut tx, targets, now).await?;
        for entry in entries.iter().filter(|it| it.at >= cursor) {
            loading.take(&mut tx, entry).await?;
        }
        if next > cursor {
            write_cursor(&mut tx, consumer, next).await?;
        }
        tx.commit().await?;
        if loading.n_added > 0 {
            self.announce();
        }
        Ok(loading.loaded)
    }
}

async fn read_cursor(tx: &mut Tx, consumer: &str) -> Result<Option<Position>, StoreError> {
    let row = sqlx::query("SELECT segment, byte_offset FROM journal_cursor WHERE consumer = $1")
        .bind(consumer)
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Position { segment: unsigned(row.try_get(0)?), offset: unsigned(row.try_get(1)?) }))
}

async fn write_cursor(tx: &mut Tx, consumer: &str, to: Position) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO journal_cursor (consumer, segment, byte_offset) VALUES ($1, $2, $3)
         ON CONFLICT (consumer) DO UPDATE
         SET segment = excluded.segment, byte_offset = excluded.byte_offset",
    )
    .bind(consumer)
    .bind(signed(to.segment))
    .bind(signed(to.offset))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

struct Loading<'a> {
    targets: &'a [PushTarget],
    now: WallTime,
    /// Of the newest row of the outbox.
    seq: i64,
    n_added: u64,
    loaded: Loaded,
}

impl<'a> Loading<'a> {
    async fn begin(
        tx: &mut Tx,
        targets: &'a [PushTarget],
        now: WallTime,
    ) -> Result<Self, StoreError> {
        let row = sqlx::query("SELECT COALESCE(MAX(seq), 0) FROM push_outbox")
            .fetch_one(&mut **tx)
            .await?;
        Ok(Self { targets, now, seq: row.try_get(0)?, n_added: 0, loaded: Loaded::default() })
    }

    async fn take(&mut self, tx: &mut Tx, entry: &Entry) -> Result<(), StoreError> {
        self.loaded.n_items += 1;
        let bytes = &entry.payload;
        match entry.kind {
            Kind::CallRecord => match borsh::from_slice::<CallRecord>(bytes) {
                Ok(record) => self.call(tx, &record).await,
                Err(_) => self.keep_unreadable(tx, entry).await,
            },
            Kind::AgentFact => match borsh::from_slice::<AgentFact>(bytes) {
                Ok(fact) => self.agent_state(tx, &fact, bytes).await,
                Err(_) => self.keep_unreadable(tx, entry).await,
            },
            Kind::Recording => match borsh::from_slice::<(CallId, RecordedAudio)>(bytes) {
                Ok((call, audio)) => recording(tx, call, &audio).await,
                Err(_) => self.keep_unreadable(tx, entry).await,
            },
            Kind::Ladder => match borsh::from_slice::<(CallId, Vec<u8>)>(bytes) {
                Ok((call, trace)) => ladders::store(tx, call, &trace, self.now).await,
                Err(_) => self.keep_unreadable(tx, entry).await,
            },
        }
    }

    async fn call(&mut self, tx: &mut Tx, record: &CallRecord) -> Result<(), StoreError> {
        let json = CallJson::from(record);
        if !upsert_call(tx, record, &json).await? {
            return Ok(());
        }
        replace_children(tx, record).await?;
        for audio in &record.recordings {
            recording(tx, record.call, audio).await?;
        }
        if !record.complete {
            return Ok(());
        }
        let event = Event {
            id: format!("call-{}-{}", record.call, record.version),
            order_key: format!("call-{}", record.call),
            kind: "call.finished",
            at: record.t_rel.or(record.t_in).unwrap_or(self.now),
            targets: self.targets.iter().filter(|it| it.call_records).collect(),
        };
        self.push(tx, event, &json).await
    }

    async fn agent_state(
        &mut self,
        tx: &mut Tx,
        fact: &AgentFact,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let json = AgentStateJson::from(fact);
        let id = hex(Sha256::digest(bytes).iter().take(16));
        let added = sqlx::query(
            "INSERT INTO agent_states
             (id, agent_no, changed_at, extension, state, presence, line, reason, call_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(&id)
        .bind(&json.agent_no)
        .bind(fact.at.0)
        .bind(&json.extension)
        .bind(json.state)
        .bind(json.presence)
        .bind(json.line)
        .bind(json.reason.map(i64::from))
        .bind(fact.call.map(|it| signed(it.0)))
        .execute(&mut **tx)
        .await?;
        if added.rows_affected() == 0 {
            return Ok(());
        }
        let event = Event {
            id: format!("agent-{id}"),
            order_key: format!("agent-{}", fact.agent),
            kind: "agent.state",
            at: fact.at,
            targets: self.targets.iter().filter(|it| it.agent_states).collect(),
        };
        self.push(tx, event, &json).await
    }

    async fn push(
        &mut self,
        tx: &mut Tx,
        event: Event<'_>,
        data: &impl serde::Serialize,
    ) -> Result<(), StoreError> {
        if event.targets.is_empty() {
            return Ok(());
        }
        let body = Envelope::new(&event.id, event.kind, event.at, data).text()?;
        for target in event.targets {
            let added = sqlx::query(
                "INSERT INTO push_outbox
                 (target, id, order_key, seq, kind, body, created_at, n_attempts, next_at, state)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $7, 'waiting')
                 ON CONFLICT (target, id) DO NOTHING",
            )
            .bind(&target.name)
            .bind(&event.id)
            .bind(&event.order_key)
            .bind(self.seq + 1)
            .bind(event.kind)
            .bind(&body)
            .bind(self.now.0)
            .execute(&mut **tx)
            .await?;
            if added.rows_affected() > 0 {
                self.seq += 1;
                self.n_added += 1;
            }
        }
        Ok(())
    }

    async fn keep_unreadable(&mut self, tx: &mut Tx, entry: &Entry) -> Result<(), StoreError> {
        self.loaded.n_unreadable += 1;
        sqlx::query(
            "INSERT INTO unreadable_items (segment, byte_offset, idx, kind, payload_hex)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (segment, byte_offset, idx) DO NOTHING",
        )
        .bind(signed(entry.at.segment))
        .bind(signed(entry.at.offset))
        .bind(i64::from(entry.idx))
        .bind(format!("{:?}", entry.kind))
        .bind(hex(&entry.payload))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// `false`: a newer version of the record is there.
async fn upsert_call(
    tx: &mut Tx,
    record: &CallRecord,
    json: &CallJson,
) -> Result<bool, StoreError> {
    let first_fact = record.facts.first().map(|it| it.at.wall);
    let t_in = record.t_in.or(first_fact).or(record.t_rel).unwrap_or_default();
    let written = sqlx::query(
        "INSERT INTO calls
         (call_id, version, t_in, t_ans, t_req, t_br, t_rel, trunk, caller_no, called_no,
          called_raw, flow, outcome, released_by, reason, duration_ms, wait_ms, talk_ms,
          record_json)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                 $19)
         ON CONFLICT (call_id) DO UPDATE SET
          version = excluded.version, t_in = excluded.t_in, t_ans = excluded.t_ans,
          t_req = excluded.t_req, t_br = excluded.t_br, t_rel = excluded.t_rel,
          trunk = excluded.trunk, caller_no = excluded.caller_no,
          called_no = excluded.called_no, called_raw = excluded.called_raw,
          flow = excluded.flow, outcome = excluded.outcome,
          released_by = excluded.released_by, reason = excluded.reason,
          duration_ms = excluded.duration_ms, wait_ms = excluded.wait_ms,
          talk_ms = excluded.talk_ms, record_json = excluded.record_json
         WHERE excluded.version >= calls.version",
    )
    .bind(signed(record.call.0))
    .bind(i64::from(record.version))
    .bind(t_in.0)
    .bind(record.t_ans.map(|it| it.0))
    .bind(record.t_req.map(|it| it.0))
    .bind(record.t_br.map(|it| it.0))
    .bind(record.t_rel.map(|it| it.0))
    .bind(&json.trunk)
    .bind(&json.caller_no)
    .bind(&json.called_no)
    .bind(&json.called_raw)
    .bind(&json.flow)
    .bind(&json.outcome)
    .bind(&json.released_by)
    .bind(&json.reason)
    .bind(signed(record.duration_ms))
    .bind(signed(record.wait_ms))
    .bind(signed(record.talk_ms))
    .bind(serde_json::to_string(json)?)
    .execute(&mut **tx)
    .await?;
    Ok(written.rows_affected() > 0)
}

async fn replace_children(tx: &mut Tx, record: &CallRecord) -> Result<(), StoreError> {
    let call = signed(record.call.0);
    for delete in [
        "DELETE FROM call_segments WHERE call_id = $1",
        "DELETE FROM queue_segments WHERE call_id = $1",
        "DELETE FROM call_facts WHERE call_id = $1",
        "DELETE FROM ratings WHERE call_id = $1",
    ] {
        sqlx::query(delete).bind(call).execute(&mut **tx).await?;
    }
    segments(tx, call, record).await?;
    queues(tx, call, record).await?;
    ratings(tx, call, record).await?;
    facts(tx, call, record).await
}

async fn segments(tx: &mut Tx, call: i64, record: &CallRecord) -> Result<(), StoreError> {
    for (idx, it) in (0i64..).zip(&record.segments) {
        sqlx::query(
            "INSERT INTO call_segments
             (call_id, idx, agent_no, extension, skill_group, t_off, t_ring, t_agent, t_br, t_end,
              talk_ms, hold_ms, n_holds, recording_id, unanswered, released_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        )
        .bind(call)
        .bind(idx)
        .bind(it.agent.as_str())
        .bind(it.extension.as_str())
        .bind(it.group.as_str())
        .bind(it.t_off.0)
        .bind(it.t_ring.map(|it| it.0))
        .bind(it.t_agent.map(|it| it.0))
        .bind(it.t_br.map(|it| it.0))
        .bind(it.t_end.map(|it| it.0))
        .bind(signed(it.talk_ms))
        .bind(signed(it.hold_ms))
        .bind(i64::from(it.n_holds))
        .bind(it.recording.as_ref().map(hotline_base::RecordingId::as_str))
        .bind(it.unanswered.map(hotline_cdr::OfferEnd::as_str))
        .bind(it.released_by.map(hotline_cdr::Party::as_str))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn queues(tx: &mut Tx, call: i64, record: &CallRecord) -> Result<(), StoreError> {
    for (idx, it) in (0i64..).zip(&record.queues) {
        sqlx::query(
            "INSERT INTO queue_segments
             (call_id, idx, skill_group, priority, t_q, t_qx, wait_ms, exit_why)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(call)
        .bind(idx)
        .bind(it.group.as_str())
        .bind(i64::from(it.priority))
        .bind(it.t_q.0)
        .bind(it.t_qx.map(|it| it.0))
        .bind(signed(it.wait_ms))
        .bind(it.exit.map(hotline_cdr::QueueExit::as_str))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn ratings(tx: &mut Tx, call: i64, record: &CallRecord) -> Result<(), StoreError> {
    for (idx, it) in (0i64..).zip(&record.ratings) {
        sqlx::query(
            "INSERT INTO ratings
             (call_id, idx, rated_at, survey, agent_no, skill_group, pressed, rating, label,
              satisfied, recording_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(call)
        .bind(idx)
        .bind(it.at.0)
        .bind(&it.answer.survey)
        .bind(it.answer.agent.as_str())
        .bind(it.answer.group.as_str())
        .bind(it.answer.key.to_string())
        .bind(it.answer.value)
        .bind(&it.answer.label)
        .bind(i64::from(it.answer.satisfied))
        .bind(it.recording.as_ref().map(hotline_base::RecordingId::as_str))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn facts(tx: &mut Tx, call: i64, record: &CallRecord) -> Result<(), StoreError> {
    for (idx, it) in (0i64..).zip(&record.facts) {
        let json = StampedJson::from(it);
        let value = serde_json::to_value(&json)?;
        let kind = value.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
        sqlx::query(
            "INSERT INTO call_facts (call_id, idx, happened_at, kind, fact_json)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(call)
        .bind(idx)
        .bind(it.at.wall.0)
        .bind(kind)
        .bind(serde_json::to_string(&json)?)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// A sealed recording is never unsealed again by an older record.
async fn recording(tx: &mut Tx, call: CallId, it: &RecordedAudio) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO recordings
         (recording_id, call_id, path, agent_no, skill_group, started_at, sealed, failed,
          duration_ms, bytes, sha256, gap_ms, n_gaps)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (recording_id) DO UPDATE SET
          call_id = excluded.call_id, path = excluded.path, agent_no = excluded.agent_no,
          skill_group = excluded.skill_group, started_at = excluded.started_at,
          sealed = excluded.sealed, failed = excluded.failed,
          duration_ms = excluded.duration_ms, bytes = excluded.bytes,
          sha256 = excluded.sha256, gap_ms = excluded.gap_ms, n_gaps = excluded.n_gaps
         WHERE excluded.sealed >= recordings.sealed",
    )
    .bind(it.recording.as_str())
    .bind(signed(call.0))
    .bind(&it.path)
    .bind(it.agent.as_str())
    .bind(it.group.as_str())
    .bind(it.started.0)
    .bind(i64::from(it.sealed))
    .bind(&it.failed)
    .bind(signed(it.duration_ms))
    .bind(signed(it.bytes))
    .bind(&it.sha256)
    .bind(signed(it.gap_ms))
    .bind(i64::from(it.n_gaps))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) fn hex<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    bytes.into_iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap_or_default();
        out
    })
}
