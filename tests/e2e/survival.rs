//! A process is killed while people talk: what they hear of it, and what is left behind.
//!
//! `HOTLINE_CALLS=200 HOTLINE_KILLS=50` in front of the test of control makes it the whole story.

use std::{env, time::Duration};

use futures_util::future::{join, join_all};
use hotline_testkit::{Call, Heard, PacketHeard, Speech};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::{
    engine::{Engine, Role, SOON, text},
    figures::tell,
    people::{Agent, Caller},
    setup::Setup,
};

/// Without a packet that anybody may be who talks, beyond what the robots themselves were late.
const GAP_MAX: Duration = Duration::from_millis(40);

/// From one packet of a robot that is never late to the next.
const PACKET: Duration = Duration::from_millis(20);

/// A speaker from whom nothing comes for 200 ms pauses.
const STOOD_STILL: Duration = Duration::from_millis(180);

/// From the death of media until both hear each other again.
const BACK_MAX: Duration = Duration::from_secs(1);

/// Callers who are taken through the menu at the same time.
const TOGETHER: usize = 5;

/// A caller and the agent he talks with.
pub(crate) struct Talk {
    pub(crate) caller: Caller,
    pub(crate) phone: Call,
}

pub(crate) fn number(variable: &str, otherwise: usize) -> usize {
    env::var(variable).map_or(otherwise, |it| it.parse().expect("a number"))
}

/// So many talks at once, and the agents' telephones.
pub(crate) async fn talks(engine: &Engine, n: usize) -> (Vec<Talk>, Vec<Agent>) {
    let (mut talks, mut robots) = (Vec::new(), Vec::new());
    while talks.len() < n {
        let first = talks.len() + 1;
        let last = n.min(talks.len() + TOGETHER);
        let agents = join_all((first..=last).map(|it| engine.agent(u32::try_from(it).unwrap())));
        let agents = agents.await;
        let asked = agents.iter().map(async |_| {
            let caller = taken_caller(engine).await;
            caller.ask_for_person(engine).await;
            caller.speak(Speech::tone(700));
            caller
        });
        let answered = agents.iter().map(async |agent| {
            let phone = agent.robot.incoming(4 * SOON).await.unwrap();
            phone.answer();
            phone.speak(Speech::tone(440));
            phone
        });
        let (callers, phones) = join(join_all(asked), join_all(answered)).await;
        // Who talks with whom is the dispatcher's choice; a telephone shows who calls.
        for caller in callers {
            let shows = |it: &Call| it.caller_shown() == Some(&*caller.number);
            let at = phones.iter().position(shows).expect("a telephone shows this caller");
            let phone = phones[at].clone();
            phone.until_tone(700, 4 * SOON).await.unwrap();
            caller.until_tone(440, 4 * SOON).await.unwrap();
            talks.push(Talk { caller, phone });
        }
        robots.extend(agents);
    }
    (talks, robots)
}

/// A caller who tries again when he is one too many for a busy machine.
pub(crate) async fn taken_caller(engine: &Engine) -> Caller {
    loop {
        let caller = engine.caller().await;
        let decided = |it: &hotline_testkit::View| it.answered.is_some() || it.ended.is_some();
        let view = caller.until("answered or refused", 4 * SOON, decided).await.unwrap();
        if view.ended.is_none() {
            return caller;
        }
    }
}

/// The longest pause between instants from `since` on.
pub(crate) fn longest_pause(instants: impl Iterator<Item = Instant>, since: Instant) -> Duration {
    let all: Vec<_> = instants.filter(|it| *it >= since).collect();
    all.windows(2).map(|it| it[1] - it[0]).max().unwrap_or_default()
}

