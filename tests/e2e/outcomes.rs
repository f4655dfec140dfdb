//! 释放转, 成功转, 通话转, 三方转 with a department outside: who leaves first, and who then hears whom
//! (the four outcomes of a transfer), measured at every ear.

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

/// An engine whose agents reach a department outside.
async fn with_department() -> (Engine, Robot) {
    with_department_over("").await
}

/// The same with further lines for the trunk.
async fn with_department_over(trunk_keys: &'static str) -> (Engine, Robot) {
    let department = Robot::bind(CARRIER).await.unwrap();
    let gateways = vec![department.address()];
    let setup = Setup { gateways, options_probes: false, trunk_keys, ..Setup::default() };
    (Engine::start(setup).await, department)
}

/// The department answers and speaks.
async fn answers(ringing: &Call) {
    ringing.answer();
    ringing.until_answered(SOON).await.unwrap();
    ringing.speak(Speech::tone(THIRD));
}

impl Talk {
    /// 通话转: the caller waits with music while the two talk.
    async fn consulting() -> Self {
        let (engine, department) = with_department().await;
        let (caller, agent, phone) = engine.talk().await;
        let mark = caller.mark();
        engine.command(&agent.no, "consult", json!({ "number": "13800138000" })).await;
        let third = department.incoming(SOON).await.unwrap();
        answers(&third).await;
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

/// 释放转: the agent is gone before the department has answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_waits_with_music_for_the_department_when_he_is_given_away() {
    for caller_leaves in [true, false] {
        let (engine, department) = with_department().await;
        let (caller, agent, phone) = engine.talk().await;
        let mark = caller.mark();
        engine.command(&agent.no, "transfer", json!({ "number": "13800138000" })).await;
        phone.until_ended(SOON).await.unwrap();
        engine.until_state(&agent, "idle").await;
        let third = department.incoming(SOON).await.unwrap();
        caller.hears_since(&engine, mark, "moh.default").await;
        answers(&third).await;
        hears(&caller, &[THIRD]).await;
        hears(&third, &[CALLER]).await;
        if caller_leaves {
            caller.hang_up();
            third.until_ended(SOON).await.unwrap();
        } else {
            third.hang_up();
            caller.until_ended(SOON).await.unwrap();
        }
    }
}

/// 成功转: the agent hears the department ring, and is gone when it answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_is_released_when_the_department_answers_and_not_before() {
    let (engine, department) = with_department().await;
    let (caller, agent, phone) = engine.talk().await;
    let order = json!({ "number": "13800138000", "on_answer": true });
    // It refuses: the agent has the caller again.
    engine.command(&agent.no, "transfer", order.clone()).await;
    let refuses = department.incoming(SOON).await.unwrap();
    engine.until_state(&agent, "consulting").await;
    refuses.reject(486);
    engine.until_state(&agent, "talking").await;
    hears(&caller, &[AGENT]).await;
    hears(&phone, &[CALLER]).await;

    let mark = caller.mark();
    engine.command(&agent.no, "transfer", order).await;
    let third = department.incoming(SOON).await.unwrap();
    caller.hears_since(&engine, mark, "moh.default").await;
    assert!(phone.view().ended.is_none());
    answers(&third).await;
    phone.until_ended(SOON).await.unwrap();
    hears(&caller, &[THIRD]).await;
    hears(&third, &[CALLER]).await;
    engine.until_state(&agent, "idle").await;
    third.hang_up();
    caller.until_ended(SOON).await.unwrap();
    let record = engine.record_of(&caller.number).await;
    let modes = record["facts"].as_array().unwrap().iter();
    let modes: Vec<_> = modes.filter(|it| it["type"] == "transferred").collect();
    assert!(modes.len() == 1 && modes[0]["mode"] == "attended", "{record:#}");
}

/// 彩铃 and announcements of whom he asks, or gives his caller to when that one answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_hears_the_departments_network_before_the_answer_or_our_ring_back_as_configured() {
    for trunk_keys in ["", "early_media = false\n"] {
        let (engine, department) = with_department_over(trunk_keys).await;
        let (caller, agent, phone) = engine.talk().await;
        for on_answer in [false, true] {
            let command = if on_answer { "transfer" } else { "consult" };
            let mut order = json!({ "number": "13800138000" });
            if on_answer {
                order["on_answer"] = json!(true);
            }
            let (mark, at_agent) = (caller.mark(), phone.mark());
            engine.command(&agent.no, command, order).await;
            let third = department.incoming(SOON).await.unwrap();
            third.speak(Speech::tone(THIRD));
            third.ring_with_sound();
            if trunk_keys.is_empty() {
                hears(&phone, &[THIRD]).await;
            } else {
                let ring_back = engine.setup.prompts.sound("tone.ringback");
                phone.until_sound_since(at_agent, "ring-back", &ring_back, SOON).await.unwrap();
                assert!(phone.heard().since(at_agent).tone_anywhere(THIRD) < 0.5);
            }
            caller.hears_since(&engine, mark, "moh.default").await;
            third.answer();
            third.until_answered(SOON).await.unwrap();
            if on_answer {
                phone.until_ended(SOON).await.unwrap();
                hears(&caller, &[THIRD]).await;
                hears(&third, &[CALLER]).await;
            } else {
                hears(&phone, &[THIRD]).await;
                hears(&third, &[AGENT]).await;
                third.hang_up();
                hears(&phone, &[CALLER]).await;
            }
        }
    }
}
