//! Several phones of one person.

use super::{
    contacts::dial,
    office::{Office, Phone},
    *,
};
use crate::message::Reply;

/// Phones at ports 1, 2, … with these q, and a call to them.
fn called(qs: &[&str]) -> (Office, Vec<Phone>) {
    let mut it = Office::new(|it| it.contacts_max = 8);
    let phones: Vec<_> = qs
        .iter()
        .zip(1..)
        .map(|(q, port)| {
            let mut phone = Phone::at(&format!("10.0.0.1:{port}"));
            let lines = phone.contact(&format!(";q={q}"));
            it.register(&mut phone, &lines);
            phone
        })
        .collect();
    it.sent.clear();
    assert!(dial(&mut it));
    (it, phones)
}

/// The requests of a method to a phone.
fn got(it: &Office, phone: &Phone, method: &[u8]) -> Vec<Message> {
    let to = it.sent.iter().filter(|it| it.0 == phone.flow && it.1.method() == Some(method));
    to.map(|it| it.1.clone()).collect()
}

fn says(it: &mut Office, phone: &Phone, status: u16) {
    let invite = got(it, phone, b"INVITE")[0].clone();
    let contact = format!("<sip:1001@{}>", phone.flow.remote);
    let tag = format!("t{}", phone.flow.remote.port());
    let reply = Reply::new(&invite, status).tag(&tag);
    let text = String::from_utf8(reply.with("Contact", contact).build()).unwrap();
    it.hand(phone.flow, &text);
}

fn ended(it: &Office) -> Option<EndWhy> {
    it.events.iter().find_map(|it| match it {
        Event::Ended { why, .. } => Some(*why),
        _ => None,
    })
}

fn n_answered(it: &Office) -> usize {
    it.said(|it| matches!(it, Event::Answered { .. }))
}

#[test]
fn phones_of_the_same_q_ring_together_and_the_first_answer_ends_the_others() {
    let (mut it, phones) = called(&["1", "1", "1"]);
    assert!(phones.iter().all(|phone| got(&it, phone, b"INVITE").len() == 1));
    says(&mut it, &phones[0], 180);
    says(&mut it, &phones[1], 180);
    says(&mut it, &phones[1], 200);
    assert_eq!((n_answered(&it), ended(&it)), (1, None));
    let cancel = &got(&it, &phones[0], b"CANCEL")[0];
    let reason = cancel.header("Reason").unwrap();
    assert!(crate::decode(reason).contains("Call completed elsewhere"));
    // The third said nothing yet: it is cancelled when it does.
    assert!(got(&it, &phones[2], b"CANCEL").is_empty());
    says(&mut it, &phones[2], 180);
    assert_eq!(got(&it, &phones[2], b"CANCEL").len(), 1);
    assert_eq!(got(&it, &phones[1], b"ACK").len(), 1);
    assert!(got(&it, &phones[1], b"BYE").is_empty());
}

/// A telephone with two flows, a connection each, and another one; a call to them. The flow that
/// is asked first, the spare one, the other telephone.
fn called_by_flows(params: [&str; 2]) -> (Office, [Phone; 3]) {
    let mut it = Office::new(|_| ());
    let two = |n: usize| format!(";+sip.instance=\"<urn:uuid:7>\";reg-id={n}{}", params[n - 1]);
    let lines = [two(1), two(2), String::new()];
    let phones = [1, 2, 3].map(|n: u16| {
        let mut phone = Phone::at(&format!("10.0.0.1:{n}")).over(u64::from(n));
        let lines = phone.contact(&lines[usize::from(n - 1)]);
        it.register(&mut phone, &lines);
        phone
    });
    it.sent.clear();
    assert!(dial(&mut it));
    let [a, b, other] = phones;
    let asked = [&a, &b, &other].map(|to| got(&it, to, b"INVITE").len());
    assert_eq!((asked[0] + asked[1], asked[2]), (1, 1), "{asked:?}");
    let flows = if asked[0] == 1 { [a, b, other] } else { [b, a, other] };
    (it, flows)
}

#[test]
fn a_phone_with_two_flows_is_asked_by_one_and_by_the_other_when_that_one_fails() {
    type Fails = fn(&mut Office, &Phone);
    let ways: [(&str, Fails); 4] = [
        ("430", |it, flow| says(it, flow, 430)),
        ("408", |it, flow| says(it, flow, 408)),
        ("closed", |it, flow| {
            it.act(|end, now| end.handle_connection_gone(flow.flow.conn.unwrap(), now));
        }),
        ("not there", |it, flow| it.act(|end, now| end.handle_unreachable(flow.flow, now))),
    ];
    for (way, fails) in ways {
        let (mut it, [tried, spare, other]) = called_by_flows(["", ""]);
        says(&mut it, &other, 180);
        fails(&mut it, &tried);
        // At once: the other telephone rings on.
        assert_eq!(got(&it, &spare, b"INVITE").len(), 1, "{way}");
        says(&mut it, &spare, 200);
        assert_eq!((n_answered(&it), ended(&it)), (1, None), "{way}");
        assert_eq!(got(&it, &other, b"CANCEL").len(), 1, "{way}");
    }
    // Silence is of a flow, too.
    let (mut it, [_, spare, other]) = called_by_flows(["", ""]);
    says(&mut it, &other, 180);
    it.millis(4_100);
    assert_eq!(got(&it, &spare, b"INVITE").len(), 1);
    it.millis(4_100);
    says(&mut it, &spare, 180);
    assert_eq!(got(&it, &spare, b"CANCEL").len(), 1, "it was given up as well");
}

