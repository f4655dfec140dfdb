//! The whole SIP side of control.

mod adrift;
mod ask;
mod challenged;
mod early;
mod ending;
mod enrol;
mod in_dialog;
mod incoming;
mod keys;
mod names;
mod offer;
mod outgoing;
mod overload;
mod phones;
mod probe;
mod receive;
mod refer;
mod register;
mod reliable;
mod session;
#[cfg(test)]
mod tests;
mod timeouts;
mod watch;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hotline_base::{ConnId, Due, Extension, HashedMap, LegId, MonoTime, Now, Random, earliest};

pub(crate) use self::enrol::Registrant;
use self::{enrol::Registration, overload::TurnedAway};
use crate::{
    Admit, Binding, Config, EndWhy, Event, Feedback, Flow, Message, Output,
    by_conn::ByConn,
    dialog::Dialog,
    leg::{Leg, Purpose, Talk, Up},
    registrar::{Fired, Registrar},
    timers::Timers,
    transaction::{Outbox, Tempo, Transactions, TxId},
};

/// Transactions, dialogs as legs, and the registrar of agents' phones.
///
/// It is a user agent for both sides of a call: what it does for the engine it also does for a
/// robot that plays a phone or a carrier.
pub struct Endpoint {
    config: Config,
    random: Random,
    next_leg: u64,
    out: Outbox,
    transactions: Transactions,
    purposes: BTreeMap<TxId, Purpose>,
    legs: BTreeMap<LegId, Leg>,
    dialogs: HashedMap<LegId>,
    /// Legs with a dialog.
    by_conn: ByConn<LegId>,
    /// Legs whose connection is gone, and where their peer was.
    adrift: BTreeMap<LegId, IpAddr>,
    /// Legs from whose peer no sound is due, and when it was asked first of the times that nobody
    /// answered.
    silent: BTreeMap<LegId, Option<MonoTime>>,
    timers: Timers<LegId>,
    registrar: Registrar,
    registrations: BTreeMap<Registrant, Registration>,
    contact_params: String,
    /// Told to peers that take part in overload control; `None`: nothing is.
    feedback: Option<Feedback>,
    turned_away: TurnedAway,
    /// REFERs of peers that wait for an answer, and our own that may still be notified of.
    refers: BTreeMap<LegId, refer::Refer>,
    /// Who is told, or tells us, what becomes of a REFER, also after the call (RFC 3515 §2.4.4).
    subscriptions: refer::Subscriptions,
}

impl Endpoint {
    /// `seed` names branches and tags (through `config.secret`, so that an outsider who knows some
    /// cannot guess others); legs are counted from `first_leg`.
    pub fn new(config: Config, seed: u64, first_leg: u64) -> Self {
        Self {
            transactions: Transactions::new(Tempo::of(&config), &config.secret),
            dialogs: HashedMap::new(&config.secret),
            subscriptions: refer::Subscriptions::new(&config.secret),
            config,
            random: Random::new(seed),
            next_leg: first_leg,
            out: Outbox::new(),
            purposes: BTreeMap::new(),
            legs: BTreeMap::new(),
            by_conn: ByConn::new(),
            adrift: BTreeMap::new(),
            silent: BTreeMap::new(),
            timers: Timers::new(),
            registrar: Registrar::new(seed),
            registrations: BTreeMap::new(),
            contact_params: String::new(),
            feedback: None,
            turned_away: TurnedAway::default(),
            refers: BTreeMap::new(),
        }
    }

    /// Legs, bindings and armed timers stay; what begins from now on follows `config`.
    pub fn configure(&mut self, config: Config) {
        self.transactions.set_tempo(Tempo::of(&config));
        self.config = config;
    }

    /// Parameters of our Contact in what [`register`](Self::register) sends from now on, such as
    /// `;q=0.5`.
    pub fn set_contact_params(&mut self, params: &str) {
        params.clone_into(&mut self.contact_params);
    }

