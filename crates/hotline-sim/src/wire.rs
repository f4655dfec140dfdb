//! The wires: datagrams that are lost, doubled and overtaken, and connections that are not, but end.

use std::{sync::Arc, time::Duration};

use hotline_base::{ConnId, MonoTime};
use hotline_sip::{Flow, Message, Transport};
use hotline_switchboard::Input;

use crate::{
    Faults, GATEWAY, SWITCHBOARD, Shift, TRUNK,
    agenda::Event,
    phones::Phone,
    shift::{addr, reversed, start_line},
};

/// The longest that anything is under way, in microseconds.
const DELAY_MAX: u64 = 30_000;

impl Shift {
    /// Puts a message on the wire; `flow` is the receiver's view.
    pub(crate) fn send(&mut self, flow: Flow, bytes: Arc<[u8]>) {
        let to_peers = flow.local != addr(SWITCHBOARD);
        if to_peers && self.vanished.is_some() {
            return;
        }
        if flow.transport.is_reliable() {
            return self.send_by_connection(flow, bytes);
        }
        let faults = if self.faulty { self.plan.faults } else { Faults::default() };
        if self.random.chance(faults.loss) {
            return;
        }
        let n = if self.random.chance(faults.doubled) { 2 } else { 1 };
        for _ in 0..n {
            let delay = Duration::from_micros(self.random.between(200, DELAY_MAX));
            self.after(delay, Event::Arrives { flow, bytes: Arc::clone(&bytes) });
        }
    }

    /// Where a connection to the peer's address is open, it is used (RFC 5923); nobody connects to a
    /// telephone that has none.
    fn send_by_connection(&mut self, flow: Flow, bytes: Arc<[u8]>) {
        let at_peer = |it: &&Phone| it.address == flow.local;
        let open = || self.phones.iter().find(at_peer).and_then(|it| it.conn);
        if let Some(conn) = flow.conn.or_else(open) {
            let at = self.next_by(conn, flow);
            let flow = Flow { conn: Some(conn), ..flow };
            self.agenda.at(at, Event::Arrives { flow, bytes });
        } else {
            let wait = self.millis(1, 500);
            self.after(wait, Event::Unreachable { flow: reversed(flow) });
        }
    }

    /// When the next thing arrives by a connection: never before the one that left before it.
    fn next_by(&mut self, conn: ConnId, flow: Flow) -> MonoTime {
        let delay = Duration::from_micros(self.random.between(200, DELAY_MAX));
        let to_switchboard = flow.local == addr(SWITCHBOARD);
        let last = self.last_by.entry((conn, to_switchboard)).or_default();
        *last = (*last).max(self.now + delay);
        *last
    }

    pub(crate) fn new_connection(&mut self) -> ConnId {
        self.n_connections += 1;
        ConnId(self.n_connections)
    }

    /// The switchboard notices so much later that a connection is gone.
    pub(crate) fn connection_ends(&mut self, conn: ConnId, after: Duration) {
        let last = self.last_by.get(&(conn, true)).copied().unwrap_or_default();
        self.agenda.at(last.max(self.now + after), Event::ConnectionGone { conn });
    }

    pub(crate) fn arrives(&mut self, flow: Flow, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            return self.ledger.fail(format!("cannot read what was sent: {}", start_line(bytes)));
        };
        let now = self.at();
        if self.is_cut(flow) || self.line_is_cut(flow) {
            return;
        }
        if flow.local == addr(SWITCHBOARD) {
            self.ledger.invites.heard(&message);
            self.message_waits();
            self.input(Input::Sip { flow, message, waited_us: 0 });
        } else if [addr(TRUNK), addr(GATEWAY)].contains(&flow.local) {
            self.carrier.handle_message(flow, message, hotline_sip::Admit::Trusted, now);
        } else if let Some(phone) = self.phones.iter_mut().find(|it| it.is_at(flow)) {
            phone.endpoint.handle_message(flow, message, hotline_sip::Admit::Trusted, now);
        }
    }
}

pub(crate) fn to_switchboard(from: std::net::SocketAddr) -> Flow {
    Flow { transport: Transport::Udp, local: from, remote: addr(SWITCHBOARD), conn: None }
}
