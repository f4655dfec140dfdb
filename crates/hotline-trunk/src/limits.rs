//! How many calls a trunk carries, and how fast they may come.

use borsh::{BorshDeserialize, BorshSerialize};
use std::time::Duration;

use hotline_base::MonoTime;

use crate::Refusal;

/// Limits of a trunk below the number of channels bought. `None` does not limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Calls that came in, at the same time.
    pub in_max: Option<usize>,
    /// Calls that went out, at the same time.
    pub out_max: Option<usize>,
    /// Channels that new calls leave free for transfers and emergency calls, of all and of
    /// [`out_max`](Self::out_max).
    pub reserved: usize,
    /// New calls in any second, for each direction.
    pub per_sec: Option<u32>,
}

/// Which way a call goes.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Way {
    In,
    Out,
}

impl Way {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What a channel is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// A call of its own.
    Call,
    /// The second channel of a call that is in; it may use what is reserved.
    Transfer,
    /// 110 and the like: no limit of ours stops it.
    Emergency,
}

/// The channels of one trunk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channels {
    n_in: usize,
    n_out: usize,
    /// When the next call would come if calls came evenly (GCRA, ITU-T I.371 annex A).
    even_in: MonoTime,
    even_out: MonoTime,
}

impl Channels {
    pub(crate) const fn in_use(&self) -> usize {
        self.n_in + self.n_out
    }

    pub(crate) const fn of(&self, way: Way) -> usize {
        match way {
            Way::In => self.n_in,
            Way::Out => self.n_out,
        }
    }

    pub(crate) const fn took(&mut self, way: Way) {
        match way {
            Way::In => self.n_in += 1,
            Way::Out => self.n_out += 1,
        }
    }

    pub(crate) const fn give(&mut self, way: Way) {
        match way {
            Way::In => self.n_in = self.n_in.saturating_sub(1),
            Way::Out => self.n_out = self.n_out.saturating_sub(1),
        }
    }

    /// Whether one more call fits. Counts it for the rate if so.
    pub(crate) fn may_take(
        &mut self,
        way: Way,
        purpose: Purpose,
        channels_max: usize,
        limits: &Limits,
        now: MonoTime,
    ) -> Result<(), Refusal> {
        let left_free = match purpose {
            Purpose::Emergency => return Ok(()),
            Purpose::Transfer => 0,
            Purpose::Call => limits.reserved,
        };
        let usable = channels_max.saturating_sub(left_free);
        // Transfers go out, so that is where room is kept for them.
        let of_way = match way {
            Way::In => limits.in_max,
            Way::Out => limits.out_max.map(|it| it.saturating_sub(left_free)),
        };
        if self.in_use() >= usable || of_way.is_some_and(|it| self.of(way) >= it) {
            return Err(Refusal::OverLimit);
        }
        let even = match way {
            Way::In => &mut self.even_in,
            Way::Out => &mut self.even_out,
        };
        match limits.per_sec.filter(|_| purpose == Purpose::Call) {
            Some(per_sec) => in_time(even, per_sec, now),
            None => Ok(()),
        }
    }
}

/// A second's worth of calls may come at once.
fn in_time(even: &mut MonoTime, per_sec: u32, now: MonoTime) -> Result<(), Refusal> {
    let step = Duration::from_secs(1) / per_sec.max(1);
    let next = (*even).max(now) + step;
    if next - now > Duration::from_secs(1) {
        return Err(Refusal::TooFast);
    }
    *even = next;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(it: &mut Channels, way: Way, purpose: Purpose, limits: &Limits) -> Result<(), Refusal> {
        it.may_take(way, purpose, 5, limits, MonoTime(0)).map(|()| it.took(way))
    }

    #[test]
    fn each_direction_and_both_together_are_limited() {
        let limits = Limits { in_max: Some(4), out_max: Some(2), ..Limits::default() };
        let mut it = Channels::default();
        let full = Err(Refusal::OverLimit);
        let mut call = |way| take(&mut it, way, Purpose::Call, &limits);
        assert_eq!([call(Way::Out), call(Way::Out), call(Way::Out)], [Ok(()), Ok(()), full]);
        assert_eq!([(); 4].map(|()| call(Way::In)), [Ok(()), Ok(()), Ok(()), full]);
        it.give(Way::Out);
        assert_eq!((it.in_use(), it.of(Way::Out), it.of(Way::In)), (4, 1, 3));
    }

    #[test]
    fn what_is_reserved_is_for_transfers_and_emergencies() {
        let limits = Limits { reserved: 2, ..Limits::default() };
        let mut it = Channels::default();
        let full = Err(Refusal::OverLimit);
        let calls = [(); 4].map(|()| take(&mut it, Way::In, Purpose::Call, &limits));
        assert_eq!(calls, [Ok(()), Ok(()), Ok(()), full]);
        let legs = [(); 3].map(|()| take(&mut it, Way::Out, Purpose::Transfer, &limits));
        assert_eq!(legs, [Ok(()), Ok(()), full]);
        assert_eq!(take(&mut it, Way::Out, Purpose::Emergency, &limits), Ok(()));

        // Few may go out: calls of agents do not take the last of these either.
        let limits = Limits { out_max: Some(3), ..limits };
        let mut it = Channels::default();
        let calls = [(); 2].map(|()| take(&mut it, Way::Out, Purpose::Call, &limits));
        assert_eq!(calls, [Ok(()), full]);
        let legs = [(); 3].map(|()| take(&mut it, Way::Out, Purpose::Transfer, &limits));
        assert_eq!(legs, [Ok(()), Ok(()), full]);
        assert_eq!(take(&mut it, Way::Out, Purpose::Emergency, &limits), Ok(()));
    }

    #[test]
    fn so_many_calls_come_in_any_second() {
        let limits = Limits { per_sec: Some(10), ..Limits::default() };
        let mut it = Channels::default();
        let mut admitted = Vec::new();
        for millis in 0..3_000_u64 {
            let now = MonoTime(0) + Duration::from_millis(millis);
            if it.may_take(Way::In, Purpose::Call, 999, &limits, now).is_ok() {
                admitted.push(millis);
            }
        }
        // The first second's worth at once, then one in each tenth.
        assert_eq!(admitted.len(), 10 + 20 + 9, "{admitted:?}");
        assert!(admitted.windows(3).skip(10).all(|it| it[1] - it[0] == 100), "{admitted:?}");
        assert_eq!(
            it.may_take(Way::Out, Purpose::Call, 999, &limits, MonoTime(0)),
            Ok(()),
            "the other direction has its own"
        );
    }

    #[test]
    fn a_second_that_is_full_stops_no_transfer_and_no_emergency() {
        let limits = Limits { per_sec: Some(2), ..Limits::default() };
        let mut it = Channels::default();
        let mut take = |purpose| it.may_take(Way::Out, purpose, 999, &limits, MonoTime(0));
        let fast = Err(Refusal::TooFast);
        assert_eq!([(); 3].map(|()| take(Purpose::Call)), [Ok(()), Ok(()), fast]);
        let others = [Purpose::Emergency, Purpose::Transfer, Purpose::Emergency];
        assert_eq!(others.map(&mut take), [Ok(()); 3]);
        assert_eq!(take(Purpose::Call), fast);
    }
}
