//! The books of a shift: what every observer outside the switchboard can count.

mod audio;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use hotline_base::{
    AgentNo, CallId, CommandId, LegId, MonoTime, OfferId, TicketId,
    media::{Order, Play},
};
use hotline_cdr::{CallFact, CallRecord, CalledParty, EndReason, Outcome, Stamped};
use hotline_ladder::Trace;
use hotline_switchboard::{AgentUpdate, Config, Count, Switchboard};

use crate::{Faults, lines::Invites, media::MediaModel};

/// How many events are told when an invariant breaks.
const LAST_EVENTS: usize = 60;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    open: BTreeSet<CallId>,
    finished: BTreeMap<CallId, Outcome>,
    ladders: BTreeSet<CallId>,
    /// Records come first in a turn, so the facts of this turn may be about these calls too.
    finished_in_turn: BTreeSet<CallId>,
    /// The switchboard's leg of each caller's number, of each call and of each offer.
    legs: BTreeMap<String, LegId>,
    pub(crate) caller_legs: BTreeMap<CallId, LegId>,
    pub(crate) offer_legs: BTreeMap<OfferId, LegId>,
    call_legs: BTreeMap<LegId, CallId>,
    pub(crate) ended: BTreeSet<CallId>,
    /// Media did not get an order of theirs.
    unheard: BTreeSet<CallId>,
    waiting: BTreeMap<TicketId, Waiting>,
    offers: BTreeMap<OfferId, (CallId, AgentNo, TicketId)>,
    /// Agents who were called into a call.
    guests: BTreeMap<OfferId, AgentNo>,
    /// Transfers, three-way talks and supervisions there were, by what facts say.
    n_parties: u64,
    /// Callers in a flow that an agent sent them to, and how many there were.
    suspended: BTreeMap<CallId, OfferId>,
    n_suspended: u64,
    /// What flows and supervisors did to recordings.
    n_controlled: u64,
    n_outside: u64,
    /// Browsers whose certificate was not the one that was described.
    pub(crate) n_impostors: u64,
    pub(crate) n_gone_holding: u64,
    /// Agents who muted themselves, and where.
    muted: BTreeMap<OfferId, CallId>,
    /// Calls whose callers left while others talked on.
    left: BTreeSet<CallId>,
    /// Whose telephone a leg is.
    agents: BTreeMap<LegId, AgentNo>,
    commands: BTreeSet<CommandId>,
    entered: BTreeMap<CallId, MonoTime>,
    /// Calls that an agent made: where they stand.
    outgoing: BTreeMap<CallId, Outgoing>,
    /// Outgoing calls the trunk may have at the same time.
    out_max: usize,
    /// No packet is lost, so the gateway that lives is always reached.
    lossless: bool,
    /// Talks outlive what is cut of their lines.
    short_cuts: bool,
    /// Of a storm: legs that were bridged, and whose.
    pub(crate) storm: Option<BTreeMap<LegId, CallId>>,
    pub(crate) invites: Invites,
    n_out: u64,
    broken: Option<String>,
    last: VecDeque<String>,
    trace: u64,
    n_events: u64,
    n_arrived: u64,
    n_turned_away: u64,
    /// From then on nobody may be turned away.
    pub(crate) normal_at: MonoTime,
    /// The longest that a message would have waited.
    pub(crate) longest_wait: Duration,
}

#[derive(Debug)]
struct Waiting {
    call: CallId,
    group: String,
    priority: u8,
    entered: MonoTime,
    /// Had an offer that came to nothing: others may be preferred for him for a while.
    disappointed: bool,
}

#[derive(Debug, Default)]
struct Outgoing {
    emergency: bool,
    is_out: bool,
    rings: bool,
    /// When its newest INVITE to a gateway was sent.
    went: MonoTime,
}

/// What came of a shift. Equal for equal seeds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    pub outcomes: BTreeMap<Outcome, u64>,
    pub n_events: u64,
    /// A hash over everything that happened, in order.
    pub trace: u64,
    /// Dialogs whose peers vanished.
    pub n_vanished: usize,
    /// Calls that were taken or refused by a trunk's limits, and those that were too many.
    pub n_arrived: u64,
    pub n_turned_away: u64,
    /// The longest that a message would have waited for its turn.
    pub longest_wait: Duration,
    /// Parties who were called into calls.
    pub n_parties: u64,
    /// Callers whom an agent sent to a flow.
    pub n_suspended: u64,
    /// Callers who left while others talked on.
    pub n_talked_on: usize,
    /// What flows and supervisors did to recordings.
    pub n_controlled: u64,
    /// Offers and calls for which an agent's number outside was rung.
    pub n_outside: u64,
    /// Browsers whose certificate was not the one that was described.
    pub n_impostors: u64,
    /// Telephones that were gone while they held.
    pub n_gone_holding: u64,
    /// INVITEs to gateways for agents' own calls, and those after whose silence the next one was
    /// tried.
    pub n_out: u64,
    pub n_moved_on: u64,
    /// Those that a gateway had taken without a ring when it died.
    pub n_left: u64,
}

