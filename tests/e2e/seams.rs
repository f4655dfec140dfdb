//! What a caller receives is one stream from the first word to the last, whatever becomes of his call.

use hotline_testkit::Speech;
use serde_json::json;

use crate::{
    engine::{Engine, SOON},
    figures::tell,
    parties::{AGENT, CALLER, THIRD, hears, joins},
    people::Agent,
    queue::longest_hole_ms,
};

/// In which nothing may be sent to him.
const HOLE_MAX_MS: u32 = 40;

/// A call in which all changes that there are; how long nothing was sent at most, to the caller and
/// to whom he is left to. Both agents are busy before it and after it.
async fn story(engine: &Engine, agent: &Agent, second: &Agent) -> [u32; 2] {
    let caller = engine.caller().await;
    caller.hears_begin(engine, "greet.common").await;
    caller.ask_for_person(engine).await;
    caller.hears_begin(engine, "moh.default").await;
    engine.ready(agent).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    caller.speak(Speech::tone(CALLER));
    phone.speak(Speech::tone(AGENT));
    hears(&caller, &[AGENT]).await;
    hears(&phone, &[CALLER]).await;

    let mark = caller.mark();
    engine.command(&agent.no, "hold", json!({})).await;
    caller.hears_since(engine, mark, "moh.default").await;
    // The carrier refreshes the session meanwhile; the music goes on.
    caller.retrieve();
    caller.until("refreshed", SOON, |it| it.n_reanswered == 1).await.unwrap();
    let mark = caller.mark();
    caller.hears_since(engine, mark, "moh.default").await;
    phone.until_silence(SOON).await.unwrap();
    engine.until_state(agent, "held").await;
    engine.command(&agent.no, "retrieve", json!({})).await;
    hears(&caller, &[AGENT]).await;
    hears(&phone, &[CALLER]).await;

    engine.ready(second).await;
    engine.command(&agent.no, "consult", json!({ "agent_no": second.no })).await;
    let third = joins(second).await;
    hears(&phone, &[THIRD]).await;
    engine.command(&agent.no, "three-way", json!({})).await;
    hears(&caller, &[AGENT, THIRD]).await;
    let three = third.heard().packets().len();
    phone.hang_up();
    hears(&caller, &[THIRD]).await;
    hears(&third, &[CALLER]).await;
    third.hang_up();
    caller.hears(engine, "bye.common").await;
    caller.until_ended(SOON).await.unwrap();
    for it in [agent, second] {
        engine.until_state(it, "idle").await;
        engine.command(&it.no, "busy", json!({})).await;
    }
    [(caller.heard(), 0), (third.heard(), three)].map(|(heard, begin)| {
        let continuity = heard.continuity();
        assert!(continuity.is_seamless(), "{continuity:?}");
        longest_hole_ms(&heard, begin)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_receives_one_stream_through_prompts_music_talk_hold_three_way_and_transfer() {
    let engine = Engine::quick().await;
    let (agent, second) = (engine.busy_agent(1).await, engine.busy_agent(2).await);
    let mut holes = Vec::new();
    // On a busy machine somebody may be late once, and not three times.
    for _ in 0..3 {
        holes.push(story(&engine, &agent, &second).await);
        if holes.last().is_some_and(|it| it.iter().all(|it| *it <= HOLE_MAX_MS)) {
            return tell("longest holes of caller and colleague, in ms", &holes);
        }
    }
    panic!("nothing was sent for {holes:?} ms");
}
