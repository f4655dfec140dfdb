//! Rules of carriers at the two ends of the endpoint, and numbers before they are understood.

use std::net::SocketAddr;

use hotline_base::{CallId, LegId, Now, Pii, TrunkId};
use hotline_sip::{Flow, Invited, Message};
use hotline_trunk::{NumberOf, rewrite};

use super::{Arc, Switchboard};
use crate::{CarrierRules, io::Count};

/// Of a message that we wrote.
fn call_id_of(bytes: &[u8]) -> &[u8] {
    const NAME: &[u8] = b"\r\nCall-ID: ";
    let at = bytes.windows(NAME.len()).position(|it| it == NAME);
    let value = at.and_then(|it| bytes.get(it.saturating_add(NAME.len())..)).unwrap_or_default();
    value.split(|it| *it == b'\r').next().unwrap_or_default()
}

impl Switchboard {
    /// A call goes out over a trunk: its messages follow that trunk's rules.
    pub(super) fn note_way(&mut self, call: CallId, leg: LegId, trunk: &TrunkId) {
        if self.config.rules.is_empty() {
            return;
        }
        let Some(call_id) = self.endpoint.call_id(leg).map(<[u8]>::to_vec) else { return };
        let Some(entry) = self.calls.get_mut(&call) else { return };
        entry.ways.push(call_id.clone());
        self.went_over.insert(call_id, trunk.clone());
    }

    /// The rules of the trunk at the other end: that of the call, where the call went out, since
    /// trunks may share a gateway; else that of the address.
    fn carrier_rules(&self, remote: SocketAddr, call_id: &[u8]) -> Option<Arc<CarrierRules>> {
        let of_call = self.went_over.get(call_id);
        let trunk = of_call.or_else(|| self.admission.trunk_at(remote).map(|it| &it.id))?;
        self.config.rules.get(trunk).map(Arc::clone)
    }

    /// A message as its carrier should have written it.
    pub(super) fn repair(&mut self, flow: Flow, message: Message) -> Message {
        // Most houses have none; then no message pays for the look-up.
        if self.config.rules.is_empty() {
            return message;
        }
        let rules = self.carrier_rules(flow.remote, message.call_id());
        let Some(rules) = rules else { return message };
        let repair = rules.headers_in.apply(&message);
        if repair.is_spoiled {
            self.outputs.push_back(crate::Output::Count(Count::RulesSpoiled));
        }
        repair.message.unwrap_or(message)
    }

    /// Bytes for the wire as the carrier wants them, and the way they take with that length.
    pub(super) fn adapt(&mut self, flow: Flow, bytes: Arc<[u8]>, now: Now) -> (Flow, Arc<[u8]>) {
        if self.config.rules.is_empty() {
            return (flow, bytes);
        }
        let rules = self.carrier_rules(flow.remote, call_id_of(&bytes));
        let Some(rules) = rules.filter(|it| !it.headers_out.is_empty()) else {
            return (flow, bytes);
        };
        let adapted = |bytes: &[u8]| rules.headers_out.apply_to_bytes(bytes);
        let Some(changed) = adapted(&bytes) else { return (flow, bytes) };
        match self.endpoint.refit(&bytes, changed.len(), now) {
            None => (flow, changed),
            Some((flow, bytes)) => (flow, adapted(&bytes).unwrap_or(bytes)),
        }
    }

    /// The numbers of an invitation, before admission understands them. The dialog keeps what the
    /// carrier wrote: it wants it back in every response.
    pub(super) fn rewrite_numbers(&self, it: &mut Invited) {
        let call_id = it.call_id.reveal().as_bytes();
        let Some(rules) = self.carrier_rules(it.flow.remote, call_id) else { return };
        for it in [Some(&mut it.from_user), it.asserted.as_mut()].into_iter().flatten() {
            *it = Pii::new(rewrite(&rules.numbers_in, NumberOf::Caller, it.reveal()).0);
        }
        it.request_user = rewrite(&rules.numbers_in, NumberOf::Called, &it.request_user).0;
    }
}
