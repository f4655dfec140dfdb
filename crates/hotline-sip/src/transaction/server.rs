//! Requests we received.

use std::{borrow::Cow, sync::Arc, time::Duration};

use hotline_base::{Hashed, MonoTime};

use super::{
    Notice, Outbox, Transactions, TxId, backed_off,
    table::{InviteServer, InviteServerEvent, Server, ServerEvent},
    transmit,
};
use crate::{Flow, Message, Method, text::split_bare, timers::TimerName};

#[derive(Clone, Copy, Debug)]
enum State {
    Invite(InviteServer),
    Other(Server),
}

#[derive(Debug)]
pub(super) struct ServerTransaction {
    pub(super) flow: Flow,
    pub(super) key: Hashed,
    pub(super) merge: Option<Hashed>,
    state: State,
    /// The request, until it is answered.
    request: Option<Arc<Message>>,
    /// What a repeated request is answered with. Most are kept for 32 s and never used.
    last: Option<Arc<[u8]>>,
    /// Given to every response above 100.
    to_tag: String,
    interval: Duration,
}

/// What a repeated request or an ACK is to the user above.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Again {
    Absorbed,
    /// An ACK that is not for a refusal.
    NotMine,
}

impl Transactions {
    /// The transaction a request repeats, or that an ACK acknowledges.
    pub(crate) fn find_server(&self, message: &Message) -> Option<TxId> {
        with_server_key(message, None, |it| self.server_keys.get(it).copied())?
    }

    /// The INVITE a CANCEL is about (RFC 3261 §9.2).
    pub(crate) fn find_cancelled(&self, message: &Message) -> Option<TxId> {
        let invite = Some(Method::Invite);
        with_server_key(message, invite, |it| self.server_keys.get(it).copied())?
    }

    /// Whether the same request came before by another way.
    pub(crate) fn is_merged(&self, message: &Message) -> bool {
        with_merge_key(message, |it| self.merge_keys.contains_key(it)).unwrap_or(false)
    }

    pub(crate) fn begin_server(
        &mut self,
        message: Arc<Message>,
        flow: Flow,
        tag: String,
    ) -> Option<TxId> {
        let key = with_server_key(&message, None, |it| self.server_keys.key(it))?;
        let id = self.next_id();
        let state = if message.known_method() == Method::Invite {
            State::Invite(InviteServer::Proceeding)
        } else {
            State::Other(Server::Trying)
        };
        let merge = with_merge_key(&message, |it| self.merge_keys.key(it));
        if let Some(merge) = &merge {
            self.merge_keys.insert(merge, id);
        }
        self.server_keys.insert(&key, id);
        self.by_conn.insert(flow.conn, id);
        let it = ServerTransaction {
            flow,
            key,
            merge,
            state,
            request: Some(message),
            last: None,
            to_tag: tag,
            interval: self.tempo.t1,
        };
        self.servers.insert(id, Box::new(it));
        Some(id)
    }

    /// The request, while it is unanswered; with the flow it came by and our tag.
    pub(crate) fn request(&self, id: TxId) -> Option<(&Message, Flow, &str)> {
        let it = self.servers.get(&id)?;
        it.request.as_deref().map(|message| (message, it.flow, it.to_tag.as_str()))
    }

    pub(crate) fn to_tag(&self, id: TxId) -> Option<&str> {
        self.servers.get(&id).map(|it| it.to_tag.as_str())
    }

    /// A repeated request, or an ACK with the branch of its INVITE.
    pub(crate) fn hear_again(
        &mut self,
        id: TxId,
        is_ack: bool,
        now: MonoTime,
        out: &mut Outbox,
    ) -> Again {
        let tempo = self.tempo;
        let Some(it) = self.servers.get_mut(&id) else { return Again::NotMine };
        match it.state {
            State::Invite(state) if is_ack => {
                let Ok(next) = state.apply(InviteServerEvent::Ack) else { return Again::NotMine };
                if next == InviteServer::Accepted {
                    return Again::NotMine;
                }
                if state == InviteServer::Completed {
                    it.state = State::Invite(next);
                    it.last = None;
                    self.timers.cancel(id, TimerName::G);
                    self.timers.cancel(id, TimerName::H);
                    let wait =
                        if it.flow.transport.is_reliable() { Duration::ZERO } else { tempo.t4 };
                    self.forget_after(id, TimerName::I, wait, now);
                }
            }
            // RFC 6026 §7.1 absorbs an INVITE repeated after our 2xx in silence. Until the ACK
            // came we repeat the 2xx at once: the caller has plainly not seen it.
            State::Invite(_) | State::Other(_) => {
                self.repeat(id, out);
            }
        }
        Again::Absorbed
    }

    /// Sends the last response again, if it is still of use to anybody.
    pub(crate) fn repeat(&self, id: TxId, out: &mut Outbox) {
        if let Some(it) = self.servers.get(&id)
            && let Some(last) = &it.last
        {
            transmit(out, it.flow, Arc::clone(last));
        }
    }

