//! Carriers that are spoken to over TCP and TLS.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use hotline_sip::{Limits, StreamStep, split_stream};
use hotline_testkit::{Robot, raw::request};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket},
    task::AbortHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    accounts::{Carrier, answer},
    engine::{Engine, SOON, text},
    setup::{CARRIER, ENGINE, Setup},
};

/// A carrier's gateway over TLS. After its first answer it asks OPTIONS over the same connection.
struct Secure {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    n_connections: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Secure {
    /// Its certificate is for `sbc.example`.
    async fn bind(folder: &Path) -> Self {
        let own = rcgen::generate_simple_self_signed(["sbc.example".to_owned()]).unwrap();
        for (name, text) in [("crt", own.cert.pem()), ("key", own.signing_key.serialize_pem())] {
            fs::write(folder.join(name), text).unwrap();
        }
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(folder.join("crt")).unwrap()],
                PrivateKeyDer::from_pem_file(folder.join("key")).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((CARRIER, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let n_connections = Arc::<AtomicUsize>::default();
        let (note, n) = (Arc::clone(&heard), Arc::clone(&n_connections));
        let task = tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    n.fetch_add(1, Relaxed);
                    tokio::spawn(serve(stream, (from, address, "TLS"), Arc::clone(&note)));
                }
            }
        });
        Self { address, heard, n_connections, task: task.abort_handle() }
    }

    fn heard(&self, start: &str, has: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|it| it.starts_with(start) && it.contains(has))
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    (engine, own, transport): (SocketAddr, SocketAddr, &'static str),
    heard: Arc<Mutex<Vec<String>>>,
) {
    let mut buffer = Vec::new();
    let mut asked = false;
    while stream.read_buf(&mut buffer).await.is_ok_and(|n| n > 0) {
        while let StreamStep::Frame(n) = split_stream(&buffer, Limits::new()) {
            let frame: Vec<u8> = buffer.drain(..n).collect();
            let message = String::from_utf8_lossy(&frame).into_owned();
            let mut reply = answer(&message).unwrap_or_default();
            if !std::mem::replace(&mut asked, true) {
                reply += &request("OPTIONS", engine, own, transport);
            }
            heard.lock().unwrap().push(message);
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// The gateway is up, or not.
async fn until_up(engine: &Engine, address: SocketAddr, up: bool) {
    let of = |it: &Value| {
        let gateways = it["items"][0]["gateways"].as_array()?;
        let found = gateways.iter().find(|it| text(&it["address"]) == address.to_string())?;
        (found["up"] == up).then_some(())
    };
    engine.until("/api/v1/trunks", SOON, of).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_over_tls_proves_its_name_and_one_connection_carries_both_directions() {
    let folder = TempDir::new().unwrap();
    let carrier = Secure::bind(folder.path()).await;
    let impostor_folder = TempDir::new().unwrap();
    let impostor = Secure::bind(impostor_folder.path()).await;
    let at = folder.path().display();
    let sip = format!(
        "listen_tls = [\"{ENGINE}:0\"]\n[sip.tls]\ncertificate_file = \"{at}/crt\"\n\
         key_file = \"{at}/key\"\nca_file = \"{at}/crt\"\n"
    );
    let gateway = |address: SocketAddr, priority| {
        format!(
            "[[trunk.gateway]]\naddress = \"{address}\"\ntransport = \"tls\"\n\
             server_name = \"sbc.example\"\npriority = {priority}\n"
        )
    };
    let trunk_more = gateway(impostor.address, 1) + &gateway(carrier.address, 2);
    let engine = Engine::start(Setup { sip_more: sip, trunk_more, ..Setup::default() }).await;
    // A certificate of somebody else's authority is none.
    until_up(&engine, impostor.address, false).await;
    until_up(&engine, carrier.address, true).await;
    let agent = engine.busy_agent(1).await;
    engine.command(&agent.no, "dial", json!({"number": "13800138009"})).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    phone.until_ended(SOON).await.unwrap();
    assert!(carrier.heard("INVITE sip:13800138009@", "Via: SIP/2.0/TLS "));
    assert!(!impostor.heard("", ""), "not a word");
    let complete = |it: &Value| it["items"].get(0).filter(|it| it["complete"] == true).cloned();
    let record = engine.until("/api/v1/calls?called_no=13800138009", SOON, complete).await;
    // The carrier challenges, and the trunk has no account.
    assert_eq!(text(&record["outcome"]), "not_reached");
    // What the carrier asked over our connection was answered there.
    assert!(carrier.heard("SIP/2.0 200", "CSeq: 1 OPTIONS"));
    assert_eq!(carrier.n_connections.load(Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_cannot_be_opened_sends_the_call_to_the_next_gateway() {
    // Bound, so that nobody else gets the port, and not listening.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind(SocketAddr::new(CARRIER, 0)).unwrap();
    let closed_at = closed.local_addr().unwrap();
    let carrier = Robot::bind(CARRIER).await.unwrap();
    let trunk_more = format!(
        "[[trunk.gateway]]\naddress = \"{closed_at}\"\ntransport = \"tcp\"\npriority = 1\n\
         [[trunk.gateway]]\naddress = \"{}\"\npriority = 2\n",
        carrier.address()
    );
    let setup = Setup { trunk_more, options_probes: false, ..Setup::default() };
    let engine = Engine::start(setup).await;
    let agent = engine.busy_agent(1).await;
    engine.command(&agent.no, "dial", json!({"number": "13800138010"})).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    let party = carrier.incoming(SOON).await.unwrap();
    party.answer();
    engine.until_state(&agent, "talking").await;
    phone.hang_up();
    party.until_ended(SOON).await.unwrap();
    engine.until_counted("hotline_sip_edge_total{what=\"connect_failed\"}").await;
    let refused = "hotline_calls_out_refused_total{trunk=\"carrier\"}";
    engine.until_counted(refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_follows_the_rules_of_its_trunk_though_another_has_the_same_gateway() {
    let carrier = Carrier::bind().await;
    // By its address the gateway is the first trunk's.
    let trunk_more = format!(
        "[[trunk.gateway]]\naddress = \"{at}\"\n\
         [[trunk]]\nid = \"other\"\nsources = [\"127.0.0.8\"]\nnumbers = [\"077112328\"]\n\
         rules = \"marks\"\n\
         [[trunk.gateway]]\naddress = \"{at}\"\n\
         [[rules]]\nid = \"marks\"\n\
         [[rules.header]]\nname = \"a mark\"\ndirection = \"out\"\nmethods = [\"INVITE\"]\n\
         action = \"add\"\nheader = \"X-Trunk\"\nvalue = \"other\"\n\
         [[route]]\nprefixes = [\"138\"]\nto = [\"other\"]\n\
         [[route]]\nprefixes = [\"139\"]\nto = [\"carrier\"]\n",
        at = carrier.address
    );
    let engine = Engine::start(Setup { trunk_more, ..Setup::default() }).await;
    let agent = engine.busy_agent(1).await;
    for number in ["13800138012", "13900138012"] {
        engine.command(&agent.no, "dial", json!({"number": number})).await;
        let phone = agent.robot.incoming(SOON).await.unwrap();
        phone.answer();
        phone.until_ended(SOON).await.unwrap();
        engine.until_state(&agent, "busy").await;
    }
    assert!(carrier.heard("INVITE sip:13800138012@", "X-Trunk: other\r\n").is_some());
    let plain = carrier.heard("INVITE sip:13900138012@", "").unwrap();
    assert!(!plain.contains("X-Trunk"), "{plain}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_rules_make_too_large_for_a_datagram_goes_by_a_stream() {
    let carrier = Carrier::bind().await;
    let listener = TcpListener::bind(carrier.address).await.unwrap();
    let by_stream = Arc::<Mutex<Vec<String>>>::default();
    let (note, own) = (Arc::clone(&by_stream), carrier.address);
    let streams = tokio::spawn(async move {
        while let Ok((stream, from)) = listener.accept().await {
            tokio::spawn(serve(stream, (from, own, "TCP"), Arc::clone(&note)));
        }
    });
    let rule = |name| {
        format!(
            "[[rules.header]]\nname = \"{name}\"\ndirection = \"out\"\nmethods = [\"INVITE\"]\n\
             action = \"add\"\nheader = \"{name}\"\nvalue = \"{}\"\n",
            "x".repeat(500)
        )
    };
    let trunk_more = format!(
        "[[trunk.gateway]]\naddress = \"{own}\"\n[[rules]]\nid = \"long\"\n{}{}",
        rule("X-One"),
        rule("X-Two")
    );
    let trunk_keys = "rules = \"long\"\n";
    let engine = Engine::start(Setup { trunk_more, trunk_keys, ..Setup::default() }).await;
    let agent = engine.busy_agent(1).await;
    engine.command(&agent.no, "dial", json!({"number": "13800138013"})).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    phone.until_ended(SOON).await.unwrap();
    let refused = async {
        while !by_stream.lock().unwrap().iter().any(|it| it.starts_with("ACK ")) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, refused).await.unwrap();
    let heard = by_stream.lock().unwrap().clone();
    let invite = heard.iter().find(|it| it.starts_with("INVITE sip:13800138013@")).unwrap();
    assert!(invite.contains("Via: SIP/2.0/TCP ") && invite.contains("X-Two: x"), "{invite}");
    assert!(invite.len() > 1_300 && invite.len() - 2 * 510 <= 1_300, "by the rules alone");
    assert!(carrier.heard("INVITE", "").is_none());
    streams.abort();
}
