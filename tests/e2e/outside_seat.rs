//! 外线坐席: agents whose telephone is a number outside.

use hotline_dsp::Signal;
use hotline_testkit::{Call, Robot, Speech};
use serde_json::{Value, json};

use crate::{
    engine::{Engine, Role, SOON, text},
    http,
    outbound::record_to,
    people::{Agent, Caller},
    setup::{CARRIER, OPERATOR_TOKEN, Setup},
};

const MOBILE: &str = "13800139000";

/// Agents may sit outside, and everything outside is behind this gateway.
async fn engine_of(gateway: &Robot) -> Engine {
    let setup = Setup {
        gateways: vec![gateway.address()],
        options_probes: false,
        calls_per_hour: 3,
        agent_more: "outside_seat = true\n",
        ..Setup::default()
    };
    Engine::start(setup).await
}

/// Agent 1001 is ready at a mobile telephone.
async fn outside(engine: &Engine, robot: Robot) -> Agent {
    let agent = Agent { no: "1001".to_owned(), robot };
    let view = engine.command("1001", "sign-in", json!({"outside_no": "138-0013-9000"})).await;
    assert_eq!((&view["outside_no"], &view["extension"]), (&json!(MOBILE), &json!("8001")));
    engine.ready(&agent).await;
    engine.until_state(&agent, "idle").await;
    agent
}

/// Who answers at the number outside hears the question and presses the key.
async fn accepts(engine: &Engine, phone: &Call) {
    phone.answer();
    let question = engine.setup.prompts.sound("seat.confirm");
    phone.until_sound("seat.confirm", &question, SOON).await.unwrap();
    phone.press("1");
}

/// A caller and an agent outside who talk.
async fn talk(engine: &Engine, agent: &Agent) -> (Caller, Call) {
    let caller = engine.caller().await;
    caller.ask_for_person(engine).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    accepts(engine, &phone).await;
    caller.speak(Speech::tone(700));
    phone.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    (caller, phone)
}

async fn n_out(engine: &Engine) -> Value {
    engine.get("/api/v1/trunks").await["items"][0]["n_out"].clone()
}

async fn until_no_channel_is_out(engine: &Engine) {
    let free = |it: &Value| (it["items"][0]["n_out"] == json!(0)).then_some(());
    engine.until("/api/v1/trunks", SOON, free).await;
}

