//! REFER within a dialog (RFC 3515): a telephone asks us to take its peer elsewhere, or we ask.
//!
//! Refer-To is data: whom it names is for those above to find, and nothing is ever sent to its
//! address. The subscription that a REFER makes lives as long as it takes to say what became of it.

use hotline_base::{LegId, Now, Pii};

use super::Endpoint;
use crate::{
    Event, Message, NameAddr, Uri,
    leg::{Leg, Purpose},
    transaction::TxId,
};

/// A REFER that waits for its answer.
#[derive(Debug)]
pub(super) struct Refer {
    server: TxId,
    asked: Now,
    /// `false`: the peer wants no NOTIFY (RFC 4488 §4).
    notifies: bool,
}

/// What a NOTIFY says (RFC 3515 §2.4.5).
const SIPFRAG: &str = "message/sipfrag;version=2.0";

impl Endpoint {
    pub(super) fn on_refer(&mut self, leg: LegId, id: TxId, message: &Message, now: Now) {
        if !matches!(self.legs.get(&leg), Some(Leg::Up(_))) {
            return self.respond(id, 481, &[], now);
        }
        if self.refers.contains_key(&leg) {
            return self.respond(id, 491, &[], now);
        }
        // RFC 3515 §2.4.1: exactly one.
        let mut values = message.values("Refer-To");
        let (Some(value), None) = (values.next(), values.next()) else {
            return self.respond(id, 400, &[], now);
        };
        let raw = NameAddr::parse(value).map(|it| it.uri.to_vec()).unwrap_or_default();
        // Headers of the URI are none of ours, but for the one that makes it another request.
        let mut parts = raw.splitn(2, |it| *it == b'?');
        let (address, headers) = (parts.next().unwrap_or_default(), parts.next());
        let Some(uri) = Uri::parse(address).filter(|it| !it.user.is_empty()) else {
            return self.respond(id, 400, &[], now);
        };
        if !matches!(uri.scheme.as_str(), "sip" | "sips" | "tel") {
            return self.respond(id, 416, &[], now);
        }
        let replaces = headers.is_some_and(|it| {
            it.split(|it| *it == b'&')
                .any(|it| it.get(..9).is_some_and(|it| it.eq_ignore_ascii_case(b"replaces=")))
        });
        let refer_sub = message.header("Refer-Sub").unwrap_or_default().trim_ascii();
        let notifies = !refer_sub.get(..5).is_some_and(|it| it.eq_ignore_ascii_case(b"false"));
        self.refers.insert(leg, Refer { server: id, asked: now, notifies });
        self.say(Event::Referred { leg, to: Pii::new(uri.user), replaces });
    }

    /// The answer to [`Event::Referred`]: 202 when it is done, which the peer is then notified of,
    /// else why not. Does nothing when there is no question.
    pub fn answer_refer(&mut self, leg: LegId, status: u16, now: Now) {
        let Some(Refer { server, notifies, .. }) = self.refers.remove(&leg) else { return };
        if status != 202 {
            return self.respond(server, status, &[], now);
        }
        if !notifies {
            return self.respond(server, 202, &[("Refer-Sub", "false".to_owned())], now);
        }
        self.respond(server, 202, &[], now);
        // RFC 3515 §2.4.4: one at once, and the last one ends the subscription.
        self.notify(leg, "SIP/2.0 100 Trying\r\n", "active;expires=60", now);
        self.notify(leg, "SIP/2.0 200 OK\r\n", "terminated;reason=noresource", now);
    }

    /// The leg is over: nobody answers any more, and a transaction without an answer has no end.
    pub(super) fn drop_refer(&mut self, leg: LegId) {
        self.referring.remove(&leg);
        if let Some(it) = self.refers.remove(&leg) {
            self.respond(it.server, 481, &[], it.asked);
        }
    }

    fn notify(&mut self, leg: LegId, text: &str, state: &str, now: Now) {
        let Some(Leg::Up(up)) = self.legs.get(&leg) else { return };
        let flow = up.dialog.flow;
        let via = self.fresh_via(flow);
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        let cseq = up.dialog.next_cseq();
        let request = up
            .dialog
            .request("NOTIFY", cseq, &via)
            .header("Contact", &up.dialog.contact)
            .header("Event", "refer")
            .header("Subscription-State", state)
            .header("User-Agent", &self.config.user_agent)
            .end_with(SIPFRAG, text.as_bytes());
        self.ask(&request, flow, Purpose::Nothing, now);
    }

    /// Asks the peer of an answered leg to call somebody else (as a telephone does). What becomes
    /// of it comes as [`Event::ReferProgress`].
    pub fn refer(&mut self, leg: LegId, to: &str, now: Now) {
        let Some(Leg::Up(up)) = self.legs.get(&leg) else { return };
        let flow = up.dialog.flow;
        let via = self.fresh_via(flow);
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        let cseq = up.dialog.next_cseq();
        let request = up
            .dialog
            .request("REFER", cseq, &via)
            .header("Contact", &up.dialog.contact)
            .header("Refer-To", format!("<{to}>"))
            .header("User-Agent", &self.config.user_agent)
            .end();
        self.ask(&request, flow, Purpose::Refer(leg), now);
    }

    fn ask(&mut self, request: &[u8], flow: crate::Flow, purpose: Purpose, now: Now) {
        let Ok(message) = Message::parse(request) else { return };
        let begun = self.transactions.begin_client(message, flow, now.mono, &mut self.out);
        if let Some(id) = begun {
            self.purposes.insert(id, purpose);
        }
    }

    /// The answer to our REFER.
    pub(super) fn on_refer_response(&mut self, id: TxId, leg: LegId, status: u16) {
        if status < 200 {
            self.purposes.insert(id, Purpose::Refer(leg));
        } else {
            if status < 300 {
                self.referring.insert(leg);
            }
            self.say(Event::ReferProgress { leg, status });
        }
    }

    /// A NOTIFY about our REFER; about anything else there is no subscription.
    pub(super) fn on_notify(&mut self, leg: LegId, id: TxId, message: &Message, now: Now) {
        let event = message.header("Event").unwrap_or_default();
        let is_refer = event.get(..5).is_some_and(|it| it.eq_ignore_ascii_case(b"refer"));
        if !is_refer || !self.referring.contains(&leg) {
            return self.respond(id, 481, &[], now);
        }
        self.respond(id, 200, &[], now);
        let state = message.header("Subscription-State").unwrap_or_default();
        if state.get(..10).is_some_and(|it| it.eq_ignore_ascii_case(b"terminated")) {
            self.referring.remove(&leg);
        }
        let words = String::from_utf8_lossy(message.body());
        let status = words.strip_prefix("SIP/2.0 ").and_then(|it| it.get(..3)?.parse().ok());
        if let Some(status) = status {
            self.say(Event::ReferProgress { leg, status });
        }
    }
}
