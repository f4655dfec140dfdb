//! Finished records and agents' states reach the work-order platform, whatever happens.

use std::collections::BTreeSet;

use crate::{
    engine::{Engine, SOON, text},
    receiver::{Pushed, Receiver},
    setup::Setup,
};

fn is_call(it: &Pushed) -> bool {
    it.kind() == "call.finished"
}

async fn engine_pushing_to(receiver: &Receiver) -> Engine {
    Engine::start(Setup { push: Some(receiver.address), ..Setup::default() }).await
}

/// A caller who hears the notice and leaves; the number.
async fn short_call(engine: &Engine) -> String {
    let caller = engine.caller().await;
    caller.hears(engine, "notice.recording").await;
    caller.hang_up();
    caller.until_ended(SOON).await.unwrap();
    caller.number.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_and_agent_states_are_pushed_signed_and_once() {
    let receiver = Receiver::start().await;
    let engine = engine_pushing_to(&receiver).await;
    let (caller, _agent, phone) = engine.talk().await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let pushed = receiver.until(SOON, |it| it.iter().any(is_call)).await;
    assert!(pushed.iter().all(Pushed::is_signed));
    let call = pushed.iter().find(|it| is_call(it)).unwrap().json();
    assert_eq!(text(&call["data"]["caller_no"]), caller.number);
    assert_eq!(call["data"]["outcome"], "answered");
    assert!(pushed.iter().any(|it| it.kind() == "agent.state"));
    let keys: BTreeSet<_> = pushed.iter().map(Pushed::key).collect();
    assert_eq!(keys.len(), pushed.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_the_receiver_fails_and_the_engine_dies() {
    let receiver = Receiver::start().await;
    receiver.answer(503);
    let mut engine = engine_pushing_to(&receiver).await;
    let mut numbers = BTreeSet::from([short_call(&engine).await]);
    receiver.until(SOON, |it| it.iter().any(is_call)).await;
    engine.crash_and_start_again().await;
    numbers.insert(short_call(&engine).await);
    receiver.answer(200);
    let taken =
        |it: &[Pushed]| it.iter().filter(|it| is_call(it)).filter(|it| it.was_taken()).count();
    let pushed = receiver.until(3 * SOON, |it| taken(it) == 2).await;
    let calls: Vec<_> =
        pushed.iter().filter(|it| is_call(it)).filter(|it| it.was_taken()).collect();
    let arrived: BTreeSet<_> =
        calls.iter().map(|it| text(&it.json()["data"]["caller_no"])).collect();
    assert_eq!(arrived, numbers);
    let keys: BTreeSet<_> = calls.iter().map(|it| it.key()).collect();
    assert_eq!(keys.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_that_the_receiver_cannot_take_is_a_dead_letter_that_can_be_sent_again() {
    let receiver = Receiver::start().await;
    receiver.answer(422);
    let engine = engine_pushing_to(&receiver).await;
    let number = short_call(&engine).await;
    let first = |it: &serde_json::Value| it["items"].get(0).cloned();
    // Five refusals, one, two, four and eight seconds apart.
    let letter = engine.until("/api/v1/dead-letters", 3 * SOON, first).await;
    assert!(!letter.to_string().contains(&number), "{letter}");
    receiver.answer(200);
    let path = format!("/api/v1/dead-letters/{}/resend", text(&letter["id"]));
    let response = crate::http::post(engine.http(), &path, &serde_json::json!({})).await.unwrap();
    assert!((200..300).contains(&response.status), "{}", response.text());
    receiver.until(SOON, |it| it.iter().filter(|it| is_call(it)).any(Pushed::was_taken)).await;
}
