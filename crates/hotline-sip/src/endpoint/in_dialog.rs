//! Requests of the peer within a dialog (RFC 3261 §12.2.2).

use std::sync::Arc;

use hotline_base::{LegId, Now};

use super::{
    Endpoint,
    incoming::has_other_body,
    names::{ACCEPT, ALLOW, SUPPORTED},
    receive::{key_of, unsupported},
    session::{may_update, session_headers},
};
use crate::{
    Admit, EndWhy, Event, Flow, Message, Method, PeerMisbehaved,
    body::key,
    dialog::Dialog,
    leg::{Leg, Offer, Purpose, Talk},
    session::{Session, Wish},
    transaction::TxId,
    value::q850,
};

impl Endpoint {
    pub(super) fn in_dialog(&mut self, flow: Flow, message: Message, admit: Admit, now: Now) {
        let Some(leg) = self.dialogs.get(&key_of(&message)).copied() else {
            if message.known_method() == Method::Notify && self.notifies_late(flow, &message, now) {
                return;
            }
            return self.refuse_fault(flow, &message, admit, PeerMisbehaved::UnknownDialog);
        };
        let Some(dialog) = self.dialog_of(leg, &message) else { return };
        // A repeated request has found its transaction; this is another one.
        let cseq = message.cseq().number;
        if dialog.remote_cseq.is_some_and(|last| cseq <= last) {
            return self.refuse_fault(flow, &message, admit, PeerMisbehaved::CSeqWentBackwards);
        }
        dialog.remote_cseq = Some(cseq);
        // Who knows both tags is the peer: it may have moved (NAT, a new connection).
        let before = std::mem::replace(&mut dialog.flow, flow).conn;
        let tag = String::from_utf8_lossy(dialog.local_tag()).into_owned();
        if before != flow.conn && self.legs.get(&leg).is_some_and(|it| it.dialog().is_some()) {
            self.by_conn.remove(before, &leg);
            self.by_conn.insert(flow.conn, leg);
            self.adrift.remove(&leg);
        }
        let refused = refusal(&message);
        let method = message.known_method();
        let message = Arc::new(message);
        let begun = self.transactions.begin_server(Arc::clone(&message), flow, tag);
        let Some(id) = begun else { return };
        if let Some((status, header)) = refused {
            return self.respond(id, status, header.as_slice(), now);
        }
        match method {
            Method::Bye => self.on_bye(leg, id, &message, now),
            Method::Invite => self.on_reinvite(leg, id, &message, now),
            Method::Update => self.on_update(leg, id, &message, now),
            Method::Info => self.on_info(leg, id, &message, now),
            Method::Prack => self.on_prack(leg, id, &message, now),
            Method::Refer => self.on_refer(leg, id, &message, now),
            Method::Notify => self.on_notify(id, &message, now),
            Method::Options
            | Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Message
            | Method::Subscribe
            | Method::Publish
            | Method::Other => {
                let more = [("Allow", ALLOW.to_owned()), ("Accept", ACCEPT.to_owned())];
                self.respond(id, 200, &more, now);
            }
        }
    }

    /// The dialog of a request, which may be one of several that ring.
    fn dialog_of(&mut self, leg: LegId, message: &Message) -> Option<&mut Dialog> {
        if let Some(Leg::Outgoing { .. }) = self.legs.get(&leg) {
            return self.early_in(leg, message).map(|it| &mut it.dialog);
        }
        self.legs.get_mut(&leg)?.dialog_mut()
    }

