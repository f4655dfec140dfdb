//! Who guesses passwords is locked out for a while.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use hotline_base::MonoTime;

/// Wrong passwords by user and address. An address that proved to be reachable, by a nonce that was
/// sent to it, is needed before a failure is noted: nobody locks a telephone out by forging its
/// address.
#[derive(Debug, Default)]
pub(crate) struct Lockout {
    failed: BTreeMap<(String, IpAddr), Failed>,
}

#[derive(Debug)]
struct Failed {
    n: u32,
    last: MonoTime,
    locked: bool,
}

/// So many failures, none later than the span after the one before, lock for `LOCKED`.
pub(crate) const FAILURES_MAX: u32 = 10;
const SPAN: Duration = Duration::from_mins(5);
pub(crate) const LOCKED: Duration = Duration::from_mins(15);

/// The most pairs that are remembered; those that are not locked are forgotten first.
const PAIRS_MAX: usize = 4_096;

/// Longer names are no extension's.
const NAME_MAX: usize = 64;

impl Lockout {
    /// Whether no attempt is looked at now.
    pub(crate) fn is_locked(&self, user: &str, from: IpAddr, now: MonoTime) -> bool {
        self.failed.get(&key(user, from)).is_some_and(|it| it.locked && !it.is_over(now))
    }

    /// Notes a failure; true when it locks.
    pub(crate) fn fail(&mut self, user: &str, from: IpAddr, now: MonoTime) -> bool {
        if self.failed.len() >= PAIRS_MAX {
            self.forget(now);
        }
        let it =
            self.failed.entry(key(user, from)).or_insert(Failed { n: 0, last: now, locked: false });
        if it.is_over(now) {
            *it = Failed { n: 0, last: now, locked: false };
        }
        it.n = it.n.saturating_add(1);
        it.last = now;
        let locks = it.n >= FAILURES_MAX && !it.locked;
        it.locked |= locks;
        locks
    }

    /// The right password was given.
    pub(crate) fn clear(&mut self, user: &str, from: IpAddr) {
        self.failed.remove(&key(user, from));
    }

    /// In one go, so that who tries many names does not cost a search each time.
    fn forget(&mut self, now: MonoTime) {
        self.failed.retain(|_, it| it.locked && !it.is_over(now));
        if self.failed.len() >= PAIRS_MAX {
            self.failed.clear();
        }
    }
}

impl Failed {
    fn is_over(&self, now: MonoTime) -> bool {
        now.since(self.last) >= if self.locked { LOCKED } else { SPAN }
    }
}

fn key(user: &str, from: IpAddr) -> (String, IpAddr) {
    (user.chars().take(NAME_MAX).collect(), from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> MonoTime {
        MonoTime(secs * 1_000_000_000)
    }

    #[test]
    fn ten_failures_lock_a_user_at_an_address_for_a_quarter_of_an_hour() {
        let (home, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut it = Lockout::default();
        let locks: Vec<_> = (0..10).map(|n| it.fail("8001", home, at(n))).collect();
        assert_eq!(locks.iter().filter(|it| **it).count(), 1);
        assert!(it.is_locked("8001", home, at(10)));
        assert!(!it.is_locked("8001", other, at(10)) && !it.is_locked("8002", home, at(10)));
        assert!(it.is_locked("8001", home, at(9 + 899)));
        assert!(!it.is_locked("8001", home, at(9 + 900)));
        assert!(!it.fail("8001", home, at(9 + 900)));
    }

    #[test]
    fn slow_failures_and_those_before_a_success_do_not_count() {
        let home = "10.0.0.1".parse().unwrap();
        let mut it = Lockout::default();
        assert!((0..20).all(|n| !it.fail("8001", home, at(n * 300))));
        for _ in 0..9 {
            it.fail("8002", home, at(0));
        }
        it.clear("8002", home);
        assert!(!it.fail("8002", home, at(1)));
    }

    #[test]
    fn memory_is_bounded_whatever_names_are_tried() {
        let home = "10.0.0.1".parse().unwrap();
        let mut it = Lockout::default();
        for n in 0..(PAIRS_MAX + 100) {
            it.fail(&format!("{n}{}", "x".repeat(100)), home, at(0));
        }
        assert!(it.failed.len() <= PAIRS_MAX);
        assert!(it.failed.keys().all(|it| it.0.len() <= NAME_MAX));
    }
}
