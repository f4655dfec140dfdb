//! Requests we sent.

use std::{sync::Arc, time::Duration};

use hotline_base::{Hashed, MonoTime};

use super::{
    Heard, Notice, Outbox, Transactions, TxId, backed_off,
    switch::Leaving,
    table::{Client, ClientEvent, InviteClient, InviteClientEvent},
    transmit,
};
use crate::{
    CSeq, Flow, Message, Method, build::MessageBuilder, text::split_bare, timers::TimerName,
};

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Invite(InviteClient),
    Other(Client),
}

#[derive(Debug)]
pub(super) struct ClientTransaction {
    pub(super) flow: Flow,
    pub(super) key: Hashed,
    pub(super) state: State,
    /// Until its final response is dealt with; then responses are known by the key alone.
    pub(super) request: Option<Message>,
    /// The request as a datagram, while it is tried by a stream for its size.
    pub(super) datagram: Option<Box<Message>>,
    /// The ACK of a final response above 2xx, sent again for each repetition.
    ack: Option<Arc<[u8]>>,
    interval: Duration,
}

impl Transactions {
    /// Sends a request, by a stream if it is too large for the datagram that `flow` means. `None`:
    /// it is no request with a branch.
    pub(crate) fn begin_client(
        &mut self,
        request: Message,
        flow: Flow,
        now: MonoTime,
        out: &mut Outbox,
    ) -> Option<TxId> {
        let method = request.known_method();
        if request.branch().is_empty() {
            return None;
        }
        let key = with_client_key(&request, |it| self.client_keys.key(it));
        let id = self.next_id();
        let Leaving { request, flow, datagram } = self.leaving(request, flow, now);
        transmit(out, flow, request.shared_bytes());
        let tempo = self.tempo;
        let (state, again, limit) = if method == Method::Invite {
            (State::Invite(InviteClient::Calling), TimerName::A, TimerName::B)
        } else {
            (State::Other(Client::Trying), TimerName::E, TimerName::F)
        };
        if !flow.transport.is_reliable() {
            self.timers.set(id, again, now + tempo.t1);
        }
        self.timers.set(id, limit, now + tempo.limit());
        self.client_keys.insert(&key, id);
        self.by_conn.insert(flow.conn, id);
        let interval = tempo.t1;
        let request = Some(request);
        let it = ClientTransaction { flow, key, state, request, datagram, ack: None, interval };
        self.clients.insert(id, Box::new(it));
        Some(id)
    }

    /// The request of a client transaction and where it was sent, until [`Self::forget_sent`].
    pub(crate) fn sent(&self, id: TxId) -> Option<(&Message, Flow)> {
        self.clients.get(&id).and_then(|it| Some((it.request.as_ref()?, it.flow)))
    }

    /// Nobody needs the request any more: its final response is dealt with. The transaction stays,
    /// for what else is to be heard.
    pub(crate) fn forget_sent(&mut self, id: TxId) {
        if let Some(it) = self.clients.get_mut(&id) {
            it.request = None;
        }
    }

    /// The rim opened a connection for a request: what follows goes by it, and dies with it.
    pub(crate) fn learn_conn(&mut self, id: TxId, flow: Flow) {
        if let Some(it) = self.clients.get_mut(&id)
            && it.flow.conn.is_none()
            && it.flow.transport == flow.transport
        {
            it.flow.conn = flow.conn;
            self.by_conn.insert(flow.conn, id);
        }
    }

    /// An INVITE that rings for ever is given up after `wait`.
    pub(crate) fn limit_client(&mut self, id: TxId, wait: Duration, now: MonoTime) {
        if self.clients.contains_key(&id) {
            self.timers.set(id, TimerName::C, now + wait);
        }
    }

    /// A request other than INVITE is given up earlier than after timer F.
    pub(crate) fn hurry_client(&mut self, id: TxId, wait: Duration, now: MonoTime) {
        if self.clients.contains_key(&id) {
            self.timers.set(id, TimerName::F, now + wait);
        }
    }

