//! What becomes of the contacts of an extension.

use super::{
    office::{Office, Phone, way},
    *,
};
use crate::{PeerMisbehaved, UnboundWhy};

fn header(it: &Message, name: &str) -> String {
    it.headers(name).map(crate::decode).collect::<Vec<_>>().join(" | ")
}

#[test]
fn every_form_of_a_registration_is_decided() {
    let check = |lines: &str, status: u16, left: &[&str]| {
        let mut it = Office::new(|_| ());
        let mut phone = Phone::at("10.0.0.1:5060");
        let own = phone.contact("");
        assert_eq!(it.register(&mut phone, &own).status(), Some(200));
        assert_eq!(it.register(&mut phone, lines).status(), Some(status), "{lines}");
        assert_eq!(it.uris(), left, "{lines}");
    };
    let old = "sip:1001@10.0.0.1:5060";
    check("", 200, &[old]);
    check("Contact: *\r\nExpires: 0\r\n", 200, &[]);
    check("Contact: *\r\nExpires: 60\r\n", 400, &[old]);
    check("Contact: *\r\n", 400, &[old]);
    check("Contact: *, <sip:a@b>\r\nExpires: 0\r\n", 400, &[old]);
    check("Contact: <sip:a@b>;expires=x\r\n", 400, &[old]);
    check("Contact: <sip:a@b>;expires=-1\r\n", 400, &[old]);
    check("Contact: <mailto:a@b>\r\n", 400, &[old]);
    check("Contact: <sip:other@h>;expires=0\r\n", 200, &[old]);
    check("m: <sip:1001@10.0.0.1:5060>;expires=0\r\n", 200, &[]);
    check("Contact: <sip:1001@10.0.0.1:5060>;expires=59\r\n", 423, &[old]);
    let two = ["sip:new@h:1", old];
    check("Contact: <sip:new@h:1>;expires=600\r\n", 200, &[old, "sip:new@h:1"]);
    check("Contact: <sip:1001@10.0.0.1:5060>;q=.2, <sip:new@h:1>;q=0.9\r\n", 200, &two);
    let moved = "Contact: <sip:1001@10.0.0.1:5060>;expires=0, <sip:new@h:1>\r\n";
    check(moved, 200, &["sip:new@h:1"]);
}

#[test]
fn phones_of_one_extension_stand_side_by_side_ordered_by_q() {
    let mut it = Office::new(|_| ());
    let mut desk = Phone::at("10.0.0.1:5060");
    let mut soft = Phone::at("10.0.0.3:40000").over(9);
    let lines = desk.contact(";q=0.5");
    it.register(&mut desk, &lines);
    let lines = soft.contact(";q=0.75;+sip.instance=\"<urn:uuid:7>\";reg-id=1");
    let ok = it.register(&mut soft, &lines);
    assert_eq!(it.uris(), ["sip:1001@10.0.0.3:40000", "sip:1001@10.0.0.1:5060"]);
    // The own contact comes first, whatever its q.
    assert_eq!(
        header(&ok, "Contact"),
        "<sip:1001@10.0.0.3:40000>;expires=3600;q=0.750;+sip.instance=\"<urn:uuid:7>\";reg-id=1 | \
         <sip:1001@10.0.0.1:5060>;expires=3600;q=0.500"
    );
    assert_eq!(header(&ok, "Require"), "outbound");
    // Only the named one goes; the other stays.
    let lines = soft.contact(";expires=0;+sip.instance=\"<urn:uuid:7>\";reg-id=1");
    it.register(&mut soft, &lines);
    assert_eq!(it.uris(), ["sip:1001@10.0.0.1:5060"]);
    assert_eq!(it.said(|it| matches!(it, Event::Unbound { why: UnboundWhy::Asked, .. })), 1);
}

#[test]
fn an_instance_that_comes_anew_takes_its_own_place_and_another_flow_of_it_stands_beside() {
    let mut it = Office::new(|_| ());
    let line =
        |it: &Phone, reg| it.contact(&format!(";+sip.instance=\"<urn:uuid:7>\";reg-id={reg}"));
    let mut first = Phone::at("10.0.0.3:40000").over(9);
    let mut second = Phone::at("10.0.0.3:40001").over(10);
    let mut again = Phone::at("10.0.0.3:40002").over(11);
    let (a, b, c) = (line(&first, 1), line(&second, 2), line(&again, 1));
    it.register(&mut first, &a);
    it.register(&mut second, &b);
    assert_eq!(it.contacts().len(), 2);
    it.register(&mut again, &c);
    let flows: Vec<_> = it.contacts().iter().filter_map(|it| it.flow.conn).collect();
    assert_eq!(flows, [ConnId(10), ConnId(11)]);
    // The old connection has no contact any more.
    it.act(|it, _| it.handle_connection_gone(ConnId(9), Now::default()));
    assert_eq!(it.contacts().len(), 2);
}

