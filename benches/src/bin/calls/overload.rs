//! Three times what the engine bears: what gets through, how fast the others are told, and what
//! the calls in it notice.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use hotline_benches::load;

use crate::{
    crowd::{Crowd, Seen},
    engine::{Engine, Flows, Setup},
    office::{GUESTS_FROM, Office},
    party::{CARRIER, Party},
    throng::Throng,
    wire::n_lost,
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls a second, one after the other, until one is not clean: the last clean one is the
    /// rated figure.
    #[arg(long, value_delimiter = ',', default_values_t =
        [50.0, 75.0, 100.0, 150.0, 200.0, 250.0, 300.0, 350.0, 400.0, 450.0, 500.0, 550.0, 600.0])]
    rates: Vec<f64>,
    /// The rated figure, where it is known: nothing is looked for.
    #[arg(long)]
    rated: Option<f64>,
    /// How long each of these is held.
    #[arg(long, default_value_t = 8)]
    rate_secs: u64,
    /// How long the overload lasts.
    #[arg(long, default_value_t = 120)]
    secs: u64,
    #[arg(long, default_value_t = 3.0)]
    times: f64,
    #[arg(long, default_value_t = 600)]
    agents: usize,
}

/// Talks that last the whole run.
const GUESTS: usize = 20;

const TALK: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &Args, program: Option<PathBuf>) -> Result<()> {
    let setup =
        Setup { flows: Flows::Short, agents: args.agents, acw_manual: false, taken: None, program };
    let mut engine = Engine::start(&setup)?;
    let office = Office::open(&mut engine, args.agents, TALK)?;
    let guests = Guests::begin(engine.sip)?;
    let n_guests = guests.n_talking();
    ensure!(n_guests == GUESTS, "{n_guests} are in a talk\n{}", engine.log());

    let mut crowd = Throng::new(engine.sip)?;
    println!("\n phase      rate  load  dialled completed refused failed  per s   {HEAD}");
    let mut rated = args.rated;
    for rate in args.rates.iter().filter(|_| args.rated.is_none()) {
        let seen = phase(&mut crowd, "ramp", *rate, args.rate_secs)?;
        let n = seen.dialled;
        if seen.refused + seen.failed > 0 || seen.completed < n {
            break;
        }
        rated = Some(n as f64 / args.rate_secs as f64);
    }
    let rated = rated.ok_or_else(|| anyhow!("no rate is clean"))?;
    let cpu = engine.cpu()?;
    let seen = phase(&mut crowd, "overload", rated * args.times, args.secs)?;
    let spent: f64 = engine
        .cpu()?
        .iter()
        .zip(cpu)
        .map(|(after, before)| after.saturating_sub(before).as_secs_f64())
        .sum();
    let first = phase(&mut crowd, "after", rated * 0.8, 5)?;
    let later = phase(&mut crowd, "normal", rated * 0.8, 10)?;

    let goodput = seen.completed as f64 / args.secs as f64;
    let [_, p99, most] = Seen::quantiles(&seen.refusal);
    println!("== rated {rated:.0}/s; at {} times that for {} s:", args.times, args.secs);
    println!("== goodput {:.1} % of rated ({goodput:.0}/s)", goodput * 100.0 / rated);
    println!("== refusals: p99 {p99:.0} ms, longest {most:.0} ms");
    println!(
        "== refused in the first 5 s after it: {}, in the 10 s after these: {}",
        first.refused, later.refused
    );
    println!("== engine: {:.2} cores; {}", spent / args.secs as f64, memory(&engine));
    println!(
        "== INVITEs said again: {}; datagrams lost at the engine's socket {}, above the rate of a \
         trunk {}, at the callers' {}",
        crowd.n_repeated,
        n_lost(engine.sip)?,
        engine.metric("hotline_sip_edge_total{what=\"known_over_rate\"}")?,
        crowd.n_lost()?,
    );
    let still = guests.n_talking();
    guests.hang_up()?;
    println!("== talks in progress: {n_guests} before, {still} after");
    office.close()
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

fn phase(crowd: &mut Throng, name: &str, rate: f64, secs: u64) -> Result<Seen> {
    crowd.call(rate, Duration::from_secs(secs))?;
    // What completes within the span counts, and what it began may end after it.
    let within = crowd.seen.completed;
    let per_sec = within as f64 / secs as f64;
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
    Ok(Seen { completed: if name == "overload" { within } else { seen.completed }, ..seen })
}

/// Resident memory of control.
pub(crate) fn memory(engine: &Engine) -> String {
    format!("control {:.0} MiB resident", engine.memory() as f64 / f64::from(1 << 20))
}
