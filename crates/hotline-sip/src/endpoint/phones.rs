//! Our calls to registered phones, and whether these are there.
//!
//! A person may have several phones. Those of the highest q ring together; those of a lower q are
//! dialled when nobody of a higher one is left that could answer. One answer is enough, and one
//! refusal by a person, too: it is the same person at each of them. A phone that registered by
//! several flows is asked by one of them, and by the next when that flow fails.

use std::{collections::VecDeque, time::Duration};

use hotline_base::{Extension, LegId, Now};

use super::{Endpoint, names::ACCEPT};
use crate::{
    Binding, Dial, EndWhy, Message,
    build::MessageBuilder,
    leg::{Fork, Invite, Leg, Purpose, Target},
    registrar::Key,
    timers::TimerName,
    transaction::TxId,
};

/// A phone that has not said anything to an OPTIONS by then is not there: four copies were sent
/// (RFC 3261 §17.1.2.2: at 0, 0.5, 1.5 and 3.5 s).
const SILENCE: Duration = Duration::from_secs(4);

impl Endpoint {
    /// Calls the phones of an extension that react; `dial` says how, for each, and `None` for one
    /// that is not called. False: there is none, and nothing was begun. Ends as
    /// [`dial`](Self::dial) does.
    pub fn dial_extension(
        &mut self,
        leg: LegId,
        extension: &Extension,
        dial: impl Fn(&Binding) -> Option<Dial>,
        now: Now,
    ) -> bool {
        let mut later = VecDeque::<Vec<Target>>::new();
        let mut last = None;
        for it in self.reachable_of(extension, now) {
            let Some(mut dial) = dial(it) else { continue };
            dial.headers.extend(it.path.iter().map(|it| ("Route".to_owned(), it.clone())));
            let flow = ((extension.clone(), it.id), dial);
            let own = it.instance.as_ref();
            let mut targets = later.iter_mut().flatten();
            if let Some(it) = targets.find(|it| own.is_some() && it.instance.as_ref() == own) {
                it.flows.push_back(flow);
                continue;
            }
            if last.replace(it.q) != Some(it.q) {
                later.push_back(Vec::new());
            }
            if let Some(group) = later.back_mut() {
                group.push(Target { instance: it.instance.clone(), flows: [flow].into() });
            }
        }
        let first = later.front().and_then(|it| it.first()?.flows.front());
        let Some(limit) = first.map(|it| it.1.ring_limit) else { return false };
        if !self.legs.contains_key(&leg) {
            self.begin_ringing(leg, later, limit, now);
            self.dial_next(leg, now);
        }
        true
    }

    /// Dials those of the next q, or ends the leg when there are none.
    fn dial_next(&mut self, leg: LegId, now: Now) {
        loop {
            let Some(Leg::Outgoing(it)) = self.legs.get_mut(&leg) else { return };
            let failure = it.failure;
            let Some(group) = it.later.pop_front() else {
                self.end_leg(leg, failure);
                return;
            };
            let mut is_begun = false;
            for target in group {
                is_begun |= self.dial_phone(leg, target.flows, now);
            }
            if is_begun {
                return;
            }
        }
    }

    /// Dials a phone by the first of its flows. False: by none, for its contacts are no URIs.
    fn dial_phone(&mut self, leg: LegId, mut flows: VecDeque<(Key, Dial)>, now: Now) -> bool {
        while let Some((key, dial)) = flows.pop_front() {
            let limit = dial.silence_limit;
            let Some(client) = self.invite(leg, Box::new(dial), now) else { continue };
            if let Some(Leg::Outgoing(it)) = self.legs.get_mut(&leg) {
                it.forks.push(Fork { client, phone: Some(key), spare: flows });
            }
            self.limit_silence(leg, limit, now);
            return true;
        }
        false
    }

    /// One of the INVITEs of a leg came to nothing.
    pub(super) fn fork_failed(&mut self, leg: LegId, client: TxId, why: EndWhy, now: Now) {
        let Some(Leg::Outgoing(it)) = self.legs.get_mut(&leg) else { return };
        let Some(at) = it.forks.iter().position(|it| it.client == client) else { return };
        let fork = it.forks.remove(at);
        if rank(why) >= rank(it.failure) {
            it.failure = why;
        }
        let mut others = Vec::new();
        if is_decision(why) {
            it.later.clear();
            others = std::mem::take(&mut it.forks);
        }
        let nobody_left = it.forks.is_empty();
        if let Some(phone) = fork.phone {
            self.phone_heard(&phone, is_reaction(why));
        }
        for it in others {
            self.cancel(it.client, None, now);
        }
        let goes_on = is_of_flow(why) && self.dial_phone(leg, fork.spare, now);
        if nobody_left && !goes_on {
            self.dial_next(leg, now);
        }
    }

    /// One of the INVITEs of a leg was answered. An answer that comes later is hung up.
    pub(super) fn end_other_forks(&mut self, leg: LegId, answered: TxId, now: Now) {
        let Some(Leg::Outgoing(it)) = self.legs.get_mut(&leg) else { return };
        let (winner, others): (Vec<Fork>, Vec<Fork>) =
            std::mem::take(&mut it.forks).into_iter().partition(|it| it.client == answered);
        for phone in winner.into_iter().filter_map(|it| it.phone) {
            self.phone_heard(&phone, true);
        }
        for it in others {
            self.cancel(it.client, Some(ELSEWHERE.to_owned()), now);
        }
    }

