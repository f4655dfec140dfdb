//! Agents' telephones: what is kept of them, how they are dialled, and what their absence means.

use std::{collections::BTreeSet, time::Duration};

use borsh::BorshDeserialize;
use hotline_base::{CallId, Extension, LegId, Now, media::Profile};
use hotline_call::{LegEnd, LegEvent};
use hotline_ladder::Role;
use hotline_sip::{Binding, Dial, EndWhy};

use super::{Output, Switchboard, addresses::ways_of};
use crate::Srtp;

/// The form of what is kept under `phone/…`; other forms are not read.
const FORM: u8 = 2;

/// A telephone that has not said anything to an INVITE by then is not there: four copies were sent
/// (RFC 3261 §17.1.1.2: at 0, 0.5, 1.5 and 3.5 s).
const SILENCE: Duration = Duration::from_secs(4);

/// An agent's telephones ring.
#[derive(Debug)]
pub(super) struct Ringing {
    extension: Extension,
    /// Of which profiles telephones were called.
    tried: BTreeSet<Profile>,
}

impl Switchboard {
    /// A contact came, went, or reacts otherwise than before: it is written down, and the agent
    /// who sits there has a telephone or not.
    pub(super) fn phone_changed(&mut self, extension: &Extension, now: Now) {
        let all = self.endpoint.contacts_of(extension, now);
        let value = (!all.is_empty()).then(|| borsh::to_vec(&(FORM, &all)).ok()).flatten();
        self.outputs.push_back(Output::Keep { key: format!("phone/{extension}"), value });
        self.phone_addresses.set(extension, ways_of(&all), &mut self.outputs);
        let Some(no) = self.desks.at(extension).cloned() else { return };
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
                    self.phone_addresses.set(&it.extension, ways_of(&live), &mut self.outputs);
                }
                for binding in live {
                    self.endpoint.restore_binding(binding);
                }
            }
            Ok(_) | Err(_) => self.not_restored(key),
        }
    }

    /// What an agent's telephone is told besides the caller: the caller's User-to-User, and to
    /// answer by itself, in the words of the common makes (Yealink, Fanvil, Grandstream, Snom,
    /// Cisco) and of RFC 5373.
    fn phone_headers(&self, id: CallId, extension: &Extension) -> Vec<(String, String)> {
        let header = |name: &str, value: String| (name.to_owned(), value);
        let mut all = Vec::new();
        let user_to_user = self.calls.get(&id).and_then(|it| it.arrival.user_to_user.as_ref());
        all.extend(user_to_user.map(|it| header("User-to-User", it.reveal().clone())));
        if self.config.auto_answer.contains(extension) {
            let us = self.config.sip.advertised;
            let host = if us.is_ipv6() { format!("[{us}]") } else { us.to_string() };
            all.push(header("Call-Info", format!("<sip:{host}>;answer-after=0")));
            let alert = format!("<http://{host}>;info=alert-autoanswer;delay=0");
            all.push(header("Alert-Info", alert));
            all.push(header("Answer-Mode", "Auto".to_owned()));
        }
        all
    }

    pub(super) fn srtp_of(&self, extension: &Extension) -> Srtp {
        self.config.srtp_of.get(extension).copied().unwrap_or(self.config.srtp)
    }

    /// One offer reaches telephones of one profile only. This is that of the highest q; of equal
    /// ones, the browser's before the desk phone's. A number outside is reached in the clear.
    pub(super) fn best_profile(&self, extension: &Extension, now: Now) -> Profile {
        if self.outside_at(extension).is_some() {
            return Profile::Plain;
        }
        self.next_profile(extension, &BTreeSet::new(), now).unwrap_or_default()
    }

    /// The best of those that were not tried.
    fn next_profile(
        &self,
        extension: &Extension,
        tried: &BTreeSet<Profile>,
        now: Now,
    ) -> Option<Profile> {
        let srtp = self.srtp_of(extension);
        let there = self.endpoint.reachable_of(extension, now);
        let all = there.map(|it| (it.q, srtp.profile(it.flow.transport)));
        all.filter(|it| !tried.contains(&it.1)).max().map(|it| it.1)
    }

    /// A leg ended before its answer. `true`: none of the telephones of one profile was there, and
    /// those of the next one are called.
    pub(super) fn rings_otherwise(&mut self, leg: LegId, why: EndWhy, now: Now) -> bool {
        let Some(mut it) = self.ringing.remove(&leg) else { return false };
        let Some(call) = self.legs.get(&leg).copied().filter(|_| is_absence(why)) else {
            return false;
        };
        let Some(profile) = self.next_profile(&it.extension, &it.tried, now) else { return false };
        it.tried.insert(profile);
        let fresh = self.endpoint.new_leg();
        let mut done = false;
        self.step(call, now, |call, _, now| {
            done = call.ring_otherwise(leg, fresh, profile, now);
        });
        if done {
            self.legs.remove(&leg);
            self.legs.insert(fresh, call);
            self.media_legs.insert(fresh, call);
            if let Some(entry) = self.calls.get_mut(&call) {
                entry.media_legs.push(fresh);
            }
            self.ringing.insert(fresh, it);
        }
        done
    }

    /// How long what rings for an agent may ring. Nobody's lease ends the ringing of who was called
    /// in.
    pub(super) fn ring_limit_of(&self, id: CallId, leg: LegId) -> Option<Duration> {
        let entry = self.calls.get(&id)?;
        let own = self.config.outbound.agent_ring_limit;
        if entry.call.is_guest(leg) { Some(own) } else { entry.ring_limit }
    }

    /// Calls the agent's telephones of one profile for his part of a call.
    pub(super) fn dial_phones(
        &mut self,
        (id, leg): (CallId, LegId),
        extension: &Extension,
        profile: Profile,
        sdp: &str,
        now: Now,
    ) {
        let from = self.calls.get(&id).and_then(|it| it.arrival.caller.as_ref());
        let ring_limit = self.ring_limit_of(id, leg);
        let from_user = from.map_or_else(|| "anonymous".to_owned(), |it| it.reveal().clone());
        let headers = self.phone_headers(id, extension);
        let srtp = self.srtp_of(extension);
        let dial = |it: &Binding| {
            (srtp.profile(it.flow.transport) == profile).then(|| Dial {
                target: it.contact.clone(),
                flow: it.flow,
                from_display: String::new(),
                from_user: from_user.clone(),
                sdp: sdp.to_owned(),
                headers: headers.clone(),
                ring_limit,
                silence_limit: Some(SILENCE),
                from_host: None,
                credentials: None,
            })
        };
        let is_begun = self.endpoint.dial_extension(leg, extension, dial, now);
        let rings = || Ringing { extension: extension.clone(), tried: BTreeSet::new() };
        self.ringing.entry(leg).or_insert_with(rings).tried.insert(profile);
        if is_begun {
            self.join_ladder(id, leg, Role::Phone(extension.clone()), now);
        } else if !self.rings_otherwise(leg, EndWhy::NoResponse, now) {
            let gone = LegEvent::Ended(LegEnd::PeerGone);
            self.step(id, now, |call, env, now| call.handle_leg(leg, gone, env, now));
        }
    }
}

/// Nobody said no: no telephone was there, or none could do what was offered.
const fn is_absence(why: EndWhy) -> bool {
    match why {
        EndWhy::NoResponse | EndWhy::ConnectionGone => true,
        EndWhy::Refused { status, .. } => !matches!(status, 486 | 600..),
        EndWhy::Bye { .. }
        | EndWhy::Cancelled
        | EndWhy::NoAnswer
        | EndWhy::AckMissing
        | EndWhy::Expired
        | EndWhy::Local => false,
    }
}
