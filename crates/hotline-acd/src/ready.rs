//! Who can be offered a caller, by group in the order of choice.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::{AgentNo, GroupId, MonoTime};

use crate::queue::Ticket;

/// Order of choice in one group: level (1 is best), then longest idle, then 工号.
type Turn<'a> = (u8, MonoTime, &'a AgentNo);

/// The ready agents. Those who let an offer fail a moment ago are ready but not yet in turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadySet {
    agents: BTreeMap<AgentNo, Ready>,
    /// As many as there are combinations of groups and levels.
    lines: Vec<Line>,
    by_groups: BTreeMap<Vec<(GroupId, u8)>, usize>,
    /// The lines of each group, and their level in it.
    of_group: BTreeMap<GroupId, Vec<(usize, u8)>>,
    /// Agents whose last offer failed, until when they get no other.
    gaps: BTreeMap<AgentNo, MonoTime>,
    gap_ends: BTreeSet<(MonoTime, AgentNo)>,
}

/// Agents of the same groups and levels, the longest idle first: who comes or goes does so in one
/// place, however many groups he is in.
#[derive(Clone, Debug)]
struct Line {
    groups: Vec<(GroupId, u8)>,
    turns: BTreeSet<(MonoTime, AgentNo)>,
}

#[derive(Clone, Copy, Debug)]
struct Ready {
    line: usize,
    since: MonoTime,
}

impl ReadySet {
    pub(crate) fn insert(&mut self, agent: &AgentNo, groups: &[(GroupId, u8)], since: MonoTime) {
        // Whoever asks does not know whether anything changed; mostly nothing did.
        let is_same = |it: &Ready| {
            it.since == since && self.lines.get(it.line).is_some_and(|it| it.groups == groups)
        };
        if self.agents.get(agent).is_some_and(is_same) {
            return;
        }
        self.remove(agent);
        let line = self.line_of(groups);
        self.agents.insert(agent.clone(), Ready { line, since });
        if !self.gaps.contains_key(agent) {
            self.take_turn(agent);
        }
    }

    pub(crate) fn remove(&mut self, agent: &AgentNo) {
        if let Some(ready) = self.agents.remove(agent) {
            self.lose_turn(agent, ready);
        }
    }

    pub(crate) fn contains(&self, agent: &AgentNo) -> bool {
        self.agents.contains_key(agent)
    }

    /// No offer for this agent before `until`.
    pub(crate) fn begin_gap(&mut self, agent: &AgentNo, until: MonoTime) {
        if let Some(ready) = self.agents.get(agent) {
            self.lose_turn(agent, *ready);
        }
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
        self.lines_in(group).any(|(it, _)| !it.turns.is_empty())
    }

    pub(crate) fn n_ready(&self, group: &GroupId) -> usize {
        let in_turn: usize = self.lines_in(group).map(|(it, _)| it.turns.len()).sum();
        let in_gap = self
            .gaps
            .keys()
            .filter_map(|it| self.lines.get(self.agents.get(it)?.line))
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
                    let turn = self.next(group, |it| ticket.avoids(it) == avoided)?;
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
        Some(self.next(group, |_| true)?.2)
    }

    /// The first in a group among those who fit.
    fn next(&self, group: &GroupId, fits: impl Fn(&AgentNo) -> bool) -> Option<Turn<'_>> {
        let firsts = self.lines_in(group).filter_map(|(line, level)| {
            let (since, agent) = line.turns.iter().find(|it| fits(&it.1))?;
            Some((level, *since, agent))
        });
        firsts.min()
    }

    /// The lines of a group, and their level in it.
    fn lines_in(&self, group: &GroupId) -> impl Iterator<Item = (&Line, u8)> {
        let all = self.of_group.get(group).into_iter().flatten();
        all.filter_map(|(line, level)| Some((self.lines.get(*line)?, *level)))
    }

    /// The line of agents with these groups and levels.
    fn line_of(&mut self, groups: &[(GroupId, u8)]) -> usize {
        if let Some(line) = self.by_groups.get(groups) {
            return *line;
        }
        let line = self.lines.len();
        self.lines.push(Line { groups: groups.to_vec(), turns: BTreeSet::new() });
        self.by_groups.insert(groups.to_vec(), line);
        for (group, level) in groups {
            self.of_group.entry(group.clone()).or_default().push((line, *level));
        }
        line
    }

    fn take_turn(&mut self, agent: &AgentNo) {
        let Some(Ready { line, since }) = self.agents.get(agent) else { return };
        if let Some(line) = self.lines.get_mut(*line) {
            line.turns.insert((*since, agent.clone()));
        }
    }

    fn lose_turn(&mut self, agent: &AgentNo, Ready { line, since }: Ready) {
        if let Some(line) = self.lines.get_mut(line) {
            line.turns.remove(&(since, agent.clone()));
        }
    }
}
