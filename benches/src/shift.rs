//! Callers, agents, a carrier and media on virtual time. They are here only to make the inputs of
//! a shift, which are then replayed without them.

pub mod life;
mod media;

use std::{
    collections::BTreeMap, net::SocketAddr, path::Path, str::FromStr, sync::Arc, time::Duration,
};

use anyhow::{Context, Result};
use hotline_agent::Command;
use hotline_base::{
    AgentNo, CommandId, Extension, LegId, Machine, MonoTime, Now, Random, WallTime,
};
use hotline_sip::{
    Account, Admit, Dial, Endpoint, Event as SipEvent, Flow, HangUp, Message, Output as SipOutput,
    Transport,
};
use hotline_switchboard::{Config, Input, Output, Switchboard};

use self::{
    life::Part,
    media::{Media, SDP},
};
use crate::cpu_time;

/// How many agents work and how many callers wait for them, all the time.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub agents: usize,
    pub waiting: usize,
    pub callers: usize,
    /// An agent talks this long and up to `departure` longer.
    pub talk: Duration,
    pub departure: Duration,
}

/// A shift as the switchboard saw it. `None`: its timers were due.
#[derive(Debug)]
pub struct Shift {
    pub start: Now,
    pub inputs: Vec<(Now, Option<Input>)>,
    /// From this one on as many wait as shall.
    pub steady: usize,
    /// What the switchboard said to all of it.
    pub n_outputs: u64,
    /// Calls that ended since then.
    pub n_calls: u64,
    pub n_waiting: usize,
}

pub const SEED: u64 = 12_345;

const BUILT_IN: &str = include_str!("../../config/hotline.toml");

const SWITCHBOARD: &str = "10.0.0.1:5060";
const TRUNK: &str = "10.0.1.1:5060";

/// Callers dial over this long, and then the queue has this long to settle.
const ARRIVAL: Duration = Duration::from_mins(1);
const BEGIN: MonoTime = MonoTime(1_000_000_000);
const WARM_UP: Duration = Duration::from_mins(4);

#[derive(Debug)]
struct World {
    now: MonoTime,
    switchboard: Switchboard,
    carrier: Endpoint,
    office: Endpoint,
    media: Media,
    random: Random,
    agenda: BTreeMap<(MonoTime, u64), What>,
    serial: u64,
    shift: Shift,
    is_steady: bool,
    is_written: bool,
    /// Who was hung up on calls again.
    redials: bool,
    /// Of the switchboard.
    spent: Part,
    /// Requests with which a session was refreshed.
    n_refreshes: u64,
    n_records: u64,
    /// What the switchboard says in one turn.
    said: Vec<Output>,
    talk: Duration,
    departure: Duration,
    agents: Vec<(AgentNo, Extension, SocketAddr)>,
    trunk: Flow,
}

#[derive(Debug)]
enum What {
    Input(Input),
    ToCarrier(Flow, Arc<[u8]>),
    ToOffice(Flow, Arc<[u8]>),
    Dial,
    Register(usize),
    Answer(LegId),
    PhoneHangsUp(LegId),
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let (agents, waiting) = parts.ok_or("write agents:waiting, such as 50:200")?;
        let callers = if waiting > 0 { agents + waiting } else { agents * 7 / 10 };
        let talk = Duration::from_secs(40);
        Ok(Self { agents, waiting, callers, talk, departure: talk })
    }
}

/// The bundled flows, or those of a folder, the bundled groups, one trunk, and as many agents as
/// the point has.
pub fn config(point: Point, flows: Option<&Path>) -> Result<Config> {
    let dir = flows.map(|it| format!("\n[flows]\ndir = {:?}\n", it.display().to_string()));
    let text = format!("{BUILT_IN}{}", dir.unwrap_or_default());
    let loaded = hotline_config::load_text("hotline.toml", Path::new(""), &text)
        .map_err(|it| anyhow::anyhow!("the built-in configuration has {} complaints", it.len()))?;
    let mut it = loaded.switchboard;
    it.sip.advertised = SWITCHBOARD.parse::<SocketAddr>()?.ip();
    it.trunks.truncate(1);
    let trunk = it.trunks.first_mut().context("a trunk")?;
    trunk.sources = vec![hotline_trunk::Source::host(TRUNK.parse::<SocketAddr>()?.ip())];
    trunk.channels_max = usize::MAX;
    for group in &mut it.groups {
        group.queue_max = usize::MAX;
    }
    let model = it.agents.first().cloned().context("an agent")?;
    it.agents = (0..point.agents)
        .map(|n| {
            let mut agent = model.clone();
            agent.no = AgentNo::new(&format!("{}", 10_000 + n));
            agent.extension = Extension::new(&format!("{}", 80_000 + n));
            agent
        })
        .collect();
    let account = Account::new("demo");
    let accounts = it.agents.iter().map(|it| (it.extension.clone(), account.clone()));
    it.sip.accounts = accounts.collect();
    Ok(it)
}

