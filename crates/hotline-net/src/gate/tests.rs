//! The gate on a clock of its own.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    gate: Gate,
    counters: Arc<Counters>,
    now: Instant,
}

fn world(flood: Flood) -> World {
    let counters = Arc::new(Counters::default());
    World { gate: Gate::new(flood, Arc::clone(&counters)), counters, now: Instant::now() }
}

fn flood() -> Flood {
    Flood {
        trunks: vec!["10.0.0.1".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()],
        friends: vec!["192.0.2.0/24".parse().unwrap()],
        ..Flood::default()
    }
}

impl World {
    fn judge(&self, from: &str) -> Verdict {
        self.gate.judge(SocketAddr::new(from.parse().unwrap(), 5060), self.now)
    }

    /// How many of `n` messages at this instant are heard.
    fn heard(&self, from: &str, n: usize) -> usize {
        (0..n).filter(|_| self.judge(from) != Verdict::Refused).count()
    }
}

fn phone(ip: &str) -> (Transport, SocketAddr) {
    (Transport::Udp, SocketAddr::new(ip.parse().unwrap(), 5060))
}

#[test]
fn a_stranger_is_banned_after_twenty_requests_in_two_seconds_for_five_minutes() {
    let mut it = world(flood());
    assert_eq!(it.heard("203.0.113.9", 30), 20);
    assert_eq!(it.counters.of(Count::Banned), 1);
    assert_eq!(it.counters.of(Count::BannedDropped), 10);
    it.now += 299 * SECOND;
    assert_eq!(it.heard("203.0.113.9", 1), 0);
    let [ban] = it.gate.bans(it.now)[..] else { panic!() };
    assert_eq!((ban.left, ban.n_dropped), (SECOND, 11));
    it.now += SECOND;
    assert_eq!(it.gate.bans(it.now), []);
    assert_eq!(it.heard("203.0.113.9", 30), 20);
}

#[test]
fn a_stranger_who_asks_now_and_then_is_heard() {
    let mut it = world(flood());
    for _ in 0..50 {
        assert_eq!(it.heard("203.0.113.9", 20), 20);
        it.now += 2 * SECOND;
    }
    assert_eq!(it.counters.of(Count::Banned), 0);
}

#[test]
fn trunks_telephones_and_friends_have_their_own_measure_and_are_never_banned() {
    let mut it = world(Flood { known_per_sec_max: 100, ..flood() });
    it.gate.know_phone(phone("198.51.100.7"), true);
    let known = ["10.0.0.1", "2001:db8:1::5", "192.0.2.77", "198.51.100.7", "::ffff:10.0.0.1"];
    // The last is the first in the clothes of IPv6 and shares its measure.
    let heard: Vec<usize> = known.iter().map(|from| it.heard(from, 150)).collect();
    assert_eq!(heard, [100, 100, 100, 100, 0]);
    assert_eq!(it.counters.of(Count::KnownOverRate), 350);
    assert_eq!((it.gate.bans(it.now), it.judge("10.0.0.2")), (vec![], Verdict::Stranger));
    it.now += SECOND;
    assert_eq!(it.judge("10.0.0.1"), Verdict::Known);
}

#[test]
fn a_ban_ends_when_a_telephone_registers_there_or_a_person_lifts_it() {
    let it = world(flood());
    let (a, b) = ("203.0.113.1", "203.0.113.2");
    for from in [a, b] {
        it.heard(from, 21);
        assert!(it.gate.is_banned(from.parse().unwrap(), it.now));
    }
    it.gate.know_phone(phone(a), true);
    it.gate.know_phone((Transport::Tcp, phone(a).1), true);
    it.gate.know_phone(phone(a), false);
    assert_eq!(it.judge(a), Verdict::Known, "one is left");
    it.gate.know_phone((Transport::Tcp, phone(a).1), false);
    assert_eq!(it.judge(a), Verdict::Stranger);
    assert!(it.gate.lift(b.parse().unwrap()) && !it.gate.lift(b.parse().unwrap()));
    assert_eq!(it.judge(b), Verdict::Stranger);
}

#[test]
fn a_subscriber_of_ipv6_is_banned_with_all_addresses_he_has() {
    let it = world(flood());
    for end in 0..30 {
        it.judge(&format!("2001:db8:9::{end:x}"));
    }
    assert_eq!(it.judge("2001:db8:9::ffff"), Verdict::Refused);
    assert_eq!(it.judge("2001:db8:9:1::1"), Verdict::Stranger);
    assert!(it.gate.lift("2001:db8:9::77".parse().unwrap()));
}

#[test]
fn a_flood_from_forged_addresses_fills_neither_memory_nor_the_trunks_time() {
    let mut it = world(Flood { requests_max: 1, ..flood() });
    let mut n_heard = 0;
    for n in 0..200_000_u32 {
        let from = IpAddr::from((0x0B00_0000 + n).to_be_bytes());
        for _ in 0..2 {
            n_heard += usize::from(it.gate.judge((from, 5060).into(), it.now) != Verdict::Refused);
        }
    }
    assert_eq!(n_heard, 1_000);
    let state = it.gate.state();
    assert!(state.strangers.len() <= ADDRESSES_MAX && state.bans.len() <= ADDRESSES_MAX);
    drop(state);
    assert_eq!(it.judge("10.0.0.1"), Verdict::Known);
    // When the flood is over, its traces go.
    it.now += 300 * SECOND;
    it.judge("203.0.113.1");
    assert!(it.gate.state().bans.len() < 10);
}
