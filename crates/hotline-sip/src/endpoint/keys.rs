//! Keys by INFO, as many gateways send them (`application/dtmf-relay`).

use hotline_base::{Key, LegId, Now};

use super::Endpoint;
use crate::{Message, leg::Leg};

impl Endpoint {
    /// Tells the peer of a press. What he answers changes nothing: a key that he does not take is
    /// lost, as a tone would be.
    pub fn send_key(&mut self, leg: LegId, key: Key, now: Now) {
        let Some(Leg::Up(up)) = self.legs.get(&leg) else { return };
        let flow = up.dialog.flow;
        let via = self.fresh_via(flow);
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return };
        let cseq = up.dialog.next_cseq();
        let body = format!("Signal={}\r\nDuration=100\r\n", key.as_char());
        let request = up
            .dialog
            .request("INFO", cseq, &via)
            .header("Contact", &*up.dialog.contact)
            .header("User-Agent", &self.config.user_agent)
            .end_with("application/dtmf-relay", body.as_bytes());
        if let Ok(message) = Message::parse(&request) {
            // Nobody waits for the response.
            let _unasked = self.transactions.begin_client(message, flow, now.mono, &mut self.out);
        }
    }
}
