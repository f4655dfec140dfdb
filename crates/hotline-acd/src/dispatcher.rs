//! The dispatcher: brings the next caller and the right agent together, one lease at a time.
//!
//! Callers are served by priority (9 first), then by time of entry, then by ticket number. The
//! agent is the longest idle one of the best level that is ready in any of the ticket's groups.
//! A ticket keeps its place until it is bridged or leaves.
//!
//! An offer that comes to nothing has two consequences: the agent gets no offer at all for 1 s
//! (no loop of rings), and for 5 s other ready agents are preferred for this caller.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use hotline_base::{AgentNo, Due, GroupId, MonoTime, Now, OfferId, TicketId, earliest};

use crate::{
    Enqueue, EnqueueRefused, GroupConfig, Late, Offer, OfferEnd, Ticket, offer::Leases,
    queue::Queues, ready::ReadySet,
};

/// An agent whose offer failed gets no other for this long.
const AGENT_GAP: Duration = Duration::from_secs(1);

/// For this long other agents are preferred for a caller whom an agent did not keep.
const PAIR_GAP: Duration = Duration::from_secs(5);

/// For a group that has left the configuration while callers wait in it.
const RING_LIMIT: Duration = Duration::from_secs(20);

/// What the dispatcher says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Ring this agent for this caller.
    Offered(Offer),
    /// The ring limit ran out, or an answered offer was not bridged in time. The ticket is back at
    /// its place; the agent is not ready until [`Dispatcher::agent_ready`] says so.
    Expired(Offer),
}

/// Who waits, who is ready, and what is promised to whom.
///
/// Methods that take the time dispatch at once. [`agent_ready`](Self::agent_ready),
/// [`agent_away`](Self::agent_away) and [`ended`](Self::ended) do not take it: afterwards
/// [`poll_timeout`](Self::poll_timeout) is due at once, and the owner's
/// [`handle_timeout`](Self::handle_timeout), in the same turn, dispatches.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    groups: BTreeMap<GroupId, GroupConfig>,
    tickets: BTreeMap<TicketId, Ticket>,
    queues: Queues,
    ready: ReadySet,
    leases: Leases,
    next_offer: u64,
    /// Offers that failed since the last dispatch; their gaps begin with it.
    failures: Vec<Failure>,
    /// Something changed that may bring a caller and an agent together.
    due: bool,
    /// The latest time this machine has seen.
    seen: MonoTime,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Debug)]
struct Failure {
    agent: AgentNo,
    /// The caller for whom others are preferred now.
    avoid_for: Option<TicketId>,
}

impl Dispatcher {
    /// Offers are numbered from `first_offer`.
    pub fn new(groups: Vec<GroupConfig>, first_offer: u64) -> Self {
        let mut it = Self {
            groups: BTreeMap::new(),
            tickets: BTreeMap::new(),
            queues: Queues::default(),
            ready: ReadySet::default(),
            leases: Leases::default(),
            next_offer: first_offer,
            failures: Vec::new(),
            due: false,
            seen: MonoTime(0),
            outputs: VecDeque::new(),
        };
        it.configure(groups);
        it
    }

    /// Takes changed groups. Who waits in a group that is gone goes on waiting.
    pub fn configure(&mut self, groups: Vec<GroupConfig>) {
        self.groups = groups.into_iter().map(|it| (it.id.clone(), it)).collect();
    }

    /// A caller wants an agent. Gives the position in the owner group, from 1. A ticket that is in
    /// the queue stays where it is.
    pub fn enqueue(&mut self, it: Enqueue, now: Now) -> Result<usize, EnqueueRefused> {
        self.enqueue_ringing(it, None, now)
    }

    /// [`enqueue`](Self::enqueue) for a caller whose flow says how long a telephone may ring for
    /// him; `None` leaves it to the group.
    pub fn enqueue_ringing(
        &mut self,
        it: Enqueue,
        ring_limit: Option<Duration>,
        now: Now,
    ) -> Result<usize, EnqueueRefused> {
        if let Some(position) = self.position(it.ticket) {
            return Ok(position);
        }
        let mut queue_max = None;
        for group in &it.groups {
            let config = self.groups.get(group).ok_or(EnqueueRefused::UnknownGroup)?;
            queue_max = queue_max.or(Some((group, config.queue_max)));
        }
        let (owner, queue_max) = queue_max.ok_or(EnqueueRefused::UnknownGroup)?;
        let must_wait = !it.groups.iter().any(|it| self.ready.has_turn(it));
        if must_wait && self.queues.n_waiting(owner) >= queue_max {
            return Err(EnqueueRefused::Full);
        }
        let id = it.ticket;
        let ticket = Ticket::new(it, ring_limit);
        self.queues.enter(&ticket);
        self.tickets.insert(id, ticket);
        let position = self.position(id).unwrap_or(1);
        self.advance(now);
        Ok(position)
    }

