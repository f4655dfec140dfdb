//! TLS and WebSocket.

mod certificates;

use std::fs;

use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{ClientRequestBuilder, Message},
};

use super::*;
use crate::{Tls, TlsPeer, TlsServer};

/// An authority, and the folder with what it has issued to the edge.
struct Pki {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key as PEM.
type Pair = (String, String);

impl Pki {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca"), params.self_signed(&key).unwrap().pem()).unwrap();
        let it = Self { folder, issuer: Issuer::new(params, key) };
        it.serve_with("sip.example");
        it
    }

    fn issue(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    /// Gives the edge a certificate with this name.
    fn serve_with(&self, name: &str) {
        let (cert, key) = self.issue(name);
        fs::write(self.folder.path().join("key"), key).unwrap();
        fs::write(self.folder.path().join("cert"), cert).unwrap();
    }

    fn tls(&self) -> Tls {
        let at = |name| self.folder.path().join(name);
        Tls {
            certificate_file: at("cert"),
            key_file: at("key"),
            ca_file: Some(at("ca")),
            tls13_only: false,
            reload: Duration::from_millis(20),
            servers: Vec::new(),
            peers: Vec::new(),
        }
    }

    fn client(
        &self,
        own: Option<Pair>,
        version: &'static SupportedProtocolVersion,
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.path().join("ca")).unwrap()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let client = match own {
            None => client.with_no_client_auth(),
            Some((cert, key)) => {
                let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                client.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        TlsConnector::from(Arc::new(client))
    }

    async fn connect(&self, to: SocketAddr, name: &'static str) -> TlsStream<TcpStream> {
        self.connect_with(to, name, None, &TLS13).await.unwrap()
    }

    async fn connect_with(
        &self,
        to: SocketAddr,
        name: &'static str,
        own: Option<Pair>,
        version: &'static SupportedProtocolVersion,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(to).await.unwrap();
        self.client(own, version).connect(ServerName::try_from(name).unwrap(), stream).await
    }
}

fn secure(tls: Tls) -> Edge {
    edge_at("127.0.0.1:0", Transport::Tls, Config { tls: Some(tls), ..Config::default() })
}

/// A request over TLS arrives and its answer comes back.
async fn check_talk(it: &mut Edge, stream: &mut TlsStream<TcpStream>) {
    stream.write_all(OPTIONS).await.unwrap();
    let flow = it.sip().await;
    assert_eq!(flow.transport, Transport::Tls);
    it.transmits.send(Transmit { flow, bytes: b"answer".as_slice().into() }).await.unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer");
}

/// Whether the edge closes without a word.
async fn is_refused(stream: std::io::Result<TlsStream<TcpStream>>) -> bool {
    // With TLS 1.3 the client is done before the server has looked at its certificate.
    let Ok(mut stream) = stream else { return true };
    let mut rest = Vec::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap();
    read.is_err() || rest.is_empty()
}

async fn until(it: &Edge, what: Count, n: u64) {
    let reached = async {
        while it.counters.of(what) < n {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), reached).await.unwrap();
}

#[tokio::test]
async fn tls_is_spoken_in_both_versions_unless_the_old_one_is_forbidden() {
    let pki = Pki::new();
    let mut it = secure(pki.tls());
    for version in [&TLS13, &TLS12] {
        let stream = pki.connect_with(it.tcp, "sip.example", None, version).await;
        check_talk(&mut it, &mut stream.unwrap()).await;
        assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));
    }
    let it = secure(Tls { tls13_only: true, ..pki.tls() });
    assert!(pki.connect_with(it.tcp, "sip.example", None, &TLS12).await.is_err());
    until(&it, Count::HandshakeFailed, 1).await;
}

#[tokio::test]
async fn new_certificates_come_into_use_and_no_connection_is_dropped() {
    let pki = Pki::new();
    let mut it = secure(pki.tls());
    let mut old = pki.connect(it.tcp, "sip.example").await;
    check_talk(&mut it, &mut old).await;

    pki.serve_with("new.example");
    until(&it, Count::CertificatesLoaded, 1).await;
    let mut new = pki.connect(it.tcp, "new.example").await;
    check_talk(&mut it, &mut new).await;
    check_talk(&mut it, &mut old).await;

    // What cannot be read changes nothing.
    fs::write(pki.folder.path().join("cert"), "rubbish").unwrap();
    until(&it, Count::CertificatesBad, 1).await;
    let mut later = pki.connect(it.tcp, "new.example").await;
    for stream in [&mut later, &mut new, &mut old] {
        check_talk(&mut it, stream).await;
    }
    assert_eq!(it.counters.of(Count::Closed), 0);
}

