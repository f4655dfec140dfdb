//! How long until the agent's telephone is sent its INVITE.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use hotline_base::LegId;
use hotline_benches::{load, quantile, spread};
use hotline_sip::Event;

use crate::{
    engine::{Engine, Flows, Setup},
    party::{CARRIER, OFFICE, Party, wait},
    wire::wall_ns,
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 50)]
    agents: usize,
    /// Callers who wait all the time; one who is served is replaced.
    #[arg(long, default_value_t = 200)]
    waiting: usize,
    /// Samples of each kind and round.
    #[arg(long, default_value_t = 400)]
    samples: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Time between two samples, in milliseconds.
    #[arg(long, default_value_t = 40)]
    pace_ms: u64,
    /// Fail if a median p99 is over this, in milliseconds.
    #[arg(long)]
    gate: Option<f64>,
}

/// What makes an agent free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Freed {
    /// He hangs up, and there is no after-call work.
    ByHangUp,
    /// He ends his after-call work by the API.
    ByCommand,
}

struct Floor {
    engine: Engine,
    carrier: Party,
    office: Party,
    next_number: u64,
    /// What a sample waits for: the agent's extension or the caller's number, and since when.
    pending: BTreeMap<String, u64>,
    samples: Vec<u64>,
    /// Agents in a talk, longest first.
    talking: VecDeque<(LegId, String)>,
    extensions: BTreeMap<LegId, String>,
    callers: BTreeSet<LegId>,
    refill: bool,
}

const PATIENCE: Duration = Duration::from_mins(1);

const KINDS: [&str; 3] =
    ["caller's INVITE to an idle agent", "hang-up, callers waiting", "command, callers waiting"];

pub(crate) fn run(args: &Args, program: Option<PathBuf>) -> Result<()> {
    println!("{} agents, {} waiting, {} samples a round", args.agents, args.waiting, args.samples);
    println!("\nround  load  kind                               ms p50     p90     p99     max");
    let mut p99s = [const { Vec::new() }; 3];
    for round in 1..=args.rounds {
        let mut floor = Floor::open(args, Freed::ByHangUp, program.clone())?;
        let idle = floor.idle(args)?;
        let by_hang_up = floor.queue(args, Freed::ByHangUp)?;
        drop(floor);
        let mut floor = Floor::open(args, Freed::ByCommand, program.clone())?;
        let by_command = floor.queue(args, Freed::ByCommand)?;
        let all = [idle, by_hang_up, by_command];
        for ((kind, mut samples), p99s) in KINDS.iter().zip(all).zip(&mut p99s) {
            samples.sort_unstable();
            let ms = |it| quantile(&samples, it).map_or(0.0, |it| it as f64 / 1e6);
            println!(
                "{round:>5}  {:>4}  {kind:<34} {:>6.2} {:>7.2} {:>7.2} {:>7.2}",
                load(),
                ms(500),
                ms(900),
                ms(990),
                ms(1_000)
            );
            p99s.push(ms(990));
        }
    }
    let mut over = false;
    for (kind, mut p99s) in KINDS.iter().zip(p99s) {
        println!("== {kind}: p99 {} ms", spread(&p99s, 2));
        p99s.sort_by(f64::total_cmp);
        over |= args.gate.zip(quantile(&p99s, 500)).is_some_and(|(gate, it)| it > gate);
    }
    ensure!(!over, "a p99 is over the gate");
    Ok(())
}

impl Floor {
    fn open(args: &Args, freed: Freed, program: Option<PathBuf>) -> Result<Self> {
        let acw_manual = freed == Freed::ByCommand;
        let setup = Setup {
            flows: Flows::Short,
            agents: args.agents,
            acw_manual,
            program,
            ..Setup::default()
        };
        let mut engine = Engine::start(&setup)?;
        let carrier = Party::bind(CARRIER, engine.sip)?;
        let mut office = Party::bind(OFFICE, engine.sip)?;
        office.register(args.agents)?;
        for n in 0..args.agents {
            engine.command(n, "sign-in")?;
        }
        Ok(Self {
            engine,
            carrier,
            office,
            next_number: 13_900_000_000,
            pending: BTreeMap::new(),
            samples: Vec::new(),
            talking: VecDeque::new(),
            extensions: BTreeMap::new(),
            callers: BTreeSet::new(),
            refill: false,
        })
    }

