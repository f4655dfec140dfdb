//! How long a caller waits for his answer: INVITE to 200 while little is going on.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use hotline_benches::{load, spread};

use crate::{
    crowd::{Crowd, Seen},
    engine::{Engine, Flows, Setup},
    office::Office,
    party::{CARRIER, Party},
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls a second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// How long a round is.
    #[arg(long, default_value_t = 10)]
    secs: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[arg(long, default_value_t = 100)]
    agents: usize,
    /// Fail if the median p99 is over this, in milliseconds.
    #[arg(long)]
    gate: Option<f64>,
}

const TALK: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &Args, program: Option<PathBuf>) -> Result<()> {
    let setup = Setup { flows: Flows::Short, agents: args.agents, program, ..Setup::default() };
    let mut engine = Engine::start(&setup)?;
    let office = Office::open(&mut engine, args.agents, TALK)?;
    let mut crowd = Crowd::new(Party::bind(CARRIER, engine.sip)?, 13_900_000_000);
    println!("\nround  load  calls  INVITE to 200, ms: p50    p99   most");
    let mut p99s = Vec::new();
    // The first round warms up.
    for round in 0..=args.rounds {
        crowd.call(args.rate, Duration::from_secs(args.secs))?;
        crowd.settle(Duration::from_secs(15))?;
        let seen = crowd.take();
        ensure!(seen.completed == seen.dialled, "{} of {}", seen.completed, seen.dialled);
        let [median, p99, most] = Seen::quantiles(&seen.set_up);
        let calls = seen.dialled;
        println!("{round:>5} {:>5} {calls:>6} {median:>22.2} {p99:>6.2} {most:>6.2}", load());
        if round > 0 {
            p99s.push(p99);
        }
    }
    println!("== INVITE to 200: p99 {} ms", spread(&p99s, 2));
    p99s.sort_by(f64::total_cmp);
    let median = p99s.get(p99s.len() / 2).copied().unwrap_or(f64::NAN);
    ensure!(args.gate.is_none_or(|it| median <= it), "the p99 is over the gate");
    office.close()
}
