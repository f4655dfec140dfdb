//! Which transport a request leaves by, and what happens when it cannot.

use super::*;

/// A description too large for a datagram together with its INVITE.
fn large() -> String {
    "a=rtpmap:8 PCMA/8000\r\n".repeat(60)
}

fn dial(it: &mut World, sdp: String) -> LegId {
    let leg = it.ends[A].new_leg();
    let dial = Dial {
        target: "sip:12345@10.0.0.2:5060".to_owned(),
        flow: it.flow(A),
        from_display: String::new(),
        from_user: "13800138000".to_owned(),
        sdp,
        headers: vec![],
        ring_limit: None,
        silence_limit: None,
        from_host: None,
        credentials: None,
    };
    it.ends[A].dial(leg, dial, it.now);
    leg
}

/// What `A` sends next.
fn sent(it: &mut World) -> Option<(Flow, Message)> {
    while let Some(output) = it.ends[A].poll_output() {
        if let Output::Transmit { flow, bytes } = output {
            return Some((flow, Message::parse(&bytes).unwrap()));
        }
    }
    None
}

fn transport(sent: Option<(Flow, Message)>) -> (Transport, String) {
    let (flow, message) = sent.unwrap();
    let via = message.top_via().unwrap();
    (flow.transport, String::from_utf8(via.transport.to_vec()).unwrap())
}

#[test]
fn a_request_over_1300_bytes_goes_by_a_stream_and_back_to_datagrams_when_there_is_none() {
    let mut it = World::new(GOOD, 21);
    dial(&mut it, "offer".to_owned());
    assert_eq!(transport(sent(&mut it)), (Transport::Udp, "UDP".to_owned()));

    dial(&mut it, large());
    let (flow, message) = sent(&mut it).unwrap();
    assert_eq!((flow.transport, flow.conn), (Transport::Tcp, None));
    assert!(message.bytes().len() > 1_300);
    let branch = message.top_via().unwrap().branch().to_vec();

    let now = it.now;
    it.ends[A].handle_unreachable(Flow { conn: Some(ConnId(9)), ..flow }, now);
    let (flow, again) = sent(&mut it).unwrap();
    assert_eq!((flow.transport, flow.conn), (Transport::Udp, None));
    assert_eq!(again.top_via().unwrap().transport, b"UDP");
    assert_eq!(again.top_via().unwrap().branch(), branch);

    // The peer is remembered for a while as one that takes no connection.
    dial(&mut it, large());
    assert_eq!(transport(sent(&mut it)), (Transport::Udp, "UDP".to_owned()));
    it.now = it.now + Duration::from_mins(11);
    dial(&mut it, large());
    assert_eq!(transport(sent(&mut it)), (Transport::Tcp, "TCP".to_owned()));
}

/// It has no transaction that would notice that there is no stream.
#[test]
fn ack_over_1300_bytes_goes_by_a_stream_and_as_a_datagram_when_the_200_comes_again() {
    let mut it = World::new(GOOD, 26);
    let answered = |it: &mut World, routes: usize| {
        dial(it, "offer".to_owned());
        let (_, invite) = sent(it).unwrap();
        let text = |name| String::from_utf8_lossy(invite.header(name).unwrap()).into_owned();
        let route = format!("Record-Route: <sip:{}.example;lr>\r\n", "p".repeat(60));
        let ok = format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=b\r\nCall-ID: {}\r\n\
             CSeq: {}\r\nContact: <sip:b@10.0.0.2>\r\n{}Content-Length: 0\r\n\r\n",
            text("Via"),
            text("From"),
            text("To"),
            text("Call-ID"),
            text("CSeq"),
            route.repeat(routes)
        );
        [(); 2].map(|()| {
            let (flow, ok) = (it.flow(A), Message::parse(ok.as_bytes()).unwrap());
            let now = it.now;
            it.ends[A].handle_message(flow, ok, Admit::Trusted, now);
            let (flow, ack) = sent(it).unwrap();
            assert_eq!(ack.method(), Some(&b"ACK"[..]));
            assert_eq!(ack.bytes().len() > 1_300, routes > 2);
            assert_eq!(ack.top_via().unwrap().transport, flow.transport.name().as_bytes());
            flow.transport
        })
    };
    assert_eq!(answered(&mut it, 2), [Transport::Udp, Transport::Udp]);
    assert_eq!(answered(&mut it, 20), [Transport::Tcp, Transport::Udp]);
}

