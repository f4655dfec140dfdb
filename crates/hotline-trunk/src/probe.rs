//! Whether a gateway lives: OPTIONS again and again, with patience before a verdict.
//!
//! A gateway that dies is known within 6 s (requirement R10): two probes in a row without a good
//! answer, the second one at once after the first. It is used again after three good probes in a
//! row, so that one that comes and goes is not.

use std::time::Duration;

use hotline_base::MonoTime;

/// From the end of a probe to the next one.
const EVERY: Duration = Duration::from_secs(2);

/// How long a probe waits for its answer. Over UDP it is sent three times meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1_600);

/// Failed probes in a row that end a life.
const FAILS: u8 = 2;

/// Good probes in a row that begin one.
const GOODS: u8 = 3;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    /// The next probe leaves then.
    Rests {
        until: MonoTime,
    },
    Asked {
        at: MonoTime,
        until: MonoTime,
    },
}

/// What the probes of a gateway came to since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Probes {
    /// Answered in time, by anything but 408 and 503.
    pub n_good: u64,
    pub n_failed: u64,
    /// From OPTIONS to the answer of the last good one.
    pub round_trip: Option<Duration>,
}

/// What a step leads to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Said {
    /// Send OPTIONS now.
    pub(crate) ask: bool,
    /// It lives, or not, from now on.
    pub(crate) changed: Option<bool>,
}

/// One gateway under probe. It is believed to live until it is known not to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    lives: bool,
    /// Probes in a row against what is believed.
    streak: u8,
    turn: Turn,
    /// Since when it lives or does not.
    since: MonoTime,
    probes: Probes,
}

impl Probe {
    pub(crate) const fn new(now: MonoTime) -> Self {
        let (turn, probes) =
            (Turn::Rests { until: now }, Probes { n_good: 0, n_failed: 0, round_trip: None });
        Self { lives: true, streak: 0, turn, since: now, probes }
    }

    pub(crate) const fn lives(&self) -> bool {
        self.lives
    }

    /// Since when that is so; the start, when it never was otherwise.
    pub(crate) const fn since(&self) -> MonoTime {
        self.since
    }

    pub(crate) const fn probes(&self) -> Probes {
        self.probes
    }

    pub(crate) const fn poll_timeout(&self) -> MonoTime {
        match self.turn {
            Turn::Rests { until } | Turn::Asked { until, .. } => until,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: MonoTime) -> Said {
        if self.poll_timeout() > now {
            return Said::default();
        }
        match self.turn {
            Turn::Rests { .. } => self.ask(now),
            Turn::Asked { .. } => self.answered(false, now),
        }
    }

    /// The answer to the running probe; others are ignored.
    pub(crate) fn answered(&mut self, good: bool, now: MonoTime) -> Said {
        let Turn::Asked { at, .. } = self.turn else { return Said::default() };
        if good {
            self.probes.n_good += 1;
            self.probes.round_trip = Some(now.since(at));
        } else {
            self.probes.n_failed += 1;
        }
        self.turn = Turn::Rests { until: now + EVERY };
        if good == self.lives {
            self.streak = 0;
            return Said::default();
        }
        self.streak += 1;
        if self.streak >= if self.lives { FAILS } else { GOODS } {
            self.streak = 0;
            (self.lives, self.since) = (good, now);
            return Said { ask: false, changed: Some(good) };
        }
        // A doubt is settled at once, a hope is not.
        if self.lives { self.ask(now) } else { Said::default() }
    }

    /// A call got no answer from it: the next probe is now.
    pub(crate) const fn suspect(&mut self, now: MonoTime) {
        if let Turn::Rests { .. } = self.turn {
            self.turn = Turn::Rests { until: now };
        }
    }

    fn ask(&mut self, now: MonoTime) -> Said {
        self.turn = Turn::Asked { at: now, until: now + PATIENCE };
        Said { ask: true, changed: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lives through `secs`; `answers` says whether the gateway answers at a time, which it does
    /// 30 ms later. Gives the changes with their times.
    fn life(secs: u64, answers: impl Fn(Duration) -> bool) -> Vec<(Duration, bool)> {
        let begin = MonoTime(1_000_000_000);
        let mut probe = Probe::new(begin);
        let mut now = begin;
        let mut changes = Vec::new();
        while now < begin + Duration::from_secs(secs) {
            let mut said = probe.handle_timeout(now);
            if said.ask && answers(now - begin) {
                now = now + Duration::from_millis(30);
                said = probe.answered(true, now);
            }
            changes.extend(said.changed.map(|it| (now - begin, it)));
            now = now.max(probe.poll_timeout());
        }
        changes
    }

    #[test]
    fn a_gateway_that_answers_is_never_given_up() {
        assert_eq!(life(3600, |_| true), []);
    }

    #[test]
    fn a_dead_gateway_is_known_within_six_seconds_whenever_it_dies() {
        for millis in (0..10_000).step_by(7) {
            let death = Duration::from_millis(millis);
            let changes = life(60, |at| at < death);
            let [(at, false)] = changes[..] else { panic!("{changes:?}") };
            assert!(at <= death + Duration::from_secs(6), "died at {death:?}, known at {at:?}");
        }
    }

    #[test]
    fn one_lost_probe_is_no_death() {
        let lost = |at: Duration| (4_000..5_000).contains(&at.as_millis());
        assert_eq!(life(600, |at| !lost(at)), []);
    }

    #[test]
    fn a_gateway_is_back_after_three_good_probes_and_not_before() {
        let changes = life(100, |at| at > Duration::from_secs(30));
        let [(_, false), (back, true)] = changes[..] else { panic!("{changes:?}") };
        let there = Duration::from_secs(30);
        let in_time = back >= there + EVERY * 2 && back <= there + EVERY * 4 + PATIENCE;
        assert!(in_time, "back at {back:?}");
    }

    #[test]
    fn one_that_comes_and_goes_stays_away() {
        // It answers two probes and fails the third, over and over.
        let mut probe = Probe::new(MonoTime(0));
        let mut now = MonoTime(0);
        let mut changes = 0;
        for n in 0..300 {
            now = now.max(probe.poll_timeout());
            let mut said = probe.handle_timeout(now);
            changes += u32::from(said.changed.is_some());
            if said.ask && n > 10 && n % 3 != 0 {
                now = now + Duration::from_millis(30);
                said = probe.answered(true, now);
                changes += u32::from(said.changed.is_some());
            }
        }
        assert_eq!((changes, probe.lives()), (1, false));
    }

    #[test]
    fn a_suspect_is_asked_at_once() {
        let mut probe = Probe::new(MonoTime(0));
        assert!(probe.handle_timeout(MonoTime(0)).ask);
        probe.answered(true, MonoTime(1));
        assert!(!probe.handle_timeout(MonoTime(2)).ask);
        probe.suspect(MonoTime(2));
        assert!(probe.handle_timeout(MonoTime(2)).ask);
    }
}
