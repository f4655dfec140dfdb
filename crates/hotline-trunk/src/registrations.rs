//! 注册中继: keeps the accounts of trunks registered at their carriers (RFC 3261 §10.2).
//!
//! One REGISTER of an account is under way at a time. What is granted is refreshed long before it
//! ends; a gateway that does not answer is followed by the trunk's next one at once, and when none
//! is left, by a pause that grows (RFC 5626 §4.5). A registrar that refuses the account itself is
//! asked seldom: carriers lock accounts after some wrong passwords.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use hotline_base::{ConnId, Due, MonoTime, Random, TrunkId};

use crate::{Fleet, GatewayId, TrunkConfig};

/// An account at a carrier's registrar; who proves it, somebody else knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountConfig {
    /// User of the address of record and of our Contact, such as `+8677112345`.
    pub user: String,
    /// Domain of the address of record; `None`: the gateway's address.
    pub domain: Option<String>,
    /// The number it stands for, normalised: calls to our Contact are calls to it.
    pub number: String,
    /// How long a registration is asked for.
    pub expires: Duration,
}

/// An account of a trunk, by its place in [`TrunkConfig::accounts`].
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AccountId {
    pub trunk: TrunkId,
    pub place: usize,
}

/// What the registrations want done, and what became of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RegistrationOutput {
    /// Send REGISTER; tell [`Registrations::answered`] how it went, in any case. Zero takes the
    /// registration back.
    Ask { account: AccountId, gateway: GatewayId, expires: Duration },
    /// An account is registered now, or not any more; `status` is the last answer.
    Changed { account: AccountId, registered: bool, status: u16 },
}

/// How a REGISTER went.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// 408 for silence, 503 for a connection that failed.
    pub status: u16,
    pub granted: Duration,
    pub min_expires: Option<Duration>,
    pub retry_after: Option<Duration>,
    pub service_route: Vec<String>,
    /// The connection it came by.
    pub conn: Option<ConnId>,
}

/// An account on a screen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountState {
    pub user: String,
    /// The gateway it is registered at.
    pub registered: Option<SocketAddr>,
    /// The last answer; 0: none yet.
    pub status: u16,
}

#[derive(Clone, Debug)]
enum Turn {
    /// The next REGISTER leaves then.
    Rests {
        until: MonoTime,
    },
    Asked {
        gateway: GatewayId,
        expires: Duration,
    },
    /// Taken back, for good.
    Gone,
}

/// What a carrier granted.
#[derive(Clone, Debug)]
struct Held {
    gateway: GatewayId,
    until: MonoTime,
    routes: Vec<String>,
    conn: Option<ConnId>,
}

#[derive(Debug)]
struct Member {
    config: AccountConfig,
    turn: Turn,
    held: Option<Held>,
    /// What is asked for; a 423 raises it, once for each success.
    expires: Duration,
    raised: bool,
    /// Gateways that did not answer since the last pause, by place.
    tried: Vec<usize>,
    /// Pauses since the last success.
    n_pauses: u32,
    status: u16,
    /// What was last said to be so.
    told: Option<bool>,
}

/// The registrations of every account.
#[derive(Debug)]
pub struct Registrations {
    members: BTreeMap<AccountId, Member>,
    leaving: bool,
    outputs: VecDeque<RegistrationOutput>,
}