#[test]
fn a_phone_that_was_switched_off_and_calls_itself_otherwise_takes_its_own_place() {
    let mut it = Office::new(|_| ());
    let mut phone = Phone::at("10.0.0.1:5060");
    it.register(&mut phone, "Contact: <sip:1001-0x55aa@10.0.0.1:5060>\r\n");
    let mut phone = Phone { call_id: "after".to_owned(), cseq: 0, ..phone };
    it.register(&mut phone, "Contact: <sip:1001-0x66bb@10.0.0.1:5060>\r\n");
    assert_eq!(it.uris(), ["sip:1001-0x66bb@10.0.0.1:5060"]);
    // A network address translator gave it another port: its Contact tells who it is.
    let mut moved = Phone { flow: way("10.0.0.1:1024", None), ..phone.clone() };
    it.register(&mut moved, "Contact: <sip:1001-0x66bb@10.0.0.1:5060>\r\n");
    let ports: Vec<_> = it.contacts().iter().map(|it| it.flow.remote.port()).collect();
    assert_eq!(ports, [1024]);
    assert!(!it.end.is_phone(phone.flow) && it.end.is_phone(moved.flow));
}

#[test]
fn one_contact_more_than_may_be_takes_the_place_of_the_one_that_ends_first() {
    let mut it = Office::new(|it| it.contacts_max = 2);
    for (port, expires) in [(1, 600), (2, 300), (3, 900)] {
        let mut phone = Phone::at(&format!("10.0.0.1:{port}"));
        let lines = phone.contact(&format!(";expires={expires}"));
        assert_eq!(it.register(&mut phone, &lines).status(), Some(200));
    }
    assert_eq!(it.uris(), ["sip:1001@10.0.0.1:1", "sip:1001@10.0.0.1:3"]);
    assert_eq!(it.said(|it| matches!(it, Event::Unbound { why: UnboundWhy::Replaced, .. })), 1);
}

#[test]
fn a_late_copy_of_an_earlier_register_changes_nothing() {
    let mut it = Office::new(|_| ());
    let mut phone = Phone::at("10.0.0.1:5060");
    let lines = phone.contact("");
    it.register(&mut phone, &lines);
    for lines in [phone.contact(";expires=0"), "Contact: *\r\nExpires: 0\r\n".to_owned()] {
        let mut late = Phone { cseq: 0, ..phone.clone() };
        let reply = it.register(&mut late, &lines);
        assert_eq!((reply.status(), it.contacts().len()), (Some(500), 1));
    }
    let why = PeerMisbehaved::CSeqWentBackwards;
    let said = it
        .events
        .iter()
        .filter(|it| matches!(it, Event::Misbehaved { why: was, .. } if *was == why));
    assert_eq!(said.count(), 2);
}

#[test]
fn the_way_of_a_registration_becomes_the_route_of_what_is_sent() {
    let mut it = Office::new(|it| it.service_route = vec!["<sip:edge.hotline;lr>".to_owned()]);
    let mut phone = Phone::at("10.0.0.8:5060");
    let path = "Path: <sip:p1@edge.example;lr>,<sip:p2.example;lr>\r\n";
    let lines = format!("{path}Contact: <sip:1001@192.168.1.7>\r\n");
    let ok = it.register(&mut phone, &lines);
    assert_eq!(header(&ok, "Path"), "<sip:p1@edge.example;lr>,<sip:p2.example;lr>");
    assert_eq!(header(&ok, "Service-Route"), "<sip:edge.hotline;lr>");
    assert!(dial(&mut it));
    let (flow, invite) = it.sent.last().unwrap();
    assert_eq!((*flow, invite.raw_uri()), (phone.flow, &b"sip:1001@192.168.1.7"[..]));
    assert_eq!(header(invite, "Route"), "<sip:p1@edge.example;lr> | <sip:p2.example;lr>");
}

#[test]
fn a_way_that_is_no_address_is_refused_and_binds_nothing() {
    for path in ["nonsense", "<sip:p1;lr>, <tel:12345>", "<sip:p1;lr"] {
        let mut it = Office::new(|_| ());
        let mut phone = Phone::at("10.0.0.8:5060");
        let lines = format!("Path: {path}\r\n{}", phone.contact(""));
        let reply = it.register(&mut phone, &lines);
        assert_eq!((reply.status(), it.contacts().len()), (Some(400), 0), "{path}");
    }
}

pub(super) fn dial(it: &mut Office) -> bool {
    let leg = LegId(77);
    it.act(|it, now| {
        let dial = |binding: &crate::Binding| Dial {
            target: binding.contact.clone(),
            flow: binding.flow,
            from_display: String::new(),
            from_user: "13800138000".to_owned(),
            sdp: "offer".to_owned(),
            headers: vec![],
            ring_limit: Some(Duration::from_secs(20)),
            silence_limit: Some(Duration::from_secs(4)),
            from_host: None,
            credentials: None,
        };
        // One that is not wanted is not called.
        let dial = |it: &crate::Binding| (!it.contact.contains("unwanted")).then(|| dial(it));
        it.dial_extension(leg, &Extension::new("1001"), dial, now)
    })
}

