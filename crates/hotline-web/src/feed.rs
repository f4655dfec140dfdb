//! Each agent's numbered events: the last ones, and who listens.
//!
//! A listener that falls 64 events behind is let go; it comes back with the last number it saw and
//! gets what it missed, or a snapshot. Of agents to whom nobody ever listened only the newest state
//! is kept: nobody has a number to come back with.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hotline_agent::AgentView;
use hotline_base::{AgentNo, CallId, FlowId, GroupId, Pii, RecordingId, WallTime};
use hotline_cdr::{FlowReturn, RecordingNews};
use tokio::sync::mpsc;

use crate::wire::{
    agent::AgentJson,
    event::{CallJson, EventJson, EventKind, RecordingJson},
    time,
};

/// Events kept for an agent to whom somebody has listened, for those who come back.
const RING: usize = 256;

/// Events that may wait for one listener (`docs/CHANNELS.md`: control → one bar).
const WAITING: usize = 64;

/// The call on an agent's line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallView {
    pub call: CallId,
    /// The party outside, normalised; `None` is 匿名.
    pub caller_no: Option<Pii<String>>,
    /// Our number: the one called, or the one shown in an outbound call.
    pub called_no: String,
    /// The agent made the call.
    pub outbound: bool,
    pub group: Option<GroupId>,
    pub recording: Option<RecordingId>,
    pub t_in: WallTime,
    pub wait_ms: u64,
    pub tags: Vec<String>,
    /// Name, label and value of what the flow exported so far.
    pub attached: Vec<(String, String, Pii<String>)>,
    /// The last flow that an agent sent the caller to, and how it ended.
    pub last_flow: Option<(FlowId, FlowReturn)>,
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
    /// Of the newest event; 0 before there is one.
    seq: u64,
    newest: Option<Told>,
    /// Whether somebody has ever listened.
    is_heard: bool,
    /// Numbers and texts, once somebody has listened.
    ring: VecDeque<(u64, Arc<str>)>,
    listeners: Vec<mpsc::Sender<Arc<str>>>,
}

/// An event. It is written as text only for those who listen: most agents' states change unseen.
#[derive(Debug)]
struct Told {
    seq: u64,
    at: WallTime,
    view: AgentView,
    call: Option<CallView>,
    /// What happened to a recording of the agent's, and not to the agent.
    news: Option<RecordingNews>,
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
    pub fn publish(&self, at: WallTime, view: AgentView, call: Option<CallView>) {
        let mut feeds = self.lock();
        if !feeds.contains_key(&view.no) {
            feeds.insert(view.no.clone(), Feed::default());
        }
        let Some(feed) = feeds.get_mut(&view.no) else { return };
        let told = Told { seq: feed.seq + 1, at, view, call, news: None };
        self.tell(feed, told);
    }

    /// Something happened to a recording of this agent's. An agent of whom nothing was told yet has
    /// no event of it.
    pub fn publish_recording(&self, agent: &AgentNo, news: &RecordingNews) {
        let mut feeds = self.lock();
        let Some(feed) = feeds.get_mut(agent) else { return };
        let Some(newest) = feed.newest.take() else { return };
        let (seq, at) = (feed.seq + 1, news.at);
        let told = Told { seq, at, news: Some(news.clone()), ..newest };
        self.tell(feed, told);
    }

    fn tell(&self, feed: &mut Feed, told: Told) {
        feed.seq = told.seq;
        if feed.is_heard {
            let text = self.written(EventKind::of(told.news.as_ref()), &told);
            feed.listeners.retain(|it| it.try_send(Arc::clone(&text)).is_ok());
            if feed.ring.len() == RING {
                feed.ring.pop_front();
            }
            feed.ring.push_back((told.seq, text));
        }
        feed.newest = Some(told);
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
        feed.is_heard = true;
        let missed = seen
            .filter(|(epoch, _)| **epoch == *self.epoch)
            .and_then(|(_, since)| feed.missed_since(since));
        let first = match missed {
            Some(missed) => missed.collect(),
            None if let Some(newest) = &feed.newest => {
                vec![self.written(EventKind::Snapshot, newest)]
            }
            None => {
                let view = view.clone();
                let told = Told { seq: feed.seq, at: now, view, call: None, news: None };
                vec![self.written(EventKind::Snapshot, &told)]
            }
        };
        Listening { first, rest }
    }

    fn written(&self, kind: EventKind, it: &Told) -> Arc<str> {
        // A snapshot says how the agent is, and not what happened last.
        let news = it.news.as_ref().filter(|_| !matches!(kind, EventKind::Snapshot));
        let event = EventJson {
            epoch: self.epoch.to_string(),
            seq: it.seq,
            ts: time::write(it.at),
            kind,
            agent: AgentJson::from(&it.view),
            call: it.call.as_ref().map(CallJson::from),
            recording: news.map(RecordingJson::from),
        };
        serde_json::to_string(&event).unwrap_or_default().into()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AgentNo, Feed>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    /// `None`: some of them are not kept any more, or never were.
    fn missed_since(&self, since: u64) -> Option<impl Iterator<Item = Arc<str>>> {
        let oldest = self.ring.front().map_or(self.seq + 1, |it| it.0);
        let can_be = since <= self.seq && since + 1 >= oldest;
        let later = self.ring.iter().filter(move |it| it.0 > since);
        can_be.then(|| later.map(|it| Arc::clone(&it.1)))
    }
}

#[cfg(test)]
mod tests;
