//! Two endpoints on a link that can lose, double and reorder, on virtual time.

#![expect(clippy::wildcard_enum_match_arm, reason = "a story looks for one event among all")]

mod accounts;
mod adrift;
mod calls;
mod challenged;
mod contacts;
mod dialled;
mod dialogs;
mod early;
mod forks;
mod guests;
mod lossy;
mod offers;
mod office;
mod overload;
mod raw;
mod refer;
mod registrar;
mod reliable;
mod sessions;
mod storm;
mod times;
mod transport;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use hotline_base::{ConnId, Extension, LegId, MonoTime, Now, Random, WallTime};

use crate::{
    Account, Admit, Config, Dial, EndWhy, Endpoint, Event, Flow, HangUp, Message, Output, Replaced,
    Transport,
};

/// The caller's end.
const A: usize = 0;
/// The called end.
const B: usize = 1;

struct Link {
    /// In percent.
    loss: u64,
    double: u64,
    /// Messages with one byte changed.
    corrupt: u64,
    /// One way, in milliseconds, from and to: a wide range reorders.
    delay: (u64, u64),
    transport: Transport,
}

const GOOD: Link =
    Link { loss: 0, double: 0, corrupt: 0, delay: (5, 5), transport: Transport::Udp };

struct World {
    now: Now,
    link: Link,
    random: Random,
    ends: [Endpoint; 2],
    flying: BTreeMap<(MonoTime, u64), (usize, Vec<u8>)>,
    n_sent: u64,
    events: [Vec<Event>; 2],
    /// What arrived where: method and number, or status.
    seen: Vec<(usize, String)>,
    /// Drops the next messages towards an end whose line begins like this.
    drop: Option<(usize, &'static str)>,
    /// What `B` takes `A` for.
    admit: Admit,
    /// Where the last message was sent.
    sent_by: Option<Flow>,
    /// Timers that were the next to fire at some time.
    timers: BTreeSet<&'static str>,
}

fn config() -> Config {
    let mut it = Config::new("hotline", "10.0.0.9".parse().unwrap(), [3; 32]);
    it.accounts.insert(Extension::new("1001"), Account::new("secret"));
    it.expires_spread = 0;
    it.probe_every = Duration::ZERO;
    it
}

fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(end).unwrap() + 1], 5060))
}

impl World {
    fn new(link: Link, seed: u64) -> Self {
        let start = WallTime(1_800_000_000_000);
        Self {
            now: Now { mono: MonoTime(0), wall: start },
            link,
            random: Random::new(seed),
            ends: [Endpoint::new(config(), seed, 1), Endpoint::new(config(), seed + 1, 1001)],
            flying: BTreeMap::new(),
            n_sent: 0,
            events: [vec![], vec![]],
            seen: vec![],
            drop: None,
            admit: Admit::Trusted,
            sent_by: None,
            timers: BTreeSet::new(),
        }
    }

    /// How `end` sees the link.
    fn flow(&self, end: usize) -> Flow {
        let conn = (self.link.transport == Transport::Tcp).then_some(ConnId(7));
        Flow { transport: self.link.transport, local: address(end), remote: address(1 - end), conn }
    }

    fn dial(&mut self) -> LegId {
        let leg = self.ends[A].new_leg();
        let dial = Dial {
            target: "sip:12345@10.0.0.2:5060".to_owned(),
            flow: self.flow(A),
            from_display: "张三".to_owned(),
            from_user: "13800138000".to_owned(),
            sdp: "offer".to_owned(),
            headers: vec![],
            ring_limit: None,
            silence_limit: None,
            from_host: None,
            credentials: None,
        };
        self.ends[A].dial(leg, dial, self.now);
        self.drain();
        leg
    }

    /// Acts on one end and takes what it says.
    fn act<T>(&mut self, end: usize, act: impl FnOnce(&mut Endpoint, Now) -> T) -> T {
        let it = act(&mut self.ends[end], self.now);
        self.drain();
        it
    }

    fn drain(&mut self) {
        for end in [A, B] {
            while let Some(output) = self.ends[end].poll_output() {
                match output {
                    Output::Event(event) => self.events[end].push(event),
                    Output::Transmit { bytes, flow } => {
                        assert_eq!(flow.remote.port(), 5060, "nowhere: {flow:?}");
                        self.sent_by = Some(flow);
                        self.send(1 - end, bytes.to_vec());
                    }
                }
            }
        }
    }

    fn send(&mut self, to: usize, bytes: Vec<u8>) {
        if self.drop.is_some_and(|(end, start)| end == to && bytes.starts_with(start.as_bytes())) {
            return;
        }
        let copies = 1 + u64::from(self.random.chance(self.link.double));
        for _ in 0..copies {
            if !self.random.chance(self.link.loss) {
                let delay = self.random.between(self.link.delay.0, self.link.delay.1);
                self.n_sent += 1;
                let key = (self.now.mono + Duration::from_millis(delay), self.n_sent);
                let mut bytes = bytes.clone();
                if self.random.chance(self.link.corrupt) {
                    self.spoil(&mut bytes);
                }
                self.flying.insert(key, (to, bytes));
            }
        }
    }

