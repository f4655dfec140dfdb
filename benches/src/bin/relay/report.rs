//! What is printed: every run, the ratio of every round, and whether the figures may be used.

#![expect(clippy::cast_precision_loss, reason = "figures of three digits")]

use std::time::Duration;

use crate::{Run, With, cpu::Usage};

const HEADINGS: &str = "          us/packet  generator    sent delivered  lost  doubled  reordered \
                        delay us p50    p99  p99.9  switches/pkt  calls/pkt  late us";

/// Rounds whose two runs of the yardstick differ by more are not judged.
const SPREAD_MAX: f64 = 0.15;

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
    lost: u64,
    /// The generator sent what it was to send.
    paced: bool,
}

impl Report {
    pub(crate) fn new(real_time: bool, With { record, srtp, intake, parties }: With) -> Self {
        println!("{}", hotline_benches::machine());
        println!("schedule  {}", if real_time { "SCHED_FIFO" } else { "normal (refused)" });
        println!("parties   {parties} a call");
        println!("recorded  {}", if record { "every call" } else { "no" });
        println!("protected {}", if srtp { "one leg of each call" } else { "no" });
        println!("intake    {intake}");
        Self { rounds: Vec::new(), held: (0, 0, 0) }
    }

    /// `runs`: raw, engine, engine, raw.
    pub(crate) fn round(&mut self, calls: usize, round: usize, runs: [Run; 4]) {
        println!("\n{calls} calls, round {}; load {}", round + 1, hotline_benches::load());
        println!("{HEADINGS}");
        for (name, run) in ["raw", "engine", "engine", "raw"].into_iter().zip(&runs) {
            row(name, run);
        }
        let [a, b, c, d] = runs.each_ref().map(cost);
        let lost = runs.iter().map(lost).sum();
        let paced = runs.iter().all(|it| it.seen.sent * 100 >= it.seen.asked * 98);
        let ratio = (b + c) / (a + d);
        println!("  ratio {ratio:.2}");
        self.rounds.push(Round { calls, ratio, raw: [a, d], engine: [b, c], lost, paced });
        let [_, second, third, _] = runs;
        self.held = (calls, second.resident.max(third.resident), second.kernel.max(third.kernel));
    }

    /// The same round against the forwarder on a tick.
    pub(crate) fn ticked(&self, ticked: [Run; 2], engines: &[Run; 2]) {
        for run in &ticked {
            row("ticked", run);
        }
        let sum = |runs: &[Run; 2]| runs.iter().map(cost).sum::<f64>();
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

    /// The median ratio of a load point, if it may be used.
    pub(crate) fn judge(&self, calls: usize) -> Option<f64> {
        let rounds: Vec<_> = self.rounds.iter().filter(|it| it.calls == calls).collect();
        let mut ratios: Vec<_> = rounds.iter().map(|it| it.ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let median = *ratios.get(ratios.len() / 2)?;
        let spread = |of: fn(&Round) -> [f64; 2]| {
            let pairs = rounds.iter().map(|it| of(it));
            pairs.map(|[a, b]| (a - b).abs() / f64::midpoint(a, b)).fold(0.0, f64::max)
        };
        let (raw, engine) = (spread(|it| it.raw), spread(|it| it.engine));
        let lost: u64 = rounds.iter().map(|it| it.lost).sum();
        let (low, high) = (ratios.first()?, ratios.last()?);
        println!(
            "\n== {calls} calls: ratio {median:.2} [{low:.2}..{high:.2}] in {} rounds; \
             A/A spread raw {:.0} %, engine {:.0} %; {lost} lost",
            rounds.len(),
            raw * 100.0,
            engine * 100.0,
        );
        if lost > 0 {
            println!("   not judged: packets were lost");
            return None;
        }
        if !rounds.iter().all(|it| it.paced) {
            println!("   not judged: the generator did not keep its pace");
            return None;
        }
        if raw > SPREAD_MAX {
            println!(
                "   not judged: the yardstick's own spread is over {:.0} %",
                SPREAD_MAX * 100.0
            );
            return None;
        }
        Some(median)
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

/// Packets of the window that did not come back. Of a sum each party gets one a step, and at the
/// edges of the window one more or less.
fn lost(run: &Run) -> u64 {
    let seen = &run.seen;
    let missing = seen.sent.saturating_sub(seen.back);
    if seen.delays.is_empty() && missing * 100 <= seen.sent { 0 } else { missing }
}

/// Microseconds of the relay's processor time for each packet delivered.
fn cost(run: &Run) -> f64 {
    run.relay.cpu_ns as f64 / 1_000.0 / run.seen.delivered.max(1) as f64
}

fn row(name: &str, run: &Run) {
    let seen = &run.seen;
    let delay = |per_mille: usize| {
        let at = (seen.delays.len() * per_mille / 1_000).min(seen.delays.len().saturating_sub(1));
        seen.delays.get(at).copied().unwrap_or(0)
    };
    let packets = seen.delivered.max(1) as f64;
    println!(
        "  {name:<7} {:>9.2} {:>10.2} {:>7} {:>9} {:>5} {:>8} {:>10} {:>12} {:>6} {:>6} {:>13.3} \
         {:>10.3} {:>8}",
        cost(run),
        run.generator.cpu_ns as f64 / 1_000.0 / packets,
        seen.sent,
        seen.delivered,
        lost(run),
        seen.doubled,
        seen.reordered,
        delay(500),
        delay(990),
        delay(999),
        run.relay.voluntary_switches as f64 / packets,
        run.system_calls as f64 / packets,
        seen.late_max,
    );
}
