//! Who is heard: strangers a little, floods not at all, trunks and telephones always.
//!
//! Asked once for every datagram and frame, before anything of it is parsed. What it remembers is
//! bounded; a flood from forged addresses fills no memory and no more than the strangers' share of
//! control's time.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hotline_sip::Transport;
use hotline_trunk::{Network, Source};

use crate::{Count, Counters, Flood};

/// Addresses of strangers that are counted, and addresses that are banned, at the same time.
const ADDRESSES_MAX: usize = 32_768;

/// How often a full table may be searched for what is over.
const SWEEP: Duration = Duration::from_secs(1);

/// What becomes of a message, by its source alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// A trunk, an address with registered telephones, or a friend.
    Known,
    Stranger,
    /// Not heard; counted already.
    Refused,
}

/// One address that is not heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ban {
    /// The first of its /64 for IPv6.
    pub address: IpAddr,
    /// How long it lasts from now.
    pub left: Duration,
    /// Messages dropped so far.
    pub n_dropped: u64,
}

/// Shared by the sockets' tasks, the control thread (who knows the telephones) and the web.
pub struct Gate {
    flood: Flood,
    /// Of the trunks and then of the friends.
    known: Vec<Network>,
    counters: Arc<Counters>,
    state: Mutex<State>,
}

struct State {
    /// Addresses with telephones.
    phones: HashMap<IpAddr, Phones>,
    /// The ways by which these registered.
    flows: HashSet<Way>,
    /// One for each network of [`Gate::known`].
    known: Vec<Bucket>,
    strangers: HashMap<IpAddr, Seen>,
    all_strangers: Bucket,
    handshakes: Bucket,
    bans: HashMap<IpAddr, Banned>,
    swept: Option<Instant>,
}

/// Transport and address of a registered telephone, as a socket of either family sees it.
type Way = (Transport, SocketAddr);

#[derive(Clone, Copy, Default)]
struct Phones {
    bucket: Bucket,
    n_flows: usize,
}

#[derive(Clone, Copy)]
struct Seen {
    since: Instant,
    n: u32,
}

#[derive(Clone, Copy)]
struct Banned {
    until: Instant,
    n_dropped: u64,
}

/// As many messages as a second brings; refilled as time goes by.
#[derive(Clone, Copy, Default)]
struct Bucket {
    second: Option<Instant>,
    n: u32,
}

impl Bucket {
    /// Whole seconds instead of a steady trickle: a burst at their edge passes twice the rate once,
    /// which harms nobody.
    fn take(&mut self, per_sec: u32, now: Instant) -> bool {
        let begins = self.second.is_none_or(|it| now.duration_since(it) >= Duration::from_secs(1));
        if begins {
            *self = Self { second: Some(now), n: 0 };
        }
        self.n = self.n.saturating_add(1);
        self.n <= per_sec
    }
}

impl Gate {
    pub fn new(flood: Flood, counters: Arc<Counters>) -> Self {
        let known: Vec<_> =
            flood.trunks.iter().chain(&flood.friends).map(Source::network).collect();
        let state = State {
            phones: HashMap::new(),
            flows: HashSet::new(),
            known: vec![Bucket::default(); known.len()],
            strangers: HashMap::new(),
            all_strangers: Bucket::default(),
            handshakes: Bucket::default(),
            bans: HashMap::new(),
            swept: None,
        };
        Self { flood, known, counters, state: Mutex::new(state) }
    }

    /// Judges one message by where it comes from.
    pub fn judge(&self, from: SocketAddr, now: Instant) -> Verdict {
        let address = address(from.ip());
        let mut state = self.state();
        // First, because it is a flood's way: who is known is never among the banned.
        if let Some(ban) = state.bans.get_mut(&address) {
            if ban.until > now {
                ban.n_dropped += 1;
                self.counters.add(Count::BannedDropped);
                return Verdict::Refused;
            }
            state.bans.remove(&address);
        }
        let per_sec = self.flood.known_per_sec_max;
        let known = match self.known(from.ip()) {
            Some(n) => state.known.get_mut(n),
            None => state.phones.get_mut(&from.ip().to_canonical()).map(|it| &mut it.bucket),
        };
        if let Some(bucket) = known {
            if bucket.take(per_sec, now) {
                return Verdict::Known;
            }
            self.counters.add(Count::KnownOverRate);
            return Verdict::Refused;
        }
        self.judge_stranger(&mut state, address, now)
    }

