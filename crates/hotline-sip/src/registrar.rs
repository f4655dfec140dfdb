//! Where agents' phones are (RFC 3261 §10): one contact for each extension, the latest.

use std::{collections::BTreeMap, time::Duration};

use hotline_base::{ConnId, Due, Extension, MonoTime, Now};

use crate::{
    Binding, Config, Event, Flow, Message, NameAddr, PeerMisbehaved, UnboundWhy, Uri,
    digest::{Nonces, Params},
    text::{decode, number},
    timers::{TimerName, Timers},
};

#[derive(Debug)]
pub(crate) struct Registrar {
    bindings: BTreeMap<Extension, Binding>,
    timers: Timers<Extension>,
    nonces: Nonces,
}

/// How a REGISTER is answered.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// 401.
    Challenge {
        stale: bool,
    },
    /// 403: wrong password, unknown extension, or another's extension. All look the same.
    Forbidden,
    Refused {
        status: u16,
        min_expires: Option<u64>,
        why: Option<PeerMisbehaved>,
    },
    /// 200 with the Contact that is bound, if any.
    Granted {
        contact: Option<String>,
        event: Option<Box<Event>>,
    },
}

enum Wish {
    Ask,
    /// This contact, or any.
    Drop {
        contact: Option<String>,
    },
    Bind {
        contact: String,
        expires: Duration,
    },
}

impl Registrar {
    pub(crate) fn new() -> Self {
        Self { bindings: BTreeMap::new(), timers: Timers::new(), nonces: Nonces::default() }
    }

    pub(crate) fn handle(
        &mut self,
        message: &Message,
        flow: Flow,
        config: &Config,
        now: Now,
    ) -> Verdict {
        let extension = match self.authenticate(message, flow, config, now) {
            Ok(it) => it,
            Err(verdict) => return verdict,
        };
        match wish(message, config) {
            Ok(wish) => self.grant(extension, wish, message, flow, now),
            Err(verdict) => verdict,
        }
    }

    fn authenticate(
        &mut self,
        message: &Message,
        flow: Flow,
        config: &Config,
        now: Now,
    ) -> Result<Extension, Verdict> {
        let mut answers = message.headers("Authorization").filter_map(Params::parse);
        let answer = answers.find(|it| it.get("realm") == Some(config.realm.as_str()));
        let Some(answer) = answer else { return Err(Verdict::Challenge { stale: false }) };
        let bad = |why: PeerMisbehaved| Verdict::Refused {
            status: 400,
            min_expires: None,
            why: Some(why),
        };
        let meant = answer.get("uri").and_then(|it| Uri::parse(it.as_bytes()));
        let (Some(count), Some(meant)) = (answer.count(), meant) else {
            return Err(bad(PeerMisbehaved::BadCredentials));
        };
        if message.request_uri().is_none_or(|it| it.host != meant.host || it.user != meant.user) {
            return Err(bad(PeerMisbehaved::BadCredentials));
        }
        let user = message.name_addr("To").and_then(|it| it.uri()).map(|it| it.user);
        let name = answer.get("username").unwrap_or_default();
        let account = config.accounts.get_key_value(name);
        // An unknown name costs the same work as a known one.
        let password = account.map_or("", |it| it.1.password.as_str());
        let right = answer.is_right("REGISTER", password);
        let Some((extension, _)) = account.filter(|_| right && user.as_deref() == Some(name))
        else {
            return Err(Verdict::Forbidden);
        };
        let nonce = answer.get("nonce").unwrap_or_default();
        if !self.nonces.take(&config.secret, flow.remote.ip(), nonce, count, now.wall) {
            return Err(Verdict::Challenge { stale: true });
        }
        Ok(extension.clone())
    }

