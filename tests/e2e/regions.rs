//! Where a caller's number is from decides what he is asked.

use std::io::Write as _;

use hotline_testkit::Robot;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::{
    engine::{Engine, SOON},
    outbound::dial,
    setup::{CARRIER, Setup},
};

/// The number of the whole region instead of one city's.
const REGION: (&str, &str, &str) = (
    "numbers/nanning.numbers.yaml",
    "flow: gx12345.main, note: 政务服务便民热线",
    "flow: gx12345.main, params: {city: \"450000\"}, note: 政务服务便民热线",
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mobile_caller_is_asked_whether_he_is_from_the_city_of_his_number_and_others_for_theirs() {
    let mut table = NamedTempFile::new().unwrap();
    table.write_all(b"1340770,450100\n1340780,450200\n").unwrap();
    let sip_more = format!("[callers]\nmobile_regions = \"{}\"\n", table.path().display());
    let flow_edits = vec![REGION];
    let engine = Engine::start(Setup { flow_edits, sip_more, ..Setup::default() }).await;
    for (number, prompt) in [
        ("13407800001", "city.450200"),
        ("13407700001", "city.450100"),
        ("13800138000", "ask.area_code"),
    ] {
        let caller = engine.caller_from(number).await;
        caller.ask_for_person(&engine).await;
        caller.hears(&engine, prompt).await;
        caller.hang_up();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_leaves_by_the_way_of_the_callers_city_else_by_the_cheapest_that_is_open() {
    let mut table = NamedTempFile::new().unwrap();
    table.write_all(b"1340780,450200\n").unwrap();
    let sip_more = format!("[callers]\nmobile_regions = \"{}\"\n", table.path().display());
    let [dear, cheap, liuzhou, closed] = [
        Robot::bind(CARRIER).await.unwrap(),
        Robot::bind(CARRIER).await.unwrap(),
        Robot::bind(CARRIER).await.unwrap(),
        Robot::bind(CARRIER).await.unwrap(),
    ];
    let trunk = |id: &str, source: u8, gateway: &Robot| {
        format!(
            "[[trunk]]\nid = \"{id}\"\nsources = [\"127.0.1.{source}\"]\n\
             numbers = [\"077212345\"]\noptions_probes = false\n\
             [[trunk.gateway]]\naddress = \"{}\"\n",
            gateway.address()
        )
    };
    let trunk_more = [
        trunk("cheap", 1, &cheap),
        trunk("liuzhou", 2, &liuzhou),
        trunk("closed", 3, &closed),
        "[[route]]\nto = [\"carrier\"]\ncost = 5\n\
         [[route]]\nto = [\"cheap\"]\ncost = 1\n\
         [[route]]\nto = [\"liuzhou\"]\ncost = 9\ncities = [\"450200\"]\n\
         [[route]]\nto = [\"closed\"]\nhours = [\"08:00-08:00\"]\n"
            .to_owned(),
    ];
    let (gateways, options_probes) = (vec![dear.address()], false);
    let trunk_more = trunk_more.concat();
    let setup = Setup { sip_more, gateways, trunk_more, options_probes, ..Setup::default() };
    let engine = Engine::start(setup).await;

    // An agent of the whole region calls: the cheapest takes it.
    let agent = engine.busy_agent(1).await;
    let phone = dial(&engine, &agent, "13800138031").await;
    cheap.incoming(SOON).await.unwrap().reject(486);
    phone.until_ended(SOON).await.unwrap();
    engine.until_state(&agent, "busy").await;

    // He gives a caller of Liuzhou away: that city's own way, though it is the dearest.
    let caller = engine.caller_from("13407800001").await;
    caller.ask_for_person(&engine).await;
    engine.ready(&agent).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    engine.until_state(&agent, "talking").await;
    engine.command(&agent.no, "transfer", json!({"number": "13800138032"})).await;
    let party = liuzhou.incoming(SOON).await.unwrap();
    assert_eq!(party.invited().unwrap().request_user, "13800138032");
    party.answer();
    party.until_answered(SOON).await.unwrap();
    // A transfer is an INVITE to a gateway like any other.
    engine.until_figure("hotline_calls_out_total{trunk=\"liuzhou\"}", "1").await;
    caller.hang_up();
    party.until_ended(SOON).await.unwrap();
}
