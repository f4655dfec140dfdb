//! The machine that owns all control state.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use hotline_acd::Dispatcher;
use hotline_agent::Agent;
use hotline_base::{
    AgentNo, CallId, ConnId, Due, HashedMap, Key, LegId, Machine, MonoTime, Now, OfferId, Random,
    RecordingId, TicketId, TrunkId, earliest, media::Order,
};
use hotline_call::Call;
use hotline_cdr::{EndReason, Party};
use hotline_ladder::Ring;
use hotline_sip::{Admit, Endpoint};
use hotline_trunk::{Admission, Fleet, Guard, Lists, Registrations};

use self::{desks::Desks, from_calls::FromCalls, overload::Door, traffic::Traffic};
use crate::{
    Config, Input, Output,
    environment::{CallEnvironment, Staff},
    io::Count,
    switchboard::addresses::Addresses,
    timers::{Owner, Timers},
};

mod addresses;
mod agents;
mod calls;
mod carrier;
mod desk_phones;
mod desks;
mod from_calls;
mod gateways;
mod keys;
mod ladder;
mod look;
mod media;
mod offers;
mod outbound;
mod outside;
mod overload;
mod parties;
mod phones;
mod registrations;
mod restore;
mod sip;
mod traffic;

/// A day: how far back `caller.repeat` looks.
const REPEAT_SPAN: Duration = Duration::from_hours(24);

/// How many callers are remembered for `caller.repeat`; the oldest are forgotten first.
const REPEAT_CALLERS_MAX: usize = 100_000;

/// All calls, agents, queues and trunks. See the crate.
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact about the outside")]
pub struct Switchboard {
    config: Arc<Config>,
    call_config: Arc<hotline_call::Config>,
    endpoint: Endpoint,
    ladders: Ring,
    traffic: Traffic,
    door: Door,
    admission: Admission,
    fleet: Fleet,
    registrations: Registrations,
    guard: Guard,
    /// Which gateways share the calls is drawn by lot.
    random: Random,
    /// Calls on their way out, by the called party's leg.
    attempts: BTreeMap<LegId, outbound::Attempt>,
    /// Where carriers' rules are: the trunks of calls that went out, by Call-ID.
    went_over: BTreeMap<Vec<u8>, TrunkId>,
    dispatcher: Dispatcher,
    agents: BTreeMap<AgentNo, Agent>,
    staff: Staff,
    desks: Desks,
    /// Where registered phones send from.
    phone_addresses: Addresses,
    /// In boxes: a map moves its values about, and leaves room for as many again.
    calls: BTreeMap<CallId, Box<CallEntry>>,
    /// Legs by their dialogs, and by their audio, which ends a little later.
    legs: BTreeMap<LegId, CallId>,
    media_legs: BTreeMap<LegId, CallId>,
    /// Offers and talks: which call has which agent.
    offers: BTreeMap<OfferId, parties::Holding>,
    /// Legs by which agents' telephones ring: whose, and what was tried.
    ringing: BTreeMap<LegId, phones::Ringing>,
    /// Channels taken for those outside who were called into a call, and for agents outside.
    guest_ways: BTreeMap<LegId, TrunkId>,
    recordings: BTreeMap<RecordingId, CallId>,
    /// Legs whose peers described telephone-events last, and keys that wait for their turn to go by
    /// INFO.
    take_events: BTreeSet<LegId>,
    keys_out: BTreeMap<LegId, VecDeque<Key>>,
    /// Telephones that asked for a transfer by REFER, until it is known what became of it.
    refers: BTreeMap<CallId, LegId>,
    /// When each caller called, by number.
    repeats: HashedMap<VecDeque<MonoTime>>,
    /// Live: calls in progress see a change, too.
    lists: Arc<Lists>,
    next_call: u64,
    next_ticket: u64,
    timers: Timers,
    /// Connections by which a message came: nobody here knows any other.
    conns: BTreeSet<ConnId>,
    from_calls: FromCalls,
    /// Calls that a later control process finds as this turn leaves them.
    to_keep: BTreeSet<CallId>,
    /// The call whose step is running: it is the one to end if the step panics.
    in_step: Option<CallId>,
    media_up: bool,
    /// Legs of an earlier control or media process are sorted out when media has said what lives.
    awaits_inventory: bool,
    /// Descriptions that media has not answered yet; the next media process gets them again.
    unanswered: BTreeMap<LegId, Order>,
    spool_healthy: bool,
    draining: bool,
    /// Where what is kept of a call is written, each time anew.
    scratch: Vec<u8>,
    /// Outputs of the turn that must be on disk before the others take effect.
    durable: VecDeque<Output>,
    outputs: VecDeque<Output>,
}

/// A call, with what others need to know of it.
#[derive(Debug)]
struct CallEntry {
    call: Call,
    arrival: look::Arrived,
    /// The ring limit its flow asked for.
    ring_limit: Option<Duration>,
    earlier_hours: Vec<u32>,
    /// When it first entered a queue: its place after a menu or a failed offer.
    entered: Option<MonoTime>,
    kept: bool,
    /// Its timer.
    due: Option<Due>,
    /// Everything of it in [`Switchboard::media_legs`] and [`Switchboard::recordings`].
    media_legs: Vec<LegId>,
    recordings: Vec<RecordingId>,
    /// Everything of it in [`Switchboard::went_over`].
    ways: Vec<Vec<u8>>,
}