    fn grant(
        &mut self,
        extension: Extension,
        wish: Wish,
        message: &Message,
        flow: Flow,
        now: Now,
    ) -> Verdict {
        let call_id = decode(message.call_id());
        let cseq = message.cseq().number;
        let old = self.bindings.get(&extension);
        // RFC 3261 §10.3, item 7: a late copy of an earlier REGISTER changes nothing.
        if old.is_some_and(|it| it.call_id == call_id && it.cseq >= cseq) {
            let why = Some(PeerMisbehaved::CSeqWentBackwards);
            return Verdict::Refused { status: 500, min_expires: None, why };
        }
        match wish {
            Wish::Ask => {
                let contact = old.map(|it| {
                    let left = it.expires_wall.millis_since(now.wall) / 1000;
                    format!("<{}>;expires={left}", it.contact)
                });
                Verdict::Granted { contact, event: None }
            }
            // What is bound by now is another phone's, or the same phone's newer contact.
            Wish::Drop { contact: Some(contact) }
                if old.is_some_and(|it| it.contact != contact) =>
            {
                Verdict::Granted { contact: None, event: None }
            }
            Wish::Drop { .. } => {
                self.timers.cancel_all(&extension);
                let event = self
                    .bindings
                    .remove(&extension)
                    .map(|it| Event::Unbound { extension: it.extension, why: UnboundWhy::Asked })
                    .map(Box::new);
                Verdict::Granted { contact: None, event }
            }
            Wish::Bind { contact, expires } => {
                let expires_wall = (now + expires).wall;
                self.timers.set(extension.clone(), TimerName::Expiry, now.mono + expires);
                let value = format!("<{contact}>;expires={}", expires.as_secs());
                let binding = Binding {
                    extension: extension.clone(),
                    contact,
                    flow,
                    call_id,
                    cseq,
                    expires_wall,
                };
                self.bindings.insert(extension, binding.clone());
                Verdict::Granted {
                    contact: Some(value),
                    event: Some(Box::new(Event::Bound { binding })),
                }
            }
        }
    }

    /// A binding from before a restart. Its timer is set at the next timeout, which is due at once.
    pub(crate) fn restore(&mut self, binding: Binding) {
        self.timers.set(binding.extension.clone(), TimerName::Expiry, MonoTime(0));
        self.bindings.insert(binding.extension.clone(), binding);
    }

    pub(crate) fn contact_of(&self, extension: &Extension, now: Now) -> Option<&Binding> {
        self.bindings.get(extension).filter(|it| it.expires_wall > now.wall)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Due> {
        self.timers.next()
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some((extension, name)) = self.timers.pop(now.mono) {
            let Some(it) = self.bindings.get(&extension) else { continue };
            let left = it.expires_wall.millis_since(now.wall);
            // Less than a second is what two clocks differ by.
            if left >= 1000 {
                self.timers.set(extension, name, now.mono + Duration::from_millis(left));
            } else {
                self.bindings.remove(&extension);
                events.push(Event::Unbound { extension, why: UnboundWhy::Expired });
            }
        }
        events
    }

    pub(crate) fn handle_connection_gone(&mut self, conn: ConnId) -> Vec<Event> {
        let on_it = self.bindings.values().filter(|it| it.flow.conn == Some(conn));
        let gone: Vec<Extension> = on_it.map(|it| it.extension.clone()).collect();
        for extension in &gone {
            self.bindings.remove(extension);
            self.timers.cancel_all(extension);
        }
        let why = UnboundWhy::ConnectionGone;
        gone.into_iter().map(|extension| Event::Unbound { extension, why }).collect()
    }
}

/// What the Contacts of a REGISTER ask for (RFC 3261 §10.3, items 6 and 7).
fn wish(message: &Message, config: &Config) -> Result<Wish, Verdict> {
    let bad = |why| Verdict::Refused { status: 400, min_expires: None, why: Some(why) };
    let header = match message.header("Expires") {
        Some(it) => Some(number::<u64>(it).ok_or_else(|| bad(PeerMisbehaved::BadExpires))?),
        None => None,
    };
    let contacts: Vec<&[u8]> = message.values("Contact").collect();
    if contacts.contains(&&b"*"[..]) {
        let good = contacts.len() == 1 && header == Some(0);
        return if good {
            Ok(Wish::Drop { contact: None })
        } else {
            Err(bad(PeerMisbehaved::BadContact))
        };
    }
    let mut wish = Wish::Ask;
    for contact in contacts {
        let it = NameAddr::parse(contact).ok_or_else(|| bad(PeerMisbehaved::BadContact))?;
        let own = it.params.get("expires").map(number::<u64>);
        let own = own.map(|it| it.ok_or_else(|| bad(PeerMisbehaved::BadExpires))).transpose()?;
        let max = config.expires_max.as_secs();
        let expires = own.or(header).unwrap_or(max).min(max);
        if it.uri().is_none_or(|it| !matches!(it.scheme.as_str(), "sip" | "sips")) {
            return Err(bad(PeerMisbehaved::BadContact));
        }
        if expires == 0 {
            // A phone that moves drops its old contact and binds the new one in one request.
            if matches!(wish, Wish::Ask) {
                wish = Wish::Drop { contact: Some(decode(it.uri)) };
            }
            continue;
        }
        if expires < config.expires_min.as_secs() {
            let min_expires = Some(config.expires_min.as_secs());
            return Err(Verdict::Refused { status: 423, min_expires, why: None });
        }
        let contact = decode(it.uri);
        wish = Wish::Bind { contact, expires: Duration::from_secs(expires) };
    }
    Ok(wish)
}
