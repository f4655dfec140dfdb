//! Streams that go wrong, and what keeps them.

use super::*;

/// A request whose Content-Length is no number: where the next begins is unknown.
fn no_length() -> Vec<u8> {
    let mut bytes = OPTIONS.to_vec();
    let at = bytes.windows(17).position(|it| it == b"Content-Length: 0").unwrap();
    bytes[at + 16] = b'x';
    bytes
}

fn of_trunk() -> Config {
    let flood = Flood { trunks: vec!["127.0.0.1".parse().unwrap()], ..Flood::default() };
    Config { flood, ..Config::default() }
}

/// The fault that control is told, and the status line of the answer that is ready.
async fn broken(it: &mut Edge) -> (PeerMisbehaved, Option<String>) {
    let input = it.next().await;
    let NetInput::Broken { why, reply, .. } = input else { panic!("{input:?}") };
    let line = |it: Vec<u8>| String::from_utf8_lossy(&it).lines().next().unwrap().to_owned();
    (why, reply.map(line))
}

#[tokio::test]
async fn a_trunk_keeps_its_connection_through_every_bad_frame() {
    let mut it = edge(of_trunk());
    let mut trunk = TcpStream::connect(it.tcp).await.unwrap();
    trunk.write_all(OPTIONS).await.unwrap();
    let flow = it.sip().await;

    // The end is unknown: followed again from the next start line.
    trunk
        .write_all(&[&no_length(), &b"v=0\r\nlost: body\r\n"[..], OPTIONS].concat())
        .await
        .unwrap();
    let bad = PeerMisbehaved::BadContentLength;
    assert_eq!(broken(&mut it).await, (bad, Some("SIP/2.0 400 Bad Request".to_owned())));
    assert_eq!(it.sip().await, flow);

    // The end is known: passed over, though it is longer than a message may be.
    let text = String::from_utf8(OPTIONS.to_vec()).unwrap();
    let large = text.replace("Content-Length: 0", "Content-Length: 70000");
    let body = vec![b'x'; 70_000];
    trunk.write_all(&[large.as_bytes(), &body, OPTIONS].concat()).await.unwrap();
    let (why, reply) = broken(&mut it).await;
    assert_eq!(why, PeerMisbehaved::TooLarge);
    assert!(reply.unwrap().starts_with("SIP/2.0 513"));
    assert_eq!(it.sip().await, flow);

    // A head without an end.
    let endless = [b"OPTIONS sip:a SIP/2.0\r\nX: ".to_vec(), vec![b'a'; 80_000]].concat();
    trunk.write_all(&[&endless, &b"\r\n\r\n"[..], OPTIONS].concat()).await.unwrap();
    assert_eq!(broken(&mut it).await, (PeerMisbehaved::TooLarge, None));
    assert_eq!(it.sip().await, flow);

    // Any number of messages that are whole and wrong.
    let wrong = text.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE");
    for _ in 0..40 {
        trunk.write_all(wrong.as_bytes()).await.unwrap();
        assert_eq!(broken(&mut it).await.0, PeerMisbehaved::CSeqMethodMismatch);
    }
    trunk.write_all(OPTIONS).await.unwrap();
    assert_eq!(it.sip().await, flow);
    assert_eq!(it.counters.of(Count::Resynchronised), 2);
    assert_eq!(it.counters.of(Count::Closed), 0);
}

#[tokio::test]
async fn a_strangers_connection_ends_after_the_answer_that_says_why() {
    let mut it = edge(Config::default());
    let mut stranger = TcpStream::connect(it.tcp).await.unwrap();
    stranger.write_all(&no_length()).await.unwrap();
    let NetInput::Broken { flow, reply, .. } = it.next().await else { panic!() };
    it.transmits.send(Transmit { flow, bytes: reply.unwrap().into() }).await.unwrap();
    let mut all = Vec::new();
    timeout(Duration::from_secs(5), stranger.read_to_end(&mut all)).await.unwrap().unwrap();
    assert!(all.starts_with(b"SIP/2.0 400"));
    it.gone(flow).await;
}

#[tokio::test]
async fn half_a_message_of_a_trunk_is_given_up_and_the_connection_is_not() {
    let quick = Duration::from_millis(50);
    let mut it = edge(Config { first_message: quick, stranger_idle: quick, ..of_trunk() });
    let mut trunk = TcpStream::connect(it.tcp).await.unwrap();
    trunk.write_all(&OPTIONS[..OPTIONS.len() - 30]).await.unwrap();
    while it.counters.of(Count::Malformed) == 0 {
        tokio::task::yield_now().await;
    }
    trunk.write_all(&[b"\r\n", OPTIONS].concat()).await.unwrap();
    it.sip().await;
    assert_eq!(it.counters.of(Count::Resynchronised), 1);
}

