//! Two lines to the carrier, main and standby to each other (互为主备, 瞬间切换), cut below IP.
//!
//! Each line is a pair of virtual network cards between two network namespaces. The test starts itself
//! again in the one where carrier and telephones are; the engine is in the other. With their last
//! process they are gone, whatever became of the test. That takes root, or a kernel that lets
//! everybody have namespaces; where it is not to be had, the test says so and is skipped.

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::{IpAddr, Ipv4Addr},
    process::{Child, Command, Stdio},
    time::Duration,
};

use hotline_testkit::{Call, Robot, Speech};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    engine::{Engine, SOON},
    figures::tell,
    people::{Agent, Caller},
    setup::Setup,
    survival::longest_pause,
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
const ENGINE_THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

/// Says to the test that it is in a namespace of its own.
const INSIDE: &str = "HOTLINE_TEST_INSIDE";

const TALKS: u32 = 3;
const CUTS: usize = 20;

/// R10.
const GAP_MAX: Duration = Duration::from_secs(1);

/// What makes a namespace, and what is said where that is not permitted.
fn namespace() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
}

fn sh(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}

/// The two lines, and the namespace at their other end.
struct Lines {
    /// Ends when its input does.
    there: Child,
}

impl Lines {
    fn new() -> Self {
        let script = "echo here; exec cat";
        let mut there = Command::new("unshare")
            .args(["--net", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(there.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let it = Self { there };
        let pid = it.there.id();
        sh(&format!("ip link set lo up; ip addr add {HERE}/32 dev lo"));
        it.sh_there(&format!("ip link set lo up; ip addr add {ENGINE_THERE}/32 dev lo"));
        for n in [1, 2] {
            sh(&format!(
                "ip link add line{n} type veth peer name line{n} netns {pid}
                 ip addr add 10.78.{n}.1/30 dev line{n}"
            ));
            it.sh_there(&format!("ip addr add 10.78.{n}.2/30 dev line{n}"));
            it.mend(n);
        }
        it
    }

    fn sh_there(&self, script: &str) {
        let net = format!("--net=/proc/{}/ns/net", self.there.id());
        let status = Command::new("nsenter").args([&net, "sh", "-ec", script]).status().unwrap();
        assert!(status.success(), "{script}");
    }

    /// Both ends see it at once, and send by the other line.
    fn cut(&self, n: usize) {
        let script = format!("ip link set line{n} down");
        sh(&script);
        self.sh_there(&script);
    }

    /// What goes over a line returns to it when both ends see that it is whole.
    fn mend(&self, n: usize) {
        let up = format!("ip link set line{n} up");
        sh(&up);
        self.sh_there(&up);
        let is_whole = format!("until ip -o link show line{n} | grep -q 'state UP'; do :; done");
        sh(&is_whole);
        self.sh_there(&is_whole);
        let route = |to: IpAddr, end: u8, from: IpAddr| {
            format!("ip route add {to}/32 via 10.78.{n}.{end} dev line{n} metric {n} src {from}")
        };
        self.sh_there(&route(HERE, 1, ENGINE_THERE));
        sh(&route(ENGINE_THERE, 2, HERE));
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        drop(self.there.stdin.take());
        self.there.wait().unwrap();
    }
}

/// Runs this test in a namespace of its own, if that is to be had.
#[expect(clippy::print_stderr, reason = "a test that is not run must be seen")]
fn start_again(name: &str) {
    let tried = namespace().arg("true").output();
    if !tried.is_ok_and(|it| it.status.success()) {
        return eprintln!("SKIPPED {name}: it takes root, or namespaces for everybody");
    }
    let status = namespace()
        .arg(env::current_exe().unwrap())
        .args(["--exact", &format!("two_lines::{name}"), "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "see above");
}

struct Talk {
    agent: Agent,
    caller: Caller,
    phone: Call,
}

async fn talk(engine: &Engine, n: u32) -> Talk {
    let agent = engine.sign_in(n, Robot::bind(HERE).await.unwrap(), engine.udp()).await;
    engine.ready(&agent).await;
    let caller = engine.caller_with(Robot::bind(HERE).await.unwrap()).await;
    caller.ask_for_person(engine).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    caller.speak(Speech::tone(700));
    phone.speak(Speech::tone(440));
    Talk { agent, caller, phone }
}

/// In each talk both hear each other from now on.
async fn hear(talks: &[Talk]) {
    let marks: Vec<_> = talks.iter().map(|it| (it.caller.mark(), it.phone.mark())).collect();
    for (it, (caller, phone)) in talks.iter().zip(marks) {
        it.caller.until_tone_since(caller, 440, SOON).await.unwrap();
        it.phone.until_tone_since(phone, 700, SOON).await.unwrap();
    }
}

/// The longest time without a packet, less what the robots themselves paused.
fn pause(it: &Talk, since: Instant) -> Duration {
    let both = [&*it.caller, &it.phone];
    let made: Duration = both.map(|it| longest_pause(it.sent().into_iter(), since)).iter().sum();
    let heard = both.map(|it| longest_pause(it.heard().packets().iter().map(|it| it.at), since));
    heard[0].max(heard[1]).saturating_sub(made)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_cut_costs_no_talk_and_no_second_of_it() {
    if env::var_os(INSIDE).is_none() {
        return start_again("a_line_that_is_cut_costs_no_talk_and_no_second_of_it");
    }
    let lines = Lines::new();
    let trunk_more = format!(
        "[[trunk]]\nid = \"lines\"\nsources = [\"{HERE}\"]\narea_code = \"0771\"\n\
         city = \"450100\"\n"
    );
    let network_of = Some(lines.there.id());
    let n_agents = usize::try_from(TALKS).unwrap();
    let setup = Setup { home: ENGINE_THERE, network_of, n_agents, trunk_more, ..Setup::default() };
    let engine = Engine::start(setup).await;
    let mut talks = Vec::new();
    for n in 1..=TALKS {
        talks.push(talk(&engine, n).await);
    }
    hear(&talks).await;
    let began = Instant::now();
    for n in 0..CUTS {
        let line = n % 2 + 1;
        lines.cut(line);
        hear(&talks).await;
        // Nothing else notices it either: somebody calls, an agent acts.
        let caller = engine.caller_with(Robot::bind(HERE).await.unwrap()).await;
        caller.until_answered(SOON).await.unwrap();
        caller.hang_up();
        let agent = &talks[n % talks.len()].agent;
        engine.command(&agent.no, "hold", json!({})).await;
        engine.until_state(agent, "held").await;
        engine.command(&agent.no, "retrieve", json!({})).await;
        engine.until_state(agent, "talking").await;
        lines.mend(line);
        hear(&talks).await;
    }
    let longest = talks.iter().map(|it| pause(it, began)).max().unwrap();
    tell("longest pause over twenty cuts of a line", &longest);
    assert!(longest <= GAP_MAX, "{longest:?}");
    for Talk { agent, caller, phone } in &talks {
        assert!(caller.view().ended.is_none() && phone.view().ended.is_none());
        caller.hang_up();
        phone.until_ended(SOON).await.unwrap();
        engine.until_state(agent, "idle").await;
    }
}
