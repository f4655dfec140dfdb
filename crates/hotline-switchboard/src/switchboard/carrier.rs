//! Rules of carriers at the two ends of the endpoint, and numbers before they are understood.

use std::net::SocketAddr;

use hotline_base::Pii;
use hotline_sip::{Flow, Invited, Message};
use hotline_trunk::{NumberOf, rewrite};

use super::{Arc, Switchboard};
use crate::{CarrierRules, io::Count};

impl Switchboard {
    /// The rules of the trunk at the other end.
    pub(super) fn carrier_rules(&self, remote: SocketAddr) -> Option<Arc<CarrierRules>> {
        // Most houses have none; then no message pays for the look-up.
        if self.config.rules.is_empty() {
            return None;
        }
        let trunk = self.admission.trunk_of(remote)?;
        self.config.rules.get(&trunk.id).map(Arc::clone)
    }

    /// A message as its carrier should have written it.
    pub(super) fn repair(&mut self, flow: Flow, message: Message) -> Message {
        let Some(rules) = self.carrier_rules(flow.remote) else { return message };
        let repair = rules.headers_in.apply(&message);
        if repair.is_spoiled {
            self.outputs.push_back(crate::Output::Count(Count::RulesSpoiled));
        }
        repair.message.unwrap_or(message)
    }

    /// Bytes for the wire as the carrier wants them.
    pub(super) fn adapt(&self, flow: Flow, bytes: Vec<u8>) -> Vec<u8> {
        let rules = self.carrier_rules(flow.remote).filter(|it| !it.headers_out.is_empty());
        rules.and_then(|it| it.headers_out.apply_to_bytes(&bytes)).unwrap_or(bytes)
    }

    /// The numbers of an invitation, before admission understands them. The dialog keeps what the
    /// carrier wrote: it wants it back in every response.
    pub(super) fn rewrite_numbers(&self, it: &mut Invited) {
        let Some(rules) = self.carrier_rules(it.flow.remote) else { return };
        for it in [Some(&mut it.from_user), it.asserted.as_mut()].into_iter().flatten() {
            *it = Pii::new(rewrite(&rules.numbers_in, NumberOf::Caller, it.reveal()).0);
        }
        it.request_user = rewrite(&rules.numbers_in, NumberOf::Called, &it.request_user).0;
    }
}
