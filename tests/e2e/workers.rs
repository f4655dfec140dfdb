//! Several media workers: calls are on all of them, and each is a whole call.

use hotline_testkit::Speech;
use serde_json::json;

use crate::{
    engine::{Engine, Role, SOON, text},
    parties::{AGENT, CALLER, THIRD, hears, joins},
    setup::Setup,
};

/// Legs of each of two workers.
async fn until_legs(engine: &Engine, legs: [u8; 2]) {
    for (n, worker) in legs.into_iter().zip(0..) {
        let name = format!("hotline_media_worker_legs{{worker=\"{worker}\"}}");
        engine.until_figure(&name, &n.to_string()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_calls_are_on_two_workers_with_whoever_joins_them_and_outlive_their_death() {
    let media_more = "workers = 2\n";
    let agent_more = "supervisor = true\n";
    let setup = Setup { n_agents: 3, media_more, agent_more, ..Setup::default() };
    let mut engine = Engine::start(setup).await;
    let (caller, agent, phone) = engine.talk().await;
    let second = engine.agent(2).await;
    let (other_caller, other_phone) = engine.talk_with(&second).await;
    until_legs(&engine, [2, 2]).await;

    // A supervisor who looks into both, one after the other, is beside each.
    let supervisor = engine.busy_agent(3).await;
    for (watched, ear, legs) in [(&agent, &caller, [2, 3]), (&second, &other_caller, [3, 2])] {
        let order = json!({ "agent_no": watched.no, "mode": "barge_in" });
        engine.command(&supervisor.no, "supervise", order).await;
        let third = joins(&supervisor).await;
        hears(ear, &[AGENT, THIRD]).await;
        hears(&third, &[CALLER, AGENT]).await;
        until_legs(&engine, legs).await;
        third.hang_up();
        hears(ear, &[AGENT]).await;
        engine.until_state(&supervisor, "busy").await;
    }

    engine.kill(Role::Media).await;
    for (caller, phone, high, low) in
        [(&*caller, &phone, 900, 520), (&*other_caller, &other_phone, 1_100, 600)]
    {
        caller.speak(Speech::tone(high));
        phone.speak(Speech::tone(low));
        caller.until_tone(low, SOON).await.unwrap();
        phone.until_tone(high, SOON).await.unwrap();
        caller.speak(Speech::tone(CALLER));
        phone.speak(Speech::tone(AGENT));
    }
    until_legs(&engine, [2, 2]).await;

    // A transfer stays on the worker of its call.
    engine.command(&supervisor.no, "ready", json!({})).await;
    engine.command(&agent.no, "consult", json!({ "agent_no": supervisor.no })).await;
    let third = joins(&supervisor).await;
    hears(&phone, &[THIRD]).await;
    engine.command(&agent.no, "complete-transfer", json!({})).await;
    phone.until_ended(SOON).await.unwrap();
    hears(&caller, &[THIRD]).await;
    caller.hang_up();
    other_caller.hang_up();
    third.until_ended(SOON).await.unwrap();
    other_phone.until_ended(SOON).await.unwrap();
    for it in [&caller, &other_caller] {
        let record = engine.sealed_record_of(&it.number).await;
        let id = text(&record["recordings"][0]["recording_id"]);
        let sides = engine.recording(&id).await;
        assert!(sides[0].tone_anywhere(CALLER) > 0.9 && sides[1].tone_anywhere(AGENT) > 0.9);
    }
}
