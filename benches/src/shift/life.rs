//! Calls that begin, talk until their sessions were refreshed, and end: all at the same time.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hotline_base::MonoTime;
use hotline_switchboard::{Config, Switchboard};

use super::{ARRIVAL, Point, WARM_UP, World};

/// Sessions are refreshed after half their time (RFC 4028 §10): a quarter of an hour.
const REFRESHED: Duration = Duration::from_mins(17);

/// How long agents talk, and over how long all hang up then.
const TALK: Duration = Duration::from_mins(18);
const DEPARTURE: Duration = Duration::from_mins(1);

/// After the last hang-up: transactions, agents' rest, records.
const LINGER: Duration = Duration::from_mins(5);

/// What the switchboard had to do in one part of their life.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// Processor time of its turns, the world around it not included.
    pub cpu: Duration,
    /// Inputs and timers.
    pub n_turns: u64,
}

/// One life of as many calls as there are agents.
#[derive(Debug)]
pub struct Life {
    world: World,
    n_calls: usize,
    /// When the first may dial.
    begin: MonoTime,
}

/// The point of so many calls of an agent and a caller each.
pub const fn of_calls(agents: usize, calls: usize) -> Point {
    Point { agents, waiting: 0, callers: calls, talk: TALK, departure: DEPARTURE }
}

impl Life {
    /// Phones are registered and agents ready; nobody has dialled.
    pub fn begin(config: &Config, n_calls: usize) -> Result<(Self, Part)> {
        let mut world = World::new(config, of_calls(n_calls, n_calls))?;
        world.is_written = false;
        world.redials = false;
        let begin = world.open(n_calls);
        let mut it = Self { world, n_calls, begin };
        let part = it.live_until(Duration::ZERO)?;
        Ok((it, part))
    }

    /// All have dialled and talk, and what they said is settled.
    pub fn come_up(&mut self) -> Result<Part> {
        let part = self.live_until(ARRIVAL + WARM_UP)?;
        let n_live = self.n_live();
        ensure!(n_live == self.n_calls, "only {n_live} calls live");
        Ok(part)
    }

    /// Every dialog has been refreshed, and none was lost.
    pub fn stay(&mut self) -> Result<Part> {
        let before = self.world.n_refreshes;
        let part = self.live_until(REFRESHED)?;
        let n_refreshes = self.world.n_refreshes - before;
        let n_live = self.n_live();
        ensure!(n_live == self.n_calls, "only {n_live} calls outlived their refresh");
        ensure!(n_refreshes >= 2 * self.n_calls as u64, "only {n_refreshes} were refreshed");
        Ok(part)
    }

    /// All have hung up, and nothing is left of them.
    pub fn end(mut self) -> Result<Part> {
        let part = self.live_until(ARRIVAL + TALK + DEPARTURE + LINGER)?;
        let n_live = self.n_live();
        ensure!(n_live == 0, "{n_live} calls are still there");
        let n_dialogs = self.world.carrier.n_legs() + self.world.office.n_legs();
        ensure!(n_dialogs == 0, "{n_dialogs} dialogs are still there");
        ensure!(self.world.n_records == self.n_calls as u64, "{} records", self.world.n_records);
        Ok(part)
    }

    pub fn into_switchboard(self) -> Switchboard {
        self.world.switchboard
    }

    fn n_live(&self) -> usize {
        self.world.switchboard.board(self.world.at()).n_calls
    }

    /// Until so long after the first may dial.
    fn live_until(&mut self, after: Duration) -> Result<Part> {
        let end = self.begin + after;
        let before = self.world.spent;
        while self.world.now < end {
            self.world.step().context("nothing happens any more")?;
        }
        let after = self.world.spent;
        Ok(Part {
            cpu: after.cpu.saturating_sub(before.cpu),
            n_turns: after.n_turns - before.n_turns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flow, shift};

    /// Work for a call, in processor time: preparation, set-up, refresh and end.
    fn work(n_calls: u32) -> f64 {
        let n = n_calls as usize;
        let folder = tempfile::tempdir().unwrap();
        flow::write_short(folder.path()).unwrap();
        let mut config = shift::config(of_calls(n, n), Some(folder.path())).unwrap();
        config.sip.probe_every = Duration::ZERO;
        let (mut life, began) = Life::begin(&config, n).unwrap();
        let parts = [began, life.come_up().unwrap(), life.stay().unwrap(), life.end().unwrap()];
        parts.iter().map(|it| it.cpu.as_secs_f64()).sum::<f64>() / f64::from(n_calls)
    }

    /// Sixteen times the calls, and a call is no dearer by more than caches and the depth of maps
    /// explain. What looks at every agent, leg or call for each of them would show.
    #[test]
    fn a_call_costs_the_same_among_few_and_among_many() {
        let few = work(50).max(work(50));
        let many = work(800);
        assert!(many < few * 1.6, "{:.0} us among 50, {:.0} among 800", few * 1e6, many * 1e6);
    }
}
