//! What a turn leaves on disk, and what may leave the house only then.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use hotline_agent::{AgentView, Refused as NotDone};
use hotline_cdr::CallRecord;
use hotline_net::{Outlet, Transmit};
use hotline_store::{Commit, Item, Journal, Kind, Refused, Saved};
use tokio::sync::{mpsc::error::TrySendError, oneshot};

use crate::meters::{Dropped, Meters};

/// Bytes of turns that wait for the journal's thread, here or on their way, when a disk hangs. No
/// call is admitted from half of it on; what is beyond it is lost, as what is beyond the journal's
/// own memory ([`JournalConfig`](hotline_store::JournalConfig)).
const WAITING_MAX: usize = 64 << 20;

/// Bytes that wait here or in the journal from which refused calls' records and ladders are given
/// up: the rest of the memory is for calls that people had.
const CROWDED: usize = 16 << 20;

/// About what a turn, an item or a packet takes beside its bytes.
const EACH: usize = 128;

/// One turn's effects that last.
#[derive(Debug, Default)]
struct Batch {
    items: Vec<Item>,
    keeps: Vec<(String, Option<Vec<u8>>)>,
    /// Transmissions that follow a record; sent when the record is safe.
    after: Vec<Transmit>,
    has_record: bool,
    /// Answers to commands; given when all of the turn is safe.
    answers: Vec<Answer>,
}

impl Batch {
    /// Bytes of memory, about.
    fn weight(&self) -> usize {
        let items = self.items.iter().map(|it| it.payload.len() + EACH);
        let keeps = self
            .keeps
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len) + EACH);
        let after = self.after.iter().map(|it| it.bytes.len() + EACH);
        items.chain(keeps).chain(after).sum::<usize>() + EACH * (self.answers.len() + 1)
    }
}

/// Who asked for something, and what came of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) asker: oneshot::Sender<Result<AgentView, NotDone>>,
    pub(crate) result: Result<AgentView, NotDone>,
}

impl Answer {
    fn give(self) {
        // Who asked may have hung up meanwhile.
        if self.asker.send(self.result).is_err() {
            tracing::debug!("Nobody waits for an answer any more.");
        }
    }
}

/// What the journal's thread needs of ours when a commit is done; one handle for all of it.
struct Wire {
    net: Outlet,
    meters: Meters,
    /// Bytes of turns whose commit is not done.
    waiting: AtomicUsize,
}

/// Collects a turn and hands it to the journal. Never waits.
pub(crate) struct Spool {
    journal: Journal,
    wire: Arc<Wire>,
    batch: Batch,
    /// Turns the journal had no room for; they are handed over before any later one.
    held: VecDeque<Commit>,
}

impl Spool {
    pub(crate) fn new(journal: Journal, net: Outlet, meters: Meters) -> Self {
        let wire = Arc::new(Wire { net, meters, waiting: AtomicUsize::new(0) });
        Self { journal, wire, batch: Batch::default(), held: VecDeque::new() }
    }

    /// A finished call. Transmissions from here to the end of the turn wait for it. One that was
    /// turned away is counted elsewhere, and has no record where that would take others' memory.
    pub(crate) fn record(&mut self, record: &CallRecord) -> io::Result<()> {
        if record.refused_status.is_some() && self.is_crowded() {
            self.wire.meters.dropped(Dropped::Refusal);
            return Ok(());
        }
        let payload = borsh::to_vec(record)?;
        self.batch.has_record = true;
        self.batch.items.push(Item { kind: Kind::CallRecord, payload });
        Ok(())
    }

    pub(crate) fn agent_fact(&mut self, payload: Vec<u8>) {
        self.batch.items.push(Item { kind: Kind::AgentFact, payload });
    }

    pub(crate) fn recording(&mut self, payload: Vec<u8>) {
        self.batch.items.push(Item { kind: Kind::RecordingNews, payload });
    }

    pub(crate) fn ladder(&mut self, payload: Vec<u8>) {
        if self.is_crowded() {
            self.wire.meters.dropped(Dropped::Ladder);
        } else {
            self.wire.meters.ladder_stored();
            self.batch.items.push(Item { kind: Kind::Ladder, payload });
        }
    }

    pub(crate) fn keep(&mut self, key: String, value: Option<Vec<u8>>) {
        self.batch.keeps.push((key, value));
    }

    pub(crate) fn transmit(&mut self, it: Transmit) {
        if self.batch.has_record {
            self.batch.after.push(it);
        } else {
            self.wire.send(it);
        }
    }

    /// What became of a command: who reads it finds it so after a restart, too.
    pub(crate) fn answer(&mut self, it: Answer) {
        self.batch.answers.push(it);
    }

    /// The turn is over. `false`: the journal is too busy; admit no call until it is not.
    pub(crate) fn end_turn(&mut self) -> bool {
        let weight = self.batch.weight();
        let Batch { items, keeps, after, answers, .. } = std::mem::take(&mut self.batch);
        if items.is_empty() && keeps.is_empty() {
            answers.into_iter().for_each(Answer::give);
        } else {
            let wire = Arc::clone(&self.wire);
            let done = move |saved: Saved| {
                wire.waiting.fetch_sub(weight, Relaxed);
                wire.meters.saved(saved);
                for it in after {
                    wire.send(it);
                }
                answers.into_iter().for_each(Answer::give);
            };
            if self.wire.waiting.fetch_add(weight, Relaxed) + weight > WAITING_MAX {
                done(Saved::Lost);
            } else {
                self.held.push_back(Commit { items, keeps, done: Box::new(done) });
            }
        }
        while let Some(commit) = self.held.pop_front() {
            if let Err(Refused(commit)) = self.journal.submit(commit) {
                self.held.push_front(commit);
                return false;
            }
        }
        self.wire.waiting.load(Relaxed) <= WAITING_MAX / 2
    }

    fn is_crowded(&self) -> bool {
        let in_journal = usize::try_from(self.journal.stats().backlog_bytes).unwrap_or(usize::MAX);
        self.wire.waiting.load(Relaxed).saturating_add(in_journal) > CROWDED
    }
}

impl Wire {
    fn send(&self, it: Transmit) {
        match self.net.send(it) {
            Ok(()) => (),
            Err(TrySendError::Full(_)) => self.meters.dropped(Dropped::Transmit),
            // The edge is gone: the process ends.
            Err(TrySendError::Closed(_)) => (),
        }
    }
}

#[cfg(test)]
mod tests;
