//! Requests too large for a datagram go by a stream (RFC 3261 §18.1.1), and what cannot be sent at
//! all fails at once instead of after 32 s.

use std::{sync::Arc, time::Duration};

use hotline_base::MonoTime;

use super::{
    Notice, Outbox, Transactions, TxId,
    client::{State, with_client_key},
    table::{Client, InviteClient},
    transmit,
};
use crate::{Flow, Message, Transport, timers::TimerName};

/// Within 200 bytes of the path MTU, which nobody knows and Ethernet makes 1,500.
const DATAGRAM_MAX: usize = 1_300;

/// How long a peer that takes no connection is sent datagrams of any size.
const NO_STREAM: Duration = Duration::from_mins(10);

/// Such peers that are remembered; carriers and gateways are few.
const NO_STREAM_MAX: usize = 1_024;

/// A request as it leaves.
pub(super) struct Leaving {
    pub(super) request: Message,
    pub(super) flow: Flow,
    /// The request as a datagram, for a peer that turns out to take no connection.
    pub(super) datagram: Option<Box<Message>>,
}

impl Transactions {
    pub(super) fn leaving(&self, request: Message, flow: Flow, now: MonoTime) -> Leaving {
        if !self.wants_stream(request.bytes().len(), flow, now) {
            return Leaving { request, flow, datagram: None };
        }
        match over_tcp(request.bytes()).and_then(|it| Message::parse(&it).ok()) {
            Some(changed) => Leaving {
                request: changed,
                flow: stream_of(flow),
                datagram: Some(Box::new(request)),
            },
            None => Leaving { request, flow, datagram: None },
        }
    }

    /// The ACK of a 2xx as it leaves for the first time. It has no transaction: where there is no
    /// stream the 2xx comes again, and has it as a datagram.
    pub(crate) fn leaving_ack(
        &self,
        ack: &Arc<[u8]>,
        flow: Flow,
        now: MonoTime,
    ) -> (Flow, Arc<[u8]>) {
        let streamed = self.wants_stream(ack.len(), flow, now).then(|| over_tcp(ack)).flatten();
        streamed.map_or_else(|| (flow, Arc::clone(ack)), |it| (stream_of(flow), it.into()))
    }

    fn wants_stream(&self, length: usize, flow: Flow, now: MonoTime) -> bool {
        let deaf = || self.no_stream.get(&flow.remote).is_some_and(|it| *it > now);
        flow.transport == Transport::Udp && length > DATAGRAM_MAX && !deaf()
    }

    /// `sent` is about to leave with `length` bytes, because a carrier's rules change its headers,
    /// and what leaves is what counts. The request as it goes instead, again before the rules;
    /// `None`: as it is.
    pub(crate) fn refit(
        &mut self,
        sent: &[u8],
        length: usize,
        now: MonoTime,
    ) -> Option<(Flow, Arc<[u8]>)> {
        let is_small = length <= DATAGRAM_MAX;
        if is_small == (sent.len() <= DATAGRAM_MAX) {
            return None;
        }
        let sent = Message::parse(sent).ok()?;
        let id = with_client_key(&sent, |it| self.client_keys.get(it).copied())?;
        let it = self.clients.get(&id)?;
        if is_small {
            self.as_datagram(id, now)?;
        } else {
            if !self.wants_stream(length, it.flow, now) {
                return None;
            }
            let changed = Message::parse(&over_tcp(it.request.as_ref()?.bytes())?).ok()?;
            self.hush(id);
            let it = self.clients.get_mut(&id)?;
            it.datagram = it.request.replace(changed).map(Box::new);
            it.flow = stream_of(it.flow);
        }
        self.clients.get(&id).and_then(|it| Some((it.flow, it.request.as_ref()?.shared_bytes())))
    }

    /// Nothing sent by `flow` arrives: its connection cannot be made, or ICMP said so. Requests
    /// that only tried a stream for their size are sent as datagrams; others without any response
    /// fail.
    pub(crate) fn handle_unreachable(
        &mut self,
        flow: Flow,
        now: MonoTime,
        out: &mut Outbox,
    ) -> Vec<Notice> {
        // Who has no response yet has a timer; what is over, a hundred times as many, has none.
        let lost: Vec<TxId> = self
            .timers
            .owners()
            .filter(|id| {
                self.clients.get(id).is_some_and(|it| {
                    let silent = match it.state {
                        State::Invite(it) => it == InviteClient::Calling,
                        State::Other(it) => it == Client::Trying,
                    };
                    silent
                        && it.flow.transport == flow.transport
                        && it.flow.remote == flow.remote
                        && it.flow.conn.is_none_or(|it| Some(it) == flow.conn)
                })
            })
            .collect();
        let mut notices = Vec::new();
        for id in lost {
            if !self.fall_back(id, now, out) {
                notices.extend(self.break_client(id));
            }
        }
        notices
    }

    /// `false`: it was no switched request.
    fn fall_back(&mut self, id: TxId, now: MonoTime, out: &mut Outbox) -> bool {
        if self.as_datagram(id, now).is_none() {
            return false;
        }
        let Some((request, flow)) = self.sent(id) else { return false };
        transmit(out, flow, request.shared_bytes());
        let remote = flow.remote;
        self.no_stream.retain(|_, until| *until > now);
        if self.no_stream.len() >= NO_STREAM_MAX {
            self.no_stream.pop_first();
        }
        self.no_stream.insert(remote, now + NO_STREAM);
        true
    }

    /// A switched request is a datagram again, and repeated like one. `None`: it was not switched.
    fn as_datagram(&mut self, id: TxId, now: MonoTime) -> Option<()> {
        let it = self.clients.get_mut(&id)?;
        it.request = Some(*it.datagram.take()?);
        self.by_conn.remove(it.flow.conn, &id);
        it.flow = Flow { transport: Transport::Udp, conn: None, ..it.flow };
        let again = match it.state {
            State::Invite(_) => TimerName::A,
            State::Other(_) => TimerName::E,
        };
        self.timers.set(id, again, now + self.tempo.t1);
        Some(())
    }
}

/// A connection to where datagrams go; the rim opens it.
const fn stream_of(datagrams: Flow) -> Flow {
    Flow { transport: Transport::Tcp, conn: None, ..datagrams }
}

/// The same request with TCP in its Via, the first header that names a transport.
fn over_tcp(request: &[u8]) -> Option<Vec<u8>> {
    const UDP: &[u8] = b"SIP/2.0/UDP ";
    let mut bytes = request.to_vec();
    let at = memchr::memmem::find(&bytes, UDP)?;
    let end = at.saturating_add(UDP.len());
    bytes.get_mut(at..end)?.copy_from_slice(b"SIP/2.0/TCP ");
    Some(bytes)
}
