//! A shift: everybody's state, and the loop that lets time pass.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use borsh::BorshDeserialize;
use hotline_base::{
    CallId, ConnId, Extension, LegId, Machine, MonoTime, Now, Random,
    media::{Event as MediaEvent, Order, Recorded},
};
use hotline_cdr::CallFact;
use hotline_sip::{Endpoint, Flow};
use hotline_switchboard::{Config, Input, Output, Switchboard};

use crate::{
    agenda::{Agenda, Event, Told},
    callers::Caller,
    clock::{Start, now_at},
    crowd::{BEGINS, Backlog, Crowd},
    ledger::{Ledger, Report},
    media::MediaModel,
    phones::Phone,
    storm::{Line, Storm},
    vanish::Vanish,
};

/// Where the switchboard listens.
pub const SWITCHBOARD: &str = "10.0.0.1:5060";
/// Where the carrier's calls come from.
pub const TRUNK: &str = "10.0.1.1:5060";

/// The carrier's second gateway, which dies now and then.
pub const GATEWAY: &str = "10.0.1.2:5060";

/// How long everything may take to come to rest when the faults have ended.
const REST: Duration = Duration::from_mins(10);

/// What kind of shift it is.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub calls: u32,
    /// Over how long the calls arrive.
    pub span: Duration,
    /// Agents call others into nearly every talk, and soon.
    pub company: bool,
    pub faults: Faults,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Datagrams lost and doubled, in percent; all are delayed at random and so reordered.
    pub loss: u64,
    pub doubled: u64,
    /// Media refuses, is slow, does not take an order, and dies once.
    pub media: bool,
    /// How often it dies besides.
    pub media_deaths: u32,
    /// The disk fails once; where a crowd comes, in its midst.
    pub disk: bool,
    /// The control process dies once.
    pub control: bool,
    /// How often some telephone loses its power for a while.
    pub power_cuts: u32,
    /// Carrier and telephones lose their power, all at once and for good, when the last call has
    /// come.
    pub vanish: Vanish,
    /// More calls than the machine bears.
    pub crowd: Option<Crowd>,
    /// How often the second gateway falls silent besides, while agents call out all the time.
    pub gateway_cuts: u32,
    /// The longest of them, when it is too short for a talk to end by; else a minute.
    pub cut_max: Option<Duration>,
    /// Long talks while lines are cut and control dies.
    pub storm: Option<Storm>,
    /// How often somebody sets the wall clock, by an hour, a day or years.
    pub clock_sets: u32,
}

/// The switchboard among its actors. See the crate.
pub struct Shift {
    pub(crate) seed: u64,
    pub(crate) config: Config,
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    began: MonoTime,
    pub(crate) now: MonoTime,
    /// By which the wall clock was set forward, in milliseconds.
    pub(crate) wall_ahead: i64,
    pub(crate) switchboard: Switchboard,
    pub(crate) agenda: Agenda,
    pub(crate) media: MediaModel,
    pub(crate) media_life: u32,
    pub(crate) media_up: bool,
    pub(crate) carrier: Endpoint,
    /// Whether the second gateway answers, and since when that could be known.
    pub(crate) gateway: (bool, MonoTime),
    /// Probes of it that had failed then.
    pub(crate) probes_failed: u64,
    pub(crate) cut: Option<Line>,
    pub(crate) callers: BTreeMap<LegId, Caller>,
    /// Media's legs of whom the switchboard calls over the line that is never cut, by the carrier's.
    pub(crate) callees: BTreeMap<LegId, LegId>,
    pub(crate) phones: Vec<Phone>,
    pub(crate) kept: BTreeMap<String, Vec<u8>>,
    pub(crate) ledger: Ledger,
    /// Orders that found no room on their way to media.
    lost: VecDeque<(Option<CallId>, Order)>,
    /// What the next media process finds and seals.
    broken_off: Vec<Recorded>,
    pub(crate) faulty: bool,
    /// Dialogs the switchboard had when its peers vanished.
    pub(crate) vanished: Option<usize>,
    pub(crate) backlog: Backlog,
    /// What callers and called parties describe.
    pub(crate) sdp: &'static str,
    /// When what was sent last by a connection arrives, to the switchboard and from it.
    pub(crate) last_by: BTreeMap<(ConnId, bool), MonoTime>,
    pub(crate) n_connections: u64,
}

