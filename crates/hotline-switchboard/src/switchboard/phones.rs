//! Agents' telephones: what is kept of them, how they are dialled, and what their absence means.

use std::time::Duration;

use borsh::BorshDeserialize;
use hotline_base::{CallId, Extension, LegId, Now};
use hotline_call::{LegEnd, LegEvent};
use hotline_ladder::Role;
use hotline_sip::{Binding, Dial};

use super::{Output, Switchboard};

/// The form of what is kept under `phone/…`; other forms are not read.
const FORM: u8 = 2;

/// A telephone that has not said anything to an INVITE by then is not there: four copies were sent
/// (RFC 3261 §17.1.1.2: at 0, 0.5, 1.5 and 3.5 s).
const SILENCE: Duration = Duration::from_secs(4);

impl Switchboard {
    /// A contact came, went, or reacts otherwise than before: it is written down, and the agent
    /// who sits there has a telephone or not.
    pub(super) fn phone_changed(&mut self, extension: &Extension, now: Now) {
        let all = self.endpoint.contacts_of(extension, now);
        let value = (!all.is_empty()).then(|| borsh::to_vec(&(FORM, &all)).ok()).flatten();
        self.outputs.push_back(Output::Keep { key: format!("phone/{extension}"), value });
        let at = all.iter().map(|it| it.flow.remote.ip()).collect();
        self.phone_addresses.set(extension, at, &mut self.outputs);
        let Some(no) = self.desks.get(extension).cloned() else { return };
        if let Some(agent) = self.agents.get_mut(&no) {
            if all.iter().any(|it| it.reachable) {
                agent.device_back(now);
            } else {
                agent.device_lost(now);
            }
        }
        self.agent_changed(&no, now);
    }

    pub(super) fn restore_phone(&mut self, key: &str, value: &[u8], now: Now) {
        match <(u8, Vec<Binding>)>::try_from_slice(value) {
            Ok((FORM, all)) => {
                let (live, over): (Vec<_>, Vec<_>) =
                    all.into_iter().partition(|it| it.expires_wall > now.wall);
                if live.is_empty() && !over.is_empty() {
                    self.forget_kept(key);
                }
                if let Some(it) = live.first() {
                    let at = live.iter().map(|it| it.flow.remote.ip()).collect();
                    self.phone_addresses.set(&it.extension, at, &mut self.outputs);
                }
                for binding in live {
                    self.endpoint.restore_binding(binding);
                }
            }
            Ok(_) | Err(_) => self.not_restored(key),
        }
    }

    /// Calls the agent's telephones for his part of a call.
    pub(super) fn dial_phones(
        &mut self,
        id: CallId,
        leg: LegId,
        extension: &Extension,
        sdp: &str,
        now: Now,
    ) {
        let (from, ring_limit) = self
            .calls
            .get(&id)
            .map(|it| (it.arrival.caller.clone(), it.ring_limit))
            .unwrap_or_default();
        let from_user = from.map_or_else(|| "anonymous".to_owned(), |it| it.reveal().clone());
        let dial = |it: &Binding| Dial {
            target: it.contact.clone(),
            flow: it.flow,
            from_display: String::new(),
            from_user: from_user.clone(),
            sdp: sdp.to_owned(),
            headers: Vec::new(),
            ring_limit,
            silence_limit: Some(SILENCE),
        };
        if self.endpoint.dial_extension(leg, extension, dial, now) {
            self.join_ladder(id, leg, Role::Phone(extension.clone()), now);
        } else {
            let gone = LegEvent::Ended(LegEnd::PeerGone);
            self.step(id, now, |call, env, now| call.handle_leg(leg, gone, env, now));
        }
    }
}