    pub(super) fn limit_silence(&mut self, leg: LegId, limit: Option<Duration>, now: Now) {
        if let Some(limit) = limit {
            self.timers.set(leg, TimerName::Silence, now.mono + limit);
        }
    }

    /// Whoever took a dialled leg is dead, though it may have said 100 before: the leg ends with
    /// [`EndWhy::NoResponse`], like one to which nobody said anything.
    pub fn abandon(&mut self, leg: LegId, now: Now) {
        self.give_forks_up(leg, |_| true, now);
    }

    /// Who said nothing until now is given up.
    pub(super) fn on_silence(&mut self, leg: LegId, now: Now) {
        self.give_forks_up(leg, |it| !it.is_ringing, now);
    }

    /// A ring that comes later is cancelled, an answer is hung up.
    fn give_forks_up(&mut self, leg: LegId, whose: impl Fn(&Invite) -> bool, now: Now) {
        let Some(Leg::Outgoing(it)) = self.legs.get(&leg) else { return };
        let clients: Vec<TxId> = it.forks.iter().map(|it| it.client).collect();
        for client in clients {
            let purpose = self.purposes.get(&client);
            if matches!(purpose, Some(Purpose::Invite(it)) if whose(it)) {
                self.transactions.hush(client);
                self.cancel(client, None, now);
                self.fork_failed(leg, client, EndWhy::NoResponse, now);
            }
        }
    }

    /// Asks a phone whether it is there.
    pub(super) fn probe_phone(&mut self, key: &Key, now: Now) {
        let Some(it) = self.registrar.get(key).cloned() else { return };
        let via = self.fresh_via(it.flow);
        let host = self.config.sent_by(it.flow);
        let bytes = MessageBuilder::request("OPTIONS", it.contact.as_bytes())
            .header("Via", via)
            .header("Max-Forwards", "70")
            .each("Route", &it.path)
            .header("From", format!("<sip:{host}>;tag={}", self.token()))
            .header("To", format!("<{}>", it.contact))
            .header("Call-ID", self.token())
            .header("CSeq", "1 OPTIONS")
            .header("Contact", self.contact("hotline", it.flow))
            .header("Accept", ACCEPT)
            .header("User-Agent", &self.config.user_agent)
            .end();
        let Ok(message) = Message::parse(&bytes) else { return };
        let begun = self.transactions.begin_client(message, it.flow, now.mono, &mut self.out);
        if let Some(id) = begun {
            self.transactions.hurry_client(id, SILENCE, now.mono);
            self.purposes.insert(id, Purpose::Phone(key.clone()));
        }
    }

    pub(super) fn on_phone_response(&mut self, id: TxId, key: Key, message: &Message) {
        match message.status() {
            Some(status @ 200..) => self.phone_heard(&key, !is_away(status)),
            Some(_) | None => {
                self.purposes.insert(id, Purpose::Phone(key));
            }
        }
    }

    pub(super) fn phone_heard(&mut self, key: &Key, reachable: bool) {
        if let Some(event) = self.registrar.heard(key, reachable) {
            self.say(event);
        }
    }
}

/// RFC 3326: the phone does not show a call that was missed.
const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// A person at one of the phones does not want the call (RFC 3261 §21.4.24, §21.6).
const fn is_decision(why: EndWhy) -> bool {
    matches!(why, EndWhy::Refused { status: 486 | 600.., .. })
}

/// Somebody between us and the phone says that the phone is not there (RFC 5626 §11.1: 430).
pub(super) const fn is_away(status: u16) -> bool {
    matches!(status, 408 | 430 | 503 | 504)
}

/// RFC 5626 §5.3: only what failed before it reached the phone, or may have, is asked for again by
/// another flow; any other final response is the phone's own.
const fn is_of_flow(why: EndWhy) -> bool {
    match why {
        EndWhy::NoResponse | EndWhy::ConnectionGone => true,
        EndWhy::Refused { status, .. } => status == 430,
        EndWhy::Bye { .. }
        | EndWhy::Cancelled
        | EndWhy::NoAnswer
        | EndWhy::AckMissing
        | EndWhy::Local
        | EndWhy::Expired => false,
    }
}

const fn is_reaction(why: EndWhy) -> bool {
    match why {
        EndWhy::Refused { status, .. } => !is_away(status),
        EndWhy::NoResponse | EndWhy::ConnectionGone | EndWhy::Expired => false,
        EndWhy::Bye { .. }
        | EndWhy::Cancelled
        | EndWhy::NoAnswer
        | EndWhy::AckMissing
        | EndWhy::Local => true,
    }
}

/// Which failure of several is told: what a person said before what a machine said, and this before
/// silence.
const fn rank(why: EndWhy) -> u8 {
    if is_decision(why) {
        2
    } else if is_reaction(why) {
        1
    } else {
        0
    }
}