    /// A message that came by `flow`. An INVITE of a stranger is answered 403, without a
    /// transaction and never at greater length than it has, and reported as
    /// [`Event::Stranger`](crate::Event::Stranger).
    pub fn handle_message(&mut self, flow: Flow, message: Message, admit: Admit, now: Now) {
        if message.status().is_some() {
            self.handle_response(flow, &message, now);
        } else {
            self.handle_request(flow, message, admit, now);
        }
        self.forget_gone();
    }

    /// Transactions on the connection fail and phones registered through it are unbound. Dialogs
    /// stay: their next request goes by a new connection, the telephone's own if it is back by then.
    pub fn handle_connection_gone(&mut self, conn: ConnId, now: Now) {
        for leg in self.by_conn.take(conn) {
            self.set_adrift(leg);
        }
        self.subscriptions.conn_gone(conn);
        for notice in self.transactions.handle_connection_gone(conn) {
            self.on_notice(notice, now);
        }
        let events = self.registrar.handle_connection_gone(conn);
        self.out.extend(events.into_iter().map(Output::Event));
        self.forget_gone();
    }

    /// Nothing sent by `flow` arrives: the rim could not connect, or ICMP said so. Requests there
    /// that have no response fail now, not after 32 s (RFC 3261 §18.4).
    pub fn handle_unreachable(&mut self, flow: Flow, now: Now) {
        for notice in self.transactions.handle_unreachable(flow, now.mono, &mut self.out) {
            self.on_notice(notice, now);
        }
        self.forget_gone();
    }

    pub fn handle_timeout(&mut self, now: Now) {
        for notice in self.transactions.handle_timeout(now.mono, &mut self.out) {
            self.on_notice(notice, now);
        }
        while let Some((leg, name)) = self.timers.pop(now.mono) {
            self.on_leg_timer(leg, name, now);
        }
        self.end_subscriptions(now);
        for fired in self.registrar.handle_timeout(&self.config, &mut self.random, now) {
            match fired {
                Fired::Event(event) => self.say(event),
                Fired::Probe(key) => self.probe_phone(&key, now),
            }
        }
        self.forget_gone();
    }

