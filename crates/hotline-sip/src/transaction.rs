//! Transactions: one request and its responses, made reliable (RFC 3261 §17, RFC 6026).
//!
//! Two transactions of each direction, each a table in `table`; what a transition does is in
//! `client` and `server`. The user above is told only what it has not heard before.

mod client;
mod server;
mod switch;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use hotline_base::{ConnId, Due, HashedMap, MonoTime, earliest};

use self::{client::ClientTransaction, server::ServerTransaction};
pub(crate) use self::{client::cancel_of, server::Again};
use crate::{
    Config, Flow, Output,
    by_conn::ByConn,
    timers::{TimerName, Timers},
};

/// One transaction, of either direction.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct TxId(u64);

/// What the user above a transaction has to know beyond responses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Notice {
    /// A client transaction ended without a final response (timer B, C or F).
    TimedOut(TxId),
    /// The connection of a client transaction went away before a final response.
    ClientBroken(TxId),
    /// The connection of an unanswered INVITE went away.
    ServerBroken(TxId),
}

/// What a response is to the user above.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Heard {
    /// New, or a 2xx (each of which the user acknowledges).
    Response(TxId),
    /// A repetition, dealt with.
    Absorbed,
    /// Belongs to nothing we sent.
    Nothing,
}

/// What is over is forgotten together with what ends within this: hundreds of calls a second would
/// otherwise wake the thread for each of their transactions, whose end nobody sees.
const FORGET_EVERY: Duration = Duration::from_millis(50);

/// The three durations of RFC 3261 from which all timers follow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tempo {
    pub(crate) t1: Duration,
    pub(crate) t2: Duration,
    pub(crate) t4: Duration,
}

impl Tempo {
    pub(crate) const fn of(config: &Config) -> Self {
        Self { t1: config.t1, t2: config.t2, t4: config.t4 }
    }

    /// 64 times T1: how long a transaction waits.
    pub(crate) const fn limit(self) -> Duration {
        self.t1.saturating_mul(64)
    }
}

/// What is sent, and what is said to the caller, in order.
pub(crate) type Outbox = VecDeque<Output>;

pub(crate) fn transmit(out: &mut Outbox, flow: Flow, bytes: impl Into<Arc<[u8]>>) {
    out.push_back(Output::Transmit { flow, bytes: bytes.into() });
}

#[derive(Debug)]
pub(crate) struct Transactions {
    tempo: Tempo,
    next: u64,
    /// In boxes: a map moves its values about when others come and go.
    servers: BTreeMap<TxId, Box<ServerTransaction>>,
    server_keys: HashedMap<TxId>,
    merge_keys: HashedMap<TxId>,
    clients: BTreeMap<TxId, Box<ClientTransaction>>,
    client_keys: HashedMap<TxId>,
    /// Of what is still going on.
    timers: Timers<TxId>,
    /// What is over, by when it is forgotten and the timer that says so: tens of thousands at a
    /// thousand calls a second, which would make every other timer a far way in `timers`. Who ends
    /// earlier stays in here until then, and nothing happens to it.
    ending: BTreeMap<MonoTime, Vec<(TxId, TimerName)>>,
    by_conn: ByConn<TxId>,
    gone: Vec<TxId>,
    /// Peers that take no connection, and until when that is believed.
    no_stream: BTreeMap<SocketAddr, MonoTime>,
}

impl Transactions {
    pub(crate) fn new(tempo: Tempo, secret: &[u8; 32]) -> Self {
        Self {
            tempo,
            next: 0,
            servers: BTreeMap::new(),
            server_keys: HashedMap::new(secret),
            merge_keys: HashedMap::new(secret),
            clients: BTreeMap::new(),
            client_keys: HashedMap::new(secret),
            timers: Timers::new(),
            ending: BTreeMap::new(),
            by_conn: ByConn::new(),
            gone: Vec::new(),
            no_stream: BTreeMap::new(),
        }
    }

    /// Running transactions keep the timers that are armed.
    pub(crate) const fn set_tempo(&mut self, tempo: Tempo) {
        self.tempo = tempo;
    }

    pub(crate) fn len(&self) -> usize {
        self.servers.len().saturating_add(self.clients.len())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Due> {
        let ending = self.ending.first_key_value();
        let ending = ending.and_then(|(at, all)| Some((*at, all.first()?.1.name())));
        earliest(self.timers.next(), ending)
    }

    /// Fires what is due.
    pub(crate) fn handle_timeout(&mut self, now: MonoTime, out: &mut Outbox) -> Vec<Notice> {
        let mut notices = Vec::new();
        while let Some((id, name)) = self.timers.pop(now) {
            notices.extend(self.on_timer(id, name, now, out));
        }
        while let Some(first) = self.ending.first_entry().filter(|it| *it.key() <= now) {
            for (id, name) in first.remove() {
                notices.extend(self.on_timer(id, name, now, out));
            }
        }
        notices
    }

    fn on_timer(
        &mut self,
        id: TxId,
        name: TimerName,
        now: MonoTime,
        out: &mut Outbox,
    ) -> Option<Notice> {
        if self.servers.contains_key(&id) {
            self.on_server_timer(id, name, now, out);
            None
        } else {
            self.on_client_timer(id, name, now, out)
        }
    }

    pub(crate) fn handle_connection_gone(&mut self, conn: ConnId) -> Vec<Notice> {
        let ids = self.by_conn.take(conn);
        let servers: Vec<_> = ids.iter().filter_map(|id| self.break_server(*id)).collect();
        let clients = ids.iter().filter_map(|id| self.break_client(*id));
        servers.into_iter().chain(clients.collect::<Vec<_>>()).collect()
    }

    /// Nothing is kept for a connection that has no transaction by it.
    #[cfg(test)]
    pub(crate) fn check_connections(&self) {
        for (conn, id) in self.by_conn.all() {
            let client = self.clients.get(id).map(|it| it.flow.conn);
            let server = self.servers.get(id).map(|it| it.flow.conn);
            assert_eq!(client.or(server), Some(Some(conn)));
        }
    }

    /// A transaction that ended: what belongs to it may be forgotten.
    pub(crate) fn pop_gone(&mut self) -> Option<TxId> {
        self.gone.pop()
    }

    /// Arms the timer with which a transaction that is over ends: not before `wait`, but perhaps a
    /// little later; a `wait` of 0 ends it at once.
    fn forget_after(&mut self, id: TxId, name: TimerName, wait: Duration, now: MonoTime) {
        let at = if wait.is_zero() { now } else { (now + wait).next_multiple_of(FORGET_EVERY) };
        self.ending.entry(at).or_default().push((id, name));
    }

    const fn next_id(&mut self) -> TxId {
        self.next = self.next.saturating_add(1);
        TxId(self.next)
    }

    fn remove_server(&mut self, id: TxId) {
        self.timers.cancel_all(&id);
        if let Some(it) = self.servers.remove(&id) {
            self.gone.push(id);
            self.by_conn.remove(it.flow.conn, &id);
            self.server_keys.remove(&it.key);
            if let Some(merge) = it.merge {
                self.merge_keys.remove(&merge);
            }
        }
    }

    fn remove_client(&mut self, id: TxId) {
        self.timers.cancel_all(&id);
        if let Some(it) = self.clients.remove(&id) {
            self.by_conn.remove(it.flow.conn, &id);
            self.client_keys.remove(&it.key);
            self.gone.push(id);
        }
    }
}

/// The interval after `interval` (RFC 3261 §17.1.2.2): twice as long, up to T2.
fn backed_off(interval: Duration, tempo: Tempo) -> Duration {
    interval.saturating_mul(2).min(tempo.t2)
}
