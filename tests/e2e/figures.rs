//! Figures that a person who starts the engine sees: how soon it answers, what it takes when idle,
//! how long control is away when it dies.
//!
//! A busy machine can make any of them worse and none of them better, so a time is the best of some
//! attempts, less what the engine was kept waiting for a processor, and what it takes is processor
//! time, which nobody else can spend for it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};

use hotline_testkit::{
    Heard,
    raw::{RawUdp, request},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{
    engine::{Engine, Role, SOON},
    http, program,
    setup::{CARRIER, Setup},
};

use Column::{Ran, Waited};

/// From the start to the first SIP answer.
const START_MAX: Duration = Duration::from_secs(1);

/// From the death of control until it answers again.
const RETURN_MAX: Duration = Duration::from_secs(2);

/// Memory of all roles that is no page of a file. Those of the program are the kernel's to keep and
/// to drop: 11 MiB of a release, and of the tests' program, 150 MB long, 34 to 41, as many as it maps
/// around each one that is used.
const IDLE_KB_MAX: u64 = 32 * 1_024;

/// Processor time of an idle engine, of one core.
const IDLE_SHARE_MAX: f64 = 0.005;

const ATTEMPTS: usize = 5;

/// The engine on its embedded defaults, at an address of its own.
struct Defaults {
    child: Child,
    folder: TempDir,
    home: IpAddr,
}

impl Defaults {
    /// A folder with nothing but the embedded configuration, at the usual ports of the `index`th
    /// loopback address of this test process.
    fn folder(index: u8) -> (TempDir, IpAddr) {
        let [_, _, a, b] = std::process::id().to_be_bytes();
        let home = IpAddr::V4(Ipv4Addr::new(127, 100 + index, a, b.clamp(1, 254)));
        let folder = tempfile::Builder::new().prefix("hotline-e2e-").tempdir().unwrap();
        let text = fs::read_to_string(program::root().join("config/hotline.toml")).unwrap();
        let text = text.replace("127.0.0.1", &home.to_string());
        fs::write(folder.path().join("hotline.toml"), text).unwrap();
        (folder, home)
    }

    /// Starts the engine, and asks it by OPTIONS again and again; how long until it answered.
    async fn start((folder, home): (TempDir, IpAddr)) -> (Self, Duration) {
        let asking = RawUdp::bind(CARRIER).await.unwrap();
        let engine = SocketAddr::new(home, 5060);
        // It may have to be built.
        program::path();
        let began = Instant::now();
        let child = serve(folder.path());
        let wall = until_answer(&asking, engine, began).await;
        let it = Self { child, folder, home };
        // Others' work on the machine is not the engine's.
        let took = wall.saturating_sub(kept_waiting(&it.processes()));
        (it, took)
    }

    /// Ends the engine in order; what it has written stays.
    async fn stop(mut self) -> (TempDir, IpAddr) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let status = tokio::time::timeout(SOON, self.child.wait()).await;
        assert!(status.expect("the engine stops").unwrap().success());
        (self.folder, self.home)
    }

    async fn until_well(&self) {
        let end = Instant::now() + SOON;
        let http = SocketAddr::new(self.home, 8080);
        while !http::get(http, "/healthz").await.is_ok_and(|it| it.status == 200) {
            assert!(Instant::now() < end, "the engine is not well");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Supervisor, control and media.
    fn processes(&self) -> Vec<u64> {
        let note = fs::read_to_string(self.folder.path().join("var/engine.json")).unwrap();
        let note: Value = serde_json::from_str(&note).unwrap();
        ["pid", "control", "media"].map(|it| note[it].as_u64().unwrap()).to_vec()
    }
}

fn serve(folder: &Path) -> Child {
    Command::new(program::path())
        .args(["serve", "--config", "hotline.toml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Asks every few milliseconds, as nobody says when the socket is there.
async fn until_answer(asking: &RawUdp, engine: SocketAddr, began: Instant) -> Duration {
    let question = request("OPTIONS", engine, asking.address(), "UDP");
    loop {
        let answer = asking.ask(engine, question.as_bytes(), Duration::from_millis(5)).await;
        if answer == Some(200) {
            return began.elapsed();
        }
        assert!(began.elapsed() < SOON, "the engine does not answer");
    }
}

/// Attempts until one keeps the limit; all of them.
fn is_kept(took: &[Duration], limit: Duration) -> bool {
    took.last().is_some_and(|it| *it <= limit)
}

#[expect(clippy::print_stdout, reason = "figures are for people")]
pub(crate) fn tell(what: &str, figure: &dyn std::fmt::Debug) {
    println!("{what}: {figure:.3?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_sip_answer_comes_within_a_second_of_the_start() {
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for _ in 0..ATTEMPTS {
        let (engine, took) = Defaults::start(Defaults::folder(1)).await;
        fresh.push(took);
        engine.until_well().await;
        let (engine, took) = Defaults::start(engine.stop().await).await;
        again.push(took);
        engine.stop().await;
        if is_kept(&fresh, START_MAX) && is_kept(&again, START_MAX) {
            break;
        }
    }
    tell("start to first SIP answer, nothing there yet", &fresh);
    tell("start to first SIP answer, started before", &again);
    assert!(fresh.iter().min().is_some_and(|it| *it <= START_MAX), "{fresh:?}");
    assert!(again.iter().min().is_some_and(|it| *it <= START_MAX), "{again:?}");
}

/// A column of `schedstat` (proc(5)).
#[derive(Clone, Copy, Debug)]
enum Column {
    /// On a processor.
    Ran = 0,
    /// Ready to run, while every processor had other work.
    Waited = 1,
}

/// Of each thread of a process that lives on.
fn scheduled(process: u64, column: Column) -> Vec<Duration> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let time = |it: std::io::Result<fs::DirEntry>| {
        // A thread may end meanwhile.
        let text = fs::read_to_string(it.unwrap().path().join("schedstat")).ok()?;
        text.split(' ').nth(column as usize)?.parse().ok().map(Duration::from_nanos)
    };
    threads.filter_map(time).collect()
}

/// Processor time of some processes.
pub(crate) fn spent(processes: &[u64]) -> Duration {
    processes.iter().flat_map(|it| scheduled(*it, Ran)).sum()
}

/// How long the processes, one after the other, waited for a processor: of each only the thread that
/// waited longest, for threads wait side by side.
fn kept_waiting(processes: &[u64]) -> Duration {
    processes.iter().filter_map(|it| scheduled(*it, Waited).into_iter().max()).sum()
}

/// A line of `smaps_rollup` (proc(5)), in kilobytes, over all processes.
fn resident(processes: &[u64], line: &str) -> u64 {
    let of = |pid: &u64| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let value = text.lines().find_map(|it| it.strip_prefix(line)).unwrap();
        value.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    processes.iter().map(of).sum()
}

/// What the roles take of a core over some seconds each, until it is as little as it has to be.
async fn idle_shares(processes: &[u64]) -> Vec<f64> {
    let mut shares = Vec::new();
    // What the start still has to do is done in the first window.
    for _ in 0..ATTEMPTS {
        let (began, before) = (Instant::now(), spent(processes));
        sleep(Duration::from_secs(3)).await;
        let spent = spent(processes).saturating_sub(before);
        shares.push(spent.as_secs_f64() / began.elapsed().as_secs_f64());
        if shares.last().is_some_and(|it| *it <= IDLE_SHARE_MAX) {
            break;
        }
    }
    shares
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_engine_takes_little_memory_and_next_to_no_time() {
    let (engine, _) = Defaults::start(Defaults::folder(2)).await;
    engine.until_well().await;
    let processes = engine.processes();
    let shares = idle_shares(&processes).await;
    let own: u64 = ["Pss_Anon:", "Pss_Shmem:"].iter().map(|it| resident(&processes, it)).sum();
    let (pss, rss) = (resident(&processes, "Pss:"), resident(&processes, "Rss:"));
    let per_cent: Vec<_> = shares.iter().map(|it| it * 100.0).collect();
    tell("idle: processor time, in per cent of a core", &per_cent);
    tell("idle: memory of its own over all roles, in kB", &own);
    tell("idle: resident, pages of the program among it, in kB", &pss);
    tell("idle: the same with shared pages counted for each role, in kB", &rss);
    assert!(shares.iter().any(|it| *it <= IDLE_SHARE_MAX), "{shares:?}");
    assert!(own <= IDLE_KB_MAX, "{own} kB");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engine_with_a_hundred_agents_who_wait_for_calls_takes_next_to_no_time() {
    const AGENTS: u32 = 100;
    let engine = Engine::start(Setup { n_agents: AGENTS as usize, ..Setup::default() }).await;
    let mut agents = Vec::new();
    for index in 1..=AGENTS {
        agents.push(engine.busy_agent(index).await);
    }
    for agent in &agents {
        engine.ready(agent).await;
    }
    engine.until_state(agents.last().unwrap(), "idle").await;
    let roles = engine.roles().map(|it| u64::from(it.unsigned_abs()));
    let shares = idle_shares(&[&[engine.supervisor()], &roles[..]].concat()).await;
    let per_cent: Vec<_> = shares.iter().map(|it| it * 100.0).collect();
    tell("100 agents who wait: processor time, in per cent of a core", &per_cent);
    assert!(shares.iter().any(|it| *it <= IDLE_SHARE_MAX), "{shares:?}");
}

/// What an ear heard from a mark on is one tone, without a hole, for at least so long.
fn is_one_tone(heard: &Heard, mark: usize, hz: u32, length: Duration) -> bool {
    let sound = heard.since(mark);
    sound.length() >= length && sound.tone_share(hz) > 0.9 && heard.continuity().is_seamless()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_is_back_within_two_seconds_while_two_people_go_on_hearing_each_other() {
    let mut engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    let (at_caller, at_phone) = (caller.mark(), phone.mark());
    let (since, mut away) = (Instant::now(), Vec::new());
    for _ in 0..3 {
        // Answers to an earlier question stay with an earlier socket.
        let asking = RawUdp::bind(CARRIER).await.unwrap();
        let began = Instant::now();
        engine.kill_now(Role::Control);
        until_answer(&asking, engine.udp(), began).await;
        let next = engine.caller().await;
        next.until_answered(SOON).await.unwrap();
        away.push(began.elapsed());
        next.hang_up();
        engine.until_replaced(Role::Control).await;
        if is_kept(&away, RETURN_MAX) {
            break;
        }
    }
    tell("death of control to the answer to a new caller", &away);
    assert!(away.iter().min().is_some_and(|it| *it <= RETURN_MAX), "{away:?}");
    // What was said is on its way for a moment.
    let length = since.elapsed().saturating_sub(Duration::from_millis(500));
    for (call, mark, hz) in [(&*caller, at_caller, 440), (&phone, at_phone, 700)] {
        let heard = call.heard();
        assert!(is_one_tone(&heard, mark, hz, length), "{:?}", heard.continuity());
    }
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    assert_eq!(engine.record_of(&caller.number).await["control_restarted"], true);
}
