//! REGISTER from both sides: phones at our registrar, and ourselves at another's.

use std::{net::IpAddr, time::Duration};

use hotline_base::{Extension, Now};

use super::Endpoint;
use crate::{
    Account, Admit, Credentials, Event, Flow, Message, Output, PeerMisbehaved,
    build::MessageBuilder,
    digest::{Algorithm, challenge},
    leg::Purpose,
    message::{Reply, fitting},
    registrar::Verdict,
    transaction::{TxId, transmit},
};

/// Our own registration as a phone.
#[derive(Debug)]
pub(super) struct Registration {
    account: Account,
    flow: Flow,
    expires: Duration,
    call_id: String,
    tag: String,
    cseq: u32,
    /// Challenges answered since `register` was called.
    tries: u8,
}

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

    /// Registers as a phone at the registrar at `flow.remote`, answering its challenge; ends in
    /// [`Event::RegisterDone`]. Zero `expires` unregisters. Called again, it refreshes.
    pub fn register(
        &mut self,
        extension: &Extension,
        account: &Account,
        flow: Flow,
        expires: Duration,
        now: Now,
    ) {
        let (call_id, tag, cseq) = match self.registrations.remove(extension) {
            Some(it) => (it.call_id, it.tag, it.cseq),
            None => (self.token(), self.token(), 0),
        };
        let account = account.clone();
        let it = Registration { account, flow, expires, call_id, tag, cseq, tries: 0 };
        self.registrations.insert(extension.clone(), it);
        self.send_register(extension, None, now);
    }

    fn send_register(&mut self, extension: &Extension, answer: Option<(&str, String)>, now: Now) {
        let Some(flow) = self.registrations.get(extension).map(|it| it.flow) else { return };
        let via = self.fresh_via(flow);
        let contact = self.contact(extension.as_str(), flow) + &self.contact_params;
        let agent = self.config.user_agent.clone();
        let Some(it) = self.registrations.get_mut(extension) else { return };
        it.cseq = it.cseq.saturating_add(1);
        let uri = registrar_uri(flow);
        let own = format!("<sip:{extension}@{}>", host(flow.remote.ip()));
        let bytes = MessageBuilder::request("REGISTER", uri.as_bytes())
            .header("Via", via)
            .header("Max-Forwards", "70")
            .header("From", format!("{own};tag={}", it.tag))
            .header("To", own)
            .header("Call-ID", &it.call_id)
            .header("CSeq", format!("{} REGISTER", it.cseq))
            .header("Contact", contact)
            .header("Expires", it.expires.as_secs().to_string())
            .header("Allow", super::names::ALLOW)
            .header("User-Agent", agent);
        let bytes =
            answer.into_iter().fold(bytes, |it, (name, value)| it.header(name, value)).end();
        let message = Message::parse(&bytes).ok();
        let begun = message.and_then(|message| {
            self.transactions.begin_client(message, flow, now.mono, &mut self.out)
        });
        match begun {
            Some(id) => {
                self.purposes.insert(id, Purpose::Register(extension.clone()));
            }
            None => self.end_registration(extension, 400),
        }
    }

    pub(super) fn on_register_response(
        &mut self,
        id: TxId,
        extension: Extension,
        flow: Flow,
        message: &Message,
        now: Now,
    ) {
        let status = message.status().unwrap_or(0);
        if status < 200 {
            self.purposes.insert(id, Purpose::Register(extension));
            return;
        }
        let cnonce = self.token();
        let told = self.transactions.sent(id).and_then(|(request, sent)| {
            let it = self.registrations.get_mut(&extension).filter(|it| it.tries < TRIES_MAX)?;
            it.tries = it.tries.saturating_add(1);
            let credentials = Credentials {
                user: extension.as_str().to_owned(),
                secret: it.account.secret.clone(),
                realm: None,
                hops: vec![sent.remote.ip()],
                challenges: it.account.challenges,
            };
            credentials.answer(flow, message, request, &cnonce).ok()
        });
        match told {
            Some(told) => self.send_register(&extension, Some(told), now),
            None => self.end_registration(&extension, status),
        }
    }
}

/// RFC 5118 §4.1: an IPv6 address in a URI stands in brackets.
fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(it) => it.to_string(),
        IpAddr::V6(it) => format!("[{it}]"),
    }
}

/// A nonce may be too old more than once, when the registrar is restarted in between.
const TRIES_MAX: u8 = 3;

fn registrar_uri(flow: Flow) -> String {
    format!("sip:{}", flow.remote)
}
