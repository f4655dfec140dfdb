//! Addresses: a URI, a name with an address, a hop, a sequence number.

use hotline_sip::{CSeq, NameAddr, Params, Uri, Via, decode};

use crate::trace::Trace;

pub(super) const WORDS: &[&str] = &[
    "sip:",
    "sips:",
    "tel:",
    "urn:",
    "[2001:db8::1]",
    "SIP/2.0/UDP ",
    ";lr",
    ";transport=tcp",
    "%00",
    "%E5%BC%A0",
    ";phone-context=",
    "\"",
    "\\\"",
    "<",
    ">",
    ";tag=",
    ";branch=z9hG4bK",
    "?Subject=",
];

pub(super) fn run(bytes: &[u8]) -> u64 {
    let mut trace = Trace::new();
    if let Some(it) = Uri::parse(bytes) {
        trace.note(match &*it.scheme {
            "sip" | "sips" | "tel" => &it.scheme,
            _ => "other",
        });
        trace.flag(it.port.is_some());
        trace.flag(it.user.is_ascii());
        let params: Vec<_> = it.params().collect();
        trace.count(params.len());
        assert!(!it.scheme.is_empty() && params.len() <= bytes.len());
        assert!(params.first().is_none_or(|first| it.param(&first.0).is_some()));
    }
    if let Some(it) = NameAddr::parse(bytes) {
        assert!(!it.uri.is_empty() && it.uri.len() <= bytes.len());
        trace.flag(it.display().is_empty());
        trace.flag(it.uri().is_some());
        params(it.params, &mut trace);
        trace.flag(it.tag().is_empty());
    }
    if let Some(it) = Via::parse(bytes) {
        assert!(!it.host.is_empty());
        trace.flag(it.port.is_some());
        params(it.params, &mut trace);
        trace.flag(it.branch().is_empty());
    }
    if let Some(it) = CSeq::parse(bytes) {
        assert!(it.number < 1 << 31);
        trace.note("cseq");
    }
    assert!(decode(bytes).chars().count() <= bytes.len());
    trace.end()
}

fn params(it: Params<'_>, trace: &mut Trace) {
    let all: Vec<_> = it.iter().collect();
    trace.count(all.len());
    if let Some((name, value)) = all.first() {
        trace.flag(value.is_empty());
        let name = String::from_utf8_lossy(name);
        let _ = it.get(&name);
    }
}
