//! How many new calls are taken when more come than can be served.
//!
//! The measure is how long messages wait: their shortest wait within a step says whether a queue
//! stands or a burst passes. While one stands, new calls are held to a rate that falls as long as
//! the queue grows and rises as soon as it is gone. A machine that stands still for a moment, as
//! virtual ones do, makes a queue as well, but one that shrinks, and callers who are late, but only
//! until it is gone: neither says that the rate is too high (for the same reason RFC 8289 §3 judges
//! a queue by what it does over an interval and by no single wait). Peers that take part in
//! overload control (RFC 7339) are told the same figure as a percentage, and keep calls back
//! themselves.

use std::time::Duration;

use hotline_base::{MonoTime, Now};

/// What counts as too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OverloadConfig {
    /// Messages that wait longer than this, all of them, stand in a queue.
    pub wait_max: Duration,
    /// So many new calls a second are always taken: a machine that only stood still for a moment
    /// must not refuse the few who call.
    pub per_sec_min: u32,
    /// More new calls a second are never taken; `None`: what the machine bears.
    pub per_sec_max: Option<u32>,
}

impl Default for OverloadConfig {
    fn default() -> Self {
        Self { wait_max: Duration::from_millis(40), per_sec_min: 20, per_sec_max: None }
    }
}

impl OverloadConfig {
    /// A new call that has waited so long is late and refused under overload: half of the 200 ms
    /// that a refusal may take, so that a thread that is kept from its processor stays within them.
    pub fn late(&self) -> Duration {
        self.wait_max.saturating_mul(5) / 2
    }
}

/// What a peer is told that takes part in overload control (RFC 7339 §4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reduction {
    /// The part of its requests it is to keep back, in percent.
    pub percent: u8,
    /// For how long; zero: there is no reduction.
    pub validity: Duration,
    /// Later ones have greater numbers; milliseconds since 1970 where the clock allows.
    pub seq: u64,
}

/// Whether a caller's own switch keeps calls back when it is asked to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Upstream {
    /// It sends everything; what is too much is refused.
    Plain,
    /// It has kept its part back already and is refused after the others.
    TakesPart,
}

/// Decides about each new call. Purely by what it is told.
#[derive(Clone, Debug)]
pub struct Overload {
    config: OverloadConfig,
    /// New calls a second that are taken, in thousandths; `None`: all.
    rate: Option<u64>,
    /// The rate at which a queue last began to stand, and when it was cut for that.
    knee: u64,
    cut: MonoTime,
    /// When the next call would come if calls came evenly (GCRA, ITU-T I.371 annex A).
    even: MonoTime,
    /// When the records of those whom media did not take were written if they came evenly.
    full: MonoTime,
    /// When the last step was.
    stepped: MonoTime,
    /// Calls since then: taken, and offered by each kind of upstream.
    n_taken: u64,
    n_plain: u64,
    n_partaking: u64,
    /// And those that were late.
    n_late: u64,
    /// The longest of the shortest waits of the last step.
    waited: Duration,
    /// Steps in a row in which a queue stood and grew.
    n_grown: u32,
    /// The machine stood still, and what has waited for it is not served yet.
    recovers: bool,
    /// The shortest wait for media since the last step.
    media: Option<Duration>,
    /// Calls a second that were taken lately, and that would have come if nobody kept any back, in
    /// thousandths, smoothed: of those that wait behind others, some steps see none.
    taken: u64,
    demand: u64,
    /// Steps in a row in which the rate bound nobody; those do not count in which the machine
    /// [`recovers`](Self::recovers).
    n_easy: u32,
    reduction: Reduction,
}

/// How often the rate may change.
const STEP: Duration = Duration::from_millis(100);

/// How long a reduction is in force (RFC 7339 §4.3: the default).
const VALIDITY: Duration = Duration::from_millis(500);

/// Calls that may come at once under a rate, as time; who keeps calls back gets more of it.
const BURST: Duration = Duration::from_millis(100);
const BURST_OF_PARTAKERS: Duration = Duration::from_millis(300);

/// Of those whom media does not take, so many a second have a record, and so many at once, as time;
/// there are records again when for a second there were fewer.
const PER_RECORD: Duration = Duration::from_millis(20);
const RECORDS_AT_ONCE: Duration = Duration::from_secs(1);
const RECORDS_AGAIN: Duration = Duration::from_secs(2);