/// The request that takes the place of one that a carrier's rules gave `length` bytes.
fn refit(it: &mut World, sent: &Message, length: usize) -> Option<(Flow, Message)> {
    let (flow, bytes) = it.ends[A].refit(sent.bytes(), length, it.now)?;
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.top_via().unwrap().transport, flow.transport.name().as_bytes());
    assert_eq!(message.branch(), sent.branch());
    Some((flow, message))
}

/// Lets time pass without anybody who answers; what was sent again.
fn later(it: &mut World, secs: u64) -> Option<(Flow, Message)> {
    it.now = it.now + Duration::from_secs(secs);
    it.ends[A].handle_timeout(it.now);
    sent(it)
}

#[test]
fn a_request_goes_by_the_length_that_rules_leave_it() {
    let mut it = World::new(GOOD, 24);
    dial(&mut it, "offer".to_owned());
    let (_, small) = sent(&mut it).unwrap();
    assert!(refit(&mut it, &small, 1_300).is_none());
    let (flow, streamed) = refit(&mut it, &small, 1_301).unwrap();
    assert_eq!((flow.transport, flow.conn), (Transport::Tcp, None));
    assert!(later(&mut it, 3).is_none(), "nothing is repeated by a stream");
    // As by its own length, it goes back to datagrams when there is no stream.
    let now = it.now;
    it.ends[A].handle_unreachable(flow, now);
    let (flow, again) = sent(&mut it).unwrap();
    assert_eq!((flow.transport, again.bytes()), (Transport::Udp, small.bytes()));
    assert!(refit(&mut it, &again, 1_301).is_none(), "the peer takes no connection");
    assert_ne!(streamed.bytes(), again.bytes());

    let mut it = World::new(GOOD, 25);
    dial(&mut it, large());
    let (flow, message) = sent(&mut it).unwrap();
    assert_eq!(flow.transport, Transport::Tcp);
    assert!(refit(&mut it, &message, 1_301).is_none());
    let (flow, message) = refit(&mut it, &message, 1_300).unwrap();
    assert_eq!(flow.transport, Transport::Udp);
    let (flow, again) = later(&mut it, 1).unwrap();
    assert_eq!((flow.transport, again.bytes()), (Transport::Udp, message.bytes()));
}

#[test]
fn a_request_that_cannot_arrive_fails_at_once_and_one_that_was_answered_does_not() {
    let mut it = World::new(GOOD, 22);
    it.drop = Some((B, "INVITE"));
    let lost = it.dial();
    let flow = it.flow(A);
    it.act(A, |it, now| it.handle_unreachable(flow, now));
    assert_eq!(it.ends_of(A, lost), [EndWhy::ConnectionGone]);

    it.drop = None;
    let heard = it.dial();
    it.secs(1);
    it.act(A, |it, now| it.handle_unreachable(flow, now));
    assert_eq!(it.ends_of(A, heard), []);
}

#[test]
fn our_own_headers_name_an_ipv6_address_in_brackets() {
    let mut it = World::new(GOOD, 23);
    let mut config = config();
    config.advertised_v6 = Some("2001:db8::9".parse().unwrap());
    it.ends[A].configure(config);
    let local = "[::]:5060".parse().unwrap();
    let remote = "[2001:db8::2]:5060".parse().unwrap();
    let flow = Flow { transport: Transport::Udp, local, remote, conn: None };
    let now = it.now;
    let account = Account::new("secret");
    it.ends[A].register(&Extension::new("1001"), &account, flow, Duration::from_mins(1), now);
    let (_, message) = sent(&mut it).unwrap();
    let header = |name| String::from_utf8(message.header(name).unwrap().to_vec()).unwrap();
    assert!(header("Via").starts_with("SIP/2.0/UDP [2001:db8::9]:5060;rport;"));
    assert_eq!(header("Contact"), "<sip:1001@[2001:db8::9]:5060>");
    assert_eq!(header("To"), "<sip:1001@[2001:db8::2]>");
    assert_eq!(message.raw_uri(), b"sip:[2001:db8::2]:5060");
}
