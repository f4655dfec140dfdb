//! The media plane's aims in one run: both intakes, plain, protected, recorded and mixed, and
//! rtpengine where it is installed, all in every round between runs of the yardstick.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    Cores, Intake, Relay, Run, With, cpu,
    engine::Engine,
    ng::{self, RtpEngine},
    pace,
    raw::Raw,
    report::{HEADINGS, flaw, row},
    run,
    verdict::{Aim, Idle, Sample, Verdicts},
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Load points, in bridged calls of 100 packets a second. Of three parties there are two for
    /// each three, so that the packets are as many.
    #[arg(long, value_delimiter = ',', default_values_t = [500, 1_000])]
    calls: Vec<usize>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds that are measured, after one of warming up.
    #[arg(long, default_value_t = 2)]
    secs: u64,
    /// Only rows whose names have one of these words.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Fail if an aim is missed.
    #[arg(long)]
    gate: bool,
}

/// Who relays.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Engine(With),
    RtpEngine,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    subject: Subject,
    aim: Option<Aim>,
}

const SOCKETS: With = With {
    record: false,
    srtp: false,
    intake: Intake::Sockets,
    parties: 2,
    workers: 1,
    cores: Cores::Own,
};

const LOOKUP: With = With { intake: Intake::Lookup, ..SOCKETS };

const fn engine(name: &'static str, with: With, aim: f64, extreme: f64) -> Row {
    Row { name, subject: Subject::Engine(with), aim: Some(Aim { most: aim, extreme }) }
}

const fn srtp(it: With) -> With {
    With { srtp: true, ..it }
}

const fn recorded(it: With) -> With {
    With { record: true, ..it }
}

const fn three(it: With) -> With {
    With { parties: 3, ..it }
}

/// Two workers, compared with one in the same group; nothing is aimed at.
const fn two_workers(name: &'static str, it: With) -> Row {
    Row { name, subject: Subject::Engine(With { workers: 2, ..it }), aim: None }
}

/// What is measured between two runs of the yardstick. The recorded come last: the disk has work
/// after them, and waits.
const GROUPS: [&[Row]; 3] = [
    &[
        engine(BRIDGE[0], SOCKETS, 1.9, 1.6),
        engine(BRIDGE[1], LOOKUP, 1.3, 1.15),
        two_workers(TWO[0], SOCKETS),
        two_workers(TWO[1], LOOKUP),
        Row { name: RTPENGINE, subject: Subject::RtpEngine, aim: None },
    ],
    &[
        engine("srtp, sockets", srtp(SOCKETS), 2.1, 1.75),
        engine("srtp, sk_lookup", srtp(LOOKUP), 1.5, 1.3),
        engine("three parties, sockets", three(SOCKETS), 2.3, 2.0),
        engine("three parties, sk_lookup", three(LOOKUP), 1.8, 1.6),
    ],
    &[
        engine("record, sockets", recorded(SOCKETS), 2.15, 1.75),
        engine("record, sk_lookup", recorded(LOOKUP), 1.5, 1.3),
        engine("srtp + record, sockets", recorded(srtp(SOCKETS)), 2.25, 1.9),
        engine("srtp + record, sk_lookup", recorded(srtp(LOOKUP)), 1.65, 1.45),
    ],
];

/// A bridge by each intake.
pub(crate) const BRIDGE: [&str; 2] = ["bridge, sockets", "bridge, sk_lookup"];

/// The same by two workers.
pub(crate) const TWO: [&str; 2] = ["two workers, sockets", "two workers, sk_lookup"];

pub(crate) const RTPENGINE: &str = "rtpengine, user space";

/// So few calls that a worker has next to nothing to do.
const IDLE_CALLS: usize = 5;

/// After recordings, until the disk has what was written.
const SETTLE: Duration = Duration::from_secs(3);

