//! How busy and how late the worker is, and by that whether it takes another call.

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

/// The busy share, in thousandths, below which there is room: what a leg costs a worker that has
/// hardly any cannot be told, and one that is idle and late waits for other programs, for which
/// fewer calls would do nothing.
const BUSY_FROM: u64 = 200;

/// Of what is due, in thousandths: with more late there is less room for new calls, and from the
/// second on for no more than go. A machine that stood still for a moment is not so late.
const LATE_FROM: u64 = 10;
const LATE_STEADY: u64 = 100;

/// What there is above that, in percent: of legs, for those of new calls that control asked for
/// before it knew better; of a core, for those of calls that were taken.
const SPARE_FOR_NEW: u64 = 7;
const SPARE_FOR_TAKEN: u8 = 10;

/// Shares are in thousandths.
const WHOLE: u64 = 1_000;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    since: MonoTime,
    /// Processor time of the thread at that time.
    cpu: Duration,
    busy: u64,
    /// What its legs cost on the same average, in thousandths of a plain one.
    weight: u64,
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
        let share = u64::try_from(past.as_millis()).unwrap_or(MEMORY_MS).min(MEMORY_MS);
        let average = |was: u64, is: u64| (was * (MEMORY_MS - share) + is * share) / MEMORY_MS;
        self.busy = average(self.busy, spent);
        self.weight = average(self.weight, counters.weight.load(Relaxed) * WHOLE);
        (self.since, self.cpu) = (now, cpu);
        if now.since(self.halved) >= Duration::from_millis(MEMORY_MS) {
            self.halved = now;
            (self.n_due, self.n_late) = (self.n_due / 2, self.n_late / 2);
        }
        let late = if self.n_due < INSTANTS_MIN { 0 } else { self.n_late * WHOLE / self.n_due };
        counters.busy_permille.store(self.busy, Relaxed);
        counters.late_permille.store(late, Relaxed);
        counters.weight_lately.store(self.weight, Relaxed);
        true
    }
}

impl WorkerCounters {
    /// For how many more plain legs of new calls it is free enough, so that it is busy no more than
    /// `busy_max` percent. `None`: it has little to do.
    ///
    /// The share is an average over a second, in which hundreds of legs may come. So it tells what
    /// a leg costs, and by that how many there may be: what came since is counted at once.
    pub(crate) fn room(&self, busy_max: u8) -> Option<u64> {
        let by_load = self.bears(busy_max)?;
        let lately = self.weight_lately.load(Relaxed).min(by_load);
        let late = self.late_permille.load(Relaxed);
        let bears = if late >= LATE_STEADY {
            lately * (WHOLE + LATE_STEADY).saturating_sub(late) / WHOLE
        } else {
            let beyond = late.saturating_sub(LATE_FROM);
            by_load - (by_load - lately) * beyond / (LATE_STEADY - LATE_FROM)
        };
        Some(bears.saturating_sub(self.weight()).div_ceil(WHOLE))
    }

    /// Whether it takes another leg, of a new call or of one that it has.
    pub(crate) fn takes(&self, is_new: bool, busy_max: u8) -> bool {
        let bears = if is_new {
            self.bears(busy_max).map(|it| it * (100 + SPARE_FOR_NEW) / 100)
        } else {
            self.bears(busy_max.saturating_add(SPARE_FOR_TAKEN))
        };
        bears.is_none_or(|it| self.weight() < it)
    }

    /// What it may weigh to be as busy as this, in thousandths of a plain leg.
    fn bears(&self, busy_max: u8) -> Option<u64> {
        let (busy, busy_max) = (self.busy_permille.load(Relaxed), u64::from(busy_max) * 10);
        // What a worker said that has no leg may be long ago.
        let idle = self.weight() == 0 || busy < BUSY_FROM.min(busy_max);
        (!idle).then(|| self.weight_lately.load(Relaxed) * busy_max / busy.max(1))
    }

    /// Of its legs now, in thousandths of a plain one.
    fn weight(&self) -> u64 {
        self.weight.load(Relaxed) * WHOLE
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

    /// Three times the calls that it bears come, each for half a second to one and a half.
    #[test]
    fn a_worker_with_too_much_to_do_takes_calls_evenly_and_as_many_as_its_share_allows() {
        const STEP: Duration = Duration::from_millis(10);
        const SECS: usize = 30;
        let (mut meter, counters) = (Meter::default(), WorkerCounters::default());
        let mut ends = vec![0; SECS * 100 + 150];
        let (mut weight, mut taken, mut busy, mut cpu) = (0, vec![], vec![], Duration::ZERO);
        for step in 0..SECS * 100 {
            weight -= ends[step];
            counters.weight.store(weight, Relaxed);
            let mut n_taken = 0;
            for call in 0..20 {
                if counters.room(70) != Some(0) {
                    ends[step + 50 + (step * 7 + call * 31) % 100] += 1;
                    (weight, n_taken) = (weight + 1, n_taken + 1);
                    counters.weight.store(weight, Relaxed);
                }
            }
            taken.push(n_taken);
            // A twentieth of a core for nothing, and a thousandth for each leg.
            let spent = (50 + weight).min(WHOLE);
            cpu += STEP * u32::try_from(spent).unwrap() / 1_000;
            meter.publish(MonoTime(0) + STEP * u32::try_from(step).unwrap(), || cpu, &counters);
            busy.push(spent);
        }
        let settled = 5 * 100;
        assert!(busy[settled..].iter().all(|it| (670..=730).contains(it)), "{busy:?}");
        let halves: Vec<u64> = taken[settled..].chunks(50).map(|it| it.iter().sum()).collect();
        // 650 legs of a second each: 325 come in half a second.
        assert!(halves.iter().all(|it| (275..=375).contains(it)), "{halves:?}");
    }

    #[test]
    fn a_worker_that_is_late_has_less_room_and_from_one_in_ten_on_for_fewer_than_go() {
        let counters = WorkerCounters::default();
        counters.busy_permille.store(500, Relaxed);
        counters.weight.store(1, Relaxed);
        counters.weight_lately.store(100 * WHOLE, Relaxed);
        let legs = |late| {
            counters.late_permille.store(late, Relaxed);
            1 + counters.room(70).unwrap()
        };
        // 100 legs are half of a core, and 140 are 70 %.
        let late = [0, 10, 55, 99, 100, 150, 600, 1_000];
        assert_eq!(late.map(legs), [140, 140, 120, 101, 100, 95, 50, 10]);
        // Whoever comes though there is none is measured by the load alone.
        let takes = |weight, is_new| {
            counters.weight.store(weight, Relaxed);
            counters.takes(is_new, 70)
        };
        assert_eq!([149, 150].map(|it| takes(it, true)), [true, false]);
        assert_eq!([159, 160].map(|it| takes(it, false)), [true, false]);
    }

    #[test]
    fn a_worker_with_little_to_do_and_one_without_a_leg_have_room() {
        let counters = WorkerCounters::default();
        counters.weight_lately.store(WHOLE, Relaxed);
        for (busy, weight, room) in [(199, 9, None), (200, 9, Some(0)), (900, 0, None)] {
            counters.busy_permille.store(busy, Relaxed);
            counters.weight.store(weight, Relaxed);
            assert_eq!(counters.room(70), room, "{busy} with {weight}");
            assert_eq!(counters.takes(true, 70), room.is_none());
        }
    }
}