    pub fn poll_timeout(&self) -> Option<Due> {
        let legs = earliest(self.transactions.poll_timeout(), self.timers.next());
        earliest(earliest(legs, self.subscriptions.next()), self.registrar.poll_timeout())
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Rules of a carrier make `length` bytes of a [`Output::Transmit`] with these `bytes`. A request
    /// goes by a stream or as a datagram for the length it leaves with (RFC 3261 §18.1.1): where
    /// that is not what its output says, the flow and the bytes to take instead, again before the
    /// rules.
    pub fn refit(&mut self, bytes: &[u8], length: usize, now: Now) -> Option<(Flow, Arc<[u8]>)> {
        self.transactions.refit(bytes, length, now.mono)
    }

    /// Counts up from `first_leg`. Incoming calls take their number here, too.
    pub const fn new_leg(&mut self) -> LegId {
        let leg = LegId(self.next_leg);
        self.next_leg = self.next_leg.saturating_add(1);
        leg
    }

    /// An answered leg's dialog as bytes, to outlive this process; `None` for every other leg.
    pub fn save(&self, leg: LegId) -> Option<Vec<u8>> {
        match self.legs.get(&leg)? {
            Leg::Up(it) => {
                let is_silent = self.silent.contains_key(&leg);
                borsh::to_vec(&(SAVED, leg, &it.dialog, &it.talk, is_silent)).ok()
            }
            Leg::Incoming(_) | Leg::Outgoing { .. } | Leg::Closing(_) => None,
        }
    }

    /// Takes a saved dialog over: requests of the peer reach it, and it can be hung up. `None`: of
    /// another version, damaged, or there already.
    pub fn restore(&mut self, saved: &[u8], now: Now) -> Option<LegId> {
        let (version, leg, mut dialog, talk, is_silent) =
            borsh::from_slice::<(u8, LegId, Dialog, Talk, bool)>(saved).ok()?;
        let is_there = self.legs.contains_key(&leg) || self.dialogs.contains_key(&dialog.key());
        if version != SAVED || is_there {
            return None;
        }
        // Refreshes since it was saved have used numbers.
        dialog.local_cseq = dialog.local_cseq.saturating_add(UNSAVED_MAX);
        self.next_leg = self.next_leg.max(leg.0.saturating_add(1));
        self.dialogs.insert(&dialog.key(), leg);
        // Its connection ended with the process that had it.
        let is_adrift = dialog.flow.transport.is_reliable();
        self.legs.insert(leg, Leg::Up(Box::new(Up::new(dialog, talk))));
        if is_silent {
            self.silent.insert(leg, None);
        }
        if is_adrift {
            self.set_adrift(leg);
        }
        self.arm_restored(leg, now);
        // The numbers we use from here on must not be used again by the process after this one.
        self.say(Event::Changed { leg });
        Some(leg)
    }

    /// The Call-ID of a leg's dialog, also of one that is not answered yet.
    pub fn call_id(&self, leg: LegId) -> Option<&[u8]> {
        match self.legs.get(&leg)? {
            Leg::Incoming(it) => Some(it.dialog.call_id()),
            Leg::Up(it) => Some(it.dialog.call_id()),
            Leg::Closing(it) => Some(it.dialog.call_id()),
            Leg::Outgoing(it) => Some(it.call_id.as_bytes()),
        }
    }

    /// Where the requests of a leg's dialog go, once there is one; the answered one, of a leg that
    /// we dialled.
    pub fn peer_of(&self, leg: LegId) -> Option<SocketAddr> {
        Some(self.legs.get(&leg)?.dialog()?.flow.remote)
    }

    /// Where to reach an extension's phones, the best first; also those that do not react.
    pub fn contacts_of(&self, extension: &Extension, now: Now) -> Vec<Binding> {
        self.registrar.contacts_of(extension, now).into_iter().cloned().collect()
    }

    /// The phones of the extension that are registered and react, the best first.
    pub fn reachable_of(&self, extension: &Extension, now: Now) -> impl Iterator<Item = &Binding> {
        self.registrar.contacts_of(extension, now).into_iter().filter(|it| it.reachable)
    }

    /// Whether some phone of the extension is registered and reacts.
    pub fn is_reachable(&self, extension: &Extension, now: Now) -> bool {
        self.reachable_of(extension, now).next().is_some()
    }

    /// Whether a registered phone's requests come by this flow. Whose it is, its calls prove
    /// ([`Invited::phone`](crate::Invited)).
    pub fn is_phone(&self, flow: Flow) -> bool {
        self.registrar.is_path(flow)
    }

    /// A binding from before a restart. It expires when it would have.
    pub fn restore_binding(&mut self, binding: Binding) {
        self.registrar.restore(binding);
    }

    /// Legs that are not ended, and ended ones whose BYE is not done.
    pub fn n_legs(&self) -> usize {
        self.legs.len()
    }

    pub fn n_transactions(&self) -> usize {
        self.transactions.len()
    }

    fn say(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    /// Takes a leg out for good.
    fn remove_leg(&mut self, id: LegId) -> Option<Leg> {
        let leg = self.legs.remove(&id)?;
        self.timers.cancel_all(&id);
        self.silent.remove(&id);
        self.drop_refer(id);
        if let Some(dialog) = leg.dialog() {
            self.dialogs.remove(&dialog.key());
            self.by_conn.remove(dialog.flow.conn, &id);
            self.adrift.remove(&id);
            self.subscriptions.leg_ends(id, dialog);
        }
        Some(leg)
    }

    /// Takes a leg out and says why.
    fn end_leg(&mut self, id: LegId, why: EndWhy) -> Option<Leg> {
        let leg = self.remove_leg(id)?;
        self.say(Event::Ended { leg: id, why });
        Some(leg)
    }

    fn forget_gone(&mut self) {
        while let Some(id) = self.transactions.pop_gone() {
            self.purposes.remove(&id);
        }
    }
}

/// Nothing of a peer is printed.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("n_legs", &self.n_legs())
            .field("n_transactions", &self.n_transactions())
            .finish_non_exhaustive()
    }
}

/// Version of [`Endpoint::save`].
const SAVED: u8 = 4;

/// More requests than anybody sends in a dialog between two times it is saved: who holds for three
/// days is asked so often.
const UNSAVED_MAX: u32 = 10_000;
