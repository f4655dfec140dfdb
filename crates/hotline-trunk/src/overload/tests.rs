//! A server that is modelled by its queue: what callers get of it at three times what it bears.

use std::collections::BTreeMap;

use hotline_base::WallTime;

use super::*;
use crate::{Backlog, Rank};

/// Work of a call, as microseconds and when: its INVITE, and what cannot be refused later.
const WORK: [(u64, u64); 4] = [(700, 0), (300, 60_000), (400, 1_000_000), (400, 1_600_000)];

/// Of a refusal, and of its ACK.
const REFUSAL: [u64; 2] = [30, 10];

/// How finely time goes on.
const STEP_US: u64 = 100;

/// Of all of a call, and the calls a second that it allows.
const CALL: u64 = 700 + 300 + 400 + 400;
const CAPACITY: u64 = 1_000_000 / CALL;

#[derive(Clone, Copy)]
enum Work {
    Invite,
    Later(usize),
    RefusalAck,
}

/// One server that takes its messages as the control thread does.
struct Server {
    overload: Overload,
    now: u64,
    free: u64,
    backlog: Backlog<(u64, Work)>,
    later: BTreeMap<(u64, u64), Work>,
    n: u64,
    refusal: [u64; 2],
    /// How often it stands still, and for how long.
    stall_every: u64,
    stall: u64,
    /// The shortest waits of calls and of others.
    least: [Option<u64>; 2],
    told: u64,
    seen: Seen,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    taken: u64,
    refused: u64,
    done: u64,
    /// The longest that a refused caller, one who was taken, and a call in progress waited, in
    /// microseconds.
    refusal: u64,
    set_up: u64,
    progress: u64,
}

fn at(micros: u64) -> Now {
    let wall = i64::try_from(1_700_000_000_000 + micros / 1_000).unwrap();
    Now { mono: MonoTime(micros * 1_000), wall: WallTime(wall) }
}

impl Server {
    fn new(config: OverloadConfig) -> Self {
        Self {
            overload: Overload::new(config, at(0)),
            now: 0,
            free: 0,
            backlog: Backlog::new(config.late()),
            later: BTreeMap::new(),
            n: 0,
            refusal: REFUSAL,
            stall_every: 1_000_000,
            stall: 0,
            least: [None; 2],
            told: 0,
            seen: Seen::default(),
        }
    }

    fn serve(&mut self, upstream: Upstream) {
        while self.free <= self.now
            && let Some((came, work)) = self.backlog.pop(at(self.now).mono)
        {
            // What came within this step of the model had been there for some of it.
            let begins = self.free.max(self.now - STEP_US);
            let waited = begins.saturating_sub(came);
            let is_call = matches!(work, Work::Invite);
            let least = &mut self.least[usize::from(!is_call)];
            *least = Some(least.map_or(waited, |it| it.min(waited)));
            self.free = begins + self.work(work, waited, begins, upstream);
            if begins - self.told >= 100_000 {
                self.told = begins;
                let [calls, others] = std::mem::take(&mut self.least);
                let oldest = self.backlog.oldest_call(at(begins).mono);
                let calls = calls.map_or(oldest, Duration::from_micros);
                let least = calls.max(Duration::from_micros(others.unwrap_or(0)));
                self.overload.waited(least, at(begins));
                self.backlog.let_calls_wait(self.overload.is_overloaded());
            }
        }
    }

    /// Does it, and what it cost.
    fn work(&mut self, work: Work, waited: u64, now: u64, upstream: Upstream) -> u64 {
        match work {
            Work::Invite if self.offer(upstream, waited, now) => {
                self.seen.taken += 1;
                self.seen.set_up = self.seen.set_up.max(waited);
                for (n, (_, after)) in WORK.iter().enumerate().skip(1) {
                    self.will(now + after, Work::Later(n));
                }
                WORK[0].0
            }
            Work::Invite => {
                self.seen.refused += 1;
                self.seen.refusal = self.seen.refusal.max(waited);
                self.will(now + 1_000, Work::RefusalAck);
                self.refusal[0]
            }
            Work::Later(n) => {
                self.seen.progress = self.seen.progress.max(waited);
                self.seen.done += u64::from(n + 1 == WORK.len());
                WORK[n].0
            }
            Work::RefusalAck => self.refusal[1],
        }
    }

    fn will(&mut self, at: u64, work: Work) {
        self.n += 1;
        self.later.insert((at, self.n), work);
    }

    fn offer(&mut self, upstream: Upstream, waited: u64, now: u64) -> bool {
        self.overload.offer(upstream, Duration::from_micros(waited), true, at(now).mono)
    }

