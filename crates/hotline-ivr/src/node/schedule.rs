//! `schedule`: open, closed or holiday.

use hotline_base::Now;

use super::{Need, Outcome, outcome};
use crate::{
    Environment,
    check::NodeReader,
    expr::Template,
    flow::Thing,
    session::{Session, Turn},
};

#[derive(Clone, Debug)]
pub(crate) struct ScheduleNode {
    pub(crate) schedule: Template,
}

const OUTCOMES: [Outcome; 4] = [
    outcome("open", Need::Main),
    outcome("closed", Need::Wired),
    outcome("holiday", Need::Like("closed")),
    outcome("error", Need::Covered),
];

impl ScheduleNode {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&OUTCOMES);
        Some(Self { schedule: it.name("schedule", Thing::Schedule)? })
    }

    /// What cannot be decided is an error, never `closed`: errors lead to a person.
    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        match session.text(&self.schedule, env, now) {
            Ok(name) => match session.bundle().decide(&name, now.wall) {
                Some(decision) => Turn::leave(decision.as_str()),
                None => Turn::fail("unknown schedule"),
            },
            Err(reason) => Turn::Fail(reason),
        }
    }
}