    /// The request is not sent again; responses are still heard.
    pub(crate) fn hush(&mut self, id: TxId) {
        self.timers.cancel(id, TimerName::A);
        self.timers.cancel(id, TimerName::E);
    }

    /// A response. It belongs to a request only if branch, `CSeq`, Call-ID and From tag do.
    pub(crate) fn handle_response(
        &mut self,
        message: &Message,
        now: MonoTime,
        out: &mut Outbox,
    ) -> Heard {
        let id = with_client_key(message, |it| self.client_keys.get(it).copied());
        let Some(id) = id else { return Heard::Nothing };
        let Some(it) = self.clients.get_mut(&id) else { return Heard::Nothing };
        let status = message.status().unwrap_or(0);
        // It has arrived, whatever it went by.
        it.datagram = None;
        match it.state {
            State::Invite(state) => self.on_invite_response(id, state, status, message, now, out),
            State::Other(state) => self.on_other_response(id, state, status, now),
        }
    }

    fn on_invite_response(
        &mut self,
        id: TxId,
        state: InviteClient,
        status: u16,
        message: &Message,
        now: MonoTime,
        out: &mut Outbox,
    ) -> Heard {
        let tempo = self.tempo;
        let Some(it) = self.clients.get_mut(&id) else { return Heard::Nothing };
        let event = match status {
            ..200 => InviteClientEvent::Provisional,
            200..300 => InviteClientEvent::Success,
            300.. => InviteClientEvent::Failure,
        };
        let Ok(next) = state.apply(event) else { return Heard::Absorbed };
        it.state = State::Invite(next);
        match next {
            InviteClient::Proceeding => {
                self.timers.cancel(id, TimerName::A);
                self.timers.cancel(id, TimerName::B);
                Heard::Response(id)
            }
            InviteClient::Accepted => {
                if state != InviteClient::Accepted {
                    self.timers.cancel_all(&id);
                    self.forget_after(id, TimerName::M, tempo.limit(), now);
                }
                Heard::Response(id)
            }
            InviteClient::Completed => {
                let new = || Some(ack_of_refusal(it.request.as_ref()?, message).into());
                it.ack = it.ack.take().or_else(new);
                it.ack.iter().for_each(|ack| transmit(out, it.flow, Arc::clone(ack)));
                if state == InviteClient::Completed {
                    return Heard::Absorbed;
                }
                self.timers.cancel_all(&id);
                let wait =
                    if it.flow.transport.is_reliable() { Duration::ZERO } else { tempo.limit() };
                self.forget_after(id, TimerName::D, wait, now);
                Heard::Response(id)
            }
            InviteClient::Calling | InviteClient::Terminated => Heard::Absorbed,
        }
    }

    fn on_other_response(&mut self, id: TxId, state: Client, status: u16, now: MonoTime) -> Heard {
        let tempo = self.tempo;
        let Some(it) = self.clients.get_mut(&id) else { return Heard::Nothing };
        let event = if status < 200 { ClientEvent::Provisional } else { ClientEvent::Final };
        let Ok(next) = state.apply(event) else { return Heard::Absorbed };
        it.state = State::Other(next);
        match next {
            Client::Proceeding => {
                it.interval = tempo.t2;
                Heard::Response(id)
            }
            Client::Completed if state != Client::Completed => {
                self.timers.cancel_all(&id);
                let wait = if it.flow.transport.is_reliable() { Duration::ZERO } else { tempo.t4 };
                self.forget_after(id, TimerName::K, wait, now);
                Heard::Response(id)
            }
            Client::Completed | Client::Trying | Client::Terminated => Heard::Absorbed,
        }
    }