#[tokio::test]
async fn a_trunk_that_must_show_a_certificate_is_taken_with_its_own_alone() {
    let pki = Pki::new();
    let peer = TlsPeer {
        sources: vec!["127.0.0.1".parse().unwrap()],
        names: vec!["sbc.example".to_owned()],
    };
    let mut it = secure(Tls { peers: vec![peer], ..pki.tls() });
    let stranger = Pki::new();
    let cases = [
        None,
        Some(pki.issue("other.example")),
        Some(pki.issue("*.example.sbc.example")),
        Some(stranger.issue("sbc.example")),
    ];
    for (n, own) in cases.into_iter().enumerate() {
        let stream = pki.connect_with(it.tcp, "sip.example", own, &TLS13).await;
        assert!(is_refused(stream).await, "{n}");
        assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));
    }
    assert_eq!(it.counters.of(Count::CertificateRefused), 3);
    assert_eq!(it.counters.of(Count::HandshakeFailed), 1);
    let own = Some(pki.issue("sbc.example"));
    let mut stream = pki.connect_with(it.tcp, "sip.example", own, &TLS12).await.unwrap();
    check_talk(&mut it, &mut stream).await;
    // And over nothing but TLS.
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    phone.send_to(OPTIONS, it.udp).await.unwrap();
    until(&it, Count::CertificateRefused, 4).await;
}

#[tokio::test]
async fn strangers_who_leave_their_handshakes_half_done_keep_no_trunk_waiting() {
    let world = Pki::new();
    let flood = Flood { trunks: vec!["127.0.0.9".parse().unwrap()], ..Flood::default() };
    let config = Config { tls: Some(world.tls()), flood, ..Config::default() };
    let mut it = edge_at("127.0.0.1:0", Transport::Tls, config);
    let mut strangers = Vec::new();
    for _ in 0..100 {
        let mut stranger = TcpStream::connect(it.tcp).await.unwrap();
        // The beginning of a record that never ends.
        stranger.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
        strangers.push(stranger);
    }
    until(&it, Count::Accepted, 100).await;
    let trunk = tokio::net::TcpSocket::new_v4().unwrap();
    trunk.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let stream = trunk.connect(it.tcp).await.unwrap();
    let name = ServerName::try_from("sip.example").unwrap();
    let mut stream = world.client(None, &TLS13).connect(name, stream).await.unwrap();
    check_talk(&mut it, &mut stream).await;
    assert_eq!(it.counters.of(Count::HandshakeFailed), 0, "they are still at it");
}

#[tokio::test]
async fn a_handshake_that_never_comes_ends_the_connection() {
    let pki = Pki::new();
    let first_message = Duration::from_millis(50);
    let config = Config { tls: Some(pki.tls()), first_message, ..Config::default() };
    for transport in [Transport::Tls, Transport::Ws, Transport::Wss] {
        let it = edge_at("127.0.0.1:0", transport, config.clone());
        let mut silent = TcpStream::connect(it.tcp).await.unwrap();
        eof(&mut silent).await;
        assert_eq!(it.counters.of(Count::HandshakeFailed), 1);
    }
}

#[tokio::test]
async fn a_request_to_a_tls_peer_goes_only_to_who_proves_its_name() {
    let pki = Pki::new();
    // Another edge plays the carrier.
    let mut carrier = secure(pki.tls());
    for (name, good) in [("sip.example", true), ("other.example", false)] {
        let sources = vec!["127.0.0.1".parse().unwrap()];
        let peer = TlsPeer { sources, names: vec![name.to_owned()] };
        let mut it = secure(Tls { peers: vec![peer], ..pki.tls() });
        let remote = carrier.tcp;
        let flow = Flow { transport: Transport::Tls, local: it.tcp, remote, conn: None };
        it.transmits.send(Transmit { flow, bytes: OPTIONS.into() }).await.unwrap();
        if good {
            assert_eq!(carrier.sip().await.transport, Transport::Tls);
        } else {
            assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));
            let NetInput::Unreachable { flow } = it.next().await else { panic!() };
            assert_eq!(flow.remote, remote);
        }
    }
}

