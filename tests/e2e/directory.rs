//! 一键转接: agents give callers to whom the operator wrote down.

use hotline_testkit::{Robot, Speech};
use serde_json::{Value, json};

use crate::{
    engine::{Engine, SOON, text},
    http,
    outbound::record_to,
    setup::{CARRIER, Setup},
};

/// Whom agents reach by one button; the plan of the agents has neither number.
const TARGETS: &str = "\
[[transfer_target]]\nid = \"police\"\nname = \"公安 110\"\ncategory = \"应急\"\nnumber = \"110\"\n\
[[transfer_target]]\nid = \"heating\"\nname = \"供热公司\"\nnumber = \"0771-5551234\"\n\
hours = [\"00:00-24:00\"]\n\
[[transfer_target]]\nid = \"night\"\nname = \"夜间\"\nnumber = \"07715550000\"\nhours = [\"08:00-08:00\"]\n\
[[transfer_target]]\nid = \"liuzhou\"\nname = \"柳州\"\nskill_group = \"gx.lz.general\"\n\
cities = [\"450200\"]\n\
[[transfer_target]]\nid = \"tax\"\nname = \"税务\"\nskill_group = \"gx.lz.general\"\n\
[[transfer_target]]\nid = \"lead\"\nname = \"值班长\"\nagent_no = \"1002\"\nsupervisors_only = true\n";

async fn engine(gateway: &Robot) -> Engine {
    let setup = Setup {
        gateways: vec![gateway.address()],
        options_probes: false,
        agent_more: "city = \"450100\"\n",
        sip_more: TARGETS.to_owned(),
        ..Setup::default()
    };
    Engine::start(setup).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_gives_a_caller_away_by_one_button_to_whom_his_plan_does_not_have() {
    let outside = Robot::bind(CARRIER).await.unwrap();
    let engine = engine(&outside).await;
    let (caller, agent, phone) = engine.talk().await;
    let listed = engine.get("/api/v1/agents/1001/directory").await;
    let of = |key: &str| -> Vec<_> {
        listed["items"].as_array().unwrap().iter().map(|it| it[key].clone()).collect()
    };
    assert_eq!(of("id"), ["police", "heating", "night", "tax"], "{listed:#}");
    assert_eq!(of("open"), [true, true, false, true]);
    assert_eq!((&of("name")[0], &of("category")[0]), (&json!("公安 110"), &json!("应急")));
    assert_eq!(
        (&of("number")[1], &of("hours")[1]),
        (&json!("0771-5551234"), &json!(["00:00-24:00"]))
    );

    let ask = async |command: &str, body: Value| {
        let path = format!("/api/v1/agents/1001/{command}");
        let reply = http::post(engine.http(), &path, &body).await.unwrap();
        (reply.status, text(&reply.json()["error"]["code"]))
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let to = |id: &str| json!({ "directory": id });
    // By hand the same number is not his to call.
    let by_hand = json!({"number": "07715551234"});
    assert_eq!(ask("transfer", by_hand).await, refused(403, "not_permitted"));
    for id in ["liuzhou", "lead", "nobody"] {
        assert_eq!(ask("transfer", to(id)).await, refused(404, "unknown_entry"), "{id}");
    }
    assert_eq!(ask("consult", to("night")).await, refused(409, "target_away"));
    assert_eq!(ask("transfer", json!({"directory": "police", "number": "110"})).await.0, 400);

    // 三方通话 with one, then 转移 to another.
    engine.command(&agent.no, "consult", to("police")).await;
    let police = outside.incoming(SOON).await.unwrap();
    assert_eq!(police.invited().unwrap().request_user, "110");
    police.answer();
    police.until_answered(SOON).await.unwrap();
    engine.command(&agent.no, "cancel-consult", json!({})).await;
    police.until_ended(SOON).await.unwrap();
    engine.command(&agent.no, "transfer", to("heating")).await;
    phone.until_ended(SOON).await.unwrap();
    let heating = outside.incoming(SOON).await.unwrap();
    assert_eq!(heating.invited().unwrap().request_user, "07715551234");
    heating.answer();
    heating.speak(Speech::tone(1_000));
    caller.until_tone(1_000, SOON).await.unwrap();
    caller.hang_up();
    heating.until_ended(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_calls_by_one_button_whom_his_plan_does_not_have() {
    let outside = Robot::bind(CARRIER).await.unwrap();
    let engine = engine(&outside).await;
    let agent = engine.busy_agent(1).await;
    let ask = async |body: Value| {
        let reply = http::post(engine.http(), "/api/v1/agents/1001/dial", &body).await.unwrap();
        (reply.status, text(&reply.json()["error"]["code"]))
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let to = |id: &str| json!({ "directory": id });
    let by_hand = json!({"number": "07715551234"});
    assert_eq!(ask(by_hand).await, refused(403, "not_permitted"));
    assert_eq!(ask(to("liuzhou")).await, refused(404, "unknown_entry"));
    assert_eq!(ask(to("night")).await, refused(409, "target_away"));
    assert_eq!(ask(json!({"directory": "police", "number": "110"})).await.0, 400);
    assert_eq!(ask(to("tax")).await, refused(400, "not_a_number"), "a group is no number");

    engine.command(&agent.no, "dial", to("heating")).await;
    agent.robot.incoming(SOON).await.unwrap().answer();
    let heating = outside.incoming(SOON).await.unwrap();
    assert_eq!(heating.invited().unwrap().request_user, "07715551234");
    heating.answer();
    engine.until_state(&agent, "talking").await;
    heating.hang_up();
    let record = record_to(&engine, "07715551234").await;
    assert_eq!(text(&record["outcome"]), "reached");
}
