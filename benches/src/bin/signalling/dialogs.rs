//! What calls that live cost in memory, that many of them can, and that many cost no more than few.

use std::time::Duration;

use anyhow::Result;
use hotline_benches::{
    cpu_time, flow,
    shift::{
        self,
        life::{Life, Part, of_calls},
    },
};
use hotline_switchboard::{Config, Switchboard};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls of two dialogs each, all at the same time.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 50_000])]
    calls: Vec<usize>,
    /// Only processor time, not memory.
    #[arg(long)]
    cpu: bool,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.cpu {
        println!("  calls  dialogs  bytes a call  with ladders");
        for n_calls in &args.calls {
            let of = |it: i64, bare: i64| (it - bare) as f64 / *n_calls as f64;
            let bare = held(*n_calls, false, 0)?;
            let kept = held(*n_calls, true, 0)?;
            let with_ladders = held(*n_calls, true, 32 << 20)?;
            let (kept, with_ladders) = (of(kept, bare), of(with_ladders, bare));
            println!("{n_calls:>7} {:>8} {kept:>13.0} {with_ladders:>13.0}", n_calls * 2);
        }
        println!();
    }
    let clock = clock_cost();
    println!(
        "CPU us of the switchboard for a call (reading the clock, {clock:.2} us a turn, taken off)\n\
         round    calls  dialogs  sign-in  set-up  refresh  end  turns  in all  to the first"
    );
    for round in 1..=args.rounds {
        let mut first = None;
        for n_calls in &args.calls {
            let parts = lived(*n_calls)?;
            let us = |it: &Part| {
                (it.cpu.as_secs_f64() * 1e6 - clock * it.n_turns as f64) / *n_calls as f64
            };
            let all: Vec<f64> = parts.iter().map(us).collect();
            // Agents sign in once a day.
            let call: f64 = all.iter().skip(1).sum();
            let turns: u64 = parts.iter().skip(1).map(|it| it.n_turns).sum();
            let ratio = call / *first.get_or_insert(call);
            let [began, up, stay, end] = all.as_slice() else { continue };
            println!(
                "{round:>5} {n_calls:>8} {:>8} {began:>8.0} {up:>7.0} {stay:>8.0} {end:>4.0} \
                 {:>6.1} {call:>7.0} {ratio:>8.2}",
                n_calls * 2,
                turns as f64 / *n_calls as f64,
            );
        }
    }
    Ok(())
}

fn config(n_agents: usize, ladders: usize) -> Result<Config> {
    let folder = tempfile::tempdir()?;
    flow::write_short(folder.path())?;
    let mut config = shift::config(of_calls(n_agents, n_agents), Some(folder.path()))?;
    config.ladder.bytes_max = ladders;
    // A phone is asked whether it is there however many calls there are.
    config.sip.probe_every = Duration::ZERO;
    Ok(config)
}

/// Bytes that a switchboard with so many agents, talking or not, gives back when it goes.
fn held(n_agents: usize, with_calls: bool, ladders: usize) -> Result<i64> {
    let (mut life, _) = Life::begin(&config(n_agents, ladders)?, n_agents)?;
    if with_calls {
        life.come_up()?;
    }
    Ok(given_back(life.into_switchboard()))
}

fn given_back(it: Switchboard) -> i64 {
    -allocation_counter::measure(|| drop(it)).bytes_current
}

/// Sign-in, set-up, refresh and end of so many calls.
fn lived(n_calls: usize) -> Result<[Part; 4]> {
    let (mut life, began) = Life::begin(&config(n_calls, 32 << 20)?, n_calls)?;
    Ok([began, life.come_up()?, life.stay()?, life.end()?])
}

/// Microseconds that two looks at the clock add to what lies between them.
fn clock_cost() -> f64 {
    const N: u32 = 100_000;
    let begin = cpu_time();
    for _ in 0..N {
        std::hint::black_box(cpu_time());
    }
    cpu_time().saturating_sub(begin).as_secs_f64() * 1e6 / f64::from(N)
}
