//! Somebody hangs up at every moment at which somebody can.

use std::time::Duration;

use hotline_sip::EndWhy;
use hotline_testkit::{Robot, View};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    engine::{Engine, SOON, text},
    figures::tell,
    setup::{CARRIER, Setup},
    survival::{number, talks},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_hangs_up_in_the_flow_never_asked_for_a_person() {
    let engine = Engine::quick().await;
    let caller = engine.caller().await;
    caller.hears(&engine, "notice.recording").await;
    caller.hang_up();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["outcome"], "in_flow");
    assert_eq!(record["released_by"], "caller");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_gives_up_before_the_answer_is_recorded_or_was_never_there() {
    let engine = Engine::quick().await;
    let caller = engine.caller().await;
    caller.cancel();
    caller.until_ended(SOON).await.unwrap();
    // The next caller is served as if nothing had happened.
    let next = engine.caller().await;
    next.hears(&engine, "notice.recording").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_hangs_up_in_the_queue_leaves_it() {
    let engine = Engine::quick().await;
    let agent = engine.busy_agent(1).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    caller.hears(&engine, "moh.default").await;
    engine.until_waiting("gx.nn.general", 1).await;
    caller.hang_up();
    engine.until_waiting("gx.nn.general", 0).await;
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["queues"][0]["exit"], "abandoned");
    assert_eq!(record["segments"].as_array().unwrap().len(), 0);
    engine.until_state(&agent, "busy").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_is_ready_again_at_once_when_the_caller_hangs_up_while_it_rings() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let ringing = agent.robot.incoming(SOON).await.unwrap();
    engine.until_state(&agent, "ringing").await;
    caller.hang_up();
    assert_eq!(ringing.until_ended(SOON).await.unwrap(), EndWhy::Cancelled);
    engine.until_state(&agent, "idle").await;
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["segments"][0]["unanswered"], "caller_left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_hangs_up_while_talking_ends_the_agents_call() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    caller.hang_up();
    assert!(matches!(phone.until_ended(SOON).await.unwrap(), EndWhy::Bye { .. }));
    engine.until_state(&agent, "idle").await;
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["outcome"], "answered");
    assert_eq!(record["released_by"], "caller");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_is_thanked_when_the_agent_hangs_up() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    phone.hang_up();
    caller.hears(&engine, "bye.common").await;
    caller.until_ended(SOON).await.unwrap();
    engine.until_state(&agent, "idle").await;
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["segments"][0]["released_by"], "agent");
    assert_eq!(text(&record["segments"][0]["agent_no"]), agent.no);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v14_connections_that_are_cut_around_the_200_leave_nothing_behind() {
    const RUNS: usize = 18;
    let engine = Engine::quick().await;
    for n in 0..RUNS {
        let robot = Robot::connect(CARRIER, engine.tcp()).await.unwrap();
        let call = robot.call(engine.tcp(), "12345", "13800138099").await.unwrap();
        // Before the 100, before the 200, before the ACK, after it.
        match n % 3 {
            0 => {
                for _ in 0..n {
                    tokio::task::yield_now().await;
                }
            }
            1 => {
                let something = |it: &View| it.ringing.is_some() || it.answered.is_some();
                call.until("anything", SOON, something).await.unwrap();
            }
            _ => {
                call.until_answered(SOON).await.unwrap();
            }
        }
        drop(robot);
    }
    // Who never acknowledged is waited for as long as over datagrams: 64 T1.
    let free = |it: &Value| (it["items"][0]["n_in"] == 0).then_some(());
    engine.until("/api/v1/trunks", Duration::from_mins(2), free).await;
    engine.caller().await.hears(&engine, "notice.recording").await;
}

/// `HOTLINE_CALLS=100 HOTLINE_ROUNDS=5` makes it a thousand peers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephones_that_lose_their_power_in_mid_talk_leave_no_call_no_port_and_no_agent() {
    let (n_talks, n_rounds) = (number("HOTLINE_CALLS", 5), number("HOTLINE_ROUNDS", 1));
    for _ in 0..n_rounds {
        let engine = Engine::start(Setup::of_calls(n_talks)).await;
        let (talks, agents) = talks(&engine, n_talks).await;
        let numbers: Vec<_> = talks.iter().map(|it| it.caller.number.clone()).collect();
        let names: Vec<_> = agents.iter().map(|it| it.no.clone()).collect();
        // All of them at once, without a word: callers and agents.
        drop((talks, agents));
        let gone = Instant::now();
        let long = Duration::from_mins(2);
        let free = |it: &Value| (it["items"][0]["n_in"] == 0).then_some(());
        engine.until("/api/v1/trunks", long, free).await;
        for figure in ["hotline_calls_active", "hotline_media_legs"] {
            engine.until_figure(figure, "0").await;
        }
        for no in &names {
            let is_out = |it: &Value| (it["line"] == "free").then_some(());
            engine.until(&format!("/api/v1/agents/{no}"), long, is_out).await;
        }
        engine.until_no_port_is_held().await;
        tell("nothing left of so many peers after", &(2 * n_talks, gone.elapsed()));
        for number in &numbers {
            let record = engine.record_of(number).await;
            assert_eq!(record["outcome"], "answered", "{record:#}");
            assert_eq!(record["reason"], "media_lost", "{record:#}");
        }
    }
}