impl Shift {
    /// `config` has a trunk that recognises [`TRUNK`], and accounts for its agents' extensions.
    pub fn new(seed: u64, config: Config, plan: Plan) -> Self {
        Self::starting(Start::default(), seed, config, plan)
    }

    /// The same when the machine, or the engine, has been up for long.
    pub fn starting(start: Start, seed: u64, config: Config, plan: Plan) -> Self {
        let mut random = Random::new(seed);
        let began = MonoTime(1_000_000_000) + start.up;
        let now = began;
        let phones = Phone::all(&config, &mut random);
        let clocks = now_at(Duration::ZERO, now, 0);
        let ledger = Ledger::of(&config, plan.faults);
        let mut it = Self {
            switchboard: match start.first_id {
                Some(first) => {
                    Switchboard::counting_from(first, config.clone(), random.next_u64(), clocks)
                }
                None => Switchboard::new(config.clone(), random.next_u64(), clocks),
            },
            carrier: Endpoint::new(config.sip.clone(), random.next_u64(), 1),
            seed,
            config,
            plan,
            random,
            began,
            now,
            wall_ahead: 0,
            agenda: Agenda::default(),
            media: MediaModel::default(),
            media_life: 0,
            media_up: true,
            gateway: (true, now),
            probes_failed: 0,
            cut: None,
            callers: BTreeMap::new(),
            callees: BTreeMap::new(),
            phones,
            kept: BTreeMap::new(),
            ledger,
            lost: VecDeque::new(),
            broken_off: Vec::new(),
            faulty: true,
            vanished: None,
            backlog: Backlog::default(),
            sdp: OFFER,
            last_by: BTreeMap::new(),
            n_connections: 0,
        };
        it.plan_shift();
        it
    }

    fn plan_shift(&mut self) {
        let span = self.plan.span;
        for phone in 0..self.phones.len() {
            self.after(Duration::from_millis(10), Event::PhoneRegisters { phone });
        }
        let agents: BTreeSet<_> = self.phones.iter().map(|it| it.agent.clone()).collect();
        for agent in agents {
            let wait = self.millis(200, 20_000);
            self.after(wait, Event::AgentActs { agent });
        }
        for _ in 0..self.plan.calls {
            let wait = Duration::from_secs(1) + self.part_of(span);
            self.after(wait, Event::CallerDials);
        }
        if let Some(crowd) = self.plan.faults.crowd {
            self.plan_crowd(crowd);
        }
        if self.plan.faults.media {
            let wait = self.part_of(span);
            self.after(wait, Event::MediaDies);
        }
        for n in 0..self.plan.faults.media_deaths {
            let deaths = self.plan.faults.media_deaths;
            self.after(span * (n + 1) / (deaths + 1), Event::MediaDies);
        }
        for _ in 0..self.plan.faults.power_cuts {
            let wait = self.part_of(span);
            self.after(wait, Event::PhoneLosesPower);
        }
        self.plan_clock();
        self.plan_pages();
        self.plan_storm();
        for n in 0..self.plan.faults.gateway_cuts {
            self.after(span * (n + 1) / (self.plan.faults.gateway_cuts + 1), Event::GatewayDies);
        }
        if self.plan.faults.disk {
            let wait = match self.plan.faults.crowd {
                Some(it) => BEGINS + it.span() / 2,
                None => self.part_of(span),
            };
            self.after(wait, Event::DiskFails);
        }
        if self.plan.faults.control {
            let wait = self.part_of(span);
            self.after(wait, Event::ControlDies);
        }
        let wait = self.part_of(span);
        self.after(wait, Event::GatewayDies);
        if self.plan.faults.vanish != Vanish::Never {
            self.after(span, Event::PeersVanish);
        }
        self.after(span + Duration::from_secs(1), Event::FaultsEnd);
    }

    /// Lives through the whole shift.
    ///
    /// # Errors
    /// The broken invariant, with the seed and the last events.
    pub fn run(mut self) -> Result<Report, String> {
        self.input(Input::Restored { entries: Vec::new() });
        self.input(Input::MediaUp);
        // A peer that vanished may be trusted for one more session interval.
        let rest = REST + self.config.sip.session_expires;
        let end = self.now + self.plan.span + rest;
        let result = self.live_until(end).and_then(|()| self.at_rest());
        match result {
            Ok(()) => Ok(self.ledger.report(self.vanished.unwrap_or(0))),
            Err(why) => Err(format!("seed {}: {why}\n{}", self.seed, self.ledger.last_events())),
        }
    }

