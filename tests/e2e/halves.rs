//! V22: as many strangers as may connect, each with a message that never ends. What all of that takes
//! is measured at the real program.

use std::{fs, net::Ipv4Addr, time::Duration};

use hotline_testkit::raw::{RawUdp, request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, interval, timeout},
};

use crate::{
    engine::{Engine, Role, SOON},
    setup::{CARRIER, ENGINE, Setup},
    transports::{counted, listener},
};

/// Strangers have three quarters of 4,096 connections.
const STRANGERS: usize = 3_072;

/// One address may have so many.
const PER_ADDRESS: usize = 100;

/// The bound for connections and what is half done on them.
const MEMORY_MAX: u64 = 256 << 20;

/// Nearly the largest message there may be, and a little less of it than it says.
const CLAIMED: usize = 60_000;
const SENT: usize = 59_000;

/// How long the strangers have to fill their connections.
const FILLING: Duration = Duration::from_secs(50);

/// Memory of control's own, in bytes.
fn memory(engine: &Engine) -> u64 {
    let pid = engine.role(Role::Control).unwrap();
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|it| it.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1_024
}

/// Connects from the address that the n-th stranger has.
async fn connect(n: usize, to: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let last = u8::try_from(n / PER_ADDRESS + 1).unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 11, last), 0).into()).unwrap();
    timeout(SOON, socket.connect(to)).await.unwrap().unwrap()
}

/// Half a message over TCP.
async fn half(n: usize, engine: &Engine) -> TcpStream {
    let mut stream = connect(n, engine.tcp()).await;
    let text = request("OPTIONS", engine.tcp(), stream.local_addr().unwrap(), "TCP");
    let head = text.replace("Content-Length: 0", &format!("Content-Length: {CLAIMED}"));
    // It may be closed before all is sent: there is no room for all.
    drop(stream.write_all(&[head.as_bytes(), &vec![b'x'; SENT]].concat()).await);
    stream
}

/// Half a frame of a WebSocket (RFC 6455 §5.2).
async fn half_frame(n: usize, engine: &Engine) -> TcpStream {
    let to = listener(engine, "sip_ws");
    let mut stream = connect(n, to).await;
    let opening = format!(
        "GET / HTTP/1.1\r\nHost: {to}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: sip\r\n\r\n"
    );
    stream.write_all(opening.as_bytes()).await.unwrap();
    let mut answer = [0; 1_024];
    let n = timeout(SOON, stream.read(&mut answer)).await.unwrap().unwrap();
    assert!(answer[..n].starts_with(b"HTTP/1.1 101 "), "{:?}", &answer[..n]);
    let [high, low] = u16::try_from(CLAIMED).unwrap().to_be_bytes();
    let head = [0x81, 0x80 | 0x7E, high, low, 0, 0, 0, 0];
    drop(stream.write_all(&[&head[..], &vec![b'x'; SENT]].concat()).await);
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v22_all_connections_with_half_a_message_each_take_no_more_than_256_mebibytes() {
    // Without the last, all of this machine is among friends.
    let sip_more = format!(
        "first_request_secs = 60\nlisten_ws = [\"{ENGINE}:0\"]\n[sip.flood]\nfriends = []\n"
    );
    let engine = Engine::start(Setup { sip_more, ..Setup::default() }).await;
    let before = memory(&engine);
    let (mut strangers, mut most) = (Vec::new(), 0);
    for n in 0..STRANGERS {
        // Every third one is a browser.
        strangers.push(if n % 3 == 2 {
            half_frame(n, &engine).await
        } else {
            half(n, &engine).await
        });
        if n % 64 == 0 {
            most = most.max(memory(&engine));
        }
    }
    let end = Instant::now() + FILLING;
    let mut tick = interval(Duration::from_millis(200));
    // Until all are let in and what they sent is taken, or refused.
    let mut last = 0;
    loop {
        tick.tick().await;
        let now = memory(&engine);
        most = most.max(now);
        let all_in = counted(&engine, "accepted").await == STRANGERS as u64;
        if all_in && now.abs_diff(last) < 1 << 20 || Instant::now() > end {
            break;
        }
        last = now;
    }
    let grown = most - before;
    let (accepted, full) =
        (counted(&engine, "accepted").await, counted(&engine, "buffers_full").await);
    let told = format!("{} MiB more for {accepted}, {full} of them closed", grown >> 20);
    assert_eq!(accepted, STRANGERS as u64, "not all were let in: {told}");
    // It was as bad as it gets.
    let held = (accepted - full) * SENT as u64;
    assert!(held > 128 << 20, "only {held} bytes were held: {told}");
    assert!(grown <= MEMORY_MAX, "{told}");
    // Somebody known is served all the while.
    let known = RawUdp::bind(CARRIER).await.unwrap();
    let options = request("OPTIONS", engine.udp(), known.address(), "UDP");
    assert_eq!(known.ask(engine.udp(), options.as_bytes(), SOON).await, Some(200));
    let trunk = TcpSocket::new_v4().unwrap();
    trunk.bind((CARRIER, 0).into()).unwrap();
    let mut trunk = timeout(SOON, trunk.connect(engine.tcp())).await.unwrap().unwrap();
    let text = request("OPTIONS", engine.tcp(), trunk.local_addr().unwrap(), "TCP");
    trunk.write_all(text.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(SOON, trunk.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"SIP/2.0 200 ");
}
