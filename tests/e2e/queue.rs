//! Callers wait, agents answer, do not answer, refuse, vanish.

use hotline_sip::EndWhy;
use hotline_testkit::{Heard, Speech};
use serde_json::json;

use crate::{
    engine::{Engine, SOON, text},
    people::Agent,
    setup::Setup,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_goes_to_the_next_agent_when_the_first_does_not_answer() {
    let engine = Engine::quick().await;
    let first = engine.agent(1).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let silent = first.robot.incoming(SOON).await.unwrap();
    let second = engine.agent(2).await;
    // The ring limit of five seconds runs out.
    assert_eq!(silent.until_ended(SOON).await.unwrap(), EndWhy::Cancelled);
    let phone = second.robot.incoming(SOON).await.unwrap();
    phone.answer();
    phone.until_answered(SOON).await.unwrap();
    let busy = engine.until_state(&first, "busy").await;
    assert_eq!(busy["reason"]["code"], 2, "set aside for ringing without an answer");
    caller.hang_up();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["segments"][0]["unanswered"], "no_answer");
    assert_eq!(text(&record["segments"][1]["agent_no"]), second.no);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_goes_to_the_next_agent_when_the_first_refuses() {
    let engine = Engine::quick().await;
    let first = engine.agent(1).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let refused = first.robot.incoming(SOON).await.unwrap();
    let second = engine.agent(2).await;
    refused.reject(486);
    let phone = second.robot.incoming(SOON).await.unwrap();
    phone.answer();
    phone.until_answered(SOON).await.unwrap();
    assert_eq!(engine.until_state(&first, "busy").await["reason"]["code"], 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_is_told_when_nobody_is_signed_in() {
    let engine = Engine::quick().await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    caller.hears(&engine, "queue.no_agents").await;
    caller.until_ended(SOON).await.unwrap();
    let record = engine.record_of(&caller.number).await;
    assert_eq!(record["outcome"], "forced");
    assert_eq!(record["queues"][0]["exit"], "no_agents");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_is_told_when_the_queue_is_full() {
    let engine = Engine::start(Setup { queue_max: 1, ..Setup::default() }).await;
    let _agent = engine.busy_agent(1).await;
    let first = engine.caller().await;
    first.ask_for_person(&engine).await;
    engine.until_waiting("gx.nn.general", 1).await;
    let second = engine.caller().await;
    second.ask_for_person(&engine).await;
    second.hears(&engine, "queue.full").await;
    second.until_ended(SOON).await.unwrap();
    assert_eq!(engine.record_of(&second.number).await["queues"][0]["exit"], "full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_served_in_the_order_they_came() {
    let engine = Engine::quick().await;
    let agent = engine.busy_agent(1).await;
    let mut callers = Vec::new();
    for n in 1..=2 {
        let caller = engine.caller().await;
        caller.ask_for_person(&engine).await;
        engine.until_waiting("gx.nn.general", n).await;
        callers.push(caller);
    }
    engine.ready(&agent).await;
    for (place, caller) in callers.iter().enumerate() {
        let phone = agent.robot.incoming(SOON).await.unwrap();
        phone.answer();
        caller.hears(&engine, "agent.service").await;
        engine.until_state(&agent, "talking").await;
        caller.hang_up();
        phone.until_ended(SOON).await.unwrap();
        engine.until_waiting("gx.nn.general", 1 - u64::try_from(place).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_goes_back_to_music_when_the_agent_vanishes_before_the_bridge() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    phone.until_answered(SOON).await.unwrap();
    let mark = caller.mark();
    phone.hang_up();
    caller.hears_since(&engine, mark, "moh.default").await;
    engine.until_waiting("gx.nn.general", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_works_a_while_after_the_call_and_is_ready_again() {
    let engine = Engine::start(Setup { acw_secs: 1, ..Setup::default() }).await;
    let (caller, agent, _phone) = engine.talk().await;
    caller.hang_up();
    engine.until_state(&agent, "acw").await;
    engine.until_state(&agent, "idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_is_rung_over_the_connection_of_the_telephone_and_set_aside_when_it_breaks() {
    let engine = Engine::quick().await;
    let agent = engine.agent_over_tcp(1).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    phone.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    phone.hang_up();
    engine.until_state(&agent, "idle").await;
    let Agent { no, robot } = agent;
    drop(robot);
    let path = format!("/api/v1/agents/{no}");
    let aside = |it: &serde_json::Value| (it["reason"]["code"] == 5).then_some(());
    engine.until(&path, SOON, aside).await;
}

/// The longest time in a caller's stream in which nothing was sent, by its timestamps, since
/// `begin` packets.
pub(crate) fn longest_hole_ms(heard: &Heard, begin: usize) -> u32 {
    let packets = heard.packets().get(begin..).unwrap_or_default();
    let holes = packets.iter().zip(packets.iter().skip(1)).map(|(before, next)| {
        next.timestamp.wrapping_sub(before.timestamp.wrapping_add(before.n_samples)) / 8
    });
    holes.max().unwrap_or(u32::MAX)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_of_the_agent_ends_the_music_at_once_and_the_caller_hears_no_hole() {
    let engine = Engine::quick().await;
    let agent = engine.busy_agent(1).await;
    let mut holes = Vec::new();
    // A telephone of a test may itself be late on a busy machine; the engine may not be three times.
    for _ in 0..3 {
        let caller = engine.caller().await;
        caller.ask_for_person(&engine).await;
        caller.hears_begin(&engine, "moh.default").await;
        engine.ready(&agent).await;
        let phone = agent.robot.incoming(SOON).await.unwrap();
        let begin = caller.heard().packets().len();
        phone.speak(Speech::tone(440));
        phone.answer();
        caller.until_tone(440, SOON).await.unwrap();
        holes.push(longest_hole_ms(&caller.heard(), begin));
        caller.hang_up();
        phone.until_ended(SOON).await.unwrap();
        engine.command(&agent.no, "busy", json!({})).await;
        if holes.last().is_some_and(|it| *it <= 40) {
            return;
        }
    }
    panic!("nothing was sent for {holes:?} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_hears_which_hotline_it_is_and_both_hear_his_number_before_they_are_connected() {
    const MAIN: &str = "flows/gx12345.main.flow.yaml";
    let both = "caller_whisper: agent.number\n    whisper_to: both\n    agent_whisper: greet.gjj";
    let flow_edits = vec![(MAIN, "caller_whisper: agent.number", both)];
    let engine = Engine::start(Setup { flow_edits, ..Setup::default() }).await;
    let agent = engine.agent(1).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    let mark = caller.mark();
    phone.answer();
    phone.speak(Speech::tone(700));
    let sound = |prompt: &str| engine.setup.prompts.sound(prompt);
    let own = phone.until_sound("greet.gjj", &sound("greet.gjj"), SOON).await.unwrap();
    phone.speak(Speech::Silence);
    let his = phone.until_sound("agent.service", &sound("agent.service"), SOON).await.unwrap();
    assert!(own.at < his.at, "first which hotline it is");
    caller.hears_since(&engine, mark, "agent.service").await;
    assert!(caller.heard().sound().find(&sound("greet.gjj")).is_none_or(|it| it.score < 0.8));
    engine.until_state(&agent, "talking").await;
    phone.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    caller.hang_up();
    let record = engine.sealed_record_of(&caller.number).await;
    let id = text(&record["recordings"][0]["recording_id"]);
    let agents = engine.recording(&id).await.remove(1);
    assert!(agents.tone_anywhere(440) > 0.9 && agents.tone_anywhere(700) < 0.02, "nobody heard it");
}

/// Telephones and NATs count on packets, and the caller alone hears the number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_is_sent_a_stream_from_his_answer_on_while_the_caller_hears_his_number() {
    const MAIN: &str = "flows/gx12345.main.flow.yaml";
    // Two seconds.
    let flow_edits = vec![(MAIN, "caller_whisper: agent.number", "caller_whisper: moh.default")];
    let engine = Engine::start(Setup { flow_edits, ..Setup::default() }).await;
    let agent = engine.agent(1).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    assert!(phone.heard().packets().is_empty(), "it rings");
    phone.answer();
    engine.until_state(&agent, "talking").await;
    let n_before = phone.heard().packets().len();
    assert!(n_before >= 60, "{n_before} packets in two seconds");
    caller.speak(Speech::tone(440));
    phone.until_tone(440, SOON).await.unwrap();
    let heard = phone.heard();
    let continuity = heard.continuity();
    assert!(continuity.n_sources == 1 && continuity.n_lost == 0, "{continuity:?}");
    assert!(longest_hole_ms(&heard, 0) <= 40, "{continuity:?}");
}
