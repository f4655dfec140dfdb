//! What a relayed packet costs, as a multiple of what the kernel alone takes for it.
//!
//! One generator, paced, against two relays in processes of their own: `raw`, a forwarder that does
//! nothing else, and the engine's media role, set up through its orders. See `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::cast_precision_loss, reason = "figures of three digits")]

mod cpu;
mod engine;
mod ng;
mod outlet;
mod pace;
mod raw;
mod report;
mod table;
mod ticked;
mod verdict;

use std::{alloc::System, net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use hotline_benches::quantile;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use self::{
    engine::Engine,
    pace::{Flow, Seen},
    raw::Raw,
    report::Report,
};

/// A p99 beyond this is no relay's.
const STOOD_STILL_MS: f64 = 50.0;

/// That of the engine, counted.
#[global_allocator]
pub(crate) static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Debug, Parser)]
#[command(about = "CPU per relayed packet: the engine's media role against a bare forwarder")]
struct Args {
    /// Load points, in bridged calls of 100 packets a second.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 200, 500])]
    calls: Vec<usize>,
    /// Rounds of raw, engine, engine, raw.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that are measured, after one of warming up.
    #[arg(long, default_value_t = 3)]
    secs: u64,
    /// Record every call, too.
    #[arg(long)]
    record: bool,
    /// One leg of each call is protected by SRTP (AES-CM, 80 bits of HMAC-SHA1), the other is not.
    #[arg(long)]
    srtp: bool,
    /// How the engine's packets come in: a socket a leg, or one steered by `sk_lookup`.
    #[arg(long, value_enum, default_value_t = Intake::Sockets)]
    intake: Intake,
    /// Parties of a call: 2 are relayed, more are mixed, and all of them talk. Delays of a mix are not measured, and its load
    /// points are calls all the same.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=32))]
    parties: u8,
    /// Media workers. Calls are spread over them, and they over the cores beside the generator's.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    workers: u8,
    /// Where the engine runs.
    #[arg(long, value_enum, default_value_t = Cores::Own)]
    cores: Cores,
    /// Compare with the forwarder on a tick of 5 ms as well.
    #[arg(long)]
    ticked: bool,
    /// Fail if the median ratio at 500 calls and above is over this.
    #[arg(long)]
    gate: Option<f64>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Every aim of the media plane in one table, with its verdict.
    Table(table::Args),
    /// (Started by the driver.) Forward every datagram to this address.
    #[command(hide = true)]
    Raw { to: SocketAddr },
    /// (Started by the driver.) The same on a tick of 5 ms.
    #[command(hide = true)]
    Ticked { to: SocketAddr },
    /// (Started by the driver.) The engine's media role, under orders from this socket.
    #[command(hide = true)]
    Engine(engine::Args),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Intake {
    Sockets,
    Lookup,
}

impl std::fmt::Display for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sockets => "sockets",
            Self::Lookup => "lookup",
        })
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Cores {
    /// Beside the generator's, one for each worker as far as there are any, and workers are pinned.
    Own,
    /// Wherever the kernel puts its threads.
    All,
}

impl std::fmt::Display for Cores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Own => "own",
            Self::All => "all",
        })
    }
}

/// What the engine does besides relaying.
#[derive(Clone, Copy, Debug)]
pub(crate) struct With {
    pub(crate) record: bool,
    pub(crate) srtp: bool,
    pub(crate) intake: Intake,
    /// Two hear each other; of more, each hears the sum of all others.
    pub(crate) parties: usize,
    pub(crate) workers: u8,
    pub(crate) cores: Cores,
}

/// One run of one relay.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) seen: Seen,
    pub(crate) relay: cpu::Usage,
    pub(crate) generator: cpu::Usage,
    /// Bytes of the relay at the end, of all its memory that is its own.
    pub(crate) resident: u64,
    /// Bytes of the kernel's that its legs took.
    pub(crate) kernel: u64,
    /// Counted by the relay itself in the window, if it counts.
    pub(crate) counts: Option<Counts>,
}

impl Run {
    /// Packets of the window that did not come back. Of a sum each party gets one a step, and at the
    /// edges of the window one more or less.
    fn lost(&self) -> u64 {
        let seen = &self.seen;
        let missing = seen.sent.saturating_sub(seen.back);
        if seen.delays.is_empty() && missing * 100 <= seen.sent { 0 } else { missing }
    }

