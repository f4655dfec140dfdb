//! Stories of telephones that ring for us: what is heard of each before one answers.

use super::*;

const SDP: &str = "Content-Type: application/sdp\r\n";

/// `(fork, status, description)` of every ring B heard.
fn rings(it: &World) -> Vec<(u8, u16, Option<&str>)> {
    let all = it.events[B].iter().filter_map(|it| match it {
        Event::Ringing { fork, status, sdp, .. } => Some((*fork, *status, sdp.as_deref())),
        _ => None,
    });
    all.collect()
}

/// `method to-tag` of everything B sent after its INVITE.
fn sent(it: &World) -> Vec<String> {
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    let all = raw::Peer::answers(it);
    let requests = all.iter().filter_map(|it| Some((it.method()?, it.to_tag())));
    requests.skip(1).map(|(method, tag)| format!("{} {}", text(method), text(tag))).collect()
}

fn reliable(it: &World, status: u16, tag: &str, rseq: u32, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { SDP };
    let more = format!("Require: 100rel\r\nRSeq: {rseq}\r\n{kind}");
    raw::respond_with(it, "INVITE", status, tag, &more, body)
}

#[test]
fn reliable_responses_may_be_numbered_across_2_31_and_up_to_2_32() {
    for first in [(1 << 31) - 1, u32::MAX - 1] {
        let mut it = World::new(GOOD, 109);
        let mut raw = raw::Peer::new(&mut it);
        raw::dial(&mut it);
        for (n, status) in [(0, 183), (1, 180)] {
            let early = reliable(&it, status, "f1", first + n, "");
            raw.send(&mut it, &early);
            let expected = format!("{} 1 INVITE", first + n);
            let prack = raw::Peer::last(&it);
            assert_eq!(prack.header("RAck"), Some(expected.as_bytes()), "{first}");
            let ok = raw::respond_with(&it, "PRACK", 200, "f1", "", "");
            raw.send(&mut it, &ok);
        }
        assert_eq!(sent(&it), ["PRACK f1", "PRACK f1"]);
    }
}

#[test]
fn sdp_only_in_a_reliable_183_is_the_answer_and_the_prack_goes_to_its_contact() {
    let mut it = World::new(GOOD, 100);
    let mut raw = raw::Peer::new(&mut it);
    let leg = raw::dial(&mut it);
    let invite = raw::Peer::last(&it);
    assert_eq!(invite.header("Supported"), Some(&b"100rel, timer, replaces"[..]));
    let early = reliable(&it, 183, "f1", 4_000, "answer");
    raw.send(&mut it, &early);
    let prack = raw::Peer::last(&it);
    assert_eq!(prack.header("RAck"), Some(&b"4000 1 INVITE"[..]));
    // The route is read backwards; its first hop is a strict router (RFC 3261 §12.2.1.1).
    assert_eq!((prack.raw_uri(), prack.cseq().number), (&b"sip:r2"[..], 2));
    assert_eq!(prack.values("Route").last(), Some(&b"<sip:f1@10.0.0.1>"[..]));
    let ok = raw::respond_with(&it, "PRACK", 200, "f1", "", "");
    raw.send(&mut it, &ok);
    // Sent again before our PRACK arrived; and one that lost the race for its place.
    raw.send(&mut it, &early);
    let late = reliable(&it, 180, "f1", 4_002, "");
    raw.send(&mut it, &late);
    let next = reliable(&it, 180, "f1", 4_001, "");
    raw.send(&mut it, &next);
    assert_eq!(rings(&it), [(0, 183, Some("answer")), (0, 180, None)]);
    let ok = raw::respond_with(&it, "INVITE", 200, "f1", "", "");
    raw.send(&mut it, &ok);
    assert_eq!(sent(&it), ["PRACK f1", "PRACK f1", "ACK f1"]);
    assert!(matches!(it.events[B].last(), Some(Event::Answered { sdp: Some(sdp), .. })
        if sdp == "answer"));
    it.hang_up(B, leg);
    // The PRACKs have used numbers 2 and 3.
    let bye = raw::Peer::last(&it);
    assert_eq!((bye.method(), bye.cseq().number), (Some(&b"BYE"[..]), 4));
}