/// Lives until the switchboard has had `n_events` in the steady part.
pub fn record(config: &Config, point: Point, n_events: usize) -> Result<Shift> {
    let mut world = World::new(config, point)?;
    world.open(point.callers);
    let steady_from = world.now + ARRIVAL + WARM_UP;
    while world.shift.inputs.len() < world.shift.steady.saturating_add(n_events) {
        if !world.is_steady && world.now >= steady_from {
            world.is_steady = true;
            world.shift.steady = world.shift.inputs.len();
        }
        world.step().context("nothing happens any more")?;
    }
    let board = world.switchboard.board(world.at());
    world.shift.n_waiting = board.groups.iter().map(|it| it.waiting).sum();
    Ok(world.shift)
}

impl World {
    fn new(config: &Config, point: Point) -> Result<Self> {
        let now = BEGIN;
        let start = now_at(now);
        let agents = config.agents.iter().enumerate().map(|(n, it)| {
            let [.., high, low] = n.to_be_bytes();
            (it.no.clone(), it.extension.clone(), SocketAddr::from(([10, 1, high, low], 5060)))
        });
        Ok(Self {
            now,
            switchboard: Switchboard::new(config.clone(), SEED, start),
            carrier: Endpoint::new(config.sip.clone(), 1, 1),
            office: Endpoint::new(config.sip.clone(), 2, 1),
            media: Media::default(),
            random: Random::new(SEED),
            agenda: BTreeMap::new(),
            serial: 0,
            shift: Shift {
                start,
                inputs: Vec::new(),
                steady: usize::MAX,
                n_outputs: 0,
                n_calls: 0,
                n_waiting: point.waiting,
            },
            is_steady: false,
            is_written: true,
            redials: true,
            spent: Part::default(),
            n_refreshes: 0,
            n_records: 0,
            said: Vec::new(),
            talk: point.talk,
            departure: point.departure,
            agents: agents.collect(),
            trunk: to_switchboard(TRUNK.parse()?)?,
        })
    }

    /// Phones register, agents sign in and are ready; then callers begin to dial: gives when.
    fn open(&mut self, n_callers: usize) -> MonoTime {
        self.input(Some(Input::Restored { entries: Vec::new() }));
        self.input(Some(Input::MediaUp));
        let mut commands = 0;
        for (n, (agent, ..)) in self.agents.clone().into_iter().enumerate() {
            let wait = Duration::from_millis(n as u64);
            self.after(wait, What::Register(n));
            for command in [Command::SignIn { extension: None }, Command::SetReady] {
                commands += 1;
                let (id, agent) = (CommandId(commands), agent.clone());
                let input = Input::Command { id, agent, command };
                self.after(wait + Duration::from_secs(1), What::Input(input));
            }
        }
        let begin =
            Duration::from_secs(5).max(Duration::from_millis(self.agents.len() as u64 + 3_000));
        for _ in 0..n_callers {
            let wait = begin + self.up_to(ARRIVAL);
            self.after(wait, What::Dial);
        }
        self.now + begin
    }

    /// The next thing that happens. `None`: nothing.
    fn step(&mut self) -> Option<()> {
        let others = [&self.carrier, &self.office].map(Endpoint::poll_timeout);
        let dues = [self.switchboard.poll_timeout(), others[0], others[1]];
        let due = dues.into_iter().flatten().map(|it| it.0.max(self.now)).min();
        let planned = self.agenda.first_key_value().map(|it| it.0.0);
        self.now = due.into_iter().chain(planned).min()?;
        if planned == Some(self.now) {
            let (_, what) = self.agenda.pop_first()?;
            self.happens(what);
        } else {
            let now = self.at();
            if dues[0].is_some_and(|it| it.0 <= self.now) {
                self.input(None);
            }
            self.carrier.handle_timeout(now);
            self.office.handle_timeout(now);
        }
        self.drain_carrier();
        self.drain_office();
        Some(())
    }

    fn happens(&mut self, what: What) {
        let now = self.at();
        match what {
            What::Input(input) => {
                if !matches!(&input, Input::Media(event) if self.media.is_stale(event)) {
                    self.input(Some(input));
                }
            }
            What::ToCarrier(flow, bytes) => {
                if let Ok(message) = Message::parse(&bytes) {
                    self.carrier.handle_message(flow, message, Admit::Trusted, now);
                }
            }
            What::ToOffice(flow, bytes) => {
                if let Ok(message) = Message::parse(&bytes) {
                    self.office.handle_message(flow, message, Admit::Trusted, now);
                }
            }
            What::Dial => self.dial(),
            What::Register(n) => {
                self.register(n);
                self.after(Duration::from_mins(25), What::Register(n));
            }
            What::Answer(leg) => self.office.answer(leg, SDP.to_owned(), now),
            What::PhoneHangsUp(leg) => {
                self.office.hang_up(leg, HangUp { status: 480, reason: None }, now);
            }
        }
    }

    fn dial(&mut self) {
        let leg = self.carrier.new_leg();
        let dial = Dial {
            target: "sip:12345@10.0.0.1".to_owned(),
            flow: self.trunk,
            from_display: String::new(),
            from_user: format!("138{:08}", leg.0),
            sdp: SDP.to_owned(),
            headers: Vec::new(),
            ring_limit: None,
            silence_limit: None,
            from_host: None,
            credentials: None,
        };
        let now = self.at();
        self.carrier.dial(leg, dial, now);
    }