    fn live_until(&mut self, end: MonoTime) -> Result<(), String> {
        while let Some(next) = self.next_time()
            && next <= end
        {
            if next < self.now {
                return Err(format!("time runs backwards: {next:?} after {:?}", self.now));
            }
            self.now = next;
            if self.agenda.next_time() == Some(next) {
                if let Some((_, event)) = self.agenda.pop() {
                    self.ledger.note(|| format!("{next:?} {}", name_of(&event)));
                    self.happens(event);
                }
            } else {
                self.timers();
            }
            self.drain();
            self.ledger.verdict()?;
            self.switchboard.check()?;
        }
        self.now = end;
        Ok(())
    }

    fn next_time(&self) -> Option<MonoTime> {
        let phones = self.phones.iter().filter_map(|it| it.endpoint.poll_timeout());
        let others = [self.switchboard.poll_timeout(), self.carrier.poll_timeout()];
        let timers = phones.chain(others.into_iter().flatten()).map(|it| it.0.max(self.now));
        timers.chain(self.agenda.next_time()).min()
    }

    fn timers(&mut self) {
        let now = self.at();
        if self.switchboard.poll_timeout().is_some_and(|it| it.0 <= now.mono) {
            self.switchboard.handle_timeout(now);
        }
        if self.carrier.poll_timeout().is_some_and(|it| it.0 <= now.mono) {
            self.carrier.handle_timeout(now);
        }
        for phone in &mut self.phones {
            if phone.endpoint.poll_timeout().is_some_and(|it| it.0 <= now.mono) {
                phone.endpoint.handle_timeout(now);
            }
        }
    }

    fn happens(&mut self, event: Event) {
        if self.vanished.is_some() && event.is_of_peers() {
            return;
        }
        match event {
            Event::Arrives { flow, bytes } => self.arrives(flow, &bytes),
            Event::Media { life, event: Told(event) } => {
                if life == self.media_life && self.media_up && !self.media.is_stale(&event) {
                    if let MediaEvent::Inventory { .. } = event {
                        self.media.revived();
                    }
                    self.input(Input::Media(event));
                }
            }
            Event::CallerDials => self.caller_dials(),
            Event::CallerActs { leg, deed } => self.caller_acts(leg, deed),
            Event::CalleeActs { leg, deed } => self.callee_acts(leg, deed),
            Event::PhoneActs { phone, leg, deed } => self.phone_acts(phone, leg, deed),
            Event::PhoneRegisters { phone } => self.phone_registers(phone),
            Event::PhoneConnects { phone } => self.phone_connects(phone),
            Event::PageReloads { phone } => self.page_reloads(phone),
            Event::PageMoves { phone } => self.page_moves(phone),
            Event::ConnectionGone { conn } => self.input(Input::ConnectionGone { conn }),
            Event::Unreachable { flow } => self.input(Input::Unreachable { flow }),
            Event::CertificateShown { leg } => self.certificate_shown(leg),
            Event::MustBeClosed { leg, life } => self.check_closed(leg, life),
            Event::PhoneLosesPower => self.phone_loses_power(),
            Event::PhoneReturns { phone } => self.phone_returns(phone),
            Event::AgentActs { agent } => self.agent_acts(&agent),
            Event::MediaDies => {
                self.media_life += 1;
                self.media_up = false;
                let brings_back = self.random.chance(50);
                self.broken_off = self.media.die(brings_back);
                self.input(Input::MediaDown);
                // Longer than control waits, now and then.
                let wait = self.millis(50, 6000);
                self.after(wait, Event::MediaReturns);
            }
            Event::MediaReturns => {
                self.media_up = true;
                self.input(Input::MediaUp);
                for recorded in std::mem::take(&mut self.broken_off) {
                    self.tell_media(Duration::from_millis(5), MediaEvent::Recorded(recorded));
                }
                for (after, event) in self.media.still_silent() {
                    self.tell_media(after, event);
                }
            }
            Event::DiskFails => {
                self.input(Input::Spool { healthy: false });
                let wait = self.millis(1000, 60_000);
                self.after(wait, Event::DiskReturns);
            }
            Event::DiskReturns => self.input(Input::Spool { healthy: true }),
            Event::PeersVanish => self.peers_vanish(),
            Event::ControlDies => self.control_dies(),
            Event::GatewayDies => self.gateway_dies(),
            Event::GatewayReturns => self.gateway_returns(),
            Event::LineCut { line } => self.line_cut(line),
            Event::LineReturns => self.cut = None,
            Event::GatewayIsKnown => self.check_gateway(),
            Event::ClockSet { ahead } => self.wall_ahead = ahead,
            Event::FaultsEnd => self.faulty = false,
        }
    }