#[test]
fn what_a_phone_says_by_one_flow_is_its_word_and_the_other_is_not_asked() {
    for status in [404, 480, 488, 500, 503, 486, 603] {
        // Nor when the other flow is of a lower q.
        for lower in ["", ";q=0.3"] {
            let (mut it, [tried, spare, other]) = called_by_flows(["", lower]);
            says(&mut it, &tried, status);
            says(&mut it, &other, 480);
            assert!(got(&it, &spare, b"INVITE").is_empty(), "{status} {lower}");
            assert!(ended(&it).is_some(), "{status} {lower}");
        }
    }
}

#[test]
fn an_answer_that_comes_second_is_acknowledged_and_hung_up() {
    let (mut it, phones) = called(&["1", "1"]);
    says(&mut it, &phones[0], 200);
    says(&mut it, &phones[1], 200);
    assert_eq!((n_answered(&it), ended(&it)), (1, None));
    assert_eq!(got(&it, &phones[1], b"ACK").len(), 1);
    assert_eq!(got(&it, &phones[1], b"BYE").len(), 1);
    assert!(got(&it, &phones[0], b"BYE").is_empty());
}

#[test]
fn a_lower_q_is_dialled_when_nobody_of_a_higher_one_is_left() {
    let (mut it, phones) = called(&["1", "1", "0.3"]);
    says(&mut it, &phones[0], 480);
    assert!(got(&it, &phones[2], b"INVITE").is_empty() && ended(&it).is_none());
    says(&mut it, &phones[1], 503);
    assert_eq!(got(&it, &phones[2], b"INVITE").len(), 1);
    says(&mut it, &phones[2], 404);
    // What the phone said counts more than that another was away.
    assert!(matches!(ended(&it), Some(EndWhy::Refused { status: 404, .. })), "{:?}", ended(&it));
    assert_eq!(it.said(|it| matches!(it, Event::Unreachable { .. })), 1);
}

#[test]
fn a_person_who_rejects_at_one_phone_rejects_at_all() {
    for status in [486, 603] {
        let (mut it, phones) = called(&["1", "1", "0.3"]);
        says(&mut it, &phones[0], 180);
        says(&mut it, &phones[1], status);
        assert_eq!(ended(&it), Some(EndWhy::Refused { status, cause: None }));
        assert_eq!(got(&it, &phones[0], b"CANCEL").len(), 1);
        assert!(got(&it, &phones[2], b"INVITE").is_empty());
    }
}

#[test]
fn a_phone_that_says_nothing_is_given_up_after_4_s_and_the_next_is_dialled() {
    let (mut it, phones) = called(&["1", "0.3"]);
    it.millis(3_900);
    assert!(got(&it, &phones[1], b"INVITE").is_empty());
    assert_eq!(got(&it, &phones[0], b"INVITE").len(), 4);
    it.millis(200);
    assert_eq!(got(&it, &phones[1], b"INVITE").len(), 1);
    assert_eq!(it.said(|it| matches!(it, Event::Unreachable { .. })), 1);
    // What it says too late is undone.
    says(&mut it, &phones[0], 180);
    assert_eq!(got(&it, &phones[0], b"CANCEL").len(), 1);
    says(&mut it, &phones[0], 200);
    assert_eq!(got(&it, &phones[0], b"BYE").len(), 1);
    says(&mut it, &phones[1], 200);
    assert_eq!((n_answered(&it), ended(&it)), (1, None));
}

#[test]
fn all_phones_silent_is_no_response_and_a_caller_who_leaves_stops_every_ring() {
    let (mut it, phones) = called(&["1", "1"]);
    it.millis(4_100);
    assert_eq!(ended(&it), Some(EndWhy::NoResponse));
    assert!(!it.is_reachable() && got(&it, &phones[0], b"INVITE").len() == 4);
    let (mut it, phones) = called(&["1", "1", "0.3"]);
    says(&mut it, &phones[0], 180);
    says(&mut it, &phones[1], 180);
    it.act(|it, now| it.hang_up(LegId(77), HangUp { status: 480, reason: None }, now));
    assert!(phones[..2].iter().all(|phone| got(&it, phone, b"CANCEL").len() == 1));
    it.millis(60_000);
    assert!(got(&it, &phones[2], b"INVITE").is_empty());
    assert_eq!((it.end.n_legs(), it.end.n_transactions()), (0, 0));
}

#[test]
fn phones_that_ring_and_are_not_answered_end_together_at_the_ring_limit() {
    let (mut it, phones) = called(&["1", "1"]);
    says(&mut it, &phones[0], 180);
    says(&mut it, &phones[1], 180);
    it.millis(20_100);
    assert_eq!(ended(&it), Some(EndWhy::NoAnswer));
    assert!(phones.iter().all(|phone| got(&it, phone, b"CANCEL").len() == 1));
    assert!(it.is_reachable());
}
