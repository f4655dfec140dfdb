//! Three times what the engine bears: what gets through, how fast the others are told, and what
//! the calls in it notice.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail, ensure};
use hotline_benches::load;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::{
    aims::Aims,
    crowd::{Crowd, Seen},
    engine::{Engine, Flows, Setup},
    late::Watch,
    office::{GUESTS_FROM, Office},
    party::{CARRIER, Party},
    throng::Throng,
    wire::n_lost,
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls a second with which the search for the highest clean rate begins.
    #[arg(long, default_value_t = 400.0)]
    from: f64,
    /// The rated figure, where it is known: nothing is looked for.
    #[arg(long)]
    rated: Option<f64>,
    /// How long each rate of the search is held.
    #[arg(long, default_value_t = 8)]
    rate_secs: u64,
    /// How long the rated figure is held. Longer than the 32 s for which a transaction is
    /// remembered: only then does each call also cost what is forgotten of an earlier one.
    #[arg(long, default_value_t = 45)]
    hold_secs: u64,
    /// How long the overload lasts.
    #[arg(long, default_value_t = 120)]
    secs: u64,
    #[arg(long, default_value_t = 3.0)]
    times: f64,
    #[arg(long, default_value_t = 1_500)]
    agents: usize,
    /// The engine alone on the first core, callers and agents on the second: what they take is not
    /// taken from it.
    #[arg(long)]
    apart: bool,
    /// How busy a media worker may be, in percent (`busy_max_percent`).
    #[arg(long)]
    busy_max: Option<u8>,
    /// Fail if an aim is missed.
    #[arg(long)]
    gate: bool,
}

/// What a refusal may take, in milliseconds.
pub(crate) const REFUSAL_MAX_MS: f64 = 200.0;

/// The search ends when a clean rate and one that is not are as near as this.
const FINE: f64 = 0.05;

const GAPS: &str = "hotline_recording_gaps_total";

/// Talks that last the whole run.
const GUESTS: usize = 20;

const TALK: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &Args, program: Option<PathBuf>) -> Result<()> {
    let (flows, agents, busy_max) = (Flows::Short, args.agents, args.busy_max);
    let setup = Setup { flows, agents, busy_max, program, ..Setup::default() };
    if args.apart {
        stay_on(0)?;
    }
    let mut engine = Engine::start(&setup)?;
    if args.apart {
        stay_on(1)?;
    }
    let office = Office::open(&mut engine, args.agents, TALK)?;
    let guests = Guests::begin(engine.sip)?;
    let n_guests = guests.n_talking();
    ensure!(n_guests == GUESTS, "{n_guests} are in a talk\n{}", engine.log());

    let mut crowd = Throng::new(engine.sip)?;
    println!("\n phase      rate  load  dialled completed refused failed  per s   {HEAD}");
    let rated = match args.rated {
        Some(it) => it,
        None => find_rated(args, &mut engine, &mut crowd)?,
    };
    let (cpu, n_slow) = (spent(&engine)?, n_slow_turns(&engine));
    let n_gaps = engine.metric(GAPS)?;
    let watch = Watch::begin(engine.control_thread()?);
    let (seen, within) = phase(&mut engine, &mut crowd, "overload", rated * args.times, args.secs)?;
    let (watched, cpu) = (watch.end()?, spent(&engine)? - cpu);
    let n_slow = n_slow_turns(&engine) - n_slow;
    let (first, _) = phase(&mut engine, &mut crowd, "after", rated * 0.8, 5)?;
    let (later, _) = phase(&mut engine, &mut crowd, "normal", rated * 0.8, 10)?;
    let still = guests.n_talking();

    println!("== rated {rated:.0}/s; at {} times that for {} s:", args.times, args.secs);
    watched.explain(&seen.late);
    println!(
        "== refusals that took too long: {}; cores were away for {:.0} ms in all; turns of control \
         of 5 ms and more: {n_slow}; refused in the first 5 s after it: {}",
        seen.late.len(),
        watched.away().as_secs_f64() * 1e3,
        first.refused
    );
    println!("== engine: {:.2} cores; {}", cpu / args.secs as f64, memory(&engine));
    println!(
        "== INVITEs said again: {}; datagrams lost at the engine's socket {}, above the rate of a \
         trunk {}, at the callers' {}",
        crowd.n_repeated,
        n_lost(engine.sip)?,
        engine.metric("hotline_sip_edge_total{what=\"known_over_rate\"}")?,
        crowd.n_lost()?,
    );
    let n_gaps = engine.metric(GAPS)? - n_gaps;
    println!("== recordings since the start: {}", engine.counts("hotline_recordings_total")?);
    println!("== refused by the engine: {}", engine.counts("hotline_calls_refused_total")?);
    let mut aims = Aims::begin();
    let of_rated = |n: u64| n as f64 / args.secs as f64 / rated;
    // What the callers themselves cannot say is not asked of the engine.
    aims.at_least("calls, times those rated", of_rated(seen.dialled), args.times * 0.97, "");
    aims.at_least("completed, of those rated", of_rated(within) * 100.0, 90.0, "%");
    let [_, p99, most] = Seen::quantiles(&seen.refusal);
    aims.at_most("refusals, 99 of 100", p99, REFUSAL_MAX_MS, "ms");
    aims.at_most("refusals, all", most, REFUSAL_MAX_MS, "ms");
    let ours = watched.latest_of_ours(&seen.late).unwrap_or(most.min(REFUSAL_MAX_MS));
    aims.at_most("refusals, all while no core was away", ours, REFUSAL_MAX_MS, "ms");
    if still < n_guests {
        println!("{}", engine.log_end());
    }
    let n_failed = seen.dialled - seen.completed - seen.refused;
    aims.at_most("calls taken that failed", n_failed as f64, 0.0, "");
    aims.at_most("talks lost of those in progress", (n_guests - still) as f64, 0.0, "");
    aims.at_most("gaps in recordings", n_gaps, 0.0, "");
    let unwell = later.dialled - later.completed;
    aims.at_most("calls that failed 5 to 15 s after it", unwell as f64, 0.0, "");
    guests.hang_up()?;
    office.close()?;
    aims.end(args.gate)
}

