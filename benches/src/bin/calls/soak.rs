//! Short calls without end: each is answered, hears a menu, says something, presses a key, and hangs
//! up or is led to an agent, who is recorded. When all is quiet, what is left of them?

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hotline_base::LegId;
use hotline_benches::load;
use hotline_sip::{EndWhy, Event};

use crate::{
    census::{Held, ROLES, files},
    engine::{Engine, Flows, Setup},
    office::Office,
    party::{CARRIER, Party, wait},
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Calls in all.
    #[arg(long, default_value_t = 200_000)]
    calls: u64,
    /// Calls after which it is looked at for the first time.
    #[arg(long, default_value_t = 10_000)]
    first: u64,
    /// Calls of a piece, after which it rests and is looked at.
    #[arg(long, default_value_t = 100_000)]
    piece: u64,
    /// Calls a second. The first look should see what 32 s of them leave behind, as all later ones do.
    #[arg(long, default_value_t = 300.0)]
    rate: f64,
    /// Of so many calls one goes to an agent and is recorded.
    #[arg(long, default_value_t = 10)]
    recorded: u64,
    /// So few that what is kept for each of them, 256 events, is kept by the first look.
    #[arg(long, default_value_t = 20)]
    agents: usize,
    /// After so many minutes no call begins, and what was called is judged.
    #[arg(long, default_value_t = 15)]
    minutes: u64,
    /// Seconds of quiet before each look: transactions and quarantined ports end in them.
    #[arg(long, default_value_t = 40)]
    idle: u64,
    /// Fail if something is left.
    #[arg(long)]
    gate: bool,
}

/// From the answer to the key, and to the hang-up.
const KEY_AFTER: Duration = Duration::from_millis(300);
const TALK: Duration = Duration::from_millis(700);

/// How long an agent talks.
const WITH_AGENT: Duration = Duration::from_millis(200);

/// Between two packets of a caller.
const PACKET: Duration = Duration::from_millis(100);

/// Callers come again: what is kept of a number is no leak.
const NUMBERS: u64 = 5_000;

/// Calls between two looks at the memory on the way.
const STEP: u64 = 10_000;

/// Memory of a role after all calls, as a multiple of that after the first.
const GROWTH_MAX: f64 = 1.10;

/// Handles that come and go by themselves, such as a file of the database that is opened when it is
/// needed first.
const HANDLES_MORE: usize = 4;

/// One who is in a call.
struct Caller {
    since: Instant,
    sdp: String,
    n_packets: u16,
    key: u8,
    pressed: bool,
    left: bool,
}

struct World {
    party: Party,
    dialled: u64,
    /// Of so many one goes to an agent.
    recorded: u64,
    /// Who has no answer yet, and the how-manieth he is.
    calling: BTreeMap<LegId, u64>,
    talking: BTreeMap<LegId, Caller>,
    completed: u64,
    by_agent: u64,
    /// By 503: more calls than the engine takes on this machine.
    refused: u64,
    failed: u64,
}

pub(crate) fn run(args: &Args, program: Option<PathBuf>) -> Result<()> {
    let begin = Instant::now();
    let last = begin + Duration::from_mins(args.minutes);
    let setup = Setup { flows: Flows::Keys, agents: args.agents, program, ..Setup::default() };
    let mut engine = Engine::start(&setup)?;
    let office = Office::open(&mut engine, args.agents, WITH_AGENT)?;
    let mut world = World {
        party: Party::bind(CARRIER, engine.sip)?,
        dialled: 0,
        recorded: args.recorded,
        calling: BTreeMap::new(),
        talking: BTreeMap::new(),
        completed: 0,
        by_agent: 0,
        refused: 0,
        failed: 0,
    };
    world.call(args, args.first.min(args.calls), last)?;
    let first = look(&mut engine, &mut world, args)?;
    let mut piece_ends = args.piece;
    // What rises all the way leaks; what is kept up to a bound stops.
    while world.dialled < args.calls && Instant::now() < last {
        world.call(args, (world.dialled + STEP).min(args.calls), last)?;
        let mib: Vec<_> = engine.roles.iter().map(|it| Held::of(*it)).collect::<Result<_>>()?;
        let mib = mib.iter().map(|it| format!("{:.1}", it.own as f64 / 1_048_576.0));
        let mib = mib.collect::<Vec<_>>().join(", ");
        println!("  on the way, {} calls: {mib} MiB of the roles' own", world.dialled);
        if (piece_ends..args.calls).contains(&world.dialled) {
            look(&mut engine, &mut world, args)?;
            piece_ends += args.piece;
        }
    }
    let end = look(&mut engine, &mut world, args)?;

    let n_sealed = engine.metric("hotline_recordings_total{what=\"sealed\"}")?;
    println!("\n== {} of {} calls, {n_sealed} recordings sealed", world.dialled, args.calls);
    let mut left = 0;
    let mut complain = |role: &str, bad: bool, what: &str| {
        left += usize::from(bad);
        println!("   {role:10} {what:60} {}", if bad { "MISSED" } else { "met" });
    };
    let files = format!("files of the spool: {}, then {}", first.spooled, end.spooled);
    complain("control", end.spooled > first.spooled, &files);
    for (role, (first, end)) in ROLES.into_iter().zip(first.roles.iter().zip(&end.roles)) {
        let growth = end.resident as f64 / first.resident as f64;
        complain(role, growth > GROWTH_MAX, &format!("memory {growth:.3} of that after the first"));
        for kind in ["socket", "memfd"] {
            let (n, before) = (end.of_kind(kind), first.of_kind(kind));
            complain(role, n > before, &format!("{kind} handles: {before}, then {n}"));
        }
        let (n, before) = (end.n_handles(), first.n_handles());
        complain(role, n > before + HANDLES_MORE, &format!("handles: {before}, then {n}"));
        let (n, before) = (end.threads, first.threads);
        complain(role, n > before, &format!("threads: {before}, then {n}"));
    }
    ensure!(n_sealed > 0.0 || args.recorded > args.calls, "nothing was recorded");
    let n_failed = world.failed;
    ensure!(n_failed * 1_000 <= world.dialled, "{n_failed} calls failed\n{}", engine.log_end());
    ensure!(
        world.refused * 100 <= world.dialled,
        "not judged: {} calls were refused, which is too many for this machine: try a lower --rate",
        world.refused
    );
    ensure!(!args.gate || left == 0, "something is left of the calls");
    office.close()
}