/// The work of calls comes after them: a cut shows what it did only then.
const PATIENCE: Duration = Duration::from_millis(800);

/// A step that takes longer, though somebody waits, is one in which the machine stood still.
const STEP_MAX: Duration = Duration::from_millis(125);

/// A queue that grows in so many steps in a row is none that one moment made.
const GROWING_STEPS: u32 = 2;

/// Easy steps after which there is no rate any more.
const EASY_STEPS: u32 = 10;

impl Overload {
    pub fn new(config: OverloadConfig, now: Now) -> Self {
        Self {
            config,
            rate: None,
            knee: 0,
            cut: now.mono,
            even: now.mono,
            full: now.mono,
            stepped: now.mono,
            n_taken: 0,
            n_plain: 0,
            n_partaking: 0,
            n_late: 0,
            waited: Duration::ZERO,
            n_grown: 0,
            recovers: false,
            media: None,
            taken: 0,
            demand: 0,
            n_easy: 0,
            reduction: Reduction {
                percent: 0,
                validity: Duration::ZERO,
                seq: u64::try_from(now.wall.0).unwrap_or(0),
            },
        }
    }

    /// A new call that waited so long for its turn; `has_room`: media would take it. `false`: it is
    /// too much and is to be refused.
    ///
    /// Whom media would not take is let pass, so that he is refused with a record. Only where there
    /// are too many of them or he has waited already he is not: that answer waits for the disk.
    pub fn offer(
        &mut self,
        upstream: Upstream,
        waited: Duration,
        has_room: bool,
        now: MonoTime,
    ) -> bool {
        let burst = match upstream {
            Upstream::Plain => {
                self.n_plain += 1;
                BURST
            }
            Upstream::TakesPart => {
                self.n_partaking += 1;
                BURST_OF_PARTAKERS
            }
        };
        let late = self.rate.is_some() && waited > self.config.late();
        self.n_late += u64::from(late);
        if !has_room {
            let crowded = self.without_room(now);
            if crowded || self.rate.is_some() || waited > self.config.wait_max {
                return false;
            }
        }
        let limit = if late { Some(thousandths(self.config.per_sec_min)) } else { self.limit() };
        if let Some(rate) = limit {
            let step = Duration::from_secs(1_000).checked_div(narrow(rate)).unwrap_or(BURST);
            let even = self.even.max(now);
            if even - now > burst.max(step) {
                return false;
            }
            self.even = even + step;
        }
        self.n_taken += 1;
        true
    }

    /// One more whom media would not take. Whether they are too many for records.
    fn without_room(&mut self, now: MonoTime) -> bool {
        self.full = (self.full.max(now) + PER_RECORD).min(now + RECORDS_AGAIN);
        self.full - now > RECORDS_AT_ONCE
    }

    /// Media took so long to begin a leg.
    pub fn media_took(&mut self, took: Duration) {
        self.media = Some(self.media.map_or(took, |it| it.min(took)));
    }

    /// Media has been at the oldest leg that it was told to begin for so long; counts where it
    /// began none since the last step.
    pub fn media_takes(&mut self, oldest: Duration) {
        self.media.get_or_insert(oldest);
    }

    /// The shortest time that a message waited for its turn since this was last said. Calls for a
    /// step now and then.
    pub fn waited(&mut self, least: Duration, now: Now) {
        let span = now.mono.since(self.stepped);
        if span < STEP {
            return;
        }
        let media = self.media.take().unwrap_or_default();
        let waited = least.max(media);
        let smooth = per_sec(self.n_taken, span);
        self.taken = (self.taken * 7 + smooth) / 8;
        let demand = self.demand(span);
        let stood_still = span > STEP_MAX;
        self.recovers |= stood_still;
        self.adjust(waited, demand, now.mono);
        // Who is late from the next step on has not waited for the machine.
        self.recovers &= stood_still || waited >= self.config.wait_max / 2;
        self.demand = (self.demand * 3 + demand) / 4;
        self.reduce(self.demand, now);
        self.waited = waited;
        self.stepped = now.mono;
        (self.n_taken, self.n_plain, self.n_partaking, self.n_late) = (0, 0, 0, 0);
    }