fn fact<'a>(record: &'a Value, kind: &str) -> &'a Value {
    let mut all = record["facts"].as_array().unwrap().iter();
    all.find(|it| it["type"] == kind).unwrap_or_else(|| panic!("no {kind} in {record:#}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_at_a_mobile_telephone_takes_a_caller_through_a_restart_of_control() {
    let mut engine;
    let (caller, agent, phone) = {
        let gateway = Robot::bind(CARRIER).await.unwrap();
        engine = engine_of(&gateway).await;
        let agent = outside(&engine, gateway).await;
        let (caller, phone) = talk(&engine, &agent).await;
        (caller, agent, phone)
    };
    let invited = phone.invited().unwrap();
    assert_eq!(invited.request_user, MOBILE);
    assert_eq!(phone.caller_shown(), Some("077112345"), "only our own number is shown");
    engine.until_state(&agent, "talking").await;
    assert_eq!(n_out(&engine).await, 1);

    engine.until_kept("call/").await;
    engine.kill(Role::Control).await;
    let view = engine.until_state(&agent, "talking").await;
    assert_eq!(view["outside_no"], MOBILE);
    let taken = |it: &Value| (it["items"][0]["n_out"] == json!(1)).then_some(());
    engine.until("/api/v1/trunks", SOON, taken).await;
    engine.command(&agent.no, "hold", json!({})).await;
    engine.until_state(&agent, "held").await;
    engine.command(&agent.no, "retrieve", json!({})).await;
    let mark = caller.mark();
    caller.until_tone_since(mark, 440, SOON).await.unwrap();
    phone.hang_up();
    engine.until_state(&agent, "idle").await;
    caller.hang_up();
    until_no_channel_is_out(&engine).await;

    let record = engine.sealed_record_of(&caller.number).await;
    let segment = &record["segments"][0];
    assert_eq!(
        (text(&segment["agent_no"]), text(&segment["extension"])),
        ("1001".into(), "8001".into())
    );
    assert_eq!(text(&segment["released_by"]), "agent");
    assert_eq!(text(&fact(&record, "rung_outside")["called_no"]), MOBILE);
    let way = fact(&record, "party_went_out");
    assert_eq!(
        (text(&way["trunk"]), text(&way["display_no"])),
        ("carrier".into(), "077112345".into())
    );
    let sides = engine.recording(&text(&record["recordings"][0]["recording_id"])).await;
    assert!(sides[1].tone_anywhere(440) > 0.9, "the agent is on the right");
    let path = format!("/api/v1/calls/{}", text(&record["call_id"]));
    let operator = format!("Bearer {OPERATOR_TOKEN}");
    let headers = [("authorization", operator.as_str())];
    let masked = http::request(engine.http(), "GET", &path, &headers, "").await.unwrap().json();
    assert_eq!(text(&fact(&masked, "rung_outside")["called_no"]), "138****9000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_outside_who_does_not_answer_rejects_or_may_not_be_rung_is_set_aside() {
    let gateway = Robot::bind(CARRIER).await.unwrap();
    let engine = engine_of(&gateway).await;
    let agent = outside(&engine, gateway).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let reason = async |code: u16| {
        let view = engine.until_state(&agent, "busy").await;
        assert_eq!(view["reason"]["code"], code, "{view:#}");
        until_no_channel_is_out(&engine).await;
        engine.ready(&agent).await;
    };
    // It rings as long as the offer lasts.
    agent.robot.incoming(SOON).await.unwrap().until_ended(SOON).await.unwrap();
    reason(2).await;
    agent.robot.incoming(SOON).await.unwrap().reject(486);
    reason(7).await;
    agent.robot.incoming(SOON).await.unwrap().reject(480);
    reason(5).await;
    // Three in an hour is what the plan has.
    let view = engine.until_state(&agent, "busy").await;
    assert_eq!(view["reason"]["code"], 5, "{view:#}");
    engine.until_waiting("gx.nn.general", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voice_mail_of_an_agent_outside_does_not_take_the_caller() {
    let gateway = Robot::bind(CARRIER).await.unwrap();
    let engine = engine_of(&gateway).await;
    let agent = outside(&engine, gateway).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let voice_mail = agent.robot.incoming(SOON).await.unwrap();
    voice_mail.answer();
    voice_mail.speak(Speech::tone(440));
    // Another key than the one that was asked for is none.
    let question = engine.setup.prompts.sound("seat.confirm");
    voice_mail.until_sound("seat.confirm", &question, SOON).await.unwrap();
    voice_mail.press("2");
    voice_mail.until_ended(SOON).await.unwrap();
    let view = engine.until_state(&agent, "busy").await;
    assert_eq!(view["reason"]["code"], 2, "as if nobody had answered: {view:#}");
    engine.until_waiting("gx.nn.general", 1).await;
    assert!(caller.heard().sound().tone_anywhere(440) < 0.1, "the caller heard him");
    caller.hang_up();
    let record = engine.record_of(&caller.number).await;
    let segment = &record["segments"][0];
    assert_eq!((&segment["t_br"], &segment["t_agent"]), (&Value::Null, &Value::Null), "{record:#}");
    assert_eq!(record["recordings"], json!([]), "{record:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_tone_at_an_agent_outside_is_his_hanging_up() {
    let gateway = Robot::bind(CARRIER).await.unwrap();
    let setup = Setup {
        gateways: vec![gateway.address()],
        options_probes: false,
        agent_more: "outside_seat = true\n",
        trunk_keys: "busy_tone_ends = true\n",
        ..Setup::default()
    };
    let engine = Engine::start(setup).await;
    let agent = outside(&engine, gateway).await;
    let (caller, phone) = talk(&engine, &agent).await;
    phone.speak(Speech::signal(Signal::Busy));
    phone.until_ended(SOON).await.unwrap();
    engine.until_state(&agent, "idle").await;
    until_no_channel_is_out(&engine).await;
    assert!(caller.view().ended.is_none(), "the flow has the caller again");
    caller.hang_up();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(text(&record["segments"][0]["released_by"]), "agent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_outside_calls_somebody() {
    let gateway = Robot::bind(CARRIER).await.unwrap();
    let engine = engine_of(&gateway).await;
    let agent = outside(&engine, gateway).await;
    engine.command(&agent.no, "dial", json!({"number": "13800138020"})).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    assert_eq!(phone.invited().unwrap().request_user, MOBILE);
    accepts(&engine, &phone).await;
    let party = agent.robot.incoming(SOON).await.unwrap();
    assert_eq!(party.invited().unwrap().request_user, "13800138020");
    party.answer();
    engine.until_state(&agent, "talking").await;
    phone.speak(Speech::tone(440));
    party.speak(Speech::tone(700));
    party.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    assert_eq!(n_out(&engine).await, 2);
    party.hang_up();
    phone.until_ended(SOON).await.unwrap();
    until_no_channel_is_out(&engine).await;
    let record = record_to(&engine, "13800138020").await;
    assert_eq!(
        (text(&record["outcome"]), text(&record["trunk"])),
        ("reached".into(), "carrier".into())
    );
    assert_eq!(text(&fact(&record, "rung_outside")["called_no"]), MOBILE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sits_at_a_number_that_he_may_not_call() {
    let gateway = Robot::bind(CARRIER).await.unwrap();
    let engine = engine_of(&gateway).await;
    let ask = async |engine: &Engine, no: u32, body: Value| {
        let path = format!("/api/v1/agents/{no}/sign-in");
        let reply = http::post(engine.http(), &path, &body).await.unwrap();
        (reply.status, text(&reply.json()["error"]["code"]))
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let at = |number: &str| json!({ "outside_no": number });
    for number in ["0012125551234", "110", "07715551234"] {
        let reply = ask(&engine, 1001, at(number)).await;
        assert_eq!(reply, refused(403, "not_permitted"), "{number}");
    }
    assert_eq!(ask(&engine, 1001, at("home")).await, refused(400, "not_a_number"));
    let both = json!({"outside_no": MOBILE, "extension": "8001"});
    assert_eq!(ask(&engine, 1001, both).await.0, 400);
    engine.command("1001", "sign-in", at(MOBILE)).await;
    assert_eq!(ask(&engine, 1002, at(MOBILE)).await, refused(409, "extension_taken"));
    engine.command("1001", "sign-out", json!({})).await;
    engine.command("1002", "sign-in", at(MOBILE)).await;
    // Who may call out may not sit outside for that alone.
    let (gateways, options_probes) = (vec![gateway.address()], false);
    let strict = Engine::start(Setup { gateways, options_probes, ..Setup::default() }).await;
    assert_eq!(ask(&strict, 1001, at(MOBILE)).await, refused(403, "not_permitted"));
}
