//! What a call costs and how fast an agent is found, measured on the real program from outside.
//!
//! `setup`: SIPp as callers, robots as agents, processor time of all roles for each complete call.
//! `outgoing`: the same for an agent's call to somebody, seven messages on either leg.
//! `dispatch`: from an agent who is free, or a caller who comes, to the INVITE on the agent's
//! socket. `answer`: from a caller's INVITE to its 200. `overload`: three times what the engine bears. `refusal`: a call
//! too many. `flood`: strangers beside honest callers.
//! `soak`: what calls leave behind. `idle`: what is spent while nobody calls.
//! See `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures of three digits"
)]

mod aims;
mod answer;
mod census;
mod crowd;
mod dispatch;
mod echo;
mod engine;
mod flood;
mod idle;
mod late;
mod office;
mod outgoing;
mod overload;
mod party;
mod proxy;
mod refusal;
mod setup;
mod sipp;
mod soak;
mod throng;
mod wire;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Cost of a call and delay of its dispatch, with the real engine on the loopback")]
struct Args {
    /// The `hotline` program, instead of the one beside this.
    #[arg(long, global = true)]
    program: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Processor time of a complete call, and the highest clean rate
    Setup(setup::Args),
    /// Processor time of a call of two legs with seven messages each
    Outgoing(outgoing::Args),
    /// Delay from a free agent, or a new caller, to the agent's INVITE
    Dispatch(dispatch::Args),
    /// Delay from a caller's INVITE to its 200 while little is going on
    Answer(answer::Args),
    /// Three times what the engine bears: goodput, refusals, calls in progress
    Overload(overload::Args),
    /// Processor time of a call that is refused for overload
    Refusal(refusal::Args),
    /// Strangers at ten times the honest load: completion, set-up delay, memory
    Flood(flood::Args),
    /// Hundreds of thousands of short calls: what is left of them when all is quiet
    Soak(soak::Args),
    /// What the engine takes while nobody calls, without and with agents
    Idle(idle::Args),
    /// (Started by the driver.) Sends every datagram back.
    #[command(hide = true)]
    Echo,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if !matches!(args.what, What::Echo) {
        println!("{}", hotline_benches::machine());
    }
    match args.what {
        What::Setup(it) => setup::run(&it, args.program),
        What::Outgoing(it) => outgoing::run(&it, args.program),
        What::Dispatch(it) => dispatch::run(&it, args.program),
        What::Answer(it) => answer::run(&it, args.program),
        What::Overload(it) => overload::run(&it, args.program),
        What::Refusal(it) => refusal::run(&it, args.program),
        What::Flood(it) => flood::run(&it, args.program),
        What::Soak(it) => soak::run(&it, args.program),
        What::Idle(it) => idle::run(&it, args.program),
        What::Echo => echo::serve(),
    }
}
