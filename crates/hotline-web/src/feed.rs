//! Each agent's numbered events: the last ones, and who listens.
//!
//! A listener that falls 64 events behind is let go; it comes back with the last number it saw and
//! gets what it missed, or a snapshot.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hotline_agent::AgentView;
use hotline_base::{AgentNo, CallId, GroupId, Pii, RecordingId, WallTime};
use tokio::sync::mpsc;

use crate::wire::{
    agent::AgentJson,
    event::{CallJson, EventJson, EventKind},
    time,
};

/// Events kept for an agent, for those who come back.
const RING: usize = 256;

/// Events that may wait for one listener (`docs/CHANNELS.md`: control → one bar).
const WAITING: usize = 64;

/// The call on an agent's line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallView {
    pub call: CallId,
    /// Normalised; `None` is 匿名.
    pub caller_no: Option<Pii<String>>,
    pub called_no: String,
    pub group: Option<GroupId>,
    pub recording: Option<RecordingId>,
    pub t_in: WallTime,
    pub wait_ms: u64,
    pub tags: Vec<String>,
    /// Name, label and value of what the flow exported so far.
    pub attached: Vec<(String, String, Pii<String>)>,
}

/// Where the engine tells what happens to agents. Cloning gives the same feeds.
///
/// Publishing takes a short lock that no listener holds while it waits for the network.
#[derive(Clone, Debug)]
pub struct Feeds {
    epoch: Arc<str>,
    feeds: Arc<Mutex<BTreeMap<AgentNo, Feed>>>,
}

#[derive(Debug, Default)]
struct Feed {
    seq: u64,
    ring: VecDeque<(u64, Arc<str>)>,
    /// The newest state, in the form of a snapshot.
    newest: Option<(WallTime, AgentView, Option<CallView>)>,
    listeners: Vec<mpsc::Sender<Arc<str>>>,
}

/// One connection's view: what to send at once, then what comes.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) first: Vec<Arc<str>>,
    /// Ends when this listener is let go.
    pub(crate) rest: mpsc::Receiver<Arc<str>>,
}

impl Feeds {
    /// `epoch` names this life of the engine, such as its start in milliseconds.
    pub fn new(epoch: u64) -> Self {
        Self { epoch: epoch.to_string().into(), feeds: Arc::default() }
    }

    /// An agent's state changed.
    pub fn publish(&self, at: WallTime, view: &AgentView, call: Option<&CallView>) {
        let mut feeds = self.lock();
        let feed = feeds.entry(view.no.clone()).or_default();
        feed.seq += 1;
        let text = self.written(feed.seq, at, EventKind::State, view, call);
        feed.newest = Some((at, view.clone(), call.cloned()));
        if feed.ring.len() == RING {
            feed.ring.pop_front();
        }
        feed.ring.push_back((feed.seq, Arc::clone(&text)));
        feed.listeners.retain(|it| it.try_send(Arc::clone(&text)).is_ok());
    }

    /// Connections that listen now.
    pub fn n_listeners(&self) -> usize {
        self.lock()
            .values()
            .map(|it| it.listeners.iter().filter(|it| !it.is_closed()).count())
            .sum()
    }

    /// Begins to listen. `seen` is epoch and number of the last event the caller has; `view` is the
    /// agent as the desk knows it, for an agent of whom nothing was told yet.
    pub(crate) fn listen(
        &self,
        view: &AgentView,
        seen: Option<(&str, u64)>,
        now: WallTime,
    ) -> Listening {
        let mut feeds = self.lock();
        let feed = feeds.entry(view.no.clone()).or_default();
        let (sender, rest) = mpsc::channel(WAITING);
        feed.listeners.retain(|it| !it.is_closed());
        feed.listeners.push(sender);
        let missed = seen
            .filter(|(epoch, _)| **epoch == *self.epoch)
            .and_then(|(_, since)| feed.missed_since(since));
        let first = missed.unwrap_or_else(|| {
            let text = match &feed.newest {
                Some((at, view, call)) => {
                    self.written(feed.seq, *at, EventKind::Snapshot, view, call.as_ref())
                }
                None => self.written(feed.seq, now, EventKind::Snapshot, view, None),
            };
            vec![text]
        });
        Listening { first, rest }
    }

    fn written(
        &self,
        seq: u64,
        at: WallTime,
        kind: EventKind,
        view: &AgentView,
        call: Option<&CallView>,
    ) -> Arc<str> {
        let event = EventJson {
            epoch: self.epoch.to_string(),
            seq,
            ts: time::write(at),
            kind,
            agent: AgentJson::from(view),
            call: call.map(CallJson::from),
        };
        serde_json::to_string(&event).unwrap_or_default().into()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AgentNo, Feed>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    /// `None`: some of them are not kept any more, or never were.
    fn missed_since(&self, since: u64) -> Option<Vec<Arc<str>>> {
        let oldest = self.ring.front().map_or(self.seq + 1, |(seq, _)| *seq);
        if since > self.seq || since + 1 < oldest {
            return None;
        }
        let missed = self.ring.iter().filter(|(seq, _)| *seq > since);
        Some(missed.map(|(_, text)| Arc::clone(text)).collect())
    }
}

#[cfg(test)]
mod tests;
