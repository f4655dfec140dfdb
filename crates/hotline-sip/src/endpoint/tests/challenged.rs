//! Requests within a call that the carrier wants proof of.

use super::{
    accounts::{answer, asked, credentials, dial, sent, told},
    *,
};
use crate::Challenges;

const CARRIER: &str = "10.0.0.2";
const STRANGER: &str = "10.0.0.66";

/// A call of `A`'s that a carrier answered, in which we may refresh by UPDATE.
fn talk(seed: u64, update: bool) -> (World, LegId) {
    let mut it = World::new(GOOD, seed);
    let (leg, invite) = dial(&mut it, Some(credentials(Challenges::Sha256)));
    let allow = if update { "INVITE, ACK, BYE, UPDATE" } else { "INVITE, ACK, BYE" };
    let more = [("Contact", "<sip:gw@10.0.0.2>"), ("Allow", allow)];
    let more = [&more[..], &[("Session-Expires", "1800;refresher=uac"), ("Require", "timer")]];
    answer(&mut it, &invite, 200, CARRIER, &more.concat());
    assert_eq!(sent(&mut it).unwrap().method(), Some(&b"ACK"[..]));
    (it, leg)
}

/// The next request of a method, whatever timers come before it.
fn next(it: &mut World, method: &str) -> Option<Message> {
    for _ in 0..200 {
        if let Some(message) = sent(it) {
            if message.method() == Some(method.as_bytes()) {
                return Some(message);
            }
            continue;
        }
        let (due, _) = it.ends[A].poll_timeout()?;
        it.now = it.now + due.since(it.now.mono);
        it.ends[A].handle_timeout(it.now);
    }
    None
}

fn ours(it: &World) -> usize {
    it.said(A, |it| matches!(it, Event::Misbehaved { .. }))
}

/// The carrier challenges the request once more than it is answered; a stranger is not answered.
#[track_caller]
fn check(it: &mut World, method: &str) -> Message {
    let plain = next(it, method).unwrap();
    assert_eq!(told(&plain), None, "{method}: nobody asked");
    answer(it, &plain, 407, CARRIER, &[("Proxy-Authenticate", &asked("n1", ""))]);
    let proven = next(it, method).unwrap();
    let proof = told(&proven).unwrap();
    assert!(proof.contains("nonce=\"n1\"") && !proof.contains("secret"), "{proof}");
    assert_eq!(proven.cseq().number, plain.cseq().number + 1);
    assert_ne!(proven.top_via().unwrap().branch(), plain.top_via().unwrap().branch());
    for name in ["Call-ID", "From", "To"] {
        assert_eq!(proven.header(name), plain.header(name), "{name}");
    }
    assert_eq!(proven.body(), plain.body());
    proven
}

#[test]
fn v6_a_bye_is_proven_once_and_to_the_configured_next_hop_alone() {
    let (mut it, leg) = talk(411, true);
    it.ends[A].hang_up(leg, HangUp { status: 480, reason: None }, it.now);
    let proven = check(&mut it, "BYE");
    // It does not believe it: there is nothing to add.
    answer(&mut it, &proven, 407, CARRIER, &[("Proxy-Authenticate", &asked("n2", ",stale=true"))]);
    assert!(sent(&mut it).is_none());
    assert_eq!((it.ends[A].n_legs(), ours(&it)), (0, 0));

    let (mut it, leg) = talk(412, true);
    it.ends[A].hang_up(leg, HangUp { status: 480, reason: None }, it.now);
    let bye = next(&mut it, "BYE").unwrap();
    answer(&mut it, &bye, 407, STRANGER, &[("Proxy-Authenticate", &asked("n1", ""))]);
    assert!(sent(&mut it).is_none(), "a stranger is told nothing");
    assert_eq!((it.ends[A].n_legs(), ours(&it)), (0, 1));
}

