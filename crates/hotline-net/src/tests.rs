//! Real sockets on loopback.

mod secure;
mod streams;

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
    time::Duration,
};

use hotline_sip::{Flow, Limits, PeerMisbehaved, Transport};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
    sync::mpsc,
    time::timeout,
};

use crate::{Config, Count, Counters, Flood, Gate, NetInput, Sockets, Threads, Transmit, run};

const OPTIONS: &[u8] = b"OPTIONS sip:12345@127.0.0.1 SIP/2.0\r\n\
Via: SIP/2.0/TCP 127.0.0.1:5080;branch=z9hG4bK1\r\n\
From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:12345@127.0.0.1>\r\nCall-ID: 1@a\r\n\
CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

struct Edge {
    udp: SocketAddr,
    tcp: SocketAddr,
    counters: Arc<Counters>,
    gate: Arc<Gate>,
    inputs: mpsc::Receiver<NetInput>,
    transmits: mpsc::Sender<Transmit>,
}

fn edge(config: Config) -> Edge {
    edge_at("127.0.0.1:0", Transport::Tcp, config)
}

/// `tcp` of what comes is where `transport` is spoken.
fn edge_at(local: &str, transport: Transport, config: Config) -> Edge {
    edge_with(local, transport, config, Handle::current())
}

fn edge_with(local: &str, transport: Transport, config: Config, handshakes: Handle) -> Edge {
    let udp = UdpSocket::bind(local).unwrap();
    let tcp = TcpListener::bind(local).unwrap();
    let (udp_at, tcp_at) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let counters = Arc::new(Counters::default());
    let (to_control, inputs) = mpsc::channel(4);
    let (transmits, from_control) = mpsc::channel(16);
    let sockets = Sockets { udp: vec![udp], streams: vec![(transport, tcp)] };
    let gate = Arc::new(Gate::new(config.flood.clone(), Arc::clone(&counters)));
    let shared = (Arc::clone(&counters), Arc::clone(&gate));
    let control = (to_control, from_control);
    let threads = Threads { datagrams: Handle::current(), handshakes };
    tokio::spawn(run(sockets, config, shared.0, shared.1, control, threads));
    Edge { udp: udp_at, tcp: tcp_at, counters, gate, inputs, transmits }
}

impl Edge {
    async fn next(&mut self) -> NetInput {
        timeout(Duration::from_secs(5), self.inputs.recv()).await.unwrap().unwrap()
    }

    async fn sip(&mut self) -> Flow {
        let input = self.next().await;
        let NetInput::Sip { flow, message, .. } = input else { panic!("{input:?}") };
        assert_eq!(message.method(), Some(&b"OPTIONS"[..]));
        flow
    }

    /// The next message, whichever connections end before.
    async fn sip_at_last(&mut self) -> Flow {
        loop {
            match self.next().await {
                NetInput::Sip { flow, .. } => return flow,
                NetInput::ConnectionGone { .. } => (),
                other @ (NetInput::Broken { .. } | NetInput::Unreachable { .. }) => {
                    panic!("{other:?}")
                }
            }
        }
    }

    /// So many keep-alives were read, of all connections.
    async fn until_kept_alive(&self, n: u64) {
        while self.counters.of(Count::KeepAlive) < n {
            tokio::task::yield_now().await;
        }
    }

    async fn gone(&mut self, of: Flow) {
        let input = self.next().await;
        let NetInput::ConnectionGone { conn } = input else { panic!("{input:?}") };
        assert_eq!(Some(conn), of.conn);
    }
}

async fn eof(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap();
    assert!(read.is_err() || rest.is_empty());
}

#[tokio::test]
async fn a_datagram_reaches_control_and_the_answer_reaches_the_phone() {
    let mut it = edge(Config::default());
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    phone.send_to(b"\r\n\r\n", it.udp).await.unwrap();
    phone.send_to(OPTIONS, it.udp).await.unwrap();
    let flow = it.sip().await;
    assert_eq!((flow.local, flow.remote), (it.udp, phone.local_addr().unwrap()));
    it.transmits.send(Transmit { flow, bytes: b"hello".as_slice().into() }).await.unwrap();
    let mut answer = [0; 16];
    let (n, from) = phone.recv_from(&mut answer).await.unwrap();
    assert_eq!((&answer[..n], from), (&b"hello"[..], it.udp));
    assert_eq!(it.counters.of(Count::KeepAlive), 1);
}

