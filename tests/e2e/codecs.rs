//! Callers and agents who do not speak the same codec: heard both ways, recorded, and led by prompts
//! and keys all the same.

use hotline_testkit::{Call, Codec, Codecs, Robot, Speech};

use crate::{
    engine::{Engine, SOON, text},
    setup::{CARRIER, Setup},
};

const CALLER: u32 = 700;
const AGENT: u32 = 440;

fn setup() -> Setup {
    Setup { media_more: "codecs = [\"opus\", \"g722\", \"pcma\", \"pcmu\"]\n", ..Setup::default() }
}

/// A caller of one codec is led to an agent of another, and both are heard and recorded.
async fn talk(engine: &Engine, caller: Codec, agent: Codec) {
    let desk = engine.agent(1).await;
    desk.robot.speak_codecs(Codecs::of([agent])).await;
    let telephone = Robot::bind(CARRIER).await.unwrap();
    telephone.speak_codecs(Codecs::of([caller])).await;
    let call = engine.caller_with(telephone).await;
    call.ask_for_person(engine).await;
    let ringing = desk.robot.incoming(SOON).await.unwrap();
    ringing.answer();
    call.speak(Speech::tone(CALLER));
    ringing.speak(Speech::tone(AGENT));
    call.until_tone(AGENT, SOON).await.unwrap();
    ringing.until_tone(CALLER, SOON).await.unwrap();
    let codec = |it: &Call| it.view().stream.map(|it| it.codec);
    assert_eq!((codec(&call), codec(&ringing)), (Some(caller), Some(agent)));
    // One stream through prompts, music and talk.
    let continuity = call.heard().continuity();
    assert_eq!((continuity.n_sources, continuity.n_lost), (1, 0), "{continuity:?}");
    call.hang_up();
    ringing.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&call.number).await;
    let id = text(&record["recordings"][0]["recording_id"]);
    let sides = engine.recording(&id).await;
    assert!(sides[0].tone_anywhere(CALLER) > 0.8, "{caller}: {}", sides[0].tone_anywhere(CALLER));
    assert!(sides[1].tone_anywhere(AGENT) > 0.8, "{agent}: {}", sides[1].tone_anywhere(AGENT));
    assert!(sides[0].tone_anywhere(AGENT) < 0.02 && sides[1].tone_anywhere(CALLER) < 0.02);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_with_opus_is_led_by_prompts_and_keys_to_an_agent_with_a_law() {
    talk(&Engine::start(setup()).await, Codec::Opus, Codec::Pcma).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_with_a_law_and_agent_with_opus_hear_each_other() {
    talk(&Engine::start(setup()).await, Codec::Pcma, Codec::Opus).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_with_g722_and_agent_with_mu_law_hear_each_other() {
    talk(&Engine::start(setup()).await, Codec::G722, Codec::Pcmu).await;
}
