//! The statements that fill the tables.
//!
//! A statement travels to the database's thread and back, which costs more than the row it writes.
//! So each statement has many rows.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::{CallId, RecordingId};
use hotline_cdr::{
    CallFact, CallRecord, CallSegment, OfferEnd, Party, QueueExit, QueueSegment, Rating,
    RecordedAudio,
};
use sqlx::{QueryBuilder, Row, query_builder::Separated};

use super::{Item, Push, Rows, State, Tx, hex};
use crate::{
    Entry, StoreError,
    db::{Db, ladders, lists::count_hit, signed, unsigned},
    wire::{CallJson, StampedJson},
};

/// Rows of one statement, at most.
const ROWS_MAX: usize = 64;

/// The values of a row, in the order of its columns.
type Values<'a> = Separated<'a, Db, &'static str>;

/// Slices of 64, 32 … 1 rows: however many rows there are, a table's statements are of seven texts,
/// so that each is prepared once.
fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let n = ROWS_MAX.min(1 << rows.len().checked_ilog2()?);
        let (piece, rest) = rows.split_at_checked(n)?;
        rows = rest;
        Some(piece)
    })
}

/// `INSERT INTO` the rest of `head`, `VALUES` of all rows, `tail`. How many rows there are now that
/// were not before, or are otherwise.
async fn insert<T>(
    tx: &mut Tx,
    head: &str,
    rows: &[T],
    values: impl Fn(Values<'_>, &T),
    tail: &str,
) -> Result<u64, StoreError> {
    let mut n_affected = 0;
    for piece in pieces(rows) {
        let mut sql = QueryBuilder::<Db>::new("INSERT INTO ");
        sql.push(head).push(" ").push_values(piece, &values).push(tail);
        n_affected += sql.build().execute(&mut **tx).await?.rows_affected();
    }
    Ok(n_affected)
}

/// The versions that the table has of these calls.
pub(super) async fn versions(
    tx: &mut Tx,
    items: &[&Item],
) -> Result<BTreeMap<CallId, u32>, StoreError> {
    let calls: BTreeSet<CallId> = items
        .iter()
        .filter_map(|it| if let Item::Call(it) = it { Some(it.call) } else { None })
        .collect();
    let calls: Vec<CallId> = calls.into_iter().collect();
    let mut versions = BTreeMap::new();
    for piece in pieces(&calls) {
        let mut sql = QueryBuilder::<Db>::new("SELECT call_id, version FROM calls WHERE call_id");
        one_of(&mut sql, piece);
        for row in sql.build().fetch_all(&mut **tx).await? {
            let version = u32::try_from(row.try_get::<i64, _>(1)?).unwrap_or(u32::MAX);
            versions.insert(CallId(unsigned(row.try_get(0)?)), version);
        }
    }
    Ok(versions)
}

fn one_of(sql: &mut QueryBuilder<Db>, calls: &[CallId]) {
    sql.push(" IN (");
    let mut ids = sql.separated(", ");
    for call in calls {
        ids.push_bind(signed(call.0));
    }
    sql.push(")");
}

impl Rows<'_> {
    /// How many pushes are new.
    pub(super) async fn write(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        self.write_calls(tx).await?;
        self.write_children(tx).await?;
        self.write_recordings(tx).await?;
        self.write_states(tx).await?;
        // Few.
        for record in self.calls.values() {
            for it in &record.facts {
                if let CallFact::Listed { entry, .. } = &it.fact {
                    count_hit(tx, signed(record.call.0), *entry, it.at.wall).await?;
                }
            }
        }
        // Few and long.
        for (call, trace) in &self.ladders {
            ladders::store(tx, *call, trace, self.now).await?;
        }
        self.write_unreadable(tx).await?;
        self.write_pushes(tx).await
    }
}

/// A call's row and its two texts, with and without facts.
struct CallRow<'a> {
    record: &'a CallRecord,
    json: CallJson,
    record_json: String,
    facts_json: String,
}

impl<'a> CallRow<'a> {
    fn new(record: &'a CallRecord) -> Result<Self, StoreError> {
        let facts: Vec<_> = record.facts.iter().map(|it| StampedJson::from(&**it)).collect();
        let json = CallJson::from(record);
        let record_json = serde_json::to_string(&json)?;
        Ok(Self { record, json, record_json, facts_json: serde_json::to_string(&facts)? })
    }

    fn values(&self, mut to: Values<'_>) {
        let (record, json) = (self.record, &self.json);
        let first_fact = record.facts.first().map(|it| it.at.wall);
        let t_in = record.t_in.or(first_fact).or(record.t_rel).unwrap_or_default();
        to.push_bind(signed(record.call.0))
            .push_bind(i64::from(record.version))
            .push_bind(t_in.0)
            .push_bind(record.t_ans.map(|it| it.0))
            .push_bind(record.t_req.map(|it| it.0))
            .push_bind(record.t_br.map(|it| it.0))
            .push_bind(record.t_rel.map(|it| it.0))
            .push_bind(&json.trunk)
            .push_bind(&json.caller_no)
            .push_bind(&json.called_no)
            .push_bind(&json.called_raw)
            .push_bind(&json.flow)
            .push_bind(&json.outcome)
            .push_bind(&json.released_by)
            .push_bind(&json.reason)
            .push_bind(signed(record.duration_ms))
            .push_bind(signed(record.wait_ms))
            .push_bind(signed(record.talk_ms))
            .push_bind(&self.record_json)
            .push_bind(&self.facts_json);
    }
}

