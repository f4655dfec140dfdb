//! What the engine notices of a line: loss, silence, keys in the sound.

use hotline_dsp::Signal;
use hotline_testkit::{Heard, Outgoing, Robot, Speech};
use serde_json::Value;

use crate::{
    engine::{Engine, Role, SOON, text},
    outbound::{dial, record_to},
    setup::{CARRIER, Setup},
};

/// How the leg that called in sounded.
fn callers(record: &Value) -> Value {
    let arrived = |it: &&Value| it["type"] == "arrived";
    let leg = &record["facts"].as_array().unwrap().iter().find(arrived).unwrap()["leg"];
    let quality = record["quality"].as_array().unwrap();
    quality.iter().find(|it| it["leg"] == *leg).unwrap_or_else(|| panic!("{record:#}")).clone()
}

/// The record with everything in it.
async fn complete_record(engine: &Engine, number: &str) -> Value {
    let record = engine.record_of(number).await;
    let path = format!("/api/v1/calls/{}", text(&record["call_id"]));
    engine.until(&path, SOON, |it| (it["complete"] == true).then(|| it.clone())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_tells_loss_round_trip_and_score_of_a_line_that_loses_packets() {
    let engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    caller.lose_one_in(10);
    // The first report is due after 3 s at most, the second 6 s later.
    let mark = caller.mark();
    let ten = |it: &Heard| (it.mark() > mark + 80_000).then_some(());
    caller.until_heard("ten seconds of talk", SOON, ten).await.unwrap();
    assert!(caller.n_reports() > 0 && phone.n_reports() > 0);
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = complete_record(&engine, &caller.number).await;
    let it = callers(&record);
    let number = |key: &str| it[key].as_u64().unwrap_or_else(|| panic!("no {key}: {it:#}"));
    // One in ten, of the later part of the call.
    assert!((40..=110).contains(&number("loss_in_permille")), "{it:#}");
    assert!((20..=110).contains(&number("loss_out_permille")), "{it:#}");
    assert!(number("round_trip_us") < 2_000_000 && number("reports_in") > 0, "{it:#}");
    for score in ["mos_in_x100", "mos_out_x100"] {
        assert!((150..=420).contains(&number(score)), "{it:#}");
    }
    assert_eq!(record["audio_marks"], serde_json::json!([]), "both spoke");
    for name in [
        "hotline_media_legs_total{what=\"lossy\"}",
        "hotline_media_rtcp_total{what=\"in\"}",
        "hotline_media_rtcp_total{what=\"out\"}",
    ] {
        engine.until_counted(name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_never_makes_a_sound_is_marked_as_a_silent_call() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let ringing = agent.robot.incoming(SOON).await.unwrap();
    ringing.answer();
    ringing.until_answered(SOON).await.unwrap();
    ringing.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    let mark = caller.mark();
    let six = |it: &Heard| (it.mark() > mark + 48_000).then_some(());
    caller.until_heard("six seconds of talk", SOON, six).await.unwrap();
    ringing.hang_up();
    caller.hang_up();
    let record = complete_record(&engine, &caller.number).await;
    assert_eq!(record["audio_marks"], serde_json::json!(["silent_call"]), "{record:#}");
    assert_eq!(callers(&record)["silent"], true);
    engine.until_counted("hotline_media_legs_total{what=\"silent\"}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephone_from_which_nothing_comes_is_told_and_marked_as_one_way() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let caller = engine.caller().await;
    caller.speak(Speech::tone(700));
    caller.ask_for_person(&engine).await;
    let ringing = agent.robot.incoming(SOON).await.unwrap();
    ringing.lose_one_in(1);
    ringing.answer();
    ringing.until_answered(SOON).await.unwrap();
    engine.until_counted("hotline_media_hearing_total{state=\"one_way\"}").await;
    caller.hang_up();
    ringing.until_ended(SOON).await.unwrap();
    let record = complete_record(&engine, &caller.number).await;
    assert_eq!(record["audio_marks"], serde_json::json!(["agent_one_way"]), "{record:#}");
    assert_eq!(callers(&record)["one_way"], false);
    engine.until_counted("hotline_media_legs_total{what=\"one_way\"}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_whose_keys_are_sound_finds_his_way_through_the_menu() {
    let engine = Engine::quick().await;
    let _agent = engine.busy_agent(1).await;
    let (to, from_user) = ("12345".to_owned(), "13911110001".to_owned());
    let outgoing = Outgoing { to, from_user, without_events: true, ..Outgoing::default() };
    let caller = engine.dial(outgoing).await;
    caller.hears_begin(&engine, "menu.top.long").await;
    let stream = caller.view().stream.unwrap();
    assert_eq!(stream.telephone_event, None, "no other way was agreed");
    caller.speak(Speech::keys("9"));
    caller.hears(&engine, "sys.invalid").await;
    caller.hears_begin(&engine, "menu.top.short").await;
    caller.speak(Speech::keys("0"));
    engine.until_waiting("gx.nn.general", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_that_is_told_by_event_and_by_info_is_one_key() {
    let engine = Engine::quick().await;
    let _agent = engine.busy_agent(1).await;
    let caller = engine.caller().await;
    caller.hears_begin(&engine, "menu.top.long").await;
    // The second telling of a wrong key would be the next wrong one, also when its INFO was lost on
    // its way and comes while the menu is played again.
    caller.press("9");
    let invalid = caller.hears(&engine, "sys.invalid").await;
    caller.tell_keys("9");
    caller.hears_since(&engine, invalid.at, "menu.top.short").await;
    let sound = engine.setup.prompts.sound("sys.invalid");
    let rest = caller.heard().since(invalid.at + sound.samples().len());
    let again = rest.find(&sound);
    assert!(again.is_none_or(|it| it.score < 0.8), "{again:?}");
    // Told by INFO alone it is a key, too.
    caller.tell_keys("0");
    engine.until_waiting("gx.nn.general", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_tone_of_an_analogue_line_ends_the_call_that_no_bye_ends() {
    let carrier = Robot::bind(CARRIER).await.unwrap();
    let setup = Setup {
        gateways: vec![carrier.address()],
        options_probes: false,
        trunk_keys: "busy_tone_ends = true\n",
        ..Setup::default()
    };
    let mut engine = Engine::start(setup).await;
    let agent = engine.busy_agent(1).await;
    let phone = dial(&engine, &agent, "13800138000").await;
    let party = carrier.incoming(SOON).await.unwrap();
    party.answer();
    engine.until_state(&agent, "talking").await;
    party.speak(Speech::tone(700));
    phone.until_tone(700, SOON).await.unwrap();
    // Control dies, and whoever was called hangs up before there is another.
    engine.kill_now(Role::Control);
    party.speak(Speech::signal(Signal::Busy));
    phone.until_ended(SOON).await.unwrap();
    party.until_ended(SOON).await.unwrap();
    let record = record_to(&engine, "13800138000").await;
    assert_eq!(
        (text(&record["released_by"]), text(&record["reason"])),
        ("called".to_owned(), "busy_tone".to_owned())
    );
    let heard = |it: &Value| it["type"] == "tone_heard" && it["tone"] == "busy";
    assert!(record["facts"].as_array().unwrap().iter().any(heard), "{record:#}");
}