/// Every ear has heard one stream without a seam since then, and no longer pause than its own robot
/// made, which reads late, and the other one, which sends late. Returns the longest pause, and how
/// much of it no robot explains.
pub(crate) fn check_seamless(talks: &[Talk], since: Instant) -> (Duration, Duration) {
    let (mut longest, mut unexplained) = (Duration::ZERO, Duration::ZERO);
    for it in talks {
        let both = [&*it.caller, &it.phone];
        let made = both.map(|it| longest_pause(it.sent().into_iter(), since));
        for ear in both {
            let heard = ear.heard();
            let mut continuity = heard.continuity_since(since);
            // A robot that stood still was a speaker who pauses, for whom silence was sent; whether
            // its timestamps went on as the clock did cannot be told by one that read it late.
            if made.iter().any(|it| *it > STOOD_STILL) {
                continuity.n_timestamp_breaks = 0;
            }
            assert!(continuity.is_seamless(), "{continuity:?}");
            let pause = longest_pause(heard.packets().iter().map(|it| it.at), since);
            longest = longest.max(pause);
            let late: Duration = made.iter().map(|it| it.saturating_sub(PACKET)).sum();
            unexplained = unexplained.max(pause.saturating_sub(late));
        }
    }
    assert!(unexplained <= GAP_MAX, "{unexplained:?} without a packet beyond the robots' pauses");
    (longest, unexplained)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_gap_is_heard_while_control_is_killed_again_and_again_and_no_port_is_left() {
    let (n_calls, n_kills) = (number("HOTLINE_CALLS", 20), number("HOTLINE_KILLS", 3));
    let mut engine = Engine::start(Setup::of_calls(n_calls)).await;
    let (talks, agents) = talks(&engine, n_calls).await;
    let media = engine.role(Role::Media);
    let since = Instant::now();
    for _ in 0..n_kills {
        engine.kill(Role::Control).await;
    }
    for it in &talks {
        it.phone.speak(Speech::tone(520));
    }
    join_all(talks.iter().map(async |it| it.caller.until_tone(520, SOON).await.unwrap())).await;
    tell("longest pause heard, and beyond those of the robots", &check_seamless(&talks, since));
    assert_eq!(engine.role(Role::Media), media);

    // Half of them are ended by each side; the others are told.
    for (n, it) in talks.iter().enumerate() {
        if n % 2 == 0 { it.caller.hang_up() } else { it.phone.hang_up() }
    }
    for it in &talks {
        it.caller.until_ended(SOON).await.unwrap();
        it.phone.until_ended(SOON).await.unwrap();
        let record = engine.record_of(&it.caller.number).await;
        assert_eq!(record["control_restarted"], true);
        assert_ne!(record["reason"], "media_failed");
        assert_eq!(record["media_restarted"], false);
    }
    for it in &agents {
        engine.until_state(it, "idle").await;
    }
    engine.until_no_port_is_held().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_breaks_between_two_living_roles_is_made_anew_and_talks_go_on() {
    let engine = Engine::start(Setup::of_calls(3)).await;
    let (talks, _agents) = talks(&engine, 2).await;
    let (roles, since) = (engine.roles(), Instant::now());
    for high in [520, 600] {
        engine.break_link();
        // Nobody is taken without media, and then somebody is.
        let taken = timeout(SOON, taken_caller(&engine)).await;
        let caller = taken.expect("there is a link again");
        for it in &talks {
            it.phone.speak(Speech::tone(high));
        }
        join_all(talks.iter().map(async |it| it.caller.until_tone(high, SOON).await.unwrap()))
            .await;
        caller.hang_up();
        caller.until_ended(SOON).await.unwrap();
    }
    let pauses = check_seamless(&talks, since);
    tell("longest pause heard while links broke, and beyond those of the robots", &pauses);
    for it in &talks {
        it.caller.hang_up();
        it.phone.until_ended(SOON).await.unwrap();
        let record = engine.record_of(&it.caller.number).await;
        assert_ne!(record["reason"], "media_failed");
    }
    assert_eq!(engine.roles(), roles);
    engine.until_no_port_is_held().await;
}

/// How long an ear heard nothing around an instant; the silence that the next process sends at once
/// is nothing.
pub(crate) fn silence(heard: &Heard, around: Instant) -> Duration {
    let packets = heard.packets();
    let before = packets.iter().rfind(|it| it.at <= around).map(|it| it.at);
    let after =
        packets.iter().find(|it| it.at > around && !it.is_silent && is_other(packets, it, around));
    after.map_or(Duration::MAX, |it| it.at - before.unwrap_or(around))
}

/// A packet of another stream than the one before `around`: it is of the next process.
fn is_other(packets: &[PacketHeard], it: &PacketHeard, around: Instant) -> bool {
    packets.iter().rfind(|it| it.at <= around).is_none_or(|before| before.ssrc != it.ssrc)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn talk_is_back_within_a_second_when_media_is_killed_and_recorded_in_parts() {
    let mut engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    let ports = [&*caller, &phone].map(|it| it.view().stream.unwrap().address);
    let mut silences = Vec::new();
    let mut tones = vec![(700, 440)];
    // Each time, and not the best of them; what a busy machine kept the next process waiting is
    // told beside it.
    for (high, low) in [(900, 520), (1_100, 600), (1_300, 640)] {
        let killed = Instant::now();
        engine.kill_now(Role::Media);
        caller.speak(Speech::tone(high));
        phone.speak(Speech::tone(low));
        caller.until_tone(low, SOON).await.unwrap();
        phone.until_tone(high, SOON).await.unwrap();
        engine.until_replaced(Role::Media).await;
        let waited = engine.waited_for_a_core(Role::Media);
        let both = [&*caller, &phone].map(|it| silence(&it.heard(), killed));
        silences.push((both.into_iter().max().unwrap(), waited));
        tones.push((high, low));
    }
    tell("silence when media was killed, and how long it waited for a core", &silences);
    let ours = |it: &(Duration, Duration)| it.0.saturating_sub(it.1);
    assert!(silences.iter().all(|it| ours(it) <= BACK_MAX), "{silences:?}");
    let now = [&*caller, &phone].map(Call::view);
    assert!(now.iter().all(|it| it.n_reoffered == 0), "nobody was asked to move");
    assert_eq!(now.map(|it| it.stream.unwrap().address), ports);

    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = parts_sealed(&engine, &caller.number, tones.len()).await;
    assert_eq!(record["outcome"], "answered");
    assert_eq!(record["media_restarted"], true);
    for (part, (high, low)) in record["recordings"].as_array().unwrap().iter().zip(tones) {
        let sides = engine.recording(&text(&part["recording_id"])).await;
        assert!(sides[0].tone_anywhere(high) > 0.9, "{high} Hz in {part}");
        assert!(sides[1].tone_anywhere(low) > 0.9, "{low} Hz in {part}");
    }
    let mut broken_off = record["recordings"].as_array().unwrap().iter().rev().skip(1);
    assert!(broken_off.all(|it| it["n_gaps"] == 1), "{record}");
    engine.until_state(&agent, "idle").await;
    engine.until_no_port_is_held().await;
}

/// The record once all parts of its recording are sealed.
pub(crate) async fn parts_sealed(engine: &Engine, caller_no: &str, n: usize) -> Value {
    let record = engine.record_of(caller_no).await;
    let path = format!("/api/v1/calls/{}", text(&record["call_id"]));
    let sealed = |it: &Value| {
        let parts = it["recordings"].as_array()?;
        let all = parts.len() == n && parts.iter().all(|it| it["sealed"] == true);
        all.then(|| it.clone())
    };
    engine.until(&path, SOON, sealed).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_with_music_or_hears_a_prompt_hears_it_again_when_media_was_killed() {
    let mut engine = Engine::quick().await;
    let (held, agent, phone) = engine.talk().await;
    engine.command(&agent.no, "hold", serde_json::json!({})).await;
    phone.until_silence(SOON).await.unwrap();
    let waiting = engine.caller().await;
    waiting.ask_for_person(&engine).await;
    let waits = |it: &Value| {
        let waiting = |it: &Value| it["n_waiting"] == 1;
        it["items"].as_array()?.iter().any(waiting).then_some(())
    };
    engine.until("/api/v1/groups", SOON, waits).await;
    let asked = engine.caller().await;
    asked.until_answered(SOON).await.unwrap();
    engine.kill(Role::Media).await;
    let mark = held.mark();
    held.hears_since(&engine, mark, "moh.default").await;
    asked.ask_for_person(&engine).await;
    engine.command(&agent.no, "retrieve", serde_json::json!({})).await;
    held.until_tone(440, SOON).await.unwrap();
    held.hang_up();
    // The first who waited is served.
    let next = agent.robot.incoming(SOON).await.unwrap();
    next.answer();
    next.speak(Speech::tone(440));
    waiting.until_tone(440, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn talk_goes_on_when_control_and_media_are_killed_at_once() {
    let mut engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    engine.kill_now(Role::Media);
    engine.kill(Role::Control).await;
    caller.speak(Speech::tone(900));
    phone.speak(Speech::tone(520));
    caller.until_tone(520, SOON).await.unwrap();
    phone.until_tone(900, SOON).await.unwrap();
    phone.hang_up();
    caller.until_ended(SOON).await.unwrap();
    let record = parts_sealed(&engine, &caller.number, 2).await;
    assert_ne!(record["reason"], "media_failed");
    // Nobody who lives saw media go, and the record says so all the same.
    assert_eq!(record["media_restarted"], true, "{record:#}");
    assert_eq!(record["control_restarted"], true);
    engine.until_no_port_is_held().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_talk_that_nobody_records_says_so_too_when_control_and_media_are_killed_at_once() {
    let mut engine = Engine::quick().await;
    let (caller, agent, phone) = engine.talk().await;
    engine.command(&agent.no, "stop-recording", serde_json::json!({})).await;
    engine.kill_now(Role::Media);
    engine.kill(Role::Control).await;
    caller.speak(Speech::tone(900));
    phone.until_tone(900, SOON).await.unwrap();
    phone.hang_up();
    caller.until_ended(SOON).await.unwrap();
    let record = parts_sealed(&engine, &caller.number, 1).await;
    assert_eq!(record["media_restarted"], true, "{record:#}");
    assert_eq!(record["control_restarted"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_is_asked_for_a_key_is_sent_silence_when_media_was_killed() {
    let mut engine = Engine::quick().await;
    let caller = engine.caller().await;
    caller.hears(&engine, "menu.top.long").await;
    caller.until_silence(SOON).await.unwrap();
    let killed = Instant::now();
    engine.kill_now(Role::Media);
    // Before the question is asked again.
    let other = |it: &Heard| {
        let packets = it.packets();
        let first = packets.iter().find(|it| it.at > killed && is_other(packets, it, killed))?;
        Some((first.at - killed, it.mark()))
    };
    let (gap, mark) = caller.until_heard("another stream", SOON, other).await.unwrap();
    engine.until_replaced(Role::Media).await;
    let waited = engine.waited_for_a_core(Role::Media);
    assert!(gap.saturating_sub(waited) <= BACK_MAX, "{gap:?}, of which {waited:?} for a core");
    let quiet = |it: &Heard| (it.mark() >= mark + 1_600).then(|| it.since(mark).level());
    let level = caller.until_heard("200 ms of it", SOON, quiet).await.unwrap();
    assert!(level < 40.0, "silence, and not {level}");
    tell("silence of a flow when media was killed", &[gap]);
}