    /// Sends a response and remembers it for repetitions. Returns false when the request has its
    /// final response already.
    pub(crate) fn respond(
        &mut self,
        id: TxId,
        status: u16,
        bytes: impl Into<Arc<[u8]>>,
        now: MonoTime,
        out: &mut Outbox,
    ) -> bool {
        let tempo = self.tempo;
        let Some(it) = self.servers.get_mut(&id) else { return false };
        let reliable = it.flow.transport.is_reliable();
        let next = match it.state {
            State::Invite(state) => {
                let event = match status {
                    ..200 => InviteServerEvent::Provisional,
                    200..300 => InviteServerEvent::Success,
                    300.. => InviteServerEvent::Failure,
                };
                state.apply(event).map(State::Invite).ok()
            }
            State::Other(state) if status >= 200 => {
                state.apply(ServerEvent::Final).map(State::Other).ok()
            }
            State::Other(Server::Trying) => Some(it.state),
            State::Other(Server::Completed | Server::Terminated) => None,
        };
        let Some(next) = next else { return false };
        it.state = next;
        transmit(out, it.flow, Arc::clone(it.last.insert(bytes.into())));
        if status >= 200 {
            it.request = None;
        }
        match next {
            State::Invite(InviteServer::Accepted) => {
                self.forget_after(id, TimerName::L, tempo.limit(), now);
            }
            State::Invite(InviteServer::Completed) => {
                if !reliable {
                    self.timers.set(id, TimerName::G, now + it.interval);
                }
                self.timers.set(id, TimerName::H, now + tempo.limit());
            }
            State::Other(Server::Completed) => {
                let wait = if reliable { Duration::ZERO } else { tempo.limit() };
                self.forget_after(id, TimerName::J, wait, now);
            }
            State::Invite(
                InviteServer::Proceeding | InviteServer::Confirmed | InviteServer::Terminated,
            )
            | State::Other(Server::Trying | Server::Terminated) => (),
        }
        true
    }

    /// Our 2xx is acknowledged: a repeated INVITE is answered no more.
    pub(crate) fn confirm(&mut self, id: TxId) {
        if let Some(it) = self.servers.get_mut(&id) {
            it.last = None;
        }
    }

    pub(super) fn on_server_timer(
        &mut self,
        id: TxId,
        name: TimerName,
        now: MonoTime,
        out: &mut Outbox,
    ) {
        let tempo = self.tempo;
        let Some(it) = self.servers.get_mut(&id) else { return };
        let invite = |state: InviteServer, event| state.apply(event).map(State::Invite).ok();
        let next = match (it.state, name) {
            (State::Invite(state), TimerName::G) => invite(state, InviteServerEvent::TimerG),
            (State::Invite(state), TimerName::H) => invite(state, InviteServerEvent::TimerH),
            (State::Invite(state), TimerName::I) => invite(state, InviteServerEvent::TimerI),
            (State::Invite(state), TimerName::L) => invite(state, InviteServerEvent::TimerL),
            (State::Other(state), TimerName::J) => {
                state.apply(ServerEvent::TimerJ).map(State::Other).ok()
            }
            _ => None,
        };
        let Some(next) = next else { return };
        it.state = next;
        match next {
            State::Invite(InviteServer::Terminated) | State::Other(Server::Terminated) => {
                self.remove_server(id);
            }
            State::Invite(InviteServer::Completed) => {
                if let Some(last) = &it.last {
                    transmit(out, it.flow, Arc::clone(last));
                }
                it.interval = backed_off(it.interval, tempo);
                self.timers.set(id, TimerName::G, now + it.interval);
            }
            State::Invite(
                InviteServer::Proceeding | InviteServer::Accepted | InviteServer::Confirmed,
            )
            | State::Other(Server::Trying | Server::Completed) => (),
        }
    }

    pub(super) fn break_server(&mut self, id: TxId) -> Option<Notice> {
        let it = self.servers.get_mut(&id)?;
        let (next, unanswered) = match it.state {
            State::Invite(state) => {
                let next = state.apply(InviteServerEvent::Broken).ok()?;
                (State::Invite(next), state == InviteServer::Proceeding)
            }
            State::Other(state) => (State::Other(state.apply(ServerEvent::Broken).ok()?), false),
        };
        it.state = next;
        if matches!(
            next,
            State::Invite(InviteServer::Terminated) | State::Other(Server::Terminated)
        ) {
            self.remove_server(id);
        }
        unanswered.then_some(Notice::ServerBroken(id))
    }
}

/// Gives what names a request within its client, as its responses and its ACK do (RFC 3261
/// §17.2.3); `of` replaces the method, for a CANCEL that looks for its INVITE.
fn with_server_key<T>(
    message: &Message,
    of: Option<Method>,
    then: impl FnOnce(&[&[u8]]) -> T,
) -> Option<T> {
    let via = message.top_via()?;
    let own = message.known_method();
    let method = of.unwrap_or(if own == Method::Ack { Method::Invite } else { own });
    let method = method.name().as_bytes();
    let branch = message.branch();
    if branch.len() > MAGIC.len() && branch.starts_with(MAGIC) {
        let mut host = Cow::Borrowed(via.host);
        if host.iter().any(u8::is_ascii_uppercase) {
            host.to_mut().make_ascii_lowercase();
        }
        let port = via.port.map(u16::to_be_bytes);
        let port = port.as_ref().map_or(&[][..], |it| it.as_slice());
        return Some(then(&[branch, &host, port, method]));
    }
    // RFC 2543: no branch to trust.
    let top = message.header("Via").and_then(|it| split_bare(it, b',').next());
    let number = message.cseq().number.to_be_bytes();
    let via = top.unwrap_or_default();
    Some(then(&[message.call_id(), message.from_tag(), &number, via, method]))
}

/// Gives what names a request that may have come twice by different ways (RFC 3261 §8.2.2.2). Only
/// requests outside of a dialog are merged.
fn with_merge_key<T>(message: &Message, then: impl FnOnce(&[&[u8]]) -> T) -> Option<T> {
    message.to_tag().is_empty().then(|| {
        let number = message.cseq().number.to_be_bytes();
        let method = message.known_method().name().as_bytes();
        then(&[message.call_id(), message.from_tag(), &number, method])
    })
}

/// Begins every branch since RFC 3261 §8.1.1.7.
pub(crate) const MAGIC: &[u8] = b"z9hG4bK";
