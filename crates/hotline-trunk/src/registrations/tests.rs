//! Accounts and registrars on virtual time.

use super::*;
use crate::{GatewayConfig, GatewayTransport, Limits};

/// From a REGISTER to its answer; a gateway that says nothing is given up after [`PATIENCE`].
const TRIP: Duration = Duration::from_millis(40);
const PATIENCE: Duration = Duration::from_secs(4);

fn trunk(n_accounts: usize) -> TrunkConfig {
    let gateway = |n: u8, priority| GatewayConfig {
        address: SocketAddr::from(([10, 0, 0, n], 5060)),
        transport: GatewayTransport::Udp,
        priority,
        weight: 1,
    };
    let account = |n| AccountConfig {
        user: format!("+86771{n:05}"),
        domain: None,
        number: format!("0771{n:05}"),
        expires: Duration::from_hours(1),
    };
    TrunkConfig {
        id: TrunkId::new("mobile"),
        sources: Vec::new(),
        channels_max: 30,
        limits: Limits::default(),
        gateways: vec![gateway(1, 10), gateway(2, 20)],
        probes: true,
        accounts: (0..n_accounts).map(account).collect(),
        numbers: Vec::new(),
        prack: true,
        early_media: true,
        busy_tone_ends: false,
        keys_by_info: false,
        area_code: None,
        city: None,
    }
}

/// A REGISTER as a registrar sees it: seconds from the start, place of the gateway, seconds asked.
type Asked = (u64, usize, u64);

struct World {
    now: MonoTime,
    it: Registrations,
    fleet: Fleet,
    random: Random,
    /// What a gateway answers to a wish of so many seconds; `None` is silence.
    registrar: fn(&[Asked], usize, u64) -> Option<Answer>,
    asked: Vec<Asked>,
    flying: BTreeMap<MonoTime, (AccountId, Answer)>,
    changes: Vec<(u64, bool, u16)>,
}

#[expect(clippy::unnecessary_wraps, reason = "what a registrar says, who may say nothing")]
fn granted(secs: u64) -> Option<Answer> {
    Some(Answer { status: 200, granted: Duration::from_secs(secs), ..Answer::default() })
}

#[expect(clippy::unnecessary_wraps, reason = "what a registrar says, who may say nothing")]
fn status(status: u16) -> Option<Answer> {
    Some(Answer { status, ..Answer::default() })
}

fn account(place: usize) -> AccountId {
    AccountId { trunk: TrunkId::new("mobile"), place }
}

fn gateway(place: usize) -> GatewayId {
    GatewayId { trunk: TrunkId::new("mobile"), place }
}

impl World {
    fn new(registrar: fn(&[Asked], usize, u64) -> Option<Answer>) -> Self {
        Self::with(1, registrar)
    }

