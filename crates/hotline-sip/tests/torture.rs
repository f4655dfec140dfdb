//! The torture messages of RFC 4475 (49, from its Appendix A) and RFC 5118 (12), byte for byte as
//! the RFCs give them, each given to an endpoint that has an account and no call, as a datagram and
//! torn into pieces over a stream. What each must get is in the tables, with the RFC's section.
//! After each, an OPTIONS must be answered and nothing may be left behind.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{fs, net::SocketAddr, path::Path};

use hotline_base::{ConnId, Extension, MonoTime, Now, WallTime};
use hotline_sip::{
    Account, Admit, Config, Endpoint, Event, Flow, Limits, Malformed, Message, Output, StreamStep,
    Transport, split_stream,
};

/// What must come of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Must {
    /// A call that is offered to the layer above.
    Ring,
    /// A request that is answered with this status.
    Get(u16),
    /// A response that can be read and belongs to nothing: dropped without a word.
    Drop,
    /// A response that cannot be read: dropped without a word.
    Unreadable,
}
use Must::{Drop, Get, Ring, Unreadable};

const RFC_4475: &[(&str, &str, Must)] = &[
    // 3.1.1: valid messages.
    // Its To has a tag of no dialog of ours (RFC 3261 §12.2.2).
    ("3.1.1.1", "wsinv", Get(481)),
    ("3.1.1.2", "intmeth", Get(501)),
    ("3.1.1.3", "esc01", Ring),
    // A REGISTER without credentials, here and below; an unknown user is not told from a known one.
    ("3.1.1.4", "escnull", Get(401)),
    ("3.1.1.5", "esc02", Get(501)),
    ("3.1.1.6", "lwsdisp", Get(200)),
    ("3.1.1.7", "longreq", Ring),
    // Only the REGISTER before the trailing octets is looked at.
    ("3.1.1.8", "dblreq", Get(401)),
    ("3.1.1.9", "semiuri", Get(200)),
    ("3.1.1.10", "transports", Get(200)),
    // MESSAGE is not for us; the body is well-formed and is not looked at.
    ("3.1.1.11", "mpart01", Get(405)),
    ("3.1.1.12", "unreason", Drop),
    ("3.1.1.13", "noreason", Drop),
    // 3.1.2: invalid messages. Where the RFC lets an element be liberal, we are if the meaning is
    // certain.
    ("3.1.2.1", "badinv01", Get(400)),
    ("3.1.2.2", "clerr", Get(400)),
    ("3.1.2.3", "ncl", Get(400)),
    ("3.1.2.4", "scalar02", Get(400)),
    ("3.1.2.5", "scalarlg", Unreadable),
    ("3.1.2.6", "quotbal", Get(400)),
    ("3.1.2.7", "ltgtruri", Get(400)),
    ("3.1.2.8", "lwsruri", Get(400)),
    ("3.1.2.9", "lwsstart", Ring),
    ("3.1.2.10", "trws", Get(200)),
    // The headers escaped in the request URI are ignored.
    ("3.1.2.11", "escruri", Ring),
    // Date says nothing to us; the RFC permits both.
    ("3.1.2.12", "baddate", Ring),
    // Who he is comes before what he wants (RFC 3261 §10.3).
    ("3.1.2.13", "regbadct", Get(401)),
    ("3.1.2.14", "badaspec", Get(200)),
    ("3.1.2.15", "baddn", Get(200)),
    ("3.1.2.16", "badvers", Get(505)),
    ("3.1.2.17", "mismatch01", Get(400)),
    ("3.1.2.18", "mismatch02", Get(400)),
    ("3.1.2.19", "bigcode", Unreadable),
    // 3.2: transaction layer. A branch of only the cookie is matched as RFC 2543 did.
    ("3.2.1", "badbranch", Get(200)),
    // 3.3: application layer.
    ("3.3.1", "insuf", Get(400)),
    ("3.3.2", "unkscm", Get(416)),
    ("3.3.3", "novelsc", Get(416)),
    ("3.3.4", "unksm2", Get(401)),
    ("3.3.5", "bext01", Get(420)),
    ("3.3.6", "invut", Get(415)),
    ("3.3.7", "regaut01", Get(401)),
    ("3.3.8", "multi01", Get(400)),
    ("3.3.9", "mcl01", Get(400)),
    ("3.3.10", "bcast", Drop),
    ("3.3.11", "zeromf", Get(200)),
    ("3.3.12", "cparam01", Get(401)),
    ("3.3.13", "cparam02", Get(401)),
    ("3.3.14", "regescrt", Get(401)),
    ("3.3.15", "sdp01", Get(406)),
    // 3.4: backward compatibility.
    ("3.4.1", "inv2543", Ring),
];

