//! The power comes back, and 2,000 phones register at the same instant while calls go on.

use std::collections::VecDeque;

use super::*;

/// The engine, the carrier, and the phones from here on.
const ENGINE: usize = 0;
const CARRIER: usize = 1;
const FIRST: usize = 2;

const PHONES: usize = 2_000;
const CALLS: usize = 50;

/// What one message is taken to cost the engine, and what it takes on the wire.
const WORK: Duration = Duration::from_micros(400);
const WIRE: Duration = Duration::from_millis(5);

struct Storm {
    now: MonoTime,
    random: Random,
    ends: Vec<Endpoint>,
    /// When whose timers are due.
    due: BTreeSet<(MonoTime, usize)>,
    due_of: Vec<Option<MonoTime>>,
    flying: BTreeMap<(MonoTime, u64), (usize, usize, Vec<u8>)>,
    n_sent: u64,
    /// The engine takes one message after the other.
    queue: VecDeque<(usize, Vec<u8>)>,
    busy_until: MonoTime,
    longest_queue: usize,
    /// In percent. Two messages in a row the same way are never lost: how bad luck can be is the
    /// same for every seed.
    loss: u64,
    lost: BTreeSet<(usize, usize)>,
    /// No phone has power.
    dark: bool,
    registered: BTreeSet<usize>,
    refused: usize,
    ended: usize,
    n_reoffered: usize,
    n_reanswered: usize,
    /// When a question in a call was asked that is not answered yet.
    asked: BTreeMap<LegId, MonoTime>,
    longest_answer: Duration,
    up: Vec<LegId>,
}

fn place(end: usize) -> SocketAddr {
    let [.., a, b] = u32::try_from(end).unwrap().to_be_bytes();
    SocketAddr::from(([10, 9, a, b], 5060))
}

fn name(end: usize) -> Extension {
    Extension::new(&format!("{}", 10_000 + end))
}

fn endpoint(end: usize, seed: u64, life: u64) -> Endpoint {
    let mut it = config();
    it.advertised = place(end).ip();
    if end == ENGINE {
        it.expires_spread = 20;
        it.probe_every = Duration::from_secs(30);
        it.accounts = (FIRST..FIRST + PHONES).map(|it| (name(it), Account::new("pw"))).collect();
    }
    let own = u64::try_from(end).unwrap() + life * 10_000;
    Endpoint::new(it, seed * 1_000_000 + own, 1 + life * 1_000_000)
}

impl Storm {
    fn new(seed: u64) -> Self {
        let n = FIRST + PHONES;
        Self {
            now: MonoTime(0),
            random: Random::new(seed),
            ends: (0..n).map(|it| endpoint(it, seed, 0)).collect(),
            due: BTreeSet::new(),
            due_of: vec![None; n],
            flying: BTreeMap::new(),
            n_sent: 0,
            queue: VecDeque::new(),
            busy_until: MonoTime(0),
            longest_queue: 0,
            loss: 0,
            lost: BTreeSet::new(),
            dark: false,
            registered: BTreeSet::new(),
            refused: 0,
            ended: 0,
            n_reoffered: 0,
            n_reanswered: 0,
            asked: BTreeMap::new(),
            longest_answer: Duration::ZERO,
            up: vec![],
        }
    }

    fn act<T>(&mut self, end: usize, act: impl FnOnce(&mut Endpoint, Now) -> T) -> T {
        let millis = i64::try_from(self.now.0 / 1_000_000).unwrap();
        let now = Now { mono: self.now, wall: WallTime(1_800_000_000_000 + millis) };
        let done = act(&mut self.ends[end], now);
        while let Some(output) = self.ends[end].poll_output() {
            match output {
                Output::Transmit { flow, bytes } => self.send(end, flow, bytes.to_vec()),
                Output::Event(event) => self.hear(end, event),
            }
        }
        let due = self.ends[end].poll_timeout().map(|it| it.0);
        if let Some(at) = std::mem::replace(&mut self.due_of[end], due) {
            self.due.remove(&(at, end));
        }
        self.due.extend(due.map(|it| (it, end)));
        done
    }

    fn send(&mut self, from: usize, flow: Flow, bytes: Vec<u8>) {
        let SocketAddr::V4(to) = flow.remote else { panic!("no IPv4") };
        let [.., a, b] = to.ip().octets();
        let to = usize::from(a) * 256 + usize::from(b);
        if self.dark && from.max(to) >= FIRST {
            return;
        }
        if !self.lost.remove(&(from, to)) && self.random.chance(self.loss) {
            self.lost.insert((from, to));
            return;
        }
        self.n_sent += 1;
        self.flying.insert((self.now + WIRE, self.n_sent), (from, to, bytes));
    }

    fn hear(&mut self, end: usize, event: Event) {
        match event {
            Event::Invited(it) => {
                self.act(ENGINE, |end, now| end.answer(it.leg, "sdp".into(), now));
            }
            Event::Offered { leg, .. } => {
                self.act(end, |end, now| end.accept_offer(leg, "sdp".into(), now));
            }
            Event::Answered { leg, .. } => self.up.push(leg),
            Event::Reanswered { leg, .. } => {
                self.n_reanswered += 1;
                let asked = self.asked.remove(&leg).unwrap();
                self.longest_answer = self.longest_answer.max(self.now.since(asked));
            }
            Event::RegisterDone { ok: true, .. } => {
                self.registered.insert(end);
            }
            Event::RegisterDone { .. } => self.refused += 1,
            Event::Ended { .. } | Event::ReofferRefused { .. } => self.ended += 1,
            _ => (),
        }
    }

