//! A trunk with an account: it registers, proves its calls, and is called by its Contact.

use std::{
    fmt::Write as _,
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use hotline_testkit::{
    Outgoing,
    raw::{RawUdp, request},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::UdpSocket, task::AbortHandle};

use crate::{
    engine::{Engine, Role, SOON, text},
    setup::{CARRIER, Setup},
};

/// A carrier's registrar and gateway. It challenges every REGISTER and INVITE; the called party is
/// always busy.
pub(crate) struct Carrier {
    pub(crate) address: SocketAddr,
    /// What it was asked, oldest first.
    heard: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Carrier {
    pub(crate) async fn bind() -> Self {
        let socket = UdpSocket::bind((CARRIER, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let note = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((n, from)) = socket.recv_from(&mut buffer).await {
                let request = String::from_utf8_lossy(&buffer[..n]).into_owned();
                if let Some(answer) = answer(&request) {
                    socket.send_to(answer.as_bytes(), from).await.unwrap();
                }
                note.lock().unwrap().push(request);
            }
        });
        Self { address, heard, task: task.abort_handle() }
    }

    /// The newest request of this method that has this header.
    pub(crate) fn heard(&self, method: &str, has: &str) -> Option<String> {
        let all = self.heard.lock().unwrap();
        all.iter().rev().find(|it| it.starts_with(method) && it.contains(has)).cloned()
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a carrier answers who knows nobody but its accounts, and whose called parties are all busy.
pub(crate) fn answer(request: &str) -> Option<String> {
    let asks = |it: &str| {
        format!("{it}-Authenticate: Digest realm=\"ims.example\",nonce=\"n\",algorithm=MD5\r\n")
    };
    let method = request.split(' ').next()?;
    let (status, more) = match method {
        "REGISTER" if !request.contains("\r\nAuthorization: ") => ("401 Who", asks("WWW")),
        "REGISTER" => {
            let contact = request.lines().find(|it| it.starts_with("Contact: "))?;
            let more =
                format!("{contact};expires=1800\r\nService-Route: <sip:scscf.example;lr>\r\n");
            ("200 OK", more)
        }
        "INVITE" if !request.contains("\r\nProxy-Authorization: ") => ("407 Who", asks("Proxy")),
        "INVITE" => ("486 Busy Here", String::new()),
        "OPTIONS" => ("200 OK", String::new()),
        _ => return None,
    };
    let copied = ["via:", "from:", "to:", "call-id:", "cseq:"];
    let mut response = format!("SIP/2.0 {status}\r\n{more}");
    for line in request.lines() {
        let name = line.to_lowercase();
        if copied.iter().any(|it| name.starts_with(it)) {
            let tag = if name.starts_with("to:") { ";tag=carrier" } else { "" };
            write!(response, "{line}{tag}\r\n").unwrap();
        }
    }
    Some(response + "Content-Length: 0\r\n\r\n")
}

fn password(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("password");
    fs::write(&path, "secret\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

async fn registered(carrier: &Carrier, folder: &TempDir) -> Engine {
    let more = format!(
        "[[trunk.gateway]]\naddress = \"{}\"\n\
         [[trunk.account]]\nuser = \"hotline-nn\"\ndomain = \"ims.example\"\n\
         auth_user = \"nn@ims.example\"\npassword_file = \"{}\"\ndigest = [\"MD5\"]\n\
         number = \"077112345\"\n",
        carrier.address,
        password(folder).display()
    );
    let engine = Engine::start(Setup { trunk_more: more, ..Setup::default() }).await;
    let account = |it: &Value| {
        let account = &it["items"][0]["accounts"][0];
        (account["registered"] == true).then(|| account.clone())
    };
    let account = engine.until("/api/v1/trunks", SOON, account).await;
    assert_eq!(
        (text(&account["user"]), text(&account["status"])),
        ("hotline-nn".into(), "200".into())
    );
    assert_eq!(text(&account["gateway"]), carrier.address.to_string());
    engine
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_trunk_proves_its_calls_and_is_called_by_its_contact() {
    let (carrier, folder) = (Carrier::bind().await, TempDir::new().unwrap());
    let engine = registered(&carrier, &folder).await;
    let label = "hotline_trunk_registered{trunk=\"carrier\",account=\"hotline-nn\"}";
    engine.until_counted(label).await;
    let statistics = engine.get("/api/v1/trunks/statistics?by=carrier").await;
    let own = &statistics["carriers"][0];
    assert_eq!((&own["accounts"], &own["accounts_registered"]), (&json!(1), &json!(1)), "{own:#}");
    let register = carrier.heard("REGISTER", "Authorization: Digest").unwrap();
    assert!(register.starts_with("REGISTER sip:ims.example SIP/2.0\r\n"), "{register}");
    assert!(register.contains("username=\"nn@ims.example\""), "{register}");
    assert!(register.contains("To: <sip:hotline-nn@ims.example>\r\n"), "{register}");

    // Out: the carrier challenges the INVITE.
    let agent = engine.busy_agent(1).await;
    engine.command(&agent.no, "dial", json!({"number": "13800138007"})).await;
    let phone = agent.robot.incoming(SOON).await.unwrap();
    phone.answer();
    phone.until_ended(SOON).await.unwrap();
    let invite = carrier.heard("INVITE", "Proxy-Authorization: Digest").unwrap();
    assert!(invite.starts_with("INVITE sip:13800138007@ims.example SIP/2.0\r\n"), "{invite}");
    assert!(invite.contains("Route: <sip:scscf.example;lr>\r\n"), "{invite}");
    assert!(invite.contains("From: <sip:hotline-nn@ims.example>;"), "{invite}");
    assert!(invite.contains("P-Asserted-Identity: <sip:077112345@ims.example>\r\n"), "{invite}");
    let complete = |it: &Value| it["items"].get(0).filter(|it| it["complete"] == true).cloned();
    let record = engine.until("/api/v1/calls?called_no=13800138007", SOON, complete).await;
    assert_eq!(
        (text(&record["outcome"]), text(&record["reason"])),
        ("not_reached".into(), "busy".into())
    );

    // In: to the Contact, which is no number at all.
    let to = "hotline-nn".to_owned();
    let from_user = "13900139007".to_owned();
    let caller = engine.dial(Outgoing { to, from_user, ..Outgoing::default() }).await;
    caller.until_answered(SOON).await.unwrap();
    caller.hang_up();
    let record = engine.record_of("13900139007").await;
    assert_eq!(
        (text(&record["called_no"]), text(&record["trunk"])),
        ("077112345".into(), "carrier".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_end_takes_the_registration_back() {
    let (carrier, folder) = (Carrier::bind().await, TempDir::new().unwrap());
    let mut engine = registered(&carrier, &folder).await;
    engine.stop().await;
    assert!(carrier.heard("REGISTER", "Expires: 0\r\n").is_some());
}

/// The header of this name, with its name.
fn line_of<'a>(message: &'a str, name: &str) -> &'a str {
    message.lines().find(|it| it.starts_with(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_control_proves_who_hangs_up_a_call_that_outlived_the_one_before() {
    let (carrier, folder) = (Carrier::bind().await, TempDir::new().unwrap());
    let mut engine = registered(&carrier, &folder).await;
    let gateway = RawUdp::bind(CARRIER).await.unwrap();
    let here = gateway.address();
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n",
        ip = here.ip()
    );
    let plain = request("INVITE", engine.udp(), here, "UDP");
    let body =
        format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
    let invite = plain.replace("Content-Length: 0\r\n\r\n", &body);
    gateway.send(engine.udp(), invite.as_bytes()).await.unwrap();
    let answered = loop {
        let it = String::from_utf8(gateway.receive(SOON).await.unwrap()).unwrap();
        if it.starts_with("SIP/2.0 200 ") {
            break it;
        }
    };
    let ack = request("ACK", engine.udp(), here, "UDP");
    let ack = ack.replace(line_of(&ack, "To: "), line_of(&answered, "To: "));
    gateway.send(engine.udp(), ack.as_bytes()).await.unwrap();
    engine.until_kept("call/").await;
    engine.kill(Role::Control).await;
    // Who was in a flow is released. The carrier wants to know by whom.
    let mut proven = None;
    while proven.is_none() {
        let it = String::from_utf8(gateway.receive(SOON).await.unwrap()).unwrap();
        if !it.starts_with("BYE ") {
            continue;
        }
        let is_proven = it.contains("\r\nProxy-Authorization: Digest username=\"nn@ims.example\"");
        let (status, more) = if is_proven {
            ("200 OK", "")
        } else {
            let ask =
                "Proxy-Authenticate: Digest realm=\"ims.example\",nonce=\"n\",algorithm=MD5\r\n";
            ("407 Who", ask)
        };
        let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].map(|name| line_of(&it, name));
        let response = format!(
            "SIP/2.0 {status}\r\n{}\r\n{more}Content-Length: 0\r\n\r\n",
            copied.join("\r\n")
        );
        gateway.send(engine.udp(), response.as_bytes()).await.unwrap();
        proven = is_proven.then_some(it);
    }
    engine.record_of("13800138000").await;
}
