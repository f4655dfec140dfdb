//! What comes in: to which transaction, dialog or nobody it belongs, and what is refused at once.

use hotline_base::Now;

use super::{
    Endpoint,
    challenged::is_proven,
    names::{ACCEPT, ALLOW, SUPPORTED},
};
use crate::{
    Admit, Event, Flow, Message, Method, PeerMisbehaved, Uri,
    leg::Purpose,
    message::{Reply, fitting},
    text::number,
    transaction::{Again, Heard, TxId, transmit},
};

impl Endpoint {
    pub(super) fn handle_response(&mut self, flow: Flow, message: &Message, now: Now) {
        match self.transactions.handle_response(message, now.mono, &mut self.out) {
            Heard::Response(id) => {
                self.transactions.learn_conn(id, flow);
                self.on_response(id, flow, message, now);
                // Each further 2xx is acknowledged with the proof of the INVITE.
                let is_kept = |it: (&Message, Flow)| is_proven(it.0);
                if message.status() >= Some(200) && !self.transactions.sent(id).is_some_and(is_kept)
                {
                    self.transactions.forget_sent(id);
                }
            }
            Heard::Absorbed => (),
            Heard::Nothing => {
                self.say(Event::Misbehaved { why: PeerMisbehaved::ResponseToNothing, flow });
            }
        }
    }

    fn on_response(&mut self, id: TxId, flow: Flow, message: &Message, now: Now) {
        let Some(purpose) = self.purposes.remove(&id) else { return };
        let Some(purpose) = self.prove(id, purpose, (flow, message), now) else { return };
        match purpose {
            Purpose::Invite(mut invite) => {
                let known = &mut invite.dialog.flow;
                // A large INVITE may have gone by a stream though the dialog goes by datagrams.
                if known.transport == flow.transport {
                    known.conn = known.conn.or(flow.conn);
                }
                self.on_invite_response(id, invite, (flow, message), now);
            }
            Purpose::Bye(leg) => self.on_bye_response(id, leg, message),
            Purpose::Refresh(leg) => self.on_refresh_response(id, leg, message, now),
            Purpose::Watch(leg) => self.on_watch_response(id, leg, message, now),
            Purpose::Refer(leg) => {
                self.on_refer_response(id, leg, message.status().unwrap_or(500), now);
            }
            Purpose::Probe(it) => self.on_probe_response(id, it, message),
            Purpose::Register(it) => self.on_register_response(id, it, flow, message, now),
            Purpose::Phone(it) => self.on_phone_response(id, it, message),
            Purpose::Notify(leg) => self.on_notify_response(id, leg, message),
            // The challenge may come after a provisional response.
            it @ (Purpose::Prack(_) | Purpose::Told(_)) if message.status() < Some(200) => {
                self.purposes.insert(id, it);
            }
            Purpose::Prack(_) | Purpose::Told(_) | Purpose::Nothing | Purpose::Asked(_) => (),
        }
    }

    pub(super) fn handle_request(&mut self, flow: Flow, message: Message, admit: Admit, now: Now) {
        let method = message.known_method();
        if let Some(id) = self.transactions.find_server(&message) {
            let is_ack = method == Method::Ack;
            let again = self.transactions.hear_again(id, is_ack, now.mono, &mut self.out);
            if again == Again::Absorbed {
                return;
            }
        }
        if method == Method::Ack {
            self.on_ack(flow, &message, now);
        } else if method == Method::Cancel {
            self.on_cancel(flow, &message, admit, now);
        } else if message.to_tag().is_empty() {
            self.out_of_dialog(flow, message, admit, now);
        } else {
            self.in_dialog(flow, message, admit, now);
        }
    }

    /// RFC 3261 §8.2, in its order.
    fn out_of_dialog(&mut self, flow: Flow, message: Message, admit: Admit, now: Now) {
        let method = message.known_method();
        let open = matches!(method, Method::Register | Method::Options);
        if admit == Admit::Stranger && !open {
            self.refuse_at_once(flow, &message, admit, 403, &[]);
            self.say(Event::Stranger { flow, method });
            return;
        }
        if let Some((status, header)) = refused_method(method) {
            if status == 481 {
                self.say(Event::Misbehaved { why: PeerMisbehaved::UnknownDialog, flow });
            }
            return self.refuse_at_once(flow, &message, admit, status, header.as_slice());
        }
        if !Uri::is_to_call(message.raw_uri()) {
            return self.refuse_at_once(flow, &message, admit, 416, &[]);
        }
        if let Some(header) = unsupported(&message) {
            return self.refuse_at_once(flow, &message, admit, 420, &[header]);
        }
        if method == Method::Options {
            self.on_options(flow, &message, admit);
        } else if method == Method::Register {
            self.on_register(flow, message, admit, now);
        } else {
            self.on_invite(flow, message, admit, now);
        }
    }

