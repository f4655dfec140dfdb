//! Rules upon messages of carriers with habits.

use super::*;

const INVITE: &[u8] = b"INVITE sip:12345@10.1.2.10 SIP/2.0\r\n\
    v: SIP/2.0/UDP 10.8.0.4:5060;branch=z9hG4bKa1\r\n\
    Max-Forwards: 70\r\n\
    f: \"\xD5\xC5\xC8\xFD\" <sip:anonymous@anonymous.invalid>;tag=7\r\n\
    To:   <sip:12345@10.1.2.10>\r\n\
    i: abc@10.8.0.4\r\n\
    CSeq: 1 INVITE\r\n\
    m: <sip:10.8.0.4>\r\n\
    Remote-Party-ID: \"x\" <sip:013800138000@10.8.0.4>;party=calling\r\n\
    X-Odd:  kept  as is \t\r\n\
    Supported: 100rel\r\n\
    Supported: timer\r\n\
    Content-Type: application/SDP\r\n\
    Content-Length: 4\r\n\
    \r\n\
    v=0\xFF";

fn text(header: &str, action: Action) -> RuleText {
    RuleText { header: header.to_owned(), action, ..RuleText::default() }
}

fn rules(texts: impl IntoIterator<Item = RuleText>) -> HeaderRules {
    HeaderRules::new(texts.into_iter().map(|it| HeaderRule::new(it).unwrap()).collect())
}

fn invite() -> Message {
    Message::parse(INVITE).unwrap()
}

fn replace(header: &str, pattern: &str, value: &str) -> RuleText {
    RuleText {
        pattern: Some(pattern.to_owned()),
        value: Some(value.to_owned()),
        ..text(header, Action::Replace)
    }
}

/// What the rules make of the message, with one piece of it replaced by another.
#[track_caller]
fn check(texts: impl IntoIterator<Item = RuleText>, piece: &[u8], becomes: &[u8]) {
    let got = rules(texts).apply(&invite()).message.expect("nothing changed");
    let at = memchr::memmem::find(INVITE, piece).expect("not a piece of it");
    let expected = [&INVITE[..at], becomes, &INVITE[at + piece.len()..]].concat();
    assert_eq!(crate::decode(got.bytes()), crate::decode(&expected));
    assert_eq!(got.bytes(), expected);
}

#[test]
fn only_the_bytes_a_rule_names_change() {
    check([replace("X-Odd", "as", "AS")], b"kept  as is", b"kept  AS is");
    check([replace("c", "SDP$", "sdp")], b"application/SDP", b"application/sdp");
    check([text("Supported", Action::Remove)], b"Supported: 100rel\r\nSupported: timer\r\n", b"");
    let timer = RuleText { pattern: Some("timer".to_owned()), ..text("k", Action::Remove) };
    check([timer], b"Supported: timer\r\n", b"");
}

#[test]
fn what_stands_in_another_header_is_copied_to_where_it_belongs() {
    let rule = RuleText {
        if_header: Some("Remote-Party-ID".to_owned()),
        if_match: Some("<(sip:[^>]+)>.*party=calling".to_owned()),
        unless_header: Some("P-Asserted-Identity".to_owned()),
        value: Some("<$1>".to_owned()),
        ..text("P-Asserted-Identity", Action::Add)
    };
    let end: &[u8] = b"Content-Length: 4\r\n";
    let added: &[u8] = b"P-Asserted-Identity: <sip:013800138000@10.8.0.4>\r\n";
    check([rule.clone()], end, &[end, added].concat());
    // The second finds what the first has added.
    check([rule.clone(), rule], end, &[end, added].concat());
}

#[test]
fn a_later_rule_sees_what_an_earlier_one_has_made() {
    let added = RuleText { value: Some("a".to_owned()), ..text("X-New", Action::Add) };
    let end: &[u8] = b"Content-Length: 4\r\n";
    let both = [added.clone(), replace("x-new", "a", "b")];
    check(both, end, &[end, b"X-New: b\r\n"].concat());
    let taken_back = rules([added, text("X-New", Action::Remove)]).apply(&invite());
    assert_eq!(taken_back.fired, [0, 1]);
    assert_eq!(taken_back.message.map_or(INVITE.to_vec(), |it| it.bytes().to_vec()), INVITE);
}

