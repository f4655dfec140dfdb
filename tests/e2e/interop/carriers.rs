//! SIPp as the carrier that takes our calls, with the scenarios of `tests/interop`.

use std::net::{SocketAddr, UdpSocket};

use hotline_testkit::Speech;
use serde_json::{Value, json};

use super::{AGENT_HZ, CALLER_HZ, sipp::Sipp};
use crate::{
    engine::{Engine, SOON, text},
    outbound::{dial, record_to},
    people::Agent,
    setup::{CARRIER, Setup},
};

/// An engine whose calls go to one carrier, and its agent 1001, who is busy.
async fn engine() -> (Engine, Agent, SocketAddr) {
    engine_with("").await
}

/// The same with further lines for the carrier's trunk.
async fn engine_with(trunk_keys: &'static str) -> (Engine, Agent, SocketAddr) {
    // Nobody else asks for a port at this address between here and SIPp.
    let carrier = UdpSocket::bind((CARRIER, 0)).unwrap().local_addr().unwrap();
    let engine = Engine::start(Setup {
        gateways: vec![carrier],
        options_probes: false,
        calls_per_hour: 100,
        trunk_keys,
        ..Setup::default()
    })
    .await;
    let agent = engine.busy_agent(1).await;
    (engine, agent, carrier)
}

fn of<'a>(record: &'a Value, keys: [&str; 3]) -> [&'a Value; 3] {
    keys.map(|it| &record[it])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_refuses_as_a_carrier_and_the_record_says_why_in_our_words() {
    let (engine, agent, carrier) = engine().await;
    let forward = format!("Contact: <sip:13900000000@{carrier}>");
    let q850 = |cause: u16| format!("Reason: Q.850;cause={cause}");
    let none = || "X-Nothing: said".to_owned();
    let cases = [
        ("404 Not Found", q850(1), "unallocated", "空号"),
        ("404 Not Found", none(), "unallocated", "空号"),
        ("480 Temporarily Unavailable", q850(27), "unreachable", "停机"),
        ("480 Temporarily Unavailable", q850(20), "unreachable", "关机"),
        ("480 Temporarily Unavailable", q850(18), "no_answer", "无应答"),
        ("486 Busy Here", q850(17), "busy", "忙"),
        ("486 Busy Here", none(), "busy", "忙"),
        ("603 Decline", q850(21), "rejected", "拒接"),
        ("503 Service Unavailable", q850(34), "congestion", "网络拥塞"),
        ("302 Moved Temporarily", forward, "refused", "其他"),
    ];
    for ((status, reason, tag, word), n) in cases.into_iter().zip(13_800_138_100_u64..) {
        let edits = [("486 Busy Here", status), ("Reason: Q.850;cause=17", &*reason)];
        let scenario = Sipp::start_edited(&engine, "carrier-refuses", carrier, &[], &edits).await;
        let phone = dial(&engine, &agent, &n.to_string()).await;
        phone.until_ended(SOON).await.unwrap();
        scenario.succeeds().await;
        engine.until_state(&agent, "busy").await;
        let record = record_to(&engine, &n.to_string()).await;
        assert_eq!(
            of(&record, ["outcome", "reason", "cause_text"]),
            [&json!("not_reached"), &json!(tag), &json!(word)],
            "{status} {reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_as_an_ims_is_heard_before_its_answer_and_refreshes_after_it() {
    let (engine, agent, carrier) = engine().await;
    let mut ims = Sipp::start(&engine, "carrier-ims", carrier, &[]).await;
    let phone = dial(&engine, &agent, "13800138200").await;
    ims.reports("speaks").await;
    // 彩铃, before anybody answers.
    phone.until_tone(AGENT_HZ, SOON).await.unwrap();
    ims.goes_on().await;
    ims.reports("rings").await;
    let view = engine.get("/api/v1/agents/1001").await;
    assert_eq!(text(&view["state"]), "dialing");
    ims.goes_on().await;
    engine.until_state(&agent, "talking").await;
    phone.speak(Speech::tone(CALLER_HZ));
    phone.until_tone(AGENT_HZ, SOON).await.unwrap();
    ims.reports("refreshed").await;
    phone.until_tone(AGENT_HZ, SOON).await.unwrap();
    ims.goes_on().await;
    phone.until_ended(SOON).await.unwrap();
    ims.succeeds().await;
    let record = record_to(&engine, "13800138200").await;
    assert_eq!(
        of(&record, ["outcome", "released_by", "cause"]),
        [&json!("reached"), &json!("called"), &json!(16)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_as_two_telephones_of_one_number_talks_from_the_one_that_answers() {
    let (engine, agent, carrier) = engine().await;
    let mut forks = Sipp::start(&engine, "carrier-forks", carrier, &[]).await;
    let phone = dial(&engine, &agent, "13800138201").await;
    forks.reports("rings").await;
    forks.goes_on().await;
    engine.until_state(&agent, "talking").await;
    forks.reports("answered").await;
    phone.until_tone(AGENT_HZ, SOON).await.unwrap();
    forks.goes_on().await;
    phone.until_ended(SOON).await.unwrap();
    forks.succeeds().await;
    let record = record_to(&engine, "13800138201").await;
    assert_eq!(
        of(&record, ["outcome", "released_by", "reason"]),
        [&json!("reached"), &json!("called"), &json!("called_hung_up")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_that_answers_what_we_cancelled_is_hung_up() {
    let (engine, agent, carrier) = engine().await;
    let mut late = Sipp::start(&engine, "carrier-answers-late", carrier, &[]).await;
    let phone = dial(&engine, &agent, "13800138202").await;
    late.reports("rings").await;
    phone.hang_up();
    late.succeeds().await;
    engine.until_state(&agent, "busy").await;
    let record = record_to(&engine, "13800138202").await;
    assert_eq!(
        of(&record, ["outcome", "released_by", "t_ans"]),
        [&json!("not_reached"), &json!("agent"), &json!(null)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sipp_that_announces_why_is_heard_or_our_ring_back_as_configured() {
    for (trunk_keys, number) in [("", "13800138203"), ("early_media = false\n", "13800138204")] {
        let (engine, agent, carrier) = engine_with(trunk_keys).await;
        let mut says = Sipp::start(&engine, "carrier-announces", carrier, &[]).await;
        let phone = dial(&engine, &agent, number).await;
        says.reports("announces").await;
        if trunk_keys.is_empty() {
            phone.until_tone(AGENT_HZ, SOON).await.unwrap();
        } else {
            let ring_back = engine.setup.prompts.sound("tone.ringback");
            phone.until_sound("ring-back", &ring_back, SOON).await.unwrap();
            assert!(phone.heard().since(0).tone_anywhere(AGENT_HZ) < 0.5);
        }
        says.goes_on().await;
        phone.until_ended(SOON).await.unwrap();
        says.succeeds().await;
        let record = record_to(&engine, number).await;
        assert_eq!(
            of(&record, ["outcome", "cause", "cause_text"]),
            [&json!("not_reached"), &json!(20), &json!("关机")]
        );
    }
}
