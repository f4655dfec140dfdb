//! 二次拨号: an agent presses keys for whom he has called, who takes them in one of three ways.

use hotline_base::Key;
use hotline_testkit::{Call, Codec, Codecs, Heard, Outgoing, Robot};
use serde_json::json;

use crate::{
    engine::{Engine, SOON},
    outbound::dial,
    people::{Agent, Caller},
    setup::{CARRIER, Setup},
};

/// Agent 1001 talks to somebody outside with this telephone.
async fn talk(carrier: &Robot, trunk_keys: &'static str) -> (Engine, Agent, Call, Call) {
    let (gateways, options_probes) = (vec![carrier.address()], false);
    let setup = Setup { gateways, trunk_keys, options_probes, ..Setup::default() };
    let engine = Engine::start(setup).await;
    let agent = engine.busy_agent(1).await;
    let phone = dial(&engine, &agent, "13800138000").await;
    let party = carrier.incoming(SOON).await.unwrap();
    party.answer();
    engine.until_state(&agent, "talking").await;
    (engine, agent, phone, party)
}

fn keys(text: &str) -> Vec<Key> {
    text.chars().map(|it| Key::try_from(it).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn party_who_takes_events_gets_them_whatever_the_trunk_wants_of_others() {
    let carrier = Robot::bind(CARRIER).await.unwrap();
    let (engine, agent, phone, party) = talk(&carrier, "keys = \"info\"\n").await;
    let view = engine.command(&agent.no, "send-keys", json!({ "keys": "12#" })).await;
    assert_eq!(view["state"], "talking", "{view:#}");
    let pressed = |it: &Heard| {
        let ended = it.keys().iter().filter(|it| it.ended).map(|it| it.key);
        (ended.collect::<Vec<_>>() == keys("12#")).then_some(())
    };
    party.until_heard("12#", SOON, pressed).await.unwrap();
    assert!(party.view().keys.is_empty(), "nothing came by INFO besides");
    // What is no key is told so, and nobody outside hears an agent who holds.
    let path = format!("/api/v1/agents/{}/send-keys", agent.no);
    for (body, status) in [(json!({ "keys": "1x" }), 400), (json!({}), 400)] {
        let reply = crate::http::post(engine.http(), &path, &body).await.unwrap();
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    engine.command(&agent.no, "hold", json!({})).await;
    let reply = crate::http::post(engine.http(), &path, &json!({ "keys": "1" })).await.unwrap();
    assert_eq!(reply.status, 409, "{}", reply.text());
    drop(phone);
}

/// Agent 1001 talks to a caller whose telephone knows no events.
async fn talk_without_events(trunk_keys: &'static str) -> (Engine, Agent, Call, Caller) {
    let gateway = Robot::bind(CARRIER).await.unwrap();
    let (gateways, options_probes) = (vec![gateway.address()], false);
    let setup = Setup { gateways, trunk_keys, options_probes, ..Setup::default() };
    let engine = Engine::start(setup).await;
    let agent = engine.agent(1).await;
    let (to, from_user) = ("077112329".to_owned(), "13900139000".to_owned());
    let outgoing = Outgoing { to, from_user, without_events: true, ..Outgoing::default() };
    let caller = engine.dial(outgoing).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    engine.until_state(&agent, "talking").await;
    (engine, agent, phone, caller)
}

/// Both as sound alone: 1 is 697 and 1209 Hz, 9 is 852 and 1477 Hz (ITU-T Q.23).
async fn hears_1_and_9(caller: &Call, mark: usize) {
    let both = |it: &Heard| {
        let sound = it.since(mark);
        let heard = [697, 1_209, 852, 1_477].iter().all(|it| sound.tone_anywhere(*it) > 0.3);
        heard.then_some(())
    };
    caller.until_heard("1 and 9", SOON, both).await.unwrap();
    assert!(caller.view().keys.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_takes_no_events_hears_the_keys() {
    let (engine, agent, _phone, caller) = talk_without_events("").await;
    let mark = caller.mark();
    engine.command(&agent.no, "send-keys", json!({ "keys": "19" })).await;
    hears_1_and_9(&caller, mark).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_takes_no_events_is_told_the_keys_by_info_where_the_trunk_wants_it() {
    let (engine, agent, _phone, caller) = talk_without_events("keys = \"info\"\n").await;
    let mark = caller.mark();
    engine.command(&agent.no, "send-keys", json!({ "keys": "11" })).await;
    engine.command(&agent.no, "send-keys", json!({ "keys": "9#" })).await;
    caller.until("119#", SOON, |it| it.keys == keys("119#")).await.unwrap();
    assert!(caller.heard().since(mark).tone_anywhere(1_209) < 0.1, "no key was heard besides");
}

/// The same with a caller of this codec.
async fn talk_coded(codec: Codec, trunk_keys: &'static str) -> (Engine, Agent, Call, Caller) {
    let gateway = Robot::bind(CARRIER).await.unwrap();
    let setup = Setup {
        gateways: vec![gateway.address()],
        trunk_keys,
        options_probes: false,
        media_more: "codecs = [\"opus\", \"g722\", \"pcma\", \"pcmu\"]\n",
        ..Setup::default()
    };
    let engine = Engine::start(setup).await;
    let agent = engine.agent(1).await;
    agent.robot.speak_codecs(Codecs::of([Codec::Pcma])).await;
    let telephone = Robot::bind(CARRIER).await.unwrap();
    telephone.speak_codecs(Codecs::of([codec])).await;
    let (to, from_user) = ("077112329".to_owned(), "13900139000".to_owned());
    let outgoing = Outgoing { to, from_user, without_events: true, ..Outgoing::default() };
    let caller = engine.dial_from(telephone, outgoing).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    engine.until_state(&agent, "talking").await;
    assert_eq!(caller.view().stream.map(|it| it.codec), Some(codec));
    (engine, agent, phone, caller)
}

/// 1 and 9 as sound, or both by INFO.
async fn check_coded(codec: Codec) {
    let (engine, agent, _phone, caller) = talk_coded(codec, "").await;
    let mark = caller.mark();
    engine.command(&agent.no, "send-keys", json!({ "keys": "19" })).await;
    hears_1_and_9(&caller, mark).await;
    drop(engine);
    let (engine, agent, _phone, caller) = talk_coded(codec, "keys = \"info\"\n").await;
    engine.command(&agent.no, "send-keys", json!({ "keys": "19" })).await;
    caller.until("19", SOON, |it| it.keys == keys("19")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_with_opus_and_no_events_gets_the_keys_as_sound_or_by_info() {
    check_coded(Codec::Opus).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_with_g722_and_no_events_gets_the_keys_as_sound_or_by_info() {
    check_coded(Codec::G722).await;
}

/// Agent 1001 calls somebody outside from a telephone that is answered in this way.
async fn talk_from(carrier: &Robot, answer: impl Fn(&Call)) -> (Engine, Agent, Call, Call) {
    let (gateways, options_probes) = (vec![carrier.address()], false);
    let engine = Engine::start(Setup { gateways, options_probes, ..Setup::default() }).await;
    let agent = engine.busy_agent(1).await;
    engine.command(&agent.no, "dial", json!({ "number": "13800138000" })).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    answer(&phone);
    let party = carrier.incoming(SOON).await.unwrap();
    party.answer();
    engine.until_state(&agent, "talking").await;
    (engine, agent, phone, party)
}

fn pressed(it: &Heard) -> Vec<Key> {
    it.keys().iter().filter(|it| it.ended).map(|it| it.key).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_a_telephone_without_events_tells_by_info_reach_who_is_outside() {
    let carrier = Robot::bind(CARRIER).await.unwrap();
    let (_engine, _agent, phone, party) = talk_from(&carrier, Call::answer_without_events).await;
    phone.tell_keys("12#");
    let all = |it: &Heard| (pressed(it) == keys("12#")).then_some(());
    party.until_heard("12#", SOON, all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_that_a_telephone_tells_by_event_and_by_info_reaches_who_is_outside_once() {
    let carrier = Robot::bind(CARRIER).await.unwrap();
    let (_engine, _agent, phone, party) = talk_from(&carrier, Call::answer).await;
    phone.press("1");
    phone.tell_keys("1");
    phone.press("2");
    let all = |it: &Heard| (pressed(it) == keys("12")).then_some(());
    party.until_heard("12", SOON, all).await.unwrap();
}
