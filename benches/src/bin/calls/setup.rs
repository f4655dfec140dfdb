//! Processor time of a complete call, and how many a second go without a flaw.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use hotline_benches::{load, spread};

use crate::{
    echo,
    engine::{Engine, Flows, SIGNALLING, Setup, idle, own_cpu},
    office::Office,
    proxy,
    sipp::{self, Counted},
    wire::n_lost,
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, value_enum, default_value = "short")]
    flows: Flows,
    /// Calls a second, one run each, until one is not clean.
    #[arg(long, value_delimiter = ',', default_values_t = [10.0, 25.0, 50.0, 100.0])]
    rates: Vec<f64>,
    /// How long calls come at that rate.
    #[arg(long, default_value_t = 30)]
    secs: u64,
    #[arg(long, default_value_t = 300)]
    agents: usize,
    /// How long an agent stays, in milliseconds; 500, and with all prompts 8000, so that the
    /// announcement of his number is over.
    #[arg(long)]
    talk_ms: Option<u64>,
    /// The agents are scripts of SIPp's, too, instead of robots.
    #[arg(long)]
    sipp: bool,
    /// Go on after a run that was not clean.
    #[arg(long)]
    all: bool,
    /// After each rate, the same rate through Kamailio as a proxy, where it is installed.
    #[arg(long)]
    proxy: bool,
}

/// One rate, held.
struct Run {
    counted: Counted,
    /// What SIPp counted as the agents.
    agents: Option<Counted>,
    /// Calls that had an agent, by the engine's own record.
    answered: u64,
    /// Values that found a channel full, in the engine.
    dropped: u64,
    /// Datagrams that found no room in the sockets of the engine, the callers and the agents.
    lost: [u64; 3],
    /// Turns of the control thread that it called slow, in milliseconds.
    slow: Vec<f64>,
    /// Milliseconds a call: supervisor, control, media.
    cost: [f64; 3],
    /// Microseconds a call of control's threads.
    threads: BTreeMap<String, f64>,
    /// Datagrams a call, in and out.
    datagrams: f64,
    /// Microseconds of the yardstick for a datagram in and one out.
    echo: f64,
    /// Cores that the roles took, that callers and agents took, and that nobody took.
    cores: [f64; 3],
}

/// The callers' last second may be cut anywhere.
const LATE_MAX: Duration = Duration::from_secs(1);

/// How long the yardstick is called.
const PROXY: Duration = Duration::from_secs(10);

const HEADINGS: &str = "  rate  load  calls answered failed resent dropped at once late s   ms/call: \
                        supervisor  control    media    all  datagrams  echo us  control/echo   \
                        cores: engine generator   idle  clean";

pub(crate) fn run(args: &Args, program: Option<PathBuf>) -> Result<()> {
    println!("flows {:?}, {} s a rate, {} agents", args.flows, args.secs, args.agents);
    println!("\n{HEADINGS}");
    let (mut best, mut control, mut ratios) = (None, Vec::new(), Vec::new());
    let mut signalling = Vec::new();
    for rate in &args.rates {
        let it = hold(args, *rate, program.clone())?;
        let wanted = (rate * args.secs as f64).round() as u64;
        let c = it.counted;
        let late = c.created_in.saturating_sub(Duration::from_secs(args.secs));
        let clean = it.agents.is_none_or(|it| it.failed == 0 && it.retransmitted == 0)
            && c.failed == 0
            && c.retransmitted == 0
            && it.dropped == 0
            && late <= LATE_MAX
            && c.succeeded == wanted
            && it.answered == wanted;
        let [supervisor, own, media] = it.cost;
        let [engine, generator, idle] = it.cores;
        let ratio = own * 1_000.0 / (it.echo * it.datagrams / 2.0);
        println!(
            "{rate:>6} {:>5} {:>6} {:>8} {:>6} {:>6} {:>7} {:>7} {:>6} {supervisor:>21.3} \
             {own:>8.3} {media:>8.3} {:>6.3} {:>10.1} {:>8.1} {ratio:>13.1} {engine:>15.2} \
             {generator:>9.2} {idle:>6.2}  {}",
            load(),
            c.succeeded,
            it.answered,
            c.failed,
            c.retransmitted,
            it.dropped,
            c.calls_at_once,
            late.as_secs(),
            supervisor + own + media,
            it.datagrams,
            it.echo,
            if clean { "yes" } else { "NO" }
        );
        it.print_more();
        if args.proxy && proxy::is_there() {
            beside(it.threads.get(SIGNALLING).copied().unwrap_or_default(), *rate)?;
        }
        if clean {
            best = Some(best.map_or(*rate, |it: f64| it.max(*rate)));
            control.push(own);
            signalling.extend(it.threads.get(SIGNALLING));
            ratios.push(ratio);
        } else if !args.all {
            break;
        }
    }
    println!("== highest clean rate: {}", best.map_or("none".to_owned(), |it| format!("{it}/s")));
    println!(
        "== control: {} ms a call, {} times the echo of its datagrams",
        spread(&control, 2),
        spread(&ratios, 1)
    );
    println!(
        "== signalling: {} us a call of the thread that has the sockets",
        spread(&signalling, 0)
    );
    Ok(())
}

