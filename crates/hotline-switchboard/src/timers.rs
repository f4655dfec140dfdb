//! When whom to wake: one entry an owner, found in the order of time.

use std::collections::BTreeMap;

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
    /// Those who do not remember themselves when they are to be woken.
    by_owner: BTreeMap<Owner, Due>,
    by_time: BTreeMap<(MonoTime, Owner), &'static str>,
}

impl Timers {
    /// Replaces the owner's timer.
    pub(crate) fn set(&mut self, owner: Owner, due: Option<Due>) {
        let before = match due {
            Some(due) => self.by_owner.insert(owner.clone(), due),
            None => self.by_owner.remove(&owner),
        };
        self.replace(owner, before, due);
    }

    /// The same for an owner who says himself what his timer was.
    pub(crate) fn replace(&mut self, owner: Owner, before: Option<Due>, due: Option<Due>) {
        if before == due {
            return;
        }
        if let Some((at, _)) = before {
            self.by_time.remove(&(at, owner.clone()));
        }
        if let Some((at, what)) = due {
            self.by_time.insert((at, owner), what);
        }
    }

    pub(crate) fn first(&self) -> Option<Due> {
        let ((at, _), what) = self.by_time.first_key_value()?;
        Some((*at, *what))
    }

    /// An owner whose time has come. It stays until [`set`](Self::set) again.
    pub(crate) fn due(&self, now: MonoTime) -> Vec<Owner> {
        self.by_time.keys().take_while(|(at, _)| *at <= now).map(|(_, it)| it.clone()).collect()
    }
}
