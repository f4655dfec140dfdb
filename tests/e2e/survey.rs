//! After the talk the caller may rate it, once, by key.

use crate::{
    engine::{Engine, SOON},
    people::Caller,
    setup::Setup,
};

/// A caller whose agent has just hung up, and who is asked.
async fn asked(engine: &Engine) -> Caller {
    let (caller, _agent, phone) = engine.talk().await;
    phone.hang_up();
    caller.hears_begin(engine, "survey.ask").await;
    caller
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_is_not_content_is_asked_why() {
    let engine = Engine::start(Setup::default().with_survey()).await;
    let caller = asked(&engine).await;
    caller.press("4");
    caller.hears_begin(&engine, "survey.why").await;
    caller.press("1");
    caller.hears(&engine, "survey.thanks").await;
    caller.until_ended(SOON).await.unwrap();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["ratings"][0]["value"], 2);
    assert_eq!(record["ratings"][0]["satisfied"], false);
    assert!(record["tags"].to_string().contains("survey.reason.attitude"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_rates_nothing_is_let_go() {
    let engine = Engine::start(Setup::default().with_survey()).await;
    let caller = asked(&engine).await;
    caller.hears(&engine, "survey.ask_short").await;
    caller.hears(&engine, "bye.common").await;
    caller.until_ended(SOON).await.unwrap();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["ratings"].as_array().unwrap().len(), 0);
    assert_eq!(record["surveys_offered"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_hangs_up_when_asked_was_still_answered() {
    let engine = Engine::start(Setup::default().with_survey()).await;
    let caller = asked(&engine).await;
    caller.hang_up();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["outcome"], "answered");
    assert_eq!(record["ratings"].as_array().unwrap().len(), 0);
}
