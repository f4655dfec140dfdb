//! Stories of single messages.

use super::*;
use crate::{Flow, Transport};

/// An INVITE as a carrier sends it, with more headers before the body.
fn invite(more: &str, body: &str) -> Vec<u8> {
    format!(
        "INVITE sip:12345@10.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKa;rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:13800138000@ims>;tag=f1\r\nTo: <sip:12345@ims>\r\n\
         Call-ID: c1@ims\r\nCSeq: 1 INVITE\r\nContact: <sip:10.0.0.9>\r\n{more}\r\n{body}"
    )
    .into_bytes()
}

fn check_fault(bytes: &[u8], why: PeerMisbehaved, status: Option<&str>) {
    let it = Message::parse(bytes).unwrap_err();
    assert_eq!(it.why, why);
    let reply = it.reply.map(|it| String::from_utf8_lossy(&it).into_owned());
    let first = reply.as_deref().and_then(|it| it.get(8..11));
    assert_eq!(first, status, "{reply:?}");
}

fn swap(bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    String::from_utf8(bytes).unwrap().replacen(from, to, 1).into_bytes()
}

#[test]
fn a_carriers_invite_is_read_in_place() {
    let it = Message::parse(&invite("Content-Length: 3\r\nX-A: b\r\n", "v=0")).unwrap();
    assert_eq!(it.known_method(), Method::Invite);
    assert_eq!(it.request_uri().unwrap().user, "12345");
    assert_eq!((it.call_id(), it.from_tag(), it.to_tag()), (&b"c1@ims"[..], &b"f1"[..], &b""[..]));
    assert_eq!((it.cseq().number, it.body(), it.header("x-a")), (1, &b"v=0"[..], Some(&b"b"[..])));
    assert_eq!(it.top_via().unwrap().branch(), b"z9hG4bKa");
    assert_eq!(format!("{it:?}"), "Message(INVITE)");
}

#[test]
fn compact_names_folding_bare_line_feeds_and_leading_breaks_are_taken() {
    let text = "\r\n\r\n\
    OPTIONS sip:a@b SIP/2.0\nv: SIP / 2.0\n /UDP 10.0.0.9;branch=1,\n  SIP/2.0/UDP h2\n\
        f: \"a\n b\" <sip:x@y>;tag=1\nt : <sip:a@b>\ni:  c2\nCSeq: 0009\n  OPTIONS\nl:0\n\n";
    let it = Message::parse(text.as_bytes()).unwrap();
    assert_eq!((it.call_id(), it.cseq().number, it.values("Via").count()), (&b"c2"[..], 9, 2));
    assert_eq!(it.name_addr("From").unwrap().display(), "a  b");
    assert_eq!(it.top_via().unwrap().transport, b"UDP");
}

#[test]
fn gbk_bytes_cost_neither_header_nor_body_and_stay_exact() {
    let mut bytes = invite("", "");
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(
        b"X-Name: \xD5\xC5\xC8\xFD\r\nP-Asserted-Identity: \"\xD5\x5C\" <tel:123>\r\n",
    );
    bytes.extend_from_slice(b"\r\n\xFF\x00\x01body");
    let it = Message::parse(&bytes).unwrap();
    assert_eq!(it.bytes(), bytes);
    assert_eq!(
        (it.header("X-Name"), it.body()),
        (Some(&b"\xD5\xC5\xC8\xFD"[..]), &b"\xFF\x00\x01body"[..])
    );
    assert_eq!(it.name_addr("P-Asserted-Identity").unwrap().display(), "\u{8AA0}");
}

#[test]
fn without_content_length_a_datagram_ends_the_body_and_with_it_the_rest_is_dropped() {
    assert_eq!(Message::parse(&invite("", "v=0\r\n")).unwrap().body(), b"v=0\r\n");
    let it = Message::parse(&invite("Content-Length: 2\r\n", "v=0\r\n")).unwrap();
    assert_eq!((it.body(), it.bytes().last()), (&b"v="[..], Some(&b'=')));
}

