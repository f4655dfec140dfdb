//! What a hotline is short of on a bad day: ports, its database, a prompt.

use std::fs;

use hotline_sip::EndWhy;
use sqlx::{Connection, SqliteConnection};

use crate::{
    engine::{Engine, SOON},
    setup::Setup,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_for_whom_no_port_is_left_is_refused_with_503() {
    let engine = Engine::start(Setup { legs_max: 2, ..Setup::default() }).await;
    let first = engine.caller().await;
    first.until_answered(SOON).await.unwrap();
    engine.caller().await.until_answered(SOON).await.unwrap();
    let third = engine.caller().await;
    let why = third.until_ended(SOON).await.unwrap();
    assert!(matches!(why, EndWhy::Refused { status: 503, .. }), "{why:?}");
    assert_eq!(engine.record_of(&third.number).await["outcome"], "refused");
    let refused = engine.sum_of("hotline_calls_refused_total{why=\"media_busy\"}").await;
    assert!((refused - 1.0).abs() < f64::EPSILON, "{refused}");
    first.hears(&engine, "notice.recording").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_while_the_database_is_locked_and_reach_it_afterwards() {
    // A well engine has opened its database: the lock meets one that has its tables.
    let engine = Engine::quick().await;
    let file = engine.data("hotline.db");
    let url = format!("sqlite://{}", file.display());
    let mut thief = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut thief).await.unwrap();

    let (caller, _agent, phone) = engine.talk().await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let calls = engine.get("/api/v1/calls").await;
    assert_eq!(calls["items"].as_array().map(Vec::len), Some(0), "{calls}");

    sqlx::query("ROLLBACK").execute(&mut thief).await.unwrap();
    assert_eq!(engine.record_of(&caller.number).await["outcome"], "answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_gets_to_a_person_when_prompts_have_vanished() {
    let engine = Engine::quick().await;
    let prompts = engine.data("../prompts/zh-CN");
    for it in ["greet.common.wav", "menu.top.long.wav"] {
        fs::remove_file(prompts.join(it)).unwrap();
    }
    let agent = engine.agent(1).await;
    engine.ready(&agent).await;
    let caller = engine.caller().await;
    caller.hears(&engine, "notice.recording").await;
    caller.press("0");
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    engine.until_state(&agent, "talking").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn talk_that_outlasts_the_grace_of_a_stop_is_ended_and_recorded() {
    let mut engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    engine.stop().await;
    caller.until_ended(SOON).await.unwrap();
    phone.until_ended(SOON).await.unwrap();
    engine.start_again().await;
    let record = engine.record_of(&caller.number).await;
    assert_eq!((&record["reason"], &record["outcome"]), (&"shutdown".into(), &"answered".into()));
}
