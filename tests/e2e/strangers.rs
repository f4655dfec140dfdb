//! Those whom nobody knows, and bytes that nobody should send.

use std::time::Duration;

use hotline_sip::EndWhy;
use hotline_testkit::{
    Outgoing, Robot, Speech,
    raw::{RawTcp, RawUdp, request},
};
use serde_json::{Value, json};

use crate::{
    engine::{Engine, SOON, text},
    setup::{CARRIER, ELSEWHERE, OFFICE, Setup},
};

/// The status with which a call ends.
async fn refusal(engine: &Engine, to: &str, sdp: Option<&str>) -> u16 {
    let (to, from_user) = (to.to_owned(), "13800138000".to_owned());
    let sdp = sdp.map(str::to_owned);
    let caller = engine.dial(Outgoing { to, from_user, sdp, ..Outgoing::default() }).await;
    let why = caller.until_ended(SOON).await.unwrap();
    let EndWhy::Refused { status, .. } = why else { panic!("{why:?}") };
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_from_an_unknown_source_is_refused() {
    let engine = Engine::quick().await;
    let robot = Robot::bind(ELSEWHERE).await.unwrap();
    let call = robot.call(engine.udp(), "12345", "13800138000").await.unwrap();
    let why = call.until_ended(SOON).await.unwrap();
    assert!(matches!(why, EndWhy::Refused { status: 403, .. }), "{why:?}");
    engine.until_counted("hotline_events_total{what=\"stranger\"}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_to_an_unknown_number_is_refused_with_404() {
    let engine = Engine::quick().await;
    assert_eq!(refusal(&engine, "99999", None).await, 404);
    engine.until_counted("hotline_calls_refused_total{why=\"unknown_number\"}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_over_the_trunks_limit_is_refused_with_503() {
    let engine = Engine::start(Setup { channels_max: 1, ..Setup::default() }).await;
    let first = engine.caller().await;
    first.until_answered(SOON).await.unwrap();
    assert_eq!(refusal(&engine, "12345", None).await, 503);
    engine.until_counted("hotline_calls_refused_total{why=\"over_limit\"}").await;
    // He can be called back.
    let record = engine.record_of("13800138000").await;
    assert_eq!(
        (&record["called_no"], &record["refused_status"]),
        (&json!("077112345"), &json!(503))
    );
    first.hang_up();
    first.until_ended(SOON).await.unwrap();
    engine.record_of(&first.number).await;
    engine.caller().await.until_answered(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_without_usable_audio_are_refused_with_488() {
    let engine = Engine::quick().await;
    let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n";
    // Protection is asked for, and no key is there, or one that would protect nothing.
    let key = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let open = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {key} UNENCRYPTED_SRTP");
    for line in [
        "m=audio 4000 RTP/AVP 18\r\n",
        "m=video 4000 RTP/AVP 31\r\n",
        "m=audio 4000 RTP/SAVP 8\r\n",
        &format!("m=audio 4000 RTP/SAVP 8\r\n{open}\r\n"),
        "m=audio 4000 UDP/TLS/RTP/SAVPF 8\r\n",
    ] {
        assert_eq!(refusal(&engine, "12345", Some(&format!("{head}{line}"))).await, 488);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephone_with_a_wrong_password_is_not_registered() {
    let engine = Engine::quick().await;
    let robot = Robot::bind(OFFICE).await.unwrap();
    assert!(robot.register(engine.udp(), "8001", "wrong").await.is_err());
    assert!(robot.register(engine.udp(), "9999", "wrong").await.is_err());
    engine.until_counted("hotline_events_total{what=\"auth_failed\"}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_are_answered_400_where_they_can_be() {
    let engine = Engine::quick().await;
    let raw = RawUdp::bind(CARRIER).await.unwrap();
    let good = request("OPTIONS", engine.udp(), raw.address(), "UDP");
    let bad = good.replace("Content-Length: 0", "Content-Length: 999");
    assert_eq!(raw.ask(engine.udp(), bad.as_bytes(), SOON).await, Some(400));
    let bad = good.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE");
    assert_eq!(raw.ask(engine.udp(), bad.as_bytes(), SOON).await, Some(400));
    for junk in
        [&b"\0\0\0\0"[..], b"\r\n\r\n", b"INVITE", b"SIP/2.0 200 OK\r\n\r\n", &vec![0xFF; 60_000]]
    {
        raw.send(engine.udp(), junk).await.unwrap();
    }
    let fine = good.replace("raw-", "fine-");
    assert_eq!(raw.ask(engine.udp(), fine.as_bytes(), SOON).await, Some(200));
    engine.caller().await.hears(&engine, "notice.recording").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torn_frames_are_put_together_and_endless_ones_end_the_connection() {
    // Of a stranger: without this, all of this machine is among friends.
    let sip_more = "[sip.flood]\nfriends = []\n".to_owned();
    let engine = Engine::start(Setup { sip_more, ..Setup::default() }).await;
    let mut torn = RawTcp::connect(engine.tcp()).await.unwrap();
    let text = request("OPTIONS", engine.tcp(), torn.address().unwrap(), "TCP");
    for piece in text.as_bytes().chunks(50) {
        torn.send(piece).await.unwrap();
    }
    let answer = torn.receive(SOON).await.unwrap();
    assert_eq!(hotline_testkit::raw::status_of(&answer), Some(200));
    let mut endless = RawTcp::connect(engine.tcp()).await.unwrap();
    let line = [b'x'; 8_192];
    for _ in 0..10 {
        // The connection may be closed before all is sent.
        endless.send(&line).await.ok();
    }
    assert!(endless.is_closed_within(SOON).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_and_agent_hear_nothing_of_a_stranger() {
    let engine = Engine::quick().await;
    let (caller, _agent, phone) = engine.talk().await;
    let port = caller.view().stream.unwrap().address;
    let stranger = RawUdp::bind(ELSEWHERE).await.unwrap();
    phone.speak(Speech::Silence);
    caller.speak(Speech::Silence);
    phone.until_silence(SOON).await.unwrap();
    let mark = phone.mark();
    for index in 0..50_u16 {
        let packet =
            hotline_testkit::packet(false, 8, index, u32::from(index) * 160, 7, &[0x80; 160]);
        stranger.send(port, &packet).await.unwrap();
    }
    let second = Duration::from_secs(1).as_millis() as usize * 8;
    let later = |it: &hotline_testkit::Heard| (it.mark() > mark + second).then(|| it.since(mark));
    let heard = phone.until_heard("a second more", SOON, later).await.unwrap();
    assert!(heard.level() < 40.0, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_who_names_nobody_is_anonymous_and_served_and_recorded_all_the_same() {
    let engine = Engine::quick().await;
    let agent = engine.agent(1).await;
    let (to, from_user) = ("12345".to_owned(), "anonymous".to_owned());
    let headers = vec![("Privacy".to_owned(), "id".to_owned())];
    let caller = engine.dial(Outgoing { to, from_user, headers, ..Outgoing::default() }).await;
    caller.ask_for_person(&engine).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    caller.speak(Speech::tone(700));
    phone.until_tone(700, SOON).await.unwrap();
    caller.hang_up();
    phone.until_ended(SOON).await.unwrap();
    let sealed = |it: &Value| {
        let item = it["items"].get(0)?;
        (item["recordings"][0]["sealed"] == true).then(|| item.clone())
    };
    let record = engine.until("/api/v1/calls", SOON, sealed).await;
    assert_eq!((&record["caller_no"], &record["restricted"]), (&json!(null), &json!(true)));
    let sides = engine.recording(&text(&record["recordings"][0]["recording_id"])).await;
    assert!(sides[0].tone_anywhere(700) > 0.9);
}
