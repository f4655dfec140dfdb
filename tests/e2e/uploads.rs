//! Prompts that are sent by HTTP while people call.

use std::{fs, time::Duration};

use hotline_testkit::Sound;

use crate::{
    engine::{Engine, SOON, text},
    http::{self, Response},
    setup::{OPERATOR_TOKEN, TOKEN},
};

const NEW_HZ: u32 = 1_000;

/// Three seconds of a tone.
fn studio() -> Vec<u8> {
    Sound::tone(NEW_HZ / 2, Duration::from_secs(6)).studio_wav()
}

async fn put(engine: &Engine, path: &str, token: &str, file: &[u8]) -> Response {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer), ("content-type", "audio/wav")];
    let path = format!("/api/v1/prompts/{path}");
    http::request(engine.http(), "PUT", &path, &headers, file).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_that_is_sent_is_heard_from_its_next_play_on_and_ends_none_that_plays() {
    let engine = Engine::quick().await;
    let _agent = engine.busy_agent(1).await;
    let waits = engine.caller().await;
    waits.ask_for_person(&engine).await;
    waits.hears(&engine, "moh.default").await;
    let file = engine.data("../prompts/zh-CN/moh.default.wav");
    let old = fs::read(&file).unwrap();
    // To check changes nothing.
    let checked = put(&engine, "moh.default?check=true", TOKEN, &studio()).await;
    assert_eq!((checked.status, &checked.json()["stored"]), (200, &false.into()));
    assert_eq!(fs::read(&file).unwrap(), old);
    let stored = put(&engine, "moh.default", TOKEN, &studio()).await;
    let told = stored.json();
    assert_eq!((stored.status, &told["stored"]), (200, &true.into()), "{told}");
    assert_eq!((&told["length_ms"], &told["rate"]), (&3_000.into(), &16_000.into()));
    assert_eq!((text(&told["coding"]), &told["clipped"]), ("PCM 16 bit".to_owned(), &0.into()));
    let loudness = told["loudness_dbfs"].as_f64().unwrap();
    assert!((-40.0..0.0).contains(&loudness), "{told}");
    // Whoever hears the old one goes on with it.
    let mark = waits.mark();
    waits.hears_since(&engine, mark, "moh.default").await;
    let next = engine.caller().await;
    next.ask_for_person(&engine).await;
    next.until_tone(NEW_HZ, 3 * SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_and_no_prompt_is_refused_in_two_languages_and_changes_nothing() {
    let engine = Engine::quick().await;
    let folder = engine.data("../prompts/zh-CN");
    let all = || {
        let files = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path());
        let mut files: Vec<_> = files.map(|it| (fs::read(&it).unwrap(), it)).collect();
        files.sort();
        files
    };
    let before = all();
    let mut cut = studio();
    cut.truncate(cut.len() / 2);
    let song = b"ID3\x04 a song".to_vec();
    for (path, token, file, status, code) in [
        ("greet.common", TOKEN, &song, 400, "not_a_prompt"),
        ("greet.common", TOKEN, &cut, 400, "not_a_prompt"),
        ("greet.common", TOKEN, &Vec::new(), 400, "not_a_prompt"),
        ("..%2F..%2Fhotline", TOKEN, &song, 400, "bad_request"),
        ("greet.common", OPERATOR_TOKEN, &song, 403, "forbidden"),
        ("greet.common", "nobody", &song, 401, "unauthorized"),
    ] {
        let reply = put(&engine, path, token, file).await;
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, text(&error["code"])), (status, code.to_owned()), "{path}");
        let is_chinese = text(&error["message_zh"]).chars().any(|it| it > '\u{2E80}');
        assert!(is_chinese && text(&error["message"]).is_ascii(), "{error}");
    }
    assert!(all() == before, "a file has changed");
}
