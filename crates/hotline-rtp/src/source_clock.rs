//! Where a sender's timestamps lie on our own clock, though no two clocks run alike.

use hotline_base::MonoTime;

use crate::MediaTime;

/// A minimum is believed for one to two windows. 100 ppm move it by 0.8 ms in that time.
const WINDOW_MS: i64 = 8_000;

/// A packet this much earlier than any other, or several in a row this much later, come from a
/// sender that set its timestamps anew.
const LEAP_MS: i64 = 1_000;

/// Nanoseconds of a millisecond.
const NANOS: u64 = 1_000_000;

/// How many late packets in a row are a leap and not a stall of the network.
const LEAPS: u8 = 3;

/// The clock of one sender, seen through a network that delays every packet differently.
///
/// The quickest packets of the last seconds tell when a timestamp was *now* for the sender, up to
/// a constant. It follows a sender whose crystal is off without steps larger than that drift, and
/// does not see jitter. Both sides of a recording are laid by it, and playout is timed by it.
#[derive(Clone, Debug)]
pub struct SourceClock {
    ticks_per_ms: u32,
    /// The last packet's timestamp as it came and counted on beyond 32 bits.
    last: Option<(MediaTime, i64)>,
    /// The smallest transit (arrival minus timestamp, in ticks) of this window and of the last.
    smallest: i64,
    smallest_before: i64,
    window_began: i64,
    n_late: u8,
}

/// What a packet's arrival says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Arrival {
    /// The timestamp counted on beyond 32 bits.
    pub tick: i64,
    /// Ticks behind the quickest packet.
    pub late: i64,
    /// Ticks by which what counts as quickest has moved with this packet; above zero is later.
    pub moved: i64,
    /// The sender set its timestamps anew; nothing before this packet has to do with it.
    pub leapt: bool,
}

impl SourceClock {
    /// `ticks_per_ms`: 8 for G.711 and G.722 (RFC 3551 §4.5.2), 48 for Opus (RFC 7587 §4.1).
    pub const fn new(ticks_per_ms: u32) -> Self {
        Self {
            ticks_per_ms,
            last: None,
            smallest: 0,
            smallest_before: 0,
            window_began: 0,
            n_late: 0,
        }
    }

    pub const fn ticks_per_ms(&self) -> u32 {
        self.ticks_per_ms
    }

    /// Takes note of a packet.
    pub fn handle(&mut self, timestamp: MediaTime, now: MonoTime) -> Arrival {
        self.handle_waited(timestamp, now, now)
    }

    /// The same of a packet that waited to be read: it came between `since` and `now`. In that time
    /// it is taken to have been as quick as any.
    pub fn handle_waited(
        &mut self,
        timestamp: MediaTime,
        since: MonoTime,
        now: MonoTime,
    ) -> Arrival {
        let tick = self.extend(timestamp);
        let since = self.ticks(since.min(now));
        let now = self.ticks(now);
        let leap = LEAP_MS * i64::from(self.ticks_per_ms);
        let before = self.quickest();
        let known = self.last.is_some();
        let transit = if known { before.clamp(since - tick, now - tick) } else { now - tick };
        self.n_late = if transit - before > leap { self.n_late.saturating_add(1) } else { 0 };
        let leapt = self.last.is_none() || before - transit > leap || self.n_late >= LEAPS;
        if self.n_late == 0 || leapt {
            self.last = Some((timestamp, tick));
        }
        if leapt {
            (self.smallest, self.smallest_before) = (transit, transit);
            (self.window_began, self.n_late) = (now, 0);
            return Arrival { tick, late: 0, moved: 0, leapt };
        }
        if now - self.window_began >= WINDOW_MS * i64::from(self.ticks_per_ms) {
            (self.smallest_before, self.smallest) = (self.smallest, transit);
            self.window_began = now;
        }
        self.smallest = self.smallest.min(transit);
        let quickest = self.quickest();
        Arrival { tick, late: transit - quickest, moved: quickest - before, leapt }
    }

    /// Our clock in ticks of the sender's rate.
    pub fn ticks(&self, now: MonoTime) -> i64 {
        let per_ms = u64::from(self.ticks_per_ms);
        // In two steps 64 bits hold it; dividing 128 bits takes longer than all else here.
        let ticks = now.0 / NANOS * per_ms + now.0 % NANOS * per_ms / NANOS;
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }

    /// The tick that the sender was at, as the quickest packets have it, when our clock was `now`.
    pub fn sender_at(&self, now: MonoTime) -> i64 {
        self.ticks(now) - self.quickest()
    }

    /// Where `tick` of the sender lies on our clock, in ticks: the place of its sample in a
    /// recording of several senders.
    pub fn local(&self, tick: i64) -> i64 {
        tick + self.quickest()
    }

    fn quickest(&self) -> i64 {
        self.smallest.min(self.smallest_before)
    }

    /// `timestamp` counted on beyond 32 bits.
    pub(crate) fn extend(&self, timestamp: MediaTime) -> i64 {
        self.last
            .map_or(i64::from(timestamp.0), |(last, tick)| tick + i64::from(timestamp.since(last)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ms(at: u64) -> MonoTime {
        MonoTime::default() + Duration::from_millis(at)
    }

    /// 20 ms of speech each, and who hears them stands still for so long in between.
    fn through_a_stall(stall_ms: u64, waited: bool) -> Vec<Arrival> {
        let mut clock = SourceClock::new(8);
        let mut arrivals = Vec::new();
        for n in 0..500_u32 {
            let at = u64::from(n) * 20;
            let (from, to) = (1_000, 1_000 + stall_ms);
            let stands = (from..to).contains(&at);
            let (since, now) = if stands { (from, to) } else { (at, at) };
            let since = if waited { since } else { now };
            arrivals.push(clock.handle_waited(MediaTime(n * 160), ms(since), ms(now)));
        }
        arrivals
    }

    #[test]
    fn what_waited_to_be_read_is_not_taken_for_late_nor_for_a_clock_that_was_set_anew() {
        for stall_ms in [300, 1_500, 5_000] {
            let heard = through_a_stall(stall_ms, true);
            assert!(heard.iter().skip(1).all(|it| it.late == 0 && !it.leapt), "{stall_ms} ms");
        }
        let heard = through_a_stall(1_500, false);
        assert!(heard.iter().skip(1).any(|it| it.leapt), "the network may stall as long, too");
    }

    #[test]
    fn a_clock_that_is_set_anew_while_nobody_reads_is_known_all_the_same() {
        let mut clock = SourceClock::new(8);
        for n in 0..50 {
            clock.handle(MediaTime(n * 160), ms(u64::from(n) * 20));
        }
        let anew = MediaTime(9_000_000);
        assert!(clock.handle_waited(anew, ms(1_000), ms(1_700)).leapt);
    }

    #[test]
    fn our_clock_in_ticks_is_what_one_exact_division_makes_of_it() {
        for per_ms in [8, 16, 48] {
            let clock = SourceClock::new(per_ms);
            let mut now = 1_u64;
            while now < u64::MAX / 3 {
                // Around the edges of milliseconds, too.
                for it in [now, now / NANOS * NANOS, (now / NANOS * NANOS).saturating_sub(1)] {
                    let exact = u128::from(it) * u128::from(per_ms) / u128::from(NANOS);
                    assert_eq!(clock.ticks(MonoTime(it)), i64::try_from(exact).unwrap(), "{it}");
                }
                now = now * 3 / 2 + 124_999;
            }
        }
    }
}