    pub(super) fn on_options(&mut self, flow: Flow, message: &Message, admit: Admit) {
        let more = [
            ("Allow", ALLOW.to_owned()),
            ("Accept", ACCEPT.to_owned()),
            ("Supported", SUPPORTED.to_owned()),
        ];
        self.refuse_at_once(flow, message, admit, 200, &more);
    }

    /// Answers without a transaction. What is not verified gets no more bytes than it sent, so
    /// headers are left out or nothing is said at all.
    pub(super) fn refuse_at_once(
        &mut self,
        flow: Flow,
        message: &Message,
        admit: Admit,
        status: u16,
        more: &[(&'static str, String)],
    ) {
        let tag = self.stateless_tag(message);
        let feedback = self.feedback.filter(|_| admit == Admit::Trusted);
        let short = Reply::new(message, status).from(flow).tag(&tag).feedback(feedback);
        let full =
            more.iter().fold(short.clone(), |it, (name, value)| it.with(name, value.as_str()));
        // A source over TCP is no forged one.
        let bytes = if admit != Admit::Stranger || flow.transport.is_reliable() {
            Some(full.build())
        } else {
            fitting(&[full, short])
        };
        if let Some(bytes) = bytes {
            transmit(&mut self.out, flow, bytes);
        }
    }

    /// Answers a fault of the peer and reports it.
    pub(super) fn refuse_fault(
        &mut self,
        flow: Flow,
        message: &Message,
        admit: Admit,
        why: PeerMisbehaved,
    ) {
        if let Some(status) = why.status() {
            self.refuse_at_once(flow, message, admit, status, &[]);
        }
        self.say(Event::Misbehaved { why, flow });
    }

    /// Final response without a body through the transaction.
    pub(super) fn respond(
        &mut self,
        id: TxId,
        status: u16,
        more: &[(&'static str, String)],
        now: Now,
    ) {
        let Some((request, flow, tag)) = self.transactions.request(id) else { return };
        let reply = Reply::new(request, status).from(flow).tag(tag).feedback(self.feedback);
        let reply = more.iter().fold(reply, |it, (name, value)| it.with(name, value.as_str()));
        let bytes = reply.build();
        self.transactions.respond(id, status, bytes, now.mono, &mut self.out);
    }
}

/// The [`Dialog::key`](crate::dialog::Dialog) of the dialog a request of a peer is in.
pub(super) fn key_of(message: &Message) -> [&[u8]; 3] {
    [message.call_id(), message.to_tag(), message.from_tag()]
}

/// RFC 3261 §8.2.1: known methods we do not take get 405, unknown ones 501; those that live in a
/// dialog only, 481.
fn refused_method(method: Method) -> Option<(u16, Option<(&'static str, String)>)> {
    let allow = || Some(("Allow", ALLOW.to_owned()));
    match method {
        Method::Invite | Method::Options | Method::Register => None,
        Method::Bye | Method::Info | Method::Update | Method::Prack | Method::Notify => {
            Some((481, None))
        }
        // Only who is in a call may ask for another one.
        Method::Refer => Some((403, None)),
        Method::Message | Method::Subscribe | Method::Publish => Some((405, allow())),
        Method::Other => Some((501, allow())),
        Method::Ack | Method::Cancel => Some((400, None)),
    }
}

/// RFC 3261 §8.2.2.3: the extensions demanded that we do not have.
pub(super) fn unsupported(message: &Message) -> Option<(&'static str, String)> {
    let known =
        |it: &&[u8]| SUPPORTED.split(", ").any(|own| it.eq_ignore_ascii_case(own.as_bytes()));
    let unknown = message.values("Require").filter(|it| !known(it));
    let all: Vec<String> = unknown.map(crate::text::decode).collect();
    (!all.is_empty()).then(|| ("Unsupported", all.join(", ")))
}

/// Whether the request has gone through too many hands.
pub(super) fn hops_are_spent(message: &Message) -> bool {
    message.header("Max-Forwards").and_then(number::<u8>) == Some(0)
}
