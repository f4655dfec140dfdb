//! Telephones over TLS and WebSocket, IPv6, and strangers in numbers.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, sync::Arc};

use futures_util::{SinkExt as _, StreamExt as _};
use hotline_sip::{Limits, StreamStep, split_stream};
use hotline_testkit::{
    Robot, Speech,
    raw::{RawUdp, request, status_of},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::Duration,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    client_async,
    tungstenite::{ClientRequestBuilder, Message},
};

use crate::{
    engine::{Engine, SOON},
    http,
    setup::{CARRIER, ELSEWHERE, ENGINE, OFFICE, PASSWORD, Setup},
};

/// An engine that speaks everything, and the folder with its certificate.
pub(crate) async fn secure(setup: Setup) -> (Engine, TempDir) {
    let folder = TempDir::new().unwrap();
    let own = rcgen::generate_simple_self_signed(["sip.example".to_owned()]).unwrap();
    fs::write(folder.path().join("crt"), own.cert.pem()).unwrap();
    fs::write(folder.path().join("key"), own.signing_key.serialize_pem()).unwrap();
    let at = folder.path().display();
    let sip = format!(
        "{}listen_tls = [\"{ENGINE}:0\"]\nlisten_ws = [\"{ENGINE}:0\"]\nlisten_wss = [\"{ENGINE}:0\"]\n\
         [sip.tls]\ncertificate_file = \"{at}/crt\"\nkey_file = \"{at}/key\"\n",
        setup.sip_more
    );
    (Engine::start(Setup { sip_more: sip, ..setup }).await, folder)
}

pub(crate) fn note(engine: &Engine) -> Value {
    serde_json::from_str(&fs::read_to_string(engine.data("engine.json")).unwrap()).unwrap()
}

/// What the engine listens at.
pub(crate) fn listener(engine: &Engine, name: &str) -> SocketAddr {
    note(engine)[name][0].as_str().unwrap().parse().unwrap()
}

/// What a telephone's plain connection is turned into.
#[derive(Clone, Copy, Debug)]
enum Tunnel {
    Tls,
    Ws,
    Wss,
}

/// A place to connect to instead of the engine.
async fn tunnel(engine: &Engine, kind: Tunnel, folder: &Path) -> SocketAddr {
    let name = match kind {
        Tunnel::Tls => "sip_tls",
        Tunnel::Ws => "sip_ws",
        Tunnel::Wss => "sip_wss",
    };
    let to = listener(engine, name);
    let entrance = TcpListener::bind((ENGINE, 0)).await.unwrap();
    let at = entrance.local_addr().unwrap();
    let connector = connector(folder);
    tokio::spawn(async move {
        let (mut phone, _) = entrance.accept().await.unwrap();
        let stream = TcpStream::connect(to).await.unwrap();
        if matches!(kind, Tunnel::Ws) {
            return websocket(phone, stream).await;
        }
        let name = ServerName::try_from("sip.example").unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        match kind {
            Tunnel::Tls => drop(copy_bidirectional(&mut phone, &mut stream).await),
            Tunnel::Ws | Tunnel::Wss => websocket(phone, stream).await,
        }
    });
    at
}

pub(crate) fn connector(folder: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("crt")).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(client))
}