#[tokio::test]
async fn v10_a_registered_flow_is_told_its_address_by_stun_and_nobody_else_anything() {
    let mut it = edge(Config::default());
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = phone.local_addr().unwrap();
    let id = [7; 12];
    let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &id].concat();
    phone.send_to(&request, it.udp).await.unwrap();
    // What comes after it shows that it was seen.
    phone.send_to(OPTIONS, it.udp).await.unwrap();
    it.sip().await;
    assert_eq!((it.counters.of(Count::StunRefused), it.counters.of(Count::StunAnswered)), (1, 0));
    // Another telephone behind the same translator, and this one by another transport.
    let other = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    it.gate.know_phone((Transport::Udp, other.local_addr().unwrap()), true);
    it.gate.know_phone((Transport::Tcp, at), true);
    phone.send_to(&request, it.udp).await.unwrap();
    phone.send_to(OPTIONS, it.udp).await.unwrap();
    it.sip().await;
    assert_eq!((it.counters.of(Count::StunRefused), it.counters.of(Count::StunAnswered)), (2, 0));
    it.gate.know_phone((Transport::Udp, at), true);
    phone.send_to(&request, it.udp).await.unwrap();
    let mut answer = [0; 64];
    let told = timeout(Duration::from_secs(5), phone.recv_from(&mut answer));
    let (n, from) = told.await.unwrap().unwrap();
    assert_eq!((n, from), (32, it.udp));
    assert_eq!(&answer[8..20], &id);
    let port = u16::from_be_bytes([answer[26], answer[27]]) ^ 0x2112;
    assert_eq!(port, at.port());
    assert_eq!((it.counters.of(Count::StunAnswered), it.counters.of(Count::Malformed)), (1, 0));
    // Its registration is over.
    it.gate.know_phone((Transport::Udp, at), false);
    phone.send_to(&request, it.udp).await.unwrap();
    phone.send_to(OPTIONS, it.udp).await.unwrap();
    it.sip().await;
    assert_eq!((it.counters.of(Count::StunRefused), it.counters.of(Count::StunAnswered)), (3, 1));
}

#[tokio::test]
async fn v10_a_trunk_is_no_flow_and_gets_no_stun() {
    let mut config = Config::default();
    config.flood.trunks = vec!["127.0.0.1".parse().unwrap()];
    let mut it = edge(config);
    let trunk = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12]].concat();
    trunk.send_to(&request, it.udp).await.unwrap();
    trunk.send_to(OPTIONS, it.udp).await.unwrap();
    it.sip().await;
    assert_eq!((it.counters.of(Count::StunRefused), it.counters.of(Count::StunAnswered)), (1, 0));
}

#[tokio::test]
async fn garbage_is_counted_and_the_next_caller_is_heard() {
    let mut it = edge(Config::default());
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    phone.send_to(b"\xff\xfe not sip at all", it.udp).await.unwrap();
    phone.send_to(OPTIONS, it.udp).await.unwrap();
    assert!(matches!(it.next().await, NetInput::Broken { .. }));
    it.sip().await;
    assert_eq!(it.counters.of(Count::Malformed), 1);
}

#[tokio::test]
async fn a_message_torn_into_bytes_arrives_whole() {
    let mut it = edge(Config::default());
    let mut phone = TcpStream::connect(it.tcp).await.unwrap();
    phone.set_nodelay(true).unwrap();
    for piece in OPTIONS.chunks(7) {
        phone.write_all(piece).await.unwrap();
        phone.flush().await.unwrap();
    }
    let flow = it.sip().await;
    assert_eq!(flow.transport, Transport::Tcp);
    it.transmits.send(Transmit { flow, bytes: b"answer".as_slice().into() }).await.unwrap();
    let mut answer = [0; 6];
    phone.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer");
    drop(phone);
    it.gone(flow).await;
}

#[tokio::test]
async fn two_messages_in_one_segment_are_two_messages() {
    let mut it = edge(Config::default());
    let mut phone = TcpStream::connect(it.tcp).await.unwrap();
    phone.write_all(&[OPTIONS, OPTIONS].concat()).await.unwrap();
    assert_eq!(it.sip().await, it.sip().await);
}

#[tokio::test]
async fn a_ping_is_answered_by_a_pong() {
    let it = edge(Config::default());
    let mut phone = TcpStream::connect(it.tcp).await.unwrap();
    phone.write_all(b"\r\n\r\n").await.unwrap();
    let mut pong = [0; 2];
    phone.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\r\n");
}

/// RFC 5626 §4.4.1: TCP may tear a ping, and one CRLF answers it.
#[tokio::test]
async fn a_ping_in_two_segments_is_answered_by_one_pong() {
    let mut it = edge(Config::default());
    let mut phone = TcpStream::connect(it.tcp).await.unwrap();
    phone.write_all(b"\r\n").await.unwrap();
    it.until_kept_alive(1).await;
    phone.write_all(b"\r\n").await.unwrap();
    it.until_kept_alive(2).await;
    let mut pong = [0; 2];
    phone.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\r\n");
    // A third half, and one behind a message, are no pings.
    phone.write_all(b"\r\n").await.unwrap();
    it.until_kept_alive(3).await;
    phone.write_all(OPTIONS).await.unwrap();
    let flow = it.sip().await;
    phone.write_all(b"\r\n").await.unwrap();
    it.until_kept_alive(4).await;
    it.transmits.send(Transmit { flow, bytes: b"end".as_slice().into() }).await.unwrap();
    let mut end = [0; 3];
    phone.read_exact(&mut end).await.unwrap();
    assert_eq!(&end, b"end");
}

