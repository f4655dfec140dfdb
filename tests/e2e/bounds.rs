//! Every bound of the configuration's section `[sip]` holds in the program, and is counted.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use hotline_testkit::raw::{RawUdp, request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    engine::{Engine, SOON},
    setup::{CARRIER, Setup},
};

/// Nobody of this machine is a friend, and connections last, unless a test says otherwise.
async fn engine(keys: &str, flood: &str) -> Engine {
    let sip_more = format!("{keys}[sip.flood]\nfriends = []\n{flood}");
    Engine::start(Setup { sip_more, ..Setup::default() }).await
}

const fn stranger(end: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 9, end))
}

async fn connect(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// The peer closes the connection.
async fn is_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end, too.
    drop(timeout(SOON, stream.read_to_end(&mut rest)).await.expect("it stays open"));
}

async fn until_edge_counted(engine: &Engine, what: &str) {
    engine.until_counted(&format!("hotline_sip_edge_total{{what=\"{what}\"}}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_longer_than_configured_is_refused_and_counted() {
    let keys = "message_bytes_max = 4096\nheaders_max = 32\nline_bytes_max = 256\n";
    let engine = engine(keys, "").await;
    let raw = RawUdp::bind(CARRIER).await.unwrap();
    let good = request("OPTIONS", engine.udp(), raw.address(), "UDP");
    let with = |more: &str| good.replace("Max-Forwards", &format!("{more}Max-Forwards"));
    let body = |n: usize| {
        let length = format!("Content-Length: {n}\r\n\r\n{}", "x".repeat(n));
        good.replace("Content-Length: 0\r\n\r\n", &length)
    };
    let room = 4_096 - body(1_000).len() + 1_000;
    // The longest line, the most headers, the largest message, and of each one more.
    let cases = [
        (with(&format!("X: {}\r\n", "y".repeat(253))), None),
        (with(&format!("X: {}\r\n", "y".repeat(254))), Some((400, "line_too_long"))),
        (with(&"X: y\r\n".repeat(32 - 8)), None),
        (with(&"X: y\r\n".repeat(33 - 8)), Some((400, "too_many_headers"))),
        (body(room), None),
        (body(room + 1), Some((513, "too_large"))),
    ];
    for (n, (text, refused)) in cases.into_iter().enumerate() {
        let text = text.replace("raw-", &format!("r{n:02}-"));
        let status = raw.ask(engine.udp(), text.as_bytes(), SOON).await;
        assert_eq!(status, Some(refused.map_or(200, |it| it.0)), "{n}");
        if let Some((_, why)) = refused {
            engine.until_counted(&format!("hotline_peer_misbehaved_total{{why=\"{why}\"}}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_what_is_configured_are_refused_and_counted() {
    let keys = "connections_max = 8\nconnections_per_address_max = 3\nfirst_request_secs = 60\n";
    let engine = engine(keys, "handshakes_per_sec_max = 1000\n").await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(connect(stranger(1), engine.tcp()).await);
    }
    is_closed(connect(stranger(1), engine.tcp()).await).await;
    until_edge_counted(&engine, "refused_over_address_limit").await;
    // Strangers have three quarters of eight.
    for _ in 0..3 {
        open.push(connect(stranger(2), engine.tcp()).await);
    }
    is_closed(connect(stranger(3), engine.tcp()).await).await;
    until_edge_counted(&engine, "refused_over_limit").await;
    for what in ["refused_over_address_limit", "refused_over_limit"] {
        engine.until_figure(&format!("hotline_sip_edge_total{{what=\"{what}\"}}"), "1").await;
    }
    // The rest is for who is known.
    let mut trunk = connect(CARRIER, engine.tcp()).await;
    trunk.write_all(b"\r\n\r\n").await.unwrap();
    timeout(SOON, trunk.read_exact(&mut [0; 2])).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_request_and_silence_have_the_time_that_is_configured_and_are_counted() {
    let engine = engine("first_request_secs = 1\nstranger_idle_secs = 2\n", "").await;
    let silent = connect(stranger(1), engine.tcp()).await;
    let mut idle = connect(stranger(2), engine.tcp()).await;
    let text = request("OPTIONS", engine.tcp(), idle.local_addr().unwrap(), "TCP");
    idle.write_all(text.as_bytes()).await.unwrap();
    let mut answer = [0; 11];
    timeout(SOON, idle.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"SIP/2.0 200");
    is_closed(silent).await;
    is_closed(idle).await;
    until_edge_counted(&engine, "first_message_late").await;
    until_edge_counted(&engine, "idle_closed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_banned_after_as_many_messages_and_for_as_long_as_configured() {
    let flood = "requests_max = 3\nwindow_secs = 60\nban_secs = 2\n";
    let engine = engine("", flood).await;
    let raw = RawUdp::bind(stranger(1)).await.unwrap();
    let ask = async |n: usize, patience: Duration| {
        let text = request("OPTIONS", engine.udp(), raw.address(), "UDP");
        let text = text.replace("raw-", &format!("r{n:02}-"));
        raw.ask(engine.udp(), text.as_bytes(), patience).await
    };
    for n in 0..3 {
        assert_eq!(ask(n, SOON).await, Some(200), "{n}");
    }
    // The fourth is not heard, and what comes after it neither, until the ban is over.
    raw.send(engine.udp(), b"OPTIONS").await.unwrap();
    until_edge_counted(&engine, "banned").await;
    let mut n_asked = 4;
    while ask(n_asked, Duration::from_millis(200)).await.is_none() {
        n_asked += 1;
        assert!(n_asked < 60, "the ban does not end");
    }
    assert!(n_asked > 4, "banned and heard");
    until_edge_counted(&engine, "banned_dropped").await;
}
