//! From the journal's items to rows, all or none, each once.

mod tables;

use std::collections::{BTreeMap, btree_map};

use hotline_agent::AgentFact;
use hotline_base::{CallId, RecordingId, WallTime};
use hotline_cdr::{CallRecord, RecordedAudio, RecordingNews};
use sha2::{Digest, Sha256};
use sqlx::{Row, Sqlite, Transaction};

use super::{Database, signed, unsigned};
use crate::{
    Entry, Kind, Position, StoreError,
    wire::{AgentStateJson, CallJson, Envelope, RecordingNewsJson},
};

/// A webhook and what it is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PushTarget {
    pub name: String,
    pub call_records: bool,
    pub agent_states: bool,
    /// Beginning, seal and failure of recordings.
    pub recordings: bool,
}

/// What a loading did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Loaded {
    pub(crate) n_items: u64,
    pub(crate) n_unreadable: u64,
}

pub(super) type Tx = Transaction<'static, Sqlite>;

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
        items: &[(Position, Item)],
        next: Position,
        targets: &[PushTarget],
        now: WallTime,
    ) -> Result<Loaded, StoreError> {
        let mut tx = self.write().await?;
        let cursor = read_cursor(&mut tx, consumer).await?.unwrap_or_default();
        let items: Vec<_> = items.iter().filter(|it| it.0 >= cursor).map(|it| &it.1).collect();
        let versions = tables::versions(&mut tx, &items).await?;
        let mut rows = Rows::new(targets, now, versions);
        for item in &items {
            rows.take(item)?;
        }
        let n_pushes = rows.write(&mut tx).await?;
        if next > cursor {
            write_cursor(&mut tx, consumer, next).await?;
        }
        tx.commit().await?;
        if n_pushes > 0 {
            self.announce();
        }
        Ok(Loaded { n_items: items.len() as u64, n_unreadable: rows.unreadable.len() as u64 })
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

/// What an entry says.
pub(crate) enum Item {
    Call(Box<CallRecord>),
    /// With its name, which is made of what it says. Names of later changes are greater, so that
    /// their rows lie side by side.
    State(String, AgentFact),
    Recording(CallId, RecordedAudio),
    Ladder(CallId, Vec<u8>),
    News(Box<RecordingNews>),
    Unreadable(Entry),
}

impl Item {
    pub(crate) fn read(entry: Entry) -> Self {
        let bytes = &entry.payload;
        let read = match entry.kind {
            Kind::CallRecord => borsh::from_slice(bytes).map(Self::Call),
            Kind::AgentFact => borsh::from_slice(bytes).map(|it| Self::State(name(&it, bytes), it)),
            Kind::Recording => borsh::from_slice(bytes).map(|(call, it)| Self::Recording(call, it)),
            Kind::Ladder => borsh::from_slice(bytes).map(|(call, it)| Self::Ladder(call, it)),
            Kind::RecordingNews => borsh::from_slice(bytes).map(Self::News),
        };
        read.unwrap_or(Self::Unreadable(entry))
    }
}

fn name(fact: &AgentFact, bytes: &[u8]) -> String {
    format!("{:012x}{}", fact.at.0, hex(Sha256::digest(bytes).iter().take(10)))
}

/// All rows of one transaction, by table: many rows of a table cost hardly more than one.
struct Rows<'a> {
    targets: &'a [PushTarget],
    now: WallTime,
    /// Calls that the table had before.
    stored: Vec<CallId>,
    /// Of each call, the version that the table or an earlier item has.
    versions: BTreeMap<CallId, u32>,
    calls: BTreeMap<CallId, &'a CallRecord>,
    recordings: BTreeMap<&'a RecordingId, (CallId, &'a RecordedAudio)>,
    states: Vec<State<'a>>,
    pushes: Vec<Push<'a>>,
    ladders: Vec<(CallId, &'a [u8])>,
    unreadable: Vec<&'a Entry>,
}

/// A change of an agent's state, with its name.
type State<'a> = (&'a str, &'a AgentFact, AgentStateJson);