#[test]
fn wrong_lengths_are_answered_400() {
    let why = PeerMisbehaved::BadContentLength;
    check_fault(&invite("Content-Length: 3\r\nl: 3\r\n", "v=0"), why, Some("400"));
    check_fault(&invite("Content-Length: -999\r\n", "v=0"), why, Some("400"));
    let short = invite("Content-Length: 9999\r\n", "v=0");
    check_fault(&short, PeerMisbehaved::BodyTooShort, Some("400"));
}

#[test]
fn missing_and_doubled_headers_are_answered_400_where_a_via_leads_back() {
    let all =
        |from: &str, to: &str| swap(invite("Subject: something of some length\r\n", ""), from, to);
    check_fault(&all("CSeq: 1 INVITE\r\n", ""), PeerMisbehaved::MissingCSeq, Some("400"));
    check_fault(&all("Call-ID: c1@ims\r\n", ""), PeerMisbehaved::MissingCallId, Some("400"));
    check_fault(&all("To: <sip:12345@ims>\r\n", ""), PeerMisbehaved::MissingTo, Some("400"));
    check_fault(&all("1 INVITE", "1 OPTIONS"), PeerMisbehaved::CSeqMethodMismatch, Some("400"));
    check_fault(&all("1 INVITE", "4294967296 INVITE"), PeerMisbehaved::BadCSeq, Some("400"));
    check_fault(
        &all("Max-Forwards: 70", "Max-Forwards: 300"),
        PeerMisbehaved::BadMaxForwards,
        Some("400"),
    );
    check_fault(&all("Subject", "Call-ID"), PeerMisbehaved::DoubledHeader, Some("400"));
    check_fault(&all("Subject:", "Subject"), PeerMisbehaved::BadHeader, Some("400"));
    check_fault(&all("<sip:12345@ims>", "\"x <sip:12345@ims>"), PeerMisbehaved::BadTo, Some("400"));
    check_fault(
        &all("sip:12345@10.0.0.1 S", "<sip:12345@10.0.0.1> S"),
        PeerMisbehaved::BadRequestUri,
        Some("400"),
    );
    check_fault(
        &all("sip:12345@10.0.0.1 S", "sip:12345 @10.0.0.1 S"),
        PeerMisbehaved::BadRequestUri,
        Some("400"),
    );
    check_fault(&all("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), PeerMisbehaved::BadVersion, Some("505"));
    check_fault(&all("Via:", "X-Via:"), PeerMisbehaved::MissingVia, None);
}

#[test]
fn an_ack_a_response_and_garbage_are_never_answered() {
    let ack = swap(invite("Content-Length: 9\r\n", ""), "INVITE sip", "ACK sip");
    check_fault(&ack, PeerMisbehaved::BodyTooShort, None);
    let response =
        swap(invite("l: 9\r\n", ""), "INVITE sip:12345@10.0.0.1 SIP/2.0", "SIP/2.0 200 OK");
    check_fault(&response, PeerMisbehaved::BodyTooShort, None);
    check_fault(&vec![0xAA; 65_535], PeerMisbehaved::BadStartLine, None);
    check_fault(b"GET / HTTP/1.1\r\n\r\n", PeerMisbehaved::BadStartLine, None);
    check_fault(b"", PeerMisbehaved::BadStartLine, None);
    check_fault(b"INVITE sip:a@b SIP/2.0", PeerMisbehaved::BadStartLine, None);
}

#[test]
fn limits_of_size_and_headers_are_kept() {
    let many = "X: y\r\n".repeat(Limits::new().headers);
    check_fault(&invite(&many, ""), PeerMisbehaved::TooManyHeaders, Some("400"));
    let large = "x".repeat(crate::MESSAGE_MAX);
    check_fault(&invite("", &large), PeerMisbehaved::TooLarge, Some("513"));
    assert!(Message::parse(&invite(&"X: y\r\n".repeat(120), "")).is_ok());
}

#[test]
fn a_reply_is_never_larger_than_its_request() {
    let request = b"A sip: SIP/2.0\r\nv:SIP/2.0/U h\r\nf:a:b\r\nt:a:b\r\ni:1\r\nCSeq:1 A\r\n\r\n";
    check_fault(request, PeerMisbehaved::BadRequestUri, None);
}

#[test]
fn a_reply_keeps_every_via_and_says_where_the_request_came_from() {
    let bytes =
        swap(invite("", ""), ";rport", ";rport, SIP/2.0/TCP second\r\nv: SIP/2.0/UDP third");
    let it = Message::parse(&bytes).unwrap();
    let flow = Flow {
        transport: Transport::Udp,
        local: "10.0.0.1:5060".parse().unwrap(),
        remote: "192.0.2.7:4000".parse().unwrap(),
        conn: None,
    };
    let reply = Reply::new(&it, 404).from(flow).tag("t1").build();
    let reply = Message::parse(&reply).unwrap();
    let vias: Vec<_> =
        reply.values("Via").map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKa;rport=4000;received=192.0.2.7",
            "SIP/2.0/TCP second",
            "SIP/2.0/UDP third",
        ]
    );
    assert_eq!(
        (reply.status(), reply.reason(), reply.to_tag()),
        (Some(404), Some(&b"Not Found"[..]), &b"t1"[..])
    );
}

