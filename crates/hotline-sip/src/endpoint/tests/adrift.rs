//! Telephones whose connection, or whose control process, is gone in the middle of a call.

use super::{
    contacts::dial,
    office::{Office, Phone, way},
    *,
};

const LEG: LegId = LegId(77);
const CONTACT: &str = "Contact: <sip:page@x7.invalid;transport=ws>\r\n";

/// A browser that registered by connection 1 talks; nobody can connect to it.
fn talk() -> (Office, Phone) {
    talk_at(Phone::at("10.0.0.7:50001").over(1))
}

fn talk_at(mut page: Phone) -> (Office, Phone) {
    let mut it = Office::new(|_| ());
    it.register(&mut page, CONTACT);
    assert!(dial(&mut it));
    answer(&mut it, "INVITE", page.flow);
    assert_eq!(it.last("ACK").0, page.flow);
    (it, page)
}

/// The peer says 200 to the last request of this method.
fn answer(it: &mut Office, method: &str, flow: Flow) {
    let (_, request) = it.last(method);
    let header = |name: &str| crate::decode(request.header(name).unwrap());
    let [via, from, to] = ["Via", "From", "To"].map(header);
    let tag = if request.to_tag().is_empty() { ";tag=theirs" } else { "" };
    let (call_id, cseq) = (header("Call-ID"), header("CSeq"));
    it.hand(
        flow,
        &format!(
            "SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to}{tag}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq}\r\n{CONTACT}Content-Type: application/sdp\r\n\r\nanswer"
        ),
    );
}

/// The connection goes, or the process that had it.
fn lose(it: &mut Office, restarts: bool) {
    if !restarts {
        return it.act(|it, now| it.handle_connection_gone(ConnId(1), now));
    }
    let saved = it.end.save(LEG).unwrap();
    let mut later = Office::new(|_| ());
    later.now = it.now;
    assert_eq!(later.act(|it, now| it.restore(&saved, now)), Some(LEG));
    *it = later;
}

fn hang_up(it: &mut Office) {
    it.act(|it, now| it.hang_up(LEG, HangUp { status: 480, reason: None }, now));
}

/// Nobody can connect to a browser, as the rim says.
fn nobody_there(it: &mut Office) {
    let (flow, _) = it.last("BYE");
    assert_eq!(flow.conn, None);
    it.act(|it, now| it.handle_unreachable(flow, now));
}

#[test]
fn a_telephone_that_comes_back_by_another_connection_is_told_the_end_of_its_call() {
    for (restarts, before) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut it, page) = talk();
        lose(&mut it, restarts);
        if before {
            hang_up(&mut it);
            nobody_there(&mut it);
            it.millis(30_000);
        }
        let mut page = Phone { flow: way("10.0.0.7:50002", Some(2)), ..page };
        it.register(&mut page, CONTACT);
        if !before {
            hang_up(&mut it);
        }
        assert_eq!(it.last("BYE").0, page.flow, "{restarts} {before}");
        assert_eq!(it.end.n_legs(), 1);
        answer(&mut it, "BYE", page.flow);
        assert_eq!(it.end.n_legs(), 0);
    }
}

#[test]
fn nobody_else_takes_the_place_of_a_telephone_that_is_gone() {
    let other = CONTACT.replace("x7", "x8");
    for (contact, at) in [(CONTACT, "10.0.0.8:50001"), (&other, "10.0.0.7:50002")] {
        let (mut it, page) = talk();
        lose(&mut it, true);
        hang_up(&mut it);
        nobody_there(&mut it);
        let mut page = Phone { flow: way(at, Some(2)), ..page };
        it.register(&mut page, contact);
        assert_eq!(it.last("BYE").0.conn, None);
        it.millis(39_000);
        assert_eq!(it.end.n_legs(), 1);
        it.millis(1_001);
        assert_eq!(it.end.n_legs(), 0, "he is not waited for any longer");
    }
}

/// The old connection, or the address that a NAT has forgotten, has not ended as far as anybody
/// knows; the telephone may be in another network by now.
#[test]
fn a_telephone_that_registers_by_another_way_goes_on_by_it_at_once() {
    for (ip, over) in [("10.0.0.7", true), ("10.0.9.9", true), ("10.0.0.7", false)] {
        for closing in [false, true] {
            let (mut it, before) = if over { talk() } else { talk_at(Phone::at("10.0.0.7:50001")) };
            if closing {
                hang_up(&mut it);
                assert_eq!(it.last("BYE").0, before.flow);
            }
            let flow = way(&format!("{ip}:50002"), over.then_some(2));
            let mut page = Phone { flow, ..before };
            it.register(&mut page, CONTACT);
            it.millis(1);
            if over && !closing {
                // Whoever was asked by the old one may never answer.
                assert_eq!(it.last("INVITE").0, page.flow);
            }
            if !closing {
                hang_up(&mut it);
            }
            assert_eq!(it.last("BYE").0, page.flow, "{ip} {over} {closing}");
            it.act(|it, now| it.handle_connection_gone(ConnId(1), now));
            answer(&mut it, "BYE", page.flow);
            assert_eq!(it.end.n_legs(), 0);
        }
    }
}

#[test]
fn a_call_that_is_not_the_telephones_does_not_follow_it() {
    let (mut it, before) = talk();
    let other = CONTACT.replace("x7", "x8");
    let mut second = Phone { call_id: "c2".to_owned(), ..before.clone() };
    it.register(&mut second, &other);
    let mut second = Phone { flow: way("10.0.0.7:50002", Some(2)), ..second };
    it.register(&mut second, &other);
    hang_up(&mut it);
    assert_eq!(it.last("BYE").0, before.flow);
}
