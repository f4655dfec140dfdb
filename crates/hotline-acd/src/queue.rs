//! The queues: who waits, in which order, and who may come in.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hotline_base::{AgentNo, CallId, GroupId, MonoTime, OfferId, TicketId};

/// A skill group (技能组), which is also a queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupConfig {
    pub id: GroupId,
    /// The Chinese name people know it by.
    pub name: String,
    /// How long an agent's telephone rings.
    pub ring_limit: Duration,
    /// How many may wait when nobody is ready.
    pub queue_max: usize,
    /// After how long an agent who did not answer is made ready again; `None` is by hand only.
    /// The owner of the agents acts on it.
    pub rna_rest: Option<Duration>,
}

/// A caller who wants an agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Enqueue {
    pub ticket: TicketId,
    pub call: CallId,
    /// The groups whose agents may take the call; the first one owns the place in the queue.
    pub groups: Vec<GroupId>,
    /// 0–9, 9 first.
    pub priority: u8,
    /// The first entry of this caller, which keeps the place after a menu or a transfer.
    pub entered: MonoTime,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EnqueueRefused {
    /// One of the groups does not exist, or none was named.
    UnknownGroup,
    /// As many wait in the owner group as may.
    Full,
}

/// A caller's place in the queue. He keeps it while an agent's telephone rings for him.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ticket {
    pub id: TicketId,
    pub call: CallId,
    pub groups: Vec<GroupId>,
    pub priority: u8,
    pub entered: MonoTime,
    /// The offer in progress; `None` while he only waits.
    pub offer: Option<OfferId>,
    /// Instead of the group's.
    pub(crate) ring_limit: Option<Duration>,
    /// Agents who had this caller and did not keep him, each until when others are preferred.
    pub(crate) avoided: Vec<(AgentNo, MonoTime)>,
}

impl Ticket {
    pub(crate) fn new(it: Enqueue, ring_limit: Option<Duration>) -> Self {
        Self {
            id: it.ticket,
            call: it.call,
            groups: it.groups,
            priority: it.priority,
            entered: it.entered,
            offer: None,
            ring_limit,
            avoided: Vec::new(),
        }
    }

    pub(crate) const fn place(&self) -> Place {
        (Reverse(self.priority), self.entered, self.id)
    }

    pub(crate) fn avoids(&self, agent: &AgentNo) -> bool {
        self.avoided.iter().any(|(it, _)| it == agent)
    }
}

/// Order of service: priority, then time of entry, then number.
pub(crate) type Place = (Reverse<u8>, MonoTime, TicketId);

/// The order in each group: everybody, and those without an offer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queues {
    everybody: BTreeMap<GroupId, BTreeSet<Place>>,
    open: BTreeMap<GroupId, BTreeSet<Place>>,
}

impl Queues {
    pub(crate) fn enter(&mut self, ticket: &Ticket) {
        add(&mut self.everybody, ticket);
        add(&mut self.open, ticket);
    }

    pub(crate) fn leave(&mut self, ticket: &Ticket) {
        take(&mut self.everybody, ticket);
        take(&mut self.open, ticket);
    }

    /// An offer is being made: the place is kept, and nobody else is offered the ticket.
    pub(crate) fn close(&mut self, ticket: &Ticket) {
        take(&mut self.open, ticket);
    }

    /// The offer came to nothing.
    pub(crate) fn reopen(&mut self, ticket: &Ticket) {
        add(&mut self.open, ticket);
    }

    pub(crate) fn n_waiting(&self, group: &GroupId) -> usize {
        self.everybody.get(group).map_or(0, BTreeSet::len)
    }

    /// From 1. Counted from the nearer end: who comes last into a long queue is found at once.
    pub(crate) fn position(&self, group: &GroupId, place: &Place) -> Option<usize> {
        let queue = self.everybody.get(group)?;
        if !queue.contains(place) {
            return None;
        }
        let (mut before, mut behind) = (queue.range(..place), queue.range(place..));
        behind.next();
        for n in 0.. {
            if before.next().is_none() {
                return Some(n + 1);
            }
            if behind.next().is_none() {
                return Some(queue.len() - n);
            }
        }
        None
    }

    pub(crate) fn oldest(&self, group: &GroupId) -> Option<MonoTime> {
        self.everybody.get(group)?.iter().map(|(_, entered, _)| *entered).min()
    }

    /// Who is next in each group among those without an offer.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = (&GroupId, Place)> {
        self.open.iter().filter_map(|(group, it)| Some((group, *it.first()?)))
    }

    pub(crate) fn is_open(&self, group: &GroupId, place: &Place) -> bool {
        self.open.get(group).is_some_and(|it| it.contains(place))
    }
}

fn add(queues: &mut BTreeMap<GroupId, BTreeSet<Place>>, ticket: &Ticket) {
    for group in &ticket.groups {
        queues.entry(group.clone()).or_default().insert(ticket.place());
    }
}

fn take(queues: &mut BTreeMap<GroupId, BTreeSet<Place>>, ticket: &Ticket) {
    for group in &ticket.groups {
        if let Some(queue) = queues.get_mut(group) {
            queue.remove(&ticket.place());
            if queue.is_empty() {
                queues.remove(group);
            }
        }
    }
}