/// A part of a call: the call, its place in it, itself.
type Part<'a, T> = (CallId, i64, &'a T);

fn segment(mut to: Values<'_>, (call, idx, it): &Part<'_, CallSegment>) {
    to.push_bind(signed(call.0))
        .push_bind(*idx)
        .push_bind(it.agent.as_str())
        .push_bind(it.extension.as_str())
        .push_bind(it.group.as_str())
        .push_bind(it.t_off.0)
        .push_bind(it.t_ring.map(|it| it.0))
        .push_bind(it.t_agent.map(|it| it.0))
        .push_bind(it.t_br.map(|it| it.0))
        .push_bind(it.t_end.map(|it| it.0))
        .push_bind(signed(it.talk_ms))
        .push_bind(signed(it.hold_ms))
        .push_bind(i64::from(it.n_holds))
        .push_bind(it.recording.as_ref().map(RecordingId::as_str))
        .push_bind(it.unanswered.map(OfferEnd::as_str))
        .push_bind(it.released_by.map(Party::as_str));
}

fn queue(mut to: Values<'_>, (call, idx, it): &Part<'_, QueueSegment>) {
    to.push_bind(signed(call.0))
        .push_bind(*idx)
        .push_bind(it.group.as_str())
        .push_bind(i64::from(it.priority))
        .push_bind(it.t_q.0)
        .push_bind(it.t_qx.map(|it| it.0))
        .push_bind(signed(it.wait_ms))
        .push_bind(it.exit.map(QueueExit::as_str));
}

fn rating(mut to: Values<'_>, (call, idx, it): &Part<'_, Rating>) {
    to.push_bind(signed(call.0))
        .push_bind(*idx)
        .push_bind(it.at.0)
        .push_bind(&it.answer.survey)
        .push_bind(it.answer.agent.as_str())
        .push_bind(it.answer.group.as_str())
        .push_bind(it.answer.key.to_string())
        .push_bind(it.answer.value)
        .push_bind(&it.answer.label)
        .push_bind(i64::from(it.answer.satisfied))
        .push_bind(it.recording.as_ref().map(RecordingId::as_str));
}

fn recording(mut to: Values<'_>, (call, it): &(CallId, &RecordedAudio)) {
    to.push_bind(it.recording.as_str())
        .push_bind(signed(call.0))
        .push_bind(&it.path)
        .push_bind(it.agent.as_str())
        .push_bind(it.group.as_str())
        .push_bind(it.started.0)
        .push_bind(i64::from(it.sealed))
        .push_bind(&it.failed)
        .push_bind(signed(it.duration_ms))
        .push_bind(signed(it.bytes))
        .push_bind(&it.sha256)
        .push_bind(signed(it.gap_ms))
        .push_bind(i64::from(it.n_gaps));
}