    /// Why its figures may not be used, if so.
    fn amiss(&self) -> Option<&'static str> {
        if self.lost() > 0 {
            Some("packets were lost")
        } else if self.seen.sent * 100 < self.seen.asked * 98 {
            Some("the generator did not keep its pace")
        } else if self.delays().is_some_and(|[_, p99]| p99 > STOOD_STILL_MS) {
            // What has piled up is cheap.
            Some("packets waited as long as if the machine had stood still")
        } else {
            None
        }
    }

    /// Microseconds of the relay's processor time for each packet delivered.
    fn cost(&self) -> f64 {
        self.relay.cpu_ns as f64 / 1_000.0 / self.packets()
    }

    /// p50 and p99, in milliseconds; none of a mix.
    fn delays(&self) -> Option<[f64; 2]> {
        let at = |per_mille| quantile(&self.seen.delays, per_mille);
        let [p50, p99] = [at(500)?, at(990)?];
        Some([f64::from(p50) / 1_000.0, f64::from(p99) / 1_000.0])
    }

    /// For each packet delivered.
    fn system_calls(&self) -> Option<f64> {
        self.counts.map(|it| it.system_calls as f64 / self.packets())
    }

    /// For each packet delivered.
    fn allocations(&self) -> Option<f64> {
        self.counts.map(|it| it.allocations as f64 / self.packets())
    }

    fn packets(&self) -> f64 {
        self.seen.delivered.max(1) as f64
    }
}

/// What a relay counts in its own process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Of the worker, for packets.
    pub(crate) system_calls: u64,
    /// Of all threads.
    pub(crate) allocations: u64,
}

impl Counts {
    const fn since(self, earlier: Self) -> Self {
        Self {
            system_calls: self.system_calls.saturating_sub(earlier.system_calls),
            allocations: self.allocations.saturating_sub(earlier.allocations),
        }
    }
}

/// A relay that is up, and where its packets go in and come out.
pub(crate) trait Relay {
    fn pid(&self) -> u32;
    fn flows(&mut self) -> Vec<Flow>;
    /// Bytes of the kernel's that setting it up took.
    fn kernel(&self) -> u64 {
        0
    }
    /// So far, of a relay that counts.
    fn counts(&mut self) -> Result<Option<Counts>> {
        Ok(None)
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    match &args.role {
        Some(Role::Raw { to }) => raw::serve(*to),
        Some(Role::Ticked { to }) => ticked::serve(*to),
        Some(Role::Engine(it)) => engine::serve(it),
        Some(Role::Table(it)) => table::drive(it),
        None => drive(&args),
    }
}

fn drive(args: &Args) -> Result<()> {
    cpu::pin(0);
    let scheduling = cpu::real_time();
    let window = Duration::from_secs(args.secs);
    let with = With {
        record: args.record,
        srtp: args.srtp,
        intake: args.intake,
        parties: usize::from(args.parties),
        workers: args.workers,
        cores: args.cores,
    };
    let mut report = Report::new(scheduling, with);
    let raw = |calls| Raw::start("raw", calls * with.parties);
    let mut over = false;
    for calls in &args.calls {
        for round in 0..args.rounds {
            let first = run(&mut raw(*calls)?, window)?;
            let second = run(&mut Engine::start(*calls, with)?, window)?;
            let third = run(&mut Engine::start(*calls, with)?, window)?;
            if args.record {
                // The disk has work after the recordings are gone; it is not the yardstick's.
                pace::drain(&mut [], Duration::from_secs(3));
            }
            let runs = [first, second, third, run(&mut raw(*calls)?, window)?];
            let engines = [runs[1].clone(), runs[2].clone()];
            report.round(*calls, round, runs);
            if args.ticked {
                let again = || run(&mut Raw::start("ticked", *calls * with.parties)?, window);
                report.ticked([again()?, again()?], &engines);
            }
        }
        let median = report.judge(*calls);
        over |= *calls >= 500 && args.gate.zip(median).is_some_and(|(gate, it)| it > gate);
    }
    let mut idle = Engine::start(0, With { record: false, ..with })?;
    let (before, window) = (cpu::Usage::of(idle.pid())?, Duration::from_secs(3));
    pace::drain(&mut idle.flows(), window);
    report.idle(cpu::Usage::of(idle.pid())?.since(&before), window);
    report.memory(cpu::resident(idle.pid())?, idle.kernel());
    anyhow::ensure!(!over, "the ratio is over the gate");
    Ok(())
}

/// Warms up, measures for `window`, and reads what the relay took.
fn run(relay: &mut impl Relay, window: Duration) -> Result<Run> {
    let (pid, relay_kernel) = (relay.pid(), relay.kernel());
    let mut flows = relay.flows();
    let mut usage = Vec::new();
    let mut failed = None;
    let seen = pace::run(&mut flows, Duration::from_secs(1), window, || {
        let counts = relay.counts();
        match (cpu::Usage::of(pid), cpu::Usage::of(std::process::id()), counts) {
            (Ok(relay), Ok(own), Ok(counts)) => usage.push((relay, own, counts)),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => failed = Some(error),
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let first = usage.first().context("the window has a beginning")?;
    let last = usage.last().context("the window has an end")?;
    let (relay, generator) = (last.0.since(&first.0), last.1.since(&first.1));
    let counts = last.2.zip(first.2).map(|(last, first)| last.since(first));
    let resident = cpu::resident(pid)?;
    Ok(Run { seen, relay, generator, resident, kernel: relay_kernel, counts })
}
