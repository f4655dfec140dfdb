//! Messages of carriers with habits (`tests/carriers/`), and what rules make of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::{fs, path::Path};

use hotline_config::{Loaded, TrialOutcome, load_text, try_incoming, try_outgoing};

use crate::house;

/// The built-in configuration with one more trunk, whose carrier needs repairs.
const CARRIER: &str = r#"
[[trunk]]
id = "gx"
sources = ["10.8.0.4"]
area_code = "0771"
city = "450100"
rules = "gx-ct"

[[trunk]]
id = "plain"
sources = ["10.8.0.5"]
area_code = "0771"

[[rules]]
id = "gx-ct"

[[rules.header]]
name = "caller to where it belongs"
methods = ["INVITE"]
if_header = "Remote-Party-ID"
if_match = '<(sip:[^>]+)>.*party=calling'
unless_header = "P-Asserted-Identity"
action = "add"
header = "P-Asserted-Identity"
value = '<${1}>'

[[rules.header]]
name = "type in lower case"
header = "Content-Type"
match = 'SDP$'
value = 'sdp'

[[rules.header]]
name = "no software name"
direction = "out"
action = "remove"
header = "User-Agent"

[[rules.header]]
name = "the carrier's domain"
direction = "out"
header = "From"
match = '@10\.1\.2\.10'
value = '@ims.gx.example'

[[rules.header]]
name = "a mark in responses"
direction = "out"
on = "response"
action = "add"
header = "X-Centre"
value = "12345"

[[rules.number]]
name = "without the prefix of IP telephony"
strip = "17951"
"#;

/// Where the trial's answers have our audio.
const OWN_AUDIO: &str = "address = \"127.0.0.2\"\nport_first = 21000";

