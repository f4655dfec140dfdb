//! More than two in a call: consulting, three-way, transfer, supervision; who hears whom is measured
//! at every ear.

use std::time::Duration;

use hotline_testkit::{Call, Heard, Speech};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    engine::{Engine, SOON, text},
    people::Agent,
    setup::Setup,
};

/// What caller, agent and third party say.
pub(crate) const CALLER: u32 = 700;
pub(crate) const AGENT: u32 = 440;
pub(crate) const THIRD: u32 = 1_000;

/// What a supervisor says to the agent alone.
const WHISPERED: u32 = 1_300;

/// Waits until an ear hears just these, of the three, at once.
pub(crate) async fn hears(ear: &Call, who: &[u32]) {
    let just_these = |it: &Heard| {
        let sound = it.last(Duration::from_millis(300));
        let share = |hz: u32| sound.tone_share(hz);
        let right = [CALLER, AGENT, THIRD]
            .into_iter()
            .all(|hz| if who.contains(&hz) { share(hz) > 0.2 } else { share(hz) < 0.02 });
        (sound.length() >= Duration::from_millis(300) && right).then_some(())
    };
    ear.until_heard(&format!("{who:?}"), SOON, just_these).await.unwrap();
}

/// The third party's telephone rings and is answered.
pub(crate) async fn joins(agent: &Agent) -> Call {
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    phone.until_answered(SOON).await.unwrap();
    phone.speak(Speech::tone(THIRD));
    phone
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_waits_with_music_then_three_talk_and_then_the_two_whom_the_agent_leaves() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let second = engine.agent(2).await;
    let mark = caller.mark();
    engine.command(&agent.no, "consult", json!({ "agent_no": second.no })).await;
    let third = joins(&second).await;
    caller.hears_since(&engine, mark, "moh.default").await;
    hears(&phone, &[THIRD]).await;
    hears(&third, &[AGENT]).await;

    engine.command(&agent.no, "three-way", json!({})).await;
    hears(&caller, &[AGENT, THIRD]).await;
    hears(&phone, &[CALLER, THIRD]).await;
    hears(&third, &[CALLER, AGENT]).await;

    // 三方转: whoever leaves, the other two go on.
    phone.hang_up();
    hears(&caller, &[THIRD]).await;
    hears(&third, &[CALLER]).await;

    caller.hang_up();
    third.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    let agents: Vec<_> =
        record["segments"].as_array().unwrap().iter().map(|it| text(&it["agent_no"])).collect();
    assert_eq!(agents, ["1001", "1002"]);
    assert_eq!(record["recordings"].as_array().unwrap().len(), 1);
    // Left is the caller alone, right whoever he talked to.
    let id = text(&record["recordings"][0]["recording_id"]);
    let sides = engine.recording(&id).await;
    assert!(sides[0].tone_anywhere(CALLER) > 0.9 && sides[0].tone_anywhere(THIRD) < 0.02);
    assert!(sides[1].tone_anywhere(THIRD) > 0.2 && sides[1].tone_anywhere(CALLER) < 0.02);
    engine.until_state(&agent, "idle").await;
    engine.until_state(&second, "idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_asks_a_colleague_and_leaves_the_caller_to_him() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let second = engine.agent(2).await;
    engine.command(&agent.no, "consult", json!({ "agent_no": second.no })).await;
    let third = joins(&second).await;
    hears(&phone, &[THIRD]).await;
    engine.command(&agent.no, "complete-transfer", json!({})).await;
    phone.until_ended(SOON).await.unwrap();
    hears(&caller, &[THIRD]).await;
    hears(&third, &[CALLER]).await;
    engine.until_state(&agent, "idle").await;
    third.hang_up();
    engine.until_state(&second, "idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_hears_an_agent_who_is_muted_and_no_recording_does() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    hears(&caller, &[AGENT]).await;
    // 静音.
    let view = engine.command(&agent.no, "mute", json!({})).await;
    let actions = view["actions"].as_array().unwrap();
    assert!(actions.contains(&json!("unmute")) && !actions.contains(&json!("mute")), "{actions:?}");
    // As long as his own telephone takes to hear half a second, and then a second, of the caller.
    let passes = async |ms: usize| {
        let mark = phone.mark();
        let enough = |it: &Heard| (it.mark() > mark + ms * 8).then_some(());
        phone.until_heard("the caller goes on", SOON, enough).await.unwrap();
    };
    passes(500).await;
    let mark = caller.mark();
    phone.speak(Speech::tone(WHISPERED));
    passes(1_000).await;
    phone.speak(Speech::tone(AGENT));
    passes(500).await;
    let heard = caller.heard().since(mark);
    assert!(heard.tone_anywhere(WHISPERED) < 0.02 && heard.tone_anywhere(AGENT) < 0.02);
    hears(&phone, &[CALLER]).await;
    // 取消静音.
    engine.command(&agent.no, "unmute", json!({})).await;
    hears(&caller, &[AGENT]).await;
    caller.hang_up();
    let record = engine.sealed_record_of(&caller.number).await;
    let sides = engine.recording(&text(&record["recordings"][0]["recording_id"])).await;
    assert!(sides[1].tone_anywhere(AGENT) > 0.2 && sides[1].tone_anywhere(WHISPERED) < 0.02);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_gives_the_caller_away_with_the_transfer_key_of_his_telephone() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let second = engine.agent(2).await;
    phone.refer(&format!("sip:8002@{}", engine.udp()));
    phone.until_ended(SOON).await.unwrap();
    let third = joins(&second).await;
    hears(&caller, &[THIRD]).await;
    hears(&third, &[CALLER]).await;
    third.hang_up();
    engine.until_state(&second, "idle").await;
    engine.until_state(&agent, "idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn supervisor_listens_whispers_and_barges_in_and_each_hears_what_he_should() {
    let engine =
        Engine::start(Setup { agent_more: "supervisor = true\n", ..Setup::default() }).await;
    let (caller, agent, phone) = engine.talk().await;
    let supervisor = engine.busy_agent(2).await;
    let order = |mode: &str| json!({ "agent_no": agent.no, "mode": mode });
    engine.command(&supervisor.no, "supervise", order("listen")).await;
    let began = Instant::now();
    let third = joins(&supervisor).await;
    hears(&third, &[CALLER, AGENT]).await;
    hears(&caller, &[AGENT]).await;
    hears(&phone, &[CALLER]).await;
    let joined = Instant::now();

    engine.command(&supervisor.no, "supervise", order("whisper")).await;
    hears(&phone, &[CALLER, THIRD]).await;
    hears(&caller, &[AGENT]).await;
    third.speak(Speech::tone(WHISPERED));
    let whispered = |it: &Heard| {
        let sound = it.last(Duration::from_millis(300));
        (sound.tone_anywhere(WHISPERED) > 0.2).then_some(())
    };
    phone.until_heard("a whisper", SOON, whispered).await.unwrap();
    third.speak(Speech::tone(THIRD));
    hears(&phone, &[CALLER, THIRD]).await;

    engine.command(&supervisor.no, "supervise", order("barge_in")).await;
    hears(&caller, &[AGENT, THIRD]).await;
    hears(&phone, &[CALLER, THIRD]).await;

    // Through every one of these switches, nobody's ear was without sound for more than 200 ms.
    for (ear, since) in [(&caller.call, began), (&phone, began), (&third, joined)] {
        let continuity = ear.heard().continuity_since(since);
        assert!(continuity.gap_max <= Duration::from_millis(200), "{continuity:?}");
        assert!(continuity.n_sources == 1 && continuity.n_packets > 20, "{continuity:?}");
    }

    third.hang_up();
    hears(&caller, &[AGENT]).await;
    hears(&phone, &[CALLER]).await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    // In the recording is what the caller heard of him, and nothing else.
    let record = engine.sealed_record_of(&caller.number).await;
    let sides = engine.recording(&text(&record["recordings"][0]["recording_id"])).await;
    assert!(sides[0].tone_anywhere(CALLER) > 0.9 && sides[0].tone_anywhere(THIRD) < 0.02);
    assert!(sides[1].tone_anywhere(THIRD) > 0.2 && sides[1].tone_anywhere(WHISPERED) < 0.02);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn supervisor_makes_an_agent_busy_and_ready_and_signs_him_out() {
    let engine =
        Engine::start(Setup { agent_more: "supervisor = true\n", ..Setup::default() }).await;
    let agent = engine.agent(1).await;
    let supervisor = engine.busy_agent(2).await;
    let other = json!({ "agent_no": agent.no });
    engine.command(&supervisor.no, "force-busy", other.clone()).await;
    let view = engine.until_state(&agent, "busy").await;
    assert_eq!(view["reason"]["code"], 3, "{view:#}");
    engine.command(&supervisor.no, "force-ready", other.clone()).await;
    engine.until_state(&agent, "idle").await;
    // He gets the next caller, and goes when he is done with him.
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    engine.until_state(&agent, "talking").await;
    engine.command(&supervisor.no, "force-sign-out", other.clone()).await;
    engine.until_state(&agent, "talking").await;
    caller.hang_up();
    engine.until_state(&agent, "signed_out").await;
    // Nobody decides for those who are not there.
    let path = format!("/api/v1/agents/{}/force-ready", supervisor.no);
    let reply = crate::http::post(engine.http(), &path, &other).await.unwrap();
    assert_eq!(reply.status, 409, "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_who_is_no_supervisor_decides_for_nobody() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let other = engine.busy_agent(2).await;
    for command in ["force-busy", "force-ready", "force-sign-out"] {
        let path = format!("/api/v1/agents/{}/{command}", other.no);
        let body = json!({ "agent_no": agent.no });
        let reply = crate::http::post(engine.http(), &path, &body).await.unwrap();
        assert_eq!(reply.status, 403, "{}", reply.text());
    }
    engine.until_state(&agent, "idle").await;
}