impl Registrations {
    pub fn new<'a>(trunks: impl IntoIterator<Item = &'a TrunkConfig>, now: MonoTime) -> Self {
        let mut members = BTreeMap::new();
        let mut first = now;
        for trunk in trunks {
            for (place, config) in trunk.accounts.iter().enumerate() {
                let id = AccountId { trunk: trunk.id.clone(), place };
                members.insert(id, Member::new(config.clone(), first));
                first = first + APART;
            }
        }
        Self { members, leaving: false, outputs: VecDeque::new() }
    }

    /// Where the account is registered, and the Route values of what it sends (RFC 3608).
    pub fn held(&self, account: &AccountId) -> Option<(&GatewayId, &[String])> {
        let held = self.members.get(account)?.held.as_ref()?;
        Some((&held.gateway, &held.routes))
    }

    /// Whether some account of the trunk is registered at the gateway.
    pub fn is_held_at(&self, gateway: &GatewayId) -> bool {
        self.of(&gateway.trunk).any(|(_, it)| it.is_at(gateway))
    }

    /// The accounts of a trunk, for screens.
    pub fn accounts(&self, trunk: &TrunkId, fleet: &Fleet) -> Vec<AccountState> {
        let state = |it: &Member| AccountState {
            user: it.config.user.clone(),
            registered: it
                .held
                .as_ref()
                .and_then(|it| fleet.config(&it.gateway))
                .map(|it| it.address),
            status: it.status,
        };
        self.of(trunk).map(|(_, it)| state(it)).collect()
    }

    /// The end of what [`RegistrationOutput::Ask`] began.
    pub fn answered(
        &mut self,
        id: &AccountId,
        answer: Answer,
        fleet: &Fleet,
        random: &mut Random,
        now: MonoTime,
    ) {
        let leaving = self.leaving;
        let Some(it) = self.members.get_mut(id) else { return };
        let Turn::Asked { gateway, expires } = it.turn.clone() else { return };
        it.status = answer.status;
        let refresh = match answer.status {
            // Taken back, or not: nobody waits for it.
            _ if expires.is_zero() => None,
            200..300 if !answer.granted.is_zero() => {
                it.take(gateway, answer, now);
                Some(it.granted_for(now))
            }
            423 if it.longer(answer.min_expires) => Some(Duration::ZERO),
            status => Some(it.failed(gateway.place, status, answer.retry_after, fleet, id, random)),
        };
        let stays = refresh.filter(|_| !leaving || it.held.is_some());
        it.turn = if let Some(wait) = stays {
            Turn::Rests { until: if leaving { now } else { now + wait } }
        } else {
            it.held = None;
            Turn::Gone
        };
        self.say(id);
    }

    /// A gateway began or ceased to live: who is registered at a dead one registers at another,
    /// and comes back to a better one soon.
    pub fn gateway_changed(
        &mut self,
        gateway: &GatewayId,
        fleet: &Fleet,
        random: &mut Random,
        now: MonoTime,
    ) {
        let lives = fleet.lives(gateway);
        for (id, it) in &mut self.members {
            let Turn::Rests { until } = &mut it.turn else { continue };
            let at = it.held.as_ref().map(|it| &it.gateway).filter(|it| it.trunk == gateway.trunk);
            let moves = match at {
                Some(at) if lives => priority(fleet, gateway) < priority(fleet, at),
                Some(at) => at == gateway && fleet.living(&gateway.trunk) > 0,
                None => lives && id.trunk == gateway.trunk && !refuses(it.status),
            };
            if moves {
                let spread = if lives { SPREAD_MS } else { 0 };
                let wait = Duration::from_millis(random.between(0, spread));
                *until = (*until).min(now + wait);
            }
        }
    }

    /// A connection is gone, and with it the way by which a carrier reached us (RFC 5626 §4.4).
    pub fn conn_gone(&mut self, conn: ConnId, now: MonoTime) {
        for it in self.members.values_mut() {
            let ours = it.held.as_ref().is_some_and(|it| it.conn == Some(conn));
            if let (true, Turn::Rests { until }) = (ours, &mut it.turn) {
                *until = now;
            }
        }
    }

    /// We go down as planned: calls shall come here no more.
    pub fn leave(&mut self, now: MonoTime) {
        self.leaving = true;
        for it in self.members.values_mut() {
            if let Turn::Rests { .. } = it.turn {
                let held = it.held.is_some();
                it.turn = if held { Turn::Rests { until: now } } else { Turn::Gone };
            }
        }
    }

    /// Nothing is registered any more, and nothing is under way.
    pub fn has_left(&self) -> bool {
        self.members.values().all(|it| matches!(it.turn, Turn::Gone))
    }

    pub fn handle_timeout(&mut self, fleet: &Fleet, random: &mut Random, now: MonoTime) {
        let due: Vec<_> = self
            .members
            .iter()
            .filter(|(_, it)| it.poll_timeout().is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            let Some(it) = self.members.get_mut(&id) else { continue };
            it.held = it.held.take().filter(|it| it.until > now);
            if matches!(it.turn, Turn::Rests { until } if until <= now) {
                let expires = if self.leaving { Duration::ZERO } else { it.expires };
                let gateway = it.next_gateway(&id, self.leaving, fleet, random);
                it.turn = match gateway.clone() {
                    Some(gateway) => Turn::Asked { gateway, expires },
                    None => Turn::Gone,
                };
                let account = id.clone();
                self.outputs.extend(gateway.map(|gateway| RegistrationOutput::Ask {
                    account,
                    gateway,
                    expires,
                }));
            }
            self.say(&id);
        }
    }

    pub fn poll_timeout(&self) -> Option<Due> {
        let first = self.members.values().filter_map(Member::poll_timeout).min();
        first.map(|it| (it, "registration"))
    }

    pub fn poll_output(&mut self) -> Option<RegistrationOutput> {
        self.outputs.pop_front()
    }

    fn of(&self, trunk: &TrunkId) -> impl Iterator<Item = (&AccountId, &Member)> {
        let first = AccountId { trunk: trunk.clone(), place: 0 };
        let last = AccountId { trunk: trunk.clone(), place: usize::MAX };
        self.members.range(first..=last)
    }

    /// Says what has changed; before the first answer there is nothing to say.
    fn say(&mut self, id: &AccountId) {
        let Some(it) = self.members.get_mut(id) else { return };
        let registered = it.held.is_some();
        let pauses = matches!(it.turn, Turn::Rests { .. } | Turn::Gone) && it.tried.is_empty();
        if it.told == Some(registered) || (!registered && (it.status == 0 || !pauses)) {
            return;
        }
        it.told = Some(registered);
        let (account, status) = (id.clone(), it.status);
        self.outputs.push_back(RegistrationOutput::Changed { account, registered, status });
    }
}

