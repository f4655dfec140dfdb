//! The torture messages of RFC 4475 and RFC 5118 at the real engine; what each must get is held by
//! `crates/hotline-sip/tests/torture.rs`.

use std::{fs, path::Path, time::Duration};

use hotline_testkit::raw::{RawTcp, RawUdp, request};
use tokio::time::Instant;

use crate::{
    engine::{Engine, SOON},
    setup::CARRIER,
};

/// Within this an OPTIONS is answered after each message. The best of three counts, because the
/// machine under the tests may pause; a message that hurts the engine hurts it each time.
const LIVELY: Duration = Duration::from_millis(500);
const TRIES: usize = 3;

fn messages() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/hotline-sip/tests/torture");
    let files = ["rfc4475", "rfc5118"].iter().flat_map(|it| fs::read_dir(folder.join(it)).unwrap());
    files.map(|it| fs::read(it.unwrap().path()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tortured_engine_answers_within_500_ms_after_each_message_and_stays_the_same_process() {
    let engine = Engine::quick().await;
    let before = engine.roles();
    let messages = messages();
    assert_eq!(messages.len(), 61);
    let raw = RawUdp::bind(CARRIER).await.unwrap();
    let mut slow = Vec::new();
    for (n, bytes) in messages.iter().enumerate() {
        for by_stream in [false, true] {
            let mut best = Duration::MAX;
            for again in 0..TRIES {
                let id = format!("well-{n}-{by_stream}-{again}-");
                let took = if by_stream {
                    after_stream(&engine, bytes, &id).await
                } else {
                    after_datagram(&engine, &raw, bytes, &id).await
                };
                best = best.min(took);
                if best <= LIVELY {
                    break;
                }
            }
            if best > LIVELY {
                slow.push((n, by_stream, best));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
    assert_eq!(engine.roles(), before);
    engine.caller().await.hears(&engine, "notice.recording").await;
}

/// How long an OPTIONS takes right after the message.
async fn after_datagram(engine: &Engine, raw: &RawUdp, bytes: &[u8], id: &str) -> Duration {
    let well = request("OPTIONS", engine.udp(), raw.address(), "UDP").replace("raw-", id);
    raw.send(engine.udp(), bytes).await.unwrap();
    let begin = Instant::now();
    raw.send(engine.udp(), well.as_bytes()).await.unwrap();
    loop {
        let answer = raw.receive(SOON).await.expect("no answer to OPTIONS");
        if answer.starts_with(b"SIP/2.0 200") && contains(&answer, id.as_bytes()) {
            return begin.elapsed();
        }
    }
}

/// The same by TCP: the message torn into pieces, and the OPTIONS by another connection, because
/// the first may rightly be closed.
async fn after_stream(engine: &Engine, bytes: &[u8], id: &str) -> Duration {
    let mut torn = RawTcp::connect(engine.tcp()).await.unwrap();
    let mut other = RawTcp::connect(engine.tcp()).await.unwrap();
    for piece in bytes.chunks(100) {
        // The engine may close before all is sent.
        torn.send(piece).await.ok();
    }
    let well = request("OPTIONS", engine.tcp(), other.address().unwrap(), "TCP");
    let begin = Instant::now();
    other.send(well.replace("raw-", id).as_bytes()).await.unwrap();
    let answer = other.receive(SOON).await.expect("no answer to OPTIONS");
    assert!(answer.starts_with(b"SIP/2.0 200") && contains(&answer, id.as_bytes()));
    begin.elapsed()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}