fn loaded() -> Loaded {
    let text = house::read("config/hotline.toml") + CARRIER;
    let text = text.replace("address = \"127.0.0.1\"\nport_first = 20000", OWN_AUDIO);
    let told = |it: Vec<hotline_config::Complaint>| {
        it.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    load_text("c.toml", Path::new(""), &text).unwrap_or_else(|it| panic!("{}", told(it)))
}

fn sample(name: &str) -> Vec<u8> {
    fs::read(house::root().join("tests/carriers").join(name)).unwrap()
}

/// The trial of an incoming sample says all of these, in this order.
#[track_caller]
fn check(trunk: &str, name: &str, outcome: TrialOutcome, says: &[&str]) {
    let trial = try_incoming(&loaded(), trunk, &sample(name)).unwrap();
    told(&trial.to_string(), says);
    assert_eq!(trial.outcome, outcome, "{trial}");
}

#[track_caller]
fn told(text: &str, says: &[&str]) {
    let mut rest = text;
    for it in says {
        let at =
            rest.find(it).unwrap_or_else(|| panic!("{it:?} is not said, or too early:\n{text}"));
        rest = &rest[at..];
    }
}

#[test]
fn a_caller_in_the_wrong_header_with_a_prefix_is_understood() {
    let says = [
        "头域规则 (header rule) 收 1: caller to where it belongs",
        "P-Asserted-Identity: <sip:1795113800138000@10.8.0.4>",
        "号码规则 (number rule) 1: without the prefix of IP telephony",
        "1795113800138000 → 13800138000",
        "中继 (trunk): gx",
        "主叫 (caller): 13800138000；要求隐藏 (hidden): 是 (yes)",
        "被叫 (called): 077112345 → 流程 (flow) gx12345.main",
        "a=rtpmap:18 G729/8000",
        "选用 (chosen): Pcma 8，按键 (telephone-event) 101，20 ms，10.8.0.4:40000",
        "SIP/2.0 100 Trying",
        "SIP/2.0 200 OK",
        "X-Centre: 12345",
        "c=IN IP4 127.0.0.2",
        "m=audio 21000 RTP/AVP",
    ];
    check("gx", "caller-in-remote-party-id.sip", TrialOutcome::Taken, &says);
    // Without rules the engine believes nobody.
    let says = ["没有头域规则执行", "主叫 (caller): 匿名", "SIP/2.0 200 OK"];
    check("plain", "caller-in-remote-party-id.sip", TrialOutcome::Taken, &says);
}

#[test]
fn an_asserted_tel_number_with_privacy_is_shown_and_marked_hidden() {
    let says = [
        "主叫 (caller): 13907710001；要求隐藏 (hidden): 是 (yes)",
        "被叫 (called): 077112345",
        "P-Asserted-Identity: <tel:+8613907710001>",
        "Privacy: id",
        "Diversion: <sip:07715550000@10.8.0.4>;reason=unconditional",
    ];
    check("gx", "asserted-tel-and-privacy.sip", TrialOutcome::Taken, &says);
}

#[test]
fn gbk_compact_names_and_bare_line_feeds_are_read_and_kept() {
    let says = [
        "f: \"南宁张三\" <sip:5551234@10.8.0.4>;tag=a3",
        "头域规则 (header rule) 收 2: type in lower case",
        "c: application/sdp",
        "主叫 (caller): 07715551234；要求隐藏 (hidden): 否 (no)",
        "SIP/2.0 200 OK",
        // The From comes back byte for byte.
        "From: \"南宁张三\" <sip:5551234@10.8.0.4>;tag=a3",
    ];
    check("gx", "gbk-compact-bare-lf.sip", TrialOutcome::Taken, &says);
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let refused = TrialOutcome::Refused;
    let says = ["不能通话 (no common ground): NoCommonCodec", "SIP/2.0 488"];
    check("gx", "g729-only.sip", refused, &says);
    let says = ["主叫 (caller): 13800138000", "号码表里没有这个被叫", "SIP/2.0 404"];
    check("gx", "unknown-called-number.sip", refused, &says);
    let says = ["不是 SIP 报文 (not a SIP message): there is no CSeq", "SIP/2.0 400"];
    check("gx", "no-cseq.sip", refused, &says);
    let unknown = try_incoming(&loaded(), "gz", &sample("g729-only.sip")).unwrap_err();
    assert!(unknown.contains("gx") && unknown.contains("plain"), "{unknown}");
}

#[test]
fn a_message_to_the_carrier_leaves_as_the_carrier_wants_it() {
    let trial = try_outgoing(&loaded(), "gx", &sample("outgoing-invite.sip")).unwrap();
    let says = ["发 1: no software name", "发 2: the carrier's domain", "改为", "INVITE"];
    let text = trial.to_string();
    told(&text, &says);
    let sent = text.rsplit_once("INVITE sip:").unwrap().1;
    assert!(sent.contains("From: <sip:077112345@ims.gx.example>;tag=a7"), "{text}");
    assert!(!sent.contains("User-Agent"), "{text}");
    assert_eq!(trial.outcome, TrialOutcome::Taken);
}

#[test]
fn v17_no_message_that_is_tried_steers_the_terminal_of_who_tries_it() {
    let text = "INVITE sip:12345@h SIP/2.0\r\nVia: SIP/2.0/UDP 10.8.0.4;branch=z9hG4bKx\r\n\
                From: \"\u{1b}[2J\u{202e}张三\" <sip:13800138000@h>;tag=1\r\nTo: <sip:12345@h>\r\n\
                Call-ID: \u{7}c\r\nCSeq: 1 INVITE\r\nContact: <sip:10.8.0.4>\r\n\r\n";
    for bytes in [text.as_bytes(), b"\x1b[2J\x9b31m is no message"] {
        let said = try_incoming(&loaded(), "gx", bytes).unwrap().to_string();
        let steers = |it: char| it != '\n' && it.is_control() || it == '\u{202e}';
        assert!(!said.contains(steers) && said.contains("\\u{1b}[2J"), "{said}");
    }
    let said = try_incoming(&loaded(), "gx", text.as_bytes()).unwrap().to_string();
    assert!(said.contains("张三"), "{said}");
}