    fn with(n_accounts: usize, registrar: fn(&[Asked], usize, u64) -> Option<Answer>) -> Self {
        let trunk = trunk(n_accounts);
        Self {
            now: MonoTime(0),
            it: Registrations::new([&trunk], MonoTime(0)),
            fleet: Fleet::new([&trunk], MonoTime(0)),
            random: Random::new(5),
            registrar,
            asked: Vec::new(),
            flying: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    fn at(&self) -> u64 {
        self.now.0 / 1_000_000_000
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.it.poll_output() {
            match output {
                RegistrationOutput::Ask { account, gateway, expires } => {
                    let asked = (self.at(), gateway.place, expires.as_secs());
                    let answer = (self.registrar)(&self.asked, gateway.place, expires.as_secs());
                    self.asked.push(asked);
                    let wait = if answer.is_some() { TRIP } else { PATIENCE };
                    let silence = Answer { status: 408, ..Answer::default() };
                    let mut at = self.now + wait;
                    while self.flying.contains_key(&at) {
                        at = at + Duration::from_nanos(1);
                    }
                    self.flying.insert(at, (account, answer.unwrap_or(silence)));
                }
                RegistrationOutput::Changed { registered, status, .. } => {
                    self.changes.push((self.at(), registered, status));
                }
            }
        }
    }

    fn run(&mut self, secs: u64) {
        let end = self.now + Duration::from_secs(secs);
        let mut n_steps = 0;
        loop {
            self.take_outputs();
            let due = self.it.poll_timeout().map(|it| it.0);
            let answer = self.flying.first_key_value().map(|it| *it.0);
            let Some(next) = due.into_iter().chain(answer).min().filter(|it| *it <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if let Some(first) = self.flying.first_entry().filter(|it| *it.key() <= self.now) {
                let (id, answer) = first.remove();
                self.it.answered(&id, answer, &self.fleet, &mut self.random, self.now);
            }
            self.it.handle_timeout(&self.fleet, &mut self.random, self.now);
            n_steps += 1;
            assert!(n_steps < 100_000, "the registrar is flooded");
        }
        self.now = end;
    }

    /// The probes of a gateway begin or cease to be answered.
    fn set_lives(&mut self, place: usize, lives: bool) {
        let id = gateway(place);
        let mut now = self.now;
        while self.fleet.lives(&id) != lives {
            now = now + Duration::from_millis(100);
            self.fleet.handle_timeout(now);
            while let Some(output) = self.fleet.poll_output() {
                let crate::FleetOutput::Ask { probe, gateway } = output else { continue };
                if lives || gateway.address != self.fleet.config(&id).unwrap().address {
                    self.fleet.probed(probe, 200, now);
                }
            }
        }
        self.it.gateway_changed(&id, &self.fleet, &mut self.random, self.now);
    }

    fn registered_at(&self) -> Option<usize> {
        self.it.held(&account(0)).map(|it| it.0.place)
    }
}

#[test]
fn a_registration_is_refreshed_long_before_it_ends_and_never_lost() {
    let mut it = World::new(|_, _, wish| granted(wish));
    it.run(86_400);
    let [(0, 0, 3_600), (3_000, 0, 3_600), ..] = it.asked[..] else { panic!("{:?}", it.asked) };
    assert_eq!(it.changes, [(0, true, 200)]);
    assert!(it.asked.len() < 30, "{}", it.asked.len());
    // A registrar that grants less is asked as often as that needs.
    let mut it = World::new(|_, _, _| granted(120));
    it.run(600);
    let times: Vec<_> = it.asked.iter().map(|it| it.0).collect();
    assert_eq!(times, (0..10).map(|n| n * 60).collect::<Vec<_>>());
}

#[test]
fn the_next_gateway_registers_when_the_first_is_silent_or_fails() {
    for (answer, secs) in [(None, 4), (status(503), 0)] {
        let mut it = World::new(match answer {
            None => |_, place, wish| if place == 0 { None } else { granted(wish) },
            Some(_) => |_, place, wish| if place == 0 { status(503) } else { granted(wish) },
        });
        it.run(10);
        let asked: Vec<_> = it.asked.iter().map(|it| (it.0, it.1)).collect();
        assert_eq!(asked, [(0, 0), (secs, 1)]);
        assert_eq!((it.registered_at(), it.changes.len()), (Some(1), 1));
    }
}

#[test]
fn service_route_is_kept_with_the_registration() {
    let mut it = World::new(|_, _, wish| {
        let service_route = vec!["<sip:scscf;lr>".to_owned()];
        Some(Answer { service_route, ..granted(wish).unwrap() })
    });
    it.run(1);
    let (at, routes) = it.it.held(&account(0)).unwrap();
    assert_eq!((at, routes), (&gateway(0), &["<sip:scscf;lr>".to_owned()][..]));
    assert!(it.it.is_held_at(&gateway(0)) && !it.it.is_held_at(&gateway(1)));
}

#[test]
fn a_gateway_that_dies_hands_its_registrations_over_and_gets_them_back() {
    let mut it = World::new(|_, _, wish| granted(wish));
    it.run(100);
    it.set_lives(0, false);
    it.run(1);
    assert_eq!(it.registered_at(), Some(1));
    it.run(60);
    it.set_lives(0, true);
    it.run(6);
    assert_eq!(it.registered_at(), Some(0));
    assert_eq!(it.changes, [(0, true, 200)], "it was registered all the time");
    let places: Vec<_> = it.asked.iter().map(|it| it.1).collect();
    assert_eq!(places, [0, 1, 0]);
}

#[test]
fn when_nobody_answers_the_pauses_grow_to_two_minutes_and_one_alarm_is_raised() {
    let mut it = World::new(|_, _, _| None);
    it.run(3_600);
    assert_eq!(it.changes, [(8, false, 408)]);
    let rounds: Vec<_> = it.asked.iter().filter(|it| it.1 == 0).map(|it| it.0).collect();
    let gaps: Vec<_> = rounds.windows(2).map(|it| it[1] - it[0]).collect();
    // Two gateways are waited for, then the pause.
    assert!((10..=13).contains(&gaps[0]), "{gaps:?}");
    assert!(gaps.iter().all(|it| *it <= 8 + 121) && *gaps.last().unwrap() >= 68, "{gaps:?}");
    // It comes back by itself.
    it.registrar = |_, _, wish| granted(wish);
    it.run(130);
    assert_eq!(it.changes.last().map(|it| it.1), Some(true));
}

#[test]
fn who_is_refused_asks_seldom_and_nowhere_else() {
    for refusal in [401, 403, 404, 407] {
        let mut it = World::new(match refusal {
            401 => |_, _, _| status(401),
            403 => |_, _, _| status(403),
            404 => |_, _, _| status(404),
            _ => |_, _, _| status(407),
        });
        it.run(3_600);
        assert_eq!(it.changes, [(0, false, refusal)]);
        assert!(it.asked.len() <= 9, "an account is not to be locked: {:?}", it.asked);
        assert!(it.asked.iter().all(|it| it.1 == 0));
    }
}

#[test]
fn a_registration_outlives_a_registrar_that_is_away_until_it_ends() {
    let mut it = World::new(|asked, _, wish| if asked.is_empty() { granted(wish) } else { None });
    it.run(3_599);
    assert_eq!((it.registered_at(), it.changes.len()), (Some(0), 1));
    it.run(200);
    assert_eq!(it.registered_at(), None);
    let [_, (at, false, 408)] = it.changes[..] else { panic!("{:?}", it.changes) };
    assert!((3_600..3_740).contains(&at), "{at}");
}

#[test]
fn a_least_interval_is_obeyed_once_and_then_for_good() {
    let mut it = World::new(|_, _, wish| {
        let min_expires = Some(Duration::from_hours(2));
        let least = Answer { status: 423, min_expires, ..Answer::default() };
        if wish < 7_200 { Some(least) } else { granted(wish) }
    });
    it.run(20_000);
    let [(0, 0, 3_600), (0, 0, 7_200), (6_600, 0, 7_200), ..] = it.asked[..] else {
        panic!("{:?}", it.asked)
    };
    // A registrar that always wants a little more.
    let mut it = World::new(|_, _, wish| {
        let min_expires = Some(Duration::from_secs(wish + 1));
        Some(Answer { status: 423, min_expires, ..Answer::default() })
    });
    it.run(3_600);
    assert!(it.asked.len() <= 10, "{:?}", it.asked);
}

#[test]
fn retry_after_is_waited_for() {
    let mut it = World::new(|asked, _, wish| {
        let retry_after = Some(Duration::from_mins(10));
        let later = Answer { status: 503, retry_after, ..Answer::default() };
        if asked.len() < 2 { Some(later) } else { granted(wish) }
    });
    it.run(599);
    assert_eq!(it.asked.len(), 2, "each gateway once");
    it.run(2);
    assert_eq!(it.changes, [(0, false, 503), (600, true, 200)]);
}

#[test]
fn a_lost_connection_is_registered_anew_at_once() {
    let mut it =
        World::new(|_, _, wish| Some(Answer { conn: Some(ConnId(7)), ..granted(wish).unwrap() }));
    it.run(100);
    it.it.conn_gone(ConnId(8), it.now);
    it.run(10);
    assert_eq!(it.asked.len(), 1);
    it.it.conn_gone(ConnId(7), it.now);
    it.run(1);
    assert_eq!(it.asked.len(), 2);
}

#[test]
fn a_planned_end_takes_every_registration_back_and_asks_nothing_more() {
    for registrar in [(|_, _, wish| granted(wish)) as fn(&[Asked], _, _) -> _, |_, _, wish| {
        if wish == 0 { None } else { granted(wish) }
    }] {
        let mut it = World::with(3, registrar);
        it.run(100);
        it.it.leave(it.now);
        it.run(86_400);
        assert_eq!(it.asked.len(), 6);
        assert!(it.asked[3..].iter().all(|it| *it == (100, 0, 0)), "{:?}", it.asked);
        assert!(it.it.has_left() && it.it.poll_timeout().is_none());
    }
}

#[test]
fn five_hundred_accounts_do_not_register_all_at_once() {
    let mut it = World::with(500, |_, _, wish| granted(wish));
    it.run(20);
    assert_eq!(it.changes.len(), 500);
    let most = (0..20).map(|sec| it.asked.iter().filter(|it| it.0 == sec).count()).max();
    assert!(most <= Some(50), "{most:?} in one second");
    assert_eq!(it.it.accounts(&TrunkId::new("mobile"), &it.fleet).len(), 500);
}