    /// What there is time for in a second of calls at three times the capacity, with refusals of
    /// the rest.
    fn bears_at_three_times(&self) -> u64 {
        let refused: u64 = self.refusal.iter().sum();
        let stalls = self.stall * 1_000_000 / self.stall_every;
        (1_000_000 - stalls - 3 * CAPACITY * refused) / (CALL - refused)
    }

    /// Calls at this rate for so many seconds, and what was seen in them.
    fn run(&mut self, per_sec: u64, secs: u64, upstream: Upstream) -> Seen {
        self.seen = Seen::default();
        let end = self.now + secs * 1_000_000;
        let mut sum = 0;
        while self.now < end {
            self.now += STEP_US;
            if self.now.is_multiple_of(self.stall_every) {
                self.free = self.free.max(self.now) + self.stall;
            }
            while let Some(first) = self.later.first_entry().filter(|it| it.key().0 <= self.now) {
                let ((came, _), work) = first.remove_entry();
                self.backlog.push(Rank::First, at(came).mono, (came, work));
            }
            let kept_back = match upstream {
                Upstream::Plain => 0,
                Upstream::TakesPart => u64::from(self.overload.reduction().percent),
            };
            sum += per_sec * (100 - kept_back);
            while sum >= 1_000_000 {
                sum -= 1_000_000;
                self.backlog.push(Rank::NewCall, at(self.now).mono, (self.now, Work::Invite));
            }
            self.serve(upstream);
        }
        self.seen
    }
}

#[test]
fn at_three_times_the_load_nine_in_ten_of_the_rated_calls_complete_and_the_rest_is_told_at_once() {
    let mut it = Server::new(OverloadConfig::default());
    let before = it.run(CAPACITY * 8 / 10, 10, Upstream::Plain);
    assert_eq!(before.refused, 0, "{before:?}");
    it.run(CAPACITY * 3, 2, Upstream::Plain);
    let during = it.run(CAPACITY * 3, 120, Upstream::Plain);
    assert!(during.done >= CAPACITY * 120 * 9 / 10, "{during:?} of {}", CAPACITY * 120);
    assert!(during.refusal <= 110_000, "{during:?}");
    assert!(during.set_up <= 110_000, "{during:?}");
    assert!(during.progress <= 30_000, "calls wait, and what belongs to one does not: {during:?}");
    it.run(CAPACITY * 8 / 10, 5, Upstream::Plain);
    let after = it.run(CAPACITY * 8 / 10, 10, Upstream::Plain);
    assert_eq!((after.refused, it.overload.per_sec()), (0, None), "{after:?}");
    assert!(after.progress <= 10_000, "{after:?}");
}

#[test]
fn refusals_that_are_dear_cost_the_calls_their_time_and_no_more() {
    let mut it = Server::new(OverloadConfig::default());
    // 7 % of a call: what the real program was seen to need.
    it.refusal = [100, 26];
    let left = it.bears_at_three_times();
    it.run(CAPACITY * 3, 5, Upstream::Plain);
    let during = it.run(CAPACITY * 3, 60, Upstream::Plain);
    assert!(during.done >= left * 60 * 95 / 100, "{during:?} of {}", left * 60);
    assert!(during.refusal <= 110_000 && during.progress <= 30_000, "{during:?}");
}

#[test]
fn server_that_is_kept_from_its_work_now_and_then_still_refuses_in_time() {
    let mut it = Server::new(OverloadConfig::default());
    it.run(CAPACITY * 3, 5, Upstream::Plain);
    for _ in 0..100 {
        it.free = it.free.max(it.now) + 50_000;
        let during = it.run(CAPACITY * 3, 1, Upstream::Plain);
        assert!(during.refusal <= 200_000 && during.progress <= 100_000, "{during:?}");
    }
    it.run(CAPACITY * 8 / 10, 5, Upstream::Plain);
    let after = it.run(CAPACITY * 8 / 10, 10, Upstream::Plain);
    assert_eq!((after.refused, it.overload.per_sec()), (0, None), "{after:?}");
}

