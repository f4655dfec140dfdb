//! What a flow may ask of the switchboard.

use std::collections::{BTreeMap, BTreeSet};

use hotline_acd::Dispatcher;
use hotline_agent::{Agent, Presence};
use hotline_base::{AgentNo, GroupId, TicketId, WallTime};
use hotline_ivr::{Environment, Listed};
use hotline_trunk::Lists;

use crate::region::Region;

pub(crate) struct CallEnvironment<'a> {
    pub(crate) dispatcher: &'a Dispatcher,
    pub(crate) staff: &'a Staff,
    pub(crate) ticket: Option<TicketId>,
    pub(crate) city: Region,
    /// Calls of this caller before this one, in the last 24 hours, youngest first, in hours ago.
    pub(crate) earlier_hours: &'a [u32],
    pub(crate) lists: &'a Lists,
}

/// Who is signed in, counted by group: every call that queues asks.
#[derive(Debug, Default)]
pub(crate) struct Staff {
    signed_in: BTreeSet<AgentNo>,
    by_group: BTreeMap<GroupId, usize>,
}

impl Staff {
    /// Notes whether the agent is signed in now.
    pub(crate) fn note(&mut self, agent: &Agent) {
        let (no, here) = (agent.no(), agent.presence() != Presence::SignedOut);
        if self.signed_in.contains(no) == here {
            return;
        }
        if here {
            self.signed_in.insert(no.clone());
        } else {
            self.signed_in.remove(no);
        }
        for (group, _) in &agent.config().groups {
            let count = self.by_group.entry(group.clone()).or_default();
            *count = if here { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    pub(crate) fn of(&self, group: &GroupId) -> usize {
        self.by_group.get(group).copied().unwrap_or(0)
    }
}

impl Environment for CallEnvironment<'_> {
    fn queue_waiting(&self, group: &GroupId) -> usize {
        self.dispatcher.waiting(group)
    }

    fn queue_position(&self) -> Option<usize> {
        self.dispatcher.position(self.ticket?)
    }

    fn agents_ready(&self, group: &GroupId) -> usize {
        self.dispatcher.agents_ready(group)
    }

    fn agents_signed_in(&self, group: &GroupId) -> usize {
        self.staff.of(group)
    }

    fn group_known(&self, group: &GroupId) -> bool {
        self.dispatcher.group(group).is_some()
    }

    fn caller_city(&self) -> String {
        self.city.text()
    }

    fn caller_repeat(&self, hours: u32) -> u32 {
        let n = self.earlier_hours.iter().filter(|it| **it < hours).count();
        u32::try_from(n).unwrap_or(u32::MAX)
    }

    fn listed(&self, list: &str, number: &str, city: &str, at: WallTime) -> Option<Listed> {
        let it = self.lists.find(list, number, city, at)?;
        // A group that is gone would be an error of the flow; without the hint it finds its own.
        let group = it.group.as_deref().map(GroupId::new).filter(|it| self.group_known(it));
        Some(Listed { entry: it.id, action: it.action.as_str(), priority: it.priority, group })
    }
}
