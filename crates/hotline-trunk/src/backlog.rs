//! Messages that wait for their turn, in the order in which they are to be taken.
//!
//! As they came, while all get their turn soon. Under overload what belongs to a call goes first:
//! it is what the peers of running calls wait for, and a call that is half done is lost work when
//! it is late. New calls wait behind it, and only so long: one that is late is refused, which costs
//! next to nothing, and its caller is to be told while he still listens.

use std::{collections::VecDeque, time::Duration};

use hotline_base::MonoTime;

/// Late calls that are taken between two of the first: one of these costs as much as ten refusals.
const LATE_MAX: u32 = 16;

/// Which others a message may overtake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rank {
    /// Goes before new calls.
    First,
    /// Would begin a call.
    NewCall,
    /// May be about a call that waits, and overtakes none: its CANCEL, the end of its connection.
    Behind,
}

#[derive(Debug)]
pub struct Backlog<T> {
    first: VecDeque<Waiting<T>>,
    /// New calls and what stays behind them; empty unless calls wait.
    calls: VecDeque<Waiting<T>>,
    calls_wait: bool,
    /// A new call that has waited so long goes before the first.
    late: Duration,
    /// Late calls that were taken since one of the first.
    n_late: u32,
}

#[derive(Debug)]
struct Waiting<T> {
    rank: Rank,
    came: MonoTime,
    it: T,
}

impl<T> Backlog<T> {
    pub const fn new(late: Duration) -> Self {
        Self { first: VecDeque::new(), calls: VecDeque::new(), calls_wait: false, late, n_late: 0 }
    }

    /// Whether new calls wait behind all others from now on.
    pub fn let_calls_wait(&mut self, calls_wait: bool) {
        if std::mem::replace(&mut self.calls_wait, calls_wait) == calls_wait {
            return;
        }
        if calls_wait {
            for it in std::mem::take(&mut self.first) {
                self.put(it);
            }
        } else {
            self.first.append(&mut self.calls);
        }
    }

    pub fn push(&mut self, rank: Rank, came: MonoTime, it: T) {
        self.put(Waiting { rank, came, it });
    }

    fn put(&mut self, it: Waiting<T>) {
        let waits = match it.rank {
            Rank::First => false,
            Rank::NewCall => true,
            Rank::Behind => !self.calls.is_empty(),
        };
        if waits && self.calls_wait { &mut self.calls } else { &mut self.first }.push_back(it);
    }

    pub fn pop(&mut self, now: MonoTime) -> Option<T> {
        self.pop_late(now).or_else(|| self.pop_first()).or_else(|| self.pop_call())
    }

    /// The next that waits for nobody.
    pub fn pop_first(&mut self) -> Option<T> {
        self.n_late = 0;
        self.first.pop_front().map(|it| it.it)
    }

    /// The next that goes when nothing waits of what belongs to a call, here or elsewhere.
    pub fn pop_call(&mut self) -> Option<T> {
        self.calls.pop_front().map(|it| it.it)
    }

    /// Whether something waits that waits for nobody.
    pub fn has_first(&self) -> bool {
        !self.first.is_empty()
    }

    /// A call that is late, if it is its turn.
    pub fn pop_late(&mut self, now: MonoTime) -> Option<T> {
        if self.oldest_call(now) <= self.late || self.n_late >= LATE_MAX {
            return None;
        }
        self.n_late += 1;
        self.calls.pop_front().map(|it| it.it)
    }

    pub fn len(&self) -> usize {
        self.first.len() + self.calls.len()
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.calls.is_empty()
    }

