//! Who can be offered a caller, by group in the order of choice.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::{AgentNo, GroupId, MonoTime};

use crate::queue::Ticket;

/// Order of choice in one group: level (1 is best), then longest idle, then 工号.
type Turn = (u8, MonoTime, AgentNo);

/// The ready agents. Those who let an offer fail a moment ago are ready but not yet in turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadySet {
    agents: BTreeMap<AgentNo, Ready>,
    turns: BTreeMap<GroupId, BTreeSet<Turn>>,
    /// Agents whose last offer failed, until when they get no other.
    gaps: BTreeMap<AgentNo, MonoTime>,
    gap_ends: BTreeSet<(MonoTime, AgentNo)>,
}

#[derive(Clone, Debug)]
struct Ready {
    groups: Vec<(GroupId, u8)>,
    since: MonoTime,
}

impl ReadySet {
    pub(crate) fn insert(&mut self, agent: &AgentNo, groups: &[(GroupId, u8)], since: MonoTime) {
        // Whoever asks does not know whether anything changed; mostly nothing did.
        if self.agents.get(agent).is_some_and(|it| it.since == since && it.groups == groups) {
            return;
        }
        self.remove(agent);
        self.agents.insert(agent.clone(), Ready { groups: groups.to_vec(), since });
        if !self.gaps.contains_key(agent) {
            self.take_turn(agent);
        }
    }

    pub(crate) fn remove(&mut self, agent: &AgentNo) {
        self.lose_turn(agent);
        self.agents.remove(agent);
    }

    pub(crate) fn contains(&self, agent: &AgentNo) -> bool {
        self.agents.contains_key(agent)
    }

    /// No offer for this agent before `until`.
    pub(crate) fn begin_gap(&mut self, agent: &AgentNo, until: MonoTime) {
        self.lose_turn(agent);
        if let Some(before) = self.gaps.insert(agent.clone(), until) {
            self.gap_ends.remove(&(before, agent.clone()));
        }
        self.gap_ends.insert((until, agent.clone()));
    }

    /// Gives back their turn to those whose gap is over. Says whether there were any.
    pub(crate) fn end_gaps(&mut self, now: MonoTime) -> bool {
        let mut any = false;
        while self.gap_ends.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, agent)) = self.gap_ends.pop_first()
        {
            self.gaps.remove(&agent);
            self.take_turn(&agent);
            any = true;
        }
        any
    }

    pub(crate) fn next_gap_end(&self) -> Option<MonoTime> {
        self.gap_ends.first().map(|it| it.0)
    }

    pub(crate) fn has_turn(&self, group: &GroupId) -> bool {
        self.turns.contains_key(group)
    }

    pub(crate) fn n_ready(&self, group: &GroupId) -> usize {
        let in_turn = self.turns.get(group).map_or(0, BTreeSet::len);
        let in_gap = self
            .gaps
            .keys()
            .filter_map(|it| self.agents.get(it))
            .filter(|it| it.groups.iter().any(|(it, _)| it == group))
            .count();
        in_turn + in_gap
    }

    /// The agent for a ticket, and the group that found him: the best level that is ready, in it
    /// the longest idle. Agents whom the ticket avoids come last.
    pub(crate) fn choose(&self, ticket: &Ticket) -> Option<(AgentNo, GroupId)> {
        let best = |avoided: bool| {
            ticket
                .groups
                .iter()
                .filter_map(|group| {
                    let turns = self.turns.get(group)?;
                    let turn = turns.iter().find(|it| ticket.avoids(&it.2) == avoided)?;
                    Some((turn, group))
                })
                // The first of equals, so that a tie goes to the group named first.
                .min_by_key(|(turn, _)| *turn)
        };
        let ((_, _, agent), group) = best(false).or_else(|| best(true))?;
        Some((agent.clone(), group.clone()))
    }

    /// Who is in turn in a group: the longest idle of the best level.
    pub(crate) fn first(&self, group: &GroupId) -> Option<&AgentNo> {
        Some(&self.turns.get(group)?.first()?.2)
    }

    fn take_turn(&mut self, agent: &AgentNo) {
        let Some(ready) = self.agents.get(agent) else { return };
        for (group, level) in &ready.groups {
            let turn = (*level, ready.since, agent.clone());
            if let Some(turns) = self.turns.get_mut(group) {
                turns.insert(turn);
            } else {
                self.turns.insert(group.clone(), [turn].into());
            }
        }
    }

    fn lose_turn(&mut self, agent: &AgentNo) {
        let Some(ready) = self.agents.get(agent) else { return };
        let mut turn = (0, ready.since, agent.clone());
        for (group, level) in &ready.groups {
            if let Some(turns) = self.turns.get_mut(group) {
                turn.0 = *level;
                turns.remove(&turn);
                if turns.is_empty() {
                    self.turns.remove(group);
                }
            }
        }
    }
}
