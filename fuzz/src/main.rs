//! `cargo run --profile fuzz -p hotline-fuzz -- run`: spoils inputs, and fails when one of them
//! makes the code panic, takes longer than 10 ms or holds more than 1 MiB.

#![expect(clippy::print_stdout, reason = "a report for the terminal")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, Subcommand};
use hotline_base::Random;
use hotline_fuzz::{
    TARGETS, Target, corpus,
    meter::{self, Cost},
    mutate::mutate,
    target,
};

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Replays the corpus, then spoils it for a while; two targets at a time.
    Run {
        /// All, when none is named.
        targets: Vec<String>,
        #[arg(long, default_value_t = 60)]
        secs: u64,
        /// The same seed makes the same inputs in the same order.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Writes inputs that led somewhere new into this directory.
        #[arg(long)]
        keep: Option<PathBuf>,
    },
    /// Runs single files.
    Replay { target: String, files: Vec<PathBuf> },
}

fn main() -> Result<()> {
    match Args::parse().what {
        What::Run { targets, secs, seed, keep } => {
            let found: Result<Vec<Target>> = targets.iter().map(|it| named(it)).collect();
            let found = if targets.is_empty() { TARGETS.to_vec() } else { found? };
            let run = Run { span: Duration::from_secs(secs), seed, keep };
            for pair in found.chunks(2) {
                let failed = thread::scope(|scope| {
                    let all: Vec<_> = pair.iter().map(|it| scope.spawn(|| run.fuzz(*it))).collect();
                    all.into_iter()
                        .map(|it| it.join().unwrap_or_else(|_| bail!("the fuzzer itself failed")))
                        .collect::<Result<Vec<()>>>()
                });
                failed?;
            }
            Ok(())
        }
        What::Replay { target, files } => {
            let target = named(&target)?;
            for file in files {
                let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
                let cost = check(target, &bytes).with_context(|| file.display().to_string())?;
                println!("{}: {} bytes, {}", file.display(), bytes.len(), shown(cost));
            }
            Ok(())
        }
    }
}

fn named(name: &str) -> Result<Target> {
    let all = TARGETS.map(|it| it.name).join(", ");
    target(name).with_context(|| format!("no target is called {name}; there are {all}"))
}

struct Run {
    span: Duration,
    seed: u64,
    keep: Option<PathBuf>,
}

/// Inputs that led somewhere new and are spoilt further.
const POOL_MAX: usize = 4_096;

impl Run {
    fn fuzz(&self, target: Target) -> Result<()> {
        let mut pool: Vec<Vec<u8>> = Vec::new();
        let (mut seen, mut worst) = (BTreeSet::new(), Cost::default());
        for it in corpus::of(target.name)? {
            let (trace, cost) = meter::fairly(|| (target.run)(&it.bytes));
            let trace = trace.with_context(|| format!("{} panics", it.name))?;
            ensure!(!cost.is_too_high(), "{}: {}", it.name, shown(cost));
            worst = worst.max(cost);
            seen.insert(trace);
            pool.push(it.bytes);
        }
        let n_corpus = pool.len();
        ensure!(n_corpus > 0, "{} has no corpus", target.name);
        let mut random = Random::new(self.seed);
        let (begin, mut n) = (Instant::now(), 0_u64);
        while begin.elapsed() < self.span {
            let pick = |random: &mut Random| {
                usize::try_from(random.below(pool.len() as u64)).unwrap_or_default()
            };
            let (at, with) = (pick(&mut random), pick(&mut random));
            let (Some(input), Some(other)) = (pool.get(at), pool.get(with)) else { break };
            let input = mutate(input, other, target.words, target.longest, &mut random);
            n += 1;
            let (trace, cost) = meter::fairly(|| (target.run)(&input));
            worst = worst.max(cost);
            let Some(trace) = trace.filter(|_| !cost.is_too_high()) else {
                return self.found(target, &input, cost, n);
            };
            if seen.insert(trace) {
                self.keep(target, &input, trace)?;
                if pool.len() < POOL_MAX {
                    pool.push(input);
                } else {
                    let at = usize::try_from(random.below(POOL_MAX as u64)).unwrap_or_default();
                    // What is committed stays.
                    if let Some(it) = pool.get_mut(at.max(n_corpus)) {
                        *it = input;
                    }
                }
            }
        }
        println!(
            "{}: {n_corpus} in the corpus, {n} spoilt in {} s, {} ways; at most {}",
            target.name,
            begin.elapsed().as_secs(),
            seen.len(),
            shown(worst)
        );
        Ok(())
    }

    fn keep(&self, target: Target, input: &[u8], trace: u64) -> Result<()> {
        let Some(folder) = &self.keep else { return Ok(()) };
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(format!("{trace:016x}")), input)?)
    }

    fn found(&self, target: Target, input: &[u8], cost: Cost, n: u64) -> Result<()> {
        let folder = Path::new("target/fuzz-found");
        fs::create_dir_all(folder)?;
        let file = folder.join(format!("{}-{}-{n}", target.name, self.seed));
        fs::write(&file, input)?;
        bail!(
            "{0}: input {n} of seed {1} panics or costs {2}. It stands in {3}; again with\n\
             cargo run --profile fuzz -p hotline-fuzz -- replay {0} {3}",
            target.name,
            self.seed,
            shown(cost),
            file.display()
        )
    }
}

fn check(target: Target, bytes: &[u8]) -> Result<Cost> {
    let (trace, cost) = meter::fairly(|| (target.run)(bytes));
    ensure!(trace.is_some(), "it panics");
    ensure!(!cost.is_too_high(), "it costs {}", shown(cost));
    Ok(cost)
}

fn shown(it: Cost) -> String {
    format!("{:.3} ms and {} KiB", it.cpu.as_secs_f64() * 1e3, it.bytes.div_ceil(1024))
}
