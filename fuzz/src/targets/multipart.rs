//! A body of several parts: the first line is its type, the rest is the body.

use hotline_sip::Message;

use crate::trace::Trace;

pub(super) const WORDS: &[&str] = &[
    "multipart/mixed;boundary=",
    "multipart/mixed; boundary=\"b\"",
    "--b\r\n",
    "--b--\r\n",
    "Content-Type: application/sdp\r\n\r\n",
    "Content-Type: application/isup\r\n",
    "Content-Length: ",
    "Content-Disposition: session\r\n",
    "v=0\r\n",
    "\r\n\r\n",
    "--",
    "application/sdp",
    "multipart/alternative",
    ";",
    "\"",
];

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut trace = Trace::new();
    let end = bytes.iter().position(|it| *it == b'\n').unwrap_or(bytes.len());
    let kind: Vec<u8> =
        bytes[..end].iter().copied().filter(|it| !matches!(it, b'\r' | 0)).collect();
    let body = bytes.get(end + 1..).unwrap_or_default();
    let mut text = b"INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
                     From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
                     Content-Type: "
        .to_vec();
    text.extend_from_slice(&kind);
    text.extend_from_slice(b"\r\n\r\n");
    text.extend_from_slice(body);
    text.truncate(hotline_sip::MESSAGE_MAX);
    match Message::parse(&text) {
        Ok(it) => {
            let found = it.sdp();
            trace.flag(found.is_some());
            trace.count(body.windows(2).filter(|it| it == b"--").count());
            if let Some(found) = found {
                trace.count(found.len());
                assert!(found.chars().count() <= body.len());
            }
        }
        Err(it) => trace.note(&it.why.to_string()),
    }
    trace.end()
}
