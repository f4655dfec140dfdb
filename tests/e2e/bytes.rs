//! Bytes as old gateways, sloppy telephones and malicious callers really send them.

use hotline_sip::Message;
use hotline_testkit::raw::{RawUdp, request};

use crate::{
    engine::{Engine, SOON, text},
    http,
    setup::CARRIER,
    transports::memory,
};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 8\r\n";

/// What steers a terminal, turns the direction of writing, or is not seen.
const EVIL: &str = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{2066}\u{200b}\u{feff}";

fn replaced(bytes: &[u8], from: &str, to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|it| it == from.as_bytes()).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_old_and_sloppy_devices_are_understood_and_contradictions_are_told() {
    let engine = Engine::quick().await;
    let raw = RawUdp::bind(CARRIER).await.unwrap();
    let good = request("OPTIONS", engine.udp(), raw.address(), "UDP");
    let compact = [("Via:", "v:"), ("From:", "f:"), ("To:", "t:"), ("Call-ID:", "i:")];
    let compact = compact.iter().fold(good.clone(), |it, (long, short)| it.replace(long, short));
    let forms: [(&str, Vec<u8>); 10] = [
        ("as it should be", good.clone().into_bytes()),
        ("compact names", compact.into_bytes()),
        ("folded", good.replace("From: ", "From:\r\n \t").replace(";rport", ";\r\n rport").into()),
        ("line feeds only", good.replace('\r', "").into_bytes()),
        ("breaks before it", format!("\r\n\r\n\r\n{good}").into_bytes()),
        ("no length", good.replace("Content-Length: 0\r\n", "").into_bytes()),
        ("no Max-Forwards", good.replace("Max-Forwards: 70\r\n", "").into_bytes()),
        (
            "GBK name",
            replaced(good.as_bytes(), "<sip:138", b"\"\xD5\xC5\xC8\xFD\xD5\x5C\" <sip:138"),
        ),
        ("unknown headers", good.replace("Max", "X-A: \"<,;\r\nP-B:\r\nMax").into_bytes()),
        ("binary after it", [good.as_bytes(), b"\0\xFF\r\n\r\nBYE"].concat()),
    ];
    for (what, bytes) in forms {
        assert_eq!(raw.ask(engine.udp(), &bytes, SOON).await, Some(200), "{what}");
    }
    for twice in ["Content-Length: 0", "l: 1", "Content-Length: 2"] {
        let bytes = good.replace("Content-Length: 0", &format!("{twice}\r\nContent-Length: 0"));
        assert_eq!(raw.ask(engine.udp(), bytes.as_bytes(), SOON).await, Some(400), "{twice}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v17_no_byte_of_a_caller_steers_the_log_the_console_or_the_record() {
    let engine = Engine::quick().await;
    let raw = RawUdp::bind(CARRIER).await.unwrap();
    // GBK in the name, no Content-Length, and what hurts in every header that is kept.
    let invite = request("INVITE", engine.udp(), raw.address(), "UDP");
    let more = format!(
        "Diversion: <sip:0771{EVIL}@h>;reason=\"{EVIL}\"\r\nUser-to-User: 04{EVIL}\r\n\
         User-Agent: {EVIL}\r\nX-{EVIL}: {EVIL}\r\nContent-Type: application/sdp\r\n\r\n{SDP}"
    );
    let more = more.replace(&format!("X-{EVIL}"), "X-Odd");
    let name = [b"\"\xD5\xC5\xC8\xFD\x1B[2J\" <sip:138".as_slice()].concat();
    let bytes = replaced(invite.as_bytes(), "Content-Length: 0\r\n\r\n", more.as_bytes());
    let bytes = replaced(&bytes, "<sip:138", &name);
    raw.send(engine.udp(), &bytes).await.unwrap();
    let answer = loop {
        let it = raw.receive(SOON).await.expect("no answer");
        if it.starts_with(b"SIP/2.0 200") {
            break Message::parse(&it).unwrap();
        }
    };
    let to = String::from_utf8(answer.header("To").unwrap().to_vec()).unwrap();
    let from = String::from_utf8_lossy(answer.header("From").unwrap()).into_owned();
    for (method, n) in [("ACK", 1), ("BYE", 2)] {
        let it = request(method, engine.udp(), raw.address(), "UDP");
        let lines = it.lines().map(|line| match line.split(':').next() {
            Some("To") => format!("To: {to}"),
            Some("From") => "From: <sip:13800138000@h>;tag=raw".to_owned(),
            Some("CSeq") => format!("CSeq: {n} {method}"),
            Some(_) | None => line.to_owned(),
        });
        let it = lines.collect::<Vec<_>>().join("\r\n") + "\r\n";
        raw.send(engine.udp(), it.as_bytes()).await.unwrap();
    }
    assert_eq!(raw.final_status(SOON).await, Some(200), "{from}");
    let record = engine.record_of("13800138000").await;
    let path = format!("/api/v1/calls/{}/ladder?format=text", text(&record["call_id"]));
    let drawn = http::get(engine.http(), &path).await.unwrap().text();
    assert!(drawn.contains("INVITE"), "{drawn}");
    let record = record.to_string();
    for (what, shown) in [("log", engine.log()), ("ladder", drawn), ("record", record)] {
        let steers = |it: char| {
            (it.is_control() && it != '\n') || "\u{202e}\u{2066}\u{200b}\u{feff}".contains(it)
        };
        assert!(!shown.contains(steers), "{what}: {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_as_large_as_they_get_are_answered_or_dropped_and_take_no_memory() {
    let engine = Engine::quick().await;
    let raw = RawUdp::bind(CARRIER).await.unwrap();
    let good = request("INVITE", engine.udp(), raw.address(), "UDP");
    // The largest that UDP carries over IPv4, all body.
    let room = 65_507 - good.len() - 60;
    let head = good.replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Type: application/sdp\r\nContent-Length: {room}\r\n\r\n"),
    );
    let well = request("OPTIONS", engine.udp(), raw.address(), "UDP");
    let mut before = 0;
    for n in 0..200 {
        let head = head.replace("raw-", &format!("raw-{n}-"));
        let bytes = [head.as_bytes(), &vec![b'a'; room]].concat();
        raw.send(engine.udp(), &bytes).await.unwrap();
        // Cut off: a body shorter than its length.
        raw.send(engine.udp(), &bytes[..60_000]).await.unwrap();
        let well = well.replace("raw-", &format!("well-{n}-"));
        raw.send(engine.udp(), well.as_bytes()).await.unwrap();
        let own = format!("well-{n}-");
        loop {
            let answer = raw.receive(SOON).await.expect("an answer");
            let is_own = answer.windows(own.len()).any(|it| it == own.as_bytes());
            if is_own && answer.starts_with(b"SIP/2.0 200") {
                break;
            }
            // None of them became a call.
            assert!(!answer.starts_with(b"SIP/2.0 200") && !answer.starts_with(b"SIP/2.0 183"));
        }
        if n == 20 {
            before = memory(&engine);
        }
    }
    let grown = memory(&engine).saturating_sub(before);
    assert!(grown <= 16 << 20, "{grown} bytes more");
}