impl Rows<'_> {
    async fn write_calls(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let rows: Vec<_> =
            self.calls.values().copied().map(CallRow::new).collect::<Result<_, _>>()?;
        let head = "calls
             (call_id, version, t_in, t_ans, t_req, t_br, t_rel, trunk, caller_no, called_no,
              called_raw, flow, outcome, released_by, reason, duration_ms, wait_ms, talk_ms,
              record_json, facts_json)";
        let tail = " ON CONFLICT (call_id) DO UPDATE SET
              version = excluded.version, t_in = excluded.t_in, t_ans = excluded.t_ans,
              t_req = excluded.t_req, t_br = excluded.t_br, t_rel = excluded.t_rel,
              trunk = excluded.trunk, caller_no = excluded.caller_no,
              called_no = excluded.called_no, called_raw = excluded.called_raw,
              flow = excluded.flow, outcome = excluded.outcome,
              released_by = excluded.released_by, reason = excluded.reason,
              duration_ms = excluded.duration_ms, wait_ms = excluded.wait_ms,
              talk_ms = excluded.talk_ms, record_json = excluded.record_json,
              facts_json = excluded.facts_json";
        insert(tx, head, &rows, |to, it| it.values(to), tail).await?;
        Ok(())
    }

    /// The parts of an older version go as a whole.
    async fn write_children(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let stored: Vec<_> =
            self.stored.iter().filter(|it| self.calls.contains_key(it)).copied().collect();
        for table in ["call_segments", "queue_segments", "ratings"] {
            for piece in pieces(&stored) {
                let mut sql = QueryBuilder::<Db>::new("DELETE FROM ");
                sql.push(table).push(" WHERE call_id");
                one_of(&mut sql, piece);
                sql.build().execute(&mut **tx).await?;
            }
        }
        let head = "call_segments
             (call_id, idx, agent_no, extension, skill_group, t_off, t_ring, t_agent, t_br, t_end,
              talk_ms, hold_ms, n_holds, recording_id, unanswered, released_by)";
        insert(tx, head, &self.parts(|it| &it.segments), segment, "").await?;
        let head = "queue_segments
             (call_id, idx, skill_group, priority, t_q, t_qx, wait_ms, exit_why)";
        insert(tx, head, &self.parts(|it| &it.queues), queue, "").await?;
        let head = "ratings
             (call_id, idx, rated_at, survey, agent_no, skill_group, pressed, rating, label,
              satisfied, recording_id)";
        insert(tx, head, &self.parts(|it| &it.ratings), rating, "").await?;
        Ok(())
    }

    fn parts<T>(&self, of: impl Fn(&CallRecord) -> &Vec<T>) -> Vec<Part<'_, T>> {
        let all = self.calls.iter();
        all.flat_map(|(call, record)| (0..).zip(of(record)).map(|(idx, it)| (*call, idx, it)))
            .collect()
    }

    async fn write_recordings(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let rows: Vec<_> = self.recordings.values().copied().collect();
        let head = "recordings
             (recording_id, call_id, path, agent_no, skill_group, started_at, sealed, failed,
              duration_ms, bytes, sha256, gap_ms, n_gaps)";
        let tail = " ON CONFLICT (recording_id) DO UPDATE SET
              call_id = excluded.call_id, path = excluded.path, agent_no = excluded.agent_no,
              skill_group = excluded.skill_group, started_at = excluded.started_at,
              sealed = excluded.sealed, failed = excluded.failed,
              duration_ms = excluded.duration_ms, bytes = excluded.bytes,
              sha256 = excluded.sha256, gap_ms = excluded.gap_ms, n_gaps = excluded.n_gaps
             WHERE excluded.sealed >= recordings.sealed";
        insert(tx, head, &rows, recording, tail).await?;
        Ok(())
    }

    async fn write_states(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let head = "agent_states
             (id, agent_no, changed_at, extension, state, presence, line, reason, call_id)";
        let values = |mut to: Values<'_>, (id, fact, json): &State<'_>| {
            to.push_bind(*id)
                .push_bind(fact.agent.as_str())
                .push_bind(fact.at.0)
                .push_bind(&json.extension)
                .push_bind(json.state)
                .push_bind(json.presence)
                .push_bind(json.line)
                .push_bind(json.reason.map(i64::from))
                .push_bind(fact.call.map(|it| signed(it.0)));
        };
        insert(tx, head, &self.states, values, " ON CONFLICT (id) DO NOTHING").await?;
        Ok(())
    }

    async fn write_unreadable(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let head = "unreadable_items (segment, byte_offset, idx, kind, payload_hex)";
        let values = |mut to: Values<'_>, it: &&Entry| {
            to.push_bind(signed(it.at.segment))
                .push_bind(signed(it.at.offset))
                .push_bind(i64::from(it.idx))
                .push_bind(format!("{:?}", it.kind))
                .push_bind(hex(&it.payload));
        };
        let tail = " ON CONFLICT (segment, byte_offset, idx) DO NOTHING";
        insert(tx, head, &self.unreadable, values, tail).await?;
        Ok(())
    }

    /// How many are new: an event that is there already is not told again.
    async fn write_pushes(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        if self.pushes.is_empty() {
            return Ok(0);
        }
        let row = sqlx::query("SELECT COALESCE(MAX(seq), 0) FROM push_outbox")
            .fetch_one(&mut **tx)
            .await?;
        let newest: i64 = row.try_get(0)?;
        let rows: Vec<_> = (newest + 1..).zip(&self.pushes).collect();
        let head = "push_outbox
             (target, id, order_key, seq, kind, body, created_at, n_attempts, next_at, state)";
        let values = |mut to: Values<'_>, (seq, it): &(i64, &Push<'_>)| {
            to.push_bind(it.target)
                .push_bind(&it.id)
                .push_bind(&it.order_key)
                .push_bind(*seq)
                .push_bind(it.kind)
                .push_bind(&it.body)
                .push_bind(self.now.0)
                .push_bind(0_i64)
                .push_bind(self.now.0)
                .push_bind("waiting");
        };
        insert(tx, head, &rows, values, " ON CONFLICT (target, id) DO NOTHING").await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_of_few_lengths_and_miss_nothing() {
        for n in 0..300 {
            let rows: Vec<usize> = (0..n).collect();
            let all: Vec<usize> = pieces(&rows).flatten().copied().collect();
            assert_eq!(all, rows);
            assert!(pieces(&rows).all(|it| it.len().is_power_of_two() && it.len() <= ROWS_MAX));
        }
    }
}