impl Ledger {
    pub(crate) fn of(config: &Config, faults: Faults) -> Self {
        let limit = config.trunks.first().and_then(|it| it.limits.out_max);
        let (lossless, storm) = (faults.loss == 0, faults.storm.map(|_| BTreeMap::new()));
        let short_cuts = faults.cut_max.is_some() || storm.is_some();
        let out_max = limit.unwrap_or(usize::MAX);
        Self { out_max, lossless, short_cuts, storm, ..Self::default() }
    }

    /// Calls that go on.
    pub(crate) fn open(&self) -> impl Iterator<Item = CallId> + '_ {
        self.open.iter().copied()
    }

    /// What the switchboard sends.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        let asks = bytes.starts_with(b"SIP/2.0 503")
            && bytes.split(|it| *it == b'\n').any(|it| it.starts_with(b"Retry-After"));
        if asks {
            self.fail("overload stops the carrier by Retry-After".to_owned());
        }
    }

    pub(crate) fn counted(&mut self, count: Count, now: MonoTime) {
        if count == Count::TurnedAway {
            self.n_turned_away += 1;
            if now >= self.normal_at {
                self.fail("a caller is turned away though nobody else calls".to_owned());
            }
        }
    }

    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        let text = text();
        self.n_events += 1;
        // FNV-1a.
        for byte in text.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.last.len() == LAST_EVENTS {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }

    pub(crate) fn verdict(&mut self) -> Result<(), String> {
        self.broken.take().map_or(Ok(()), Err)
    }

    pub(crate) fn last_events(&self) -> String {
        self.last.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// The switchboard's leg of a caller.
    pub(crate) fn leg_of(&self, number: &str) -> Option<LegId> {
        self.legs.get(number).copied()
    }

    /// What had not been kept is unknown to everybody.
    pub(crate) fn control_died(&mut self) {
        self.waiting.clear();
        self.offers.clear();
        self.guests.clear();
        self.suspended.clear();
        self.open.clear();
        self.outgoing.clear();
    }

    pub(crate) fn record(&mut self, record: &CallRecord, transmitted: bool) {
        let call = record.call;
        self.note(|| format!("  record {call} {:?} {}", record.outcome, record.complete));
        if transmitted {
            self.fail(format!("record of {call} came after a transmission of its turn"));
        }
        if let Some(reason) = impossible(record) {
            self.fail(format!("record of {call}: {reason}"));
        }
        if !record.complete {
            return;
        }
        let lost = |it: &EndReason| matches!(it, EndReason::PeerGone | EndReason::SessionExpired);
        if self.short_cuts && record.reason.as_ref().is_some_and(lost) {
            self.fail(format!("call {call} did not outlive the cut of its line"));
        }
        self.open.remove(&call);
        self.finished_in_turn.insert(call);
        if self.finished.insert(call, record.outcome).is_some() {
            self.fail(format!("call {call} has two complete records"));
        }
    }

    pub(crate) fn ladder(&mut self, trace: &Trace) {
        let (call, n) = (trace.call, trace.n_messages());
        self.note(|| format!("  ladder {call} {n}"));
        if !self.finished.contains_key(&call) {
            self.fail(format!("the ladder of {call} is stored before its record"));
        }
        if !self.ladders.insert(call) {
            self.fail(format!("the ladder of {call} is stored twice"));
        }
    }

    /// The call whose order did not get to media; what its parties hear is not what it decided.
    pub(crate) fn order_lost(&mut self, order: &Order) -> Option<CallId> {
        self.note(|| format!("  lost {order:?}"));
        let call = self.call_of(order)?;
        self.unheard.insert(call);
        Some(call)
    }

    fn call_of(&self, order: &Order) -> Option<CallId> {
        let leg = match order {
            Order::Open { leg, .. }
            | Order::Answer { leg, .. }
            | Order::Reoffer { leg, .. }
            | Order::Describe { leg }
            | Order::Play(Play { leg, .. })
            | Order::Stop { leg, .. }
            | Order::SendKeys { leg, .. }
            | Order::HeedTones { leg }
            | Order::Close { leg }
            | Order::Record { left: leg, .. } => Some(*leg),
            Order::Mix { hears } => hears.first().map(|it| it.listener),
            Order::Hello { .. }
            | Order::RecordSource { .. }
            | Order::RecordMute { .. }
            | Order::StopRecord { .. } => None,
        }?;
        self.call_legs.get(&leg).copied()
    }

    pub(crate) fn must_have_ended(&mut self, call: Option<CallId>) {
        if let Some(call) = call
            && !self.ended.contains(&call)
        {
            self.fail(format!("call {call} goes on without an order that media did not get"));
        }
    }

    /// Of a call that is over media has nothing; and in one that the caller left, those who talk on
    /// hear each other.
    pub(crate) fn end_turn(&mut self, media: &MediaModel, switchboard: &Switchboard) {
        self.check_left(media, switchboard);
        for call in std::mem::take(&mut self.finished_in_turn) {
            let open = self.call_legs.iter().find(|it| *it.1 == call && media.has(*it.0));
            if let Some((leg, _)) = open.filter(|_| !media.is_reviving()) {
                let leg = *leg;
                self.fail(format!("call {call} is over, and media has its {leg} still"));
            }
        }
    }

    pub(crate) fn agent(&mut self, update: &AgentUpdate) {
        let it = &update.fact;
        self.note(|| format!("  agent {} {:?} {:?}", it.agent, it.display, it.reason));
    }

    pub(crate) fn commanded(&mut self, id: CommandId) {
        self.commands.insert(id);
    }

    pub(crate) fn reply(&mut self, id: CommandId) {
        if !self.commands.remove(&id) {
            self.fail(format!("command {id} was answered twice"));
        }
    }

    pub(crate) fn fact(&mut self, call: CallId, stamped: &Stamped, media: &MediaModel) {
        self.note(|| format!("  fact {call} {:?}", stamped.fact));
        if self.finished.contains_key(&call) && !self.finished_in_turn.contains(&call) {
            self.fail(format!("a fact about call {call}, which is over"));
        }
        self.outgoing_fact(call, &stamped.fact, stamped.at.mono);
        self.party_fact(call, &stamped.fact);
        self.storm_fact(call, &stamped.fact);
        self.flow_fact(call, &stamped.fact, media);
        if let CallFact::AgentMuted { offer } = &stamped.fact {
            self.muted.insert(*offer, call);
        } else if let CallFact::AgentUnmuted { offer } = &stamped.fact {
            self.muted.remove(offer);
        }
        if let CallFact::Arrived(it) = &stamped.fact {
            self.n_arrived += 1;
            if !self.finished.contains_key(&call) {
                self.open.insert(call);
            }
            self.caller_legs.insert(call, it.leg);
            self.call_legs.insert(it.leg, call);
            self.legs.insert(it.caller_raw.reveal().clone(), it.leg);
        } else if let CallFact::Enqueued { ticket, group, priority, .. } = &stamped.fact {
            let entered = *self.entered.entry(call).or_insert(stamped.at.mono);
            let waiting = Waiting {
                call,
                group: group.to_string(),
                priority: *priority,
                entered,
                disappointed: false,
            };
            self.waiting.insert(*ticket, waiting);
        } else if let CallFact::LeftQueue { ticket, .. } = &stamped.fact {
            self.waiting.remove(ticket);
        } else if let CallFact::Offered { offer, ticket, agent, group, leg, .. } = &stamped.fact {
            self.agents.insert(*leg, agent.clone());
            self.offer_legs.insert(*offer, *leg);
            self.call_legs.insert(*leg, call);
            self.offered(*offer, call, *ticket, agent, group.as_str());
        } else if let CallFact::PhoneChanged { offer, leg } = &stamped.fact {
            let agent = self.offer_legs.get(offer).and_then(|it| self.agents.get(it)).cloned();
            self.agents.extend(agent.map(|it| (*leg, it)));
            self.offer_legs.insert(*offer, *leg);
            self.call_legs.insert(*leg, call);
        } else if let CallFact::OfferEnded { offer, .. } | CallFact::AgentReleased { offer, .. } =
            &stamped.fact
        {
            if let Some((_, _, ticket)) = self.offers.remove(offer)
                && let Some(it) = self.waiting.get_mut(&ticket)
            {
                it.disappointed = true;
            }
        } else if let CallFact::Bridged { offer } | CallFact::Retrieved { offer, .. } =
            &stamped.fact
        {
            self.expect_audio(call, *offer, media, true);
        } else if let CallFact::Held { offer, .. } = &stamped.fact {
            self.expect_audio(call, *offer, media, false);
        } else if let CallFact::Ended { .. } = &stamped.fact {
            self.ended.insert(call);
        }
    }

    /// Nobody is called into two calls, and everybody who was called leaves.
    fn party_fact(&mut self, call: CallId, fact: &CallFact) {
        if let CallFact::RungOutside { .. } = fact {
            self.n_outside += 1;
        }
        if let CallFact::PartyCalled { offer, leg, party, .. } = fact {
            self.n_parties += 1;
            self.offer_legs.insert(*offer, *leg);
            self.call_legs.insert(*leg, call);
            if let CalledParty::Agent { agent, .. } = party {
                self.agents.insert(*leg, agent.clone());
                let offered = self.offers.values().any(|it| it.1 == *agent);
                if offered || self.guests.values().any(|it| it == agent) {
                    self.fail(format!("agent {agent} is called into a call and has another"));
                }
                self.guests.insert(*offer, agent.clone());
            }
        } else if let CallFact::PartyLeft { offer, .. }
        | CallFact::OfferEnded { offer, .. }
        | CallFact::AgentReleased { offer, .. } = fact
        {
            self.guests.remove(offer);
        } else if let CallFact::CallerLeft { .. } = fact
            && !self.left.insert(call)
        {
            self.fail(format!("the caller of {call} left twice"));
        }
    }

    /// Whom an agent sends to a flow hears nobody, and comes back once.
    fn flow_fact(&mut self, call: CallId, fact: &CallFact, media: &MediaModel) {
        if let CallFact::RecordingControlled(_) = fact {
            self.n_controlled += 1;
        } else if let CallFact::Suspended { offer, .. } = fact {
            self.n_suspended += 1;
            if self.suspended.insert(call, *offer).is_some() {
                self.fail(format!("the caller of {call} is sent to a flow and is in one"));
            }
            let caller = self.caller_legs.get(&call).copied();
            let excused = self.unheard.contains(&call) || media.is_reviving();
            if !excused && caller.is_none_or(|it| !media.hears_nobody(it)) {
                self.fail(format!("the caller of {call} is in a flow and hears somebody"));
            }
        } else if let CallFact::Returned(result) = fact {
            let known = self.suspended.remove(&call).is_none_or(|it| it == result.offer);
            if !known {
                self.fail(format!("the caller of {call} comes back to whom he did not leave"));
            }
        }
    }

    /// Never more outgoing calls than agreed, and never a second INVITE once a telephone rings.
    fn outgoing_fact(&mut self, call: CallId, fact: &CallFact, at: MonoTime) {
        if let CallFact::Dialled { leg, emergency, .. } = fact {
            self.open.insert(call);
            self.caller_legs.insert(call, *leg);
            self.call_legs.insert(*leg, call);
            let it = Outgoing { emergency: *emergency, ..Outgoing::default() };
            self.outgoing.insert(call, it);
        } else if let CallFact::AgentCalled { offer, agent, leg, .. } = fact {
            self.agents.insert(*leg, agent.clone());
            self.offer_legs.insert(*offer, *leg);
            self.call_legs.insert(*leg, call);
            let taken = self.offers.values().any(|it| it.1 == *agent);
            self.offers.insert(*offer, (call, agent.clone(), TicketId(0)));
            if taken {
                self.fail(format!("agent {agent} dials while he has an offer"));
            }
        } else if let CallFact::Ended { .. } = fact {
            self.outgoing.remove(&call);
        }
        let Some(it) = self.outgoing.get_mut(&call) else { return };
        if let CallFact::PartyRinging = fact {
            it.rings = true;
        } else if let CallFact::WayRefused { status, .. } = fact {
            it.is_out = false;
            if *status == 408
                && let Some(waited) = self.invites.given_up(it.went, at, self.lossless)
            {
                self.fail(format!("call {call} waited {waited:?} for a silent gateway"));
            }
        } else if let CallFact::DialFailed { leg, status: 408, .. } = fact
            && self.caller_legs.get(&call) == Some(leg)
            && self.lossless
        {
            self.fail(format!("call {call} failed though a gateway was there"));
        } else if let CallFact::WentOut { .. } = fact {
            let twice = it.rings || it.is_out;
            (it.is_out, it.went) = (true, at);
            self.n_out += 1;
            let out = self.outgoing.values().filter(|it| it.is_out && !it.emergency).count();
            if twice {
                self.fail(format!("call {call} was made twice"));
            } else if out > self.out_max {
                self.fail(format!("{out} outgoing calls, and {} are agreed", self.out_max));
            }
        }
    }

    fn offered(
        &mut self,
        offer: OfferId,
        call: CallId,
        ticket: TicketId,
        agent: &AgentNo,
        group: &str,
    ) {
        if self.guests.values().any(|it| it == agent) {
            self.fail(format!("agent {agent} was called into a call and is offered"));
        }
        for (other, (owner, holder, _)) in &self.offers {
            if holder == agent {
                self.broken.get_or_insert(format!("agent {agent} has offers {other} and {offer}"));
            }
            if *owner == call {
                self.broken.get_or_insert(format!("call {call} has offers {other} and {offer}"));
            }
        }
        let offered: BTreeSet<_> = self.offers.values().map(|it| it.2).collect();
        if let Some(mine) = self.waiting.get(&ticket) {
            let earlier = self.waiting.iter().find(|(id, it)| {
                !offered.contains(id)
                    && it.call != call
                    && !it.disappointed
                    && it.group == group
                    && mine.group == group
                    && (it.priority > mine.priority
                        || it.priority == mine.priority && it.entered < mine.entered)
            });
            if let Some((_, earlier)) = earlier {
                let first = earlier.call;
                self.fail(format!("call {call} was served before call {first}"));
            }
        } else {
            self.fail(format!("call {call} got an offer and does not wait"));
        }
        self.offers.insert(offer, (call, agent.clone(), ticket));
    }

    pub(crate) fn at_rest(&self) -> Result<(), String> {
        if let Some(call) = self.open.first() {
            return Err(format!("call {call} has no record"));
        }
        if let Some(id) = self.commands.first() {
            return Err(format!("command {id} was never answered"));
        }
        if let Some((offer, _)) = self.offers.first_key_value() {
            return Err(format!("offer {offer} never ended"));
        }
        if let Some((offer, agent)) = self.guests.first_key_value() {
            return Err(format!("agent {agent} is in a call for ever by {offer}"));
        }
        if let Some((call, _)) = self.suspended.first_key_value() {
            return Err(format!("the caller of {call} never came back from a flow"));
        }
        if let Some((ticket, _)) = self.waiting.first_key_value() {
            return Err(format!("ticket {ticket} waits for ever"));
        }
        Ok(())
    }

    pub(crate) fn report(&self, n_vanished: usize) -> Report {
        let mut outcomes = BTreeMap::new();
        for outcome in self.finished.values() {
            *outcomes.entry(*outcome).or_default() += 1;
        }
        Report {
            outcomes,
            n_events: self.n_events,
            trace: self.trace,
            n_vanished,
            n_arrived: self.n_arrived,
            n_turned_away: self.n_turned_away,
            longest_wait: self.longest_wait,
            n_parties: self.n_parties,
            n_suspended: self.n_suspended,
            n_talked_on: self.left.len(),
            n_controlled: self.n_controlled,
            n_outside: self.n_outside,
            n_impostors: self.n_impostors,
            n_gone_holding: self.n_gone_holding,
            n_out: self.n_out,
            n_moved_on: self.invites.n_silent,
            n_left: self.invites.n_left,
        }
    }
}

/// What no record may say.
fn impossible(it: &CallRecord) -> Option<String> {
    let times = [it.t_in, it.t_ans, it.t_req, it.t_br, it.t_rel];
    let known: Vec<_> = times.into_iter().flatten().collect();
    if !known.is_sorted() && !it.clock_was_set() {
        return Some(format!("its times are not in order: {times:?}"));
    }
    if it.t_in.is_none() || it.t_rel.is_none() || it.released_by.is_none() {
        return Some("it lacks its beginning or its end".to_owned());
    }
    if it.segments.iter().any(|it| it.t_end.is_none()) {
        return Some("a visit to an agent never ended".to_owned());
    }
    if it.queues.iter().any(|it| it.exit.is_none()) {
        return Some("a visit to a queue never ended".to_owned());
    }
    if it.complete && it.recordings.iter().any(|it| !it.sealed && it.failed.is_none()) {
        return Some("nobody knows what became of a recording".to_owned());
    }
    let talks = it.segments.iter().filter(|it| it.t_br.is_some()).count();
    if (talks > 0) != matches!(it.outcome, Outcome::Answered | Outcome::Reached) {
        return Some(format!("{talks} talks and outcome {:?}", it.outcome));
    }
    None
}
