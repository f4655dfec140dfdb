//! 通话转, 三方转 with a department outside: who leaves first, and who then hears whom (the four
//! outcomes of a transfer), measured at every ear.

use hotline_testkit::{Call, Robot, Speech};
use serde_json::json;

use crate::{
    engine::{Engine, SOON},
    parties::{AGENT, CALLER, THIRD, hears},
    people::{Agent, Caller},
    setup::{CARRIER, Setup},
};

/// A caller, his agent, and a department that the agent has called, which speaks.
struct Talk {
    engine: Engine,
    caller: Caller,
    agent: Agent,
    phone: Call,
    third: Call,
    department: Robot,
}

impl Talk {
    /// 通话转: the caller waits with music while the two talk.
    async fn consulting() -> Self {
        let department = Robot::bind(CARRIER).await.unwrap();
        let gateways = vec![department.address()];
        let setup = Setup { gateways, options_probes: false, ..Setup::default() };
        let engine = Engine::start(setup).await;
        let (caller, agent, phone) = engine.talk().await;
        let mark = caller.mark();
        engine.command(&agent.no, "consult", json!({ "number": "13800138000" })).await;
        let third = department.incoming(SOON).await.unwrap();
        third.answer();
        third.until_answered(SOON).await.unwrap();
        third.speak(Speech::tone(THIRD));
        caller.hears_since(&engine, mark, "moh.default").await;
        hears(&phone, &[THIRD]).await;
        hears(&third, &[AGENT]).await;
        Self { engine, caller, agent, phone, third, department }
    }

    /// 三方转: all three talk.
    async fn three() -> Self {
        let it = Self::consulting().await;
        it.engine.command(&it.agent.no, "three-way", json!({})).await;
        hears(&it.caller, &[AGENT, THIRD]).await;
        hears(&it.phone, &[CALLER, THIRD]).await;
        hears(&it.third, &[CALLER, AGENT]).await;
        it
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_and_department_stay_connected_when_the_agent_leaves() {
    for three in [false, true] {
        let it = if three { Talk::three().await } else { Talk::consulting().await };
        it.phone.hang_up();
        hears(&it.caller, &[THIRD]).await;
        hears(&it.third, &[CALLER]).await;
        it.engine.until_state(&it.agent, "idle").await;
        it.third.hang_up();
        it.caller.until_ended(SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_and_department_stay_connected_when_the_caller_leaves() {
    for three in [false, true] {
        let it = if three { Talk::three().await } else { Talk::consulting().await };
        it.caller.hang_up();
        hears(&it.phone, &[THIRD]).await;
        hears(&it.third, &[AGENT]).await;
        it.third.hang_up();
        it.phone.until_ended(SOON).await.unwrap();
        it.engine.until_state(&it.agent, "idle").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_and_caller_stay_connected_when_the_department_leaves() {
    for three in [false, true] {
        let it = if three { Talk::three().await } else { Talk::consulting().await };
        it.third.hang_up();
        hears(&it.caller, &[AGENT]).await;
        hears(&it.phone, &[CALLER]).await;
        it.engine.until_state(&it.agent, "talking").await;
        it.caller.hang_up();
        it.phone.until_ended(SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn department_is_dropped_when_the_transfer_is_cancelled() {
    let it = Talk::consulting().await;
    it.engine.command(&it.agent.no, "cancel-consult", json!({})).await;
    it.third.until_ended(SOON).await.unwrap();
    hears(&it.caller, &[AGENT]).await;
    hears(&it.phone, &[CALLER]).await;
    it.engine.until_state(&it.agent, "talking").await;
    // 取消转移 while it still rings, too.
    it.engine.command(&it.agent.no, "consult", json!({ "number": "13800138000" })).await;
    let ringing = it.department.incoming(SOON).await.unwrap();
    it.engine.command(&it.agent.no, "cancel-consult", json!({})).await;
    ringing.until_ended(SOON).await.unwrap();
    hears(&it.caller, &[AGENT]).await;
    hears(&it.phone, &[CALLER]).await;
}
