//! REGISTER of phones at our registrar.

use hotline_base::Now;

use super::Endpoint;
use crate::{
    Admit, Event, Flow, Message, Output, PeerMisbehaved,
    digest::{Algorithm, challenge},
    message::{Reply, fitting},
    registrar::Verdict,
    transaction::transmit,
};

impl Endpoint {
    pub(super) fn on_register(&mut self, flow: Flow, message: Message, admit: Admit, now: Now) {
        if message.header("Replaces").is_some() {
            return self.refuse_fault(flow, &message, admit, PeerMisbehaved::BadReplaces);
        }
        let random = &mut self.random;
        match self.registrar.handle(&message, flow, &self.config, random, now) {
            Verdict::Challenge { algorithms, stale } => {
                self.challenge(flow, &message, admit, (algorithms, stale), now);
            }
            Verdict::Forbidden { locks } => {
                self.refuse_at_once(flow, &message, admit, 403, &[]);
                self.say(Event::AuthFailed { flow, locks });
            }
            Verdict::Refused { status, min_expires, why } => {
                let more = min_expires.map(|it| ("Min-Expires", it.to_string()));
                self.refuse_at_once(flow, &message, admit, status, more.as_slice());
                if let Some(why) = why {
                    self.say(Event::Misbehaved { why, flow });
                }
            }
            Verdict::Granted { headers, events } => {
                // Only who knows a password makes us remember anything.
                let tag = self.token();
                if let Some(id) = self.transactions.begin_server(message, flow, tag) {
                    self.respond(id, 200, &headers, now);
                }
                self.out.extend(events.into_iter().map(Output::Event));
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
        let salt = self.random.next_u64();
        let (secret, from) = (&self.config.secret, flow.remote.ip());
        let nonce = self.registrar.nonces().make(secret, from, salt, now.wall);
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
        let bytes = if admit == Admit::Trusted || flow.transport.is_reliable() {
            Some(all.build())
        } else {
            fitting(&[all, one])
        };
        if let Some(bytes) = bytes {
            transmit(&mut self.out, flow, &bytes);
        }
    }
}