    /// Callers come one after the other; somebody is idle for each of them.
    fn idle(&mut self, args: &Args) -> Result<Vec<u64>> {
        let pace = Duration::from_millis(args.pace_ms);
        for _ in 0..args.samples {
            let number = self.number();
            self.pending.insert(number.clone(), wall_ns());
            self.carrier.dial(&number)?;
            self.live(pace)?;
            // Talks are short, so that there is always an idle agent.
            while self.talking.len() > args.agents / 3 {
                self.end_talk()?;
            }
        }
        while self.end_talk()?.is_some() {}
        self.until(|it| it.callers.is_empty() && it.extensions.is_empty())?;
        self.take(args.samples)
    }

    /// All agents talk, callers wait, and one agent after the other becomes free.
    fn queue(&mut self, args: &Args, freed: Freed) -> Result<Vec<u64>> {
        let pace = Duration::from_millis(args.pace_ms);
        for _ in 0..args.agents + args.waiting {
            let number = self.number();
            self.carrier.dial(&number)?;
            self.live(Duration::from_millis(10))?;
        }
        let n_callers = args.agents + args.waiting;
        self.until(|it| it.talking.len() == args.agents && it.callers.len() == n_callers)?;
        self.refill = true;
        self.until_waiting(args.waiting)?;
        for _ in 0..args.samples {
            match freed {
                Freed::ByHangUp => {
                    let begin = wall_ns();
                    if let Some(extension) = self.end_talk()? {
                        self.pending.insert(extension, begin);
                    }
                }
                Freed::ByCommand => {
                    if let Some(extension) = self.end_talk()? {
                        self.live(pace)?;
                        let agent = extension.parse::<usize>()? - 80_000;
                        self.pending.insert(extension, wall_ns());
                        self.engine.command(agent, "finish-acw")?;
                    }
                }
            }
            self.live(pace)?;
        }
        self.take(args.samples)
    }

    /// Every sample must have come in the end.
    fn take(&mut self, n: usize) -> Result<Vec<u64>> {
        self.until(|it| it.pending.is_empty())?;
        let samples = std::mem::take(&mut self.samples);
        ensure!(samples.len() * 10 >= n * 9, "only {} of {n} samples", samples.len());
        Ok(samples)
    }

    /// The agent who has talked longest hangs up; his extension.
    fn end_talk(&mut self) -> Result<Option<String>> {
        let Some((leg, extension)) = self.talking.pop_front() else { return Ok(None) };
        self.office.hang_up(leg)?;
        Ok(Some(extension))
    }

    fn number(&mut self) -> String {
        self.next_number += 1;
        self.next_number.to_string()
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            ensure!(Instant::now() < end, "something never happens\n{}", self.engine.log());
            self.live(Duration::from_millis(20))?;
        }
        Ok(())
    }

    /// The engine shows its state some times a second.
    fn until_waiting(&mut self, n: usize) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while (self.engine.metric("hotline_callers_waiting")? as usize) < n {
            ensure!(Instant::now() < end, "fewer than {n} callers wait");
            self.live(Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Lets everybody act for some time.
    fn live(&mut self, span: Duration) -> Result<()> {
        let end = Instant::now() + span;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            wait(&[&self.carrier, &self.office], left)?;
            for (at, event) in self.office.turn()? {
                self.phone_hears(at, event)?;
            }
            for (_, event) in self.carrier.turn()? {
                self.caller_hears(&event)?;
            }
        }
        Ok(())
    }

    fn phone_hears(&mut self, at: u64, event: Event) -> Result<()> {
        if let Event::Invited(it) = event {
            for key in [&it.request_user, it.from_user.reveal()] {
                if let Some(begin) = self.pending.remove(key) {
                    self.samples.push(at.saturating_sub(begin));
                }
            }
            self.extensions.insert(it.leg, it.request_user.clone());
            self.office.answer(it.leg)?;
        } else if let Event::Confirmed { leg } = event {
            if let Some(extension) = self.extensions.get(&leg) {
                self.talking.push_back((leg, extension.clone()));
            }
        } else if let Event::Ended { leg, .. } = event {
            self.extensions.remove(&leg);
            self.talking.retain(|it| it.0 != leg);
        }
        Ok(())
    }

    fn caller_hears(&mut self, event: &Event) -> Result<()> {
        if let Event::Answered { leg, .. } = event {
            self.callers.insert(*leg);
        } else if let Event::Ended { leg, .. } = event {
            self.callers.remove(leg);
            if self.refill {
                let number = self.number();
                self.carrier.dial(&number)?;
            }
        }
        Ok(())
    }
}
