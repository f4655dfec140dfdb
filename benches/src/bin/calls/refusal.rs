//! What a call costs that is refused for overload, on the real program: INVITE, 503 and ACK.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use hotline_benches::{cpu_time, load, spread};

use crate::{
    crowd::Seen,
    engine::{Engine, Flows, Setup},
    throng::Throng,
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls a second; one of them is taken.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    #[arg(long, default_value_t = 4)]
    secs: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

pub(crate) fn run(args: &Args, program: Option<PathBuf>) -> Result<()> {
    let taken = Some(1);
    let setup = Setup { flows: Flows::Short, taken, program, ..Setup::default() };
    let engine = Engine::start(&setup)?;
    let mut crowd = Throng::new(engine.sip)?;
    println!(
        "\n round  load  dialled refused  us a refused call: control thread  all control  \
         its caller   ms: p50   p99  most"
    );
    let mut all = Vec::new();
    for round in 1..=args.rounds {
        let (before, own) = (engine.control_threads()?, cpu_time());
        crowd.call(args.rate, Duration::from_secs(args.secs))?;
        crowd.hear(Duration::from_millis(200))?;
        let own = cpu_time().saturating_sub(own);
        let after = engine.control_threads()?;
        let seen = crowd.take();
        ensure!(seen.refused * 10 > seen.dialled * 9, "{} refused", seen.refused);
        let us = |it: Duration| it.as_secs_f64() * 1e6 / seen.refused as f64;
        let total = |it: &BTreeMap<String, Duration>| it.values().sum::<Duration>();
        let of = |it: &BTreeMap<String, Duration>| it.get("control").copied().unwrap_or_default();
        let thread = us(of(&after).saturating_sub(of(&before)));
        let [median, p99, most] = Seen::quantiles(&seen.refusal);
        println!(
            "{round:>6} {:>5} {:>8} {:>7} {thread:>34.1} {:>12.1} {:>11.1} {median:>9.1} {p99:>5.1} \
             {most:>5.1}",
            load(),
            seen.dialled,
            seen.refused,
            us(total(&after).saturating_sub(total(&before))),
            us(own),
        );
        all.push(thread);
    }
    println!("== control thread of a refused call: {} us", spread(&all, 1));
    Ok(())
}