/// What a virtual machine does, and nobody is to blame for. 200 ms a second leave just the time
/// that 0.8 times the capacity takes. 1.037 s: no step of anything meets the same moment of it each
/// time.
#[test]
fn machine_that_stands_still_once_a_second_turns_away_only_what_there_is_no_time_for() {
    for (millis, stall_every) in
        [(50, 1_037_000), (100, 1_000_000), (130, 1_000_000), (170, 1_037_000), (200, 1_000_000)]
    {
        let stall = millis * 1_000;
        let mut it = Server { stall_every, stall, ..Server::new(OverloadConfig::default()) };
        let before = it.run(CAPACITY * 8 / 10, 20, Upstream::Plain);
        assert_eq!(before.refused, 0, "{stall}: {before:?}");
        it.run(CAPACITY * 3, 5, Upstream::Plain);
        let during = it.run(CAPACITY * 3, 30, Upstream::Plain);
        let left = it.bears_at_three_times();
        assert!(during.done >= left * 30 * 9 / 10, "{stall}: {during:?} of {}", left * 30);
        assert!(during.refusal <= 200_000 + stall, "{stall}: {during:?}");
        assert!(during.progress <= 30_000 + stall, "{stall}: {during:?}");
        it.run(CAPACITY * 8 / 10, 5, Upstream::Plain);
        let after = it.run(CAPACITY * 8 / 10, 10, Upstream::Plain);
        assert_eq!((after.refused, it.overload.per_sec()), (0, None), "{stall}: {after:?}");
    }
}

#[test]
fn first_seconds_of_a_sudden_overload_keep_callers_waiting_briefly() {
    let mut it = Server::new(OverloadConfig::default());
    let onset = it.run(CAPACITY * 3, 3, Upstream::Plain);
    assert!(onset.refusal <= 200_000, "{onset:?}");
    assert!(onset.progress <= 200_000, "{onset:?}");
}

#[test]
fn upstream_that_takes_part_keeps_the_calls_back_that_others_have_refused() {
    let mut it = Server::new(OverloadConfig::default());
    it.run(CAPACITY * 3, 10, Upstream::TakesPart);
    let during = it.run(CAPACITY * 3, 60, Upstream::TakesPart);
    assert!(during.done >= CAPACITY * 60 * 9 / 10, "{during:?} of {}", CAPACITY * 60);
    assert!(during.refused * 10 <= during.taken, "{during:?}");
    let told = it.overload.reduction();
    assert!((50..=80).contains(&told.percent), "{told:?}");
    assert_eq!(told.validity, Duration::from_millis(500));
    it.run(CAPACITY / 2, 5, Upstream::TakesPart);
    let after = it.overload.reduction();
    assert_eq!((after.percent, after.validity), (0, Duration::ZERO));
    assert!(after.seq > told.seq);
}

#[test]
fn machine_that_stood_still_for_a_moment_refuses_nobody_of_the_few_who_call() {
    let mut it = Overload::new(OverloadConfig::default(), at(0));
    for tenth in 1..100 {
        let now = at(tenth * 100_000);
        it.waited(Duration::from_secs(2), now);
        assert!(
            it.offer(Upstream::Plain, Duration::ZERO, true, now.mono)
                && it.offer(Upstream::Plain, Duration::ZERO, true, now.mono)
        );
    }
    assert_eq!(it.per_sec(), Some(20));
}

#[test]
fn calls_that_media_takes_long_to_begin_are_too_many_as_well() {
    let mut it = Overload::new(OverloadConfig::default(), at(0));
    let mut n_refused = 0;
    for tenth in 1..50 {
        let now = at(tenth * 100_000);
        it.media_took(Duration::from_millis(300));
        it.waited(Duration::ZERO, now);
        n_refused +=
            (0..50).filter(|_| !it.offer(Upstream::Plain, Duration::ZERO, true, now.mono)).count();
    }
    assert!(n_refused > 1_000, "{n_refused}");
}

/// Its queue is none of messages, and nobody in it is late.
#[test]
fn media_that_falls_behind_is_given_what_it_bears_and_little_waits_for_it() {
    const BEARS: u64 = 500;
    let mut it = Overload::new(OverloadConfig::default(), at(0));
    let (mut waiting, mut n_begun, mut longest) = (0_u64, 0_u64, 0_u64);
    for millis in 1..=30_000 {
        let now = at(millis * 1_000);
        let n_calls = millis * 3 * BEARS / 1_000 - (millis - 1) * 3 * BEARS / 1_000;
        for _ in 0..n_calls {
            waiting += u64::from(it.offer(Upstream::Plain, Duration::ZERO, true, now.mono));
        }
        if millis.is_multiple_of(1_000 / BEARS) && waiting > 0 {
            waiting -= 1;
            n_begun += 1;
            it.media_took(Duration::from_millis(waiting * 1_000 / BEARS));
        }
        it.waited(Duration::ZERO, now);
        let is_steady = millis > 5_000;
        longest = if is_steady { longest.max(waiting * 1_000 / BEARS) } else { 0 };
    }
    assert!(n_begun >= BEARS * 30 * 9 / 10, "{n_begun}");
    assert!(longest <= 300, "{longest} ms");
}

