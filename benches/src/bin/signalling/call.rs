//! One call of two legs: caller, trunk, flow, queue, agent, both hang-ups, record.

use std::time::Duration;

use anyhow::{Result, ensure};
use hotline_base::{Machine as _, Now};
use hotline_benches::{
    cpu_time, flow, load,
    shift::{self, Point, Shift},
    spread,
};
use hotline_sip::{Flow, Message};
use hotline_switchboard::{Config, Input, Output, Switchboard};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Agents, seven tenths of whom talk, and waiting callers.
    #[arg(long, default_value = "200:0")]
    point: Point,
    /// Inputs and timers that are measured, after all have come.
    #[arg(long, default_value_t = 60_000)]
    events: usize,
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

/// What comes to the switchboard: bytes where the wire brings bytes.
enum Step {
    Datagram(Flow, Vec<u8>),
    Input(Box<Input>),
    Timer,
}

/// What a replay of the steady part said and cost.
#[derive(Default)]
struct Told {
    secs: f64,
    n_in: u64,
    n_out: u64,
    n_orders: u64,
    n_facts: u64,
    n_records: u64,
    said: Said,
}

/// All that was said as one number: a change that shall only save time leaves it as it is.
#[derive(Default)]
struct Said {
    wanted: bool,
    /// 64 bits of FNV-1a.
    sum: u64,
}

impl Said {
    fn note(&mut self, output: &Output) -> Result<()> {
        if !self.wanted {
            return Ok(());
        }
        match output {
            Output::Record(it) => self.add(&borsh::to_vec(&**it)?),
            Output::Agent(it) => self.add(&borsh::to_vec(&**it)?),
            Output::Keep { key, value } => self.add(&borsh::to_vec(&(key, value))?),
            Output::Transmit { flow, bytes } => self.add(&borsh::to_vec(&(flow, bytes))?),
            Output::Order(it) => self.add(&borsh::to_vec(it)?),
            Output::Fact { call, fact } => self.add(&borsh::to_vec(&(call, &**fact))?),
            Output::Recording(it) => self.add(&borsh::to_vec(&**it)?),
            Output::Ladder(it) => self.add(&borsh::to_vec(&**it)?),
            Output::Reply { .. }
            | Output::Count(_)
            | Output::Alarm(_)
            | Output::PhonesAt { .. }
            | Output::LadderShown { .. }
            | Output::TrafficShown { .. } => self.add(format!("{output:?}").as_bytes()),
        }
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) {
        let add = |sum: u64, it: &u8| (sum ^ u64::from(*it)).wrapping_mul(0x0100_0000_01B3);
        self.sum = bytes.iter().fold(self.sum, add);
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = tempfile::tempdir()?;
    flow::write_short(folder.path())?;
    let mut config = shift::config(args.point, Some(folder.path()))?;
    // With a call each half second, what telephones are asked meanwhile would be a fourth of it.
    config.sip.probe_every = Duration::ZERO;
    // Tags and branches are the same in every run.
    config.sip.secret = [7; 32];
    let shift = shift::record(&config, args.point, args.events)?;
    let steps: Vec<(Now, Step)> = shift.inputs.iter().map(step).collect();
    let n_calls = shift.n_calls.max(1) as f64;
    let replayed = |steady| replay(&config, &shift, &steps, steady, Said::default());
    let mut told = Ok(Told::default());
    let counted = allocation_counter::measure(|| told = replayed(true));
    let told = told?;
    ensure!(told.n_records >= shift.n_calls, "the same inputs led to something else");
    println!(
        "{} calls with {} agents, a call: {:.1} messages in, {:.1} out, {:.1} orders to media, \
         {:.1} facts, {:.1} inputs and timers",
        shift.n_calls,
        args.point.agents,
        told.n_in as f64 / n_calls,
        told.n_out as f64 / n_calls,
        told.n_orders as f64 / n_calls,
        told.n_facts as f64 / n_calls,
        (steps.len() - shift.steady) as f64 / n_calls,
    );
    let before = allocation_counter::measure(|| drop(replayed(false)));
    println!(
        "allocations a call: {:.0}, {:.1} kB",
        (counted.count_total - before.count_total) as f64 / n_calls,
        (counted.bytes_total - before.bytes_total) as f64 / n_calls / 1e3,
    );
    let said = Said { wanted: true, sum: 0xCBF2_9CE4_8422_2325 };
    let said = replay(&config, &shift, &steps, true, said)?.said;
    println!("all that was said to these calls, as one number: {:016x}", said.sum);
    println!("\n round  load  CPU us a call");
    let mut all = Vec::new();
    for round in 1..=args.rounds {
        let micros = replayed(true)?.secs * 1e6 / n_calls;
        println!("{round:>6} {:>5} {micros:>14.1}", load());
        all.push(micros);
    }
    println!("== CPU of a call: {} us", spread(&all, 1));
    Ok(())
}

fn step((now, input): &(Now, Option<Input>)) -> (Now, Step) {
    let step = match input {
        Some(Input::Sip { flow, message, .. }) => Step::Datagram(*flow, message.bytes().to_vec()),
        Some(it) => Step::Input(Box::new(it.clone())),
        None => Step::Timer,
    };
    (*now, step)
}

/// `steady`: with the part that is measured; else what comes before it only.
fn replay(
    config: &Config,
    shift: &Shift,
    steps: &[(Now, Step)],
    steady: bool,
    said: Said,
) -> Result<Told> {
    let mut switchboard = Switchboard::new(config.clone(), shift::SEED, shift.start);
    let mut told = Told { said, ..Told::default() };
    let mut begin = cpu_time();
    let end = if steady { steps.len() } else { shift.steady };
    for (n, (now, step)) in steps.iter().enumerate().take(end) {
        if n == shift.steady {
            told = Told { said: told.said, ..Told::default() };
            begin = cpu_time();
        }
        match step {
            Step::Datagram(flow, bytes) => {
                told.n_in += 1;
                if let Ok(message) = Message::parse(bytes) {
                    let input = Input::Sip { flow: *flow, message, waited_us: 0 };
                    switchboard.handle(input, *now);
                }
            }
            Step::Input(it) => switchboard.handle(Input::clone(it), *now),
            Step::Timer => switchboard.handle_timeout(*now),
        }
        while let Some(output) = switchboard.poll_output() {
            told.n_out += u64::from(matches!(output, Output::Transmit { .. }));
            told.n_orders += u64::from(matches!(output, Output::Order(_)));
            told.n_facts += u64::from(matches!(output, Output::Fact { .. }));
            told.n_records += u64::from(matches!(&output, Output::Record(it) if it.complete));
            told.said.note(&output)?;
        }
    }
    told.secs = cpu_time().saturating_sub(begin).as_secs_f64();
    Ok(told)
}
