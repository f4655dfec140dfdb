//! How busy and how late the worker is: what decides whether it takes another call.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use hotline_base::MonoTime;

use crate::counters::WorkerCounters;

/// How often the thread's processor time is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// The busy share is an average that forgets within this time.
const MEMORY_MS: u64 = 1_000;

/// What comes later than this after its time is late.
const LATE: Duration = Duration::from_millis(5);

/// A round that comes so late has been missed: people hear that.
const MISSED: Duration = Duration::from_millis(40);

/// Fewer than so many instants tell nothing about one in a hundred.
const INSTANTS_MIN: u64 = 50;

/// Shares are in thousandths.
const WHOLE: u64 = 1_000;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    since: MonoTime,
    /// Processor time of the thread at that time.
    cpu: Duration,
    busy: u64,
    /// Instants at which something was due, those that were late, and when both were halved.
    n_due: u64,
    n_late: u64,
    halved: MonoTime,
}

/// What is left out to save time; recordings and speech never are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Shedding {
    /// RTCP to peers.
    pub(super) reports: bool,
    /// Of conferences: everybody is mixed, whether he talks or not.
    pub(super) voice_activity: bool,
}

impl Shedding {
    /// One after the other, each until the worker is a good deal less busy.
    pub(super) const fn under(self, busy_percent: u32) -> Self {
        Self {
            reports: is_shed(self.reports, busy_percent, 80),
            voice_activity: is_shed(self.voice_activity, busy_percent, 85),
        }
    }
}

/// Whether something is left out from this share on; once it is, down to 10 % less.
const fn is_shed(was: bool, busy_percent: u32, from: u32) -> bool {
    busy_percent >= if was { from - 10 } else { from }
}

impl Meter {
    /// Something was due and is done so much later. Whether that is a round that was missed.
    pub(super) fn due(&mut self, late: Duration, counters: &WorkerCounters) -> bool {
        self.n_due += 1;
        self.n_late += u64::from(late >= LATE);
        if late >= MISSED {
            crate::counters::count(&counters.rounds_missed);
        }
        late >= MISSED
    }

    /// The busy share, in percent.
    pub(super) fn busy_percent(&self) -> u32 {
        u32::try_from(self.busy / 10).unwrap_or(100)
    }

    /// Publishes both shares now and then, and says when it did. `cpu` is the processor time of the
    /// thread so far.
    pub(super) fn publish(
        &mut self,
        now: MonoTime,
        cpu: impl FnOnce() -> Duration,
        counters: &WorkerCounters,
    ) -> bool {
        let past = now.since(self.since);
        if past < EVERY {
            return false;
        }
        let cpu = cpu();
        let spent = thousandths(cpu.saturating_sub(self.cpu), past).min(WHOLE);
        let weight = u64::try_from(past.as_millis()).unwrap_or(MEMORY_MS).min(MEMORY_MS);
        self.busy = (self.busy * (MEMORY_MS - weight) + spent * weight) / MEMORY_MS;
        (self.since, self.cpu) = (now, cpu);
        if now.since(self.halved) >= Duration::from_millis(MEMORY_MS) {
            self.halved = now;
            (self.n_due, self.n_late) = (self.n_due / 2, self.n_late / 2);
        }
        let late = if self.n_due < INSTANTS_MIN { 0 } else { self.n_late * WHOLE / self.n_due };
        counters.busy_permille.store(self.busy, Relaxed);
        counters.late_permille.store(late, Relaxed);
        true
    }
}

fn thousandths(part: Duration, of: Duration) -> u64 {
    let of = of.as_micros().max(1);
    u64::try_from(part.as_micros() * u128::from(WHOLE) / of).unwrap_or(WHOLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many tenths of a second with this share of them spent.
    fn spend(meter: &mut Meter, counters: &WorkerCounters, tenths: u64, permille: u32) -> u64 {
        for _ in 0..tenths {
            let cpu = meter.cpu + EVERY * permille / 1_000;
            meter.publish(meter.since + EVERY, || cpu, counters);
        }
        counters.busy_permille.load(Relaxed)
    }

    #[test]
    fn reports_are_left_out_first_then_who_talks_and_both_come_back_later_than_they_went() {
        let mut it = Shedding::default();
        let busy = [79, 80, 84, 85, 76, 75, 74, 71, 70, 69, 79];
        let shed = busy.map(|busy| {
            it = it.under(busy);
            usize::from(it.reports) + usize::from(it.voice_activity)
        });
        assert_eq!(shed, [0, 1, 1, 2, 2, 2, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn the_busy_share_follows_the_processor_time_within_a_few_seconds() {
        let (mut meter, counters) = (Meter::default(), WorkerCounters::default());
        assert!((790..=800).contains(&spend(&mut meter, &counters, 50, 800)));
        assert!(spend(&mut meter, &counters, 5, 0) > 400, "a moment of rest is no rest");
        assert!(spend(&mut meter, &counters, 50, 100) < 120);
    }

    #[test]
    fn a_worker_that_slept_knows_at_once_that_it_rested() {
        let (mut meter, counters) = (Meter::default(), WorkerCounters::default());
        spend(&mut meter, &counters, 50, 900);
        let cpu = meter.cpu;
        meter.publish(meter.since + Duration::from_mins(1), || cpu, &counters);
        assert_eq!(counters.busy_permille.load(Relaxed), 0);
    }

    #[test]
    fn one_late_instant_in_twenty_is_seen_and_forgotten() {
        let (mut meter, counters) = (Meter::default(), WorkerCounters::default());
        for n in 0..200_u64 {
            let late = if n % 20 == 0 { Duration::from_millis(50) } else { Duration::ZERO };
            meter.due(late, &counters);
        }
        spend(&mut meter, &counters, 1, 0);
        assert_eq!(counters.late_permille.load(Relaxed), 50);
        assert_eq!(counters.rounds_missed.load(Relaxed), 10);
        spend(&mut meter, &counters, 100, 0);
        assert_eq!(counters.late_permille.load(Relaxed), 0);
    }
}
