//! What is kept of a talk, and what happens when nothing can be kept.

use std::{fs, path::Path, process::Command};

use hotline_testkit::{Heard, Sound, Speech};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    disk::Disk,
    engine::{Engine, Role, SOON, text},
    http, program,
    receiver::Receiver,
    setup::{Setup, TOKEN},
    survival::parts_sealed,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_is_heard_whole_and_in_part() {
    let engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    let path = format!("/api/v1/recordings/{}", text(&record["recordings"][0]["recording_id"]));
    let whole = http::get(engine.http(), &path).await.unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*bearer), ("range", "bytes=100-199")];
    let part = http::request(engine.http(), "GET", &path, &headers, "").await.unwrap();
    assert_eq!(part.status, 206);
    assert!(part.head.contains("content-range: bytes 100-199/"), "{}", part.head);
    assert_eq!(part.body, whole.body[100..200]);
    let nobody = http::request(engine.http(), "GET", &path, &[], "").await.unwrap();
    assert_eq!(nobody.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_can_be_played_while_it_is_written() {
    let engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    let mark = caller.mark();
    let two_seconds = |it: &Heard| (it.mark() > mark + 16_000).then_some(());
    caller.until_heard("two seconds of talk", SOON, two_seconds).await.unwrap();
    let files = engine.recordings();
    assert_eq!(files.len(), 1, "{files:?}");
    let channels = Sound::open_channels(&files[0]).unwrap();
    assert!(channels[0].tone_anywhere(700) > 0.9, "{channels:?}");
    assert!(channels[1].tone_anywhere(440) > 0.9, "{channels:?}");
    phone.hang_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_goes_on_through_hold() {
    let engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    phone.hold();
    engine.until_state(&agent, "held").await;
    phone.retrieve();
    engine.until_state(&agent, "talking").await;
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    caller.hang_up();
    let record = engine.sealed_record_of(&caller.number).await;
    assert_eq!(record["recordings"].as_array().unwrap().len(), 1);
    let channels = engine.recording(&text(&record["recordings"][0]["recording_id"])).await;
    assert!(channels[0].tone_anywhere(700) > 0.9, "before the hold");
    assert!(channels[0].tone_anywhere(900) > 0.9, "after the hold");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_go_on_talking_when_the_disk_is_full() {
    let engine = Engine::start(Setup::default()).await;
    engine.limit_files(Role::Media, 0);
    let (caller, _agent, phone) = engine.talk().await;
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["outcome"], "answered");
    let failed = |it: &Value| {
        let recording = it["recordings"].get(0)?;
        (!recording["failed"].is_null() || recording["n_gaps"].as_u64()? > 0).then_some(())
    };
    let path = format!("/api/v1/calls/{}", text(&record["call_id"]));
    engine.until(&path, SOON, failed).await;
}

/// What `hotline recording verify` says of a directory, and whether it found it in order.
fn verify(dir: &Path) -> (bool, String) {
    let run =
        Command::new(program::path()).args(["recording", "verify"]).arg(dir).output().unwrap();
    (run.status.success(), String::from_utf8(run.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_with_one_changed_bit_is_told_from_the_one_that_was_sealed() {
    let engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    engine.sealed_record_of(&caller.number).await;
    let (file, dir) = (engine.recordings().remove(0), engine.data("recordings"));
    let (is_fine, said) = verify(&dir);
    assert!(is_fine && said.contains("(1 recordings, 0 bad)"), "{said}");
    let sealed = fs::read(&file).unwrap();
    let mut random = hotline_base::Random::new(7);
    for _ in 0..8 {
        let mut altered = sealed.clone();
        let at = usize::try_from(random.below(altered.len() as u64)).unwrap();
        altered[at] ^= 1 << random.below(8);
        fs::write(&file, altered).unwrap();
        let (is_fine, said) = verify(&dir);
        assert!(!is_fine && said.contains("(1 recordings, 1 bad)"), "byte {at}: {said}");
    }
    // Cut off in the middle: the header tells more than there is.
    fs::write(&file, &sealed[..sealed.len() / 2]).unwrap();
    assert!(!verify(&dir).0);
    fs::write(&file, sealed).unwrap();
    assert!(verify(&dir).0);
}

/// The sidecar of a recording that is named in a record.
fn sidecar(engine: &Engine, recording: &Value) -> Value {
    let path = format!("recordings/{}", text(&recording["path"]));
    let file = engine.data(&path).with_extension("json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_something_is_missing_stands_in_record_and_sidecar_and_is_told_by_verify() {
    let receiver = Receiver::start().await;
    let push = Some(receiver.address);
    let mut engine = Engine::start(Setup { push, ..Setup::default() }).await;
    let (caller, _agent, phone) = engine.talk().await;
    engine.kill(Role::Media).await;
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    phone.hang_up();
    caller.until_ended(SOON).await.unwrap();
    let record = parts_sealed(&engine, &caller.number, 2).await;
    let is_gaps = |it: &&Value| it["type"] == "recording_gaps";
    let facts: Vec<_> = record["facts"].as_array().unwrap().iter().filter(is_gaps).collect();
    let [fact] = facts[..] else { panic!("{facts:?}") };
    let part = &record["recordings"][0];
    assert_eq!(fact["recording_id"], part["recording_id"]);
    let gap = &fact["gaps"][0];
    assert_eq!((&gap["why"], &gap["side"]), (&"media_restarted".into(), &Value::Null), "{fact}");
    assert_eq!(gap["from_ms"], part["duration_ms"], "it is what lies behind its end");
    assert_eq!(sidecar(&engine, part)["gaps"], fact["gaps"]);
    let seals = |it: &crate::receiver::Pushed| {
        it.kind() == "recording.sealed" && it.json()["data"]["recording_id"] == part["recording_id"]
    };
    let pushed = receiver.until(SOON, |it| it.iter().any(seals)).await;
    let sealed = pushed.iter().find(|it| seals(it)).unwrap().json();
    assert_eq!(sealed["data"]["gaps"], fact["gaps"]);
    assert_eq!(sidecar(&engine, &record["recordings"][1])["gaps"], serde_json::json!([]));
    let (is_fine, said) = verify(&engine.data("recordings"));
    assert!(is_fine && said.contains("(2 recordings, 0 bad)"), "{said}");
    let told = said.lines().filter(|it| it.contains("媒体进程重启 (media restarted)"));
    assert_eq!(told.count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_masked_is_in_no_file_and_record_sidecar_and_pushes_say_so() {
    let receiver = Receiver::start().await;
    let push = Some(receiver.address);
    let engine = Engine::start(Setup { push, ..Setup::default() }).await;
    let (caller, agent, phone) = engine.talk().await;
    let mark = phone.mark();
    let more = |n: usize| move |it: &Heard| (it.mark() > mark + n).then_some(());
    phone.until_heard("a second of talk", SOON, more(8_000)).await.unwrap();
    let view = engine.command(&agent.no, "mask-recording", json!({})).await;
    assert!(view["actions"].as_array().unwrap().contains(&json!("resume_recording")));
    phone.until_heard("some more", SOON, more(12_000)).await.unwrap();
    // A secret, which the agent hears.
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    caller.speak(Speech::tone(1_000));
    phone.until_tone(1_000, SOON).await.unwrap();
    let mark = phone.mark();
    engine.command(&agent.no, "resume-recording", json!({})).await;
    let more = move |it: &Heard| (it.mark() > mark + 8_000).then_some(());
    phone.until_heard("a second of talk", SOON, more).await.unwrap();
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();

    let record = engine.sealed_record_of(&caller.number).await;
    let recording = &record["recordings"][0];
    let id = text(&recording["recording_id"]);
    let sides = engine.recording(&id).await;
    assert!(sides[0].tone_anywhere(700) > 0.9 && sides[0].tone_anywhere(1_000) > 0.9);
    assert!(sides[0].tone_anywhere(900) < 0.02, "the secret is in the file");
    let facts = record["facts"].as_array().unwrap();
    let muted = facts.iter().find(|it| it["type"] == "recording_muted").unwrap();
    assert_eq!((&muted["how"], &muted["by"]), (&json!("masked"), &json!(agent.no)));
    let aside = sidecar(&engine, recording);
    let masked = &aside["masks"][0];
    assert_eq!(masked["agent_no"], json!(agent.no));
    let length = masked["to_ms"].as_u64().unwrap() - masked["from_ms"].as_u64().unwrap();
    let duration = recording["duration_ms"].as_u64().unwrap();
    assert!((500..duration - 1_000).contains(&length), "{aside}");
    assert_eq!(aside["segments"][0]["agent_no"], json!(agent.no));
    let heard = aside["heard_ms"]["caller"].as_u64().unwrap();
    assert!(heard > 1_000 && heard <= duration - length + 200, "{aside}");
    assert_eq!(aside["chain"]["seq"], 1);

    let sealed =
        |it: &[crate::receiver::Pushed]| it.iter().any(|it| it.kind() == "recording.sealed");
    let pushed = receiver.until(SOON, sealed).await;
    let of = |kind: &str| pushed.iter().find(|it| it.kind() == kind).unwrap().json();
    assert_eq!(of("recording.started")["data"]["recording_id"], json!(id));
    let data = &of("recording.sealed")["data"];
    assert_eq!((&data["sha256"], &data["agents"][0]), (&recording["sha256"], &json!(agent.no)));
    assert_eq!(data["caller_heard_ms"], aside["heard_ms"]["caller"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_gone_and_a_sidecar_with_one_changed_bit_are_found_by_the_chain() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    for _ in 0..3 {
        let (caller, phone) = engine.talk_with(&agent).await;
        caller.hang_up();
        phone.until_ended(SOON).await.unwrap();
        engine.sealed_record_of(&caller.number).await;
        engine.until_state(&agent, "idle").await;
    }
    let dir = engine.data("recordings");
    let (is_fine, said) = verify(&dir);
    assert!(is_fine && said.contains("(3 recordings, 0 bad)"), "{said}");
    let mut sidecars: Vec<_> =
        engine.recordings().iter().map(|it| it.with_extension("json")).collect();
    let seq = |it: &std::path::PathBuf| {
        let aside: Value = serde_json::from_str(&fs::read_to_string(it).unwrap()).unwrap();
        aside["chain"]["seq"].as_u64().unwrap()
    };
    sidecars.sort_by_key(seq);
    for file in &sidecars {
        let whole = fs::read(file).unwrap();
        let mut altered = whole.clone();
        let at = altered.len() / 2;
        altered[at] ^= 1;
        fs::write(file, altered).unwrap();
        assert!(!verify(&dir).0, "one bit of {}", file.display());
        fs::write(file, whole).unwrap();
    }
    for file in &sidecars[1..] {
        let (wav, away) = (file.with_extension("wav"), file.with_extension("away"));
        let kept = fs::read(&wav).unwrap();
        fs::rename(file, &away).unwrap();
        fs::remove_file(&wav).unwrap();
        let (is_fine, said) = verify(&dir);
        assert!(!is_fine && said.contains("in the chain, but gone"), "{said}");
        fs::rename(away, file).unwrap();
        fs::write(wav, kept).unwrap();
    }
    assert!(verify(&dir).0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_goes_on_on_the_second_volume_while_the_first_is_full_and_is_served_from_there() {
    let name = "recording_goes_on_on_the_second_volume_while_the_first_is_full";
    let disk = Disk::Small { kilobytes: 1_024 };
    if !disk.is_to_be_had(name) {
        return;
    }
    let recording_more = "second_dir = \"var/second\"\n";
    let engine =
        Engine::start(Setup { disk: Some(disk), recording_more, ..Setup::default() }).await;
    let agent = engine.agent(1).await;
    let filler = engine.data("recordings/filler");
    // Room for a second or two.
    fs::write(&filler, vec![1; (1_024 - 48) << 10]).unwrap();
    let (caller, phone) = engine.talk_with(&agent).await;
    let mark = phone.mark();
    let more = move |it: &Heard| (it.mark() > mark + 5 * 8_000).then_some(());
    phone.until_heard("five seconds of talk", SOON, more).await.unwrap();
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    let recording = &record["recordings"][0];
    assert!(recording["failed"].is_null(), "no alarm, but another volume: {recording}");
    assert!(recording["gap_ms"].as_u64().unwrap() <= 1_000, "{recording}");
    let sides = engine.recording(&text(&recording["recording_id"])).await;
    assert!(sides[0].tone_anywhere(700) > 0.9 && sides[0].tone_anywhere(900) > 0.9);
    let path = text(&recording["path"]);
    assert!(engine.data(&format!("second/{path}")).exists());
    assert!(!engine.data(&format!("recordings/{path}")).exists());

    // There is room again, and nobody was started again.
    fs::remove_file(filler).unwrap();
    engine.until_state(&agent, "idle").await;
    let (next, phone) = engine.talk_with(&agent).await;
    next.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&next.number).await;
    let path = text(&record["recordings"][0]["path"]);
    assert!(engine.data(&format!("recordings/{path}")).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_stopped_and_started_in_the_talk_and_the_record_names_both_parts() {
    let engine = Engine::start(Setup::default()).await;
    let (caller, agent, phone) = engine.talk().await;
    let a_second = |mark: usize| move |it: &Heard| (it.mark() > mark + 8_000).then_some(());
    phone.until_heard("a second of talk", SOON, a_second(phone.mark())).await.unwrap();
    engine.command(&agent.no, "stop-recording", json!({})).await;
    // What is in no part, and the other party hears.
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    caller.speak(Speech::tone(1_000));
    phone.until_tone(1_000, SOON).await.unwrap();
    engine.command(&agent.no, "start-recording", json!({})).await;
    // What a telephone hears may have been said before; what is said from now on is recorded.
    let since = Instant::now();
    let said =
        |_: &Heard| (caller.sent().iter().filter(|it| **it >= since).count() >= 50).then_some(());
    phone.until_heard("a second is said", SOON, said).await.unwrap();
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();

    let record = engine.record_of(&caller.number).await;
    let path = format!("/api/v1/calls/{}", text(&record["call_id"]));
    let sealed = |it: &Value| {
        let parts = it["recordings"].as_array().unwrap();
        parts.iter().all(|it| it["sealed"] == true).then(|| it.clone())
    };
    let record = engine.until(&path, SOON, sealed).await;
    let parts = record["recordings"].as_array().unwrap();
    assert_eq!(parts.len(), 2, "{record}");
    for (part, own, other) in [(&parts[0], 700, 1_000), (&parts[1], 1_000, 700)] {
        let caller = engine.recording(&text(&part["recording_id"])).await.remove(0);
        assert!(caller.tone_anywhere(own) > 0.9, "{own} Hz");
        assert!(caller.tone_anywhere(other) < 0.1 && caller.tone_anywhere(900) < 0.1);
        assert!(part["duration_ms"].as_u64().unwrap() >= 900, "{part}");
        assert_eq!(sidecar(&engine, part)["segments"][0]["agent_no"], json!(agent.no));
    }
    let facts = record["facts"].as_array().unwrap();
    let stopped = facts.iter().find(|it| it["type"] == "recording_stopped").unwrap();
    assert_eq!(
        (&stopped["recording_id"], &stopped["by"]),
        (&parts[0]["recording_id"], &json!(agent.no))
    );
}