#[tokio::test]
async fn a_stranger_who_falls_silent_is_closed() {
    let config = Config { stranger_idle: Duration::from_millis(50), ..Config::default() };
    let mut it = edge(config);
    let mut phone = TcpStream::connect(it.tcp).await.unwrap();
    phone.write_all(OPTIONS).await.unwrap();
    let flow = it.sip().await;
    eof(&mut phone).await;
    it.gone(flow).await;
    assert_eq!(it.counters.of(Count::IdleClosed), 1);
}

#[tokio::test]
async fn bounds_of_a_message_are_those_of_the_configuration() {
    let limits = Limits { message: 600, headers: 10, line: 100 };
    let mut it = edge(Config { limits, ..of_trunk() });
    let text = String::from_utf8(OPTIONS.to_vec()).unwrap();
    let with = |more: &str| text.replace("Max-Forwards", &format!("{more}Max-Forwards"));
    let body =
        text.replace("Length: 0\r\n\r\n", &format!("Length: 500\r\n\r\n{}", "x".repeat(500)));
    let cases = [
        (with(&format!("X: {}\r\n", "y".repeat(98))), PeerMisbehaved::LineTooLong),
        (with(&"X: y\r\n".repeat(5)), PeerMisbehaved::TooManyHeaders),
        (body, PeerMisbehaved::TooLarge),
    ];
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut trunk = TcpStream::connect(it.tcp).await.unwrap();
    for (bytes, expected) in cases {
        phone.send_to(bytes.as_bytes(), it.udp).await.unwrap();
        assert_eq!(broken(&mut it).await.0, expected);
        trunk.write_all(bytes.as_bytes()).await.unwrap();
        assert_eq!(broken(&mut it).await.0, expected);
    }
    trunk.write_all(OPTIONS).await.unwrap();
    it.sip().await;
}

#[tokio::test]
async fn a_flooding_stranger_is_banned_on_every_transport_and_a_trunk_is_not() {
    let flood = Flood { requests_max: 3, ..Flood::default() };
    let mut it = edge(Config { flood, ..Config::default() });
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(it.tcp).await.unwrap();
    stream.write_all(OPTIONS).await.unwrap();
    it.sip().await;
    for _ in 0..2 {
        phone.send_to(OPTIONS, it.udp).await.unwrap();
        it.sip().await;
    }
    phone.send_to(OPTIONS, it.udp).await.unwrap();
    while it.counters.of(Count::Banned) == 0 {
        tokio::task::yield_now().await;
    }
    // The connection he has ends with his next word, and he gets no other.
    stream.write_all(OPTIONS).await.unwrap();
    eof(&mut stream).await;
    let mut other = TcpStream::connect(it.tcp).await.unwrap();
    eof(&mut other).await;
    assert_eq!(it.counters.of(Count::BannedRefused), 1);
    assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));

    // Somebody registers there: heard again.
    it.gate.know_phone((Transport::Udp, phone.local_addr().unwrap()), true);
    for _ in 0..20 {
        phone.send_to(OPTIONS, it.udp).await.unwrap();
        it.sip().await;
    }
}

#[tokio::test]
async fn a_request_that_drips_in_is_given_up_when_its_time_is_over() {
    let config = Config { first_message: Duration::from_millis(300), ..Config::default() };
    let it = edge(config);
    let mut slow = TcpStream::connect(it.tcp).await.unwrap();
    slow.set_nodelay(true).unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for byte in &OPTIONS[..OPTIONS.len() - 1] {
        if it.counters.of(Count::FirstMessageLate) > 0 || slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        tick.tick().await;
    }
    assert_eq!(it.counters.of(Count::FirstMessageLate), 1);
}