#[test]
fn rated_figure_of_the_operator_holds_though_nothing_waits() {
    let config = OverloadConfig { per_sec_max: Some(100), ..OverloadConfig::default() };
    let mut it = Server::new(config);
    let seen = it.run(300, 20, Upstream::Plain);
    assert!((1_980..=2_020).contains(&seen.taken), "{seen:?}");
    let seen = it.run(90, 20, Upstream::Plain);
    assert_eq!(seen.refused, 0, "{seen:?}");
}

#[test]
fn number_of_a_figure_grows_though_the_wall_clock_goes_back() {
    let mut it = Overload::new(OverloadConfig::default(), at(0));
    it.waited(Duration::ZERO, at(200_000));
    let seq = it.reduction().seq;
    assert_eq!(seq, 1_700_000_000_200);
    it.waited(Duration::ZERO, Now { wall: WallTime(0), ..at(400_000) });
    assert_eq!(it.reduction().seq, seq + 1);
}

#[test]
fn call_that_waited_long_already_is_one_too_many() {
    let mut it = Overload::new(OverloadConfig::default(), at(0));
    let long = Duration::from_millis(150);
    assert!(it.offer(Upstream::Plain, long, true, at(0).mono), "nothing is known to be too much");
    it.rate = Some(thousandths(1_000));
    let taken = |it: &mut Overload, waited, now: u64| {
        (0..50).filter(|_| it.offer(Upstream::Plain, waited, true, at(now).mono)).count()
    };
    assert_eq!(taken(&mut it, Duration::from_millis(100), 1_000_000), 50);
    // So many are always taken.
    let few = taken(&mut it, long, 2_000_000);
    assert!((1..=3).contains(&few), "{few}");
}

#[test]
fn whom_media_does_not_take_is_let_pass_to_his_record_unless_these_are_many_or_he_is_late() {
    let mut it = Overload::new(OverloadConfig::default(), at(0));
    let offer = |it: &mut Overload, waited: u64, millis: u64| {
        it.offer(Upstream::Plain, Duration::from_millis(waited), false, at(millis * 1_000).mono)
    };
    // Forty a second for ten seconds, all of them.
    let few = (0..400).filter(|n| offer(&mut it, 0, n * 25)).count();
    assert_eq!((few, offer(&mut it, 40, 10_000), offer(&mut it, 41, 10_025)), (400, true, false));
    // A thousand a second from 20 s on.
    let many = (0..5_000).filter(|n| offer(&mut it, 0, 20_000 + n)).count();
    assert!((50..=53).contains(&many), "{many}");
    assert!(!offer(&mut it, 0, 25_900), "not yet again");
    assert!(offer(&mut it, 0, 27_100));
    // Under overload nobody, and none of them says that the rate is used.
    it.rate = Some(thousandths(1_000));
    it.n_taken = 0;
    assert!(!offer(&mut it, 0, 60_000));
    assert_eq!(it.n_taken, 0);
}

#[test]
fn machine_that_stood_still_once_under_load_refuses_nobody() {
    let mut it = Server::new(OverloadConfig::default());
    it.run(CAPACITY * 8 / 10, 10, Upstream::Plain);
    it.free = it.now + 400_000;
    let after = it.run(CAPACITY * 8 / 10, 10, Upstream::Plain);
    assert_eq!((after.refused, it.overload.per_sec()), (0, None), "{after:?}");
}

#[test]
fn rate_that_fell_to_a_trickle_refuses_nobody_after_seven_seconds() {
    let mut it = Server::new(OverloadConfig::default());
    it.run(CAPACITY * 8 / 10, 10, Upstream::Plain);
    it.overload.rate = Some(thousandths(25));
    it.overload.knee = thousandths(25);
    it.overload.cut = at(it.now).mono;
    it.run(CAPACITY * 8 / 10, 7, Upstream::Plain);
    let after = it.run(CAPACITY * 8 / 10, 10, Upstream::Plain);
    assert_eq!((after.refused, it.overload.per_sec()), (0, None), "{after:?}");
}

#[test]
fn rate_that_was_brought_down_for_nothing_is_gone_after_five_seconds() {
    let mut it = Server::new(OverloadConfig::default());
    it.run(CAPACITY * 8 / 10, 10, Upstream::Plain);
    it.overload.rate = Some(CAPACITY * 1_000 / 4);
    it.overload.knee = CAPACITY * 1_000 / 3;
    it.overload.cut = at(it.now).mono;
    it.run(CAPACITY * 8 / 10, 5, Upstream::Plain);
    let after = it.run(CAPACITY * 8 / 10, 10, Upstream::Plain);
    assert_eq!((after.refused, it.overload.per_sec()), (0, None), "{after:?}");
}
