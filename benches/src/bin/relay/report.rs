//! What is printed: every run, the ratio of every round, and whether the figures may be used.

use std::time::Duration;

use hotline_benches::{median, quantile, spread};

use crate::{Run, With, cpu::Usage};

pub(crate) const HEADINGS: &str = "          us/packet  generator    sent delivered  lost  doubled  reordered \
                        delay us p50    p99  p99.9  switches/pkt  calls/pkt  allocs/pkt  late us";

/// Rounds whose two runs of the yardstick differ by more are not judged.
pub(crate) const SPREAD_MAX: f64 = 0.15;

/// A thread that takes less of a packet, in microseconds, is not named.
const THREAD_MIN: f64 = 0.01;

#[derive(Debug)]
pub(crate) struct Report {
    rounds: Vec<Round>,
    /// Calls of the last round, and the most that the engine held for them, outside and in the kernel.
    held: (usize, u64, u64),
}

#[derive(Clone, Copy, Debug)]
struct Round {
    calls: usize,
    ratio: f64,
    raw: [f64; 2],
    engine: [f64; 2],
    /// What was wrong with one of its runs.
    amiss: Option<&'static str>,
}

impl Round {
    /// Why it does not count, if so.
    fn flaw(&self) -> Option<&'static str> {
        flaw(self.amiss, self.raw)
    }
}

/// Why a figure beside two runs of the yardstick does not count, if so; `amiss` is what was wrong
/// with one of the runs.
pub(crate) fn flaw(amiss: Option<&'static str>, raw: [f64; 2]) -> Option<&'static str> {
    let moved = "the yardstick's two runs lie more than 15 % apart";
    amiss.or_else(|| (apart(raw) > SPREAD_MAX).then_some(moved))
}

/// How far two figures lie apart, as a part of what is between them.
pub(crate) fn apart([a, b]: [f64; 2]) -> f64 {
    (a - b).abs() / f64::midpoint(a, b)
}

impl Report {
    pub(crate) fn new(real_time: bool, with: With) -> Self {
        let With { record, srtp, intake, parties, workers, cores } = with;
        println!("{}", hotline_benches::machine());
        println!("schedule  {}", if real_time { "SCHED_FIFO" } else { "normal (refused)" });
        println!("parties   {parties} a call");
        println!("recorded  {}", if record { "every call" } else { "no" });
        println!("protected {}", if srtp { "one leg of each call" } else { "no" });
        println!("intake    {intake}");
        println!("workers   {workers}, cores {cores}");
        Self { rounds: Vec::new(), held: (0, 0, 0) }
    }

    /// `runs`: raw, engine, engine, raw.
    pub(crate) fn round(&mut self, calls: usize, round: usize, runs: [Run; 4]) {
        println!("\n{calls} calls, round {}; load {}", round + 1, hotline_benches::load());
        println!("{HEADINGS}");
        for (name, run) in ["raw", "engine", "engine", "raw"].into_iter().zip(&runs) {
            row(name, run);
        }
        let [a, b, c, d] = runs.each_ref().map(Run::cost);
        let amiss = runs.iter().find_map(Run::amiss);
        let ratio = (b + c) / (a + d);
        let round = Round { calls, ratio, raw: [a, d], engine: [b, c], amiss };
        let flaw = round.flaw().map(|it| format!(", which does not count: {it}"));
        println!("  ratio {ratio:.2}{}", flaw.unwrap_or_default());
        self.rounds.push(round);
        let [_, second, third, _] = runs;
        self.held = (calls, second.resident.max(third.resident), second.kernel.max(third.kernel));
    }

    /// The same round against the forwarder on a tick.
    pub(crate) fn ticked(&self, ticked: [Run; 2], engines: &[Run; 2]) {
        for run in &ticked {
            row("ticked", run);
        }
        let sum = |runs: &[Run; 2]| runs.iter().map(Run::cost).sum::<f64>();
        let ratio = sum(engines) / sum(&ticked);
        println!("  ratio to the ticked forwarder {ratio:.2}, round {}", self.rounds.len());
    }

    /// What a call of the last load point holds, beyond an engine without calls.
    pub(crate) fn memory(&self, resident: u64, kernel: u64) {
        let (calls, most, of_kernel) = self.held;
        let each = |n: u64| n as f64 / 1_024.0 / calls.max(1) as f64;
        println!(
            "memory: {:.1} KiB a call of its own, {:.1} KiB of the kernel's ({calls} calls)",
            each(most.saturating_sub(resident)),
            each(of_kernel.saturating_sub(kernel)),
        );
    }

    /// The median ratio of a load point, if it may be used: when half of its rounds count.
    pub(crate) fn judge(&self, calls: usize) -> Option<f64> {
        let all: Vec<_> = self.rounds.iter().filter(|it| it.calls == calls).collect();
        let rounds: Vec<_> = all.iter().filter(|it| it.flaw().is_none()).collect();
        let ratios: Vec<_> = rounds.iter().map(|it| it.ratio).collect();
        let most = |of: fn(&Round) -> [f64; 2]| {
            rounds.iter().map(|it| apart(of(it))).fold(0.0, f64::max) * 100.0
        };
        println!(
            "\n== {calls} calls: ratio {} in {} of {} rounds; A/A spread raw {:.0} %, engine {:.0} %",
            spread(&ratios, 2),
            rounds.len(),
            all.len(),
            most(|it| it.raw),
            most(|it| it.engine),
        );
        if rounds.is_empty() || rounds.len() * 2 < all.len() {
            println!("   not judged: too few rounds count");
            return None;
        }
        median(ratios)
    }

    pub(crate) fn idle(&self, usage: Usage, window: Duration) {
        let share = usage.cpu_ns as f64 / window.as_nanos() as f64;
        println!(
            "\nidle: {:.3} % of a core with 0 calls, after {} rounds",
            share * 100.0,
            self.rounds.len()
        );
    }
}

pub(crate) fn row(name: &str, run: &Run) {
    let seen = &run.seen;
    let delay = |per_mille| quantile(&seen.delays, per_mille).unwrap_or(0);
    let packets = seen.delivered.max(1) as f64;
    println!(
        "  {name:<7} {:>9.2} {:>10.2} {:>7} {:>9} {:>5} {:>8} {:>10} {:>12} {:>6} {:>6} {:>13.3} \
         {:>10} {:>11} {:>8}",
        run.cost(),
        run.generator.cpu_ns as f64 / 1_000.0 / packets,
        seen.sent,
        seen.delivered,
        run.lost(),
        seen.doubled,
        seen.reordered,
        delay(500),
        delay(990),
        delay(999),
        run.relay.voluntary_switches as f64 / packets,
        run.system_calls().map_or_else(|| "-".to_owned(), |it| format!("{it:.3}")),
        run.allocations().map_or_else(|| "-".to_owned(), |it| format!("{it:.5}")),
        seen.late_max,
    );
    let each = run.relay.threads.iter().map(|(name, ns)| (name, *ns as f64 / 1_000.0 / packets));
    let each: Vec<_> =
        each.filter(|it| it.1 >= THREAD_MIN).map(|(name, us)| format!("{name} {us:.2}")).collect();
    if each.len() > 1 {
        println!("          of which {}", each.join(", "));
    }
}