const RFC_5118: &[(&str, &str, Must)] = &[
    ("4.1", "ipv6-good", Get(401)),
    ("4.2", "ipv6-bad", Get(400)),
    // Well-formed; the port is read as a part of the address, which is all an element can do.
    ("4.3", "port-ambiguous", Get(401)),
    ("4.4", "port-unambiguous", Get(401)),
    // BYE of no dialog.
    ("4.5", "via-received-param-with-delim", Get(481)),
    ("4.5", "via-received-param-no-delim", Get(200)),
    ("4.6", "ipv6-in-sdp", Ring),
    ("4.7", "mult-ip-in-header", Get(481)),
    ("4.8", "mult-ip-in-sdp", Ring),
    ("4.9", "ipv4-mapped-ipv6", Ring),
    // "Implementations MUST tolerate" the third colon that RFC 3261's grammar let through.
    ("4.10", "ipv6-bug-abnf-3-colons", Get(200)),
    ("4.10", "ipv6-correct-abnf-2-colons", Get(200)),
];

#[test]
fn rfc_4475_all_49_are_treated_as_the_rfc_asks() {
    assert_eq!(RFC_4475.len(), 49);
    torture("rfc4475", ".dat", RFC_4475);
}

#[test]
fn rfc_5118_all_12_are_treated_as_the_rfc_asks() {
    assert_eq!(RFC_5118.len(), 12);
    torture("rfc5118", "", RFC_5118);
}

fn torture(folder: &str, ending: &str, table: &[(&str, &str, Must)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture").join(folder);
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        table.len(),
        "a message is not in the table"
    );
    let mut wrong = Vec::new();
    for (section, name, must) in table {
        let bytes = fs::read(folder.join(format!("{name}{ending}"))).unwrap();
        for transport in [Transport::Udp, Transport::Tcp] {
            let got = over(transport, &bytes);
            if got != Ok(*must) {
                wrong.push(format!("{section} {name} over {transport:?}: {must:?}, not {got:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn over(transport: Transport, bytes: &[u8]) -> Result<Must, String> {
    let mut config = Config::new("hotline", "192.0.2.99".parse().unwrap(), [3; 32]);
    config.accounts.insert(Extension::new("1001"), Account::new("secret"));
    let mut endpoint = Endpoint::new(config, 1, 1);
    let flow = Flow {
        transport,
        local: SocketAddr::from(([192, 0, 2, 99], 5060)),
        remote: SocketAddr::from(([192, 0, 2, 1], 5060)),
        conn: transport.is_reliable().then_some(ConnId(1)),
    };
    let got = match framed(transport, bytes).map(|it| Message::parse(&it)) {
        Some(Ok(message)) => take(&mut endpoint, flow, message),
        Some(Err(Malformed { reply, .. })) => match reply {
            Some(reply) => Ok(Get(status(&reply))),
            None if bytes.starts_with(b"SIP/") => Ok(Unreadable),
            None => Err("a malformed request without an answer".to_owned()),
        },
        // The frame's end is not known: the connection is the answer.
        None if bytes.starts_with(b"SIP/") => Ok(Unreadable),
        None => Ok(Get(400)),
    };
    let ping = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKping\r\n\
                From: <sip:p@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: ping\r\nCSeq: 1 OPTIONS\r\n\
                Content-Length: 0\r\n\r\n";
    let ping = Message::parse(ping.as_bytes()).unwrap();
    assert_eq!(take(&mut endpoint, flow, ping), Ok(Get(200)));
    let kept = usize::from(got == Ok(Ring));
    assert_eq!((endpoint.n_legs(), endpoint.n_transactions()), (kept, kept));
    got
}

/// Over a stream the message comes one byte after the other.
fn framed(transport: Transport, bytes: &[u8]) -> Option<Vec<u8>> {
    if !transport.is_reliable() {
        return Some(bytes.to_vec());
    }
    let mut buffer = Vec::new();
    for byte in bytes {
        buffer.push(*byte);
        match split_stream(&buffer, Limits::new()) {
            StreamStep::NeedMore => (),
            StreamStep::Frame(n) => return Some(buffer.get(..n).unwrap().to_vec()),
            StreamStep::KeepAlive(n, _) => drop(buffer.drain(..n)),
            StreamStep::Broken { .. } => return None,
        }
    }
    None
}

fn take(endpoint: &mut Endpoint, flow: Flow, message: Message) -> Result<Must, String> {
    let is_response = message.status().is_some();
    endpoint.handle_message(flow, message, Admit::Trusted, now());
    let (mut said, mut invited, mut events) = (Vec::new(), false, Vec::new());
    while let Some(output) = endpoint.poll_output() {
        match output {
            Output::Transmit { bytes, .. } => said.push(status(&bytes)),
            Output::Event(event) => {
                invited |= matches!(event, Event::Invited(_));
                events.push(event);
            }
        }
    }
    match said[..] {
        [100] if invited => Ok(Ring),
        [] if is_response => Ok(Drop),
        [status] => Ok(Get(status)),
        _ => Err(format!("said {said:?} and {events:?}")),
    }
}

/// Of an answer, which may repeat what nobody can read.
fn status(bytes: &[u8]) -> u16 {
    let line = str::from_utf8(bytes.get(..11).unwrap()).unwrap();
    line.strip_prefix("SIP/2.0 ").expect("an answer").parse().unwrap()
}

const fn now() -> Now {
    Now { mono: MonoTime(0), wall: WallTime(1_800_000_000_000) }
}