    fn judge_stranger(&self, state: &mut State, address: IpAddr, now: Instant) -> Verdict {
        let Flood { requests_max, window, ban, strangers_per_sec_max, .. } = self.flood;
        state.sweep(window, now);
        if state.strangers.len() < ADDRESSES_MAX || state.strangers.contains_key(&address) {
            let seen = state.strangers.entry(address).or_insert(Seen { since: now, n: 0 });
            if now.duration_since(seen.since) >= window {
                *seen = Seen { since: now, n: 0 };
            }
            seen.n += 1;
            if seen.n > requests_max && state.bans.len() < ADDRESSES_MAX {
                state.strangers.remove(&address);
                state.bans.insert(address, Banned { until: now + ban, n_dropped: 1 });
                self.counters.add(Count::Banned);
                self.counters.add(Count::BannedDropped);
                return Verdict::Refused;
            }
        }
        if state.all_strangers.take(strangers_per_sec_max, now) {
            return Verdict::Stranger;
        }
        self.counters.add(Count::StrangersOverRate);
        Verdict::Refused
    }

    /// Whether a TLS handshake may begin; counted if not.
    pub fn may_shake(&self, ip: IpAddr, now: Instant) -> bool {
        if self.is_known(ip) {
            return true;
        }
        let may = self.state().handshakes.take(self.flood.handshakes_per_sec_max, now);
        if !may {
            self.counters.add(Count::HandshakesOverRate);
        }
        may
    }

    /// Whether an address may keep its connections, however bad a message on them is.
    pub fn is_known(&self, ip: IpAddr) -> bool {
        self.known(ip).is_some() || self.state().phones.contains_key(&ip.to_canonical())
    }

    /// Whether nothing of this address is heard.
    pub fn is_banned(&self, ip: IpAddr, now: Instant) -> bool {
        self.state().bans.get(&address(ip)).is_some_and(|it| it.until > now)
    }

    /// A telephone is registered by this way, or the last one there is not any more.
    pub fn know_phone(&self, (transport, at): (Transport, SocketAddr), known: bool) {
        let (way, ip) = (canonical(transport, at), at.ip().to_canonical());
        let mut state = self.state();
        if known {
            if state.flows.insert(way) {
                state.phones.entry(ip).or_default().n_flows += 1;
            }
            state.bans.remove(&address(at.ip()));
        } else if state.flows.remove(&way)
            && let Some(it) = state.phones.get_mut(&ip)
        {
            it.n_flows = it.n_flows.saturating_sub(1);
            if it.n_flows == 0 {
                state.phones.remove(&ip);
            }
        }
    }

    /// Whether a telephone registered by exactly this way (a flow of RFC 5626).
    pub fn is_flow(&self, transport: Transport, at: SocketAddr) -> bool {
        self.state().flows.contains(&canonical(transport, at))
    }

    /// Every address that is banned now, longest first.
    pub fn bans(&self, now: Instant) -> Vec<Ban> {
        let state = self.state();
        let all = state.bans.iter().filter(|(_, it)| it.until > now);
        let mut bans: Vec<Ban> = all
            .map(|(address, it)| Ban {
                address: *address,
                left: it.until.duration_since(now),
                n_dropped: it.n_dropped,
            })
            .collect();
        bans.sort_by_key(|it| (std::cmp::Reverse(it.left), it.address));
        bans
    }

    /// Hears an address again. `false`: it was not banned.
    pub fn lift(&self, ip: IpAddr) -> bool {
        self.state().bans.remove(&address(ip)).is_some()
    }

    /// The bucket of a trunk or a friend. The port is not looked at: who shares a trunk's address
    /// is not to get it banned.
    fn known(&self, ip: IpAddr) -> Option<usize> {
        self.known.iter().position(|it| it.covers(ip))
    }

    /// Nobody panics while holding it; if somebody did, counts are still counts.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Makes room in tables that are full.
    fn sweep(&mut self, window: Duration, now: Instant) {
        let full = self.strangers.len() >= ADDRESSES_MAX || self.bans.len() >= ADDRESSES_MAX;
        if !full || self.swept.is_some_and(|it| now.duration_since(it) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.strangers.retain(|_, it| now.duration_since(it.since) < window);
        self.bans.retain(|_, it| it.until > now);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("n_bans", &self.state().bans.len()).finish_non_exhaustive()
    }
}

fn canonical(transport: Transport, at: SocketAddr) -> Way {
    (transport, SocketAddr::new(at.ip().to_canonical(), at.port()))
}

/// What is counted and banned together: an IPv4 address, or a /64 of IPv6, which one subscriber has whole.
pub(crate) fn address(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(it) => IpAddr::V6(Ipv6Addr::from_bits(it.to_bits() >> 64 << 64)),
        ip @ IpAddr::V4(_) => ip,
    }
}