#[tokio::test]
async fn strangers_cannot_take_the_last_connections_from_a_trunk() {
    let mut config = of_trunk();
    config.connections_max = 4;
    config.flood.trunks = vec!["127.0.0.9".parse().unwrap()];
    let it = edge(config);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(TcpStream::connect(it.tcp).await.unwrap());
    }
    let mut late = TcpStream::connect(it.tcp).await.unwrap();
    eof(&mut late).await;
    assert_eq!(it.counters.of(Count::RefusedOverLimit), 1);
    let trunk = tokio::net::TcpSocket::new_v4().unwrap();
    trunk.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut trunk = trunk.connect(it.tcp).await.unwrap();
    trunk.write_all(b"\r\n\r\n").await.unwrap();
    let mut pong = [0; 2];
    trunk.read_exact(&mut pong).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_told() {
    let mut it = edge(Config::default());
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = nobody.local_addr().unwrap();
    drop(nobody);
    for transport in [Transport::Tcp, Transport::Wss] {
        let flow = Flow { transport, local: it.tcp, remote, conn: None };
        it.transmits.send(Transmit { flow, bytes: b"ring".as_slice().into() }).await.unwrap();
        loop {
            match it.next().await {
                NetInput::Unreachable { flow: lost } => {
                    assert_eq!((lost.transport, lost.remote), (transport, remote));
                    break;
                }
                NetInput::ConnectionGone { .. } => (),
                other @ (NetInput::Sip { .. } | NetInput::Broken { .. }) => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_peer_that_says_alias_gets_requests_by_its_own_connection_while_it_lasts() {
    let mut it = edge(of_trunk());
    let mut trunk = TcpStream::connect(it.tcp).await.unwrap();
    let its_port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = its_port.local_addr().unwrap();
    let text = String::from_utf8(OPTIONS.to_vec()).unwrap();
    let text = text.replace("127.0.0.1:5080", &remote.to_string());
    trunk.write_all(text.replace(";branch", ";alias;branch").as_bytes()).await.unwrap();
    let flow = it.sip().await;
    // The answer proves that the note about the alias, sent before, has been read.
    it.transmits.send(Transmit { flow, bytes: b"answer".as_slice().into() }).await.unwrap();
    let to_its_port = Flow { remote, conn: None, ..flow };
    let mut got = [0; 10];
    trunk.read_exact(&mut got[..6]).await.unwrap();
    it.transmits
        .send(Transmit { flow: to_its_port, bytes: b"ring".as_slice().into() })
        .await
        .unwrap();
    trunk.read_exact(&mut got[6..]).await.unwrap();
    assert_eq!(&got, b"answerring");
    drop(trunk);
    assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));
    it.transmits
        .send(Transmit { flow: to_its_port, bytes: b"again".as_slice().into() })
        .await
        .unwrap();
    let (mut second, _) =
        timeout(Duration::from_secs(5), its_port.accept()).await.unwrap().unwrap();
    second.read_exact(&mut got[..5]).await.unwrap();
    assert_eq!(&got[..5], b"again");
}

#[tokio::test]
async fn a_connection_of_ours_is_pinged_and_closed_when_answers_cease() {
    let mut it = edge(Config { keep_alive: Duration::from_millis(50), ..of_trunk() });
    let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = peer.local_addr().unwrap();
    let flow = Flow { transport: Transport::Tcp, local: it.tcp, remote, conn: None };
    it.transmits.send(Transmit { flow, bytes: b"ring".as_slice().into() }).await.unwrap();
    let (mut stream, _) = peer.accept().await.unwrap();
    let mut got = [0; 12];
    stream.read_exact(&mut got).await.unwrap();
    // Two pings without an answer: this peer may not know of them.
    assert_eq!(&got, b"ring\r\n\r\n\r\n\r\n");
    stream.write_all(b"\r\n").await.unwrap();
    let mut rest = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));
    assert_eq!(it.counters.of(Count::KeepAliveLost), 1);
}

#[tokio::test]
async fn two_pongs_to_pings_of_ours_are_no_ping() {
    let it = edge(Config { keep_alive: Duration::from_millis(50), ..of_trunk() });
    let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = peer.local_addr().unwrap();
    let flow = Flow { transport: Transport::Tcp, local: it.tcp, remote, conn: None };
    it.transmits.send(Transmit { flow, bytes: b"ring".as_slice().into() }).await.unwrap();
    let (mut stream, _) = peer.accept().await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    for n in 1..=2 {
        stream.read_exact(&mut [0; 4]).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
        it.until_kept_alive(n).await;
    }
    it.transmits.send(Transmit { flow, bytes: b"end".as_slice().into() }).await.unwrap();
    let mut rest = Vec::new();
    while !rest.ends_with(b"end") {
        stream.read_buf(&mut rest).await.unwrap();
    }
    // Further pings may have come, of four bytes each, and nothing else.
    assert_eq!((rest.len() - 3) % 4, 0, "{rest:?}");
}

#[tokio::test]
async fn ipv6_is_spoken_over_datagrams_and_streams() {
    let mut it = edge_at("[::1]:0", Transport::Tcp, Config::default());
    let phone = tokio::net::UdpSocket::bind("[::1]:0").await.unwrap();
    phone.send_to(OPTIONS, it.udp).await.unwrap();
    let flow = it.sip().await;
    it.transmits.send(Transmit { flow, bytes: b"hello".as_slice().into() }).await.unwrap();
    let mut answer = [0; 16];
    assert_eq!(phone.recv_from(&mut answer).await.unwrap(), (5, it.udp));
    let mut stream = TcpStream::connect(it.tcp).await.unwrap();
    stream.write_all(OPTIONS).await.unwrap();
    let flow = it.sip().await;
    assert!(flow.remote.is_ipv6() && flow.transport == Transport::Tcp);
}

