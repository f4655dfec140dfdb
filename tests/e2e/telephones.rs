//! One person's several telephones.

use std::time::Duration;

use hotline_sip::EndWhy;
use hotline_testkit::{Robot, Speech};

use crate::{
    engine::{Engine, SOON},
    setup::{OFFICE, PASSWORD},
};

const CALLER_HZ: u32 = 700;
const AGENT_HZ: u32 = 440;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_telephones_of_an_agent_ring_and_the_one_that_answers_has_the_call() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let soft = Robot::connect(OFFICE, engine.tcp()).await.unwrap();
    soft.register(engine.tcp(), "8001", PASSWORD).await.unwrap();
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let desk = agent.robot.incoming(SOON).await.unwrap();
    let ringing = soft.incoming(SOON).await.unwrap();
    ringing.answer();
    ringing.speak(Speech::tone(AGENT_HZ));
    let why = desk.until_ended(SOON).await.unwrap();
    assert_eq!(why, EndWhy::Cancelled);
    engine.until_state(&agent, "talking").await;
    caller.until_tone(AGENT_HZ, SOON).await.unwrap();
    caller.speak(Speech::tone(CALLER_HZ));
    ringing.until_tone(CALLER_HZ, SOON).await.unwrap();
    caller.hang_up();
    ringing.until_ended(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_only_connection_goes_is_busy_and_one_with_another_telephone_is_not() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    engine.until_state(&agent, "idle").await;
    let soft = Robot::connect(OFFICE, engine.tcp()).await.unwrap();
    soft.register(engine.tcp(), "8001", PASSWORD).await.unwrap();
    // The desk phone unregisters; the other one is still there, and rings.
    agent.robot.register_for(engine.udp(), "8001", PASSWORD, Duration::ZERO).await.unwrap();
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let ringing = soft.incoming(SOON).await.unwrap();
    caller.hang_up();
    ringing.until_ended(SOON).await.unwrap();
    engine.until_state(&agent, "idle").await;
    drop(soft);
    engine.until_state(&agent, "busy").await;
}
