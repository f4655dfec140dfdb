//! A supervisor takes a call over, or cuts it; who hears whom is measured at every ear.

use serde_json::{Value, json};

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
