//! The power comes back: two thousand telephones register at the same instant.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use futures_util::future::join_all;
use hotline_testkit::Robot;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

use crate::{
    engine::{Engine, Role, SOON},
    figures::{spent, tell},
    setup::{PASSWORD, Setup},
};

const PHONES: u16 = 2_000;

/// What the storm may cost the engine: ten seconds of one core, in a debug build.
const COST_MAX: Duration = Duration::from_secs(10);

/// As long as a telephone tries: robots and engine share two cores.
const LONG: Duration = Duration::from_secs(32);

/// Each telephone has an address of its own; agent 1, who talks, has another.
fn place(phone: u16) -> IpAddr {
    let [a, b] = phone.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1, a, b))
}

async fn switch_on() -> Vec<Robot> {
    join_all((2..PHONES + 2).map(async |it| Robot::bind(place(it)).await.unwrap())).await
}

async fn register(engine: &Engine, phones: &[Robot]) {
    let each = phones
        .iter()
        .zip(2..)
        .map(async |(it, n)| it.register(engine.udp(), &format!("800{n}"), PASSWORD).await);
    for (done, n) in join_all(each).await.into_iter().zip(2..) {
        assert_eq!(done, Ok(()), "telephone {n}");
    }
}

/// A socket for each telephone.
fn allow_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_telephones_come_back_with_the_power_and_calls_go_on() {
    allow_files();
    let setup = Setup { n_agents: usize::from(PHONES) + 1, ..Setup::default() };
    let engine = Engine::start(setup).await;
    let (caller, _agent, phone) = engine.talk().await;
    let phones = switch_on().await;
    register(&engine, &phones).await;
    drop(phones);

    let phones = switch_on().await;
    let control = [u64::try_from(engine.role(Role::Control).unwrap()).unwrap()];
    let (began, before) = (Instant::now(), spent(&control));
    let storm = register(&engine, &phones);
    let others = async {
        // In the middle of it the talk is held and taken back, and somebody else calls.
        caller.hold();
        caller.until("held", LONG, |it| it.n_reanswered == 1).await.unwrap();
        caller.retrieve();
        caller.until("taken back", LONG, |it| it.n_reanswered == 2).await.unwrap();
        let other = engine.caller().await;
        other.until_answered(LONG).await.unwrap();
    };
    tokio::join!(storm, others);
    let cost = spent(&control).saturating_sub(before);
    tell("2,000 telephones registered anew in", &[began.elapsed()]);
    tell("for which control ran", &[cost]);
    assert!(cost <= COST_MAX, "{cost:?}");
    phone.until_tone(700, SOON).await.unwrap();
    caller.until_tone(440, SOON).await.unwrap();
    assert!(caller.view().ended.is_none() && phone.view().ended.is_none());
}