    /// A new control process finds what the old one kept.
    fn control_dies(&mut self) {
        self.drain();
        let seed = self.random.next_u64();
        self.switchboard = Switchboard::new(self.config.clone(), seed, self.at());
        self.ledger.control_died();
        self.gateway_is_asked_anew();
        self.connections_end(Duration::ZERO);
        let entries = self.kept.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        self.input(Input::Restored { entries });
        if self.media_up {
            self.input(Input::MediaUp);
        }
    }

    /// The switchboard gets what was read back from the written form: every input can be stored,
    /// and the stored one leads to the same shift.
    pub(crate) fn input(&mut self, input: Input) {
        let now = self.at();
        let stored = borsh::to_vec(&input).and_then(|it| Input::try_from_slice(&it));
        match stored {
            Ok(input) => self.switchboard.handle(input, now),
            Err(why) => self.ledger.fail(format!("{} cannot be stored: {why}", input.name())),
        }
        self.drain_switchboard();
    }

    /// Everybody says what they have to say.
    pub(crate) fn drain(&mut self) {
        self.drain_switchboard();
        self.drain_carrier();
        self.drain_phones();
    }

    fn drain_switchboard(&mut self) {
        let (mut transmitted, mut kept) = (false, BTreeSet::new());
        while let Some(output) = self.switchboard.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    transmitted = true;
                    self.ledger.note(|| format!("  -> {}", start_line(&bytes)));
                    self.ledger.sent(&bytes);
                    self.ledger.invites.sent(&bytes, self.now);
                    self.send(reversed(flow), bytes);
                }
                Output::Order(order) => {
                    self.ledger.note(|| format!("  order {order:?}"));
                    self.order(order);
                }
                Output::Keep { key, value } => {
                    if key.starts_with("call/") && !kept.insert(key.clone()) {
                        self.ledger.fail(format!("{key} was written down twice in a turn"));
                    }
                    match value {
                        Some(value) => self.kept.insert(key, value),
                        None => self.kept.remove(&key),
                    };
                }
                Output::Record(record) => {
                    self.ledger.record(&record, transmitted);
                }
                Output::Agent(update) => self.ledger.agent(&update),
                Output::Recording(news) => {
                    self.ledger.note(|| format!("  {} {}", news.event.as_str(), news.recording));
                }
                Output::Reply { id, .. } => self.ledger.reply(id),
                Output::Fact { call, fact } => {
                    if let CallFact::Arrived(_) = &fact.fact {
                        self.call_costs();
                    }
                    self.ledger.fact(call, &fact, &self.media);
                }
                Output::PhonesAt { address, known, .. } => {
                    self.ledger.note(|| format!("  phones at {address}: {known}"));
                }
                Output::Count(count) => {
                    self.ledger.note(|| format!("  count {count:?}"));
                    self.ledger.counted(count, self.now);
                }
                Output::Alarm(alarm) => self.ledger.note(|| format!("  alarm {alarm:?}")),
                Output::Ladder(trace) => self.ledger.ladder(&trace),
                // Nobody in a shift asks for one.
                Output::LadderShown { .. } | Output::TrafficShown { .. } => (),
            }
        }
        self.ledger.end_turn(&self.media, &self.switchboard);
        while let Some((call, order)) = self.lost.pop_front() {
            self.input(Input::OrderLost(order));
            self.ledger.must_have_ended(call);
        }
    }

    fn order(&mut self, order: Order) {
        if !self.media_up {
            return;
        }
        let faulty = self.faulty && self.plan.faults.media;
        // The road is full. What ends a leg or a recording gets through later; here it does so now.
        let ends =
            matches!(order, Order::Hello { .. } | Order::StopRecord { .. } | Order::Close { .. });
        if faulty && !ends && self.random.chance(1) {
            let call = self.ledger.order_lost(&order);
            self.lost.push_back((call, order));
            return;
        }
        for (after, event) in self.media.order(order, faulty, &mut self.random) {
            self.tell_media(after, event);
        }
        for leg in self.media.take_unchecked() {
            let wait = self.millis(20, 400);
            self.after(wait, Event::CertificateShown { leg });
        }
    }

    pub(crate) fn tell_media(&mut self, after: Duration, event: MediaEvent) {
        let event = Event::Media { life: self.media_life, event: Told(event) };
        self.after(after, event);
    }

    fn at_rest(&self) -> Result<(), String> {
        if self.switchboard.n_dialogs() > 0 {
            return Err(format!("{} dialogs are left", self.switchboard.n_dialogs()));
        }
        if let Some(call) = self.switchboard.calls().next() {
            return Err(format!("call {} is still in {}", call.call, call.stage));
        }
        let restless = |it: &hotline_agent::AgentView| {
            // After-call work that an agent asked for ends by the agent.
            let works = it.display == hotline_agent::Display::Acw && self.vanished.is_none();
            it.line != hotline_agent::Line::Free || works
        };
        if let Some(it) = self.switchboard.agents().find(restless) {
            return Err(format!("agent {} is still {:?}", it.no, it.display));
        }
        if self.media.n_legs() + self.media.n_recordings() > 0 {
            let (legs, recordings) = (self.media.n_legs(), self.media.n_recordings());
            return Err(format!("media still has {legs} legs and {recordings} recordings"));
        }
        for (who, it) in [("the carrier", &self.carrier)]
            .into_iter()
            .chain(self.phones.iter().map(|it| (it.extension.as_str(), &it.endpoint)))
        {
            if it.n_legs() + it.n_transactions() > 0 {
                let (legs, n) = (it.n_legs(), it.n_transactions());
                return Err(format!("{who} still has {legs} legs and {n} transactions"));
            }
        }
        if let Some(key) = self.kept.keys().find(|it| it.starts_with("call/")) {
            return Err(format!("{key} is kept for ever"));
        }
        if self.switchboard.board(self.at()).trunks.iter().any(|it| it.in_use > 0) {
            return Err("a trunk channel is still taken".to_owned());
        }
        self.ledger.at_rest()
    }

    pub(crate) fn at(&self) -> Now {
        now_at(self.now - self.began, self.now, self.wall_ahead)
    }

    pub(crate) fn after(&mut self, wait: Duration, event: Event) {
        self.agenda.at(self.now + wait, event);
    }

    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.random.between(low, high))
    }

    pub(crate) fn part_of(&mut self, span: Duration) -> Duration {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.random.below(millis))
    }
}

