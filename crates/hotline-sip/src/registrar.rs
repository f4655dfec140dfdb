//! Where agents' phones are (RFC 3261 §10): the contacts of each extension, by which way each came
//! (RFC 3581, 3327, 5626), and whether it is there.
//!
//! **Where requests to a phone go:** to the flow its registration came by, whatever its Contact or
//! Path say. A phone behind NAT is reached that way alone, and nobody can aim the engine at a third
//! party.

mod authenticate;
mod lockout;
mod wish;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use hotline_base::{ConnId, Due, Extension, MonoTime, Now, Random};

use self::{
    lockout::Lockout,
    wish::{Change, Wish, wish},
};
use crate::{
    Binding, Config, Event, Flow, Message, PeerMisbehaved, Transport, UnboundWhy,
    by_conn::ByConn,
    digest::{Algorithm, Nonces},
    text::decode,
    timers::{TimerName, Timers},
};

/// One contact of an extension, since its last REGISTER. A number is never used again.
pub(crate) type Key = (Extension, u64);

#[derive(Debug)]
pub(crate) struct Registrar {
    bindings: BTreeMap<Extension, Vec<Binding>>,
    /// How many contacts came by each path.
    paths: BTreeMap<(Transport, SocketAddr), usize>,
    by_conn: ByConn<Key>,
    timers: Timers<Key>,
    next: u64,
    nonces: Nonces,
    lockout: Lockout,
}

/// How a REGISTER is answered.
#[derive(Debug)]
pub(crate) enum Verdict {
    Unproven(Unproven),
    Refused {
        status: u16,
        min_expires: Option<u64>,
        why: Option<PeerMisbehaved>,
    },
    /// 200.
    Granted {
        headers: Vec<(&'static str, String)>,
        events: Vec<Event>,
        /// Telephones that came by another way before.
        moved: Vec<Moved>,
    },
}

/// A telephone's contact as it was, and the way by which it has registered now.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) before: Binding,
    pub(crate) flow: Flow,
}

/// Why a request is not taken for its sender's.
#[derive(Debug)]
pub(crate) enum Unproven {
    /// 401.
    Challenge { algorithms: &'static [Algorithm], stale: bool },
    /// 403: wrong password, unknown extension, another's extension, an algorithm that the account
    /// does not permit, or locked out. All look the same.
    Forbidden { locks: bool },
    /// 400.
    Unreadable,
}

/// What a timer leads to.
#[derive(Debug)]
pub(crate) enum Fired {
    Event(Event),
    /// It is time to ask whether the phone is there.
    Probe(Key),
}

impl Registrar {
    pub(crate) fn new(process: u64) -> Self {
        Self {
            bindings: BTreeMap::new(),
            paths: BTreeMap::new(),
            by_conn: ByConn::new(),
            timers: Timers::new(),
            next: 0,
            nonces: Nonces::new(process),
            lockout: Lockout::default(),
        }
    }

    pub(crate) const fn nonces(&mut self) -> &mut Nonces {
        &mut self.nonces
    }

    pub(crate) fn handle(
        &mut self,
        message: &Message,
        flow: Flow,
        config: &Config,
        random: &mut Random,
        now: Now,
    ) -> Verdict {
        let extension = match self.authenticate(message, flow, config, now) {
            Ok(it) => it,
            Err(why) => return Verdict::Unproven(why),
        };
        match wish(message, config) {
            Ok(wish) => self.grant(&extension, wish, message, flow, (config, random, now)),
            Err(verdict) => verdict,
        }
    }

    fn grant(
        &mut self,
        extension: &Extension,
        wish: Wish,
        message: &Message,
        flow: Flow,
        (config, random, now): (&Config, &mut Random, Now),
    ) -> Verdict {
        let call_id = decode(message.call_id());
        let cseq = message.cseq().number;
        let changes = match wish {
            Wish::Ask => Vec::new(),
            Wish::DropAll => self.of(extension).iter().map(Change::to_drop).collect(),
            Wish::Change(changes) => changes,
        };
        // RFC 3261 §10.3, item 7: a late copy of an earlier REGISTER changes nothing.
        let is_late = |it: &Binding| it.call_id == call_id && it.cseq >= cseq;
        let touched = |it: &&Binding| changes.iter().any(|change| change.is_same(it));
        if self.of(extension).iter().filter(touched).any(is_late) {
            let why = Some(PeerMisbehaved::CSeqWentBackwards);
            return Verdict::Refused { status: 500, min_expires: None, why };
        }
        let path: Vec<String> = message.values("Path").map(decode).collect();
        let (mut events, mut moved) = (Vec::new(), Vec::new());
        for change in changes {
            if change.expires.is_zero() {
                let gone = self.take_if(extension, |it| change.is_same(it));
                events.extend(gone.into_iter().map(|it| unbound(it, UnboundWhy::Asked)));
                continue;
            }
            let expires = shortened(change.expires, config, random);
            let binding = Binding {
                extension: extension.clone(),
                contact: change.contact,
                flow,
                call_id: call_id.clone(),
                cseq,
                expires_wall: (now + expires).wall,
                path: path.clone(),
                q: change.q,
                instance: change.instance,
                reg_id: change.reg_id,
                reachable: true,
                id: 0,
            };
            let before = self.bind(binding, &mut events, config, random, now);
            let elsewhere = before.into_iter().filter(|it| it.flow != flow);
            moved.extend(elsewhere.map(|before| Moved { before, flow }));
        }
        Verdict::Granted { headers: self.granted(extension, message, config, now), events, moved }
    }