#[test]
fn an_offer_of_ours_is_proven_and_its_ack_repeats_the_proof() {
    let (mut it, leg) = talk(413, true);
    it.ends[A].reoffer(leg, "again".to_owned(), it.now);
    let proven = check(&mut it, "INVITE");
    answer(&mut it, &proven, 200, CARRIER, &[("Contact", "<sip:gw@10.0.0.2>")]);
    let ack = next(&mut it, "ACK").unwrap();
    assert_eq!((told(&ack), ack.cseq().number), (told(&proven), proven.cseq().number));
    assert!(sent(&mut it).is_none());
    assert_eq!(it.said(A, |it| matches!(it, Event::Reanswered { .. })), 1);

    let (mut it, leg) = talk(414, true);
    it.ends[A].reoffer(leg, "again".to_owned(), it.now);
    let offer = next(&mut it, "INVITE").unwrap();
    answer(&mut it, &offer, 407, STRANGER, &[("Proxy-Authenticate", &asked("n1", ""))]);
    assert!(next(&mut it, "INVITE").is_none_or(|it| told(&it).is_none()));
    assert_eq!(it.said(A, |it| matches!(it, Event::ReofferRefused { status: 407, .. })), 1);
}

#[test]
fn a_refresh_is_proven_by_update_and_by_re_invite() {
    for (update, method) in [(true, "UPDATE"), (false, "INVITE")] {
        let (mut it, _) = talk(415, update);
        if method == "INVITE" {
            // Without a description of ours there is nothing to offer once more.
            assert!(it.ends[A].poll_timeout().is_some());
        }
        let proven = check(&mut it, method);
        let more = [("Contact", "<sip:gw@10.0.0.2>"), ("Session-Expires", "1800;refresher=uac")];
        answer(&mut it, &proven, 200, CARRIER, &more);
        assert_eq!(it.said(A, |it| matches!(it, Event::Ended { .. })), 0);
    }
}

#[test]
fn a_prack_is_proven_in_the_early_dialog() {
    let mut it = World::new(GOOD, 416);
    let (_, invite) = dial(&mut it, Some(credentials(Challenges::Sha256)));
    let more = [("Require", "100rel"), ("RSeq", "7"), ("Contact", "<sip:gw@10.0.0.2>")];
    answer(&mut it, &invite, 183, CARRIER, &more);
    let proven = check(&mut it, "PRACK");
    assert_eq!(proven.header("RAck"), Some(&b"7 1 INVITE"[..]));
    answer(&mut it, &proven, 200, CARRIER, &[]);
    // The next one goes on counting.
    let more = [("Require", "100rel"), ("RSeq", "8"), ("Contact", "<sip:gw@10.0.0.2>")];
    answer(&mut it, &invite, 180, CARRIER, &more);
    assert_eq!(next(&mut it, "PRACK").unwrap().cseq().number, proven.cseq().number + 1);
}

#[test]
fn a_refer_is_proven() {
    let (mut it, leg) = talk(417, true);
    it.ends[A].refer(leg, "sip:10086@ims.example", None, it.now);
    let proven = check(&mut it, "REFER");
    answer(&mut it, &proven, 202, CARRIER, &[]);
    assert!(sent(&mut it).is_none());
    assert_eq!(it.said(A, |it| matches!(it, Event::ReferProgress { status: 202, .. })), 1);
}

#[test]
fn in_a_call_that_came_we_are_who_those_above_say() {
    for known in [true, false] {
        let mut it = World::new(GOOD, 418);
        let a = it.dial();
        it.secs(1);
        let b = it.invited(B);
        it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
        it.secs(1);
        let hops = vec![address(A).ip()];
        let ours = crate::Credentials { hops, ..credentials(Challenges::Sha256) };
        if known {
            it.ends[B].set_credentials(b, ours);
        }
        it.ends[B].hang_up(b, HangUp { status: 480, reason: None }, it.now);
        let mut said = Vec::new();
        while let Some(output) = it.ends[B].poll_output() {
            if let Output::Transmit { bytes, .. } = output {
                said.push(Message::parse(&bytes).unwrap());
            }
        }
        let bye = said.pop().unwrap();
        let more = format!("Proxy-Authenticate: {}\r\n", asked("n1", ""));
        let text = |name: &str| String::from_utf8(bye.header(name).unwrap().to_vec()).unwrap();
        let reply = format!(
            "SIP/2.0 407 x\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}\r\n",
            text("Via"),
            text("From"),
            text("To"),
            text("Call-ID"),
            text("CSeq")
        );
        let reply = Message::parse(reply.as_bytes()).unwrap();
        let flow = it.flow(B);
        it.act(B, |it, now| it.handle_message(flow, reply, Admit::Trusted, now));
        it.secs(1);
        // The first one was never sent.
        assert_eq!(it.count(A, "BYE"), usize::from(known));
        assert_eq!(it.ends_of(A, a).len(), usize::from(known));
    }
}
