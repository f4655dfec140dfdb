//! A crowd that calls at once, and a machine for which that is too much.
//!
//! Turns of a simulated switchboard take no time. Here each message and each call that is taken
//! costs some, and the switchboard is told how long messages would wait.

use std::time::Duration;

use hotline_base::MonoTime;
use hotline_switchboard::Input;

use crate::{Shift, agenda::Event};

/// Calls beside those of the plan, from [`BEGINS`] on.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    pub calls: u32,
    pub per_sec: u32,
    /// What the machine needs for a message, and for a call that it takes besides.
    pub message: Duration,
    pub call: Duration,
}

impl Crowd {
    fn step(&self) -> Duration {
        Duration::from_secs(1) / self.per_sec.max(1)
    }

    /// From its first call to its last.
    pub(crate) fn span(&self) -> Duration {
        self.step() * self.calls
    }
}

/// When the crowd comes.
pub(crate) const BEGINS: Duration = Duration::from_secs(3);

/// How far the machine is behind.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// When it will have done all that came.
    done: MonoTime,
    least: Option<Duration>,
    told: MonoTime,
}

/// How often the switchboard is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// How long after the crowd nobody is turned away any more.
const NORMAL_AFTER: Duration = Duration::from_secs(5);

impl Shift {
    pub(crate) fn plan_crowd(&mut self, crowd: Crowd) {
        for n in 0..crowd.calls {
            self.after(BEGINS + crowd.step() * n, Event::CallerDials);
        }
        self.ledger.normal_at = self.now + BEGINS + crowd.span() + NORMAL_AFTER;
    }

    /// A message has come to the switchboard.
    pub(crate) fn message_waits(&mut self) {
        let Some(crowd) = self.plan.faults.crowd else { return };
        let (now, backlog) = (self.now, &mut self.backlog);
        let wait = backlog.done.since(now);
        backlog.least = Some(backlog.least.map_or(wait, |it| it.min(wait)));
        if now.since(backlog.told) >= TELL_EVERY {
            backlog.told = now;
            let least = backlog.least.take().unwrap_or_default();
            let least_us = u64::try_from(least.as_micros()).unwrap_or(u64::MAX);
            self.input(Input::Waited { least_us });
        }
        self.work(crowd.message);
        self.ledger.longest_wait = self.ledger.longest_wait.max(wait);
    }

    /// A call was taken.
    pub(crate) fn call_costs(&mut self) {
        if let Some(crowd) = self.plan.faults.crowd {
            self.work(crowd.call);
        }
    }

    fn work(&mut self, cost: Duration) {
        self.backlog.done = self.backlog.done.max(self.now) + cost;
    }
}