    fn on_bye(&mut self, leg: LegId, id: TxId, message: &Message, now: Now) {
        // RFC 3261 §15: the called side may not say BYE before its answer.
        if let Some(Leg::Outgoing { .. }) = self.legs.get(&leg) {
            return self.respond(id, 481, &[], now);
        }
        self.respond(id, 200, &[], now);
        self.drop_early_offer(leg, now);
        let cause = q850(message.headers("Reason"));
        let pending = match self.legs.get(&leg) {
            // RFC 3261 §15.1.2: what is unanswered is answered 487.
            Some(Leg::Incoming(it)) => Some(it.server),
            Some(Leg::Up(up)) => match up.offer {
                Offer::Theirs { server, .. } => Some(server),
                Offer::Idle | Offer::Ours { .. } | Offer::Glare { .. } => None,
            },
            // Both said BYE at once, or ours still waits for an ACK that will not come.
            Some(Leg::Closing(_)) => {
                self.remove_leg(leg);
                return;
            }
            Some(Leg::Outgoing { .. }) | None => return,
        };
        if let Some(server) = pending {
            self.respond(server, 487, &[], now);
        }
        let why = match self.legs.get(&leg) {
            Some(Leg::Incoming(_)) => EndWhy::Cancelled,
            _ => EndWhy::Bye { cause },
        };
        if let Some(Leg::Up(up)) = self.end_leg(leg, why)
            && let Some(accepted) = up.accepted
        {
            self.transactions.confirm(accepted.server);
        }
    }

    fn on_reinvite(&mut self, leg: LegId, id: TxId, message: &Message, now: Now) {
        let retry = || ("Retry-After", "2".to_owned());
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else {
            // RFC 3261 §14.2: the first INVITE is unanswered, theirs or ours.
            let (status, more) = match self.legs.get(&leg) {
                Some(Leg::Incoming(_)) => (500, vec![retry()]),
                Some(Leg::Outgoing(_)) => (491, vec![]),
                Some(Leg::Up(_) | Leg::Closing(_)) | None => (481, vec![]),
            };
            return self.respond(id, status, &more, now);
        };
        let blocked = match (&up.offer, &up.accepted) {
            // RFC 3261 §14.1: both offered at once.
            (Offer::Ours { .. }, _) => Some((491, vec![])),
            (Offer::Theirs { .. }, _) => Some((500, vec![retry()])),
            // The ACK would bring the answer to our offer.
            (Offer::Idle | Offer::Glare { .. }, Some(it)) if it.is_offer => {
                Some((500, vec![retry()]))
            }
            (Offer::Idle | Offer::Glare { .. }, _) => None,
        };
        if let Some((status, more)) = blocked {
            return self.respond(id, status, &more, now);
        }
        let session = match Session::answer(message, Wish::of(&self.config), Some(up.talk.session))
        {
            Ok(it) => it,
            Err(min) => return self.respond(id, 422, &[("Min-SE", min.to_string())], now),
        };
        // A new INVITE can only follow our 2xx: its ACK was lost or is late.
        let confirmed = up.accepted.take();
        up.dialog.refresh(message);
        up.talk.may_update = may_update(message, up.talk.may_update);
        self.begin_their_offer(leg, id, message, session, now);
        if let Some(it) = confirmed {
            self.timers.cancel(leg, crate::timers::TimerName::Success);
            self.timers.cancel(leg, crate::timers::TimerName::Ack);
            self.transactions.confirm(it.server);
            if it.is_first {
                self.say(Event::Confirmed { leg });
            }
        }
        self.say(Event::Offered { leg, sdp: message.sdp() });
    }

