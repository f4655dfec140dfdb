//! Whether somebody is there: OPTIONS of ours (RFC 3261 §11).

use std::time::Duration;

use hotline_base::Now;

use super::Endpoint;
use crate::{Event, Flow, Message, build::MessageBuilder, leg::Purpose, transaction::TxId};

impl Endpoint {
    /// Asks the peer at `flow.remote` whether it is there, and waits no longer than `limit`; ends
    /// in [`Event::Probed`] with this number.
    pub fn probe(&mut self, probe: u64, flow: Flow, limit: Duration, now: Now) {
        let Some(message) = self.options(flow) else {
            return self.say(Event::Probed { probe, status: 400 });
        };
        let begun = self.transactions.begin_client(message, flow, now.mono, &mut self.out);
        let Some(id) = begun else { return };
        self.transactions.hurry_client(id, limit, now.mono);
        self.purposes.insert(id, Purpose::Probe(probe));
    }

    fn options(&mut self, flow: Flow) -> Option<Message> {
        let uri = format!("sip:{}", flow.remote);
        let via = self.fresh_via(flow);
        let from = format!("<sip:{}>;tag={}", self.config.sent_by(flow), self.token());
        let bytes = MessageBuilder::request("OPTIONS", uri.as_bytes())
            .header("Via", via)
            .header("Max-Forwards", "70")
            .header("From", from)
            .header("To", format!("<{uri}>"))
            .header("Call-ID", self.token())
            .header("CSeq", "1 OPTIONS")
            .header("Contact", self.contact("", flow))
            .header("Accept", "application/sdp")
            .header("User-Agent", &self.config.user_agent)
            .end();
        Message::parse(&bytes).ok()
    }

    pub(super) fn on_probe_response(&mut self, id: TxId, probe: u64, message: &Message) {
        match message.status() {
            Some(status @ 200..) => self.say(Event::Probed { probe, status }),
            Some(_) | None => {
                self.purposes.insert(id, Purpose::Probe(probe));
            }
        }
    }
}