/// Seconds of the processors that all roles have taken.
fn spent(engine: &Engine) -> Result<f64> {
    Ok(engine.cpu()?.iter().map(Duration::as_secs_f64).sum())
}

/// Turns of which the engine said that they kept everybody waiting.
fn n_slow_turns(engine: &Engine) -> usize {
    engine.log().matches("A turn of the control thread was slow.").count()
}

/// The highest rate at which every call completes, and goes on to: twice as many until some do not,
/// then between these two.
fn find_rated(args: &Args, engine: &mut Engine, crowd: &mut Throng) -> Result<f64> {
    let (mut clean, mut rate, mut bad) = (0.0, args.from, f64::INFINITY);
    while bad - clean > clean * FINE {
        ensure!(rate >= 1.0, "no rate is clean\n{}", engine.log_end());
        let (seen, _) = phase(engine, crowd, "search", rate, args.rate_secs)?;
        if is_clean(&seen, rate, args.rate_secs) {
            clean = rate;
        } else {
            bad = rate;
            calm(engine, crowd)?;
        }
        rate = if bad.is_finite() { f64::midpoint(clean, bad) } else { clean * 2.0 };
    }
    loop {
        let (seen, _) = phase(engine, crowd, "hold", clean, args.hold_secs)?;
        if is_clean(&seen, clean, args.hold_secs) {
            return Ok(seen.dialled as f64 / args.hold_secs as f64);
        }
        calm(engine, crowd)?;
        clean *= 1.0 - FINE;
        ensure!(clean >= 1.0, "no rate is clean\n{}", engine.log_end());
    }
}

/// Whether all completed, and as many called as should.
fn is_clean(it: &Seen, rate: f64, secs: u64) -> bool {
    let all = it.refused + it.failed == 0 && it.completed == it.dialled;
    all && it.dialled as f64 >= rate * secs as f64 * 0.98
}

/// Until nobody is refused any more: a rate must not suffer for the one before it.
fn calm(engine: &mut Engine, crowd: &mut Throng) -> Result<()> {
    for _ in 0..30 {
        crowd.call(20.0, Duration::from_secs(1))?;
        if engine.metric("hotline_overload_calls_per_second")? == 0.0 {
            crowd.settle(Duration::from_secs(15))?;
            crowd.take();
            return Ok(());
        }
    }
    bail!("the overload goes on\n{}", engine.log_end())
}

/// Callers who talk all the time, in a thread of their own.
struct Guests {
    stop: Arc<AtomicBool>,
    n_talking: Arc<AtomicUsize>,
    work: JoinHandle<Result<()>>,
}