#[test]
fn a_phone_that_the_caller_does_not_want_is_not_called() {
    let mut it = Office::new(|_| ());
    let mut other = Phone::at("10.0.0.2:5060");
    it.register(&mut other, "Contact: <sip:unwanted@10.0.0.2>\r\n");
    assert!(!dial(&mut it), "nobody is left to be called");
    let mut phone = Phone::at("10.0.0.1:5060");
    let lines = phone.contact(";q=0.1");
    it.register(&mut phone, &lines);
    assert!(dial(&mut it));
    let called = it.sent.iter().filter(|it| it.1.method() == Some(b"INVITE")).map(|it| it.0);
    assert_eq!(called.collect::<Vec<_>>(), [phone.flow]);
}

#[test]
fn registrations_are_granted_within_bounds_and_not_all_alike() {
    let mut it = Office::new(|it| it.expires_spread = 20);
    let mut granted = BTreeSet::new();
    let mut phone = Phone::at("10.0.0.1:5060");
    for _ in 0..100 {
        let lines = phone.contact(";expires=1800");
        let ok = it.register(&mut phone, &lines);
        let text = header(&ok, "Contact");
        let (_, expires) = text.split_once("expires=").unwrap();
        granted.insert(expires.parse::<u64>().unwrap());
    }
    assert!(granted.len() > 50, "{granted:?}");
    assert!(granted.iter().all(|it| (1440..=1800).contains(it)), "{granted:?}");
    // What is short already is not made too short.
    let lines = phone.contact(";expires=61");
    let ok = it.register(&mut phone, &lines);
    assert!(header(&ok, "Contact").ends_with("=60") || header(&ok, "Contact").ends_with("=61"));
}

#[test]
fn a_phone_that_does_not_react_to_a_probe_is_marked_until_it_does() {
    let mut it = Office::new(|it| it.probe_every = Duration::from_secs(30));
    let mut phone = Phone::at("10.0.0.1:5060");
    let lines = phone.contact("");
    it.register(&mut phone, &lines);
    let probes = |it: &Office| {
        let all = it.sent.iter().filter(|it| it.1.method() == Some(b"OPTIONS"));
        all.map(|it| it.1.clone()).collect::<Vec<_>>()
    };
    // The next probe, which has just been sent, gets this status.
    let reply = |it: &mut Office, status: u16| {
        let n = probes(it).len();
        while probes(it).len() == n {
            it.millis(100);
        }
        let ask = probes(it).pop().unwrap();
        let reply = crate::message::Reply::new(&ask, status).tag("t").build();
        it.hand(phone.flow, std::str::from_utf8(&reply).unwrap());
    };
    // It is asked between 15 and 30 s, four times, and given up 4 s later.
    it.millis(14_900);
    assert_eq!(probes(&it).len(), 0);
    while it.is_reachable() {
        it.millis(100);
    }
    assert_eq!(probes(&it).len(), 4);
    assert!(it.now.mono.since(MonoTime(0)) <= Duration::from_millis(34_100));
    assert_eq!(it.said(|it| matches!(it, Event::Unreachable { .. })), 1);
    assert!(!dial(&mut it), "a phone that is not there is not dialled");
    // Whatever it says, it is there.
    reply(&mut it, 486);
    assert!(it.is_reachable());
    assert_eq!(it.said(|it| matches!(it, Event::Reachable { .. })), 1);
    // Unless somebody before it says that it is not.
    reply(&mut it, 430);
    assert!(!it.is_reachable());
    let lines = phone.contact("");
    it.register(&mut phone.clone(), &lines);
    assert!(it.is_reachable());
}

#[test]
fn bindings_outlive_the_process_with_all_that_belongs_to_them() {
    let mut it = Office::new(|_| ());
    let mut desk = Phone::at("10.0.0.1:5060");
    let mut soft = Phone::at("10.0.0.3:40000");
    let (a, b) = (desk.contact(";q=0.5"), soft.contact(";+sip.instance=\"<urn:uuid:7>\""));
    it.register(&mut desk, &a);
    it.register(&mut soft, &format!("Path: <sip:edge;lr>\r\n{b}"));
    let kept = borsh::to_vec(&it.contacts()).unwrap();
    let mut later = Office::new(|_| ());
    for binding in borsh::from_slice::<Vec<crate::Binding>>(&kept).unwrap() {
        later.end.restore_binding(binding);
    }
    assert_eq!(later.uris(), it.uris());
    assert!(later.end.is_phone(desk.flow));
    assert_eq!(later.contacts()[0].path, ["<sip:edge;lr>"]);
    // A refresh finds its place.
    desk.cseq = 100;
    later.register(&mut desk, &a);
    assert_eq!(later.contacts().len(), 2);
    later.millis(3_601_000);
    assert_eq!(later.uris(), [""; 0]);
}
