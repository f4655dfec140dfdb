//! Blacklist and VIP, from the API to the next call.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotline_base::WallTime;
use hotline_ivr::civil::Civil;
use serde_json::{Value, json};

use crate::{
    engine::{Engine, SOON, text},
    http,
    setup::TOKEN,
};

const ENTRIES: &str = "/api/v1/list-entries";

/// The answer to a request by a person of the system, which must be 200.
async fn ask(engine: &Engine, method: &str, path: &str, body: &Value) -> Value {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = body.to_string();
    let answer = http::request(engine.http(), method, path, &headers, &body).await.unwrap();
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
    answer.json()
}

/// An entry that one has drafted and another approved.
async fn listed(engine: &Engine, mut entry: Value) -> String {
    entry["operator"] = "张三".into();
    let drafted = ask(engine, "POST", ENTRIES, &entry).await;
    assert_eq!(drafted["state"], "draft");
    let path = format!("{ENTRIES}/{}", text(&drafted["id"]));
    let approve = format!("{path}/approve");
    let person = json!({"operator": "张三"});
    let own = http::post(engine.http(), &approve, &person).await.unwrap();
    assert_eq!(own.status, 409, "who drafts cannot approve");
    let approved = ask(engine, "POST", &approve, &json!({"operator": "李四"})).await;
    assert_eq!(approved["state"], "approved");
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_on_the_blacklist_is_refused_from_the_next_call_on_and_counted() {
    let engine = Engine::quick().await;
    let before = engine.caller().await;
    before.hears(&engine, "greet.common").await;
    let path = listed(
        &engine,
        json!({
            "list": "blacklist", "number": before.number, "action": "reject",
            "reason": "反复骚扰", "expires": in_a_day(),
        }),
    )
    .await;
    // Who talks already goes on; the next call of the number does not.
    let refused = engine.caller_from(&before.number).await;
    refused.hears(&engine, "sys.blocked").await;
    refused.until_ended(SOON).await.unwrap();
    let counted = |it: &Value| (it["n_hits"] == 1).then_some(());
    engine.until(&path, SOON, counted).await;
    ask(&engine, "DELETE", &path, &json!({})).await;
    let after = engine.caller_from(&before.number).await;
    after.hears(&engine, "greet.common").await;
    let log = engine.log();
    assert!(!log.contains(&before.number), "a number is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vip_overtakes_who_waits() {
    let engine = Engine::quick().await;
    let agent = engine.busy_agent(1).await;
    let first = engine.caller().await;
    first.ask_for_person(&engine).await;
    engine.until_waiting("gx.nn.general", 1).await;
    let number = "13900000001";
    listed(
        &engine,
        json!({"list": "vip", "number": number, "action": "prefer", "reason": "110 联动"}),
    )
    .await;
    let vip = engine.caller_from(number).await;
    vip.ask_for_person(&engine).await;
    engine.until_waiting("gx.nn.general", 2).await;
    engine.ready(&agent).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    vip.hears(&engine, "agent.service").await;
    engine.until_waiting("gx.nn.general", 1).await;
    vip.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.record_of(number).await;
    assert_eq!(record["queues"][0]["priority"], 9);
}

/// Tomorrow, as RFC 3339.
fn in_a_day() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_hours(24);
    let at = WallTime(i64::try_from(since.as_millis()).unwrap());
    Civil::of(at).to_string()
}
