//! Timers with owners and names.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::{Due, MonoTime};

/// RFC 3261 table 4, RFC 6026 §7, and those of the users above the transactions.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum TimerName {
    /// INVITE is sent again.
    A,
    /// INVITE without any response is given up.
    B,
    /// INVITE without a final response is given up.
    C,
    /// Absorbs repeated final responses above 2xx.
    D,
    /// A request other than INVITE is sent again.
    E,
    /// A request other than INVITE is given up.
    F,
    /// A final response above 2xx to INVITE is sent again.
    G,
    /// The ACK of such a response is given up.
    H,
    /// Absorbs repeated ACKs.
    I,
    /// Absorbs repeated requests other than INVITE.
    J,
    /// Absorbs repeated responses to requests other than INVITE.
    K,
    /// Absorbs a repeated INVITE after its 2xx.
    L,
    /// Takes forked and repeated 2xx.
    M,
    /// Our 2xx is sent again until its ACK comes (RFC 3261 §13.3.1.4).
    Success,
    /// The ACK of our 2xx is given up.
    Ack,
    /// A dialled leg has rung long enough.
    Ring,
    /// A provisional response is repeated each minute (RFC 3261 §13.3.1.1).
    Remind,
    /// An incoming leg that nobody answers or refuses.
    Unanswered,
    /// Our offer is made again after a glare (RFC 3261 §14.1).
    Glare,
    /// Our reliable provisional response is sent again until its PRACK comes (RFC 3262 §3).
    Reliable,
    /// The PRACK is given up.
    Prack,
    /// We refresh the session (RFC 4028 §7.2).
    Refresh,
    /// The peer gave no sign of life: the session is over (RFC 4028 §10).
    Session,
    /// A peer from whom no sound is due is asked whether it is there.
    Watch,
    /// A telephone that is to be told of the end of its call does not come back.
    Back,
    /// A registration ends.
    Expiry,
    /// A registration from before a restart is given its end on this process's clock.
    Restored,
    /// A registered phone is asked whether it is there.
    Probe,
    /// Something that was dialled gave no response at all.
    Silence,
}

impl TimerName {
    const FIRST: Self = Self::A;
    const LAST: Self = Self::Silence;

    /// As [`Due`] shows it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::E => "E",
            Self::F => "F",
            Self::G => "G",
            Self::H => "H",
            Self::I => "I",
            Self::J => "J",
            Self::K => "K",
            Self::L => "L",
            Self::M => "M",
            Self::Success => "2xx again",
            Self::Ack => "ACK missing",
            Self::Ring => "ring limit",
            Self::Remind => "1xx again",
            Self::Unanswered => "unanswered",
            Self::Glare => "glare",
            Self::Reliable => "reliable 1xx again",
            Self::Prack => "PRACK missing",
            Self::Refresh => "session refresh",
            Self::Session => "session end",
            Self::Watch => "silent peer",
            Self::Back => "telephone back",
            Self::Expiry => "registration",
            Self::Restored => "registration from before the restart",
            Self::Probe => "probe",
            Self::Silence => "silence",
        }
    }
}

/// Each owner has each timer at most once.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    by_time: BTreeSet<(MonoTime, K, TimerName)>,
    by_owner: BTreeMap<(K, TimerName), MonoTime>,
}

impl<K: Clone + Ord> Timers<K> {
    pub(crate) const fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_owner: BTreeMap::new() }
    }

    /// Arms a timer, moving it when it is armed already.
    pub(crate) fn set(&mut self, owner: K, name: TimerName, at: MonoTime) {
        if let Some(before) = self.by_owner.insert((owner.clone(), name), at) {
            self.by_time.remove(&(before, owner.clone(), name));
        }
        self.by_time.insert((at, owner, name));
    }

    pub(crate) fn cancel(&mut self, owner: K, name: TimerName) {
        if let Some(at) = self.by_owner.remove(&(owner.clone(), name)) {
            self.by_time.remove(&(at, owner, name));
        }
    }

    pub(crate) fn cancel_all(&mut self, owner: &K) {
        let all = (owner.clone(), TimerName::FIRST)..=(owner.clone(), TimerName::LAST);
        for ((owner, name), at) in self.by_owner.extract_if(all, |_, _| true) {
            self.by_time.remove(&(at, owner, name));
        }
    }

    /// When an armed timer fires.
    pub(crate) fn at(&self, owner: K, name: TimerName) -> Option<MonoTime> {
        self.by_owner.get(&(owner, name)).copied()
    }

    /// Who has a timer, in order, each once.
    pub(crate) fn owners(&self) -> impl Iterator<Item = K> {
        let mut last = None;
        self.by_owner.keys().filter_map(move |(owner, _)| {
            let is_new = last.as_ref() != Some(owner);
            is_new.then(|| last.insert(owner.clone()).clone())
        })
    }

    pub(crate) fn next(&self) -> Option<Due> {
        self.by_time.first().map(|it| (it.0, it.2.name()))
    }

    /// Takes the first timer that is due.
    pub(crate) fn pop(&mut self, now: MonoTime) -> Option<(K, TimerName)> {
        if self.by_time.first()?.0 > now {
            return None;
        }
        let (_, owner, name) = self.by_time.pop_first()?;
        self.by_owner.remove(&(owner.clone(), name));
        Some((owner, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_never_after_they_were_cancelled() {
        let mut it = Timers::new();
        it.set(1, TimerName::A, MonoTime(5));
        it.set(1, TimerName::B, MonoTime(9));
        it.set(2, TimerName::E, MonoTime(3));
        it.set(1, TimerName::A, MonoTime(7));
        assert_eq!(it.next(), Some((MonoTime(3), "E")));
        assert_eq!(it.pop(MonoTime(7)), Some((2, TimerName::E)));
        assert_eq!(it.pop(MonoTime(7)), Some((1, TimerName::A)));
        assert_eq!(it.pop(MonoTime(7)), None);
        it.cancel_all(&1);
        assert_eq!((it.next(), it.pop(MonoTime(100))), (None, None));
    }
}
