//! Ourselves at another's registrar: as a phone, or with a trunk's account at its carrier
//! (RFC 3261 §10.2).

use std::{net::IpAddr, time::Duration};

use hotline_base::{Extension, Now};

use super::Endpoint;
use crate::{
    Account, Credentials, Enrolled, Enrolment, Event, Flow, Message, NameAddr, PeerMisbehaved,
    build::MessageBuilder,
    digest::NotAnswered,
    leg::Purpose,
    text::{decode, number},
    transaction::TxId,
};

/// Whose registration it is.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Registrant {
    Phone(Extension),
    Account(u64),
}

/// One registration of ours.
#[derive(Debug)]
pub(super) struct Registration {
    it: Enrolment,
    call_id: String,
    tag: String,
    cseq: u32,
    /// Challenges answered since it was last asked for.
    tries: u8,
}

impl Endpoint {
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
        let it = Enrolment {
            registrar: format!("sip:{}", flow.remote),
            record: format!("sip:{extension}@{}", host(flow.remote.ip())),
            contact_user: extension.as_str().to_owned(),
            flow,
            credentials: Credentials {
                user: extension.as_str().to_owned(),
                secret: account.secret.clone(),
                realm: None,
                hops: vec![flow.remote.ip()],
                challenges: account.challenges,
            },
            expires,
            limit: None,
        };
        self.begin_registration(Registrant::Phone(extension.clone()), it, now);
    }

    /// Registers an account at `flow.remote`, answering challenges of nobody else; ends in
    /// [`Event::Enrolled`] with this number. Called again it refreshes, whatever has changed:
    /// it is the same registration, by the same Call-ID (RFC 3261 §10.2.4).
    pub fn enrol(&mut self, account: u64, it: Enrolment, now: Now) {
        self.begin_registration(Registrant::Account(account), it, now);
    }

    fn begin_registration(&mut self, who: Registrant, it: Enrolment, now: Now) {
        let (call_id, tag, cseq) = match self.registrations.remove(&who) {
            Some(it) => (it.call_id, it.tag, it.cseq),
            None => (self.token(), self.token(), 0),
        };
        self.registrations.insert(who.clone(), Registration { it, call_id, tag, cseq, tries: 0 });
        self.send_register(&who, None, now);
    }

    fn send_register(&mut self, who: &Registrant, answer: Option<(&str, String)>, now: Now) {
        let Some(flow) = self.registrations.get(who).map(|it| it.it.flow) else { return };
        let via = self.fresh_via(flow);
        let contact = self.own_contact(who);
        let agent = self.config.user_agent.clone();
        let Some(own) = self.registrations.get_mut(who) else { return };
        own.cseq = own.cseq.saturating_add(1);
        let Enrolment { registrar, record, expires, limit, .. } = &own.it;
        let limit = *limit;
        let bytes = MessageBuilder::request("REGISTER", registrar.as_bytes())
            .header("Via", via)
            .header("Max-Forwards", "70")
            .header("From", format!("<{record}>;tag={}", own.tag))
            .header("To", format!("<{record}>"))
            .header("Call-ID", &own.call_id)
            .header("CSeq", format!("{} REGISTER", own.cseq))
            .header("Contact", contact)
            .header("Expires", expires.as_secs().to_string())
            .header("Allow", super::names::ALLOW)
            .header("User-Agent", agent);
        let bytes =
            answer.into_iter().fold(bytes, |it, (name, value)| it.header(name, value)).end();
        let message = Message::parse(&bytes).ok();
        let begun = message.and_then(|message| {
            self.transactions.begin_client(message, flow, now.mono, &mut self.out)
        });
        let Some(id) = begun else { return self.end_registration(who, 400, None) };
        if let Some(limit) = limit {
            self.transactions.hurry_client(id, limit, now.mono);
        }
        self.purposes.insert(id, Purpose::Register(who.clone()));
    }

    fn own_contact(&self, who: &Registrant) -> String {
        let Some(it) = self.registrations.get(who).map(|it| &it.it) else { return String::new() };
        let contact = self.contact(&it.contact_user, it.flow);
        match who {
            Registrant::Phone(_) => contact + &self.contact_params,
            Registrant::Account(_) => contact,
        }
    }

    pub(super) fn on_register_response(
        &mut self,
        id: TxId,
        who: Registrant,
        flow: Flow,
        message: &Message,
        now: Now,
    ) {
        let status = message.status().unwrap_or(0);
        if status < 200 {
            self.purposes.insert(id, Purpose::Register(who));
            return;
        }
        let cnonce = self.token();
        let Some((request, _)) = self.transactions.sent(id) else { return };
        let Some(own) = self.registrations.get_mut(&who) else { return };
        let told = own.it.credentials.answer(flow, message, request, &cnonce);
        if told == Err(NotAnswered::NotTheNextHop) {
            self.say(Event::Misbehaved { why: PeerMisbehaved::ForeignChallenge, flow });
        }
        match told {
            Ok(told) if own_tries_left(self.registrations.get_mut(&who)) => {
                self.send_register(&who, Some(told), now);
            }
            Ok(_) | Err(_) => self.end_registration(&who, status, Some((flow, message))),
        }
    }

    /// Says how a registration of ours went.
    pub(super) fn end_registration(
        &mut self,
        who: &Registrant,
        status: u16,
        response: Option<(Flow, &Message)>,
    ) {
        let account = match who {
            Registrant::Phone(extension) => {
                let ok = (200..300).contains(&status);
                let extension = extension.clone();
                return self.say(Event::RegisterDone { extension, ok, status });
            }
            Registrant::Account(it) => *it,
        };
        let contact = self.own_contact(who);
        let asked = self.registrations.get(who).map_or(Duration::ZERO, |it| it.it.expires);
        let secs = |name| {
            let value = response.and_then(|(_, it)| it.header(name))?;
            // RFC 3261 §20.33: a comment or parameters may follow the number.
            let digits = value.split(|it| !it.is_ascii_digit()).next().unwrap_or_default();
            Some(Duration::from_secs(number(digits)?))
        };
        let granted = response.and_then(|(_, it)| granted_to(&contact, it));
        let routes = response.map(|(_, it)| it.values("Service-Route").map(decode).collect());
        let enrolled = Enrolled {
            account,
            status,
            granted: granted.or_else(|| secs("Expires")).unwrap_or(asked),
            min_expires: secs("Min-Expires"),
            retry_after: secs("Retry-After"),
            service_route: routes.unwrap_or_default(),
            conn: response.and_then(|(flow, _)| flow.conn),
        };
        self.say(Event::Enrolled(Box::new(enrolled)));
    }
}

/// Counts a challenge that is answered.
fn own_tries_left(own: Option<&mut Registration>) -> bool {
    let Some(own) = own.filter(|it| it.tries < TRIES_MAX) else { return false };
    own.tries = own.tries.saturating_add(1);
    true
}

/// How long our contact is bound, as a 200 lists it among those of others (RFC 3261 §10.3).
fn granted_to(contact: &str, response: &Message) -> Option<Duration> {
    let own = NameAddr::parse(contact.as_bytes())?.uri()?;
    let secs = response.values("Contact").find_map(|it| {
        let listed = NameAddr::parse(it)?;
        let uri = listed.uri()?;
        let is_own = uri.user == own.user && uri.host == own.host && uri.port == own.port;
        is_own.then(|| listed.params.get("expires").and_then(number::<u64>)).flatten()
    });
    secs.map(Duration::from_secs)
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