    /// The caller is out of the queue for whatever reason. Gives the offer that this ends; its
    /// agent may be made ready at once.
    pub fn leave(&mut self, ticket: TicketId) -> Option<Offer> {
        let ticket = self.tickets.remove(&ticket)?;
        self.queues.leave(&ticket);
        ticket.offer.and_then(|it| self.leases.remove(it))
    }

    /// The agent waits for a caller, since `since`, in these groups with these levels (1 best).
    /// Ignored while the agent has an offer.
    pub fn agent_ready(&mut self, agent: &AgentNo, groups: &[(GroupId, u8)], since: MonoTime) {
        if self.leases.of_agent(agent).is_none() {
            self.ready.insert(agent, groups, since);
            self.due = true;
        }
    }

    /// The agent is not ready any more. Gives the offer that this ends; its caller is back at his
    /// place.
    pub fn agent_away(&mut self, agent: &AgentNo) -> Option<Offer> {
        self.ready.remove(agent);
        let offer = self.leases.remove(self.leases.of_agent(agent)?)?;
        self.put_back(&offer, true);
        Some(offer)
    }

    /// The agent picked up. The offer lasts until [`bridged`](Self::bridged), at most
    /// [`CONNECT_LIMIT`](crate::CONNECT_LIMIT) longer than the ring limit.
    pub fn answered(&mut self, offer: OfferId) -> Result<Offer, Late> {
        self.leases.answer(offer).ok_or(Late)
    }

    /// The two hear each other: the ticket is out of the queue and the offer is kept.
    pub fn bridged(&mut self, offer: OfferId) -> Result<Offer, Late> {
        let offer = self.leases.remove(offer).ok_or(Late)?;
        if let Some(ticket) = self.tickets.remove(&offer.ticket) {
            self.queues.leave(&ticket);
        }
        Ok(offer)
    }

    /// The offer came to nothing. Its caller is back at his place; `None` when it was over.
    pub fn ended(&mut self, offer: OfferId, why: OfferEnd) -> Option<Offer> {
        let offer = self.leases.remove(offer)?;
        let avoid = match why {
            OfferEnd::Rejected | OfferEnd::DeviceGone | OfferEnd::GoneBeforeBridge => true,
            OfferEnd::Withdrawn => false,
        };
        self.put_back(&offer, avoid);
        Some(offer)
    }

    pub fn handle_timeout(&mut self, now: Now) {
        self.advance(now);
    }

    pub fn poll_timeout(&self) -> Option<Due> {
        if self.due {
            return Some((self.seen, "dispatch"));
        }
        earliest(
            self.leases.first_end().map(|(at, _)| (at, "offer")),
            self.ready.next_gap_end().map(|at| (at, "gap after a failed offer")),
        )
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A number for a lease that is not the dispatcher's: an agent's own call.
    pub const fn new_offer(&mut self) -> OfferId {
        let id = OfferId(self.next_offer);
        self.next_offer += 1;
        id
    }

    /// The place in the owner group's queue, from 1. Callers for whom a telephone rings count.
    pub fn position(&self, ticket: TicketId) -> Option<usize> {
        let ticket = self.tickets.get(&ticket)?;
        self.queues.position(ticket.groups.first()?, &ticket.place())
    }

    /// How many are in the queue, with those for whom a telephone rings.
    pub fn waiting(&self, group: &GroupId) -> usize {
        self.queues.n_waiting(group)
    }

    /// How many agents of the group are ready and have no offer.
    pub fn agents_ready(&self, group: &GroupId) -> usize {
        self.ready.n_ready(group)
    }

    /// Who of the group would get the next caller, for somebody who wants to ask him.
    pub fn in_turn(&self, group: &GroupId) -> Option<&AgentNo> {
        self.ready.first(group)
    }

    /// When the caller who waits longest in the group came in.
    pub fn oldest(&self, group: &GroupId) -> Option<MonoTime> {
        self.queues.oldest(group)
    }

    pub fn offer(&self, id: OfferId) -> Option<&Offer> {
        self.leases.get(id)
    }

    pub fn offer_of(&self, agent: &AgentNo) -> Option<&Offer> {
        self.leases.get(self.leases.of_agent(agent)?)
    }

    pub fn offers(&self) -> impl Iterator<Item = &Offer> {
        self.leases.iter()
    }

    pub fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values()
    }