/// A new row of the outbox.
struct Push<'a> {
    target: &'a str,
    id: String,
    order_key: String,
    kind: &'static str,
    body: String,
}

impl<'a> Rows<'a> {
    fn new(targets: &'a [PushTarget], now: WallTime, versions: BTreeMap<CallId, u32>) -> Self {
        Self {
            targets,
            now,
            stored: versions.keys().copied().collect(),
            versions,
            calls: BTreeMap::new(),
            recordings: BTreeMap::new(),
            states: Vec::new(),
            pushes: Vec::new(),
            ladders: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    fn take(&mut self, item: &'a Item) -> Result<(), StoreError> {
        match item {
            Item::Call(record) => self.call(record),
            Item::State(name, fact) => self.state(name, fact),
            Item::News(news) => self.news(news),
            Item::Recording(call, audio) => {
                self.recording(*call, audio);
                Ok(())
            }
            Item::Ladder(call, trace) => {
                self.ladders.push((*call, trace));
                Ok(())
            }
            Item::Unreadable(entry) => {
                self.unreadable.push(entry);
                Ok(())
            }
        }
    }

    fn call(&mut self, record: &'a CallRecord) -> Result<(), StoreError> {
        let version = self.versions.entry(record.call).or_insert(record.version);
        if *version > record.version {
            return Ok(());
        }
        *version = record.version;
        if record.complete {
            let at = record.t_rel.or(record.t_in).unwrap_or(self.now);
            let (call, version) = (record.call, record.version);
            let names = || (format!("call-{call}-{version}"), format!("call-{call}"));
            let json = || CallJson::from(record);
            self.push(|it| it.call_records, names, "call.finished", at, json)?;
        }
        self.calls.insert(record.call, record);
        for audio in &record.recordings {
            self.recording(record.call, audio);
        }
        Ok(())
    }

    /// A sealed recording is never unsealed again by an older record.
    fn recording(&mut self, call: CallId, audio: &'a RecordedAudio) {
        match self.recordings.entry(&audio.recording) {
            btree_map::Entry::Vacant(it) => drop(it.insert((call, audio))),
            btree_map::Entry::Occupied(mut it) => {
                if audio.sealed >= it.get().1.sealed {
                    it.insert((call, audio));
                }
            }
        }
    }

    fn state(&mut self, name: &'a str, fact: &'a AgentFact) -> Result<(), StoreError> {
        let names = || (format!("agent-{name}"), format!("agent-{}", fact.agent));
        let json = || AgentStateJson::from(fact);
        self.push(|it| it.agent_states, names, "agent.state", fact.at, json)?;
        self.states.push((name, fact, json()));
        Ok(())
    }

    fn news(&mut self, news: &RecordingNews) -> Result<(), StoreError> {
        let (kind, at) = (news.event.as_str(), news.at);
        // A disk may fail a recording more than once.
        let id = || format!("{kind}-{}-{}", news.recording, at.0);
        let names = || (id(), format!("call-{}", news.call));
        self.push(|it| it.recordings, names, kind, at, || RecordingNewsJson::from(news))
    }

    /// For every target that wants it; nothing is made for none.
    fn push<T: serde::Serialize>(
        &mut self,
        wants: impl Fn(&PushTarget) -> bool,
        names: impl FnOnce() -> (String, String),
        kind: &'static str,
        at: WallTime,
        data: impl FnOnce() -> T,
    ) -> Result<(), StoreError> {
        let mut targets = self.targets.iter().filter(|it| wants(it)).peekable();
        if targets.peek().is_none() {
            return Ok(());
        }
        let (id, order_key) = names();
        let body = Envelope::new(&id, kind, at, &data()).text()?;
        for target in targets {
            let (id, order_key, body) = (id.clone(), order_key.clone(), body.clone());
            self.pushes.push(Push { target: &target.name, id, order_key, kind, body });
        }
        Ok(())
    }
}

pub(super) fn hex<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    let digit = |it: u8| char::from_digit(it.into(), 16);
    bytes.into_iter().flat_map(|it| [digit(it >> 4), digit(it & 0x0F)]).flatten().collect()
}
