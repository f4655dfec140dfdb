//! Keys, wrong keys, no keys, closed doors.

use crate::{
    engine::{Engine, SOON},
    setup::Setup,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_presses_a_wrong_key_is_asked_again() {
    let engine = Engine::quick().await;
    let _agent = engine.busy_agent(1).await;
    let caller = engine.caller().await;
    caller.hears_begin(&engine, "menu.top.long").await;
    caller.press("9");
    caller.hears(&engine, "sys.invalid").await;
    caller.hears_begin(&engine, "menu.top.short").await;
    caller.press("0");
    engine.until_waiting("gx.nn.general", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_presses_nothing_gets_to_a_person() {
    let engine = Engine::quick().await;
    let _agent = engine.busy_agent(1).await;
    let caller = engine.caller().await;
    caller.hears(&engine, "sys.noinput").await;
    caller.hears(&engine, "menu.top.short").await;
    caller.hears(&engine, "moh.default").await;
    engine.until_waiting("gx.nn.general", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_chose_a_topic_is_queued_with_it() {
    let engine = Engine::quick().await;
    let _agent = engine.busy_agent(1).await;
    let caller = engine.caller().await;
    caller.hears_begin(&engine, "menu.top.long").await;
    caller.press("2");
    engine.until_waiting("gx.nn.general", 1).await;
    caller.hang_up();
    let record = engine.record_of(&caller.number).await.to_string();
    assert!(record.contains("ybj"), "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_outside_the_hours_is_told_so() {
    let closed = ("schedules/always.schedule.yaml", "[\"00:00-24:00\"]", "[]");
    let engine = Engine::start(Setup { flow_edits: vec![closed], ..Setup::default() }).await;
    let caller = engine.caller().await;
    let spoken = ["hours.closed", "hours.holiday"].map(|it| engine.setup.prompts.sound(it));
    let either = |it: &hotline_testkit::Heard| {
        let heard = it.sound();
        spoken.iter().any(|it| heard.find(it).is_some_and(|it| it.score > 0.8)).then_some(())
    };
    caller.until_ended(SOON).await.unwrap();
    caller.until_heard("that it is closed", SOON, either).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn number_without_a_menu_leads_straight_to_a_person() {
    let engine = Engine::quick().await;
    let _agent = engine.busy_agent(1).await;
    let caller = engine.caller_of("077112329").await;
    caller.hears(&engine, "greet.gjj").await;
    engine.until_waiting("gx.nn.general", 1).await;
}
