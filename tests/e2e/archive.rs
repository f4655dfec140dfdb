//! A recording's copy for the archive, made of the sealed file while the engine runs.

use std::{fs, time::Duration};

use hotline_testkit::{Heard, RATE};
use tokio::time::{Instant, interval};

use crate::{
    engine::{Engine, SOON, text},
    setup::Setup,
};

/// Where an Ogg page counts samples (RFC 3533 §6), and how long its fixed part is.
const GRANULE: usize = 6;
const HEAD: usize = 27;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_recording_gets_its_opus_copy_and_stays_what_it_is() {
    let recording_more = "archive = \"opus\"\n";
    let engine = Engine::start(Setup { recording_more, ..Setup::default() }).await;
    let (caller, _agent, phone) = engine.talk().await;
    let mark = phone.mark();
    let more = move |it: &Heard| (it.mark() > mark + 2 * RATE as usize).then_some(());
    phone.until_heard("two seconds of talk", SOON, more).await.unwrap();
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let record = engine.sealed_record_of(&caller.number).await;
    let recording = &record["recordings"][0];
    let (wav, length) = (engine.recordings().remove(0), recording["duration_ms"].as_u64().unwrap());
    let copy = wav.with_extension("opus");
    let end = Instant::now() + SOON;
    let mut tick = interval(Duration::from_millis(20));
    while !copy.exists() {
        assert!(Instant::now() < end, "there is no copy");
        tick.tick().await;
    }
    let bytes = fs::read(&copy).unwrap();
    assert!(bytes.starts_with(b"OggS") && bytes[HEAD + 1..].starts_with(b"OpusHead\x01\x02"));
    assert!(bytes.len() * 2 < fs::read(&wav).unwrap().len(), "{} bytes", bytes.len());
    // The last page counts as much sound as there is, at 48 kHz, and what is skipped before it.
    let last = bytes.windows(4).rposition(|it| it == b"OggS").unwrap() + GRANULE;
    let granule = u64::from_le_bytes(bytes[last..last + 8].try_into().unwrap());
    let skip = u64::from(u16::from_le_bytes(bytes[HEAD + 11..HEAD + 13].try_into().unwrap()));
    assert_eq!((granule - skip) / 48, length, "ms");
    // What is served, and what its hash is of, is the recording.
    let sides = engine.recording(&text(&recording["recording_id"])).await;
    assert!(sides[0].tone_anywhere(700) > 0.9 && sides[1].tone_anywhere(440) > 0.9);
}
