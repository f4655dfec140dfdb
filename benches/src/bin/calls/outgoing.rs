//! What a call of two legs costs whose messages can be counted on the fingers: an agent asks for a
//! number, his telephone rings and answers, then the number's does, and it hangs up. INVITE, 100,
//! 180, 200, ACK, BYE and 200 on either leg.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use hotline_base::LegId;
use hotline_benches::{load, spread};
use hotline_sip::{EndWhy, Event};

use crate::{
    engine::{Engine, SIGNALLING, Setup},
    party::{CARRIER, OFFICE, Party, wait},
    wire::Wire,
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls a second, one run each.
    #[arg(long, value_delimiter = ',', default_values_t = [300.0])]
    rates: Vec<f64>,
    /// How long calls are made at that rate.
    #[arg(long, default_value_t = 30)]
    secs: u64,
    #[arg(long, default_value_t = 600)]
    agents: usize,
    /// From the 180 of a telephone to its 200, in milliseconds.
    #[arg(long, default_value_t = 100)]
    ring_ms: u64,
    /// From the ACK to the BYE, in milliseconds.
    #[arg(long, default_value_t = 500)]
    talk_ms: u64,
}

/// Of the figure: seven on either leg.
const MESSAGES: f64 = 14.0;

/// What telephones did until they were stopped.
#[derive(Clone, Copy, Default)]
struct Done {
    /// Calls that a BYE ended, sent or received.
    completed: u64,
    /// That ended in any other way.
    failed: u64,
    n_messages: u64,
}

pub(crate) fn run(args: &Args, program: Option<PathBuf>) -> Result<()> {
    println!("{} s a rate, {} agents", args.secs, args.agents);
    println!(
        "\n  rate  load  calls  failed  messages a call: phone  carrier  \
         us a call: {SIGNALLING}  by threads"
    );
    let mut all = Vec::new();
    for rate in &args.rates {
        all.push(hold(args, *rate, program.clone())?);
    }
    println!("== signalling of {MESSAGES} messages: {} us a call", spread(&all, 0));
    Ok(())
}

/// Microseconds a call of the thread that has the sockets.
fn hold(args: &Args, rate: f64, program: Option<PathBuf>) -> Result<f64> {
    let gateway = Wire::bind(CARRIER)?;
    let setup =
        Setup { agents: args.agents, gateway: Some(gateway.address), program, ..Setup::default() };
    let mut engine = Engine::start(&setup)?;
    let mut office = Party::bind(OFFICE, engine.sip)?;
    office.register(args.agents)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (ring, talk) = (Duration::from_millis(args.ring_ms), Duration::from_millis(args.talk_ms));
    let carrier = Party::on(gateway, engine.sip)?;
    let work = |party, talk| {
        let stop = Arc::clone(&stop);
        thread::spawn(move || work(party, ring, talk, &stop))
    };
    let (office, carrier) = (work(office, None), work(carrier, Some(talk)));
    for n in 0..args.agents {
        engine.command(n, "sign-in")?;
    }

    let before = engine.control_threads()?;
    let n_calls = (rate * args.secs as f64).round() as u64;
    let begin = Instant::now();
    for n in 0..n_calls {
        let due = begin + Duration::from_secs_f64(n as f64 / rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let number = 13_900_000_000 + n;
        let agent = usize::try_from(n)? % args.agents;
        engine.command_with(agent, "dial", &format!("{{\"number\":\"{number}\"}}"))?;
    }
    let took = begin.elapsed().as_secs_f64();
    // The last ring, talk and hang up.
    thread::sleep(ring * 2 + talk + Duration::from_millis(500));
    let after = engine.control_threads()?;
    stop.store(true, Relaxed);
    let join =
        |it: thread::JoinHandle<Result<Done>>| it.join().map_err(|_| anyhow!("it failed"))?;
    let (office, carrier) = (join(office)?, join(carrier)?);
    let done = office.completed.min(carrier.completed);
    ensure!(done > 0, "no call was completed\n{}", engine.log_end());

    let us = |it: Duration| it.as_secs_f64() * 1e6 / done as f64;
    let spent = after.iter().map(|(name, after)| {
        let before = before.get(name).copied().unwrap_or_default();
        (name.as_str(), us(after.saturating_sub(before)))
    });
    let spent: Vec<_> = spent.filter(|it| it.1 >= 1.0).collect();
    let own = spent.iter().find(|it| it.0 == SIGNALLING).map_or(f64::NAN, |it| it.1);
    let threads: Vec<_> = spent.iter().map(|(name, us)| format!("{name} {us:.0}")).collect();
    let [phone, carrier_leg] = [office, carrier].map(|it| it.n_messages as f64 / done as f64);
    println!(
        "{:>6.0} {:>5} {done:>6} {:>7} {phone:>23.2} {carrier_leg:>8.2} {own:>19.0}  {}",
        n_calls as f64 / took,
        load(),
        office.failed + carrier.failed,
        threads.join(", ")
    );
    if done != n_calls || (phone + carrier_leg - MESSAGES).abs() > 0.005 {
        println!("       of {n_calls} calls: not the figure's {MESSAGES} messages each");
    }
    Ok(own)
}

/// Telephones that ring and answer, and hang up after `talk` or wait until the other side does.
fn work(
    mut party: Party,
    ring: Duration,
    talk: Option<Duration>,
    stop: &AtomicBool,
) -> Result<Done> {
    let mut done = Done::default();
    let n_before = party.n_messages();
    let (mut ringing, mut talking) = (VecDeque::new(), VecDeque::new());
    while !stop.load(Relaxed) {
        let fronts = [ringing.front(), talking.front()];
        let next = fronts.into_iter().flatten().map(|it: &(Instant, LegId)| it.0).min();
        let left = next.map(|it| it.saturating_duration_since(Instant::now()));
        let most = Duration::from_millis(50);
        wait(&[&party], left.map_or(most, |it| it.min(most)))?;
        for (_, event) in party.turn()? {
            if let Event::Invited(it) = event {
                party.ring(it.leg)?;
                ringing.push_back((Instant::now() + ring, it.leg));
            } else if let (Event::Confirmed { leg }, Some(talk)) = (&event, talk) {
                talking.push_back((Instant::now() + talk, *leg));
            } else if let Event::Ended { why, .. } = event {
                let well = matches!(why, EndWhy::Bye { .. } | EndWhy::Local);
                *(if well { &mut done.completed } else { &mut done.failed }) += 1;
            }
        }
        while let Some((_, leg)) = ringing.pop_front_if(|it| it.0 <= Instant::now()) {
            party.answer(leg)?;
        }
        while let Some((_, leg)) = talking.pop_front_if(|it| it.0 <= Instant::now()) {
            party.hang_up(leg)?;
        }
    }
    done.n_messages = party.n_messages() - n_before;
    Ok(done)
}