#[test]
fn a_rule_of_another_kind_method_or_condition_does_not_fire() {
    let bare = || replace("Supported", ".", "x");
    let others = [
        RuleText { kind: Kind::Response, ..bare() },
        RuleText { methods: vec!["BYE".to_owned()], ..bare() },
        RuleText { if_header: Some("User-Agent".to_owned()), ..bare() },
        RuleText {
            if_header: Some("Supported".to_owned()),
            if_match: Some("gruu".to_owned()),
            ..bare()
        },
        RuleText { unless_header: Some("x-odd".to_owned()), ..bare() },
        replace("Supported", "gruu", "x"),
        text("X-Absent", Action::Remove),
    ];
    let repair = rules(others).apply(&invite());
    assert_eq!((repair.fired.len(), repair.message.is_none()), (0, true));
    let known = RuleText { methods: vec!["BYE".to_owned(), "INVITE".to_owned()], ..bare() };
    assert_eq!(rules([known]).apply(&invite()).fired, [0]);
}

#[test]
fn a_from_we_send_changes_before_its_tag_only() {
    let out = |it| RuleText { direction: Direction::Out, ..it };
    check(
        [out(replace("From", r"@anonymous\.invalid", "@ims.gx.example"))],
        b"anonymous@anonymous.invalid>;tag=7",
        b"anonymous@ims.gx.example>;tag=7",
    );
    let tag = rules([out(replace("From", "tag=7", "tag=8"))]).apply(&invite());
    assert!(tag.fired.is_empty() && tag.message.is_none());
}

#[test]
fn bytes_of_another_encoding_survive_a_replacement() {
    check(
        [RuleText { direction: Direction::Out, ..replace("From", "<.*>", "<sip:1@h>") }],
        b"<sip:anonymous@anonymous.invalid>",
        b"<sip:1@h>",
    );
}

#[test]
fn rules_that_spoil_a_message_leave_it_as_it_was() {
    let spoils = RuleText { direction: Direction::Out, ..replace("From", ">", "") };
    let repair = rules([spoils]).apply(&invite());
    assert!(repair.is_spoiled && repair.message.is_none());
    assert_eq!(repair.fired, [0]);
}

#[test]
fn what_holds_a_call_together_cannot_be_touched() {
    #[track_caller]
    fn refused(it: RuleText, field: &str, why: &BadRule) {
        let faults = HeaderRule::new(it).unwrap_err();
        assert!(faults.iter().any(|it| it.field == field && it.why == *why), "{faults:?}");
    }
    for name in ["Via", "v", "route", "Record-Route", "i", "call-id", "CSeq", "Authorization"] {
        for action in [Action::Replace, Action::Add, Action::Remove] {
            let it = RuleText { value: Some("x".to_owned()), ..text(name, action) };
            refused(it, "header", &BadRule::Protected);
        }
    }
    refused(replace("From", "a", "b"), "header", &BadRule::EchoedBack);
    let response = RuleText { kind: Kind::Response, ..replace("t", "a", "b") };
    refused(RuleText { direction: Direction::Out, ..response }, "header", &BadRule::EchoedBack);
    refused(text("Contact", Action::Remove), "action", &BadRule::OnlyReplace);
    let out = RuleText { direction: Direction::Out, ..text("To", Action::Remove) };
    refused(out, "action", &BadRule::OnlyReplace);
}

#[test]
fn every_fault_of_a_rule_is_said_at_once() {
    let faults = HeaderRule::new(RuleText {
        methods: vec!["IN VITE".to_owned()],
        if_match: Some("(".to_owned()),
        unless_header: Some(String::new()),
        pattern: Some("x".to_owned()),
        ..text("No Name", Action::Add)
    })
    .unwrap_err();
    let fields: Vec<_> = faults.iter().map(|it| it.field).collect();
    assert_eq!(
        fields,
        ["header", "methods", "if_match", "if_header", "unless_header", "match", "value"]
    );
}