#[tokio::test]
async fn a_broken_stream_ends_alone() {
    let mut it = edge(Config::default());
    let mut good = TcpStream::connect(it.tcp).await.unwrap();
    good.write_all(OPTIONS).await.unwrap();
    let flow = it.sip().await;
    let mut bad = TcpStream::connect(it.tcp).await.unwrap();
    let mut no_length = OPTIONS.to_vec();
    let at = no_length.windows(17).position(|it| it == b"Content-Length: 0").unwrap();
    no_length[at + 16] = b'x';
    bad.write_all(&no_length).await.unwrap();
    assert!(matches!(it.next().await, NetInput::Broken { .. }));
    assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));
    eof(&mut bad).await;
    good.write_all(OPTIONS).await.unwrap();
    assert_eq!(it.sip().await, flow);
}

#[tokio::test]
async fn a_frame_without_an_end_is_closed_at_its_limit() {
    let mut it = edge(Config::default());
    let mut phone = TcpStream::connect(it.tcp).await.unwrap();
    let endless = [b"OPTIONS sip:a SIP/2.0\r\nX: ".to_vec(), vec![b'a'; 80_000]].concat();
    let (mut reader, mut writer) = phone.split();
    let mut rest = Vec::new();
    // The write may fail when the edge has closed already.
    let (_, _) = tokio::join!(writer.write_all(&endless), reader.read_to_end(&mut rest));
    assert!(matches!(it.next().await, NetInput::Broken { .. }));
    assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let config = Config { first_message: Duration::from_millis(20), ..Config::default() };
    let it = edge(config);
    let mut phone = TcpStream::connect(it.tcp).await.unwrap();
    eof(&mut phone).await;
    assert_eq!(it.counters.of(Count::FirstMessageLate), 1);
}

#[tokio::test]
async fn one_address_cannot_take_every_connection() {
    let mut it = edge(Config { connections_per_address_max: 1, ..Config::default() });
    let mut first = TcpStream::connect(it.tcp).await.unwrap();
    first.write_all(OPTIONS).await.unwrap();
    let flow = it.sip().await;
    let mut second = TcpStream::connect(it.tcp).await.unwrap();
    eof(&mut second).await;
    assert_eq!(it.counters.of(Count::RefusedOverAddressLimit), 1);
    drop(first);
    it.gone(flow).await;
    let mut third = TcpStream::connect(it.tcp).await.unwrap();
    third.write_all(OPTIONS).await.unwrap();
    it.sip().await;
}

#[tokio::test]
async fn a_request_to_a_tcp_phone_opens_the_connection_once() {
    let it = edge(Config::default());
    let phone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = phone.local_addr().unwrap();
    let flow = Flow { transport: Transport::Tcp, local: it.tcp, remote, conn: None };
    for _ in 0..2 {
        it.transmits.send(Transmit { flow, bytes: b"ring".as_slice().into() }).await.unwrap();
    }
    let (mut accepted, _) = phone.accept().await.unwrap();
    let mut got = [0; 8];
    accepted.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"ringring");
    assert_eq!(it.counters.of(Count::Connected), 1);
}

#[tokio::test]
async fn a_phone_that_does_not_read_loses_its_connection_only() {
    let mut it = edge(Config::default());
    let mut deaf = TcpStream::connect(it.tcp).await.unwrap();
    deaf.write_all(OPTIONS).await.unwrap();
    let flow = it.sip().await;
    while it.counters.of(Count::OutboxFull) == 0 {
        it.transmits.send(Transmit { flow, bytes: vec![0; 65_536].into() }).await.unwrap();
    }
    it.gone(flow).await;
    let mut good = TcpStream::connect(it.tcp).await.unwrap();
    good.write_all(OPTIONS).await.unwrap();
    it.sip().await;
}

#[tokio::test]
async fn icmp_says_at_once_that_a_carrier_is_not_there_and_nothing_of_strangers() {
    let flood = Flood { trunks: vec!["127.0.0.1".parse().unwrap()], ..Flood::default() };
    let mut it = edge(Config { flood, ..Config::default() });
    // A connected socket takes nothing of others, and its port stays taken.
    let deaf = |ip: &str| {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.connect((ip, 9)).unwrap();
        socket
    };
    let (stranger, carrier) = (deaf("127.0.0.2"), deaf("127.0.0.1"));
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        for to in [&stranger, &carrier, &phone] {
            let remote = to.local_addr().unwrap();
            let flow = Flow { transport: Transport::Udp, local: it.udp, remote, conn: None };
            it.transmits
                .send(Transmit { flow, bytes: b"OPTIONS".as_slice().into() })
                .await
                .unwrap();
        }
        let input = it.next().await;
        let NetInput::Unreachable { flow } = input else { panic!("{input:?}") };
        assert_eq!((flow.local, flow.remote), (it.udp, carrier.local_addr().unwrap()));
    }
    // Errors of others lose nobody's datagram.
    phone.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for _ in 0..3 {
        assert_eq!(phone.recv(&mut [0; 16]).unwrap(), 7);
    }
    assert_eq!(it.counters.of(Count::Unreachable), 3);
}
