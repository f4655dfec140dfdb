//! A call is held and taken back, by telephone and by command.

use hotline_testkit::{Call, Speech};
use serde_json::json;

use crate::{
    engine::{Engine, SOON},
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
