//! Telephones and a border that are not ours: they call the engine and are called by it.
//!
//! They come from Debian (`make test` installs them), run as children on the addresses of the
//! carrier and the office, and do the next thing when a test tells them to.

mod baresip;
mod carriers;
mod kamailio;
mod linphone;
pub(crate) mod peer;
mod sipp;
pub(crate) mod sound;

use hotline_testkit::{Call, Heard, RATE, Sound, Speech};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::{
    engine::{Engine, Role, SOON, text},
    figures::tell,
    people::Caller,
    survival::silence,
};

/// What the caller says.
const CALLER_HZ: u32 = 700;

/// What he says after media was killed.
const LATER_HZ: u32 = 1_000;

/// From the death of media until he hears the telephone again.
const BACK_MAX: Duration = Duration::from_secs(1);

/// What the agent says.
const AGENT_HZ: u32 = 440;

/// Agent 1001, whose telephone 8001 is registered by now, takes calls.
async fn sign_in(engine: &Engine) {
    engine.command("1001", "sign-in", json!({})).await;
    engine.command("1001", "ready", json!({})).await;
    until_state(engine, "idle").await;
}

/// Waits until agent 1001 is shown as this.
async fn until_state(engine: &Engine, state: &str) {
    let is = |it: &Value| (text(&it["state"]) == state).then_some(());
    engine.until("/api/v1/agents/1001", SOON, is).await;
}

/// A second more of talk, so that a softphone has heard some of it.
async fn talk_goes_on(robot: &Call) {
    let mark = robot.mark();
    let second = |it: &Heard| (it.mark() > mark + RATE as usize).then_some(());
    robot.until_heard("a second more", SOON, second).await.unwrap();
}

/// Media dies in a talk: the caller hears the telephone again, and says something else.
async fn media_is_killed(engine: &mut Engine, caller: &Caller) {
    let mut silences = Vec::new();
    for _ in 0..3 {
        let killed = Instant::now();
        engine.kill_now(Role::Media);
        caller.speak(Speech::tone(LATER_HZ));
        engine.until_replaced(Role::Media).await;
        caller.until_tone(AGENT_HZ, SOON).await.unwrap();
        talk_goes_on(caller).await;
        silences.push(silence(&caller.heard(), killed));
        if silences.last() <= Some(&BACK_MAX) {
            break;
        }
    }
    tell("silence when media was killed", &silences);
    assert!(silences.iter().min() <= Some(&BACK_MAX), "{silences:?}");
}

/// The record of an answered talk with agent 1001, and what is on its recording: the caller's tone
/// on the left, the agent's on the right.
async fn check_talk(engine: &Engine, caller_no: &str, released_by: &str) {
    let record = engine.sealed_record_of(caller_no).await;
    assert_eq!(record["outcome"], "answered");
    assert_eq!(record["released_by"], released_by);
    assert_eq!(record["called_raw"], "12345");
    let times = ["t_in", "t_ans", "t_req", "t_br", "t_rel"].map(|it| text(&record[it]));
    assert!(times.iter().all(|it| it != "null") && times.is_sorted(), "{times:?}");
    assert_eq!(record["segments"][0]["agent_no"], "1001");
    assert!(record["talk_ms"].as_u64().unwrap() > 0, "{record:#}");
    let id = text(&record["recordings"][0]["recording_id"]);
    let [left, right] = <[Sound; 2]>::try_from(engine.recording(&id).await).unwrap();
    let heard = [left.tone_anywhere(CALLER_HZ), right.tone_anywhere(AGENT_HZ)];
    assert!(heard.iter().all(|it| *it > 0.9), "{heard:?}");
    let crossed = [left.tone_anywhere(AGENT_HZ), right.tone_anywhere(CALLER_HZ)];
    assert!(crossed.iter().all(|it| *it < 0.1), "{crossed:?}");
}