#[test]
fn a_180_after_a_183_and_several_of_both_are_told_one_by_one() {
    let mut it = World::new(GOOD, 101);
    let mut raw = raw::Peer::new(&mut it);
    let leg = raw::dial(&mut it);
    for (status, body) in [(183, "colour ring"), (180, ""), (180, ""), (183, "other ring")] {
        let kind = if body.is_empty() { "" } else { SDP };
        let text = raw::respond_with(&it, "INVITE", status, "f1", kind, body);
        raw.send(&mut it, &text);
    }
    assert_eq!(
        rings(&it),
        [
            (0, 183, Some("colour ring")),
            (0, 180, None),
            (0, 180, None),
            (0, 183, Some("other ring")),
        ]
    );
    // A 200 with its own description: that one counts.
    let ok = raw::respond_with(&it, "INVITE", 200, "f1", SDP, "answer");
    raw.send(&mut it, &ok);
    assert!(matches!(it.events[B].last(), Some(Event::Answered { sdp: Some(sdp), .. })
        if sdp == "answer"));
    it.hang_up(B, leg);
}

#[test]
fn of_several_telephones_the_one_that_answers_brings_its_own_description() {
    let mut it = World::new(GOOD, 102);
    let mut raw = raw::Peer::new(&mut it);
    let leg = raw::dial(&mut it);
    for (tag, rseq, body) in [("f1", 1, "from f1"), ("f2", 7, "from f2"), ("f3", 1, "")] {
        let text = reliable(&it, 183, tag, rseq, body);
        raw.send(&mut it, &text);
    }
    assert_eq!(rings(&it), [(0, 183, Some("from f1")), (1, 183, Some("from f2")), (2, 183, None),]);
    let ok = raw::respond_with(&it, "INVITE", 200, "f2", "", "");
    raw.send(&mut it, &ok);
    assert!(matches!(it.events[B].last(), Some(Event::Answered { sdp: Some(sdp), .. })
        if sdp == "from f2"));
    assert_eq!(it.ends[B].dialogs.len(), 1);
    it.hang_up(B, leg);
    assert_eq!(it.ends_of(B, leg), [EndWhy::Local]);
}

#[test]
fn a_hundred_forks_cost_no_more_than_sixteen() {
    let mut it = World::new(GOOD, 103);
    let mut raw = raw::Peer::new(&mut it);
    let leg = raw::dial(&mut it);
    for n in 0..100 {
        let text = raw::respond(&it, 180, &format!("t{n}"));
        raw.send(&mut it, &text);
    }
    assert_eq!((it.ends[B].dialogs.len(), rings(&it).len()), (16, 100));
    it.hang_up(B, leg);
    assert_eq!(it.ends[B].dialogs.len(), 0);
    assert_eq!(sent(&it), ["CANCEL "]);
}

#[test]
fn a_hundred_who_answer_one_call_cost_no_more_than_sixteen() {
    let mut it = World::new(GOOD, 107);
    let mut raw = raw::Peer::new(&mut it);
    let leg = raw::dial(&mut it);
    for n in 0..100 {
        let text = raw::respond(&it, 200, &format!("t{n}"));
        raw.send(&mut it, &text);
    }
    let count = |it: &World, what| sent(it).iter().filter(|it| it.starts_with(what)).count();
    assert_eq!((count(&it, "ACK "), count(&it, "BYE ")), (16, 15));
    it.hang_up(B, leg);
    assert_eq!(count(&it, "BYE "), 16);
    it.check_silence();
}