    /// Takes the place of what is the same phone's older contact, and gives that.
    fn bind(
        &mut self,
        mut binding: Binding,
        events: &mut Vec<Event>,
        config: &Config,
        random: &mut Random,
        now: Now,
    ) -> Vec<Binding> {
        let extension = binding.extension.clone();
        let before = self.take_if(&extension, |it| is_same_phone(it, &binding));
        // A new number, so that what it did not react to before is not held against it.
        binding.id = self.new_id();
        // Who registers one more than may be is not locked out: the longest silent one goes.
        if self.of(&extension).len() >= config.contacts_max.max(1) {
            let oldest =
                self.of(&extension).iter().min_by_key(|it| (it.reachable, it.expires_wall));
            if let Some(id) = oldest.map(|it| it.id) {
                let gone = self.take_if(&extension, |it| it.id == id);
                events.extend(gone.into_iter().map(|it| unbound(it, UnboundWhy::Replaced)));
            }
        }
        let expires = Duration::from_millis(binding.expires_wall.millis_since(now.wall));
        let key = (extension, binding.id);
        self.timers.set(key.clone(), TimerName::Expiry, now.mono + expires);
        self.insert(binding.clone());
        self.plan_probe(&key, config, random, now);
        events.push(Event::Bound { binding: Box::new(binding) });
        before
    }

    /// The headers of a 200: all contacts, and the ways.
    fn granted(
        &self,
        extension: &Extension,
        message: &Message,
        config: &Config,
        now: Now,
    ) -> Vec<(&'static str, String)> {
        let supported: Vec<String> = message.values("Supported").map(decode).collect();
        let knows = |it: &str| supported.iter().any(|all| all.eq_ignore_ascii_case(it));
        let newest = (decode(message.call_id()), message.cseq().number);
        let mut all: Vec<&Binding> = self.of(extension).iter().collect();
        // Some phones read the first one only, and it should be theirs.
        all.sort_by_key(|it| (&it.call_id, it.cseq) != (&newest.0, newest.1));
        let is_own = |it: &&&Binding| (&it.call_id, it.cseq) == (&newest.0, newest.1);
        let outbound = all.iter().filter(is_own).any(|it| it.reg_id.is_some());
        let contacts = all.into_iter().map(|it| ("Contact", it.header_value(self.left(it, now))));
        let paths = message.headers("Path").filter(|_| knows("path"));
        let mut headers: Vec<_> = contacts.collect();
        headers.extend(paths.map(|it| ("Path", decode(it))));
        headers.extend(config.service_route.iter().map(|it| ("Service-Route", it.clone())));
        // RFC 5626 §6: the phone is told that its flow is what will be used.
        if outbound && knows("outbound") {
            headers.push(("Require", "outbound".to_owned()));
        }
        headers
    }

    /// A binding from before a restart. Its timer is set at the next timeout, which is due at once.
    pub(crate) fn restore(&mut self, mut binding: Binding) {
        binding.id = self.new_id();
        let key = (binding.extension.clone(), binding.id);
        self.timers.set(key.clone(), TimerName::Restored, MonoTime(0));
        self.timers.set(key, TimerName::Probe, MonoTime(0));
        self.insert(binding);
    }

    /// What is registered, the best first; also what does not answer.
    pub(crate) fn contacts_of(&self, extension: &Extension, now: Now) -> Vec<&Binding> {
        let all = self.of(extension).iter().filter(|it| !self.left(it, now).is_zero());
        let mut all: Vec<&Binding> = all.collect();
        all.sort_by_key(|it| std::cmp::Reverse(it.q));
        all
    }

    /// How long a registration lasts. The wall clock may be set at any time, so it counts for what
    /// another process has granted and for nothing else.
    fn left(&self, it: &Binding, now: Now) -> Duration {
        match self.timers.at((it.extension.clone(), it.id), TimerName::Expiry) {
            Some(at) => at.since(now.mono),
            None => Duration::from_millis(it.expires_wall.millis_since(now.wall)),
        }
    }