pub(crate) fn drive(args: &Args) -> Result<()> {
    cpu::pin(0);
    let real_time = cpu::real_time();
    println!("{}", hotline_benches::machine());
    println!("schedule  {}", if real_time { "SCHED_FIFO" } else { "normal (refused)" });
    let beside = ng::is_installed();
    if !beside {
        println!("rtpengine is not installed: apt install rtpengine-daemon, and it is compared");
    }
    let wanted = |it: &Row| {
        let by_name = args.rows.iter().any(|word| it.name.contains(word.as_str()));
        (args.rows.is_empty() || by_name) && (beside || it.name != RTPENGINE)
    };
    let window = Duration::from_secs(args.secs);
    let mut verdicts = Verdicts::new([idle(SOCKETS, args.rounds)?, idle(LOOKUP, args.rounds)?]);
    for calls in &args.calls {
        for round in 0..args.rounds {
            println!("\n{calls} calls, round {}; load {}", round + 1, hotline_benches::load());
            println!("{:19}{HEADINGS}", "");
            let mut before = yardstick(*calls, window)?;
            for group in GROUPS {
                let mut runs = Vec::new();
                for it in group.iter().filter(|it| wanted(it)) {
                    let run = it.run(*calls, window)?;
                    row(&format!("{:26}", it.name), &run);
                    runs.push((*it, run));
                }
                if runs.is_empty() {
                    continue;
                }
                if runs.iter().any(|(it, _)| it.is_recorded()) {
                    pace::drain(&mut [], SETTLE);
                }
                let after = yardstick(*calls, window)?;
                for (it, run) in runs {
                    let sample = sample(&run, [&before, &after], it.n_calls(*calls), round);
                    verdicts.add(*calls, it.name, it.aim, sample);
                }
                before = after;
            }
        }
        verdicts.print(*calls, args.rounds);
    }
    verdicts.print_idle();
    ensure!(!args.gate || verdicts.n_missed() == 0, "{} aims are missed", verdicts.n_missed());
    Ok(())
}

impl Row {
    const fn is_recorded(&self) -> bool {
        matches!(self.subject, Subject::Engine(With { record: true, .. }))
    }

    /// Calls that make as many packets as so many bridged ones.
    const fn n_calls(&self, calls: usize) -> usize {
        match self.subject {
            Subject::Engine(it) => calls * 2 / it.parties,
            Subject::RtpEngine => calls,
        }
    }

    fn run(&self, calls: usize, window: Duration) -> Result<Run> {
        let n_calls = self.n_calls(calls);
        match self.subject {
            Subject::Engine(with) => run(&mut Engine::start(n_calls, with)?, window),
            Subject::RtpEngine => run(&mut RtpEngine::start(n_calls)?, window),
        }
    }
}

fn yardstick(calls: usize, window: Duration) -> Result<Run> {
    let run = run(&mut Raw::start("raw", calls * 2)?, window)?;
    row(&format!("{:26}", "raw"), &run);
    Ok(run)
}

fn sample(run: &Run, raw: [&Run; 2], calls: usize, round: usize) -> Sample {
    let amiss = [run, raw[0], raw[1]].into_iter().find_map(Run::amiss);
    let yardstick = raw.map(Run::cost);
    Sample {
        round,
        cost: run.cost(),
        ratio: run.cost() / f64::midpoint(yardstick[0], yardstick[1]),
        flaw: flaw(amiss, yardstick),
        delays: run.delays(),
        system_calls: run.system_calls(),
        allocations: run.allocations(),
        own: run.resident as f64,
        kernel: run.kernel as f64,
        calls: calls as f64,
    }
}

/// The engine without calls, and with so few that each packet is a wake-up.
fn idle(with: With, rounds: usize) -> Result<Idle> {
    let (window, mut it) = (Duration::from_secs(3), Idle::default());
    {
        let engine = Engine::start(0, with)?;
        let before = cpu::Usage::of(engine.pid())?;
        pace::drain(&mut [], window);
        let used = cpu::Usage::of(engine.pid())?.since(&before);
        it.share = used.cpu_ns as f64 / window.as_nanos() as f64;
        it.own = cpu::resident(engine.pid())? as f64;
        it.kernel = engine.kernel() as f64;
    }
    for _ in 0..rounds {
        let run = run(&mut Engine::start(IDLE_CALLS, with)?, window)?;
        it.amiss = it.amiss.or_else(|| run.amiss());
        it.delays.push(run.delays());
    }
    Ok(it)
}
