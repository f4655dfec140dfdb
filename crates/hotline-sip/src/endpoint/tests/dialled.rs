//! What each request and each response of the peer does in each state of a call that we dial: the
//! whole table.

use std::fmt::Write as _;

use super::{
    accounts::{answer, dial},
    dialogs::{REQUESTS, word},
    *,
};
use crate::MessageBuilder;

const CARRIER: &str = "10.0.0.2";
const CONTACT: (&str, &str) = ("Contact", "<sip:gw@10.0.0.2>");

/// From our INVITE to after its end.
const STATES: [&str; 8] = [
    "dialled",
    "rings",
    "rings reliably",
    "described in a reliable 183",
    "given up before anything came",
    "given up while it rings",
    "talks",
    "our BYE runs",
];

/// Responses to the INVITE, and what they have.
const RESPONSES: [(u16, &[(&str, &str)]); 8] = [
    (100, &[]),
    (180, &[CONTACT]),
    (183, &[CONTACT, ("Require", "100rel"), ("RSeq", "21")]),
    (200, &[CONTACT]),
    (302, &[("Contact", "<sip:elsewhere@10.0.0.3>")]),
    (408, &[]),
    (486, &[]),
    (487, &[]),
];

/// A call of A's in a state, with its INVITE.
fn call(state: &str) -> (World, Message) {
    let mut it = World::new(GOOD, 700);
    let (leg, invite) = dial(&mut it, None);
    let reliable = [CONTACT, ("Require", "100rel"), ("RSeq", "20")];
    match state {
        "rings" | "given up while it rings" => answer(&mut it, &invite, 180, CARRIER, &[CONTACT]),
        "rings reliably" => answer(&mut it, &invite, 180, CARRIER, &reliable),
        "described in a reliable 183" => {
            describe(&mut it, &invite, 183, &reliable);
        }
        "talks" | "our BYE runs" => {
            describe(&mut it, &invite, 200, &[CONTACT, ("Allow", "UPDATE")]);
        }
        _ => {}
    }
    if state.starts_with("given up") || state == "our BYE runs" {
        it.ends[A].hang_up(leg, HangUp { status: 486, reason: None }, it.now);
    }
    said(&mut it);
    (it, invite)
}

/// As [`answer`], with a description.
fn describe(it: &mut World, invite: &Message, status: u16, more: &[(&str, &str)]) {
    let all = ["Via", "From", "Call-ID", "CSeq"];
    let reply = MessageBuilder::response(status, "x");
    let reply = all.iter().fold(reply, |it, name| it.each(name, invite.headers(name)));
    let to = String::from_utf8(invite.header("To").unwrap().to_vec()).unwrap() + ";tag=carrier";
    let reply =
        more.iter().fold(reply.header("To", to), |it, (name, value)| it.header(name, value));
    let reply = Message::parse(&reply.end_with_sdp(Some("answer"))).unwrap();
    let flow = it.flow(A);
    it.ends[A].handle_message(flow, reply, Admit::Trusted, it.now);
}

/// A request of the peer in the dialog of our INVITE.
fn request(it: &mut World, invite: &Message, (method, more, body): (&str, &str, &str)) {
    let header = |name: &str| String::from_utf8(invite.header(name).unwrap().to_vec()).unwrap();
    let (from, to, id) = (header("From"), header("To"), header("Call-ID"));
    let cseq = if method == "ACK" { 1 } else { 7 };
    let text = format!(
        "{method} sip:us@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKpeer\r\n\
         Max-Forwards: 70\r\nFrom: {to};tag=carrier\r\nTo: {from}\r\nCall-ID: {id}\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:gw@10.0.0.2>\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let flow = it.flow(A);
    let message = Message::parse(text.as_bytes()).unwrap();
    it.ends[A].handle_message(flow, message, Admit::Trusted, it.now);
}

/// What A sends and what those above it are told, in words.
fn said(it: &mut World) -> String {
    let mut all = Vec::new();
    while let Some(output) = it.ends[A].poll_output() {
        match output {
            Output::Transmit { bytes, .. } => {
                let message = Message::parse(&bytes).unwrap();
                let method = message.method().map(|it| String::from_utf8(it.to_vec()).unwrap());
                all.push(method.unwrap_or_else(|| message.status().unwrap().to_string()));
            }
            Output::Event(Event::Ringing { sdp, .. }) => {
                all.push(if sdp.is_some() { "rings with sound" } else { "rings" }.to_owned());
            }
            Output::Event(Event::Answered { sdp, .. }) => {
                all.push(if sdp.is_some() { "answered" } else { "answered mutely" }.to_owned());
            }
            Output::Event(event) => all.extend(word(&event).map(str::to_owned)),
        }
    }
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

#[test]
fn every_request_and_response_in_every_state_of_a_call_we_dial_does_what_the_table_says() {
    let mut table = String::new();
    for state in STATES {
        writeln!(table, "{state}").unwrap();
        for (status, more) in RESPONSES {
            let (mut it, invite) = call(state);
            answer(&mut it, &invite, status, CARRIER, more);
            writeln!(table, "  {status}: {}", said(&mut it)).unwrap();
        }
        for (name, method, more, body) in REQUESTS {
            let (mut it, invite) = call(state);
            request(&mut it, &invite, (method, more, body));
            writeln!(table, "  {name}: {}", said(&mut it)).unwrap();
        }
    }
    assert_eq!(table, include_str!("dialled.txt"), "read it, then write it down:\n{table}");
}
