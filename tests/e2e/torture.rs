//! The torture messages of RFC 4475 and RFC 5118 at the real engine; what each must get is held by
//! `crates/hotline-sip/tests/torture.rs`.

use std::{fs, path::Path, time::Duration};

use hotline_testkit::raw::{RawTcp, RawUdp, request};
use tokio::time::Instant;

use crate::{
    engine::{Engine, SOON},
    setup::CARRIER,
};

/// Within this an OPTIONS is answered after each message; the median counts, because the machine
/// under the tests may pause.
const LIVELY: Duration = Duration::from_millis(500);

fn messages() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/hotline-sip/tests/torture");
    let files = ["rfc4475", "rfc5118"].iter().flat_map(|it| fs::read_dir(folder.join(it)).unwrap());
    files.map(|it| fs::read(it.unwrap().path()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tortured_engine_stays_alive_and_lively() {
    let engine = Engine::quick().await;
    let before = engine.roles();
    let messages = messages();
    assert_eq!(messages.len(), 61);
    let raw = RawUdp::bind(CARRIER).await.unwrap();
    let mut took = Vec::new();
    for (n, bytes) in messages.iter().enumerate() {
        raw.send(engine.udp(), bytes).await.unwrap();
        let mut torn = RawTcp::connect(engine.tcp()).await.unwrap();
        for piece in bytes.chunks(100) {
            // The engine may close before all is sent.
            torn.send(piece).await.ok();
        }
        let id = format!("well-{n}-");
        let well = request("OPTIONS", engine.udp(), raw.address(), "UDP").replace("raw-", &id);
        let begin = Instant::now();
        raw.send(engine.udp(), well.as_bytes()).await.unwrap();
        loop {
            let answer = raw.receive(SOON).await.expect("no answer to OPTIONS");
            if answer.starts_with(b"SIP/2.0 200") && contains(&answer, id.as_bytes()) {
                break;
            }
        }
        took.push(begin.elapsed());
    }
    took.sort();
    let median = took[took.len() / 2];
    assert!(median <= LIVELY, "{took:?}");
    assert_eq!(engine.roles(), before);
    engine.caller().await.hears(&engine, "notice.recording").await;
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}