impl Switchboard {
    /// `seed` names dialogs and branches; `now` makes identifiers that never come again.
    pub fn new(config: Config, seed: u64, now: Now) -> Self {
        let first = u64::try_from(now.wall.0).unwrap_or(0) << 20;
        Self::counting_from(first, config, seed, now)
    }

    /// The same with a first identifier that is given.
    pub fn counting_from(first: u64, config: Config, seed: u64, now: Now) -> Self {
        let config = Arc::new(config);
        let agents = config.agents.iter().map(|it| (it.no.clone(), Agent::new(it.clone())));
        let agents: BTreeMap<AgentNo, Agent> = agents.collect();
        let mut endpoint = Endpoint::new(config.sip.clone(), seed, first);
        let door = Door::new(config.overload, now);
        endpoint.set_feedback(door.feedback());
        Self {
            call_config: Arc::new(config.call.clone()),
            endpoint,
            ladders: Ring::new(config.ladder.clone(), &config.sip.secret),
            traffic: Traffic::new(&config, now),
            door,
            admission: Admission::new(config.trunks.clone(), config.numbers.clone()),
            fleet: Fleet::new(&config.trunks, now.mono),
            registrations: Registrations::new(&config.trunks, now.mono),
            guard: Guard::new(config.outbound.guard.clone()),
            random: Random::new(seed.rotate_left(32)),
            attempts: BTreeMap::new(),
            went_over: BTreeMap::new(),
            dispatcher: Dispatcher::new(config.groups.clone(), first),
            staff: Staff::default(),
            desks: Desks::new(agents.values()),
            agents,
            phone_addresses: Addresses::default(),
            calls: BTreeMap::new(),
            legs: BTreeMap::new(),
            media_legs: BTreeMap::new(),
            offers: BTreeMap::new(),
            ringing: BTreeMap::new(),
            guest_ways: BTreeMap::new(),
            recordings: BTreeMap::new(),
            take_events: BTreeSet::new(),
            keys_out: BTreeMap::new(),
            refers: BTreeMap::new(),
            repeats: HashedMap::new(&config.sip.secret),
            lists: Arc::default(),
            next_call: first,
            next_ticket: first,
            timers: Timers::default(),
            conns: BTreeSet::new(),
            from_calls: FromCalls::default(),
            to_keep: BTreeSet::new(),
            in_step: None,
            media_up: false,
            awaits_inventory: false,
            unanswered: BTreeMap::new(),
            spool_healthy: true,
            draining: false,
            scratch: Vec::new(),
            durable: VecDeque::new(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// After a caught panic: ends the call whose step panicked; everything else goes on.
    pub fn recover_from_panic(&mut self, now: Now) {
        self.outputs.push_back(Output::Count(Count::Panicked));
        if let Some(id) = self.in_step.take() {
            if let Some(entry) = self.calls.get_mut(&id) {
                self.from_calls.hush(&mut entry.call);
            }
            self.abandon(id, now);
        }
        self.settle(now);
        self.end_turn(now);
    }

    fn take(&mut self, input: Input, now: Now) {
        match input {
            Input::Sip { flow, message, waited_us } => {
                self.conns.extend(flow.conn);
                if self.turns_away(flow, &message, Duration::from_micros(waited_us), now) {
                    return;
                }
                let admit = self.admit(flow);
                // The ladder shows what the carrier sent.
                self.ladders.received(flow, &message, admit != Admit::Stranger, now);
                let message = self.repair(flow, message);
                self.endpoint.handle_message(flow, message, admit, now);
            }
            Input::SipBroken { flow, why, reply } => {
                self.outputs.push_back(Output::Count(Count::Misbehaved(why)));
                if let Some(bytes) = reply {
                    self.outputs.push_back(Output::Transmit { flow, bytes: bytes.into() });
                }
            }
            // Strangers come and go without a word.
            Input::ConnectionGone { conn } if !self.conns.remove(&conn) => (),
            Input::ConnectionGone { conn } => {
                self.registrations.conn_gone(conn, now.mono);
                self.endpoint.handle_connection_gone(conn, now);
            }
            Input::Media(event) => self.handle_media(event, now),
            Input::MediaUp => {
                // Its inventory says that it is ready; until then calls are refused.
                let version = hotline_base::media::VERSION;
                self.outputs.push_back(Output::Order(Order::Hello { version }));
            }
            Input::MediaDown => self.media_down(now),
            Input::Command { id, agent, command } => self.command(id, &agent, &command, now),
            Input::Spool { healthy } => self.spool_healthy = healthy,
            Input::Restored { entries } => self.restore(entries, now),
            Input::Drain => {
                self.draining = true;
                self.registrations.leave(now.mono);
                self.traffic.touch();
            }
            Input::EndCalls => self.end_calls(now),
            Input::Unreachable { flow } => self.endpoint.handle_unreachable(flow, now),
            Input::OrderLost(order) => self.order_lost(&order, now),
            Input::ShowTraffic { id } => self.show_traffic(id, now),
            Input::ShowLadder { id, call, store } => self.show_ladder(id, call, store, now),
            Input::Lists(lists) => self.lists = lists,
            Input::Waited { least_us } => self.waited(Duration::from_micros(least_us), now),
        }
    }

    /// Acts on what the machines said until none of them has more to say.
    fn settle(&mut self, now: Now) {
        loop {
            if let Some((call, output)) = self.from_calls.pop() {
                self.act_on_call(call, output, now);
            } else if let Some(output) = self.endpoint.poll_output() {
                self.act_on_sip(output, now);
            } else if let Some(output) = self.fleet.poll_output() {
                self.act_on_fleet(&output, now);
            } else if let Some(output) = self.registrations.poll_output() {
                self.act_on_registration(output, now);
            } else if let Some(output) = self.dispatcher.poll_output() {
                self.act_on_dispatch(output, now);
            } else if self.dispatcher.poll_timeout().is_some_and(|it| it.0 <= now.mono) {
                // Last, so that who left in this turn is not offered in it.
                self.dispatcher.handle_timeout(now);
            } else {
                break;
            }
        }
    }

    /// What is done once a turn, however much happened in it.
    fn end_turn(&mut self, now: Now) {
        while let Some(id) = self.to_keep.pop_first() {
            self.keep_call(id);
        }
        self.store_ladders(now);
        self.settle_traffic(now);
    }

    /// Runs one step of a call and collects what it says.
    fn step(
        &mut self,
        id: CallId,
        now: Now,
        step: impl FnOnce(&mut Call, &CallEnvironment<'_>, Now),
    ) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        let environment = CallEnvironment {
            dispatcher: &self.dispatcher,
            staff: &self.staff,
            ticket: entry.call.ticket(),
            city: entry.arrival.city,
            earlier_hours: &entry.earlier_hours,
            lists: &self.lists,
        };
        self.in_step = Some(id);
        self.from_calls.listen(&mut entry.call);
        step(&mut entry.call, &environment, now);
        self.from_calls.heard(id, &mut entry.call);
        self.in_step = None;
        let due = entry.call.poll_timeout();
        self.timers.replace(Owner::Call(id), entry.due, due);
        entry.due = due;
    }

    fn end_calls(&mut self, now: Now) {
        self.each_call(now, |call, env, now| {
            let reason = EndReason::Normal { tag: "shutdown".to_owned() };
            call.end(Party::Platform, reason, None, env, now);
        });
    }

    /// All calls at once: what one of them lets go is offered to others only when they have taken
    /// the step, too.
    fn each_call(&mut self, now: Now, step: impl Fn(&mut Call, &CallEnvironment<'_>, Now)) {
        let all: Vec<_> = self.calls.keys().copied().collect();
        for id in all {
            self.step(id, now, &step);
        }
        self.settle(now);
    }
}

impl Machine for Switchboard {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, input: Input, now: Now) {
        self.take(input, now);
        self.settle(now);
        self.end_turn(now);
    }

    fn handle_timeout(&mut self, now: Now) {
        if self.endpoint.poll_timeout().is_some_and(|it| it.0 <= now.mono) {
            self.endpoint.handle_timeout(now);
        }
        self.fleet.handle_timeout(now.mono);
        self.registrations.handle_timeout(&self.fleet, &mut self.random, now.mono);
        self.settle(now);
        for owner in self.timers.due(now.mono) {
            match owner {
                Owner::Call(id) => {
                    self.step(id, now, |call, env, now| call.handle_timeout(env, now));
                }
                Owner::Agent(no) => self.agent_timeout(&no, now),
                Owner::Media => self.media_lost(now),
                Owner::Keys(leg) => self.next_key(leg, now),
            }
            self.settle(now);
        }
        self.end_turn(now);
    }

    fn poll_timeout(&self) -> Option<Due> {
        let ladder = self.ladders.poll_timeout().map(|at| (at, "ladder"));
        let watch = self.traffic.poll_timeout().map(|at| (at, "carriers"));
        earliest(
            earliest(self.timers.first(), earliest(ladder, watch)),
            earliest(
                earliest(self.endpoint.poll_timeout(), self.fleet.poll_timeout()),
                earliest(self.dispatcher.poll_timeout(), self.registrations.poll_timeout()),
            ),
        )
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.durable.pop_front().or_else(|| self.outputs.pop_front())
    }

    fn is_done(&self) -> bool {
        self.draining && self.calls.is_empty() && self.registrations.has_left()
    }
}

impl std::fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Switchboard")
            .field("n_calls", &self.calls.len())
            .field("n_agents", &self.agents.len())
            .finish_non_exhaustive()
    }
}

fn next(counter: &mut u64) -> u64 {
    let it = *counter;
    *counter = it.saturating_add(1);
    it
}

impl Switchboard {
    fn new_call(&mut self) -> CallId {
        CallId(next(&mut self.next_call))
    }

    fn new_ticket(&mut self) -> TicketId {
        TicketId(next(&mut self.next_ticket))
    }
}
