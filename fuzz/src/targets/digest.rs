//! Digest both ways: the first line is a challenge that we get, the others are the answer that
//! somebody gives to ours.

use std::net::SocketAddr;

use hotline_base::{Extension, MonoTime, Now, WallTime};
use hotline_sip::{
    Account, Admit, Challenges, Config, Credentials, Endpoint, Flow, Message, MessageBuilder,
    Output, Secret, Transport,
};

use crate::trace::Trace;

pub(super) const WORDS: &[&str] = &[
    "Digest ",
    "Basic ",
    "realm=\"hotline\"",
    "nonce=\"",
    "algorithm=MD5",
    "algorithm=SHA-256",
    "qop=\"auth,auth-int\"",
    "qop=auth",
    "stale=true",
    "opaque=\"",
    "nc=00000001",
    "cnonce=\"c\"",
    "username=\"1001\"",
    "uri=\"sip:hotline\"",
    "response=\"",
    "userhash=true",
    "username*=",
    ",",
];

const PASSWORD: &str = "nobody-guesses-this";

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut trace = Trace::new();
    let mut lines = bytes.splitn(2, |it| *it == b'\n');
    let asked = lines.next().unwrap_or_default();
    let told = lines.next().unwrap_or_default();
    challenged(asked, &mut trace);
    registering(told, &mut trace);
    trace.end()
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: SocketAddr::from(([192, 0, 2, 99], 5060)),
        remote: SocketAddr::from(([192, 0, 2, 1], 5060)),
        conn: None,
    }
}

fn heads(it: MessageBuilder) -> MessageBuilder {
    it.header("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
        .header("From", "<sip:1001@hotline>;tag=1")
        .header("To", "<sip:1001@hotline>")
        .header("Call-ID", "c")
        .header("CSeq", "1 REGISTER")
}

fn challenged(asked: &[u8], trace: &mut Trace) {
    let request = heads(MessageBuilder::request("REGISTER", b"sip:hotline")).end();
    let request = Message::parse(&request).expect("ours");
    let it = heads(MessageBuilder::response(401, "Unauthorized"));
    let Ok(response) = Message::parse(&it.header("WWW-Authenticate", asked).end()) else { return };
    let us = Credentials {
        user: "8677112345".to_owned(),
        secret: Secret::Password(PASSWORD.to_owned()),
        realm: None,
        hops: vec![flow().remote.ip()],
        challenges: Challenges::Sha256AndMd5,
    };
    match us.answer(flow(), &response, &request, "cnonce") {
        Ok((name, value)) => {
            trace.note(name);
            trace.flag(value.contains("SHA-256"));
            trace.flag(value.contains("qop="));
            assert!(!value.contains(PASSWORD) && value.len() <= 2 * asked.len() + 1_000);
            assert!(!value.contains(['\r', '\n', '\0']), "{value:?}");
        }
        Err(why) => trace.note(&format!("{why:?}")),
    }
}

fn registering(told: &[u8], trace: &mut Trace) {
    let it = heads(MessageBuilder::request("REGISTER", b"sip:hotline"));
    let text = it.header("Authorization", told).header("Contact", "<sip:a@192.0.2.1>").end();
    let Ok(message) = Message::parse(&text) else { return trace.note("unread") };
    let mut config = Config::new("hotline", "192.0.2.99".parse().expect("an address"), [3; 32]);
    let account = Account::new(PASSWORD).with(Challenges::Sha256AndMd5);
    config.accounts.insert(Extension::new("1001"), account);
    let mut endpoint = Endpoint::new(config, 1, 1);
    let now = Now { mono: MonoTime(0), wall: WallTime(1_800_000_000_000) };
    endpoint.handle_message(flow(), message, Admit::Stranger, now);
    let (mut n, mut bytes_out) = (0, 0);
    while let Some(output) = endpoint.poll_output() {
        match output {
            Output::Transmit { bytes, .. } => {
                n += 1;
                bytes_out += bytes.len();
                let line = String::from_utf8_lossy(bytes.get(8..11).unwrap_or_default());
                assert!(matches!(&*line, "400" | "401" | "403"), "{line}");
                trace.note(&line);
            }
            Output::Event(_) => trace.note("event"),
        }
    }
    assert!(n <= 1 && bytes_out <= text.len(), "{n} answers, {bytes_out} for {}", text.len());
    assert_eq!((endpoint.n_legs(), endpoint.n_transactions()), (0, 0));
    assert_eq!(endpoint.contacts_of(&Extension::new("1001"), now), vec![]);
}