#[test]
fn a_message_survives_being_stored() {
    let it = Message::parse(&invite("Content-Length: 3\r\n", "v=0")).unwrap();
    let stored = borsh::to_vec(&it).unwrap();
    assert_eq!(borsh::from_slice::<Message>(&stored).unwrap(), it);
    assert!(borsh::from_slice::<Message>(&borsh::to_vec(&b"junk".to_vec()).unwrap()).is_err());
}

#[test]
fn a_message_with_a_byte_changed_or_cut_never_panics_and_its_reply_can_be_read() {
    let whole = invite("Content-Length: 3\r\nX: \"张\\\r\n", "v=0");
    Message::parse(&whole).unwrap();
    for n in 0..whole.len() {
        Message::parse(&whole[..n]).unwrap_err();
        for byte in [0, b'\n', b'"', b'<', b':', 0xFF] {
            let mut it = whole.clone();
            it[n] = byte;
            if let Ok(it) = Message::parse(&it) {
                let _ = (it.sdp(), it.name_addr("Contact"), it.request_uri());
                Message::parse(&Reply::new(&it, 400).build()).unwrap();
            }
        }
    }
}

#[test]
fn a_message_read_into_another_leaves_nothing_of_it() {
    let flow = Flow {
        transport: Transport::Udp,
        local: "10.0.0.1:5060".parse().unwrap(),
        remote: "10.0.0.9:5060".parse().unwrap(),
        conn: None,
    };
    let long = invite("Subject: a\r\n b\r\nContent-Length: 3\r\n", "v=0");
    let short = invite("", "");
    let mut it = Message::blank();
    for bytes in [&long, &short, &long] {
        it.read_again(flow, bytes, Limits::new()).unwrap();
        let fresh = Message::parse(bytes).unwrap();
        assert_eq!(it, fresh);
        // Others get the message alone, also where its memory is longer.
        assert_eq!((&*it.shared_bytes(), it.clone()), (fresh.bytes(), fresh.clone()));
    }
    // Who has the bytes keeps them.
    let kept = it.shared_bytes();
    it.read_again(flow, &short, Limits::new()).unwrap();
    assert_eq!((&*kept, it.bytes()), (Message::parse(&long).unwrap().bytes(), &short[..]));
    it.read_again(flow, b"nonsense", Limits::new()).unwrap_err();
    it.read_again(flow, &short, Limits::new()).unwrap();
    assert_eq!((it.n_headers(), it.body()), (7, &b""[..]));
}
