//! 挂起转: the agent sends the caller to a flow, waits, and gets him back; both ears are measured.

use std::time::Duration;

use futures_util::StreamExt as _;
use hotline_testkit::{Call, Heard, Sound};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    client_async,
    tungstenite::{ClientRequestBuilder, Message},
};

use crate::{
    engine::{Engine, Role, SOON, text},
    parties::{AGENT, CALLER, hears},
    people::{Agent, Caller},
    setup::{Setup, TOKEN},
};

const FLOW: &str = "flows/gx12345.ticket.flow.yaml";
const NUMBER: &str = "202603100001";

/// The number is a secret, of which the agent is told whether it was typed.
fn secret() -> Setup {
    let flow_edits = vec![
        (FLOW, "    max_attempts: 2\n", "    max_attempts: 2\n    secret: true\n"),
        (FLOW, "ticket_no: var.ticket,", "ticket_no: \"mask(var.ticket)\","),
    ];
    let sip_more = "[calls]\nsuspended = \"silence\"\n".to_owned();
    Setup { flow_edits, sip_more, ..Setup::default() }
}

async fn sends(engine: &Engine, agent: &Agent) {
    let view = engine.command(&agent.no, "suspend", json!({ "flow": "gx12345.ticket" })).await;
    assert_eq!(view["state"], "suspended", "{view:#}");
}

/// Hears a prompt begin that a key may cut off, and that waits for keys for some seconds only.
async fn begins(engine: &Engine, caller: &Caller, mark: usize, prompt: &str) {
    let sound = engine.setup.prompts.sound(prompt).head(Duration::from_millis(400));
    caller.until_sound_since(mark, prompt, &sound, SOON).await.unwrap();
}

async fn both_talk(caller: &Caller, phone: &Call) {
    hears(caller, &[AGENT]).await;
    hears(phone, &[CALLER]).await;
}

/// What the agent's page is told when it is opened.
async fn page(engine: &Engine, agent: &Agent) -> Value {
    let uri = format!("ws://{}/api/v1/agents/{}/events", engine.http(), agent.no);
    let request = ClientRequestBuilder::new(uri.parse().unwrap())
        .with_header("Authorization", format!("Bearer {TOKEN}"));
    let stream = TcpStream::connect(engine.http()).await.unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    loop {
        let message = tokio::time::timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
        if let Message::Text(text) = message {
            return serde_json::from_str(text.as_str()).unwrap();
        }
    }
}

/// What the flow gave back, by name.
fn gave(call: &Value) -> Vec<(&str, &str)> {
    let all = call["attached"].as_array().unwrap().iter();
    all.filter_map(|it| {
        let name = it["name"].as_str()?.strip_prefix("gx12345.ticket.")?;
        Some((name, it["value"].as_str()?))
    })
    .collect()
}

