//! Requests of ours within the dialog of an answered leg (RFC 3261 §12.2.1).

use hotline_base::{LegId, Now};

use super::{
    Endpoint,
    names::{ALLOW, SUPPORTED},
};
use crate::{
    Flow, Message,
    build::MessageBuilder,
    leg::{Leg, Purpose},
    text::Decimal,
};

impl Endpoint {
    /// A request up to its own headers, and the way it goes. `None`: the leg is not up.
    pub(super) fn request_in(
        &mut self,
        leg: LegId,
        method: &str,
    ) -> Option<(MessageBuilder, Flow)> {
        let Some(Leg::Up(up)) = self.legs.get(&leg) else { return None };
        let flow = up.dialog.flow;
        let via = self.fresh_via(flow);
        let Some(Leg::Up(up)) = self.legs.get_mut(&leg) else { return None };
        let cseq = up.dialog.next_cseq();
        let request = up
            .dialog
            .request(method, cseq, &via)
            .header("Contact", &*up.dialog.contact())
            .header("User-Agent", &self.config.user_agent);
        Some((request, flow))
    }

    /// The same for one that keeps the session alive (RFC 4028 §7.4).
    pub(super) fn refresh_in(
        &mut self,
        leg: LegId,
        method: &str,
    ) -> Option<(MessageBuilder, Flow)> {
        let Some(Leg::Up(up)) = self.legs.get(&leg) else { return None };
        let expires = up.talk.session.header(false);
        let (request, flow) = self.request_in(leg, method)?;
        let request = request
            .header("Allow", ALLOW)
            .header("Supported", SUPPORTED)
            .header("Session-Expires", expires)
            .header("Min-SE", Decimal::of(self.wish().min_secs));
        Some((request, flow))
    }

    /// Sends a request; its answer is `purpose`'s.
    pub(super) fn ask(&mut self, request: &[u8], flow: Flow, purpose: Purpose, now: Now) {
        let Ok(message) = Message::parse(request) else { return };
        let begun = self.transactions.begin_client(message, flow, now.mono, &mut self.out);
        if let Some(id) = begun {
            self.purposes.insert(id, purpose);
        }
    }
}
