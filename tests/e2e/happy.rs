//! One caller's call, end to end, with the prompts as they are spoken in Guangxi.

use std::time::Duration;

use hotline_sip::EndWhy;
use hotline_testkit::{Heard, Speech};
use serde_json::Value;

use crate::{
    engine::{Engine, SOON, text},
    setup::Setup,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_is_greeted_queued_answered_recorded_and_asked_for_a_rating() {
    let engine = Engine::start(Setup::spoken()).await;
    let agent = engine.busy_agent(1).await;
    let caller = engine.caller().await;
    caller.until_answered(SOON).await.unwrap();
    let notice = caller.hears(&engine, "notice.recording").await;
    let greeting = caller.hears(&engine, "greet.common").await;
    assert!(notice.at < greeting.at);
    caller.ask_for_person(&engine).await;
    let music = caller.hears_begin(&engine, "moh.default").await;
    assert!(greeting.at < music.at);

    engine.ready(&agent).await;
    let ringing = agent.robot.incoming(SOON).await.unwrap();
    ringing.answer();
    ringing.until_answered(SOON).await.unwrap();
    let service = caller.hears_since(&engine, music.at, "agent.service").await;
    for digit in ["num.d1", "num.d0"] {
        let found = caller.hears_since(&engine, music.at, digit).await;
        assert!(found.at < service.at, "{digit}");
    }

    caller.speak(Speech::tone(700));
    ringing.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    ringing.until_tone(700, SOON).await.unwrap();
    // The survey follows a talk of ten seconds.
    let talked = caller.mark();
    let ten = |it: &Heard| (it.mark() > talked + 80_000).then_some(());
    caller.until_heard("ten seconds of talk", SOON, ten).await.unwrap();
    ringing.hang_up();

    caller.speak(Speech::Silence);
    caller.hears_begin(&engine, "survey.ask").await;
    caller.press("1");
    caller.hears(&engine, "survey.thanks").await;
    caller.hears(&engine, "bye.common").await;
    let why = caller.until_ended(SOON).await.unwrap();
    assert!(matches!(why, EndWhy::Bye { .. }), "{why:?}");
    let continuity = caller.heard().continuity();
    assert!(continuity.is_seamless(), "{continuity:?}");

    let record = engine.sealed_record_of(&caller.number).await;
    check_record(&record, &caller.number);
    let id = text(&record["recordings"][0]["recording_id"]);
    let channels = engine.recording(&id).await;
    assert!(channels[0].tone_anywhere(700) > 0.9, "the caller is on the left: {channels:?}");
    assert!(channels[1].tone_anywhere(440) > 0.9, "the agent is on the right: {channels:?}");
    let crossed = [channels[0].tone_anywhere(440), channels[1].tone_anywhere(700)];
    assert!(crossed.iter().all(|it| *it < 0.1), "{crossed:?}");
    assert!(channels[0].length() > Duration::from_secs(10));
}

/// The facts of the call, as the work-order platform will read them.
fn check_record(record: &Value, caller_no: &str) {
    assert_eq!(record["outcome"], "answered");
    assert_eq!(text(&record["caller_no"]), caller_no);
    assert_eq!(record["called_raw"], "12345");
    assert_eq!(record["trunk"], "carrier");
    assert_eq!(record["flow"], "gx12345.main");
    let times = ["t_in", "t_ans", "t_req", "t_br", "t_rel"].map(|it| text(&record[it]));
    assert!(times.is_sorted(), "{times:?}");
    let queue = &record["queues"][0];
    assert_eq!(
        (text(&queue["skill_group"]), text(&queue["exit"])),
        owned("gx.nn.general", "answered")
    );
    let segment = &record["segments"][0];
    assert_eq!((text(&segment["agent_no"]), text(&segment["released_by"])), owned("1001", "agent"));
    assert!(segment["talk_ms"].as_u64().unwrap() >= 10_000, "{segment}");
    let rating = &record["ratings"][0];
    assert_eq!((text(&rating["key"]), text(&rating["agent_no"])), owned("1", "1001"));
    assert_eq!(rating["recording_id"], record["recordings"][0]["recording_id"]);
    assert_eq!(text(&record["recordings"][0]["sha256"]).len(), 64);
}

fn owned(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}