/// The longest time without any sound.
fn longest_quiet(sound: &Sound) -> Duration {
    let (mut run, mut longest) = (0, 0);
    for frame in sound.samples().chunks(160) {
        run = if frame.iter().all(|it| it.unsigned_abs() < 100) { run + 20 } else { 0 };
        longest = longest.max(run);
    }
    Duration::from_millis(longest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_types_a_secret_that_neither_agent_nor_recording_hears() {
    let engine = Engine::start(secret()).await;
    let (caller, agent, phone) = engine.talk().await;
    let (mark, keys) = (caller.mark(), phone.heard().keys().len());
    sends(&engine, &agent).await;
    begins(&engine, &caller, mark, "ask.ticket_no").await;
    phone.until_silence(SOON).await.unwrap();
    let quiet = phone.mark();
    caller.press(&format!("{NUMBER}#"));
    engine.until_state(&agent, "talking").await;
    phone.until_tone_since(quiet, CALLER, SOON).await.unwrap();
    both_talk(&caller, &phone).await;
    // He heard nothing at all while he waited, no voice, no prompt, no key, and then the caller.
    let heard = phone.heard().since(quiet);
    let voice = heard.samples().iter().position(|it| it.unsigned_abs() > 100).unwrap();
    assert!(Sound::new(heard.samples()[voice + 160..].to_vec()).tone_share(CALLER) > 0.9);
    assert_eq!(phone.heard().keys().len(), keys);
    // His page has what the flow gave back, and nothing else.
    let call = page(&engine, &agent).await["call"].clone();
    assert_eq!(call["returned"]["flow"], "gx12345.ticket", "{call:#}");
    assert_eq!(call["returned"]["how"], "done");
    let given = [("entered", "true"), ("ticket_no", "202*****0001")];
    assert_eq!(gave(&call), given);

    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    assert_eq!(gave(&record), given);
    let segment = &record["segments"][0];
    assert_eq!((&segment["n_suspends"], &segment["n_holds"]), (&json!(1), &json!(0)));
    let waited = segment["suspended_ms"].as_u64().unwrap();
    assert!(waited > 500 && waited < segment["talk_ms"].as_u64().unwrap(), "{segment:#}");
    assert!(!record.to_string().contains(NUMBER));
    let how = |it: &&Value| it["type"] == "recording_muted";
    let muted = record["facts"].as_array().unwrap().iter().find(how).unwrap();
    assert_eq!(muted["how"], "masked_by_flow");
    // The caller spoke all the time; while he typed, nothing of him is kept.
    let sides = engine.recording(&text(&record["recordings"][0]["recording_id"])).await;
    assert!(
        longest_quiet(&sides[0]) > Duration::from_millis(500),
        "{:?}",
        longest_quiet(&sides[0])
    );
    assert!(sides[0].tone_anywhere(CALLER) > 0.9 && sides[1].tone_anywhere(AGENT) > 0.9);
    engine.until_state(&agent, "idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_hears_music_and_takes_the_caller_back() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let unknown = json!({ "flow": "gx12345.main" });
    let path = format!("/api/v1/agents/{}/suspend", agent.no);
    let reply = crate::http::post(engine.http(), &path, &unknown).await.unwrap();
    assert_eq!(reply.status, 404, "{}", reply.text());
    both_talk(&caller, &phone).await;

    let (mark, music) = (phone.mark(), engine.setup.prompts.sound("moh.default"));
    sends(&engine, &agent).await;
    phone.until_sound_since(mark, "moh.default", &music, SOON).await.unwrap();
    // Nothing else can be done with the caller while he is there.
    for command in ["hold", "consult", "transfer", "suspend"] {
        let path = format!("/api/v1/agents/{}/{command}", agent.no);
        let body = match command {
            "suspend" => json!({ "flow": "gx12345.ticket" }),
            "hold" => json!({}),
            _ => json!({ "agent_no": "1002" }),
        };
        let reply = crate::http::post(engine.http(), &path, &body).await.unwrap();
        assert_eq!(reply.status, 409, "{command}: {}", reply.text());
    }
    engine.command(&agent.no, "retrieve", json!({})).await;
    both_talk(&caller, &phone).await;
    engine.until_state(&agent, "talking").await;
    let call = page(&engine, &agent).await["call"].clone();
    assert_eq!(call["returned"]["how"], "recalled", "{call:#}");
    // A key of the caller is a key of the talk again.
    phone.hang_up();
    engine.until_state(&agent, "idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_hangs_up_in_the_flow_releases_the_agent_who_waits() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let mark = caller.mark();
    sends(&engine, &agent).await;
    begins(&engine, &caller, mark, "ask.ticket_no").await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    engine.until_state(&agent, "idle").await;
    let record = engine.record_of(&caller.number).await;
    let returned = |it: &&Value| it["type"] == "returned";
    let fact = record["facts"].as_array().unwrap().iter().find(returned).unwrap();
    assert_eq!(fact["how"], "hung_up", "{record:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_finishes_the_flow_and_is_asked_for_a_rating_when_the_agent_hangs_up_meanwhile() {
    let engine = Engine::start(Setup::default().with_survey()).await;
    let (caller, agent, phone) = engine.talk().await;
    let mark = caller.mark();
    sends(&engine, &agent).await;
    phone.hang_up();
    begins(&engine, &caller, mark, "ask.ticket_no").await;
    let mark = caller.mark();
    caller.press(&format!("{NUMBER}#"));
    begins(&engine, &caller, mark, "survey.ask").await;
    caller.press("1");
    engine.until_state(&agent, "idle").await;
    caller.until_ended(SOON).await.unwrap();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["ratings"][0]["agent_no"], agent.no, "{record:#}");
    assert_eq!(gave(&record)[1], ("ticket_no", NUMBER), "{record:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_and_agent_are_together_when_control_dies_with_the_flow() {
    let mut engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let (mark, music) = (phone.mark(), engine.setup.prompts.sound("moh.default"));
    sends(&engine, &agent).await;
    phone.until_sound_since(mark, "moh.default", &music, SOON).await.unwrap();
    engine.kill(Role::Control).await;
    both_talk(&caller, &phone).await;
    let only_voice =
        |it: &Heard| (it.last(Duration::from_secs(1)).tone_share(CALLER) > 0.9).then_some(());
    phone.until_heard("no music", SOON, only_voice).await.unwrap();
    engine.until_state(&agent, "talking").await;
    phone.hang_up();
    caller.until_ended(SOON).await.unwrap();
}