#[test]
fn an_update_before_the_answer_moves_the_early_sound() {
    let mut it = World::new(GOOD, 104);
    let mut raw = raw::Peer::new(&mut it);
    let leg = raw::dial(&mut it);
    let early = reliable(&it, 183, "f1", 1, "colour ring");
    raw.send(&mut it, &early);
    let invite = raw::Peer::answers(&it).remove(0);
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    let update = |cseq: u32, more: &str, body: &str| {
        format!(
            "UPDATE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKu{cseq}\r\n\
             From: <sip:1001@10.0.0.1>;tag=f1\r\nTo: <sip:12345@h>;tag={}\r\nCall-ID: {}\r\n\
             CSeq: {cseq} UPDATE\r\nContact: <sip:f1@10.0.0.1>\r\n{more}\r\n{body}",
            text(invite.from_tag()),
            text(invite.call_id()),
        )
    };
    raw.statuses(&it);
    raw.send(&mut it, &update(1, "", ""));
    raw.send(&mut it, &update(2, SDP, "the person"));
    raw.send(&mut it, &update(3, SDP, "too soon"));
    assert_eq!(raw.statuses(&it), [200, 500]);
    assert_eq!(it.said(B, |it| matches!(it, Event::Offered { sdp: Some(_), .. })), 1);
    it.act(B, |it, now| it.accept_offer(leg, "yes".to_owned(), now));
    assert_eq!(raw::Peer::last(&it).body(), b"yes");
    raw.send(&mut it, &update(4, SDP, "again"));
    it.hang_up(B, leg);
    // The second is not left without an answer.
    assert_eq!(raw.statuses(&it), [200, 487]);
    assert_eq!(it.ends[B].dialogs.len(), 0);
}

#[test]
fn a_bye_of_a_telephone_that_has_not_answered_is_none() {
    let mut it = World::new(GOOD, 105);
    let mut raw = raw::Peer::new(&mut it);
    let leg = raw::dial(&mut it);
    let early = raw::respond(&it, 180, "f1");
    raw.send(&mut it, &early);
    let invite = raw::Peer::answers(&it).remove(0);
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    raw.statuses(&it);
    let bye = format!(
        "BYE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKb1\r\n\
         From: <sip:1001@10.0.0.1>;tag=f1\r\nTo: <sip:12345@h>;tag={}\r\nCall-ID: {}\r\n\
         CSeq: 1 BYE\r\n\r\n",
        text(invite.from_tag()),
        text(invite.call_id()),
    );
    raw.send(&mut it, &bye);
    assert_eq!((raw.statuses(&it), it.ends_of(B, leg)), (vec![481], vec![]));
    // It answers, and its number is used up.
    let ok = raw::respond(&it, 200, "f1");
    raw.send(&mut it, &ok);
    raw.send(&mut it, &bye.replace("z9hG4bKb1", "z9hG4bKb2"));
    assert_eq!((raw.statuses(&it), it.ends_of(B, leg)), (vec![500], vec![]));
    raw.send(&mut it, &bye.replace("z9hG4bKb1", "z9hG4bKb3").replace("1 BYE", "2 BYE"));
    assert_eq!((raw.statuses(&it), it.ends_of(B, leg).len()), (vec![200], 1));
}

/// It was given up, or another telephone was faster.
#[test]
fn who_rang_reliably_and_answers_what_was_cancelled_is_hung_up_by_a_number_never_used() {
    let mut it = World::new(GOOD, 111);
    let mut raw = raw::Peer::new(&mut it);
    let leg = raw::dial(&mut it);
    let early = reliable(&it, 183, "f1", 4_000, "answer");
    raw.send(&mut it, &early);
    let ok = raw::respond_with(&it, "PRACK", 200, "f1", "", "");
    raw.send(&mut it, &ok);
    it.hang_up(B, leg);
    let next = reliable(&it, 180, "f1", 4_001, "");
    raw.send(&mut it, &next);
    let ok = raw::respond_with(&it, "INVITE", 200, "f1", "", "");
    raw.send(&mut it, &ok);
    assert_eq!(sent(&it), ["PRACK f1", "CANCEL ", "PRACK f1", "ACK f1", "BYE f1"]);
    let bye = raw::Peer::last(&it);
    assert_eq!((bye.method(), bye.cseq().number), (Some(&b"BYE"[..]), 4));
}
