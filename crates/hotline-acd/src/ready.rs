//! Who can be offered a caller, by group in the order of choice.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::{AgentNo, GroupId, MonoTime};

use crate::queue::Ticket;

/// Order of choice in one group: level (1 is best), then longest idle, then 工号.
type Turn<'a> = (u8, MonoTime, &'a AgentNo);

/// As many lines are kept in any case, so that those that empty and fill are not made each time.
const LINES_KEPT: usize = 64;

/// The ready agents. Those who let an offer fail a moment ago are ready but not yet in turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadySet {
    agents: BTreeMap<AgentNo, Ready>,
    /// One for each combination of groups and levels.
    lines: Vec<Line>,
    by_groups: BTreeMap<Vec<(GroupId, u8)>, usize>,
    /// The level of each line of a group in it, the best first, and the line.
    of_group: BTreeMap<GroupId, Vec<(u8, usize)>>,
    /// Places in `lines` for others.
    free: Vec<usize>,
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
        let mut first: Option<Turn<'_>> = None;
        for (line, level) in self.lines_in(group) {
            if first.is_some_and(|it| it.0 < level) {
                break;
            }
            let one = line.turns.iter().find(|it| fits(&it.1));
            let one = one.map(|(since, agent)| (level, *since, agent));
            first = first.into_iter().chain(one).min();
        }
        first
    }

    /// The lines of a group, and their level in it, the best first.
    fn lines_in(&self, group: &GroupId) -> impl Iterator<Item = (&Line, u8)> {
        let all = self.of_group.get(group).into_iter().flatten();
        all.filter_map(|(level, line)| Some((self.lines.get(*line)?, *level)))
    }

    /// The line of agents with these groups and levels.
    fn line_of(&mut self, groups: &[(GroupId, u8)]) -> usize {
        if let Some(line) = self.by_groups.get(groups) {
            return *line;
        }
        if self.by_groups.len() >= LINES_KEPT.max(2 * self.agents.len()) {
            self.forget_lines();
        }
        let new = Line { groups: groups.to_vec(), turns: BTreeSet::new() };
        let line = self.free.pop().unwrap_or(self.lines.len());
        match self.lines.get_mut(line) {
            Some(it) => *it = new,
            None => self.lines.push(new),
        }
        self.by_groups.insert(groups.to_vec(), line);
        for (group, level) in groups {
            let all = self.of_group.entry(group.clone()).or_default();
            all.insert(all.partition_point(|it| it.0 <= *level), (*level, line));
        }
        line
    }

    /// Takes out the lines of nobody: whoever is given other groups leaves one behind.
    fn forget_lines(&mut self) {
        let used: BTreeSet<_> = self.agents.values().map(|it| it.line).collect();
        let gone = self.by_groups.extract_if(.., |_, line| !used.contains(line));
        self.free.extend(gone.map(|it| it.1));
        self.of_group.retain(|_, all| {
            all.retain(|it| used.contains(&it.1));
            !all.is_empty()
        });
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

#[cfg(test)]
mod tests {
    use hotline_base::Random;

    use super::*;

    #[test]
    fn among_many_combinations_the_first_is_whom_a_look_at_everybody_finds() {
        let mut random = Random::new(7);
        let mut set = ReadySet::default();
        let mut all: BTreeMap<AgentNo, (Vec<(GroupId, u8)>, MonoTime)> = BTreeMap::new();
        let groups: Vec<_> = ["a", "b", "c", "d"].map(GroupId::new).into();
        for n in 0..20_000 {
            let agent = AgentNo::new(random.below(60).to_string().as_str());
            if random.chance(40) {
                set.remove(&agent);
                all.remove(&agent);
            } else {
                let mut own = groups.clone();
                own.retain(|_| random.chance(60));
                let own: Vec<_> = own
                    .into_iter()
                    .map(|it| (it, u8::try_from(random.below(9)).unwrap()))
                    .collect();
                let since = MonoTime(random.below(50));
                set.insert(&agent, &own, since);
                all.insert(agent, (own, since));
            }
            let group = &groups[usize::try_from(n % 4).unwrap()];
            let turns = all.iter().filter_map(|(agent, (own, since))| {
                own.iter().find(|it| it.0 == *group).map(|it| (it.1, *since, agent.clone()))
            });
            let turns: BTreeSet<_> = turns.collect();
            assert_eq!(set.first(group), turns.first().map(|it| &it.2));
            assert_eq!(set.n_ready(group), turns.len());
        }
        assert!(set.lines.len() <= 2 * 60 + 1, "{}", set.lines.len());
    }
}
