//! 运营商告警: says when one carrier's failures rise while others' do not.
//!
//! A carrier is looked at over a sliding window. It is in alarm when
//!
//! 1. the window holds enough attempts,
//! 2. the failed part of them reaches [`Thresholds::raise_percent`], and
//! 3. it is at least three times what is usual: that of all other carriers together in the same
//!    window, or, where they have too few attempts, its own of the hour before.
//!
//! The alarm ends when the failed part has been below [`Thresholds::clear_percent`] for
//! [`Thresholds::clear_after`] without a break. Failures that all carriers share are no alarm of a
//! carrier: the fault is then more likely on this side.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use hotline_base::MonoTime;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Thresholds {
    pub window: Duration,
    pub attempts_min: u64,
    pub raise_percent: u64,
    pub clear_percent: u64,
    pub clear_after: Duration,
}

impl Default for Thresholds {
    /// 20 attempts in five minutes, raised at 20 %, cleared below 10 % for two minutes.
    fn default() -> Self {
        Self {
            window: Duration::from_mins(5),
            attempts_min: 20,
            raise_percent: 20,
            clear_percent: 10,
            clear_after: Duration::from_mins(2),
        }
    }
}

/// An alarm begins or ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CarrierAlarm {
    pub carrier: String,
    pub raised: bool,
    /// Of the window.
    pub n_attempts: u64,
    pub n_failed: u64,
}

/// Attempts of a carrier are counted in pieces of this length.
const PIECE: Duration = Duration::from_secs(10);

/// How far back the carrier's own usual figure reaches, before the window.
const USUAL: Duration = Duration::from_hours(1);

/// How many times the usual the failures must be.
const FACTOR: u64 = 3;

/// The carriers, and who is in alarm.
#[derive(Debug, Default)]
pub struct Watch {
    thresholds: Thresholds,
    carriers: BTreeMap<String, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Of the window.
    recent: Span,
    /// Of the hour before it.
    before: Span,
    raised: bool,
    /// Since when it has been well, while in alarm.
    well_since: Option<MonoTime>,
}

/// Pieces of time that follow one another, added up.
#[derive(Debug, Default)]
struct Span {
    /// Oldest first: when a piece began, and what was in it.
    pieces: VecDeque<(MonoTime, Tally)>,
    sum: Tally,
}

impl Span {
    fn add(&mut self, begun: MonoTime, tally: Tally) {
        self.sum = self.sum.plus(tally);
        match self.pieces.back_mut() {
            Some((at, it)) if begun.since(*at) < PIECE => *it = it.plus(tally),
            Some(_) | None => self.pieces.push_back((begun, tally)),
        }
    }

    /// Takes out the oldest piece, if it is of this age.
    fn take_old(&mut self, age: Duration, now: MonoTime) -> Option<(MonoTime, Tally)> {
        let piece = self.pieces.pop_front_if(|it| now.since(it.0) >= age)?;
        self.sum = self.sum.without(piece.1);
        Some(piece)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    n: u64,
    failed: u64,
}

impl Tally {
    const fn plus(self, other: Self) -> Self {
        Self { n: self.n + other.n, failed: self.failed + other.failed }
    }

    /// What is left of a sum without one of its parts.
    const fn without(self, part: Self) -> Self {
        Self { n: self.n - part.n, failed: self.failed - part.failed }
    }

    /// Whether at least so many of a hundred failed.
    const fn reaches(self, percent: u64) -> bool {
        self.n > 0 && self.failed * 100 >= self.n * percent
    }

    /// Whether its share of failures is three times the other's, or the other has none.
    const fn towers_over(self, usual: Self) -> bool {
        self.failed * usual.n >= FACTOR * usual.failed * self.n
    }
}

impl Watch {
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, carriers: BTreeMap::new() }
    }

    /// An attempt over this carrier has its outcome.
    pub fn note(&mut self, carrier: &str, failed: bool, now: MonoTime) {
        if !self.carriers.contains_key(carrier) {
            self.carriers.insert(carrier.to_owned(), Seen::default());
        }
        let Some(seen) = self.carriers.get_mut(carrier) else { return };
        seen.recent.add(now, Tally { n: 1, failed: u64::from(failed) });
    }

    /// What begins or ends now. Wants to be asked after each [`note`](Self::note), and while an
    /// alarm stands at [`poll_timeout`](Self::poll_timeout).
    pub fn judge(&mut self, now: MonoTime) -> Vec<CarrierAlarm> {
        let Thresholds { window, attempts_min, raise_percent, clear_percent, clear_after } =
            self.thresholds;
        for seen in self.carriers.values_mut() {
            while let Some((begun, tally)) = seen.recent.take_old(window, now) {
                seen.before.add(begun, tally);
            }
            while seen.before.take_old(window + USUAL, now).is_some() {}
        }
        let all = self.carriers.values().map(|it| it.recent.sum);
        let all = all.fold(Tally::default(), Tally::plus);
        let mut alarms = Vec::new();
        for (name, seen) in &mut self.carriers {
            let own = seen.recent.sum;
            let others = all.without(own);
            let usual = if others.n >= attempts_min { others } else { seen.before.sum };
            let rises =
                own.n >= attempts_min && own.reaches(raise_percent) && own.towers_over(usual);
            let changed = if seen.raised {
                if own.reaches(clear_percent) {
                    seen.well_since = None;
                }
                // A carrier that brings no calls any more is not known to be well again.
                let well = own.n > 0 && !own.reaches(clear_percent);
                let since = *seen.well_since.get_or_insert(now);
                if !well {
                    seen.well_since = None;
                }
                well && now.since(since) >= clear_after
            } else {
                rises
            };
            if changed {
                seen.raised = !seen.raised;
                seen.well_since = None;
                alarms.push(CarrierAlarm {
                    carrier: name.clone(),
                    raised: seen.raised,
                    n_attempts: own.n,
                    n_failed: own.failed,
                });
            }
        }
        alarms
    }

    /// While an alarm stands, its end is looked for every ten seconds.
    pub fn poll_timeout(&self, now: MonoTime) -> Option<MonoTime> {
        self.carriers.values().any(|it| it.raised).then(|| now + PIECE)
    }

    pub fn is_raised(&self, carrier: &str) -> bool {
        self.carriers.get(carrier).is_some_and(|it| it.raised)
    }
}