    /// RFC 3311 §5.2.
    fn on_update(&mut self, leg: LegId, id: TxId, message: &Message, now: Now) {
        let sdp = message.sdp();
        let retry = ("Retry-After", "2".to_owned());
        let wish = Wish::of(&self.config);
        let up = match self.legs.get_mut(&leg) {
            Some(Leg::Up(up)) => up,
            Some(Leg::Outgoing { .. }) => return self.on_early_update(leg, id, message, now),
            Some(Leg::Incoming(_)) => {
                return match sdp {
                    Some(sdp) => self.offered_early(leg, id, sdp, now),
                    None => self.respond(id, 200, &[], now),
                };
            }
            Some(Leg::Closing(_)) | None => return self.respond(id, 481, &[], now),
        };
        let session = match Session::answer(message, wish, Some(up.talk.session)) {
            Ok(it) => it,
            Err(min) => return self.respond(id, 422, &[("Min-SE", min.to_string())], now),
        };
        up.dialog.refresh(message);
        up.talk.may_update = true;
        let contact = ("Contact", up.dialog.contact().into_owned());
        let is_offer_running = up.accepted.as_ref().is_some_and(|it| it.is_offer);
        match (&up.offer, sdp) {
            // A refresh of the session.
            (_, None) => {
                let talk = Talk { session, ..up.talk.clone() };
                let mut more: Vec<_> = session_headers(session).collect();
                more.extend([contact, ("Supported", SUPPORTED.to_owned())]);
                self.respond(id, 200, &more, now);
                self.settle_talk(leg, talk, now);
            }
            (Offer::Ours { .. }, Some(_)) => self.respond(id, 491, &[], now),
            (Offer::Theirs { .. }, Some(_)) => self.respond(id, 500, &[retry], now),
            (Offer::Idle | Offer::Glare { .. }, Some(_)) if is_offer_running => {
                self.respond(id, 491, &[], now);
            }
            (Offer::Idle | Offer::Glare { .. }, sdp @ Some(_)) => {
                self.begin_their_offer(leg, id, message, session, now);
                self.say(Event::Offered { leg, sdp });
            }
        }
    }

    fn on_info(&mut self, leg: LegId, id: TxId, message: &Message, now: Now) {
        if matches!(self.legs.get(&leg), Some(Leg::Closing(_))) {
            return self.respond(id, 481, &[], now);
        }
        let kind = message.header("Content-Type").unwrap_or_default();
        if message.body().is_empty() {
            return self.respond(id, 200, &[], now);
        }
        let Ok(found) = key(kind, message.body()) else {
            return self.respond(id, 415, &[("Accept", ACCEPT.to_owned())], now);
        };
        self.respond(id, 200, &[], now);
        if let Some(key) = found {
            self.say(Event::Key { leg, key });
        }
    }

    fn begin_their_offer(
        &mut self,
        leg: LegId,
        id: TxId,
        message: &Message,
        session: Session,
        now: Now,
    ) {
        let is_invite = message.known_method() == Method::Invite;
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        // Our offer after a glare gives way: it is made when theirs is answered.
        let before = std::mem::replace(
            &mut up.offer,
            Offer::Theirs {
                server: id,
                is_invite,
                has_offer: message.sdp().is_some(),
                session: Some(session),
            },
        );
        if let Offer::Glare { sdp, .. } = before {
            up.queued.get_or_insert(sdp);
            self.timers.cancel(leg, crate::timers::TimerName::Glare);
        }
        self.purposes.insert(id, Purpose::Asked(leg));
        if is_invite {
            self.respond_trying(id, now);
        }
    }

    fn respond_trying(&mut self, id: TxId, now: Now) {
        let Some((request, flow, _)) = self.transactions.request(id) else { return };
        let reply = crate::message::Reply::new(request, 100).from(flow);
        let bytes = reply.feedback(self.feedback).build();
        self.transactions.respond(id, 100, bytes, now.mono, &mut self.out);
    }
}

/// What is refused within any dialog.
fn refusal(message: &Message) -> Option<(u16, Option<(&'static str, String)>)> {
    let allow = || Some(("Allow", ALLOW.to_owned()));
    let method = message.known_method();
    let by_method = match method {
        Method::Bye
        | Method::Invite
        | Method::Update
        | Method::Info
        | Method::Prack
        | Method::Refer
        | Method::Notify
        | Method::Options => None,
        Method::Message | Method::Subscribe | Method::Publish | Method::Register => {
            Some((405, allow()))
        }
        Method::Other => Some((501, allow())),
        Method::Ack | Method::Cancel => Some((400, None)),
    };
    if by_method.is_some() {
        return by_method;
    }
    if let Some(header) = unsupported(message) {
        return Some((420, Some(header)));
    }
    if message.header("Replaces").is_some() {
        return Some((400, None));
    }
    let offers = matches!(method, Method::Invite | Method::Update | Method::Prack);
    (offers && has_other_body(message)).then(|| (415, Some(("Accept", ACCEPT.to_owned()))))
}
