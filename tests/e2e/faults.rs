//! A process dies in the middle of a call.

use hotline_testkit::Speech;
use serde_json::{Value, json};

use crate::{
    engine::{Engine, Role, SOON},
    setup::Setup,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_go_on_talking_when_control_dies() {
    let mut engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    engine.kill(Role::Control).await;
    caller.speak(Speech::tone(900));
    phone.speak(Speech::tone(520));
    caller.until_tone(520, SOON).await.unwrap();
    phone.until_tone(900, SOON).await.unwrap();
    let next = engine.caller().await;
    next.hears(&engine, "notice.recording").await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["control_restarted"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_without_a_call_are_shown_as_they_were_when_control_died() {
    let mut engine = Engine::quick().await;
    let resting = engine.busy_agent(2).await;
    engine.command(&resting.no, "rest", json!({ "planned_s": 300 })).await;
    let _busy = engine.busy_agent(1).await;
    // What came before it is on the disk, too.
    engine.until_kept("agent/1001").await;
    let before = engine.get("/api/v1/agents").await;
    engine.kill(Role::Control).await;
    assert_eq!(engine.get("/api/v1/agents").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_callers_are_served_after_media_died() {
    let mut engine = Engine::quick().await;
    let (caller, _agent, _phone) = engine.talk().await;
    engine.kill(Role::Media).await;
    engine.caller().await.hears(&engine, "notice.recording").await;
    caller.hang_up();
    engine.record_of(&caller.number).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_go_on_talking_when_nobody_reads_the_log() {
    let mut engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    let media = engine.role(Role::Media);
    engine.stop_listening().await;
    // Supervisor and media have something to say about the death, the new control process, too.
    engine.kill(Role::Control).await;
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    assert_eq!(engine.role(Role::Media), media, "media has died of a line it could not write");
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_served_when_nobody_empties_the_log() {
    let engine = Engine::start(Setup { log_filter: "debug", ..Setup::default() }).await;
    let question = "/api/v1/calls?caller_no=1";
    let before = engine.log().len();
    engine.get(question).await;
    let grown = |_: &Value| (engine.log().len() > before).then_some(());
    engine.until(question, SOON, grown).await;
    engine.turn_deaf();
    // More than twice what a pipe holds, at a tenth of a line's length.
    for _ in 0..1_300 {
        engine.get(question).await;
    }
    let (caller, _agent, phone) = engine.talk().await;
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    engine.record_of(&caller.number).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_and_recording_outlive_a_loss_of_power() {
    let mut engine = Engine::start(Setup::default()).await;
    let (caller, _agent, phone) = engine.talk().await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let before = engine.record_of(&caller.number).await;
    engine.crash_and_start_again().await;
    let after = engine.record_of(&caller.number).await;
    assert_eq!(before["call_id"], after["call_id"]);
    assert_eq!(before["t_rel"], after["t_rel"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_number_and_no_name_is_in_the_log() {
    let mut engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    engine.record_of(&caller.number).await;
    engine.stop().await;
    let log = engine.log();
    assert!(!log.contains(&caller.number) && !log.contains("坐席1"), "{log}");
}
