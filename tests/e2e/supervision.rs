//! A supervisor takes part in a call, takes it over, or cuts it; who hears whom is measured at
//! every ear and in the recording.

use std::time::Duration;

use hotline_testkit::{Call, Heard, Speech};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    engine::{Engine, SOON, text},
    http,
    parties::{AGENT, CALLER, THIRD, hears, joins},
    setup::Setup,
};

async fn engine() -> Engine {
    Engine::start(Setup { agent_more: "supervisor = true\n", ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn supervisor_takes_the_caller_over_and_the_agent_is_out_of_it() {
    let engine = engine().await;
    let (caller, agent, phone) = engine.talk().await;
    let supervisor = engine.busy_agent(2).await;
    let order = json!({ "agent_no": agent.no, "mode": "listen" });
    engine.command(&supervisor.no, "supervise", order).await;
    let third = joins(&supervisor).await;
    hears(&caller, &[AGENT]).await;
    engine.until_state(&supervisor, "talking").await;
    engine.command(&supervisor.no, "intercept", json!({})).await;
    phone.until_ended(SOON).await.unwrap();
    hears(&caller, &[THIRD]).await;
    hears(&third, &[CALLER]).await;
    engine.until_state(&supervisor, "talking").await;
    engine.until_state(&agent, "idle").await;
    caller.hang_up();
    third.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    let agents: Vec<_> =
        record["segments"].as_array().unwrap().iter().map(|it| text(&it["agent_no"])).collect();
    assert_eq!(agents, ["1001", "1002"], "{record:#}");
    // One recording holds both, and of the supervisor only what the caller heard.
    assert_eq!(record["recordings"].as_array().unwrap().len(), 1);
    let sides = engine.recording(&text(&record["recordings"][0]["recording_id"])).await;
    assert!(sides[1].tone_anywhere(AGENT) > 0.9 && sides[1].tone_anywhere(THIRD) > 0.9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn supervisor_cuts_a_call_and_nobody_else_can() {
    let engine = engine().await;
    let (caller, agent, phone) = engine.talk().await;
    let supervisor = engine.busy_agent(2).await;
    engine.command(&supervisor.no, "force-release", json!({ "agent_no": agent.no })).await;
    phone.until_ended(SOON).await.unwrap();
    caller.until_ended(SOON).await.unwrap();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["released_by"], "supervisor", "{record:#}");
    engine.until_state(&agent, "idle").await;
    // With nobody there, there is nothing to cut.
    let path = format!("/api/v1/agents/{}/force-release", supervisor.no);
    let body = json!({ "agent_no": agent.no });
    let reply = http::post(engine.http(), &path, &body).await.unwrap();
    assert_eq!(reply.status, 409, "{}", reply.text());
    let plain = Engine::quick().await;
    let (caller, agent, phone) = plain.talk().await;
    plain.busy_agent(2).await;
    let reply = http::post(
        plain.http(),
        "/api/v1/agents/1002/force-release",
        &json!({
            "agent_no": agent.no
        }),
    )
    .await
    .unwrap();
    let said: Value = reply.json();
    assert_eq!(reply.status, 403, "{said:#}");
    assert!(caller.view().ended.is_none() && phone.view().ended.is_none());
}

/// An ear hears so much more.
async fn passes(ear: &Call, ms: usize) {
    let mark = ear.mark();
    let enough = |it: &Heard| (it.mark() > mark + ms * 8).then_some(());
    ear.until_heard("the others go on", SOON, enough).await.unwrap();
}

/// 监听, 耳语, 强插, each after each other; in each step he says something else.
const STEPS: [(&str, u32); 7] = [
    ("listen", 1_030),
    ("whisper", 1_130),
    ("listen", 1_230),
    ("barge_in", 1_530),
    ("whisper", 1_630),
    ("barge_in", 1_930),
    ("listen", 2_330),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_supervisor_says_after_each_switch_is_heard_and_recorded_where_it_should_be() {
    let engine = engine().await;
    let (caller, agent, phone) = engine.talk().await;
    let supervisor = engine.busy_agent(2).await;
    let (mark, mark_of_agent) = (caller.mark(), phone.mark());
    let order = |mode: &str| json!({ "agent_no": agent.no, "mode": mode });
    engine.command(&supervisor.no, "supervise", order(STEPS[0].0)).await;
    let third = joins(&supervisor).await;
    third.speak(Speech::Silence);
    hears(&third, &[CALLER, AGENT]).await;
    let began = Instant::now();
    for (mode, hz) in STEPS {
        engine.command(&supervisor.no, "supervise", order(mode)).await;
        third.speak(Speech::tone(hz));
        let ear = if mode == "barge_in" { &caller.call } else { &phone };
        if mode == "listen" {
            passes(&third, 600).await;
        } else {
            let heard = |it: &Heard| {
                let last = it.last(Duration::from_millis(300));
                (last.tone_share(hz) > 0.2).then_some(())
            };
            ear.until_heard(mode, SOON, heard).await.unwrap();
        }
        // What he said is over before he takes part in another way.
        third.speak(Speech::Silence);
        passes(&third, 400).await;
        hears(&third, &[CALLER, AGENT]).await;
    }
    for ear in [&caller.call, &phone, &third] {
        let continuity = ear.heard().continuity_since(began);
        assert!(continuity.gap_max <= Duration::from_millis(200), "{continuity:?}");
        assert!(continuity.n_sources == 1 && continuity.n_packets > 100, "{continuity:?}");
    }
    let [at_caller, at_agent] =
        [(&caller.call, mark), (&phone, mark_of_agent)].map(|(ear, mark)| ear.heard().since(mark));
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    assert_eq!(record["recordings"].as_array().unwrap().len(), 1);
    let sides = engine.recording(&text(&record["recordings"][0]["recording_id"])).await;
    for (mode, hz) in STEPS {
        let said = |sound: &hotline_testkit::Sound| sound.tone_anywhere(hz) > 0.15;
        let (caller, agent) = (mode == "barge_in", mode != "listen");
        let there = [&at_caller, &at_agent, &sides[0], &sides[1]].map(said);
        assert_eq!(there, [caller, agent, false, caller], "{mode} {hz}");
    }
}
