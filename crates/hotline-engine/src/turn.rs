//! The loop that runs a machine: one input, then drain, then sleep. The only place where time is
//! read for a decision.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use hotline_base::{Machine, Now};
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};

use crate::Clock;

/// A turn longer than this delays everybody's and is a warning.
const TURN_MAX: Duration = Duration::from_millis(5);

/// Inputs that wait already and are taken one after the other before a timer is looked at and
/// before other tasks of the thread have their turn. For them nobody is put to sleep and woken.
const AT_ONCE_MAX: usize = 32;

/// Where a machine's inputs come from and what becomes of its outputs. It never waits to send.
pub(crate) trait Rim<M: Machine> {
    /// `None`: nobody is left who could send one.
    fn next(&mut self) -> impl Future<Output = Option<M::Input>>;

    /// What is there already. `None`: nothing, or something that [`next`](Self::next) tells.
    fn try_next(&mut self) -> Option<M::Input>;

    /// For logs; without personal data.
    fn name(input: &M::Input) -> &'static str;

    /// One output of the turn.
    fn act(&mut self, output: M::Output);

    /// When the rim wants a turn for itself, should nothing happen until then.
    fn wake_at(&self) -> Option<Instant>;

    /// All outputs of the turn have been acted on.
    fn end_turn(&mut self, machine: &M, turn: Turn);

    /// The machine's step panicked.
    fn recover(machine: &mut M, now: Now);
}

/// What a turn was and how long it took, outputs included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) now: Now,
    pub(crate) took: Duration,
}

/// Runs until the machine is done or nobody can send to it.
pub(crate) async fn run<M: Machine, R: Rim<M>>(
    machine: &mut M,
    rim: &mut R,
    clock: Clock,
    first: Vec<M::Input>,
) {
    for input in first {
        turn(machine, rim, clock, Some(input));
    }
    let mut fired = false;
    while !machine.is_done() {
        for n in 1..=AT_ONCE_MAX {
            let Some(input) = rim.try_next() else { break };
            turn(machine, rim, clock, Some(input));
            if machine.is_done() {
                return;
            }
            // The sockets are read and written by tasks of this thread.
            if n == AT_ONCE_MAX {
                yield_now().await;
            }
        }
        let due = machine.poll_timeout().map(|(at, _)| clock.instant_of(at));
        let due = due.into_iter().chain(rim.wake_at()).min();
        let timeout = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        // A flood of inputs must not keep a timer from firing, nor timers an input: who came
        // second last time comes first now.
        let input = if fired {
            tokio::select! {
                biased;
                input = rim.next() => Some(input),
                () = timeout => None,
            }
        } else {
            tokio::select! {
                biased;
                () = timeout => None,
                input = rim.next() => Some(input),
            }
        };
        fired = input.is_none();
        match input {
            None => turn(machine, rim, clock, None),
            Some(Some(input)) => turn(machine, rim, clock, Some(input)),
            Some(None) => return,
        }
    }
}

/// One input, or the timers that are due.
fn turn<M: Machine, R: Rim<M>>(
    machine: &mut M,
    rim: &mut R,
    clock: Clock,
    input: Option<M::Input>,
) {
    let now = clock.now();
    let name = input.as_ref().map_or("timeout", R::name);
    let step = AssertUnwindSafe(|| match input {
        Some(input) => machine.handle(input, now),
        None => machine.handle_timeout(now),
    });
    if catch_unwind(step).is_err() {
        tracing::error!(input = name, "A step panicked; its call is ended.");
        R::recover(machine, now);
    }
    while let Some(output) = machine.poll_output() {
        rim.act(output);
    }
    let took = clock.mono().since(now.mono);
    rim.end_turn(machine, Turn { now, took });
    if took > TURN_MAX {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        tracing::warn!(input = name, took_us, "A turn of the control thread was slow.");
    }
}

#[cfg(test)]
mod tests;