struct Look {
    roles: Vec<Held>,
    /// Files of the spool.
    spooled: usize,
}

/// Waits for quiet, and counts.
fn look(engine: &mut Engine, world: &mut World, args: &Args) -> Result<Look> {
    let end = Instant::now() + Duration::from_mins(1);
    while !world.talking.is_empty() || !world.calling.is_empty() {
        ensure!(Instant::now() < end, "calls do not end\n{}", engine.log_end());
        world.turn(Duration::from_millis(20))?;
    }
    let end = Instant::now() + Duration::from_secs(args.idle);
    while Instant::now() < end {
        world.turn(Duration::from_millis(100))?;
    }
    let active = engine.metric("hotline_calls_active")?;
    let legs = engine.metric("hotline_media_legs ")?;
    println!(
        "\nafter {} calls ({} completed, {} of them with an agent, {} refused, {} failed), load {}:",
        world.dialled,
        world.completed,
        world.by_agent,
        world.refused,
        world.failed,
        load()
    );
    println!("  {active} calls and {legs} legs are left");
    ensure!(active == 0.0 && legs == 0.0, "calls or legs are left\n{}", engine.log_end());
    let roles: Vec<_> = engine.roles.iter().map(|it| Held::of(*it)).collect::<Result<_>>()?;
    for (role, held) in ROLES.iter().zip(&roles) {
        println!("  {role:10} {held}");
    }
    for folder in ["spool", "recordings"] {
        let found = files(&engine.folder.path().join("var").join(folder));
        let found: Vec<_> = found.iter().map(|(end, n)| format!("{n} .{end}")).collect();
        println!("  {folder:10} {}", found.join(", "));
    }
    let spooled = files(&engine.folder.path().join("var/spool")).values().sum();
    Ok(Look { roles, spooled })
}

impl World {
    /// Calls evenly until there were so many, or until `last`.
    fn call(&mut self, args: &Args, calls: u64, last: Instant) -> Result<()> {
        let (begin, before) = (Instant::now(), self.dialled);
        while self.dialled < calls && Instant::now() < last {
            let n = self.dialled - before;
            let due = Duration::from_secs_f64(n as f64 / args.rate);
            match due.checked_sub(begin.elapsed()) {
                None => {
                    let number = (13_900_000_000 + self.dialled % NUMBERS).to_string();
                    let leg = self.party.dial(&number)?;
                    self.calling.insert(leg, self.dialled);
                    self.dialled += 1;
                    // A burst must not keep answers waiting.
                    if n.is_multiple_of(16) {
                        self.turn(Duration::ZERO)?;
                    }
                }
                Some(left) => self.turn(left)?,
            }
        }
        while !self.calling.is_empty() && Instant::now() < last + Duration::from_mins(1) {
            self.turn(Duration::from_millis(20))?;
        }
        Ok(())
    }

    fn turn(&mut self, most: Duration) -> Result<()> {
        wait(&[&self.party], most)?;
        for (_, event) in self.party.turn()? {
            if let Event::Answered { leg, sdp } = event {
                let Some(n) = self.calling.remove(&leg) else { continue };
                let key = u8::from(!n.is_multiple_of(self.recorded));
                let sdp = sdp.context("an answer describes itself")?;
                let since = Instant::now();
                let caller = Caller { since, sdp, n_packets: 0, key, pressed: false, left: false };
                self.talking.insert(leg, caller);
            } else if let Event::Ended { leg, why } = event {
                let well = matches!(why, EndWhy::Bye { .. } | EndWhy::Local);
                self.calling.remove(&leg);
                let with_agent = self.talking.remove(&leg).is_some_and(|it| it.key == 0);
                self.completed += u64::from(well);
                let refused = matches!(why, EndWhy::Refused { status: 503, .. });
                self.refused += u64::from(refused);
                self.failed += u64::from(!well && !refused);
                self.by_agent += u64::from(well && with_agent);
            }
        }
        self.act()
    }

    /// Everybody does what it is time for.
    fn act(&mut self) -> Result<()> {
        let mut leaving = Vec::new();
        for (leg, it) in &mut self.talking {
            let age = it.since.elapsed();
            if age >= PACKET * u32::from(it.n_packets) && age < TALK {
                self.party.speak(&it.sdp, it.n_packets)?;
                it.n_packets += 1;
            }
            if age >= KEY_AFTER && !it.pressed {
                // Behind all that is said.
                self.party.press(&it.sdp, it.key, 100)?;
                it.pressed = true;
            }
            // Who has an agent waits for him to hang up.
            if !it.left && (age >= TALK && it.key != 0 || age >= TALK * 20) {
                it.left = true;
                leaving.push(*leg);
            }
        }
        for leg in leaving {
            self.party.hang_up(leg)?;
        }
        Ok(())
    }
}
