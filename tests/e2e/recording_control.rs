//! Recordings that a flow or a supervisor wants: of whom they hold a word, and who is told.

use std::fs;

use hotline_testkit::{Heard, Speech};
use serde_json::{Value, json};

use crate::{
    disk::Disk,
    engine::{Engine, SOON, text},
    http,
    receiver::{Pushed, Receiver},
    setup::Setup,
};

const MAIN: &str = "flows/gx12345.main.flow.yaml";

fn of<'a>(pushed: &'a [Pushed], kind: &str) -> Vec<&'a Pushed> {
    pushed.iter().filter(|it| it.kind() == kind).collect()
}

/// The flow records from the greeting on.
async fn recording_flow(receiver: &Receiver) -> Engine {
    let flow_edits = vec![(
        MAIN,
        "    if_missing: skip\n    next: hello\n",
        "    if_missing: skip\n    next: tape\n  tape: {type: record, action: start, next: hello}\n",
    )];
    let (push, agent_more) = (Some(receiver.address), "supervisor = true\n");
    let setup = Setup { flow_edits, agent_more, push, ..Setup::default() };
    Engine::start(setup.with_survey()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_records_its_caller_from_the_greeting_into_the_talk_and_past_it() {
    let receiver = Receiver::start().await;
    let engine = recording_flow(&receiver).await;
    let agent = engine.agent(1).await;
    let caller = engine.caller().await;
    caller.speak(Speech::tone(600));
    // Somebody is told before there is an agent.
    let started = |it: &[Pushed]| !of(it, "recording.started").is_empty();
    let pushed = receiver.until(SOON, started).await;
    assert_eq!(of(&pushed, "recording.started")[0].json()["data"]["agents"], json!([]));
    caller.ask_for_person(&engine).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    caller.speak(Speech::tone(700));
    phone.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    phone.until_tone(700, SOON).await.unwrap();
    phone.hang_up();
    let mark = caller.mark();
    caller.speak(Speech::tone(1_000));
    let second = move |it: &Heard| (it.mark() > mark + 8_000).then_some(());
    caller.until_heard("a second of the survey", SOON, second).await.unwrap();
    caller.hang_up();

    let record = engine.sealed_record_of(&caller.number).await;
    assert_eq!(record["recordings"].as_array().unwrap().len(), 1, "{record:#}");
    let recording = &record["recordings"][0];
    assert_eq!(recording["agent_no"], json!(agent.no));
    assert_eq!(record["segments"][0]["recording_id"], recording["recording_id"]);
    let sides = engine.recording(&text(&recording["recording_id"])).await;
    for tone in [600, 700, 1_000] {
        assert!(sides[0].tone_anywhere(tone) > 0.9, "{tone} Hz");
    }
    assert!(sides[1].tone_anywhere(440) > 0.9);
    let path = format!("recordings/{}", text(&recording["path"]));
    let aside = fs::read_to_string(engine.data(&path).with_extension("json")).unwrap();
    let aside: Value = serde_json::from_str(&aside).unwrap();
    let place = |key: &str| aside["segments"][0][key].as_u64().unwrap();
    let length = recording["duration_ms"].as_u64().unwrap();
    assert!(place("from_ms") > 500 && place("to_ms") + 800 < length, "{aside:#}");
    let facts = record["facts"].as_array().unwrap();
    let by = facts.iter().find(|it| it["type"] == "recording_controlled").unwrap();
    assert_eq!((&by["change"], &by["flow"]), (&json!("started"), &json!("gx12345.main")));
    let sealed = |it: &[Pushed]| !of(it, "recording.sealed").is_empty();
    let pushed = receiver.until(SOON, sealed).await;
    assert_eq!(of(&pushed, "recording.sealed")[0].json()["data"]["agents"], json!([agent.no]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_masks_stops_and_starts_the_recording_of_a_call_he_is_not_in() {
    let receiver = Receiver::start().await;
    let engine = recording_flow(&receiver).await;
    let (caller, agent, phone) = engine.talk().await;
    let supervisor = engine.busy_agent(2).await;
    let started = |it: &[Pushed]| !of(it, "recording.started").is_empty();
    let pushed = receiver.until(SOON, started).await;
    let call = text(&of(&pushed, "recording.started")[0].json()["data"]["call_id"]);
    let post = async |what: &str, no: &str| {
        let path = format!("/api/v1/calls/{call}/{what}-recording");
        http::post(engine.http(), &path, &json!({ "agent_no": no })).await.unwrap().status
    };
    assert_eq!(post("start", &supervisor.no).await, 409, "one runs");
    assert_eq!(post("mask", &supervisor.no).await, 200);
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    caller.speak(Speech::tone(700));
    phone.until_tone(700, SOON).await.unwrap();
    assert_eq!(post("resume", &supervisor.no).await, 200);
    assert_eq!(post("stop", &supervisor.no).await, 200);
    assert_eq!(post("pause", &supervisor.no).await, 409, "none runs");
    caller.speak(Speech::tone(1_000));
    phone.until_tone(1_000, SOON).await.unwrap();
    caller.speak(Speech::tone(500));
    phone.until_tone(500, SOON).await.unwrap();
    assert_eq!(post("start", &supervisor.no).await, 200);
    let mark = phone.mark();
    let second = move |it: &Heard| (it.mark() > mark + 8_000).then_some(());
    phone.until_heard("a second of talk", SOON, second).await.unwrap();
    phone.hang_up();
    caller.hang_up();

    let record = engine.record_of(&caller.number).await;
    let path = format!("/api/v1/calls/{}", text(&record["call_id"]));
    let sealed = |it: &Value| {
        let parts = it["recordings"].as_array().unwrap();
        parts.iter().all(|it| it["sealed"] == true).then(|| it.clone())
    };
    let record = engine.until(&path, SOON, sealed).await;
    let parts = record["recordings"].as_array().unwrap();
    assert_eq!(parts.len(), 2, "{record:#}");
    for (part, in_it) in [(&parts[0], 700), (&parts[1], 500)] {
        let said = engine.recording(&text(&part["recording_id"])).await.remove(0);
        assert!(said.tone_anywhere(in_it) > 0.9, "{in_it} Hz");
        assert!(said.tone_anywhere(900) < 0.1 && said.tone_anywhere(1_000) < 0.1);
        assert_eq!(part["agent_no"], json!(agent.no));
    }
    let controlled = record["facts"].as_array().unwrap().iter().filter(|it| {
        it["type"] == "recording_controlled" && it["agent_no"] == json!(supervisor.no)
    });
    let changes: Vec<_> = controlled.map(|it| text(&it["change"])).collect();
    assert_eq!(changes, ["masked", "resumed", "stopped", "started"]);
    // It is over: there is nothing to decide about.
    assert_eq!(post("start", &supervisor.no).await, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_supervisor_decides_about_no_recording_of_others() {
    let engine = Engine::quick().await;
    let (_caller, _agent, _phone) = engine.talk().await;
    engine.busy_agent(2).await;
    let path = "/api/v1/calls/1/stop-recording";
    let reply = http::post(engine.http(), path, &json!({ "agent_no": "1002" })).await.unwrap();
    assert_eq!(
        (reply.status, reply.json()["error"]["code"].clone()),
        (403, json!("not_supervisor"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_from_the_start_is_told_and_so_is_its_recording_when_there_is_room() {
    let disk = Disk::Small { kilobytes: 1_024 };
    let name = "a_disk_that_is_full_from_the_start_is_told_and_so_is_its_recording";
    if !disk.is_to_be_had(name) {
        return;
    }
    let receiver = Receiver::start().await;
    let (disk, push) = (Some(disk), Some(receiver.address));
    let engine = Engine::start(Setup { push, disk, ..Setup::default() }).await;
    let filler = engine.data("recordings/filler");
    // What is left belongs to others.
    fs::write(&filler, vec![1; (1_024 - 8) << 10]).unwrap();
    let (caller, agent, phone) = engine.talk().await;
    let failed = |it: &[Pushed]| !of(it, "recording.failed").is_empty();
    let pushed = receiver.until(SOON, failed).await;
    let told = of(&pushed, "recording.failed")[0].json();
    assert_eq!(told["data"]["agents"], json!([agent.no]), "{told:#}");
    assert!(!told["data"]["reason"].as_str().unwrap().is_empty());

    fs::remove_file(filler).unwrap();
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    let again = |it: &[Pushed]| of(it, "recording.started").len() == 2;
    let pushed = receiver.until(SOON, again).await;
    let news: Vec<_> = pushed.iter().map(Pushed::kind).filter(|it| it.starts_with("rec")).collect();
    assert_eq!(news, ["recording.started", "recording.failed", "recording.started"]);
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    let recording = &record["recordings"][0];
    assert!(recording["n_gaps"].as_u64() >= Some(1), "{recording}");
    let facts = record["facts"].as_array().unwrap();
    assert!(facts.iter().any(|it| it["type"] == "recording_recovered"));
    let said = engine.recording(&text(&recording["recording_id"])).await.remove(0);
    assert!(said.tone_anywhere(900) > 0.9);
}