    fn flow(from: usize, to: usize) -> Flow {
        Flow { transport: Transport::Udp, local: place(from), remote: place(to), conn: None }
    }

    fn until(&mut self, end: MonoTime) {
        loop {
            let arrives = self.flying.first_key_value().map(|it| it.0.0);
            let fires = self.due.first().map(|it| it.0.max(self.now));
            let free = (!self.queue.is_empty()).then(|| self.busy_until.max(self.now));
            let all = [arrives, fires, free];
            let Some(next) = all.into_iter().flatten().min().filter(|it| *it <= end) else { break };
            self.now = next;
            if fires == Some(next) {
                let (_, who) = self.due.pop_first().unwrap();
                self.due_of[who] = None;
                self.act(who, Endpoint::handle_timeout);
            } else if free == Some(next) {
                let (from, bytes) = self.queue.pop_front().unwrap();
                self.busy_until = self.now + WORK;
                self.hand(from, ENGINE, &bytes);
            } else {
                let (_, (from, to, bytes)) = self.flying.pop_first().unwrap();
                if to == ENGINE {
                    self.queue.push_back((from, bytes));
                    self.longest_queue = self.longest_queue.max(self.queue.len());
                } else {
                    self.hand(from, to, &bytes);
                }
            }
        }
        self.now = end;
    }

    fn hand(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let message = Message::parse(bytes).unwrap();
        let admit = if from == CARRIER { Admit::Trusted } else { Admit::Stranger };
        let flow = Self::flow(to, from);
        self.act(to, |end, now| end.handle_message(flow, message, admit, now));
    }

    fn register(&mut self, phone: usize) {
        let flow = Self::flow(phone, ENGINE);
        let (extension, account) = (name(phone), Account::new("pw"));
        let hour = Duration::from_hours(1);
        self.act(phone, |end, now| end.register(&extension, &account, flow, hour, now));
    }

    /// Every call whose last question is answered is asked another.
    fn reoffer_all(&mut self) {
        for leg in self.up.clone() {
            if self.asked.contains_key(&leg) {
                continue;
            }
            self.asked.insert(leg, self.now);
            self.n_reoffered += 1;
            self.act(CARRIER, |end, now| end.reoffer(leg, "again".into(), now));
        }
    }

    fn n_reachable(&self) -> usize {
        let now = Now { mono: self.now, wall: WallTime(1_800_000_000_000) };
        (FIRST..FIRST + PHONES).filter(|it| self.ends[ENGINE].is_reachable(&name(*it), now)).count()
    }
}

#[test]
fn two_thousand_phones_are_back_10_s_after_the_power_and_calls_notice_nothing() {
    let seed = 1;
    let mut it = Storm::new(seed);
    // An ordinary morning: they come one after the other, and calls are up.
    for phone in FIRST..FIRST + PHONES {
        it.register(phone);
        it.until(it.now + Duration::from_millis(20));
    }
    for _ in 0..CALLS {
        let leg = it.ends[CARRIER].new_leg();
        let dial = Dial {
            target: "sip:12345@10.9.0.0".to_owned(),
            flow: Storm::flow(CARRIER, ENGINE),
            from_display: String::new(),
            from_user: "13800138000".to_owned(),
            sdp: "offer".to_owned(),
            headers: vec![],
            ring_limit: None,
            silence_limit: None,
            from_host: None,
            credentials: None,
        };
        it.act(CARRIER, |end, now| end.dial(leg, dial, now));
    }
    it.until(it.now + Duration::from_secs(5));
    assert_eq!((it.registered.len(), it.up.len(), it.n_reachable()), (PHONES, CALLS, PHONES));
    // The power goes; after two minutes the probes have told of everybody.
    for phone in FIRST..FIRST + PHONES {
        it.ends[phone] = endpoint(phone, seed, 1);
    }
    it.dark = true;
    let gone = it.now;
    it.until(gone + Duration::from_mins(2));
    assert_eq!(it.n_reachable(), 0);
    // It comes back, with a network that loses two of a hundred.
    it.registered.clear();
    (it.dark, it.loss, it.longest_queue) = (false, 2, 0);
    let back = it.now;
    for phone in FIRST..FIRST + PHONES {
        it.register(phone);
    }
    for second in 0..10 {
        it.reoffer_all();
        it.until(back + Duration::from_secs(second + 1));
    }
    assert_eq!((it.registered.len(), it.refused, it.n_reachable()), (PHONES, 0, PHONES));
    // The engine's inbox takes 4,096 messages.
    assert!(it.longest_queue < 4_096, "{}", it.longest_queue);
    it.until(back + Duration::from_secs(15));
    assert_eq!((it.ended, it.n_reanswered), (0, it.n_reoffered));
    assert_eq!(it.ends[ENGINE].n_legs(), CALLS);
    // The question lost once, the answer once: sent again after 0.5 s and after 1 s more. The
    // rest stood in the queue.
    assert!(it.longest_answer < Duration::from_secs(4), "{:?}", it.longest_answer);
    assert!(it.n_reoffered > CALLS * 5, "{}", it.n_reoffered);
    // They will not come again together: of twelve minutes no ten seconds see one in twenty.
    let mut ends: BTreeMap<u64, usize> = BTreeMap::new();
    for phone in FIRST..FIRST + PHONES {
        let now = Now { mono: it.now, wall: WallTime(1_800_000_000_000) };
        let all = it.ends[ENGINE].contacts_of(&name(phone), now);
        assert_eq!(all.len(), 1, "the phone took its own place");
        *ends.entry(u64::try_from(all[0].expires_wall.0).unwrap() / 10_000).or_default() += 1;
    }
    assert!(ends.values().all(|it| *it < PHONES / 20), "{ends:?}");
}