/// One message of the telephone is one message of the WebSocket, and back.
async fn websocket<S: AsyncRead + AsyncWrite + Unpin>(mut phone: TcpStream, stream: S) {
    let uri = "ws://sip.example/".parse().unwrap();
    let request = ClientRequestBuilder::new(uri).with_sub_protocol("sip");
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    let mut buffer = Vec::new();
    loop {
        tokio::select! {
            n = phone.read_buf(&mut buffer) => {
                if n.unwrap_or(0) == 0 {
                    return;
                }
                while let StreamStep::Frame(n) = split_stream(&buffer, Limits::new()) {
                    let frame: Vec<u8> = buffer.drain(..n).collect();
                    if socket.send(Message::binary(frame)).await.is_err() {
                        return;
                    }
                }
            }
            Some(Ok(message)) = socket.next() => {
                if phone.write_all(&message.into_data()).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A telephone registers, is called, talks, hangs up; and when its connection goes, so does it.
async fn check_phone(kind: Tunnel) {
    // It is no browser, whatever it registers over.
    let setup = Setup { agent_more: "srtp = \"off\"\n", ..Setup::default() };
    let (engine, folder) = secure(setup).await;
    let at = tunnel(&engine, kind, folder.path()).await;
    let robot = Robot::connect(OFFICE, at).await.unwrap();
    let agent = engine.sign_in(1, robot, at).await;
    engine.ready(&agent).await;
    engine.until_state(&agent, "idle").await;
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let ringing = agent.robot.incoming(SOON).await.unwrap();
    ringing.answer();
    caller.speak(Speech::tone(700));
    ringing.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    ringing.until_tone(700, SOON).await.unwrap();
    ringing.hang_up();
    ringing.until_ended(SOON).await.unwrap();
    engine.until_state(&agent, "idle").await;
    let no = agent.no.clone();
    drop(agent);
    let path = format!("/api/v1/agents/{no}");
    engine.until(&path, SOON, |it| (it["state"] == "busy").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephone_over_tls_takes_a_call() {
    check_phone(Tunnel::Tls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephone_over_a_websocket_takes_a_call() {
    check_phone(Tunnel::Ws).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telephone_over_a_websocket_in_tls_takes_a_call() {
    check_phone(Tunnel::Wss).await;
}

/// One offer is for browsers or for desk phones: that of the better contact leaves first, and the
/// other one when nobody there can take it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn desk_phone_takes_the_call_that_the_browser_cannot_take() {
    let (engine, folder) = secure(Setup::default()).await;
    let agent = engine.agent(1).await;
    let at = tunnel(&engine, Tunnel::Ws, folder.path()).await;
    let browser = Robot::connect(OFFICE, at).await.unwrap();
    browser.register(at, "8001", PASSWORD).await.unwrap();
    let caller = engine.caller().await;
    caller.ask_for_person(&engine).await;
    let ringing = browser.incoming(SOON).await.unwrap();
    // The desk phone does not ring meanwhile.
    let early = agent.robot.incoming(Duration::from_millis(300)).await;
    assert!(early.is_err(), "two offers at once");
    ringing.reject(488);
    let desk = agent.robot.incoming(SOON).await.unwrap();
    desk.answer();
    caller.speak(Speech::tone(700));
    desk.speak(Speech::tone(440));
    caller.until_tone(440, SOON).await.unwrap();
    desk.until_tone(700, SOON).await.unwrap();
    caller.hang_up();
    let record = engine.sealed_record_of(&caller.number).await;
    assert_eq!(record["outcome"], "answered");
    assert_eq!(record["segments"].as_array().unwrap().len(), 1, "{record:#}");
    assert_eq!(record["segments"][0]["agent_no"], "1001");
    engine.until_state(&agent, "idle").await;
}

/// Resident memory of the control process, in bytes.
pub(crate) fn memory(engine: &Engine) -> u64 {
    let pid = note(engine)["control"].as_u64().unwrap();
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|it| it.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1_024
}

/// A counter of the sockets.
pub(crate) async fn counted(engine: &Engine, what: &str) -> u64 {
    let text = http::get(engine.http(), "/metrics").await.unwrap().text();
    let name = format!("hotline_sip_edge_total{{what=\"{what}\"}} ");
    text.lines().find_map(|it| it.strip_prefix(&name)?.trim().parse().ok()).unwrap_or(0)
}

/// What one stranger has sent and got.
struct Stranger {
    raw: RawUdp,
    n_in: usize,
    bytes_in: usize,
    n_out: usize,
    bytes_out: usize,
}

impl Stranger {
    async fn bind(ip: std::net::IpAddr) -> Self {
        let raw = RawUdp::bind(ip).await.unwrap();
        Self { raw, n_in: 0, bytes_in: 0, n_out: 0, bytes_out: 0 }
    }

    async fn send(&mut self, engine: &Engine, text: &str) {
        self.raw.send(engine.udp(), text.as_bytes()).await.unwrap();
        self.n_in += 1;
        self.bytes_in += text.len();
    }

    /// Takes what comes until nothing came for so long.
    async fn drain(&mut self, quiet: Duration) {
        while let Some(bytes) = self.raw.receive(quiet).await {
            self.n_out += 1;
            self.bytes_out += bytes.len();
        }
    }
}

/// Requests of strangers, ten times what a caller who is answered sends.
struct Flood<'a> {
    engine: &'a Engine,
    strangers: Vec<Stranger>,
    n: usize,
}

impl Flood<'_> {
    async fn ten_times_a_call(&mut self) {
        for method in ["INVITE", "REGISTER", "OPTIONS", "BYE"].iter().cycle().take(10 * 10) {
            self.n += 1;
            let n_strangers = self.strangers.len();
            let it = &mut self.strangers[self.n % n_strangers];
            let text = request(method, self.engine.udp(), it.raw.address(), "UDP");
            it.send(self.engine, &text.replace("raw-", &format!("raw-{}-", self.n))).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_calls_complete_in_a_flood_of_ten_times_their_load() {
    const CALLS: usize = 20;
    let sip_more = "[sip.flood]\nfriends = []\n".to_owned();
    let engine = Engine::start(Setup { sip_more, ..Setup::default() }).await;
    let mut strangers = Vec::new();
    for end in 1..=4 {
        strangers.push(Stranger::bind(std::net::Ipv4Addr::new(127, 0, 9, end).into()).await);
    }
    let before = memory(&engine);
    let mut flood = Flood { engine: &engine, strangers, n: 0 };
    for _ in 0..CALLS {
        let caller = engine.caller().await;
        flood.ten_times_a_call().await;
        caller.until_answered(SOON).await.unwrap();
        caller.hang_up();
        caller.until_ended(SOON).await.unwrap();
    }
    // An answer to somebody known means that all before it has been looked at.
    let known = RawUdp::bind(CARRIER).await.unwrap();
    let options = request("OPTIONS", engine.udp(), known.address(), "UDP");
    assert_eq!(known.ask(engine.udp(), options.as_bytes(), SOON).await, Some(200));
    for it in &mut flood.strangers {
        it.drain(Duration::from_millis(1_200)).await;
        assert!(it.n_out <= 20, "{} answers to {} requests", it.n_out, it.n_in);
        assert!(it.bytes_out <= it.bytes_in);
    }
    engine.until_counted("hotline_sip_edge_total{what=\"banned\"}").await;
    assert_eq!(counted(&engine, "banned").await, 4);
    let grown = memory(&engine).saturating_sub(before);
    assert!(grown <= 64 << 20, "{grown} bytes more");
    // The list, and the way back.
    let bans = engine.get("/api/v1/bans").await;
    assert_eq!(bans["items"].as_array().unwrap().len(), 4);
    let address = bans["items"][0]["address"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/bans/{address}/lift");
    assert_eq!(http::post(engine.http(), &path, &json!({})).await.unwrap().status, 200);
    assert_eq!(engine.get("/api/v1/bans").await["items"].as_array().unwrap().len(), 3);
    assert_eq!(http::post(engine.http(), &path, &json!({})).await.unwrap().status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_and_a_registered_telephone_ask_a_hundred_times_and_are_banned_only_as_strangers() {
    let sip_more = "[sip.flood]\nfriends = []\n".to_owned();
    let engine = Engine::start(Setup { sip_more, ..Setup::default() }).await;
    let telephone = Robot::bind(ELSEWHERE).await.unwrap();
    telephone.register(engine.udp(), "8001", PASSWORD).await.unwrap();
    let ask = async |raw: &RawUdp, n: usize, patience: Duration| {
        let text = request("OPTIONS", engine.udp(), raw.address(), "UDP");
        let text = text.replace("raw-", &format!("raw-{n}-"));
        raw.ask(engine.udp(), text.as_bytes(), patience).await
    };
    let [trunk, beside] = [CARRIER, ELSEWHERE].map(RawUdp::bind);
    let (trunk, beside) = (trunk.await.unwrap(), beside.await.unwrap());
    for n in 0..100 {
        for raw in [&trunk, &beside] {
            assert_eq!(ask(raw, n, SOON).await, Some(200), "{n} of {}", raw.address());
        }
    }
    assert_eq!(engine.get("/api/v1/bans").await["items"], json!([]));
    // The telephone goes, and whoever asks from there is a stranger.
    let never = Duration::ZERO;
    telephone.register_for(engine.udp(), "8001", PASSWORD, never).await.unwrap();
    let mut n_heard = 0;
    while ask(&beside, 100 + n_heard, Duration::from_secs(3)).await.is_some() {
        n_heard += 1;
        assert!(n_heard < 1_000, "a stranger is never banned");
    }
    let bans = engine.get("/api/v1/bans").await;
    assert_eq!(bans["items"][0]["address"], ELSEWHERE.to_string(), "{bans:#}");
    assert_eq!(ask(&trunk, 100, SOON).await, Some(200));
}

/// Of a request or a response, also in its compact form.
fn call_id(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let named = ["Call-ID:", "i:"];
    let value = named.iter().find_map(|name| text.lines().find_map(|it| it.strip_prefix(name)));
    value.unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_one_small_answer_to_a_request_whatever_its_method() {
    let engine = Engine::quick().await;
    let mut stranger = Stranger::bind(ELSEWHERE).await;
    let methods = [
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "REGISTER",
        "INFO",
        "UPDATE",
        "PRACK",
        "REFER",
        "NOTIFY",
        "SUBSCRIBE",
        "MESSAGE",
        "PUBLISH",
        "BREW",
    ];
    let mut sent = BTreeMap::new();
    for method in methods {
        let good = request(method, engine.udp(), stranger.raw.address(), "UDP");
        let cases = [
            good.clone(),
            good.replace(">\r\nCall-ID", ">;tag=guess\r\nCall-ID"),
            good.replace("\r\nContent-Length: 0", "\r\nContent-Length: 9"),
            good.replace("CSeq: 1 ", "CSeq: 99999999999 "),
            good.replace(";rport", ""),
            format!("{method} sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCall-ID: raw-\r\n\r\n"),
        ];
        for text in cases {
            let id = format!("raw-{}-", sent.len());
            let text = text.replace("raw-", &id);
            stranger.send(&engine, &text).await;
            sent.insert(call_id(text.as_bytes()), (method, text.len()));
        }
    }
    // As long as a repetition would take: nothing is sent again.
    while let Some(bytes) = stranger.raw.receive(Duration::from_millis(1_200)).await {
        let id = call_id(&bytes);
        let Some((method, length)) = sent.remove(&id) else { panic!("{id}: a second answer") };
        assert!(bytes.len() <= length, "{method}: {} to {length}", bytes.len());
        let status = status_of(&bytes).unwrap();
        let fine = matches!(status, 400 | 401 | 403 | 405 | 481 | 501);
        assert!(fine || (status == 200 && method == "OPTIONS"), "{method}: {status}");
    }
    assert!(sent.len() < 60, "nearly nothing was answered");
    assert_eq!(engine.get("/api/v1/calls").await["items"].as_array().unwrap().len(), 0);
    let robot = Robot::bind(OFFICE).await.unwrap();
    robot.register(engine.udp(), "8001", PASSWORD).await.unwrap();
}