    fn spoil(&mut self, bytes: &mut [u8]) {
        let at = self.random.below(bytes.len() as u64);
        let odd = [0, b'\r', b'\n', b'"', b'<', b';', b',', b' ', b'0', b'9', 0xFF];
        let with = odd[usize::try_from(self.random.below(odd.len() as u64)).unwrap()];
        bytes[usize::try_from(at).unwrap()] = with;
    }

    /// The next thing to happen, if it is not after `end`.
    fn next(&self, end: MonoTime) -> Option<MonoTime> {
        let flying = self.flying.first_key_value().map(|it| it.0.0);
        let due = self.ends.iter().filter_map(Endpoint::poll_timeout).map(|it| it.0).min();
        let next = flying.into_iter().chain(due).min()?;
        (next <= end).then_some(next.max(self.now.mono))
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut n_steps = 0;
        while let Some(next) = self.next(end.mono) {
            let due = self.ends.iter().filter_map(Endpoint::poll_timeout).map(|it| it.1);
            self.timers.extend(due);
            self.now = self.now + next.since(self.now.mono);
            self.step();
            n_steps += 1;
            assert!(n_steps < 100_000, "the world turns without moving");
        }
        self.now = end;
        self.check_connections();
    }

    fn step(&mut self) {
        while let Some(first) = self.flying.first_entry().filter(|it| it.key().0 <= self.now.mono) {
            let (to, bytes) = first.remove();
            let message = match Message::parse(&bytes) {
                Ok(it) => it,
                Err(it) => {
                    assert!(self.link.corrupt > 0, "an endpoint sent nonsense");
                    if let Some(reply) = it.reply {
                        self.send(1 - to, reply);
                    }
                    continue;
                }
            };
            let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
            let word = match (message.status(), message.method()) {
                (Some(status), _) => format!("{status}/{}", text(message.cseq().method)),
                (None, method) => text(method.unwrap_or_default()),
            };
            self.seen.push((to, word));
            let flow = self.flow(to);
            let admit = if to == B { self.admit } else { Admit::Trusted };
            self.ends[to].handle_message(flow, message, admit, self.now);
            self.drain();
        }
        for end in [A, B] {
            if self.ends[end].poll_timeout().is_some_and(|it| it.0 <= self.now.mono) {
                self.ends[end].handle_timeout(self.now);
                self.drain();
            }
        }
    }

    fn secs(&mut self, secs: u64) {
        self.run(Duration::from_secs(secs));
    }

    fn millis(&mut self, millis: u64) {
        self.run(Duration::from_millis(millis));
    }

    /// The leg of the last incoming call.
    fn invited(&self, end: usize) -> LegId {
        let legs = self.events[end].iter().rev().find_map(|it| match it {
            Event::Invited(it) => Some(it.leg),
            _ => None,
        });
        legs.expect("no call came")
    }

    fn ends_of(&self, end: usize, leg: LegId) -> Vec<EndWhy> {
        let ended = self.events[end].iter().filter_map(|it| match it {
            Event::Ended { leg: it, why } if *it == leg => Some(*why),
            _ => None,
        });
        ended.collect()
    }

    /// How often a message arrived at an end.
    fn count(&self, end: usize, word: &str) -> usize {
        self.seen.iter().filter(|it| it.0 == end && it.1 == word).count()
    }

    fn said(&self, end: usize, has: impl Fn(&Event) -> bool) -> usize {
        self.events[end].iter().filter(|it| has(it)).count()
    }

    /// A call that is answered and confirmed: the two legs.
    fn talk(&mut self) -> (LegId, LegId) {
        let a = self.dial();
        self.secs(1);
        let b = self.invited(B);
        self.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
        self.secs(1);
        assert_eq!(self.said(A, |it| matches!(it, Event::Answered { .. })), 1);
        assert_eq!(self.said(B, |it| matches!(it, Event::Confirmed { .. })), 1);
        (a, b)
    }

    fn hang_up(&mut self, end: usize, leg: LegId) {
        let why = HangUp { status: 486, reason: Some("Q.850;cause=16".to_owned()) };
        self.act(end, |it, now| it.hang_up(leg, why, now));
    }

    /// Each leg is known by the connection of its dialog, and nothing by any other.
    fn check_connections(&self) {
        for it in &self.ends {
            let legs = it.legs.iter().filter_map(|it| Some((it.1.dialog()?.flow.conn?, it.0)));
            let legs: BTreeSet<_> = legs.collect();
            assert_eq!(it.by_conn.all().collect::<BTreeSet<_>>(), legs);
            it.transactions.check_connections();
        }
    }

    /// Everything must be over two timeouts later.
    fn check_silence(&mut self) {
        self.drop = None;
        self.secs(150);
        for it in &self.ends {
            assert_eq!((it.n_legs(), it.n_transactions()), (0, 0));
            assert_eq!((it.purposes.len(), it.dialogs.len(), it.timers.next()), (0, 0, None));
            assert_eq!((it.subscriptions.next(), it.silent.len()), (None, 0));
        }
        self.check_connections();
        // A raw peer leaves its answers in the air.
        assert!(self.flying.is_empty() || self.link.delay.0 >= 3_600_000);
    }
}