    /// How long the oldest new call has waited behind others by now; zero when none does.
    pub fn oldest_call(&self, now: MonoTime) -> Duration {
        self.calls.front().map_or(Duration::ZERO, |it| now.since(it.came))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> MonoTime {
        MonoTime(millis * 1_000_000)
    }

    fn all(it: &mut Backlog<&'static str>, now: MonoTime) -> Vec<&'static str> {
        std::iter::from_fn(|| it.pop(now)).collect()
    }

    fn crowded() -> Backlog<&'static str> {
        let mut it = Backlog::new(LATE);
        it.let_calls_wait(true);
        it
    }

    #[test]
    fn while_nothing_is_too_much_all_are_taken_as_they_came() {
        let mut it = Backlog::new(LATE);
        let came = ["INVITE 1", "BYE", "INVITE 2", "CANCEL 2"];
        let ranks = [Rank::NewCall, Rank::First, Rank::NewCall, Rank::Behind];
        let push = |it: &mut Backlog<_>| {
            came.iter().zip(ranks).for_each(|(message, rank)| it.push(rank, at(0), *message));
        };
        push(&mut it);
        assert_eq!(all(&mut it, at(40)), came);
        // What waits already is put in its place when that changes.
        push(&mut it);
        it.let_calls_wait(true);
        assert_eq!((it.pop(at(9)), it.len()), (Some("BYE"), 3));
        it.push(Rank::First, at(9), "INFO");
        it.let_calls_wait(false);
        it.push(Rank::First, at(9), "ACK");
        assert_eq!(all(&mut it, at(9)), ["INFO", "INVITE 1", "INVITE 2", "CANCEL 2", "ACK"]);
    }

    #[test]
    fn what_belongs_to_a_call_goes_before_calls_that_came_earlier() {
        let mut it = crowded();
        it.push(Rank::NewCall, at(0), "INVITE 1");
        it.push(Rank::NewCall, at(1), "INVITE 2");
        assert!(!it.is_empty());
        it.push(Rank::First, at(2), "BYE");
        it.push(Rank::First, at(3), "ACK");
        assert_eq!((it.len(), it.oldest_call(at(40))), (4, Duration::from_millis(40)));
        assert_eq!(all(&mut it, at(50)), ["BYE", "ACK", "INVITE 1", "INVITE 2"]);
        assert!(it.is_empty());
        assert_eq!(it.oldest_call(at(50)), Duration::ZERO);
    }

    #[test]
    fn what_has_to_wait_for_work_elsewhere_is_told_from_what_has_not() {
        let mut it = crowded();
        it.push(Rank::NewCall, at(0), "INVITE");
        it.push(Rank::First, at(1), "BYE");
        assert!(it.has_first());
        assert_eq!((it.pop_late(at(9)), it.pop_first(), it.pop_first()), (None, Some("BYE"), None));
        assert!(!it.has_first() && !it.is_empty());
        assert_eq!((it.pop_call(), it.pop_call()), (Some("INVITE"), None));
    }

    #[test]
    fn calls_that_are_late_wait_no_longer_and_keep_nobody_waiting_for_long() {
        let mut it = crowded();
        for n in 0..=LATE_MAX {
            it.push(Rank::NewCall, at(u64::from(n)), "INVITE");
        }
        for _ in 0..3 {
            it.push(Rank::First, at(0), "ACK");
        }
        assert_eq!((it.pop(at(100)), it.pop_late(at(100))), (Some("ACK"), None));
        // The last has not waited so long.
        let (late, n) = (at(100 + u64::from(LATE_MAX)), LATE_MAX as usize);
        let taken = all(&mut it, late);
        assert_eq!(taken, [&["INVITE"].repeat(n)[..], &["ACK", "ACK", "INVITE"]].concat());
    }

    #[test]
    fn however_many_are_late_the_first_have_their_turn() {
        let mut it = crowded();
        for _ in 0..3 * LATE_MAX {
            it.push(Rank::NewCall, at(0), "INVITE");
        }
        (0..2).for_each(|_| it.push(Rank::First, at(0), "ACK"));
        let late = at(101);
        let taken = all(&mut it, late);
        let acks = taken.iter().enumerate().filter(|it| *it.1 == "ACK").map(|it| it.0);
        let n = LATE_MAX as usize;
        assert_eq!((acks.collect::<Vec<_>>(), taken.len()), (vec![n, 2 * n + 1], 3 * n + 2));
        it.push(Rank::NewCall, at(0), "INVITE");
        assert_eq!(it.pop_late(late), Some("INVITE"));
    }

    #[test]
    fn cancel_never_overtakes_its_call_and_waits_for_no_other() {
        let mut it = crowded();
        it.push(Rank::Behind, at(0), "CANCEL of an earlier call");
        it.push(Rank::NewCall, at(0), "INVITE");
        it.push(Rank::Behind, at(1), "CANCEL");
        it.push(Rank::First, at(2), "BYE");
        let order = ["CANCEL of an earlier call", "BYE", "INVITE", "CANCEL"];
        assert_eq!(all(&mut it, at(3)), order);
    }
}
