//! Blacklist and VIP, from the API to the next call.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotline_base::WallTime;
use hotline_ivr::civil::Civil;
use hotline_testkit::{Robot, Speech};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    engine::{Engine, SOON, text},
    http,
    setup::{CARRIER, Setup, TOKEN},
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_action_is_done_for_the_numbers_beginnings_and_cities_that_an_entry_names() {
    let engine = Engine::quick().await;
    let _agent = engine.busy_agent(1).await;
    let entry = |number: &str, action: &str, more: Value| {
        let mut it = json!({
            "list": "blacklist", "number": number, "action": action, "reason": "骚扰",
            "expires": in_a_day(),
        });
        it.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        it
    };
    // Calls of the trunk are for Nanning, 450100.
    for it in [
        entry("13900000011", "announce", json!({})),
        entry("13900000012", "low_priority", json!({ "city": "450100" })),
        entry("1390000001", "voicemail", json!({ "prefix": true, "priority": 3 })),
        entry("13900000014", "reject", json!({ "city": "450200" })),
    ] {
        listed(&engine, it).await;
    }
    // Number, whether he is warned, his priority in the queue, his tags.
    let callers = [
        ("13900000011", true, 5, json!([])),
        ("13900000012", false, 0, json!([])),
        ("13900000013", false, 3, json!(["voicemail"])),
        // Another city's entry is not for him, but the beginning is.
        ("13900000014", false, 3, json!(["voicemail"])),
        ("13900000021", false, 5, json!([])),
    ];
    for (number, is_warned, priority, tags) in callers {
        let caller = engine.caller_from(number).await;
        if is_warned {
            caller.hears(&engine, "sys.warned").await;
        }
        caller.ask_for_person(&engine).await;
        engine.until_waiting("gx.nn.general", 1).await;
        caller.hang_up();
        engine.until_waiting("gx.nn.general", 0).await;
        let record = engine.record_of(number).await;
        assert_eq!(record["queues"][0]["priority"], priority, "{number}: {record:#}");
        assert_eq!(record["tags"], tags, "{number}: {record:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_ends_by_itself_and_no_list_stops_a_transfer_to_110() {
    let police = Robot::bind(CARRIER).await.unwrap();
    let (gateways, options_probes) = (vec![police.address()], false);
    let (may_call, calls_per_hour) = (&["138"][..], 1);
    let setup = Setup { gateways, calls_per_hour, may_call, options_probes, ..Setup::default() };
    let engine = Engine::start(setup).await;
    let (caller, agent, phone) = engine.talk().await;
    // The one call that he may make in this hour.
    engine.command(&agent.no, "consult", json!({ "number": "13800138061" })).await;
    let asked = police.incoming(SOON).await.unwrap();
    engine.command(&agent.no, "cancel-consult", json!({})).await;
    asked.until_ended(SOON).await.unwrap();
    engine.until_state(&agent, "talking").await;
    let path = format!("/api/v1/agents/{}/transfer", agent.no);
    for (number, status) in [("13800138062", 429), ("12315", 403)] {
        let reply = http::post(engine.http(), &path, &json!({ "number": number })).await.unwrap();
        assert_eq!(reply.status, status, "{number}: {}", reply.text());
    }
    // Whom the agent has is on the list by now, and so is whom he calls.
    for number in [&*caller.number, "110"] {
        let entry = json!({
            "list": "blacklist", "number": number, "action": "reject", "reason": "误登",
            "expires": rfc_3339(Duration::from_secs(20)),
        });
        listed(&engine, entry).await;
    }
    let refused = engine.caller_from(&caller.number).await;
    refused.hears(&engine, "sys.blocked").await;
    engine.command(&agent.no, "transfer", json!({ "number": "110" })).await;
    let party = police.incoming(SOON).await.unwrap();
    party.answer();
    party.speak(Speech::tone(900));
    caller.until_tone(900, SOON).await.unwrap();
    phone.until_ended(SOON).await.unwrap();
    caller.hang_up();
    // Nobody took the entry away.
    let (end, greeting) = (Instant::now() + 3 * SOON, engine.setup.prompts.sound("greet.common"));
    loop {
        let again = engine.caller_from(&caller.number).await;
        if again.until_sound("the greeting", &greeting, SOON).await.is_ok() {
            return;
        }
        assert!(Instant::now() < end, "the entry does not end");
    }
}

/// Tomorrow, as RFC 3339.
fn in_a_day() -> String {
    rfc_3339(Duration::from_hours(24))
}

/// So long from now.
fn rfc_3339(wait: Duration) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + wait;
    let at = WallTime(i64::try_from(since.as_millis()).unwrap());
    Civil::of(at).to_string()
}
