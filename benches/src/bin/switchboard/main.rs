//! How many events a second the switchboard turns, alone: no socket, no disk, no other thread.
//!
//! A shift is lived once, with callers, agents, a carrier and media around it, and its inputs are
//! written down. Then it is replayed, and only that is measured. See `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::cast_precision_loss, reason = "figures of three digits")]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use hotline_base::{Machine, Now};
use hotline_benches::{
    cpu_time, load, machine, quantile,
    shift::{self, Point, Shift},
    spread,
};
use hotline_switchboard::{Config, Input, Switchboard};

#[derive(Debug, Parser)]
#[command(about = "Events a second of the switchboard, without anything around it")]
struct Args {
    /// Agents and waiting callers; without waiting callers, agents are busy for 70 % of the time.
    #[arg(long, value_delimiter = ',', default_values = ["50:0", "50:200", "2000:500"])]
    points: Vec<Point>,
    /// Events that are measured, after the queue has settled.
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    println!("{}", machine());
    for point in args.points {
        measure(point, args.events, args.rounds)?;
    }
    Ok(())
}

fn measure(point: Point, events: usize, rounds: usize) -> Result<()> {
    let config = shift::config(point, None)?;
    let shift = shift::record(&config, point, events)?;
    let n_events = shift.inputs.len() - shift.steady;
    let per_call = n_events as f64 / shift.n_calls.max(1) as f64;
    println!(
        "\n{} agents, {} waiting: {n_events} events of {} calls ({per_call:.1} a call)",
        point.agents, shift.n_waiting, shift.n_calls
    );
    println!("  round  load   events/CPU-s  us/event    turn us p50    p99  p99.9     max");
    let (mut rates, mut p99s) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let cpu = replay(&config, &shift, |_| ())?;
        let rate = n_events as f64 / cpu.as_secs_f64();
        let mut turns = Vec::with_capacity(shift.inputs.len());
        replay(&config, &shift, |took| turns.push(took))?;
        let mut turns = turns.split_off(shift.steady.min(turns.len()));
        turns.sort_unstable();
        let us = |per_mille| {
            quantile(&turns, per_mille).map_or(0.0, |it: Duration| it.as_secs_f64() * 1e6)
        };
        println!(
            "  {round:>5}  {:>4}  {rate:>13.0} {:>9.2} {:>14.1} {:>6.1} {:>6.1} {:>7.1}",
            load(),
            1e6 / rate,
            us(500),
            us(990),
            us(999),
            us(1_000),
        );
        rates.push(rate);
        p99s.push(us(990));
    }
    println!(
        "== {} agents, {} waiting: {} events a CPU second; turn p99 {} us",
        point.agents,
        point.waiting,
        spread(&rates, 0),
        spread(&p99s, 1)
    );
    Ok(())
}

/// Turns a new switchboard through the shift; gives the processor time of the steady part, and
/// tells `note` how long each turn took.
fn replay(config: &Config, shift: &Shift, mut note: impl FnMut(Duration)) -> Result<Duration> {
    let inputs: Vec<(Now, Option<Input>)> = shift.inputs.clone();
    let mut switchboard = Switchboard::new(config.clone(), shift::SEED, shift.start);
    let mut n_outputs = 0;
    let mut begin = cpu_time();
    for (n, (now, input)) in inputs.into_iter().enumerate() {
        if n == shift.steady {
            begin = cpu_time();
        }
        let turn = Instant::now();
        match input {
            Some(input) => switchboard.handle(input, now),
            None => switchboard.handle_timeout(now),
        }
        while let Some(output) = switchboard.poll_output() {
            n_outputs += 1;
            drop(output);
        }
        note(turn.elapsed());
    }
    let took = cpu_time().saturating_sub(begin);
    ensure!(n_outputs == shift.n_outputs, "the same inputs led to something else");
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_of_a_few_calls_is_replayed() {
        measure("3:2".parse().unwrap(), 300, 1).unwrap();
    }
}