    pub(super) fn on_client_timer(
        &mut self,
        id: TxId,
        name: TimerName,
        now: MonoTime,
        out: &mut Outbox,
    ) -> Option<Notice> {
        let tempo = self.tempo;
        let it = self.clients.get_mut(&id)?;
        let invite = |state: InviteClient, event| state.apply(event).map(State::Invite).ok();
        let other = |state: Client, event| state.apply(event).map(State::Other).ok();
        let next = match (it.state, name) {
            (State::Invite(state), TimerName::A) => invite(state, InviteClientEvent::TimerA),
            (State::Invite(state), TimerName::B) => invite(state, InviteClientEvent::TimerB),
            (State::Invite(state), TimerName::C) => invite(state, InviteClientEvent::TimerC),
            (State::Invite(state), TimerName::D) => invite(state, InviteClientEvent::TimerD),
            (State::Invite(state), TimerName::M) => invite(state, InviteClientEvent::TimerM),
            (State::Other(state), TimerName::E) => other(state, ClientEvent::TimerE),
            (State::Other(state), TimerName::F) => other(state, ClientEvent::TimerF),
            (State::Other(state), TimerName::K) => other(state, ClientEvent::TimerK),
            _ => None,
        };
        it.state = next?;
        if matches!(name, TimerName::A | TimerName::E) {
            it.request.iter().for_each(|sent| transmit(out, it.flow, sent.shared_bytes()));
            // RFC 3261 §17.1.1.2: timer A is not held at T2.
            let doubled = it.interval.saturating_mul(2);
            it.interval =
                if name == TimerName::A { doubled } else { backed_off(it.interval, tempo) };
            self.timers.set(id, name, now + it.interval);
            return None;
        }
        self.remove_client(id);
        let gave_up = matches!(name, TimerName::B | TimerName::C | TimerName::F);
        gave_up.then_some(Notice::TimedOut(id))
    }

    pub(super) fn break_client(&mut self, id: TxId) -> Option<Notice> {
        let it = self.clients.get_mut(&id)?;
        let (next, waiting) = match it.state {
            State::Invite(state) => {
                let waiting = matches!(state, InviteClient::Calling | InviteClient::Proceeding);
                (State::Invite(state.apply(InviteClientEvent::Broken).ok()?), waiting)
            }
            State::Other(state) => {
                let waiting = matches!(state, Client::Trying | Client::Proceeding);
                (State::Other(state.apply(ClientEvent::Broken).ok()?), waiting)
            }
        };
        it.state = next;
        if matches!(
            next,
            State::Invite(InviteClient::Terminated) | State::Other(Client::Terminated)
        ) {
            self.remove_client(id);
        }
        waiting.then_some(Notice::ClientBroken(id))
    }
}

/// Gives what names a request of ours, as its responses do (RFC 3261 §17.1.3), and what else they
/// must have of it. A CANCEL has the branch of its INVITE.
pub(super) fn with_client_key<T>(message: &Message, then: impl FnOnce(&[&[u8]]) -> T) -> T {
    let CSeq { number, method } = message.cseq();
    then(&[message.branch(), method, &number.to_be_bytes(), message.call_id(), message.from_tag()])
}

/// RFC 3261 §17.1.1.3: the ACK of a final response above 2xx is of the INVITE's transaction.
fn ack_of_refusal(invite: &Message, response: &Message) -> Vec<u8> {
    within(invite, Method::Ack).each("To", response.header("To")).end()
}

/// RFC 3261 §9.1: a CANCEL has the INVITE's request URI, branch, To and number.
pub(crate) fn cancel_of(invite: &Message, reason: Option<&str>) -> Vec<u8> {
    within(invite, Method::Cancel).each("To", invite.header("To")).each("Reason", reason).end()
}

fn within(invite: &Message, method: Method) -> MessageBuilder {
    let top = invite.header("Via").and_then(|it| split_bare(it, b',').next());
    MessageBuilder::request(method.name(), invite.raw_uri())
        .each("Via", top)
        .header("Max-Forwards", "70")
        .each("Route", invite.headers("Route"))
        .each("From", invite.header("From"))
        .each("Call-ID", invite.header("Call-ID"))
        .cseq(invite.cseq().number, method.name())
}
