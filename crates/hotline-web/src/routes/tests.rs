//! What those who ask get.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use axum::http::{Method, StatusCode};
use hotline_agent::LineEvent;
use hotline_base::{AgentNo, WallTime};
use serde_json::Value;

use super::*;
use crate::{
    Sight,
    fixture::{House, WALL, call_view, house, house_with},
    wire::agent::AgentJson,
};

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

#[test]
fn every_route_is_described_and_every_description_is_a_route() {
    let document = document();
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            described.insert(format!("{method} {path}"));
        }
    }
    let routes: BTreeSet<String> =
        table().iter().map(|it| format!("{} {}", it.method, it.path)).collect();
    assert_eq!(routes, described);
}

#[tokio::test]
async fn every_method_of_the_table_is_the_one_that_is_served() {
    let house = house();
    for route in table() {
        let path = route.path.replace("{no}", "1001").replace("{id}", "1");
        // Some paths have several methods; none has this one.
        let refused = house.send(Method::PATCH, &path, Some("system"), &[], "").await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let method = Method::from_bytes(route.method.to_uppercase().as_bytes()).unwrap();
        let served = house.send(method, &path, Some("system"), &[], "").await;
        assert_ne!(served.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}

/// All references of a document lead somewhere.
fn references(it: &Value, out: &mut BTreeSet<String>) {
    match it {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get("$ref") {
                out.insert(to.clone());
            }
            map.values().for_each(|it| references(it, out));
        }
        Value::Array(items) => items.iter().for_each(|it| references(it, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn document_refers_to_nothing_it_does_not_have() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for it in found {
        assert!(document.pointer(it.trim_start_matches('#')).is_some(), "{it}");
    }
}

/// The keys of `value` are those the schema describes, and all required ones are there.
fn fits(document: &Value, schema: &str, value: &Value) {
    let schema = &document["components"]["schemas"][schema];
    let described = schema["properties"].as_object().unwrap();
    let value = value.as_object().unwrap();
    for key in value.keys() {
        assert!(described.contains_key(key), "{key} is not described");
    }
    for key in schema["required"].as_array().unwrap() {
        assert!(value.contains_key(key.as_str().unwrap()), "{key} is missing");
    }
}

#[tokio::test]
async fn what_is_served_has_the_fields_that_are_described() {
    let document = document();
    let house = house();
    let view = house.app.desk.view(&AgentNo::new("1001")).unwrap();
    fits(&document, "Agent", &serde_json::to_value(AgentJson::from(&view)).unwrap());
    house.app.feeds.publish(WALL, view.clone(), Some(call_view()));
    let listening = house.app.feeds.listen(&view, None, WALL);
    let event: Value = serde_json::from_str(&listening.first[0]).unwrap();
    fits(&document, "Event", &event);
    fits(&document, "CurrentCall", &event["call"]);
    fits(&document, "SkillGroup", &house.get("/api/v1/groups", "1001").await.json()["items"][0]);
    fits(&document, "Trunk", &house.get("/api/v1/trunks", "system").await.json()["items"][0]);
    fits(&document, "Health", &house.get("/healthz", "").await.json());
    fits(&document, "Error", &house.get("/nowhere", "").await.json());
}

#[tokio::test]
async fn agent_works_a_shift_with_curl() {
    let house = house();
    let step = async |verb: &str, body: &str| {
        house.post(&format!("/api/v1/agents/1001/{verb}"), "1001", body).await
    };
    let it = step("sign-in", "{\"extension\":\"8001\"}").await;
    assert_eq!(it.status, StatusCode::OK);
    assert_eq!(it.json()["state"], "busy");
    assert_eq!(it.json()["extension"], "8001");
    assert_eq!(it.json()["since"], "2026-11-21T08:00:00.000+08:00");
    assert_eq!(step("ready", "").await.json()["state"], "idle");
    assert_eq!(step("busy", "{\"reason\":203}").await.json()["reason"]["code"], 203);
    assert_eq!(step("rest", "{\"planned_s\":300}").await.json()["state_zh"], "小休");
    step("ready", "").await;
    for event in [LineEvent::Reserve, LineEvent::Ring, LineEvent::Answer, LineEvent::Bridge] {
        house.desk.line("1001", event);
    }
    let it = step("busy", "").await.json();
    assert_eq!((&it["state"], &it["pending"]["wish"]), (&"talking".into(), &"busy".into()));
    house.desk.line("1001", LineEvent::Release);
    assert_eq!(house.get("/api/v1/agents/1001", "1001").await.json()["state"], "busy");
    assert_eq!(step("enter-acw", "").await.json()["state"], "acw");
    assert_eq!(step("finish-acw", "").await.json()["state"], "idle");
    assert_eq!(step("sign-out", "").await.json()["state"], "signed_out");
}

#[tokio::test]
async fn late_click_is_answered_with_the_state_as_it_is() {
    let house = house();
    let it = house.post("/api/v1/agents/1001/ready", "1001", "").await;
    assert_eq!(it.status, StatusCode::CONFLICT);
    let error = &it.json()["error"];
    assert_eq!(error["code"], "wrong_state");
    assert_eq!(error["message_zh"], "当前状态（签出）不能示闲");
    assert_eq!(error["agent"]["state"], "signed_out");
    assert_eq!(error["agent"]["actions"][0], "sign_in");
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let house = house();
    let post = async |path: &str, body: &str| {
        let it = house.post(&format!("/api/v1/agents/{path}"), "system", body).await;
        let error = it.json()["error"].clone();
        (it.status.as_u16(), error["code"].clone(), error["field"].clone())
    };
    let bad = |field: Value| (400, Value::from("bad_request"), field);
    assert_eq!(post("1001/rest", "{\"planned_s\":0}").await, bad("planned_s".into()));
    assert_eq!(post("1001/busy", "{\"raeson\":1}").await, bad(Value::Null));
    assert_eq!(post("1001/busy", "[").await, bad(Value::Null));
    assert_eq!(post("1001/ready", "{\"now\":true}").await, bad(Value::Null));
    assert_eq!(post("1001/sign-in", "{\"extension\":\"\"}").await, bad("extension".into()));
    assert_eq!(post("9999/ready", "").await, (404, "not_found".into(), Value::Null));
    let long = " ".repeat(20_000);
    assert_eq!(post("1001/busy", &long).await, (413, "too_large".into(), Value::Null));
    house.post("/api/v1/agents/1001/sign-in", "system", "").await;
    let unknown = (400, "unknown_reason".into(), "reason".into());
    assert_eq!(post("1001/busy", "{\"reason\":9}").await, unknown);
}

async fn status(house: &House, method: Method, path: &str, token: Option<&str>) -> u16 {
    house.send(method, path, token, &[], "").await.status.as_u16()
}

#[tokio::test]
async fn nobody_does_what_the_token_is_not_for() {
    let house = house();
    for route in table() {
        let path = route.path.replace("{no}", "1002").replace("{id}", "1");
        let method = Method::from_bytes(route.method.to_uppercase().as_bytes()).unwrap();
        let is_open = matches!(route.path, "/openapi.json" | "/healthz");
        for stranger in [None, Some("wrong"), Some("")] {
            let got = status(&house, method.clone(), &path, stranger).await;
            assert_eq!(got == 401, !is_open, "{path} {stranger:?} {got}");
        }
        let other = status(&house, method, &path, Some("1001")).await;
        let is_others = route.path.contains("{no}")
            || route.path.contains("dead-letters")
            || route.path.contains("ladder")
            || route.path.contains("pcap")
            // An agent may look at the entries, but not at who did what to them.
            || (route.path.contains("list-entries") && route.method != "get")
            || route.path.ends_with("/audit")
            || route.path.contains("bans")
            || route.path.contains("prompts")
            || matches!(route.path, "/metrics" | "/api/v1/trunks" | "/api/v1/trunks/statistics");
        assert_eq!(other == 403, is_others, "{path} {other}");
    }
    let reply = house.send(Method::GET, "/api/v1/calls", None, &[], "").await;
    assert_eq!(reply.header("www-authenticate"), "Bearer");
    let basic = [("authorization", "Basic c3lzdGVt")];
    let reply = house.send(Method::GET, "/api/v1/calls", None, &basic, "").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn agent_lists_itself_and_a_system_everybody() {
    let house = house();
    let n = async |token: &str| {
        let list = house.get("/api/v1/agents", token).await.json();
        list["items"].as_array().unwrap().len()
    };
    assert_eq!(n("1001").await, 1);
    assert_eq!(n("system").await, 2);
}

#[tokio::test]
async fn filters_reach_the_archive_with_the_eyes_of_the_asker() {
    let house = house();
    let path = "/api/v1/calls?from=2026-11-21T08:00:00%2B08:00&to=2026-11-21T01:00:00Z\
                &caller_no=138*&called_no=12345&agent_no=1001&skill_group=general\
                &outcome=answered&recording_id=rec-7&limit=20&after=7.3";
    let page = house.get(path, "1001").await.json();
    assert_eq!(page["items"][1]["call_id"], "1");
    assert_eq!(page["next"], "5.1");
    house.get("/api/v1/calls", "system").await;
    let asked = house.shelf.asked.lock().unwrap();
    let (filter, sight) = &asked[0];
    assert_eq!(filter.from, Some(WALL));
    assert_eq!(filter.to, Some(WallTime(WALL.0 + 3_600_000)));
    assert_eq!(filter.caller_no.as_ref().unwrap().reveal(), "138*");
    assert_eq!(filter.called_no.as_deref(), Some("12345"));
    assert_eq!(filter.n_max, 20);
    assert_eq!(filter.after.as_deref(), Some("7.3"));
    assert_eq!(*sight, Sight::Agent(AgentNo::new("1001")));
    assert_eq!((asked[1].0.n_max, &asked[1].1), (50, &Sight::All));
}

#[tokio::test]
async fn wrong_filters_are_named() {
    let house = house();
    let field = async |query: &str| {
        let it = house.get(&format!("/api/v1/calls?{query}"), "system").await;
        (it.status.as_u16(), it.json()["error"]["field"].clone())
    };
    assert_eq!(field("from=yesterday").await, (400, "from".into()));
    assert_eq!(field("limit=0").await, (400, "limit".into()));
    assert_eq!(field("limit=501").await, (400, "limit".into()));
    assert_eq!(field("after=bad").await, (400, "after".into()));
    assert_eq!(field("caller=1").await, (400, Value::Null));
}

#[tokio::test]
async fn one_call_is_found_or_not() {
    let house = house();
    assert_eq!(house.get("/api/v1/calls/1", "system").await.json()["call_id"], "1");
    assert_eq!(house.get("/api/v1/calls/2", "system").await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.get("/api/v1/calls/x", "system").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_search_that_took_too_long_is_said_so() {
    let it = house().get("/api/v1/calls?after=long", "system").await;
    assert_eq!(it.status, StatusCode::UNPROCESSABLE_ENTITY);
    let error = &it.json()["error"];
    assert_eq!(error["code"], "search_too_long");
    assert!(error["message_zh"].as_str().unwrap().contains("from"));
}

#[tokio::test]
async fn absent_database_is_said_so() {
    let house = house_with("".into(), false);
    let it = house.get("/api/v1/calls", "system").await;
    assert_eq!(it.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(it.json()["error"]["code"], "archive_away");
    let it = house.get("/healthz", "").await;
    assert_eq!(it.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(it.json()["parts"][0]["advice"], "free some disk space");
}

fn recording() -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&(0..100).collect::<Vec<u8>>())?;
    Ok(file)
}

#[tokio::test]
async fn recording_is_heard_whole_and_in_parts() {
    let file = recording().unwrap();
    let house = house_with(file.path().to_owned(), true);
    let path = "/api/v1/recordings/rec-7";
    let whole = house.get(path, "1001").await;
    assert_eq!((whole.status, whole.body.len()), (StatusCode::OK, 100));
    assert_eq!(whole.header("content-type"), "audio/wav");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("etag"), "\"abc\"");
    let range = async |headers: &[(&str, &str)]| {
        house.send(Method::GET, path, Some("system"), headers, "").await
    };
    let part = range(&[("range", "bytes=10-19")]).await;
    assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, (10..20).collect()));
    assert_eq!(part.headers["content-range"], "bytes 10-19/100");
    assert_eq!(part.headers["content-length"], "10");
    let beyond = range(&[("range", "bytes=100-")]).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), "bytes */100");
    let changed = range(&[("range", "bytes=0-1"), ("if-range", "\"old\"")]).await;
    assert_eq!((changed.status, changed.body.len()), (StatusCode::OK, 100));
    let same = range(&[("range", "bytes=0-1"), ("if-range", "\"abc\"")]).await;
    assert_eq!(same.status, StatusCode::PARTIAL_CONTENT);
    let head = house.send(Method::HEAD, path, Some("system"), &[], "").await;
    assert_eq!((head.header("content-length"), head.body.len()), ("100", 0));
}

#[tokio::test]
async fn recording_is_for_those_who_had_the_call() {
    let file = recording().unwrap();
    let house = house_with(file.path().to_owned(), true);
    let path = "/api/v1/recordings/rec-7";
    assert_eq!(house.get(path, "1002").await.status, StatusCode::FORBIDDEN);
    assert_eq!(house.get("/api/v1/recordings/x", "1002").await.status, StatusCode::NOT_FOUND);
    drop(file);
    assert_eq!(house.get(path, "1001").await.status, StatusCode::GONE);
}

#[tokio::test]
async fn dead_letters_are_listed_and_sent_again() {
    let house = house();
    let list = house.get("/api/v1/dead-letters", "system").await.json();
    assert_eq!(list["items"][0]["id"], "t:1");
    assert_eq!(list["next"], Value::Null);
    let resend = async |id: &str| {
        house.post(&format!("/api/v1/dead-letters/{id}/resend"), "system", "").await.status
    };
    assert_eq!(resend("t:1").await, StatusCode::OK);
    assert_eq!(resend("t:2").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn figures_are_for_systems_or_for_everybody() {
    let mut house = house();
    house.app.metrics.counter("hotline_calls_total", "Calls.", &[]).add(3);
    let it = house.get("/metrics", "system").await;
    assert!(String::from_utf8(it.body).unwrap().contains("hotline_calls_total 3"));
    house.app.open_metrics = true;
    assert_eq!(status(&house, Method::GET, "/metrics", None).await, 200);
}

#[tokio::test]
async fn ladder_is_for_systems_and_for_operators_who_see_no_numbers() {
    let house = house();
    let text = async |path: &str, token: &str| {
        let it = house.get(&format!("/api/v1/calls/{path}"), token).await;
        (it.status.as_u16(), String::from_utf8(it.body).unwrap())
    };
    let good = |it: &str| (200, it.to_owned());
    assert_eq!(text("1/ladder", "system").await, good("Json masked false"));
    assert_eq!(text("1/ladder?format=text", "operator").await, good("Text masked true"));
    assert_eq!(text("1/pcap", "operator").await, good("Pcap masked true"));
    assert_eq!(text("1/pcap", "system").await, good("Pcap masked false"));
    assert_eq!(text("1/pcap?masked=true", "system").await, good("Pcap masked true"));
    for path in ["2/ladder", "x/ladder", "2/pcap"] {
        assert_eq!(text(path, "system").await.0, 404, "{path}");
    }
    assert_eq!(text("1/ladder?format=svg", "system").await.0, 400);
    let keep = async |call: &str, token: &str| {
        house.post(&format!("/api/v1/calls/{call}/ladder/keep"), token, "").await.status.as_u16()
    };
    assert_eq!((keep("1", "operator").await, keep("2", "system").await), (200, 404));
}

#[tokio::test]
async fn recording_of_a_call_is_decided_by_a_person_who_is_named() {
    let house = house();
    let post = async |token, path: &str, body| {
        let reply = house.post(&format!("/api/v1/calls/{path}-recording"), token, body).await;
        reply.status.as_u16()
    };
    for what in ["start", "stop", "pause", "mask", "resume"] {
        let path = format!("7/{what}");
        assert_eq!(post("operator", &path, "").await, 403, "{what}");
        assert_eq!(post("1001", &path, "{\"agent_no\":\"1002\"}").await, 403, "{what}");
        assert_eq!(post("system", &path, "").await, 400, "nobody is named");
        assert_eq!(post("system", &path, "{\"agent_no\":\"1009\"}").await, 404, "no such person");
        assert_eq!(post("system", "x/stop", "{\"agent_no\":\"1001\"}").await, 404, "no such call");
        assert_eq!(post("system", &path, "{\"agent\":\"1001\"}").await, 400, "an unknown key");
        // No supervisor here.
        assert_eq!(post("1001", &path, "").await, 409, "{what}");
        assert_eq!(post("system", &path, "{\"agent_no\":\"1001\"}").await, 409, "{what}");
    }
}

#[tokio::test]
async fn operator_commands_nobody_and_hears_nothing() {
    let file = recording().unwrap();
    let house = house_with(file.path().to_owned(), true);
    let post = house.post("/api/v1/agents/1001/ready", "operator", "").await;
    assert_eq!(post.status, StatusCode::FORBIDDEN);
    let heard = house.get("/api/v1/recordings/rec-7", "operator").await;
    assert_eq!(heard.status, StatusCode::FORBIDDEN);
    house.get("/api/v1/calls", "operator").await;
    assert_eq!(house.shelf.asked.lock().unwrap()[0].1, Sight::Masked);
}

#[tokio::test]
async fn an_entry_is_drafted_by_one_and_approved_by_another_and_both_are_known() {
    let house = house();
    let entries = "/api/v1/list-entries";
    let body = "{\"list\":\"blacklist\",\"number\":\"13800138000\",\"action\":\"reject\",\
                \"reason\":\"x\",\"expires\":\"2026-12-01T00:00:00+08:00\"}";
    let drafted = house.post(entries, "system", body).await;
    assert_eq!((drafted.status, drafted.json()["who"].as_str()), (StatusCode::OK, Some("system")));
    let named = body.replace("\"x\"", "\"x\",\"operator\":\"张三\"");
    assert_eq!(house.post(entries, "system", &named).await.json()["who"], "system/张三");
    let approve = "/api/v1/list-entries/1/approve";
    let own = house.post(approve, "system", "").await;
    assert_eq!(own.status, StatusCode::CONFLICT);
    assert_eq!(own.json()["error"]["code"], "four_eyes");
    let other = house.post(approve, "system", "{\"operator\":\"李四\"}").await;
    assert_eq!((other.status, &other.json()["who"]), (StatusCode::OK, &Value::from("system/李四")));
    let no_reason = body.replace("\"x\"", "\"\"");
    let refused = house.post(entries, "system", &no_reason).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["error"]["field"], "reason");
    let nameless = "{\"operator\":\"\"}";
    assert_eq!(house.post(approve, "system", nameless).await.status, StatusCode::BAD_REQUEST);
    let one = "/api/v1/list-entries/1";
    let remove = house.send(Method::DELETE, one, Some("system"), &[], "").await;
    assert_eq!(remove.json()["removed"], true);
    let gone = house.send(Method::PUT, "/api/v1/list-entries/2", Some("system"), &[], body).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let audit = house.get(&format!("{one}/audit"), "system").await.json();
    assert_eq!(audit["items"][0]["what"], "drafted");
}

#[tokio::test]
async fn an_agent_sees_masked_numbers_and_changes_nothing() {
    let house = house();
    let entries = "/api/v1/list-entries";
    let seen = |reply: crate::fixture::Reply| reply.json()["items"][0]["number"].clone();
    assert_eq!(seen(house.get(entries, "system").await), "13800138000");
    assert_eq!(seen(house.get(entries, "1001").await), "138****8000");
    for (asked, field) in [("state=over", "state"), ("list=grey", "list")] {
        let refused = house.get(&format!("{entries}?{asked}"), "system").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.json()["error"]["field"], field);
    }
    let expired = house.get(&format!("{entries}?state=expired&list=vip"), "system").await;
    assert_eq!(expired.status, StatusCode::OK);
    let search = format!("{entries}?number=13800138000");
    assert_eq!(house.get(&search, "1001").await.status, StatusCode::FORBIDDEN);
    assert_eq!(house.get(&search, "system").await.status, StatusCode::OK);
    assert_eq!(
        house.get(&format!("{entries}/1/audit"), "1001").await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(house.post(entries, "1001", "{}").await.status, StatusCode::FORBIDDEN);
    let approve = format!("{entries}/1/approve");
    assert_eq!(house.post(&approve, "1001", "").await.status, StatusCode::FORBIDDEN);
    let remove = format!("{entries}/1");
    let remove = house.send(Method::DELETE, &remove, Some("1001"), &[], "").await;
    assert_eq!(remove.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn figures_of_trunks_are_asked_for_by_time_and_by_carrier() {
    let house = house();
    let ask = async |query: &str| {
        let it = house.get(&format!("/api/v1/trunks/statistics{query}"), "operator").await;
        (it.status.as_u16(), String::from_utf8(it.body).unwrap())
    };
    assert_eq!(ask("").await, (200, "[None,None,false]".to_owned()));
    let query = "?by=carrier&from=2026-11-21T08:00:00%2B08:00";
    assert_eq!(ask(query).await, (200, format!("[Some({}),None,true]", WALL.0)));
    assert_eq!((ask("?by=city").await.0, ask("?to=noon").await.0), (400, 400));
}

#[tokio::test]
async fn a_sound_is_put_among_the_prompts_by_a_system_and_may_be_larger_than_other_bodies() {
    let house = house();
    let put = async |path: &str, token: &str, body: &str| {
        house.send(Method::PUT, &format!("/api/v1/prompts/{path}"), Some(token), &[], body).await
    };
    let large = "x".repeat(100_000);
    let reply = put("greet.common", "system", &large).await;
    assert_eq!(reply.status, StatusCode::OK);
    let told = reply.json();
    fits(&document(), "Prompt", &told);
    assert_eq!((&told["stored"], &told["length_ms"]), (&true.into(), &100_000.into()));
    assert_eq!((&told["peak_dbfs"], &told["loudness_dbfs"]), (&(-3.0).into(), &(-19.1).into()));
    assert_eq!(put("greet.common?check=true", "system", "x").await.json()["stored"], false);
    for (path, token, body, status) in [
        ("greet.common", "operator", "x", 403),
        ("greet.common", "1001", "x", 403),
        ("greet.common", "wrong", "x", 401),
        ("greet.common", "system", "", 400),
        ("bad%20name", "system", "x", 400),
        ("greet.common?chek=true", "system", "x", 400),
    ] {
        let reply = put(path, token, body).await;
        let error = reply.json()["error"].clone();
        assert_eq!(reply.status.as_u16(), status, "{path} {token} {error}");
        assert!(error["message"].is_string() && error["message_zh"].is_string(), "{error}");
    }
    assert_eq!(put("bad%20name", "system", "x").await.json()["error"]["field"], "name");
}
