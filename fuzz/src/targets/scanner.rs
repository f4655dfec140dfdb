//! A datagram, and the same bytes in a stream.

use std::net::SocketAddr;

use hotline_base::ConnId;
use hotline_sip::{
    Flow, Limits, MESSAGE_MAX, Message, StreamStep, Transport, next_start, split_stream,
};

use crate::trace::Trace;

pub(super) const WORDS: &[&str] = &[
    "SIP/2.0",
    "INVITE sip:1@h SIP/2.0\r\n",
    "Content-Length: ",
    "l:",
    "v: SIP/2.0/UDP h;branch=z9hG4bK1\r\n",
    "CSeq: 1 INVITE\r\n",
    "Max-Forwards: 70\r\n",
    "Content-Type: application/sdp\r\n",
    "\r\n\r\n",
    "\n ",
    "\r\n\t",
    "Call-ID: c\r\n",
    "f: <sip:a@b>;tag=1\r\n",
    "t: <sip:a@b>\r\n",
    "rport",
    ";received=",
];

/// Every header the engine looks for.
const NAMES: [&str; 12] = [
    "Via",
    "From",
    "To",
    "Contact",
    "Route",
    "Record-Route",
    "P-Asserted-Identity",
    "Diversion",
    "History-Info",
    "Reason",
    "Require",
    "Session-Expires",
];

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut trace = Trace::new();
    datagram(bytes, &mut trace);
    stream(bytes, &mut trace);
    trace.end()
}

fn datagram(bytes: &[u8], trace: &mut Trace) {
    let flow = Flow {
        transport: Transport::Udp,
        local: SocketAddr::from(([192, 0, 2, 99], 5060)),
        remote: SocketAddr::from(([192, 0, 2, 1], 4711)),
        conn: None,
    };
    match Message::parse_from(flow, bytes, Limits::new()) {
        Ok(it) => {
            look(&it, trace);
            let again = Message::parse(it.bytes()).expect("what was read is read again");
            assert_eq!(again.bytes(), it.bytes());
            assert!(it.bytes().len() <= bytes.len() && it.n_headers() <= Limits::new().headers);
        }
        Err(it) => {
            trace.note(&it.why.to_string());
            trace.flag(it.reply.is_some());
            let Some(reply) = it.reply else { return };
            assert!(reply.len() <= bytes.len(), "{} for {}", reply.len(), bytes.len());
            assert!(reply.starts_with(b"SIP/2.0 "));
        }
    }
}

fn look(it: &Message, trace: &mut Trace) {
    trace.note(it.known_method().name());
    trace.note(&it.status().map_or(0, |it| it / 100).to_string());
    trace.count(it.n_headers());
    for name in NAMES {
        let n = it.values(name).count();
        let read = it.name_addr(name);
        if n > 0 {
            trace.flag(read.is_some());
        }
        if let Some(read) = read {
            let _ = (read.display(), read.tag());
            trace.flag(read.uri().is_some());
        }
    }
    let via = it.top_via().expect("a message has a Via that can be read");
    trace.flag(via.branch().starts_with(b"z9hG4bK"));
    assert!(!it.call_id().is_empty() && it.cseq().number < 1 << 31);
    let _ = (it.reason(), it.from_tag(), it.to_tag());
    trace.count(it.body().len());
    trace.flag(it.sdp().is_some());
    trace.note(it.request_uri().map_or("", |_| "uri"));
}

/// Goes through the bytes as a connection's reader does.
fn stream(bytes: &[u8], trace: &mut Trace) {
    let (limits, mut rest) = (Limits::new(), bytes);
    let flow = Flow {
        transport: Transport::Tcp,
        local: SocketAddr::from(([192, 0, 2, 99], 5060)),
        remote: SocketAddr::from(([192, 0, 2, 1], 4711)),
        conn: Some(ConnId(1)),
    };
    for _ in 0..64 {
        match split_stream(rest, limits) {
            StreamStep::NeedMore => {
                assert!(rest.len() <= MESSAGE_MAX, "{} bytes wait", rest.len());
                return trace.note("more");
            }
            StreamStep::Frame(n) => {
                assert!(n > 0 && n <= rest.len().min(MESSAGE_MAX), "{n} of {}", rest.len());
                trace.flag(Message::parse_from(flow, &rest[..n], limits).is_ok());
                rest = &rest[n..];
            }
            StreamStep::KeepAlive(n, pong) => {
                assert!(n > 0 && n <= rest.len());
                trace.flag(pong);
                rest = &rest[n..];
            }
            StreamStep::Broken { why, head, end } => {
                trace.note(&why.to_string());
                assert!(head <= rest.len() && end.is_none_or(|it| it >= head.max(1)));
                let reply = Message::answer_head(flow, &rest[..head], why);
                assert!(reply.is_none_or(|it| it.len() <= head));
                let after = rest.get(end.unwrap_or(head.max(1))..).unwrap_or_default();
                let (n, found) = next_start(after, limits);
                assert!(n <= after.len());
                trace.flag(found);
                rest = &after[n..];
                if !found {
                    return;
                }
            }
        }
    }
}
