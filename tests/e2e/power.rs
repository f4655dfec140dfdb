//! The power comes back: two thousand telephones register at the same instant.

use std::{
    net::{IpAddr, Ipv4Addr},
    slice,
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
    survival::{Talk, check_seamless, talks},
};

const PHONES: u16 = 2_000;

/// Agents who talk meanwhile, the first ones.
const TALKING: u16 = 2;

/// Until the last one is registered, of the program as it is shipped.
const BACK_MAX: Duration = Duration::from_secs(10);

/// What the storm may cost the engine: ten seconds of one core, in a debug build.
const COST_MAX: Duration = Duration::from_secs(10);

/// As long as a telephone tries: robots and engine share two cores.
const LONG: Duration = Duration::from_secs(32);

/// Each telephone has an address of its own; agents who talk have another.
fn place(phone: u16) -> IpAddr {
    let [a, b] = phone.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1, a, b))
}

async fn switch_on() -> Vec<Robot> {
    let all = TALKING + 1..=TALKING + PHONES;
    join_all(all.map(async |it| Robot::bind(place(it)).await.unwrap())).await
}

async fn register(engine: &Engine, phones: &[Robot]) {
    let each = phones
        .iter()
        .zip(TALKING + 1..)
        .map(async |(it, n)| it.register(engine.udp(), &format!("800{n}"), PASSWORD).await);
    for (done, n) in join_all(each).await.into_iter().zip(TALKING + 1..) {
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
    let setup = Setup { n_agents: usize::from(PHONES) + usize::from(TALKING), ..Setup::default() };
    let engine = Engine::start(setup).await;
    let (talks, _agents) = talks(&engine, usize::from(TALKING)).await;
    let [undisturbed, Talk { caller, phone }] = &talks[..] else { panic!("two talks") };
    let phones = switch_on().await;
    register(&engine, &phones).await;
    drop(phones);

    let phones = switch_on().await;
    let control = [u64::try_from(engine.role(Role::Control).unwrap()).unwrap()];
    let (began, before) = (Instant::now(), spent(&control));
    let storm = async {
        register(&engine, &phones).await;
        began.elapsed()
    };
    let others = async {
        // In the middle of it one talk is held and taken back, and somebody else calls.
        caller.hold();
        caller.until("held", LONG, |it| it.n_reanswered == 1).await.unwrap();
        caller.retrieve();
        caller.until("taken back", LONG, |it| it.n_reanswered == 2).await.unwrap();
        let other = engine.caller().await;
        other.until_answered(LONG).await.unwrap();
    };
    let (took, ()) = tokio::join!(storm, others);
    let cost = spent(&control).saturating_sub(before);
    tell("2,000 telephones registered anew in", &took);
    tell("for which control ran", &cost);
    assert!(cost <= COST_MAX, "{cost:?}");
    assert!(cfg!(debug_assertions) || took <= BACK_MAX, "{took:?}");
    tell("longest pause in the other talk", &check_seamless(slice::from_ref(undisturbed), began));
    phone.until_tone(700, SOON).await.unwrap();
    caller.until_tone(440, SOON).await.unwrap();
    for it in &talks {
        assert!(it.caller.view().ended.is_none() && it.phone.view().ended.is_none());
    }
}
