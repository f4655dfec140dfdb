//! A call is held and taken back, by telephone and by command.

use std::time::Duration;

use hotline_testkit::{Call, Heard, Speech};
use serde_json::{Value, json};

use crate::{
    engine::{Engine, SOON, text},
    people::Caller,
};

/// Both hear each other again, in other tones than before.
async fn talk_goes_on(caller: &Caller, phone: &Call) {
    caller.speak(Speech::tone(900));
    phone.speak(Speech::tone(520));
    caller.until_tone(520, SOON).await.unwrap();
    phone.until_tone(900, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_hears_music_while_the_agents_telephone_holds() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let mark = caller.mark();
    phone.hold();
    caller.hears_since(&engine, mark, "moh.default").await;
    engine.until_state(&agent, "held").await;
    phone.retrieve();
    engine.until_state(&agent, "talking").await;
    talk_goes_on(&caller, &phone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_hears_music_while_the_agent_holds_by_command() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let mark = caller.mark();
    engine.command(&agent.no, "hold", json!({})).await;
    caller.hears_since(&engine, mark, "moh.default").await;
    engine.until_state(&agent, "held").await;
    phone.until_silence(SOON).await.unwrap();
    engine.command(&agent.no, "retrieve", json!({})).await;
    talk_goes_on(&caller, &phone).await;
    caller.hang_up();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["segments"][0]["n_holds"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_hears_nothing_of_a_caller_who_holds() {
    let engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    caller.speak(Speech::Silence);
    caller.hold();
    caller.until("hold answered", SOON, |it| it.n_reanswered == 1).await.unwrap();
    phone.until_silence(SOON).await.unwrap();
    caller.retrieve();
    caller.until("retrieve answered", SOON, |it| it.n_reanswered == 2).await.unwrap();
    talk_goes_on(&caller, &phone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_says_while_he_holds_is_heard_by_nobody_and_in_no_recording() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let mark = caller.mark();
    engine.command(&agent.no, "hold", json!({})).await;
    caller.hears_since(&engine, mark, "moh.default").await;
    // He asks a colleague beside him, and his microphone is open.
    phone.speak(Speech::tone(1_300));
    caller.speak(Speech::tone(900));
    let mark = caller.mark();
    let passes = |it: &Heard| (it.mark() > mark + 12_000).then_some(());
    caller.until_heard("more music", SOON, passes).await.unwrap();
    phone.speak(Speech::tone(440));
    let mark = caller.mark();
    let passes = |it: &Heard| (it.mark() > mark + 4_000).then_some(());
    caller.until_heard("still more", SOON, passes).await.unwrap();
    engine.command(&agent.no, "retrieve", json!({})).await;
    caller.until_tone(440, SOON).await.unwrap();
    phone.until_tone(900, SOON).await.unwrap();
    assert!(caller.heard().sound().tone_anywhere(1_300) < 0.05);
    caller.hang_up();
    let record = engine.sealed_record_of(&caller.number).await;
    let id = text(&record["recordings"][0]["recording_id"]);
    let sides = engine.recording(&id).await;
    assert!(sides[0].tone_anywhere(900) > 0.9, "the caller's side goes on");
    assert!(sides[1].tone_anywhere(440) > 0.9 && sides[1].tone_anywhere(1_300) < 0.02);
}

/// Nobody misses the voice of who holds, so his telephone is asked whether it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_does_not_wait_for_a_telephone_that_holds_and_has_lost_its_power() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let mark = caller.mark();
    phone.hold();
    caller.hears_since(&engine, mark, "moh.default").await;
    engine.until_state(&agent, "held").await;
    let no = agent.no.clone();
    drop((phone, agent));
    // Asked after half a minute, and waited for twice for as long.
    let long = Duration::from_mins(3);
    let goes_on = |it: &Value| (it["line"] == "free").then(|| it.clone());
    let state = engine.until(&format!("/api/v1/agents/{no}"), long, goes_on).await;
    assert_eq!((&state["state"], &state["reason"]["code"]), (&json!("busy"), &json!(5)), "{state}");
    // The caller goes on in the flow, as after every talk.
    caller.until_ended(long).await.unwrap();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["outcome"], "answered");
    assert_eq!(record["segments"][0]["released_by"], "telephone", "{record:#}");
}