impl Member {
    fn new(config: AccountConfig, first: MonoTime) -> Self {
        Self {
            expires: config.expires,
            raised: false,
            config,
            turn: Turn::Rests { until: first },
            held: None,
            tried: Vec::new(),
            n_pauses: 0,
            status: 0,
            told: None,
        }
    }

    fn is_at(&self, gateway: &GatewayId) -> bool {
        self.held.as_ref().is_some_and(|it| it.gateway == *gateway)
    }

    fn poll_timeout(&self) -> Option<MonoTime> {
        let turn = match self.turn {
            Turn::Rests { until } => Some(until),
            Turn::Asked { .. } | Turn::Gone => None,
        };
        turn.into_iter().chain(self.held.as_ref().map(|it| it.until)).min()
    }

    /// Where the next REGISTER goes: where it is registered as long as no better gateway lives,
    /// else the first that was not tried in this round.
    fn next_gateway(
        &self,
        id: &AccountId,
        leaving: bool,
        fleet: &Fleet,
        random: &mut Random,
    ) -> Option<GatewayId> {
        let held = self.held.as_ref().map(|it| it.gateway.clone());
        if leaving {
            return held;
        }
        let mut order = fleet.order(&id.trunk, random);
        order.retain(|it| !self.tried.contains(&it.place));
        let first = order.first()?.clone();
        let stays = held.filter(|it| {
            let is_best = fleet.lives(it) && priority(fleet, it) <= priority(fleet, &first);
            is_best && order.contains(it)
        });
        Some(stays.unwrap_or(first))
    }

    fn take(&mut self, gateway: GatewayId, answer: Answer, now: MonoTime) {
        let until = now + answer.granted.min(LONGEST);
        let (routes, conn) = (answer.service_route, answer.conn);
        self.held = Some(Held { gateway, until, routes, conn });
        self.tried.clear();
        self.n_pauses = 0;
        self.raised = false;
    }

    /// 600 s before it ends, or when half of it is over if that is later (3GPP TS 24.229
    /// §5.1.1.4.1).
    fn granted_for(&self, now: MonoTime) -> Duration {
        let left = self.held.as_ref().map_or(Duration::ZERO, |it| it.until.since(now));
        let early = Duration::from_mins(10);
        let wait = if left > early * 2 { left.saturating_sub(early) } else { left / 2 };
        wait.max(SOONEST)
    }

    /// Whether a registrar that grants no less is to be asked for more, at once.
    fn longer(&mut self, least: Option<Duration>) -> bool {
        // Who names a little more each time would be asked for ever.
        let fits = |it: &Duration| *it > self.expires && *it <= LONGEST && !self.raised;
        let Some(least) = least.filter(fits) else { return false };
        self.expires = least;
        self.raised = true;
        true
    }

    /// How long to wait for the next REGISTER.
    fn failed(
        &mut self,
        place: usize,
        status: u16,
        retry_after: Option<Duration>,
        fleet: &Fleet,
        id: &AccountId,
        random: &mut Random,
    ) -> Duration {
        let refused = refuses(status);
        if refused {
            self.held = None;
        } else {
            self.tried.push(place);
            if self.next_gateway(id, false, fleet, random).is_some() {
                return Duration::ZERO;
            }
        }
        self.tried.clear();
        self.n_pauses = self.n_pauses.saturating_add(1);
        let (base, most) = if refused { REFUSED } else { SILENT };
        let doublings = self.n_pauses.saturating_sub(1).min(16);
        let pause = base.saturating_mul(1 << doublings).min(most);
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let pause = Duration::from_millis(random.between(millis / 2, millis));
        pause.max(retry_after.unwrap_or_default().min(RETRY_MAX))
    }
}

/// Whether it is the account that is not wanted, and not the gateway that cannot.
const fn refuses(status: u16) -> bool {
    matches!(status, 400..=407 | 409..=499 | 600..)
}

fn priority(fleet: &Fleet, gateway: &GatewayId) -> u16 {
    fleet.config(gateway).map_or(u16::MAX, |it| it.priority)
}

/// First REGISTERs of many accounts do not come all at once.
const APART: Duration = Duration::from_millis(20);

/// Nor do those that come back to a gateway.
const SPREAD_MS: u64 = 5_000;

/// No registrar gets more REGISTERs, however little it grants.
const SOONEST: Duration = Duration::from_secs(1);

/// Nobody registers for longer.
const LONGEST: Duration = Duration::from_hours(24);

/// First and longest pause when no gateway answers (RFC 5626 §4.5 has 30 s and 30 min; a hotline
/// wants to be reached sooner).
const SILENT: (Duration, Duration) = (Duration::from_secs(4), Duration::from_mins(2));

/// The same when the registrar refuses the account.
const REFUSED: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(30));

/// A registrar may not put us off for longer.
const RETRY_MAX: Duration = Duration::from_mins(30);