impl Guests {
    fn begin(engine: SocketAddr) -> Result<Self> {
        let mut crowd = Crowd::new(Party::bind(CARRIER, engine)?, GUESTS_FROM);
        crowd.call(20.0, Duration::from_millis(GUESTS as u64 * 50))?;
        let end = Instant::now() + Duration::from_secs(10);
        while crowd.n_talking() < GUESTS && Instant::now() < end {
            crowd.hear(Duration::from_millis(50))?;
        }
        let (stop, n_talking) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        n_talking.store(crowd.n_talking(), Relaxed);
        let (told, shown) = (Arc::clone(&stop), Arc::clone(&n_talking));
        let work = thread::spawn(move || {
            while !told.load(Relaxed) {
                crowd.speak()?;
                crowd.hear(Duration::from_millis(200))?;
                shown.store(crowd.n_talking(), Relaxed);
            }
            crowd.hang_up()?;
            crowd.settle(Duration::from_secs(10))
        });
        Ok(Self { stop, n_talking, work })
    }

    fn n_talking(&self) -> usize {
        self.n_talking.load(Relaxed)
    }

    fn hang_up(self) -> Result<()> {
        self.stop.store(true, Relaxed);
        self.work.join().map_err(|_| anyhow!("the guests failed"))?
    }
}

const HEAD: &str = "set-up ms: p50    p99   most   refusal ms: p50    p99   most";

/// What became of its calls, and how many of them completed within it.
fn phase(
    engine: &mut Engine,
    crowd: &mut Throng,
    name: &str,
    rate: f64,
    secs: u64,
) -> Result<(Seen, u64)> {
    let before = Inside::look(engine)?;
    crowd.call(rate, Duration::from_secs(secs))?;
    let within = crowd.seen.completed;
    let per_sec = within as f64 / secs as f64;
    let inside = Inside::look(engine)?.since(&before);
    crowd.settle(Duration::from_secs(15))?;
    let seen = crowd.take();
    let shown = |all: &[f64]| {
        let [median, p99, most] = Seen::quantiles(all);
        format!("{median:>6.1} {p99:>6.1} {most:>6.1}")
    };
    println!(
        " {name:<8} {rate:>6.0} {:>5} {:>8} {:>9} {:>7} {:>6} {per_sec:>6.0}   \
         {:>28}   {:>29}",
        load(),
        seen.dialled,
        seen.completed,
        seen.refused,
        seen.failed,
        shown(&seen.set_up),
        shown(&seen.refusal),
    );
    println!("          {}", inside.told(secs));
    Ok((seen, within))
}

/// What the engine says of itself: whoever calls is late himself on a busy machine.
struct Inside {
    /// Of the thread that decides: on a processor, and kept from one.
    ran: Duration,
    kept: Duration,
    /// How long they waited for their turn.
    calls: Vec<(f64, f64)>,
    others: Vec<(f64, f64)>,
}

impl Inside {
    fn look(engine: &mut Engine) -> Result<Self> {
        let of = |it: &BTreeMap<String, Duration>| it.get("control").copied().unwrap_or_default();
        let ran = of(&engine.control_threads()?);
        let kept = of(&engine.control_threads_waited()?);
        let mut waits =
            |what| engine.histogram("hotline_sip_wait_seconds", &format!("what=\"{what}\""));
        Ok(Self { ran, kept, calls: waits("new_call")?, others: waits("other")? })
    }

    fn since(&self, before: &Self) -> Self {
        let less = |now: &[(f64, f64)], before: &[(f64, f64)]| {
            now.iter().zip(before).map(|(now, before)| (now.0, now.1 - before.1)).collect()
        };
        Self {
            ran: self.ran.saturating_sub(before.ran),
            kept: self.kept.saturating_sub(before.kept),
            calls: less(&self.calls, &before.calls),
            others: less(&self.others, &before.others),
        }
    }

    fn told(&self, secs: u64) -> String {
        let percent = |it: Duration| it.as_secs_f64() * 100.0 / secs as f64;
        let wait = |all: &[(f64, f64)]| {
            let n = all.last().map_or(0.0, |it| it.1);
            let end = |share: f64| all.iter().find(|it| it.1 >= n * share);
            [0.5, 0.99, 1.0].map(|it| end(it).map_or(f64::NAN, |it| it.0 * 1e3))
        };
        let (calls, others) = (wait(&self.calls), wait(&self.others));
        format!(
            "inside: control ran {:.0} % and was kept waiting {:.0} %; waits for a turn, p50 p99 most, \
             at most: new calls {calls:?} ms, others {others:?} ms",
            percent(self.ran),
            percent(self.kept),
        )
    }
}

/// This thread and those that it starts run on this core only.
fn stay_on(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Resident memory of control.
pub(crate) fn memory(engine: &Engine) -> String {
    format!("control {:.0} MiB resident", engine.memory() as f64 / f64::from(1 << 20))
}