impl std::fmt::Debug for Shift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shift").field("seed", &self.seed).finish_non_exhaustive()
    }
}

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\n\
                     m=audio 30000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

#[expect(clippy::expect_used, reason = "addresses of this crate")]
pub(crate) fn addr(it: &str) -> SocketAddr {
    it.parse().expect("an address")
}

/// The same path seen from its other end.
pub(crate) const fn reversed(flow: Flow) -> Flow {
    Flow { transport: flow.transport, local: flow.remote, remote: flow.local, conn: flow.conn }
}

pub(crate) fn start_line(bytes: &[u8]) -> String {
    let line = bytes.split(|it| *it == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}

fn name_of(event: &Event) -> String {
    match event {
        Event::Arrives { flow, bytes } => format!("{} gets {}", flow.local, start_line(bytes)),
        Event::Media { event: Told(event), .. } => format!("media says {event:?}"),
        Event::CallerDials
        | Event::CallerActs { .. }
        | Event::CalleeActs { .. }
        | Event::PhoneActs { .. }
        | Event::PhoneRegisters { .. }
        | Event::PhoneConnects { .. }
        | Event::PageReloads { .. }
        | Event::PageMoves { .. }
        | Event::ConnectionGone { .. }
        | Event::Unreachable { .. }
        | Event::CertificateShown { .. }
        | Event::MustBeClosed { .. }
        | Event::PhoneLosesPower
        | Event::PhoneReturns { .. }
        | Event::AgentActs { .. }
        | Event::MediaDies
        | Event::MediaReturns
        | Event::DiskFails
        | Event::DiskReturns
        | Event::PeersVanish
        | Event::ControlDies
        | Event::GatewayDies
        | Event::GatewayReturns
        | Event::LineCut { .. }
        | Event::LineReturns
        | Event::GatewayIsKnown
        | Event::ClockSet { .. }
        | Event::FaultsEnd => format!("{event:?}"),
    }
}

/// For callers of [`Shift::new`]: the account of an extension in a shift.
pub(crate) fn account_of(config: &Config, extension: &Extension) -> Option<hotline_sip::Account> {
    config.sip.accounts.get(extension).cloned()
}
