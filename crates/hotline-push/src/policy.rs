//! What an attempt's outcome means for its delivery.

use std::time::Duration;

use hotline_base::{Random, WallTime};

use crate::{Delivery, PostError, Verdict};

/// When to try again, and when to give up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retry {
    /// After the first attempt; doubles from then on.
    pub first: Duration,
    pub longest: Duration,
    /// A delivery the receiver calls unacceptable is given up at its so-manieth attempt.
    pub n_refusals_max: u32,
    /// A delivery that does not go through while others do is given up at its so-manieth attempt.
    pub n_attempts_max: u32,
    /// Every delivery is given up at this age.
    pub age_max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            n_refusals_max: 5,
            n_attempts_max: 100,
            age_max: Duration::from_hours(72),
        }
    }
}

/// What the receiver said, as far as it matters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Accepted,
    /// This event is not acceptable; the receiver is well.
    Refused(u16),
    /// The receiver is not well.
    Outage(String),
}

impl Outcome {
    pub(crate) fn of(answer: Result<u16, PostError>) -> Self {
        match answer {
            Ok(200..=299) => Self::Accepted,
            Ok(status @ (400 | 409 | 410 | 413 | 415 | 422)) => Self::Refused(status),
            Ok(status) => Self::Outage(format!("the receiver answered {status}")),
            Err(error) => Self::Outage(error.to_string()),
        }
    }
}

impl Retry {
    /// `others_pass`: the target is accepting other deliveries.
    pub(crate) fn judge(
        &self,
        delivery: &Delivery,
        outcome: Outcome,
        others_pass: bool,
        now: WallTime,
        random: &mut Random,
    ) -> Verdict {
        let n_attempts = delivery.n_attempts.saturating_add(1);
        let (why, is_hopeless) = match outcome {
            Outcome::Accepted => return Verdict::Done,
            Outcome::Refused(status) => {
                let why = format!("the receiver refused it with {status}");
                (why, n_attempts >= self.n_refusals_max)
            }
            Outcome::Outage(why) => (why, others_pass && n_attempts >= self.n_attempts_max),
        };
        let age = Duration::from_millis(now.millis_since(delivery.created));
        if is_hopeless || age >= self.age_max {
            return Verdict::Dead { why };
        }
        let delay = jittered(self.backoff(n_attempts), random);
        Verdict::Retry { at: later(now, delay), why }
    }

    /// After so many attempts.
    pub(crate) fn backoff(&self, n_attempts: u32) -> Duration {
        let factor = 1u32.checked_shl(n_attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// Between three quarters of it and the whole.
pub(crate) fn jittered(delay: Duration, random: &mut Random) -> Duration {
    let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random.between(ms - ms / 4, ms))
}

pub(crate) fn later(now: WallTime, by: Duration) -> WallTime {
    let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    WallTime(now.0.saturating_add(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let retry = Retry::default();
        let waits: Vec<u64> = (1..8).map(|n| retry.backoff(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(retry.backoff(u32::MAX), retry.longest);
    }
}
