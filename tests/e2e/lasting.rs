//! What is on disk when a process is killed, the power fails or the disk is full.

use std::{fs, path::Path, time::Duration};

use hotline_base::Random;
use hotline_testkit::{Call, Heard, RATE, Sound, Speech};
use serde_json::Value;

use crate::{
    disk::{Disk, cut_power},
    engine::{Engine, Role, SOON, text},
    people::Caller,
    setup::Setup,
    survival::parts_sealed,
};

/// Audio that a kill or a loss of power may cost.
const LOST_MAX: Duration = Duration::from_secs(1);

/// An alarm comes this soon when no disk takes a recording.
const ALARM_MS: u64 = 5_000;

const DAY_MS: u64 = 86_400_000;

/// No part of it is like another, so that a piece of it tells when it was said.
fn story(seed: u64) -> Sound {
    let mut random = Random::new(seed);
    let n_samples = 60 * u64::from(RATE);
    let alaw: Vec<_> = (0..n_samples)
        .map(|_| {
            let level = u8::try_from(random.between(0, 95)).unwrap();
            (level | (u8::from(random.chance(50)) << 7)) ^ 0x55
        })
        .collect();
    Sound::from_alaw(&alaw)
}

/// How much of a story somebody has heard, or a recording holds, by its last quarter of a second
/// that is of the story: a robot that was kept from its processor has left a hole.
fn told(story: &Sound, so_far: &Sound) -> Duration {
    let n_samples = so_far.samples().len();
    let (piece, step) = (RATE as usize / 4, RATE as usize / 20);
    let found = (0..40).map(|it| n_samples.saturating_sub(it * step)).find_map(|end| {
        let part = so_far.part(end.saturating_sub(piece)..end);
        let found = story.find(&part).filter(|it| it.score > 0.8)?;
        Some(found.at + part.samples().len())
    });
    let found = found.unwrap_or_else(|| panic!("{so_far:?} ends with nothing of the story"));
    Duration::from_millis((found / (RATE as usize / 1_000)) as u64)
}

/// The caller tells a story, and the agent hears it until `length` of it is told.
async fn tell(caller: &Caller, phone: &Call, story: &Sound, length: Duration) {
    let mark = phone.mark();
    let n_samples = length.as_millis() as usize * RATE as usize / 1_000;
    caller.speak(Speech::once(story.clone()));
    let long_enough = |it: &Heard| (it.mark() > mark + n_samples).then_some(());
    phone.until_heard("the story", SOON, long_enough).await.unwrap();
}

/// A file that claims no more audio than it has, and at most a block less.
fn check_header(file: &[u8]) {
    let claimed = u32::from_le_bytes(file[54..58].try_into().unwrap()) as usize;
    assert_eq!(&file[50..54], b"data");
    assert!(claimed <= file.len() - 58, "{claimed} of {}", file.len());
}

/// All but one: on a machine that stood still for a moment the engine did, too.
fn check_lost(mut lost: Vec<Duration>) {
    lost.sort();
    tell_people(&lost);
    assert!(lost[lost.len() - 2] <= LOST_MAX, "{lost:?}");
}

#[expect(clippy::print_stdout, reason = "figures are for people")]
fn tell_people(lost: &[Duration]) {
    println!("lost of a recording: {lost:?}");
}

/// The recording of a call that broke off: sealed with its gap, with what is known of it beside it.
async fn broken_recording(engine: &Engine, number: &str) -> (Value, Sound) {
    let record = engine.sealed_record_of(number).await;
    let recording = record["recordings"][0].clone();
    let id = text(&recording["recording_id"]);
    let audio = engine.recording(&id).await.remove(0);
    assert_eq!(recording["duration_ms"], audio.samples().len() * 1_000 / RATE as usize);
    let wav = engine.recordings().into_iter().find(|it| it.to_string_lossy().contains(&id));
    let aside = fs::read_to_string(wav.unwrap().with_extension("json")).unwrap();
    let aside: Value = serde_json::from_str(&aside).unwrap();
    for key in ["recording_id", "duration_ms", "sha256", "n_gaps", "gap_ms"] {
        assert_eq!(aside[key], recording[key], "{key}");
    }
    (recording, audio)
}

