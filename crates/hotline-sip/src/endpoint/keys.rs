//! Keys by INFO, as many gateways send them (`application/dtmf-relay`).

use hotline_base::{Key, LegId, Now};

use super::Endpoint;
use crate::Message;

impl Endpoint {
    /// Tells the peer of a press. What he answers changes nothing: a key that he does not take is
    /// lost, as a tone would be.
    pub fn send_key(&mut self, leg: LegId, key: Key, now: Now) {
        let Some((request, flow)) = self.request_in(leg, "INFO") else { return };
        let body = format!("Signal={}\r\nDuration=100\r\n", key.as_char());
        let request = request.end_with("application/dtmf-relay", body.as_bytes());
        if let Ok(message) = Message::parse(&request) {
            // Nobody waits for the response.
            let _unasked = self.transactions.begin_client(message, flow, now.mono, &mut self.out);
        }
    }
}
