//! What agents do by the keys of their telephones: attended transfer (REFER with Replaces), taking a
//! call over at another telephone (INVITE with Replaces), and who may not. Who hears whom is
//! measured at every ear.

use std::time::Duration;

use hotline_sip::EndWhy;
use hotline_testkit::{Call, Outgoing, Robot, Speech, View};
use serde_json::{Value, json};

use crate::{
    engine::{Engine, Role, SOON, text},
    parties::{AGENT, CALLER, THIRD, hears, joins},
    people::{Agent, Caller},
    setup::{CARRIER, ELSEWHERE, OFFICE, PASSWORD, Setup},
};

/// The agent holds the caller and calls 1002 with his telephone's second line, who answers.
async fn asking(engine: &Engine) -> (Caller, Agent, Call, Call, Agent, Call) {
    let (caller, agent, phone) = engine.talk().await;
    let second = engine.agent(2).await;
    let mark = caller.mark();
    phone.hold();
    caller.hears_since(engine, mark, "moh.default").await;
    let line = agent.robot.call(engine.udp(), "8002", "8001").await.unwrap();
    line.speak(Speech::tone(AGENT));
    line.until_ringing(SOON).await.unwrap();
    let third = joins(&second).await;
    line.until_answered(SOON).await.unwrap();
    hears(&line, &[THIRD]).await;
    hears(&third, &[AGENT]).await;
    (caller, agent, phone, line, second, third)
}

async fn told(phone: &Call, expected: &[u16]) {
    phone.until(&format!("{expected:?}"), SOON, |it| it.referred == expected).await.unwrap();
}

