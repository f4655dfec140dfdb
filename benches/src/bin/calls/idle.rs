//! What the engine takes while nobody calls: processor time of its three roles, with nobody at all
//! and with agents who are registered and signed in.

use std::{path::PathBuf, thread, time::Duration};

use anyhow::{Result, ensure};
use hotline_benches::{load, spread};

use crate::{
    census::{Held, ROLES, spent},
    engine::{Engine, Flows, Setup},
    office::Office,
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Agents of the second part.
    #[arg(long, default_value_t = 100)]
    agents: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a round is.
    #[arg(long, default_value_t = 5)]
    secs: u64,
    /// Fail if the median is over the aim.
    #[arg(long)]
    gate: bool,
}

/// Per cent of a core, all roles together.
const SHARE_MAX: f64 = 0.5;

/// What the start leaves to do is done by then.
const SETTLE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Args, program: Option<PathBuf>) -> Result<()> {
    let mut missed = 0;
    for agents in [0, args.agents] {
        let program = program.clone();
        let setup = Setup { flows: Flows::Full, agents, program, ..Setup::default() };
        let mut engine = Engine::start(&setup)?;
        let office = Office::open(&mut engine, agents, Duration::from_secs(1))?;
        thread::sleep(SETTLE);
        println!("\n{agents} agents registered and signed in, no call; load {}", load());
        let window = Duration::from_secs(args.secs);
        let mut shares = Vec::new();
        for _ in 0..args.rounds {
            let times = |engine: &Engine| -> Result<Vec<Duration>> {
                engine.roles.iter().map(|it| spent(*it)).collect()
            };
            let before = times(&engine)?;
            thread::sleep(window);
            let after = times(&engine)?;
            let of = |(after, before): (&Duration, &Duration)| {
                after.saturating_sub(*before).as_secs_f64() / window.as_secs_f64() * 100.0
            };
            let each: Vec<_> = after.iter().zip(&before).map(of).collect();
            let by_role = ROLES.iter().zip(&each).map(|(name, it)| format!("{name} {it:.3}"));
            let sum: f64 = each.iter().sum();
            println!("  {sum:.3} % of a core: {}", by_role.collect::<Vec<_>>().join(", "));
            shares.push(sum);
        }
        for (name, pid) in ROLES.into_iter().zip(engine.roles) {
            println!("  {name:10} {}", Held::of(pid)?);
        }
        // What others do on the machine only adds to it.
        let met = hotline_benches::median(shares.clone()).is_some_and(|it| it <= SHARE_MAX);
        missed += usize::from(!met);
        let verdict = if met { "met" } else { "MISSED" };
        println!("== {} % of a core, aim {SHARE_MAX}: {verdict}", spread(&shares, 3));
        office.close()?;
    }
    ensure!(!args.gate || missed == 0, "an idle engine takes more than it may");
    Ok(())
}