#[tokio::test]
async fn a_gateway_proves_its_name_is_shown_its_own_certificate_and_may_use_the_connection() {
    let pki = Pki::new();
    // Another edge plays the carrier, who wants to know who calls.
    let sources = vec!["127.0.0.1".parse().unwrap()];
    let peer = TlsPeer { sources, names: vec!["hotline.gx.example".to_owned()] };
    let mut carrier = secure(Tls { peers: vec![peer], ..pki.tls() });
    let own = pki.issue("hotline.gx.example");
    let files = ["own.crt", "own.key"].map(|it| pki.folder.path().join(it));
    fs::write(&files[0], own.0).unwrap();
    fs::write(&files[1], own.1).unwrap();
    let own: (_, _) = files.into();
    let remote = carrier.tcp;
    let reach = |name: &str, certificate| {
        let server = TlsServer { address: remote, name: name.to_owned(), certificate };
        let it = secure(Tls { servers: vec![server], ..pki.tls() });
        let flow = Flow { transport: Transport::Tls, local: it.tcp, remote, conn: None };
        (it, Transmit { flow, bytes: OPTIONS.into() })
    };
    // A name that is not the carrier's, and a certificate that is not ours.
    let (mut it, request) = reach("other.example", Some(own.clone()));
    it.transmits.send(request).await.unwrap();
    assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));
    assert!(matches!(it.next().await, NetInput::Unreachable { .. }));
    let (mut it, request) = reach("sip.example", None);
    it.transmits.send(request).await.unwrap();
    assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));
    for _ in 0..2 {
        assert!(matches!(carrier.next().await, NetInput::ConnectionGone { .. }));
    }
    let (mut it, request) = reach("sip.example", Some(own));
    it.transmits.send(request.clone()).await.unwrap();
    let first = carrier.sip().await;
    it.transmits.send(request).await.unwrap();
    assert_eq!(carrier.sip().await, first, "one connection for all requests");
    carrier.transmits.send(Transmit { flow: first, bytes: OPTIONS.into() }).await.unwrap();
    let back = it.sip().await;
    assert_eq!((back.transport, back.remote), (Transport::Tls, remote));
    assert_eq!((it.counters.of(Count::Connected), it.counters.of(Count::Accepted)), (1, 0));
}

#[tokio::test]
async fn v22_two_thousand_handshakes_at_once_cost_what_is_configured_and_a_trunk_is_served() {
    const PER_SEC: u32 = 20;
    let pki = Pki::new();
    let trunks = vec!["127.0.0.9".parse().unwrap()];
    let flood = Flood { trunks, handshakes_per_sec_max: PER_SEC, ..Flood::default() };
    let tls = Some(pki.tls());
    let config = Config { flood, tls, connections_per_address_max: 4_096, ..Config::default() };
    let mut it = edge_at("127.0.0.1:0", Transport::Tls, config);
    let counters = Arc::clone(&it.counters);
    // Control takes what comes all the while.
    let at = it.tcp;
    let heard = tokio::spawn(async move { it.sip_at_last().await });
    let start = tokio::time::Instant::now();
    for n in 0..2_000 {
        // Addresses of their own, or the first of them would be banned.
        let stranger = tokio::net::TcpSocket::new_v4().unwrap();
        stranger.bind(format!("127.0.{}.{}:0", 1 + n / 250, 1 + n % 250).parse().unwrap()).unwrap();
        drop(stranger.connect(at).await.unwrap());
    }
    let seconds = start.elapsed().as_secs() + 2;
    while counters.of(Count::Accepted) < 2_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = 2_000 - counters.of(Count::HandshakesOverRate);
    assert!(begun <= u64::from(PER_SEC) * seconds, "{begun} in {seconds} s");
    let trunk = tokio::net::TcpSocket::new_v4().unwrap();
    trunk.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let trunk = trunk.connect(at).await.unwrap();
    let name = ServerName::try_from("sip.example").unwrap();
    let mut trunk = pki.client(None, &TLS13).connect(name, trunk).await.unwrap();
    trunk.write_all(OPTIONS).await.unwrap();
    let flow = timeout(Duration::from_secs(30), heard).await.unwrap().unwrap();
    assert_eq!(flow.remote.ip().to_string(), "127.0.0.9");
}

#[test]
fn v22_handshakes_have_threads_of_their_own_and_nobody_else_waits_for_them() {
    let threads = |name| {
        let mut it = tokio::runtime::Builder::new_multi_thread();
        it.worker_threads(1).thread_name(name).enable_all().build().unwrap()
    };
    let (edge, handshakes) = (threads("edge"), threads("handshakes"));
    // As if so many came that no time is left for another one.
    let (go_on, stop) = std::sync::mpsc::channel::<()>();
    handshakes.spawn(async move { stop.recv().unwrap_or_default() });
    let to = handshakes.handle().clone();
    edge.block_on(async move {
        let pki = Pki::new();
        let config = Config { tls: Some(pki.tls()), ..Config::default() };
        let mut it = edge_with("127.0.0.1:0", Transport::Tls, config, to);
        let name = ServerName::try_from("sip.example").unwrap();
        let stream = TcpStream::connect(it.tcp).await.unwrap();
        let connector = pki.client(None, &TLS13);
        let connecting = tokio::spawn(async move { connector.connect(name, stream).await });
        while it.counters.of(Count::Accepted) < 1 {
            tokio::task::yield_now().await;
        }
        // Who is there already is served.
        let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        phone.send_to(OPTIONS, it.udp).await.unwrap();
        assert_eq!(it.sip().await.transport, Transport::Udp);
        assert!(!connecting.is_finished());
        drop(go_on);
        let mut stream =
            timeout(Duration::from_secs(30), connecting).await.unwrap().unwrap().unwrap();
        stream.write_all(OPTIONS).await.unwrap();
        assert_eq!(it.sip().await.transport, Transport::Tls);
    });
}

