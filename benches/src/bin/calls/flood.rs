//! Strangers in numbers beside honest callers: what these notice of it.
//!
//! Quiet and flooded spans take turns in one run, so that the machine's other load is in both.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use hotline_benches::load;

use crate::{
    aims::Aims,
    crowd::{Crowd, Seen},
    engine::{Engine, Flows, Setup},
    office::Office,
    overload::memory,
    party::{CARRIER, Party},
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Honest calls a second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// How long each span is, quiet or not.
    #[arg(long, default_value_t = 10)]
    secs: u64,
    /// Pairs of spans.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Strangers' messages a second; unless said, ten times what honest callers and agents send.
    #[arg(long)]
    flood: Option<f64>,
    /// Addresses that the strangers have.
    #[arg(long, default_value_t = 50)]
    strangers: u16,
    #[arg(long, default_value_t = 100)]
    agents: usize,
    /// Fail if an aim is missed.
    #[arg(long)]
    gate: bool,
}

const TALK: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &Args, program: Option<PathBuf>) -> Result<()> {
    let setup = Setup { flows: Flows::Short, agents: args.agents, program, ..Setup::default() };
    let mut engine = Engine::start(&setup)?;
    let office = Office::open(&mut engine, args.agents, TALK)?;
    let mut crowd = Crowd::new(Party::bind(CARRIER, engine.sip)?, 13_900_000_000);
    // What is loaded and remembered once is not the flood's.
    let before = received(&mut engine)?;
    span(args, &mut crowd)?;
    let honest = (received(&mut engine)? - before) / args.secs as f64;
    crowd.take();
    let flood = args.flood.unwrap_or(honest * 10.0);
    println!("honest callers and agents send {honest:.0} messages a second, strangers {flood:.0}");
    println!("{}", memory(&engine));
    let at_first = engine.memory();
    let (mut quiet, mut loud) = (Seen::default(), Seen::default());
    let mut n_sent = 0;
    for round in 1..=args.rounds {
        span(args, &mut crowd)?;
        add(&mut quiet, crowd.take());
        let strangers = Strangers::start(engine.sip, flood, args.strangers)?;
        span(args, &mut crowd)?;
        add(&mut loud, crowd.take());
        n_sent += strangers.stop()?;
        println!("round {round}: load {}", load());
    }
    let grown = engine.memory().saturating_sub(at_first) as f64 / f64::from(1 << 20);
    for (name, seen) in [("quiet", &quiet), ("flooded", &loud)] {
        let [median, p99, most] = Seen::quantiles(&seen.set_up);
        println!(
            "== {name:<8} {} of {} calls complete; set-up p50 {median:.1} p99 {p99:.1} most \
             {most:.1} ms",
            seen.completed, seen.dialled
        );
    }
    thread::sleep(Duration::from_millis(2_500));
    let of = |engine: &mut Engine, what: &str| {
        engine.metric(&format!("hotline_sip_edge_total{{what=\"{what}\"}}"))
    };
    let (n_banned, n_known) = (of(&mut engine, "banned")?, of(&mut engine, "known_over_rate")?);
    println!(
        "== strangers: {n_sent} messages sent, {} dropped as banned, {} over the rate of all",
        of(&mut engine, "banned_dropped")?,
        of(&mut engine, "strangers_over_rate")?,
    );
    let mut aims = Aims::begin();
    let complete = loud.completed as f64 * 100.0 / loud.dialled as f64;
    aims.at_least("honest calls that complete in the flood", complete, 99.9, "%");
    let [[_, calm, _], [_, p99, _]] = [&quiet, &loud].map(|it| Seen::quantiles(&it.set_up));
    aims.at_most("p99 of their set-up, more than in quiet", p99 - calm, 50.0, "ms");
    aims.at_most("memory of control, more than before", grown, 64.0, "MiB");
    // Each sends more than twenty requests in any two seconds.
    let n_strangers = f64::from(args.rounds) * f64::from(args.strangers);
    aims.at_least("strangers' addresses banned", n_banned, n_strangers, "");
    aims.at_most("messages of trunk and telephones not heard", n_known, 0.0, "");
    office.close()?;
    aims.end(args.gate)
}

/// Honest calls for one span, to their ends.
fn span(args: &Args, crowd: &mut Crowd) -> Result<()> {
    crowd.call(args.rate, Duration::from_secs(args.secs))?;
    crowd.settle(Duration::from_secs(15))
}

fn add(sum: &mut Seen, mut it: Seen) {
    sum.dialled += it.dialled;
    sum.completed += it.completed;
    sum.set_up.append(&mut it.set_up);
}

/// Messages that the engine has got. Shown figures are up to two seconds old.
fn received(engine: &mut Engine) -> Result<f64> {
    thread::sleep(Duration::from_millis(2_500));
    engine.metric("hotline_sip_edge_total{what=\"udp_received\"}")
}

/// They send in turn, and never listen.
struct Strangers {
    stop: Arc<AtomicBool>,
    n_sent: Arc<AtomicU64>,
    work: JoinHandle<Result<()>>,
}

impl Strangers {
    fn start(engine: SocketAddr, per_sec: f64, n: u16) -> Result<Self> {
        // Each flood has its own, so that none is banned from the start.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let sockets: Vec<UdpSocket> = (0..n)
            .map(|_| {
                let [.., high, low] = NEXT.fetch_add(1, Relaxed).to_be_bytes();
                UdpSocket::bind((IpAddr::V4(Ipv4Addr::new(127, 9, high, low)), 0))
            })
            .collect::<std::io::Result<_>>()?;
        let (stop, n_sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (told, counted) = (Arc::clone(&stop), Arc::clone(&n_sent));
        let work = thread::spawn(move || {
            let begin = Instant::now();
            while !told.load(Relaxed) {
                let due = (begin.elapsed().as_secs_f64() * per_sec) as u64;
                for n in counted.load(Relaxed)..due {
                    let socket = sockets.get(n as usize % sockets.len());
                    let socket = socket.ok_or_else(|| anyhow!("no strangers"))?;
                    socket.send_to(message(n, socket.local_addr()?, engine).as_bytes(), engine)?;
                }
                counted.fetch_max(due, Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        });
        Ok(Self { stop, n_sent, work })
    }

    fn stop(self) -> Result<u64> {
        self.stop.store(true, Relaxed);
        self.work.join().map_err(|_| anyhow!("the strangers failed"))??;
        Ok(self.n_sent.load(Relaxed))
    }
}

fn message(n: u64, from: SocketAddr, to: SocketAddr) -> String {
    let methods = ["INVITE", "REGISTER", "OPTIONS", "BYE"];
    let method = methods.get(n as usize / 50 % methods.len()).unwrap_or(&"INVITE");
    format!(
        "{method} sip:{n}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{n}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:100@{from}>;tag={n}\r\nTo: <sip:{n}@{to}>\r\n\
         Call-ID: {n}@{from}\r\nCSeq: 1 {method}\r\nContact: <sip:100@{from}>\r\n\
         User-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
    )
}