    pub(crate) fn is_path(&self, flow: Flow) -> bool {
        self.paths.contains_key(&(flow.transport, flow.remote))
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Binding> {
        self.of(&key.0).iter().find(|it| it.id == key.1)
    }

    /// The phone reacted to a request, or did not.
    pub(crate) fn heard(&mut self, key: &Key, reachable: bool) -> Option<Event> {
        let all = self.bindings.get_mut(&key.0)?;
        let it = all.iter_mut().find(|it| it.id == key.1 && it.reachable != reachable)?;
        it.reachable = reachable;
        let binding = Box::new(it.clone());
        Some(if reachable { Event::Reachable { binding } } else { Event::Unreachable { binding } })
    }

    pub(crate) fn poll_timeout(&self) -> Option<Due> {
        self.timers.next()
    }

    pub(crate) fn handle_timeout(
        &mut self,
        config: &Config,
        random: &mut Random,
        now: Now,
    ) -> Vec<Fired> {
        let mut fired = Vec::new();
        while let Some((key, name)) = self.timers.pop(now.mono) {
            let Some(it) = self.get(&key) else { continue };
            let left = self.left(it, now);
            if name == TimerName::Probe {
                self.plan_probe(&key, config, random, now);
                if !config.probe_every.is_zero() {
                    fired.push(Fired::Probe(key));
                }
            } else if name == TimerName::Restored && !left.is_zero() {
                self.timers.set(key, TimerName::Expiry, now.mono + left);
            } else {
                let gone = self.take_if(&key.0, |it| it.id == key.1).into_iter();
                fired.extend(gone.map(|it| Fired::Event(unbound(it, UnboundWhy::Expired))));
            }
        }
        fired
    }

    /// RFC 5626 §5.3: what came by a connection cannot be reached without it.
    pub(crate) fn handle_connection_gone(&mut self, conn: ConnId) -> Vec<Event> {
        let keys = self.by_conn.take(conn);
        let gone =
            keys.iter().flat_map(|(extension, id)| self.take_if(extension, |it| it.id == *id));
        gone.map(|it| unbound(it, UnboundWhy::ConnectionGone)).collect()
    }

    /// At a random place within the interval, so that phones that came together are not asked
    /// together.
    fn plan_probe(&mut self, key: &Key, config: &Config, random: &mut Random, now: Now) {
        let every = u64::try_from(config.probe_every.as_millis()).unwrap_or(u64::MAX);
        if every > 0 {
            let wait = Duration::from_millis(random.between(every / 2, every));
            self.timers.set(key.clone(), TimerName::Probe, now.mono + wait);
        }
    }

    fn of(&self, extension: &Extension) -> &[Binding] {
        self.bindings.get(extension).map(Vec::as_slice).unwrap_or_default()
    }

    const fn new_id(&mut self) -> u64 {
        self.next = self.next.saturating_add(1);
        self.next
    }

    fn insert(&mut self, binding: Binding) {
        let path = (binding.flow.transport, binding.flow.remote);
        let n = self.paths.entry(path).or_default();
        *n = n.saturating_add(1);
        self.by_conn.insert(binding.flow.conn, (binding.extension.clone(), binding.id));
        self.bindings.entry(binding.extension.clone()).or_default().push(binding);
    }

    fn take_if(&mut self, extension: &Extension, is: impl Fn(&Binding) -> bool) -> Vec<Binding> {
        let Some(all) = self.bindings.get_mut(extension) else { return Vec::new() };
        let gone: Vec<Binding> = all.extract_if(.., |it| is(it)).collect();
        if all.is_empty() {
            self.bindings.remove(extension);
        }
        for it in &gone {
            let key = (it.extension.clone(), it.id);
            self.timers.cancel_all(&key);
            let path = (it.flow.transport, it.flow.remote);
            if let Some(n) = self.paths.get_mut(&path) {
                *n = n.saturating_sub(1);
                if *n == 0 {
                    self.paths.remove(&path);
                }
            }
            self.by_conn.remove(it.flow.conn, &key);
        }
        gone
    }
}

/// Whether the new contact takes the old one's place: the same instance and flow number (RFC 5626
/// §6), the same address (RFC 3261 §10.3), or the same way by a phone that has begun anew: after
/// its restart it has another Call-ID, and often another Contact.
fn is_same_phone(old: &Binding, new: &Binding) -> bool {
    if old.instance.is_some() && new.instance.is_some() {
        return old.instance == new.instance && old.reg_id == new.reg_id;
    }
    let restarted = old.flow == new.flow
        && old.path.is_empty()
        && new.path.is_empty()
        && old.call_id != new.call_id;
    restarted || wish::is_same_uri(&old.contact, &new.contact)
}

fn unbound(binding: Binding, why: UnboundWhy) -> Event {
    Event::Unbound { binding: Box::new(binding), why }
}

/// Phones that registered in the same second, when the power came back, come again at different
/// times: each is granted a little less than it asked for.
fn shortened(asked: Duration, config: &Config, random: &mut Random) -> Duration {
    let asked = asked.as_secs();
    let most = asked.saturating_mul(u64::from(config.expires_spread.min(90))) / 100;
    let least = config.expires_min.as_secs().min(asked);
    Duration::from_secs(asked.saturating_sub(random.between(0, most)).max(least))
}