async fn browser(
    to: SocketAddr,
    protocol: Option<&str>,
    origin: Option<&str>,
) -> Option<WebSocketStream<TcpStream>> {
    let uri = format!("ws://{to}/").parse().unwrap();
    let mut request = ClientRequestBuilder::new(uri);
    if let Some(it) = protocol {
        request = request.with_sub_protocol(it);
    }
    if let Some(it) = origin {
        request = request.with_header("Origin", it);
    }
    let stream = TcpStream::connect(to).await.unwrap();
    Some(client_async(request, stream).await.ok()?.0)
}

#[tokio::test]
async fn a_browser_speaks_sip_over_a_websocket() {
    let mut it = edge_at("127.0.0.1:0", Transport::Ws, Config::default());
    let mut browser = browser(it.tcp, Some("sip"), None).await.unwrap();
    let text = String::from_utf8(OPTIONS.to_vec()).unwrap();
    browser.send(Message::text(text.replace("/TCP", "/WS"))).await.unwrap();
    let flow = it.sip().await;
    assert_eq!(flow.transport, Transport::Ws);
    it.transmits.send(Transmit { flow, bytes: b"text".as_slice().into() }).await.unwrap();
    it.transmits.send(Transmit { flow, bytes: b"\xFFbinary".as_slice().into() }).await.unwrap();
    assert_eq!(browser.next().await.unwrap().unwrap(), Message::text("text"));
    assert_eq!(browser.next().await.unwrap().unwrap(), Message::binary(b"\xFFbinary".to_vec()));
    browser.send(Message::text("\r\n\r\n")).await.unwrap();
    assert_eq!(browser.next().await.unwrap().unwrap(), Message::text("\r\n"));
    browser.send(Message::Ping("there?".into())).await.unwrap();
    assert_eq!(browser.next().await.unwrap().unwrap(), Message::Pong("there?".into()));
    browser.send(Message::binary(b"rubbish".to_vec())).await.unwrap();
    assert!(matches!(it.next().await, NetInput::Broken { .. }));
    browser.close(None).await.unwrap();
    it.gone(flow).await;
}

#[tokio::test]
async fn a_websocket_that_does_not_mean_sip_or_comes_from_elsewhere_is_refused() {
    let websocket_origins = vec!["https://desk.example".to_owned()];
    let config = Config { websocket_origins, ..Config::default() };
    let it = edge_at("127.0.0.1:0", Transport::Ws, config);
    let good = Some("https://desk.example");
    assert!(browser(it.tcp, Some("sip"), good).await.is_some());
    assert!(browser(it.tcp, Some("chat"), good).await.is_none());
    assert!(browser(it.tcp, None, good).await.is_none());
    assert!(browser(it.tcp, Some("sip"), Some("https://evil.example")).await.is_none());
    assert!(browser(it.tcp, Some("sip"), None).await.is_none());
    assert_eq!(it.counters.of(Count::OriginRefused), 2);
}

#[tokio::test]
async fn a_message_too_large_for_a_websocket_ends_it() {
    let limits = Limits { message: 600, ..Limits::new() };
    let mut it = edge_at("127.0.0.1:0", Transport::Ws, Config { limits, ..Config::default() });
    let mut browser = browser(it.tcp, Some("sip"), None).await.unwrap();
    browser.send(Message::text("x".repeat(601))).await.unwrap();
    assert!(matches!(it.next().await, NetInput::ConnectionGone { .. }));
}

#[tokio::test]
async fn a_websocket_inside_tls_is_one_too() {
    let pki = Pki::new();
    let config = Config { tls: Some(pki.tls()), ..Config::default() };
    let mut it = edge_at("127.0.0.1:0", Transport::Wss, config);
    let stream = pki.connect(it.tcp, "sip.example").await;
    let uri = "wss://sip.example/".parse().unwrap();
    let request = ClientRequestBuilder::new(uri).with_sub_protocol("sip");
    let (mut browser, _) = client_async(request, stream).await.unwrap();
    browser.send(Message::binary(OPTIONS.to_vec())).await.unwrap();
    assert_eq!(it.sip().await.transport, Transport::Wss);
}