    fn register(&mut self, n: usize) {
        let now = self.at();
        let Some((_, extension, address)) = self.agents.get(n) else { return };
        let account = Account::new("demo");
        if let Ok(flow) = to_switchboard(*address) {
            self.office.register(extension, &account, flow, Duration::from_hours(1), now);
        }
    }

    /// One turn of the switchboard, written down.
    fn input(&mut self, input: Option<Input>) {
        let now = self.at();
        if self.is_written {
            self.shift.inputs.push((now, input.clone()));
        }
        self.n_refreshes += u64::from(input.as_ref().is_some_and(is_update));
        let mut said = std::mem::take(&mut self.said);
        let begin = cpu_time();
        match input {
            Some(input) => self.switchboard.handle(input, now),
            None => self.switchboard.handle_timeout(now),
        }
        while let Some(output) = self.switchboard.poll_output() {
            said.push(output);
        }
        self.spent.cpu += cpu_time().saturating_sub(begin);
        self.spent.n_turns += 1;
        for output in said.drain(..) {
            self.shift.n_outputs += 1;
            match output {
                Output::Transmit { flow, bytes } => {
                    self.n_refreshes += u64::from(bytes.starts_with(b"UPDATE "));
                    let to = reversed(flow);
                    let is_trunk = to.local == self.trunk.local;
                    let what = if is_trunk { What::ToCarrier } else { What::ToOffice };
                    self.after(Duration::from_micros(500), what(to, bytes));
                }
                Output::Order(order) => {
                    for (wait, event) in self.media.order(order) {
                        self.after(wait, What::Input(Input::Media(event)));
                    }
                }
                Output::Record(it) => {
                    self.n_records += u64::from(it.complete);
                    self.shift.n_calls += u64::from(it.complete && self.is_steady);
                }
                Output::Agent(_)
                | Output::Keep { .. }
                | Output::Reply { .. }
                | Output::Fact { .. }
                | Output::Count(_)
                | Output::Alarm(_)
                | Output::PhonesAt { .. }
                | Output::Ladder(_)
                | Output::Recording(_)
                | Output::LadderShown { .. }
                | Output::TrafficShown { .. } => {}
            }
        }
        self.said = said;
    }

    fn drain_carrier(&mut self) {
        while let Some(output) = self.carrier.poll_output() {
            match output {
                SipOutput::Transmit { flow, bytes } => self.send(flow, &bytes),
                SipOutput::Event(SipEvent::Ended { .. }) if self.redials => {
                    let wait = Duration::from_millis(500) + self.up_to(Duration::from_secs(1));
                    self.after(wait, What::Dial);
                }
                SipOutput::Event(_) => {}
            }
        }
    }

    fn drain_office(&mut self) {
        while let Some(output) = self.office.poll_output() {
            match output {
                SipOutput::Transmit { flow, bytes } => self.send(flow, &bytes),
                SipOutput::Event(SipEvent::Invited(it)) => {
                    let now = self.at();
                    self.office.ring(it.leg, None, now);
                    let wait = Duration::from_secs(2) + self.up_to(Duration::from_secs(2));
                    self.after(wait, What::Answer(it.leg));
                }
                SipOutput::Event(SipEvent::Confirmed { leg }) => {
                    let wait = self.talk + self.up_to(self.departure);
                    self.after(wait, What::PhoneHangsUp(leg));
                }
                SipOutput::Event(_) => {}
            }
        }
    }

    fn send(&mut self, flow: Flow, bytes: &[u8]) {
        if let Ok(message) = Message::parse(bytes) {
            let input = Input::Sip { flow: reversed(flow), message, waited_us: 0 };
            self.after(Duration::from_micros(500), What::Input(input));
        }
    }

    fn at(&self) -> Now {
        now_at(self.now)
    }

    fn after(&mut self, wait: Duration, what: What) {
        self.serial += 1;
        self.agenda.insert((self.now + wait, self.serial), what);
    }

    fn up_to(&mut self, span: Duration) -> Duration {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.random.below(millis))
    }
}

fn is_update(input: &Input) -> bool {
    matches!(input, Input::Sip { message, .. } if message.bytes().starts_with(b"UPDATE "))
}

fn now_at(mono: MonoTime) -> Now {
    let millis = i64::try_from(mono.0 / 1_000_000).unwrap_or(i64::MAX);
    // 2026-11-22T08:00:00+08:00.
    Now { mono, wall: WallTime(1_795_305_600_000 + millis) }
}

fn to_switchboard(local: SocketAddr) -> Result<Flow> {
    Ok(Flow { transport: Transport::Udp, local, remote: SWITCHBOARD.parse()?, conn: None })
}

/// The same path seen from its other end.
const fn reversed(flow: Flow) -> Flow {
    Flow { transport: flow.transport, local: flow.remote, remote: flow.local, conn: None }
}