/// A second more than what was heard before.
fn goes_on(mark: usize) -> impl Fn(&Heard) -> Option<()> {
    move |it| (it.mark() > mark + RATE as usize).then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_of_a_killed_media_process_lacks_less_than_a_second_and_says_so() {
    let mut engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let mut lost = Vec::new();
    for round in 0..4 {
        let (caller, phone) = engine.talk_with(&agent).await;
        let story = story(round);
        tell(&caller, &phone, &story, Duration::from_millis(2_000 + 130 * round)).await;
        let heard = phone.heard();
        let (so_far, heard) = (heard.mark(), heard.sound());
        engine.kill_now(Role::Media);
        let of_call = |it: &&std::path::PathBuf| !it.with_extension("json").exists();
        let file = fs::read(engine.recordings().iter().find(of_call).unwrap()).unwrap();
        check_header(&file);
        let at_once = Sound::channels(&file).unwrap().remove(0);
        assert!(told(&story, &at_once) > Duration::from_secs(1), "{at_once:?}");

        engine.until_replaced(Role::Media).await;
        phone.until_heard("the story goes on", SOON, goes_on(so_far)).await.unwrap();
        caller.hang_up();
        phone.until_ended(SOON).await.unwrap();
        // The rest of the talk is another part.
        parts_sealed(&engine, &caller.number, 2).await;
        let (recording, audio) = broken_recording(&engine, &caller.number).await;
        assert_eq!(recording["n_gaps"], 1, "{recording}");
        lost.push(told(&story, &heard).saturating_sub(told(&story, &audio)));
        // What the record calls missing is what was said and is not there, to a tenth or so.
        let gap = Duration::from_millis(recording["gap_ms"].as_u64().unwrap());
        assert!(gap + Duration::from_millis(100) >= lost[lost.len() - 1], "{gap:?} of {lost:?}");
        engine.until_state(&agent, "idle").await;
    }
    check_lost(lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_that_fails_costs_no_record_and_less_than_a_second_of_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.img");
    let name = "power_that_fails_costs_no_record_and_less_than_a_second_of_a_recording";
    let mut lost = Vec::new();
    for round in 0..3 {
        let disk = Disk::image(&image).unwrap_or_else(|_| Disk::Image(image.clone()));
        if !disk.is_to_be_had(name) {
            return;
        }
        let engine = Engine::start(Setup { disk: Some(disk), ..Setup::default() }).await;
        let (caller, _agent, phone) = engine.talk().await;
        let story = story(round);
        tell(&caller, &phone, &story, Duration::from_millis(2_000 + 170 * round)).await;
        let finished = engine.caller().await;
        finished.hears(&engine, "notice.recording").await;
        finished.hang_up();
        let record = engine.record_of(&finished.number).await;
        // Other people's packets must not wait for the disk.
        let (path, ear) = (image.clone(), phone.clone());
        let cut = move || cut_power(&path, || ear.heard().sound());
        let (bytes, heard) = tokio::task::spawn_blocking(cut).await.unwrap();
        drop(engine);

        let copy = folder.path().join("cut.img");
        fs::write(&copy, bytes).unwrap();
        let audio = after_the_cut(&copy, &record, &caller.number).await;
        lost.push(told(&story, &heard).saturating_sub(told(&story, &audio)));
    }
    check_lost(lost);
}

/// Starts on what the disk holds: every record that was shown is there, and the recording of the
/// talk that broke off, which is returned.
async fn after_the_cut(image: &Path, shown: &Value, talking: &str) -> Sound {
    let disk = Some(Disk::Image(image.to_owned()));
    let mut engine = Engine::start(Setup { disk, ..Setup::default() }).await;
    let id = text(&shown["call_id"]);
    let kept = engine.get(&format!("/api/v1/calls/{id}")).await;
    assert_eq!(kept["t_rel"], shown["t_rel"]);
    let (recording, audio) = broken_recording(&engine, talking).await;
    assert_eq!(engine.record_of(talking).await["reason"], "media_failed");
    assert_eq!(recording["n_gaps"], 1, "{recording}");
    engine.stop().await;
    audio
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn talk_goes_on_while_the_disk_is_full_and_is_recorded_again_when_there_is_room() {
    let disk = Disk::Small { kilobytes: 1_024 };
    let name = "talk_goes_on_while_the_disk_is_full_and_is_recorded_again_when_there_is_room";
    if !disk.is_to_be_had(name) {
        return;
    }
    let mut engine = Engine::start(Setup { disk: Some(disk), ..Setup::default() }).await;
    let agent = engine.agent(1).await;
    let filler = engine.data("recordings/filler");
    // Room for two or three seconds.
    fs::write(&filler, vec![1; (1_024 - 48) << 10]).unwrap();
    let (caller, phone) = engine.talk_with(&agent).await;
    engine.until_counted("hotline_recordings_total{what=\"failed\"}").await;
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    fs::remove_file(filler).unwrap();
    let media = engine.role(Role::Media);
    let file = engine.recordings().remove(0);
    until_it_grows(&engine, &phone, &file).await;
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();

    let record = engine.sealed_record_of(&caller.number).await;
    assert_eq!(record["outcome"], "answered");
    let recording = &record["recordings"][0];
    assert!(recording["n_gaps"].as_u64() >= Some(1) && !recording["failed"].is_null());
    let caller_side = engine.recording(&text(&recording["recording_id"])).await.remove(0);
    assert!(caller_side.tone_anywhere(700) > 0.9, "before the disk was full");
    assert!(caller_side.tone_anywhere(900) > 0.9, "when there was room again");
    let gap = recording["gap_ms"].as_u64().unwrap();
    assert!((100..u64::MAX).contains(&gap), "{recording}");
    let gap = &fact(&record, "recording_gaps")["gaps"][0];
    assert_eq!(gap["why"], "disk", "{record:#}");
    // From the first word that found no room, as the engine's own clock has both.
    let at = |kind: &str| of_day(fact(&record, kind));
    let full = at("recording_started") + gap["from_ms"].as_u64().unwrap();
    let alarm = (at("recording_failed") + DAY_MS - full) % DAY_MS;
    assert!(alarm <= ALARM_MS, "an alarm after {alarm} ms: {record:#}");

    engine.until_state(&agent, "idle").await;
    let (next, phone) = engine.talk_with(&agent).await;
    next.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&next.number).await;
    assert_eq!(record["recordings"][0]["n_gaps"], 0, "{record}");
    assert_eq!(engine.role(Role::Media), media, "nobody was started again");
    engine.stop().await;
}

fn fact<'a>(record: &'a Value, kind: &str) -> &'a Value {
    let facts = record["facts"].as_array().unwrap();
    facts.iter().find(|it| it["type"] == kind).unwrap_or_else(|| panic!("no {kind}: {record:#}"))
}

/// The milliseconds of its day at which a fact became one.
fn of_day(fact: &Value) -> u64 {
    let at = text(&fact["at"]);
    let [hours, minutes, seconds] = [11..13, 14..16, 17..23].map(|it| at[it].to_owned());
    let number = |it: String| it.replace('.', "").parse::<u64>().unwrap();
    (number(hours) * 60 + number(minutes)) * 60_000 + number(seconds)
}

/// Waits until a second of the talk was written that is said from now on.
async fn until_it_grows(engine: &Engine, phone: &Call, file: &Path) {
    let begin = fs::metadata(file).unwrap().len();
    let mark = phone.mark();
    let second = |it: &Heard| (it.mark() > mark + RATE as usize).then_some(());
    phone.until_heard("a second more", SOON, second).await.unwrap();
    let grown = |_: &Value| {
        let length = fs::metadata(file).unwrap().len();
        (length > begin + 2 * u64::from(RATE)).then_some(())
    };
    engine.until("/api/v1/agents", SOON, grown).await;
}
