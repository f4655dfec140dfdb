//! Kamailio as a carrier's border (SBC) between the engine and a network of robots.

use std::net::{SocketAddr, UdpSocket};

use hotline_testkit::{Robot, Speech};
use serde_json::json;
use tempfile::TempDir;

use super::{AGENT_HZ, CALLER_HZ, check_talk, peer::Peer};
use crate::{
    engine::{Engine, SOON},
    program::root,
    setup::{CARRIER, ELSEWHERE, Setup},
};

/// The border runs; its folder holds its sockets.
struct Border {
    peer: Peer,
    _folder: TempDir,
}

impl Border {
    async fn start(at: SocketAddr, engine: &Engine, network: SocketAddr) -> Self {
        let folder = tempfile::Builder::new().prefix("hotline-kamailio-").tempdir().unwrap();
        let file = root().join("tests/interop/kamailio.cfg");
        let define = |name: &str, value: String| format!("{name}=\"{value}\"");
        let mut peer = Peer::start(
            "/usr/sbin/kamailio",
            "kamailio",
            folder.path(),
            &[
                "-DD",
                "-E",
                "-f",
                file.to_str().unwrap(),
                "-Y",
                folder.path().to_str().unwrap(),
                "-l",
                &format!("udp:{at}"),
                "-m",
                "16",
                "-M",
                "4",
                "-A",
                &define("ENGINE_IP", engine.udp().ip().to_string()),
                "-A",
                &define("ENGINE", format!("sip:{}", engine.udp())),
                "-A",
                &define("NETWORK", format!("sip:{network}")),
            ],
        );
        peer.until_said("Listening on").await;
        Self { peer, _folder: folder }
    }

    async fn passed(&mut self, method: &str, from: &str) {
        self.peer.until_said(&format!("passed: {method} from {from}")).await;
    }
}

/// A port that is free now; nobody else asks for this address.
fn free() -> SocketAddr {
    UdpSocket::bind((CARRIER, 0)).unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_through_kamailio_are_talked_and_hung_up_from_either_side() {
    let network = Robot::bind(ELSEWHERE).await.unwrap();
    let at = free();
    let (gateways, options_probes) = (vec![at], false);
    let engine = Engine::start(Setup { gateways, options_probes, ..Setup::default() }).await;
    let mut border = Border::start(at, &engine, network.address()).await;
    let agent = engine.agent(1).await;
    let (us, them) = (engine.udp().ip().to_string(), ELSEWHERE.to_string());

    for caller_hangs_up in [true, false] {
        let number = if caller_hangs_up { "13700000041" } else { "13700000042" };
        let caller = network.call(at, "12345", number).await.unwrap();
        caller.until_answered(SOON).await.unwrap();
        let menu = engine.setup.prompts.sound("menu.top.long");
        caller.until_sound("menu", &menu.head(SHORT), SOON).await.unwrap();
        caller.press("0");
        let phone = agent.robot.incoming(SOON).await.unwrap();
        phone.answer();
        caller.speak(Speech::tone(CALLER_HZ));
        phone.speak(Speech::tone(AGENT_HZ));
        caller.until_tone(AGENT_HZ, SOON).await.unwrap();
        phone.until_tone(CALLER_HZ, SOON).await.unwrap();
        if caller_hangs_up {
            caller.hang_up();
            phone.until_ended(SOON).await.unwrap();
            border.passed("BYE", &them).await;
        } else {
            phone.hang_up();
            caller.until_ended(SOON).await.unwrap();
            border.passed("BYE", &us).await;
        }
        check_talk(&engine, number, if caller_hangs_up { "caller" } else { "platform" }).await;
        engine.until_state(&agent, "idle").await;
    }

    engine.command(&agent.no, "dial", json!({"number": "13800138041"})).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    let party = network.incoming(SOON).await.unwrap();
    assert_eq!(party.invited().unwrap().request_user, "13800138041");
    party.answer();
    engine.until_state(&agent, "talking").await;
    party.speak(Speech::tone(CALLER_HZ));
    phone.until_tone(CALLER_HZ, SOON).await.unwrap();
    party.hang_up();
    phone.until_ended(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_gives_up_behind_kamailio_is_cancelled_through_it() {
    const LATE: &str = "open_line: {type: answer, delay: 10s, next: blocked}";
    const OPEN: &str = "open_line: {type: answer, next: blocked}";
    let edit = ("flows/gx12345.main.flow.yaml", OPEN, LATE);
    let network = Robot::bind(ELSEWHERE).await.unwrap();
    let at = free();
    let engine = Engine::start(Setup { flow_edits: vec![edit], ..Setup::default() }).await;
    let mut border = Border::start(at, &engine, network.address()).await;
    let caller = network.call(at, "12345", "13700000043").await.unwrap();
    caller.until_ringing(SOON).await.unwrap();
    caller.cancel();
    border.passed("CANCEL", &ELSEWHERE.to_string()).await;
    let record = engine.record_of("13700000043").await;
    assert_eq!((&record["released_by"], &record["t_ans"]), (&json!("caller"), &json!(null)));
}

/// Of the menu, which a key cuts off.
const SHORT: std::time::Duration = std::time::Duration::from_millis(400);