impl Run {
    /// What stands below its row.
    fn print_more(&self) {
        if let Some(it) = self.agents {
            let Counted { succeeded, failed, retransmitted, .. } = it;
            println!(
                "       sipp as the agents: {succeeded} scripts done, questions of the registrar \
                 among them, {failed} failed, {retransmitted} messages said again"
            );
        }
        let threads = self.threads.iter().filter(|it| *it.1 >= 1.0);
        let threads: Vec<_> = threads.map(|(name, us)| format!("{name} {us:.0}")).collect();
        println!("       control by threads, us a call: {}", threads.join(", "));
        let [at_engine, at_callers, at_agents] = self.lost;
        println!(
            "       datagrams lost for want of room: engine {at_engine}, callers {at_callers}, \
             agents {at_agents}; slow turns: {}, longest {:.1} ms",
            self.slow.len(),
            self.slow.iter().copied().fold(0.0, f64::max)
        );
    }
}

/// Beside what Kamailio takes for a call.
fn beside(own: f64, rate: f64) -> Result<()> {
    let Some(proxy) = proxy::measure(rate, PROXY)? else {
        println!("       kamailio as a proxy: it lost more than one call in a hundred");
        return Ok(());
    };
    let proxy = proxy.as_secs_f64() * 1e6;
    let part = own / proxy;
    println!(
        "       kamailio as a proxy: {proxy:.0} us a call; {SIGNALLING} takes {part:.2} of it (aim \
         {:.2})",
        proxy::AIM
    );
    Ok(())
}

/// Who answers.
enum Desks {
    Robots(Office),
    Scripts(SocketAddr, sipp::Agents),
}

impl Desks {
    const fn address(&self) -> SocketAddr {
        match self {
            Self::Robots(it) => it.address,
            Self::Scripts(at, _) => *at,
        }
    }

    /// What they took beside this process.
    fn cpu(&self) -> Result<Duration> {
        match self {
            Self::Robots(_) => Ok(Duration::ZERO),
            Self::Scripts(_, it) => it.cpu(),
        }
    }

    fn close(self) -> Result<Option<Counted>> {
        match self {
            Self::Robots(it) => it.close().map(|()| None),
            Self::Scripts(_, it) => it.leave().map(Some),
        }
    }
}

fn hold(args: &Args, rate: f64, program: Option<PathBuf>) -> Result<Run> {
    let setup = Setup { flows: args.flows, agents: args.agents, program, ..Setup::default() };
    let mut engine = Engine::start(&setup)?;
    let usual = if args.flows == Flows::Full { 8_000 } else { 500 };
    let talk = Duration::from_millis(args.talk_ms.unwrap_or(usual));
    let office = Office::open(&mut engine, args.agents, talk)?;
    let office = if args.sipp {
        let at = office.address;
        office.close()?;
        Desks::Scripts(at, sipp::Agents::come(at, engine.folder.path(), talk)?)
    } else {
        Desks::Robots(office)
    };
    // Shown figures are up to two seconds old.
    let datagrams = |engine: &mut Engine| {
        thread::sleep(Duration::from_millis(2_500));
        engine.metric("hotline_sip_edge_total{what=\"udp_")
    };
    let n_before = datagrams(&mut engine)?;
    let (begin, before) = (Instant::now(), engine.cpu()?);
    let threads_before = engine.control_threads()?;
    let (own_before, idle_before) = (own_cpu()?, idle()?);
    let span = Duration::from_secs(args.secs);
    let counted = sipp::call(engine.sip, engine.folder.path(), args.flows, (rate, span));
    let (after, took) = (engine.cpu()?, begin.elapsed());
    let threads = engine.control_threads()?;
    let own = own_cpu()?.saturating_sub(own_before) + office.cpu()?;
    let idle = idle()?.saturating_sub(idle_before);
    let (at_engine, at_agents) = (n_lost(engine.sip)?, n_lost(office.address())?);
    let agents = office.close()?;
    let counted = counted?;
    let n_calls = counted.succeeded.max(1) as f64;
    let spent = [0, 1, 2].map(|it| {
        let of = |times: &[Duration; 3]| times.get(it).copied().unwrap_or_default();
        of(&after).saturating_sub(of(&before)).as_secs_f64()
    });
    let since = |(name, spent): (String, Duration)| {
        let spent = spent.saturating_sub(threads_before.get(&name).copied().unwrap_or_default());
        (name, spent.as_secs_f64() * 1e6 / n_calls)
    };
    let threads = threads.into_iter().map(since).collect();
    let per_call = (datagrams(&mut engine)? - n_before) / n_calls;
    let dropped = engine.metric("hotline_dropped_total")?;
    let answered = until_recorded(&mut engine, counted.succeeded)?;
    let slow = slow_turns(&engine.log());
    drop(engine);
    let echo = echo::measure(rate * per_call / 2.0, Duration::from_secs(3))?;
    Ok(Run {
        counted,
        agents,
        answered,
        dropped: dropped as u64,
        lost: [at_engine, counted.lost, at_agents],
        slow,
        cost: spent.map(|it| it * 1_000.0 / n_calls),
        threads,
        datagrams: per_call,
        echo: echo.as_secs_f64() * 1e6,
        cores: [spent.iter().sum::<f64>(), own.as_secs_f64(), idle.as_secs_f64()]
            .map(|it| it / took.as_secs_f64()),
    })
}

/// What the engine says of turns that took more than 5 ms.
fn slow_turns(log: &str) -> Vec<f64> {
    let micros = log.lines().filter_map(|it| {
        let (_, rest) = it.split_once("took_us=")?;
        rest.split(|it: char| !it.is_ascii_digit()).next()?.parse::<f64>().ok()
    });
    micros.map(|it| it / 1e3).collect()
}

/// Complete records of calls that had an agent. A record waits for its recording.
fn until_recorded(engine: &mut Engine, n: u64) -> Result<u64> {
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        let answered = engine.metric("hotline_wait_duration_seconds_count")? as u64;
        if answered >= n || Instant::now() >= end {
            return Ok(answered);
        }
        thread::sleep(Duration::from_millis(200));
    }
}
