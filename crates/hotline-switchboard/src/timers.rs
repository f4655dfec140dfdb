//! When whom to wake: one entry an owner, found in the order of time.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::{AgentNo, CallId, Due, LegId, MonoTime};

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Owner {
    Call(CallId),
    Agent(AgentNo),
    /// The media process that has to come back.
    Media,
    /// The next key for this leg.
    Keys(LegId),
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_owner: BTreeMap<Owner, Due>,
    by_time: BTreeSet<(MonoTime, Owner)>,
}

impl Timers {
    /// Replaces the owner's timer.
    pub(crate) fn set(&mut self, owner: Owner, due: Option<Due>) {
        let before = match due {
            Some(due) => self.by_owner.insert(owner.clone(), due),
            None => self.by_owner.remove(&owner),
        };
        if before.map(|it| it.0) == due.map(|it| it.0) {
            return;
        }
        if let Some((at, _)) = before {
            self.by_time.remove(&(at, owner.clone()));
        }
        if let Some((at, _)) = due {
            self.by_time.insert((at, owner));
        }
    }

    pub(crate) fn first(&self) -> Option<Due> {
        let (_, owner) = self.by_time.first()?;
        self.by_owner.get(owner).copied()
    }

    /// An owner whose time has come. It stays until [`set`](Self::set) again.
    pub(crate) fn due(&self, now: MonoTime) -> Vec<Owner> {
        self.by_time.iter().take_while(|(at, _)| *at <= now).map(|(_, it)| it.clone()).collect()
    }
}