    /// What peers that take part are told.
    pub const fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// New calls a second that are taken; `None`: all.
    pub fn per_sec(&self) -> Option<u64> {
        self.limit().map(|it| it / 1_000)
    }

    /// Whether more comes than the machine bears: what belongs to calls is to go before new ones.
    pub const fn is_overloaded(&self) -> bool {
        self.rate.is_some()
    }

    fn limit(&self) -> Option<u64> {
        let most = self.config.per_sec_max.map(thousandths);
        [self.rate, most].into_iter().flatten().min()
    }

    /// Calls a second, in thousandths, that would come if nobody kept any back.
    fn demand(&self, span: Duration) -> u64 {
        let share = 100 - u64::from(self.reduction.percent.min(99));
        per_sec(self.n_plain, span).saturating_add(per_sec(self.n_partaking, span) * 100 / share)
    }

    fn adjust(&mut self, waited: Duration, demand: u64, now: MonoTime) {
        let OverloadConfig { wait_max, per_sec_min, .. } = self.config;
        let least = thousandths(per_sec_min);
        let stands = waited > wait_max;
        // A queue that shrinks needs no lower rate, only time.
        let grows = stands && waited >= self.waited && self.waited > wait_max;
        self.n_grown = if grows { self.n_grown + 1 } else { 0 };
        let keeps_growing = self.n_grown >= GROWING_STEPS;
        let Some(rate) = self.rate else {
            if keeps_growing {
                (self.knee, self.cut) = (u64::MAX, now);
                self.rate = Some((self.taken * 8 / 10).max(least));
                self.n_easy = 0;
            }
            return;
        };
        // Whoever is late is refused, so that no queue need stand; the rate is too high all the
        // same.
        let is_late = self.n_late > 0 && !self.recovers;
        let severe = keeps_growing && waited > wait_max.saturating_mul(4);
        let patience = if severe { PATIENCE / 4 } else { PATIENCE };
        let next = if (keeps_growing || is_late) && now.since(self.cut) >= patience {
            (self.knee, self.cut) = (rate, now);
            rate / 100 * if severe { 75 } else { 92 }
        } else if self.n_late == 0 && waited < wait_max / 2 && self.taken >= rate / 4 * 3 {
            // A rate that is not used tells nothing. Else: fast to where it was good, carefully
            // beyond, and the faster the longer that is well.
            let calm = (now.since(self.cut).as_millis() / 300).min(5);
            rate + if rate < self.knee / 10 * 9 { rate / 32 } else { rate / (256 >> calm) }
        } else {
            rate
        };
        let is_easy = !stands && self.n_late == 0 && demand < rate;
        self.n_easy = match is_easy {
            true => self.n_easy + 1,
            false if self.recovers => self.n_easy,
            false => 0,
        };
        self.rate = (self.n_easy < EASY_STEPS).then_some(next.max(least));
    }

    fn reduce(&mut self, demand: u64, now: Now) {
        // Of what the rate lets pass some are refused for being late. Where nobody is, what is
        // taken rises by as much as is asked for here.
        let used = self.rate.map_or(u64::MAX, |_| self.taken / 20 * 21);
        let over = self.limit().map_or(0, |it| demand.saturating_sub(it.min(used)));
        let percent = (over * 100).checked_div(demand).unwrap_or(0);
        // Half way, so that one uneven step does not swing what peers send.
        let percent = (u64::from(self.reduction.percent) + percent).div_ceil(2).min(99);
        let percent = if over == 0 { 0 } else { u8::try_from(percent).unwrap_or(99) };
        let wall = u64::try_from(now.wall.0).unwrap_or(0);
        self.reduction = Reduction {
            percent,
            validity: if percent == 0 { Duration::ZERO } else { VALIDITY },
            // The wall clock may go back.
            seq: wall.max(self.reduction.seq + 1),
        };
    }
}

fn thousandths(per_sec: u32) -> u64 {
    u64::from(per_sec) * 1_000
}

fn per_sec(n: u64, span: Duration) -> u64 {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    n.saturating_mul(1_000_000) / millis
}

fn narrow(rate: u64) -> u32 {
    u32::try_from(rate).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
