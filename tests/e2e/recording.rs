//! What is kept of a talk, and what happens when nothing can be kept.

use std::{fs, path::Path, process::Command};

use hotline_testkit::{Sound, Speech};

use crate::{
    engine::{Engine, Role, SOON, text},
    http, program,
    setup::{Setup, TOKEN},
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
    let two_seconds = |it: &hotline_testkit::Heard| (it.mark() > mark + 16_000).then_some(());
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
    let failed = |it: &serde_json::Value| {
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
