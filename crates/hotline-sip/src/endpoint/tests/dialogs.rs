//! What each request of the peer does in each state of a dialog that it began: the whole table.

use std::fmt::Write as _;

use super::*;

const SDP: &str = "Content-Type: application/sdp\r\n";

/// The states of a leg of ours, from its INVITE to after its end.
const STATES: [&str; 8] = [
    "unanswered",
    "rung reliably",
    "answered, no ACK yet",
    "our offer in the 200, no ACK yet",
    "talks",
    "our offer runs",
    "their offer runs",
    "our BYE runs",
];

/// Method, headers and body.
pub(super) const REQUESTS: [(&str, &str, &str, &str); 13] = [
    ("INVITE", "INVITE", SDP, "offer"),
    ("INVITE without offer", "INVITE", "", ""),
    ("UPDATE", "UPDATE", SDP, "offer"),
    ("UPDATE without offer", "UPDATE", "", ""),
    ("ACK", "ACK", "", ""),
    ("PRACK", "PRACK", "RAck: 1 1 INVITE\r\n", ""),
    ("INFO with a key", "INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=5\r\n"),
    ("INFO", "INFO", "", ""),
    ("OPTIONS", "OPTIONS", "", ""),
    ("BYE", "BYE", "", ""),
    ("MESSAGE", "MESSAGE", "", ""),
    ("NOTIFY", "NOTIFY", "", ""),
    ("UNHEARD", "UNHEARD", "", ""),
];

/// A dialog of B in a state, and the number of the peer's next request.
fn dialog(state: &str) -> (World, raw::Peer, u32) {
    let mut it = World::new(GOOD, 500);
    let mut raw = raw::Peer::new(&mut it);
    let has_offer = state != "our offer in the 200, no ACK yet";
    let body = if has_offer { (SDP, "offer") } else { ("", "") };
    let more = format!("Supported: 100rel\r\nAllow: UPDATE\r\n{}", body.0);
    raw.send(&mut it, &raw.request("INVITE", 1, &more, body.1));
    let leg = it.invited(B);
    if state == "rung reliably" {
        it.act(B, |it, now| it.ring_reliably(leg, "ours".to_owned(), now));
        raw.learn_tag(&it, B);
    } else if state == "unanswered" {
        it.act(B, |it, now| it.ring(leg, None, now));
        raw.learn_tag(&it, B);
    } else {
        it.act(B, |it, now| it.answer(leg, "answer".to_owned(), now));
        raw.learn_tag(&it, B);
        if !state.ends_with("no ACK yet") {
            raw.send(&mut it, &raw.request("ACK", 1, "", ""));
        }
    }
    let mut next = 2;
    match state {
        "our offer runs" => it.act(B, |it, now| it.reoffer(leg, "new".to_owned(), now)),
        "their offer runs" => {
            raw.send(&mut it, &raw.request("INVITE", 2, SDP, "new"));
            next = 3;
        }
        "our BYE runs" => it.hang_up(B, leg),
        _ => {}
    }
    raw.statuses(&it);
    it.events[B].clear();
    (it, raw, next)
}

/// What B is told of the leg, in a word.
pub(super) fn word(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Offered { sdp: Some(_), .. } => "offered",
        Event::Offered { sdp: None, .. } => "asked for an offer",
        Event::Reanswered { .. } => "answered our offer",
        Event::Confirmed { .. } => "confirmed",
        Event::Key { .. } => "key",
        Event::Ended { .. } => "ended",
        _ => return None,
    })
}

#[test]
fn every_request_in_every_state_of_a_dialog_does_what_the_table_says() {
    let mut table = String::new();
    for state in STATES {
        writeln!(table, "{state}").unwrap();
        for (name, method, more, body) in REQUESTS {
            let (mut it, mut raw, next) = dialog(state);
            // An ACK has the number of its INVITE.
            let cseq = if method == "ACK" { next - 1 } else { next };
            raw.send(&mut it, &raw.request(method, cseq, more, body));
            let statuses = raw.statuses(&it).into_iter().map(|it| it.to_string());
            let told = it.events[B].iter().filter_map(word).map(str::to_owned);
            let all: Vec<_> = statuses.chain(told).collect();
            let all = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
            writeln!(table, "  {name}: {all}").unwrap();
        }
    }
    assert_eq!(table, include_str!("dialogs.txt"), "read it, then write it down:\n{table}");
}