async fn refused(call: &Call) -> Option<u16> {
    let why = call.until_ended(SOON).await.unwrap();
    if let EndWhy::Refused { status, .. } = why { Some(status) } else { None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_asks_by_the_second_line_of_his_telephone_and_connects_the_two() {
    let engine = Engine::quick().await;
    let (caller, agent, phone, line, second, third) = asking(&engine).await;
    engine.until_state(&agent, "consulting").await;
    phone.connect(&line, &format!("sip:8002@{}", engine.udp()));
    told(&phone, &[202, 100, 200]).await;
    phone.until_ended(SOON).await.unwrap();
    line.until_ended(SOON).await.unwrap();
    hears(&caller, &[THIRD]).await;
    hears(&third, &[CALLER]).await;
    engine.until_state(&agent, "idle").await;
    third.hang_up();
    caller.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    let agents: Vec<_> =
        record["segments"].as_array().unwrap().iter().map(|it| text(&it["agent_no"])).collect();
    assert_eq!(agents, ["1001", "1002"]);
    engine.until_state(&second, "idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_who_gives_his_second_line_up_is_with_the_caller_again() {
    let engine = Engine::quick().await;
    let (caller, agent, phone, line, second, third) = asking(&engine).await;
    line.hang_up();
    third.until_ended(SOON).await.unwrap();
    phone.retrieve();
    hears(&caller, &[AGENT]).await;
    hears(&phone, &[CALLER]).await;
    engine.until_state(&agent, "talking").await;
    engine.until_state(&second, "idle").await;
    // Nobody is there: the telephone hears so, and the caller is still held.
    engine.command(&second.no, "busy", json!({})).await;
    let line = agent.robot.call(engine.udp(), "8002", "8001").await.unwrap();
    assert_eq!(refused(&line).await, Some(480));
    hears(&caller, &[AGENT]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephone_is_told_what_became_of_a_blind_transfer() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let second = engine.agent(2).await;
    phone.refer(&format!("sip:8002@{}", engine.udp()));
    phone.until_ended(SOON).await.unwrap();
    let ringing = second.robot.incoming(SOON).await.unwrap();
    told(&phone, &[202, 100]).await;
    ringing.answer();
    told(&phone, &[202, 100, 200]).await;
    ringing.speak(Speech::tone(THIRD));
    hears(&caller, &[THIRD]).await;
    // The second time nobody takes him.
    engine.until_state(&agent, "idle").await;
    ringing.refer(&format!("sip:8001@{}", engine.udp()));
    let rejects = agent.robot.incoming(SOON).await.unwrap();
    rejects.reject(603);
    told(&ringing, &[202, 100, 603]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephone_is_told_by_the_next_control_that_its_transfer_came_to_nothing() {
    let mut engine = Engine::quick().await;
    let (_caller, _agent, phone) = engine.talk().await;
    let second = engine.agent(2).await;
    phone.refer(&format!("sip:8002@{}", engine.udp()));
    phone.until_ended(SOON).await.unwrap();
    let _ringing = second.robot.incoming(SOON).await.unwrap();
    told(&phone, &[202, 100]).await;
    engine.until_kept("refer/").await;
    engine.kill(Role::Control).await;
    told(&phone, &[202, 100, 503]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_goes_on_at_another_of_his_telephones() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let other = Robot::bind(OFFICE).await.unwrap();
    other.register(engine.udp(), "8001", PASSWORD).await.unwrap();
    let name = phone.replaces().await.unwrap();
    let call = replacing(&engine, &other, "8001", &name).await;
    call.speak(Speech::tone(THIRD));
    call.until_answered(SOON).await.unwrap();
    phone.until_ended(SOON).await.unwrap();
    hears(&caller, &[THIRD]).await;
    hears(&call, &[CALLER]).await;
    engine.until_state(&agent, "talking").await;
    call.hang_up();
    caller.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    assert_eq!(record["segments"].as_array().unwrap().len(), 1);
    let id = text(&record["recordings"][0]["recording_id"]);
    let right = &engine.recording(&id).await[1];
    assert!(right.tone_anywhere(AGENT) > 0.9 && right.tone_anywhere(THIRD) > 0.9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_picks_up_at_another_telephone_what_rings_at_his_first() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let caller = engine.caller().await;
    caller.speak(Speech::tone(CALLER));
    caller.ask_for_person(&engine).await;
    let ringing = agent.robot.incoming(SOON).await.unwrap();
    engine.until_state(&agent, "ringing").await;
    let other = Robot::bind(OFFICE).await.unwrap();
    other.register(engine.udp(), "8001", PASSWORD).await.unwrap();
    let name = ringing.replaces().await.unwrap() + ";early-only";
    let call = replacing(&engine, &other, "8001", &name).await;
    call.speak(Speech::tone(THIRD));
    assert_eq!(ringing.until_ended(SOON).await.unwrap(), EndWhy::Cancelled);
    hears(&caller, &[THIRD]).await;
    hears(&call, &[CALLER]).await;
    engine.until_state(&agent, "talking").await;
}

/// A telephone calls in place of another dialog.
async fn replacing(engine: &Engine, robot: &Robot, user: &str, name: &str) -> Call {
    let headers = vec![("Replaces".to_owned(), name.to_owned())];
    let (to, from_user) = ("8001".to_owned(), user.to_owned());
    let outgoing = Outgoing { to, from_user, headers, ..Outgoing::default() };
    robot.dial(engine.udp(), outgoing).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v26_nobody_but_the_agent_moves_his_caller() {
    let engine = Engine::quick().await;
    let (caller, agent, phone, _line, second, third) = asking(&engine).await;
    let to = format!("sip:10086@{}", engine.udp());
    let name = phone.replaces().await.unwrap();

    // REFER in a dialog of one's own: the trunk, and whom the agent asks.
    for it in [&caller.call, &third] {
        it.refer(&to);
        told(it, &[403]).await;
    }
    // INVITE with Replaces, by somebody who knows Call-ID and tags: a stranger, the trunk, another
    // agent, and the right agent's name without his password.
    let stranger = Robot::bind(ELSEWHERE).await.unwrap();
    let trunk = Robot::bind(CARRIER).await.unwrap();
    let guest = Robot::bind(OFFICE).await.unwrap();
    guest.register(engine.udp(), "8002", PASSWORD).await.unwrap();
    for (robot, user, status) in [
        (&stranger, "8001", 403),
        (&trunk, "8001", 403),
        (&second.robot, "8002", 481),
        (&guest, "8001", 401),
    ] {
        let call = replacing(&engine, robot, user, &name).await;
        assert_eq!(refused(&call).await, Some(status), "{user} {status}");
    }
    // Wrong tags, and a telephone without a caller: it calls out, and here no trunk leads there.
    let wrong = replacing(&engine, &agent.robot, "8001", "x@y;to-tag=1;from-tag=2").await;
    assert_eq!(refused(&wrong).await, Some(481));
    third.hang_up();
    engine.until_state(&second, "idle").await;
    let idle = second.robot.call(engine.udp(), "10086", "8002").await.unwrap();
    assert_eq!(refused(&idle).await, Some(503));

    // Nothing of it was heard.
    phone.retrieve();
    hears(&caller, &[AGENT]).await;
    hears(&phone, &[CALLER]).await;
    tokio::time::timeout(Duration::from_millis(1), second.robot.incoming(SOON)).await.unwrap_err();
}

/// An engine whose agents reach people outside over the robot's address.
async fn with_outside() -> (Engine, Robot) {
    let outside = Robot::bind(CARRIER).await.unwrap();
    let (gateways, options_probes) = (vec![outside.address()], false);
    let setup = Setup { gateways, options_probes, grace_secs: 60, ..Setup::default() };
    (Engine::start(setup).await, outside)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfer_outside_is_counted_and_its_delay_ends_when_it_rings() {
    let (engine, outside) = with_outside().await;
    let (caller, agent, phone) = engine.talk().await;
    // By the telephone's second line, under the same conditions as by command.
    let forbidden = agent.robot.call(engine.udp(), "0012125551234", "8001").await.unwrap();
    assert_eq!(refused(&forbidden).await, Some(403));
    phone.hold();
    let line = agent.robot.call(engine.udp(), "13800138007", "8001").await.unwrap();
    let party = outside.incoming(SOON).await.unwrap();
    line.until_ringing(SOON).await.unwrap();
    let sum = |it: &Value, of: &str| -> u64 {
        let rows = it["items"].as_array().unwrap().iter().filter(|it| it["direction"] == "out");
        rows.map(|it| it.pointer(of).and_then(Value::as_u64).unwrap_or(0)).sum()
    };
    // It is known before anybody answers, and does not change when somebody does.
    let rang = |it: &Value| {
        let is = it["items"]
            .as_array()?
            .iter()
            .any(|it| it["delay_mean_ms"].is_u64() && it["direction"] == "out");
        is.then(|| it.clone())
    };
    let before = engine.until("/api/v1/trunks/statistics", SOON, rang).await;
    assert_eq!(sum(&before, "/outcomes/answered"), 0);
    party.answer();
    party.speak(Speech::tone(THIRD));
    line.until_answered(SOON).await.unwrap();
    let answered = |it: &Value| (sum(it, "/outcomes/answered") == 1).then(|| it.clone());
    let after = engine.until("/api/v1/trunks/statistics", SOON, answered).await;
    assert_eq!(sum(&before, "/delay_max_ms"), sum(&after, "/delay_max_ms"));
    assert_eq!(sum(&after, "/attempts"), 1);
    phone.connect(&line, "sip:13800138007@x");
    told(&phone, &[202, 100, 200]).await;
    hears(&caller, &[THIRD]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_in_danger_is_given_to_110_while_the_engine_drains() {
    let (mut engine, police) = with_outside().await;
    let (caller, agent, phone) = engine.talk().await;
    engine.ask_to_stop();
    // Until callers are turned away.
    loop {
        let other = engine.caller().await;
        let seen = |it: &View| it.answered.is_some() || it.ended.is_some();
        if other.until("an answer", SOON, seen).await.unwrap().ended.is_some() {
            break;
        }
        other.hang_up();
        // A telephone that is gone says nothing, and its call would be waited for.
        other.until_ended(SOON).await.unwrap();
    }
    let path = format!("/api/v1/agents/{}/consult", agent.no);
    let plain = json!({ "number": "13800138008" });
    let reply = crate::http::post(engine.http(), &path, &plain).await.unwrap();
    assert_eq!(reply.status, 503, "{}", reply.text());
    phone.refer(&format!("sip:110@{}", engine.udp()));
    let party = police.incoming(SOON).await.unwrap();
    assert_eq!(party.invited().unwrap().request_user, "110");
    party.answer();
    party.speak(Speech::tone(THIRD));
    hears(&caller, &[THIRD]).await;
    told(&phone, &[202, 100, 200]).await;
    caller.hang_up();
    engine.until_stopped().await;
}
