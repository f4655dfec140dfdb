//! What a relayed packet costs, as a multiple of what the kernel alone takes for it.
//!
//! One generator, paced, against two relays in processes of their own: `raw`, a forwarder that does
//! nothing else, and the engine's media role, set up through its orders. See `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod cpu;
mod engine;
mod pace;
mod raw;
mod report;
mod ticked;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};

use self::{
    engine::Engine,
    pace::{Flow, Seen},
    raw::Raw,
    report::Report,
};

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
    /// Parties of a call: 2 are relayed, 3 are mixed. Delays of a mix are not measured, and its load
    /// points are calls all the same.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    parties: u8,
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
    /// (Started by the driver.) Forward every datagram to this address.
    #[command(hide = true)]
    Raw { to: SocketAddr },
    /// (Started by the driver.) The same on a tick of 5 ms.
    #[command(hide = true)]
    Ticked { to: SocketAddr },
    /// (Started by the driver.) The engine's media role, under orders from this socket.
    #[command(hide = true)]
    Engine { socket: std::path::PathBuf, legs: usize, intake: Intake },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
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

/// What the engine does besides relaying.
#[derive(Clone, Copy, Debug)]
pub(crate) struct With {
    pub(crate) record: bool,
    pub(crate) srtp: bool,
    pub(crate) intake: Intake,
    /// Two hear each other; three hear both others.
    pub(crate) parties: usize,
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
    /// System calls of the worker in the window, as the engine counts them.
    pub(crate) system_calls: u64,
}

/// A relay that is up, and where its packets go in and come out.
pub(crate) trait Relay {
    fn pid(&self) -> u32;
    fn flows(&mut self) -> Vec<Flow>;
    /// Bytes of the kernel's that setting it up took.
    fn kernel(&self) -> u64 {
        0
    }
    /// System calls for packets so far, of a relay that counts them.
    fn system_calls(&mut self) -> Result<u64> {
        Ok(0)
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    match &args.role {
        Some(Role::Raw { to }) => raw::serve(*to),
        Some(Role::Ticked { to }) => ticked::serve(*to),
        Some(Role::Engine { socket, legs, intake }) => engine::serve(socket, *legs, *intake),
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
    report.idle(cpu::Usage::of(idle.pid())?.since(before), window);
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
        let calls = relay.system_calls();
        match (cpu::Usage::of(pid), cpu::Usage::of(std::process::id()), calls) {
            (Ok(relay), Ok(own), Ok(calls)) => usage.push((relay, own, calls)),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => failed = Some(error),
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let first = usage.first().copied().context("the window has a beginning")?;
    let last = usage.last().copied().context("the window has an end")?;
    let (relay, generator) = (last.0.since(first.0), last.1.since(first.1));
    let system_calls = last.2.saturating_sub(first.2);
    let resident = cpu::resident(pid)?;
    Ok(Run { seen, relay, generator, resident, kernel: relay_kernel, system_calls })
}
