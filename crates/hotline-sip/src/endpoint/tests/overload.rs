//! Too many calls: who is turned away and how, and what peers are told that keep calls back.

use super::{raw::Peer, *};
use crate::Feedback;

const HALF: Feedback =
    Feedback { percent: 50, validity: Duration::from_millis(500), seq: 1_282_321_615_782 };

fn with_via(text: &str, params: &str) -> String {
    text.replace(";rport;", &format!(";rport;{params};"))
}

fn via(message: &Message) -> String {
    String::from_utf8(message.header("Via").unwrap().to_vec()).unwrap()
}

fn parse(text: &str) -> Message {
    Message::parse(text.as_bytes()).unwrap()
}

#[test]
fn peer_that_takes_part_is_told_in_every_response_how_much_to_keep_back() {
    let mut it = World::new(GOOD, 71);
    let mut raw = Peer::new(&mut it);
    it.ends[B].set_feedback(HALF);
    let offer = "oc;oc-algo=\"loss,rate\"";
    raw.send(&mut it, &with_via(&raw.request("INVITE", 1, "", ""), offer));
    let b = it.invited(B);
    it.act(B, |it, now| it.refuse(b, 480, now));
    assert_eq!(raw.statuses(&it), [100, 480]);
    raw.send(&mut it, &with_via(&raw.request("OPTIONS", 1, "", ""), offer));
    for answer in Peer::answers(&it) {
        let via = via(&answer);
        let told = ";oc=50;oc-algo=\"loss\";oc-validity=500;oc-seq=1282321615.782";
        assert!(via.ends_with(told), "{via}");
        assert_eq!(via.matches("oc-algo").count(), 1, "{via}");
    }
}

#[test]
fn peer_that_takes_no_part_is_told_nothing() {
    for offer in ["x", "oc=5", "oc;oc-algo=\"rate\"", "ocean"] {
        let mut it = World::new(GOOD, 72);
        let mut raw = Peer::new(&mut it);
        it.ends[B].set_feedback(HALF);
        let text = with_via(&raw.request("OPTIONS", 1, "", ""), offer);
        assert!(!parse(&text).takes_part());
        raw.send(&mut it, &text);
        let via = via(&Peer::last(&it));
        assert!(via.contains(offer) && !via.contains("oc-seq"), "{via}");
    }
    let text = with_via(&Peer::new(&mut World::new(GOOD, 73)).request("INVITE", 1, "", ""), "oc");
    assert!(parse(&text).takes_part(), "every peer that takes part has the algorithm loss");
}

#[test]
fn caller_who_is_turned_away_leaves_no_trace_and_hears_no_time_to_come_back() {
    let mut it = World::new(GOOD, 74);
    let mut raw = Peer::new(&mut it);
    let text = raw.request("INVITE", 1, "", "");
    let (message, flow) = (parse(&text), it.flow(B));
    assert!(it.ends[B].is_new_call(&message) && !it.ends[B].was_turned_away(&message));
    it.act(B, |end, now| end.turn_away(flow, &message, now));
    assert_eq!(raw.statuses(&it), [503]);
    let answer = Peer::last(&it);
    assert_eq!(answer.header("Retry-After"), None);
    assert!(!answer.to_tag().is_empty());
    assert_eq!((it.ends[B].n_transactions(), it.ends[B].n_legs()), (0, 0));
    // The ACK of it is nothing odd.
    raw.learn_tag(&it, B);
    raw.send(&mut it, &raw.request("ACK", 1, "", ""));
    assert!(it.events[B].is_empty() && raw.statuses(&it).is_empty());
    // What crossed our answer gets it once more; a caller who tries again later is a new one.
    assert!(it.ends[B].was_turned_away(&message));
    let again = parse(&text.replace("CSeq: 1", "CSeq: 2"));
    assert!(!it.ends[B].was_turned_away(&again));
    it.now.mono = it.now.mono + Duration::from_secs(3);
    it.act(B, |end, now| end.turn_away(flow, &again, now));
    assert!(!it.ends[B].was_turned_away(&message));
}

#[test]
fn what_belongs_to_a_call_is_no_new_one() {
    let mut it = World::new(GOOD, 75);
    let mut raw = Peer::new(&mut it);
    let invite = raw.request("INVITE", 1, "", "");
    raw.send(&mut it, &invite);
    assert!(!it.ends[B].is_new_call(&parse(&invite)), "a repetition");
    let (raw, _) = Peer::talk(&mut World::new(GOOD, 76));
    for method in ["INVITE", "ACK", "BYE", "UPDATE", "INFO", "PRACK"] {
        assert!(!it.ends[B].is_new_call(&parse(&raw.request(method, 2, "", ""))), "{method}");
    }
    let elsewhere = Peer::new(&mut World::new(GOOD, 77));
    for method in ["REGISTER", "OPTIONS", "CANCEL"] {
        assert!(!it.ends[B].is_new_call(&parse(&elsewhere.request(method, 1, "", ""))));
    }
}
