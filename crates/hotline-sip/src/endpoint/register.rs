//! REGISTER of phones at our registrar.

use std::sync::Arc;

use hotline_base::{Extension, Now};

use super::Endpoint;
use crate::{
    Admit, Event, Flow, Message, PeerMisbehaved,
    digest::{Algorithm, challenge},
    message::{Reply, fitting},
    registrar::{Unproven, Verdict},
    transaction::transmit,
};

impl Endpoint {
    pub(super) fn on_register(&mut self, flow: Flow, message: Message, admit: Admit, now: Now) {
        if message.header("Replaces").is_some() {
            return self.refuse_fault(flow, &message, admit, PeerMisbehaved::BadReplaces);
        }
        let random = &mut self.random;
        match self.registrar.handle(&message, flow, &self.config, random, now) {
            Verdict::Unproven(why) => self.refuse_unproven(flow, &message, admit, why, now),
            Verdict::Refused { status, min_expires, why } => {
                let more = min_expires.map(|it| ("Min-Expires", it.to_string()));
                self.refuse_at_once(flow, &message, admit, status, more.as_slice());
                if let Some(why) = why {
                    self.say(Event::Misbehaved { why, flow });
                }
            }
            Verdict::Granted { headers, events, moved } => {
                // Only who knows a password makes us remember anything.
                let tag = self.token();
                if let Some(id) = self.transactions.begin_server(Arc::new(message), flow, tag) {
                    self.respond(id, 200, &headers, now);
                }
                for it in &moved {
                    self.follow(it, now);
                }
                for event in events {
                    if let Event::Bound { binding } = &event {
                        self.regain(binding, now);
                    }
                    self.say(event);
                }
            }
        }
    }

    /// Whose phone calls, if it proves that; otherwise it is answered.
    pub(super) fn caller_of(
        &mut self,
        flow: Flow,
        message: &Message,
        now: Now,
    ) -> Option<Extension> {
        match self.registrar.authenticate(message, flow, &self.config, now) {
            Ok(it) => Some(it),
            Err(why) => {
                self.refuse_unproven(flow, message, Admit::Phone, why, now);
                None
            }
        }
    }

    fn refuse_unproven(
        &mut self,
        flow: Flow,
        message: &Message,
        admit: Admit,
        why: Unproven,
        now: Now,
    ) {
        match why {
            Unproven::Challenge { algorithms, stale } => {
                self.challenge(flow, message, admit, (algorithms, stale), now);
            }
            Unproven::Forbidden { locks } => {
                self.refuse_at_once(flow, message, admit, 403, &[]);
                self.say(Event::AuthFailed { flow, locks });
            }
            Unproven::Unreadable => {
                self.refuse_fault(flow, message, admit, PeerMisbehaved::BadCredentials);
            }
        }
    }

    /// 401 with a challenge for each algorithm, without a transaction.
    fn challenge(
        &mut self,
        flow: Flow,
        message: &Message,
        admit: Admit,
        (algorithms, stale): (&[Algorithm], bool),
        now: Now,
    ) {
        let (secret, from) = (&self.config.secret, flow.remote.ip());
        let nonce = self.registrar.nonces().make(secret, from, now.wall);
        let realm = self.config.realm.as_str();
        let tag = self.stateless_tag(message);
        let feedback = self.feedback.filter(|_| admit == Admit::Trusted);
        let bare = Reply::new(message, 401).from(flow).tag(&tag).feedback(feedback);
        let all = algorithms.iter().fold(bare.clone(), |it, algorithm| {
            it.with("WWW-Authenticate", challenge(realm, &nonce, *algorithm, stale))
        });
        // The last one has the shortest name.
        let last = algorithms.last().copied().unwrap_or(Algorithm::Sha256);
        let one = bare.with("WWW-Authenticate", challenge(realm, &nonce, last, stale));
        let bytes = if admit != Admit::Stranger || flow.transport.is_reliable() {
            Some(all.build())
        } else {
            fitting(&[all, one])
        };
        if let Some(bytes) = bytes {
            transmit(&mut self.out, flow, bytes);
        }
    }
}
