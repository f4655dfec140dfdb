//! What the engine notices of a line: loss, silence, keys in the sound.

use hotline_dsp::Signal;
use hotline_testkit::{Heard, Outgoing, Robot, Speech};
use serde_json::{Value, json};

use crate::{
    engine::{Engine, Role, SOON, text},
    outbound::{dial, record_to},
    parties::{AGENT, CALLER, hears},
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

/// An engine whose carrier says by tones alone what becomes of calls.
async fn with_tones() -> (Engine, Robot) {
    let carrier = Robot::bind(CARRIER).await.unwrap();
    let setup = Setup {
        gateways: vec![carrier.address()],
        options_probes: false,
        trunk_keys: "busy_tone_ends = true\n",
        calls_per_hour: 50,
        ..Setup::default()
    };
    (Engine::start(setup).await, carrier)
}

/// What was said by tones, in order.
fn tones(record: &Value) -> Vec<String> {
    let facts = record["facts"].as_array().unwrap().iter();
    facts.filter(|it| it["type"] == "tone_heard").map(|it| text(&it["tone"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_network_says_by_tones_before_the_answer_is_why_nobody_was_reached() {
    let (engine, carrier) = with_tones().await;
    let agent = engine.busy_agent(1).await;
    for (number, signal, tone, expected) in [
        ("13800138000", Signal::Busy, "busy", ["busy", "忙"]),
        ("13800138001", Signal::Congestion, "congestion", ["congestion", "网络拥塞"]),
        ("13800138002", Signal::Vacant, "vacant", ["unallocated", "空号"]),
    ] {
        let phone = dial(&engine, &agent, number).await;
        let party = carrier.incoming(SOON).await.unwrap();
        party.speak(Speech::signal(Signal::RingBack));
        party.ring_with_sound();
        phone.until_tone(450, SOON).await.unwrap();
        // A second of tone, and as much of the silence behind it as it takes to know it.
        let mark = phone.mark();
        let three = |it: &Heard| (it.mark() > mark + 24_000).then_some(());
        phone.until_heard("a telephone that rings", SOON, three).await.unwrap();
        assert!(party.view().ended.is_none());
        party.speak(Speech::signal(signal));
        phone.until_ended(SOON).await.unwrap();
        party.until_ended(SOON).await.unwrap();
        let record = record_to(&engine, number).await;
        assert_eq!(record["outcome"], "not_reached", "{record:#}");
        assert_eq!(["reason", "cause_text"].map(|it| text(&record[it])), expected);
        assert_eq!(tones(&record), ["ring_back", tone]);
        let counted = |it: &Value| {
            let rows = it["items"].as_array()?.iter().filter(|it| it["direction"] == "out");
            let outcome = if signal == Signal::Vacant { "no_such_number" } else { tone };
            rows.filter_map(|it| it["outcomes"][outcome].as_u64()).find(|it| *it == 1)
        };
        engine.until("/api/v1/trunks/statistics", SOON, counted).await;
        engine.until_state(&agent, "busy").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asked_or_given_a_caller_and_is_busy_by_a_tone_alone_keeps_nobody_waiting() {
    let (engine, carrier) = with_tones().await;
    let (caller, agent, phone) = engine.talk().await;
    let order = json!({ "number": "13800138000" });
    for command in ["consult", "transfer"] {
        engine.command(&agent.no, command, order.clone()).await;
        let party = carrier.incoming(SOON).await.unwrap();
        party.speak(Speech::signal(Signal::Busy));
        party.ring_with_sound();
        party.until_ended(SOON).await.unwrap();
        if command == "consult" {
            hears(&caller, &[AGENT]).await;
            hears(&phone, &[CALLER]).await;
        }
    }
    // Who was given away is the next caller of the group that he came from.
    let again = agent.robot.incoming(SOON).await.unwrap();
    again.answer();
    again.speak(Speech::tone(AGENT));
    hears(&caller, &[AGENT]).await;
    hears(&again, &[CALLER]).await;
    caller.hang_up();
    again.until_ended(SOON).await.unwrap();
    let record = complete_record(&engine, &caller.number).await;
    assert_eq!(tones(&record), ["busy", "busy"], "{record:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_tone_of_an_analogue_line_ends_the_call_that_no_bye_ends() {
    let (mut engine, carrier) = with_tones().await;
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