#[tokio::test]
async fn v22_a_stranger_has_a_hundred_connections_and_a_trunk_still_gets_its_own() {
    let mut config = of_trunk();
    config.flood.trunks = vec!["127.0.0.9".parse().unwrap()];
    config.first_message = Duration::from_mins(10);
    let it = edge(config);
    let mut open = Vec::new();
    for _ in 0..150 {
        open.push(TcpStream::connect(it.tcp).await.unwrap());
    }
    while it.counters.of(Count::RefusedOverAddressLimit) < 50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(it.counters.of(Count::Accepted), 100);
    let trunk = tokio::net::TcpSocket::new_v4().unwrap();
    trunk.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut trunk = trunk.connect(it.tcp).await.unwrap();
    trunk.write_all(b"\r\n\r\n").await.unwrap();
    trunk.read_exact(&mut [0; 2]).await.unwrap();
    assert_eq!(it.counters.of(Count::RefusedOverAddressLimit), 50);
}

#[tokio::test]
async fn v22_headers_that_come_byte_by_byte_end_the_connection_all_the_same() {
    let config = Config { first_message: Duration::from_millis(100), ..Config::default() };
    let it = edge(config);
    let mut slow = Vec::new();
    for _ in 0..20 {
        let (mut reader, mut writer) = TcpStream::connect(it.tcp).await.unwrap().into_split();
        slow.push(tokio::spawn(async move {
            let mut line = [0; 64];
            loop {
                let (got, sent) = tokio::join!(
                    timeout(Duration::from_millis(10), reader.read(&mut line)),
                    writer.write_all(b"X")
                );
                // Closed by the other end, in whichever way it is noticed first.
                if sent.is_err() || matches!(got, Ok(Ok(0) | Err(_))) {
                    return;
                }
            }
        }));
    }
    for it in slow {
        timeout(Duration::from_secs(30), it).await.unwrap().unwrap();
    }
    assert_eq!(it.counters.of(Count::FirstMessageLate), 20);
}

#[tokio::test]
async fn v22_unfinished_messages_take_no_more_memory_than_is_configured() {
    let mut config = of_trunk();
    config.flood.trunks = vec!["127.0.0.9".parse().unwrap()];
    config.flood.buffered_max = 128 << 10;
    let mut it = edge(config);
    let head = String::from_utf8(OPTIONS.to_vec()).unwrap();
    let head = head.replace("Content-Length: 0", "Content-Length: 60000");
    let half = [head.as_bytes(), &vec![b'x'; 40_000]].concat();
    let mut strangers = Vec::new();
    for _ in 0..10 {
        let mut stranger = TcpStream::connect(it.tcp).await.unwrap();
        // It may be closed before all is sent.
        stranger.write_all(&half).await.ok();
        strangers.push(stranger);
    }
    // Buffers are at most twice as large as what is in them.
    while it.counters.of(Count::BuffersFull) < 6 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A trunk finds room all the same.
    let trunk = tokio::net::TcpSocket::new_v4().unwrap();
    trunk.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut trunk = trunk.connect(it.tcp).await.unwrap();
    trunk.write_all(&[&half[..], &vec![b'x'; 20_000]].concat()).await.unwrap();
    it.sip_at_last().await;
    // Who gives up gives his room back.
    drop(strangers);
    while it.counters.of(Count::Closed) < 10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let n_full = it.counters.of(Count::BuffersFull);
    let mut stranger = TcpStream::connect(it.tcp).await.unwrap();
    stranger.write_all(&half).await.unwrap();
    stranger.write_all(&vec![b'x'; 20_000]).await.unwrap();
    it.sip_at_last().await;
    assert_eq!(it.counters.of(Count::BuffersFull), n_full);
}

#[tokio::test]
async fn a_message_waits_from_when_it_was_read_though_others_fill_the_road_before_it() {
    let mut it = edge(of_trunk());
    let mut trunk = TcpStream::connect(it.tcp).await.unwrap();
    trunk.write_all(&OPTIONS.repeat(8)).await.unwrap();
    // Four fill the road to control, the fifth waits for room there, the others behind it.
    let full = async {
        while it.counters.of(Count::TcpReceived) < 5 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), full).await.unwrap();
    let since = std::time::Instant::now();
    for _ in 0..8 {
        let input = it.next().await;
        let NetInput::Sip { at, .. } = input else { panic!("{input:?}") };
        assert!(at < since);
    }
}
