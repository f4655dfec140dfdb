//! REGISTER from both sides: phones at our registrar, and ourselves at another's.

use std::{net::IpAddr, time::Duration};

use hotline_base::{Extension, Now};

use super::Endpoint;
use crate::{
    Account, Admit, Event, Flow, Message, PeerMisbehaved,
    build::MessageBuilder,
    digest::{Algorithm, Nonces, answer, challenge},
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
        match self.registrar.handle(&message, flow, &self.config, now) {
            Verdict::Challenge { stale } => self.challenge(flow, &message, admit, stale, now),
            Verdict::Forbidden => {
                self.refuse_at_once(flow, &message, admit, 403, &[]);
                self.say(Event::AuthFailed { flow });
            }
            Verdict::Refused { status, min_expires, why } => {
                let more = min_expires.map(|it| ("Min-Expires", it.to_string()));
                self.refuse_at_once(flow, &message, admit, status, more.as_slice());
                if let Some(why) = why {
                    self.say(Event::Misbehaved { why, flow });
                }
            }
            Verdict::Granted { contact, event } => {
                // Only who knows a password makes us remember anything.
                let tag = self.token();
                if let Some(id) = self.transactions.begin_server(message, flow, tag) {
                    let more = contact.map(|it| ("Contact", it));
                    self.respond(id, 200, more.as_slice(), now);
                }
                if let Some(event) = event {
                    self.say(*event);
                }
            }
        }
    }

    fn challenge(&mut self, flow: Flow, message: &Message, admit: Admit, stale: bool, now: Now) {
        let salt = self.random.next_u64();
        let nonce = Nonces::make(&self.config.secret, flow.remote.ip(), salt, now.wall);
        let realm = self.config.realm.as_str();
        let tag = self.stateless_tag(message);
        let bare = Reply::new(message, 401).from(flow).tag(&tag);
        let offered = self.challenges.algorithms();
        let all = offered.iter().fold(bare.clone(), |it, algorithm| {
            it.with("WWW-Authenticate", challenge(realm, &nonce, *algorithm, stale))
        });
        let last = offered.last().copied().unwrap_or(Algorithm::Md5);
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
        let contact = self.contact(extension.as_str(), flow);
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
        message: &Message,
        now: Now,
    ) {
        let status = message.status().unwrap_or(0);
        if status < 200 {
            self.purposes.insert(id, Purpose::Register(extension));
            return;
        }
        let header = match status {
            401 => Some(("WWW-Authenticate", "Authorization")),
            407 => Some(("Proxy-Authenticate", "Proxy-Authorization")),
            _ => None,
        };
        let cnonce = self.token();
        let told = header.and_then(|(asked, told)| {
            let it = self.registrations.get_mut(&extension).filter(|it| it.tries < 2)?;
            it.tries = it.tries.saturating_add(1);
            let who = (extension.as_str(), it.account.password.as_str());
            let uri = registrar_uri(it.flow);
            let value = answer(message.headers(asked), who, ("REGISTER", &uri), &cnonce)?;
            Some((told, value))
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

fn registrar_uri(flow: Flow) -> String {
    format!("sip:{}", flow.remote)
}