    pub fn group(&self, id: &GroupId) -> Option<&GroupConfig> {
        self.groups.get(id)
    }

    /// What must be true after every step.
    pub fn check(&self) -> Result<(), String> {
        self.leases.check()?;
        for offer in self.leases.iter() {
            if self.ready.contains(&offer.agent) {
                return Err(format!("agent {} is ready and has an offer", offer.agent));
            }
            if self.tickets.get(&offer.ticket).and_then(|it| it.offer) != Some(offer.id) {
                return Err(format!("offer {} rings for nobody", offer.id));
            }
        }
        let mut calls = BTreeMap::new();
        for ticket in self.tickets.values() {
            if let Some(other) = calls.insert(ticket.call, ticket.id) {
                return Err(format!("call {} waits twice: {other}, {}", ticket.call, ticket.id));
            }
            if ticket.offer.is_some_and(|it| self.leases.get(it).is_none()) {
                return Err(format!("ticket {} waits for an offer that is over", ticket.id));
            }
            for group in &ticket.groups {
                let open = self.queues.is_open(group, &ticket.place());
                if open == ticket.offer.is_some() {
                    return Err(format!("ticket {} is lost in group {group}", ticket.id));
                }
                if open && !self.due && self.ready.has_turn(group) {
                    return Err(format!("ticket {} waits beside a ready agent", ticket.id));
                }
            }
        }
        Ok(())
    }

    /// Everything that time and changes bring, in one order: gaps begin, leases end, gaps end,
    /// callers and agents meet.
    fn advance(&mut self, now: Now) {
        self.seen = self.seen.max(now.mono);
        self.due = false;
        self.begin_gaps(now.mono);
        while let Some((at, id)) = self.leases.first_end()
            && at <= now.mono
        {
            if let Some(offer) = self.leases.remove(id) {
                self.put_back(&offer, true);
                self.outputs.push_back(Output::Expired(offer));
            }
        }
        self.begin_gaps(now.mono);
        self.ready.end_gaps(now.mono);
        while let Some(ticket) = self.next_ticket() {
            if !self.grant(ticket, now.mono) {
                break;
            }
        }
        self.due = false;
    }

    fn begin_gaps(&mut self, now: MonoTime) {
        for Failure { agent, avoid_for } in std::mem::take(&mut self.failures) {
            self.ready.begin_gap(&agent, now + AGENT_GAP);
            let ticket = avoid_for.and_then(|it| self.tickets.get_mut(&it));
            if let Some(ticket) = ticket {
                ticket.avoided.retain(|(it, _)| *it != agent);
                ticket.avoided.push((agent, now + PAIR_GAP));
            }
        }
    }

    /// The first in the order of service for whom an agent is in turn.
    fn next_ticket(&self) -> Option<TicketId> {
        // Mostly few groups have somebody who waits and is not offered yet.
        let places = self.queues.firsts().filter(|it| self.ready.has_turn(it.0)).map(|it| it.1);
        places.min().map(|(_, _, ticket)| ticket)
    }

    /// Makes an offer for the ticket. False when there is nobody for it.
    fn grant(&mut self, id: TicketId, now: MonoTime) -> bool {
        let Some(ticket) = self.tickets.get_mut(&id) else { return false };
        ticket.avoided.retain(|(_, until)| *until > now);
        let Some((agent, group)) = self.ready.choose(ticket) else { return false };
        let of_group = || self.groups.get(&group).map_or(RING_LIMIT, |it| it.ring_limit);
        let ring_limit = ticket.ring_limit.unwrap_or_else(of_group);
        let offer = Offer {
            id: OfferId(self.next_offer),
            ticket: id,
            call: ticket.call,
            agent,
            group,
            until: now + ring_limit,
        };
        self.next_offer += 1;
        ticket.offer = Some(offer.id);
        self.queues.close(ticket);
        self.ready.remove(&offer.agent);
        self.leases.insert(offer.clone());
        self.outputs.push_back(Output::Offered(offer));
        true
    }

    /// The offer is over and its caller waits again where he was.
    fn put_back(&mut self, offer: &Offer, avoid: bool) {
        if let Some(ticket) = self.tickets.get_mut(&offer.ticket) {
            ticket.offer = None;
            self.queues.reopen(ticket);
        }
        let avoid_for = avoid.then_some(offer.ticket);
        self.failures.push(Failure { agent: offer.agent.clone(), avoid_for });
        self.due = true;
    }
}

#[cfg(test)]
mod tests;
