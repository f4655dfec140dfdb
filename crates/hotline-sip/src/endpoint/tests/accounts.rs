//! Stories of an account at a carrier: it registers, and proves who it is to the next hop alone.

use super::*;
use crate::{Challenges, Credentials, Enrolled, Enrolment, MessageBuilder, Secret, message::Reply};

const CARRIER: &str = "10.0.0.2";

pub(super) fn credentials(challenges: Challenges) -> Credentials {
    Credentials {
        user: "1001".to_owned(),
        secret: Secret::Password("secret".to_owned()),
        realm: None,
        hops: vec![CARRIER.parse().unwrap()],
        challenges,
    }
}

fn enrolment(it: &World, expires: u64) -> Enrolment {
    Enrolment {
        registrar: "sip:hotline".to_owned(),
        record: "sip:1001@hotline".to_owned(),
        contact_user: "1001".to_owned(),
        flow: it.flow(A),
        credentials: credentials(Challenges::Sha256AndMd5),
        expires: Duration::from_secs(expires),
        limit: Some(Duration::from_secs(4)),
    }
}

fn enrolled(it: &World) -> Vec<Enrolled> {
    let all = it.events[A].iter().filter_map(|it| match it {
        Event::Enrolled(it) => Some((**it).clone()),
        _ => None,
    });
    all.collect()
}

/// The next request that `A` sends.
pub(super) fn sent(it: &mut World) -> Option<Message> {
    while let Some(output) = it.ends[A].poll_output() {
        match output {
            Output::Transmit { bytes, .. } => return Some(Message::parse(&bytes).unwrap()),
            Output::Event(event) => it.events[A].push(event),
        }
    }
    None
}

/// `from` answers a request of `A`'s.
pub(super) fn answer(
    it: &mut World,
    request: &Message,
    status: u16,
    from: &str,
    more: &[(&str, &str)],
) {
    let all = ["Via", "From", "Call-ID", "CSeq"];
    let reply = MessageBuilder::response(status, "x");
    let reply = all.iter().fold(reply, |it, name| it.each(name, request.headers(name)));
    let to = String::from_utf8(request.header("To").unwrap().to_vec()).unwrap();
    let to = if to.contains("tag=") { to } else { to + ";tag=carrier" };
    let reply = reply.header("To", to);
    let reply = more.iter().fold(reply, |it, (name, value)| it.header(name, value));
    let reply = Message::parse(&reply.end()).unwrap();
    let remote = SocketAddr::new(from.parse().unwrap(), 5060);
    let flow = Flow { remote, ..it.flow(A) };
    let now = it.now;
    it.ends[A].handle_message(flow, reply, Admit::Trusted, now);
}

pub(super) fn dial(it: &mut World, credentials: Option<Credentials>) -> (LegId, Message) {
    let leg = it.ends[A].new_leg();
    let dial = Dial {
        target: "sip:10086@ims.example".to_owned(),
        flow: it.flow(A),
        from_display: String::new(),
        from_user: "+8677112345".to_owned(),
        sdp: "offer".to_owned(),
        headers: vec![("Route".to_owned(), "<sip:scscf.example;lr>".to_owned())],
        ring_limit: None,
        silence_limit: Some(Duration::from_secs(1)),
        from_host: Some("ims.example".to_owned()),
        credentials,
    };
    it.ends[A].dial(leg, dial, it.now);
    let invite = sent(it).unwrap();
    (leg, invite)
}

pub(super) fn asked(nonce: &str, more: &str) -> String {
    format!("Digest realm=\"ims.example\",nonce=\"{nonce}\",qop=\"auth\",algorithm=SHA-256{more}")
}

pub(super) fn told(it: &Message) -> Option<String> {
    it.header("Proxy-Authorization").map(|it| String::from_utf8(it.to_vec()).unwrap())
}

#[test]
fn an_account_registers_by_sha_256_refreshes_and_takes_its_registration_back() {
    let mut it = World::new(GOOD, 401);
    let mut config = config();
    config.service_route = vec!["<sip:scscf.example;lr>".to_owned()];
    it.ends[B].configure(config);
    for (n, (expires, granted)) in [(600, 600), (7_200, 3_600), (0, 0)].into_iter().enumerate() {
        let enrolment = enrolment(&it, expires);
        it.act(A, |end, now| end.enrol(7, enrolment, now));
        it.secs(1);
        let done = enrolled(&it);
        assert_eq!(done.len(), n + 1);
        let last = done.last().unwrap();
        assert_eq!((last.account, last.status), (7, 200));
        assert_eq!(last.granted, Duration::from_secs(granted));
        if expires > 0 {
            assert_eq!(last.service_route, ["<sip:scscf.example;lr>"]);
            let bound = it.ends[B].contacts_of(&Extension::new("1001"), it.now);
            assert_eq!(bound.len(), 1, "one registration, however often it is refreshed");
        }
    }
    assert_eq!(it.ends[B].contacts_of(&Extension::new("1001"), it.now), []);
    it.check_silence();
}

#[test]
fn what_the_registrar_says_of_intervals_is_told() {
    let mut it = World::new(GOOD, 402);
    let too_short = enrolment(&it, 59);
    it.act(A, |end, now| end.enrol(7, too_short, now));
    it.secs(1);
    let last = enrolled(&it).pop().unwrap();
    assert_eq!((last.status, last.min_expires), (423, Some(Duration::from_mins(1))));
    // Nobody answers.
    it.drop = Some((B, "REGISTER"));
    let again = enrolment(&it, 600);
    it.act(A, |end, now| end.enrol(7, again, now));
    it.millis(3_900);
    assert_eq!(enrolled(&it).len(), 1);
    it.millis(200);
    assert_eq!(enrolled(&it).pop().unwrap().status, 408);
    it.check_silence();
}

#[test]
fn our_contact_is_found_among_others_in_the_answer() {
    let mut it = World::new(GOOD, 403);
    let enrolment = enrolment(&it, 600);
    let now = it.now;
    it.ends[A].enrol(7, enrolment, now);
    let register = sent(&mut it).unwrap();
    let contacts = "<sip:1001@10.0.0.9:5060>;expires=60, <sip:1001@10.0.0.1:5060>;expires=120";
    answer(&mut it, &register, 200, CARRIER, &[("Contact", contacts), ("Expires", "30")]);
    assert!(sent(&mut it).is_none());
    assert_eq!(enrolled(&it)[0].granted, Duration::from_mins(2));
}

#[test]
fn v6_a_registration_is_proven_to_the_next_hop_and_to_nobody_else() {
    let mut it = World::new(GOOD, 404);
    let enrolment = enrolment(&it, 600);
    let now = it.now;
    it.ends[A].enrol(7, enrolment, now);
    let register = sent(&mut it).unwrap();
    answer(&mut it, &register, 401, "10.0.0.66", &[("WWW-Authenticate", &asked("n", ""))]);
    assert!(sent(&mut it).is_none(), "not a word to a stranger");
    assert_eq!(enrolled(&it)[0].status, 401);
    assert_eq!(it.said(A, |it| matches!(it, Event::Misbehaved { .. })), 1);
}

#[test]
fn a_challenged_call_is_made_again_with_the_proof_and_goes_on() {
    let mut it = World::new(GOOD, 405);
    let (leg, invite) = dial(&mut it, Some(credentials(Challenges::Sha256AndMd5)));
    assert_eq!(told(&invite), None);
    let md5 = asked("m", "").replace("SHA-256", "MD5");
    let both = [("Proxy-Authenticate", asked("n", "")), ("Proxy-Authenticate", md5)];
    let both = both.each_ref().map(|(name, value)| (*name, value.as_str()));
    it.now = it.now + Duration::from_millis(900);
    answer(&mut it, &invite, 407, CARRIER, &both);
    let ack = sent(&mut it).unwrap();
    assert_eq!((ack.method(), ack.cseq().number), (Some(&b"ACK"[..]), 1));
    let again = sent(&mut it).unwrap();
    let proof = told(&again).unwrap();
    assert!(proof.contains("algorithm=SHA-256") && proof.contains("nonce=\"n\""), "{proof}");
    assert_eq!((again.cseq().number, again.call_id()), (2, invite.call_id()));
    assert_eq!(again.from_tag(), invite.from_tag());
    assert_ne!(again.top_via().unwrap().branch(), invite.top_via().unwrap().branch());
    assert_eq!(again.header("Route"), Some(&b"<sip:scscf.example;lr>"[..]));
    assert!(again.header("From").unwrap().starts_with(b"<sip:+8677112345@ims.example>"));
    // The second that silence may last begins anew with the second INVITE.
    let now = it.now + Duration::from_millis(900);
    it.ends[A].handle_timeout(now);
    it.now = now;
    let repeated = sent(&mut it).unwrap();
    assert_eq!(repeated.bytes(), again.bytes());
    answer(&mut it, &again, 200, CARRIER, &[("Contact", "<sip:10086@10.0.0.2>")]);
    let ack = sent(&mut it).unwrap();
    assert_eq!((ack.method(), told(&ack)), (Some(&b"ACK"[..]), Some(proof.clone())));
    assert!(sent(&mut it).is_none());
    assert_eq!(it.said(A, |it| matches!(it, Event::Answered { .. })), 1);
    // Another telephone of theirs answers the same INVITE.
    let late = Reply::new(&again, 200).tag("late").with("Contact", "<sip:10087@10.0.0.2>").build();
    let (late, flow, now) = (Message::parse(&late).unwrap(), it.flow(A), it.now);
    it.ends[A].handle_message(flow, late, Admit::Trusted, now);
    let ack = sent(&mut it).unwrap();
    assert_eq!((ack.method(), told(&ack)), (Some(&b"ACK"[..]), Some(proof)));
    assert_eq!(sent(&mut it).unwrap().method(), Some(&b"BYE"[..]));
    assert_eq!(it.ends_of(A, leg), []);
}

#[test]
fn a_call_is_proven_once_for_each_nonce_and_not_for_ever() {
    let mut it = World::new(GOOD, 406);
    let (leg, mut invite) = dial(&mut it, Some(credentials(Challenges::Sha256)));
    let mut proofs = 0;
    for n in 0..20 {
        let stale = asked(&format!("n{n}"), ",stale=true");
        answer(&mut it, &invite, 407, CARRIER, &[("Proxy-Authenticate", &stale)]);
        assert_eq!(sent(&mut it).unwrap().method(), Some(&b"ACK"[..]));
        let Some(again) = sent(&mut it) else { break };
        invite = again;
        proofs += 1;
    }
    assert_eq!(proofs, 4);
    assert_eq!(it.ends_of(A, leg), [EndWhy::Refused { status: 407, cause: None }]);

    // The same nonce again, and a wrong password.
    for second in [asked("n", ",stale=true"), asked("other", "")] {
        let (leg, invite) = dial(&mut it, Some(credentials(Challenges::Sha256)));
        answer(&mut it, &invite, 407, CARRIER, &[("Proxy-Authenticate", &asked("n", ""))]);
        sent(&mut it).unwrap();
        let again = sent(&mut it).unwrap();
        answer(&mut it, &again, 407, CARRIER, &[("Proxy-Authenticate", &second)]);
        assert_eq!(sent(&mut it).unwrap().method(), Some(&b"ACK"[..]));
        assert!(sent(&mut it).is_none());
        assert_eq!(it.ends_of(A, leg), [EndWhy::Refused { status: 407, cause: None }]);
    }
}

#[test]
fn v6_no_request_of_a_call_is_proven_to_anybody_but_the_next_hop() {
    let mut it = World::new(GOOD, 407);
    let asked = asked("n", "");
    let asked = [("Proxy-Authenticate", asked.as_str()), ("WWW-Authenticate", asked.as_str())];
    let proves = |it: &mut World| {
        std::iter::from_fn(|| sent(it))
            .any(|it| it.header("Authorization").is_some() || told(&it).is_some())
    };
    // A stranger who guessed the branch, and a trunk without an account.
    let accounts = [(Some(credentials(Challenges::Sha256)), "10.0.0.66"), (None, CARRIER)];
    for (account, from) in accounts {
        let (leg, invite) = dial(&mut it, account);
        answer(&mut it, &invite, 401, from, &asked);
        assert!(!proves(&mut it));
        assert_eq!(it.ends_of(A, leg), [EndWhy::Refused { status: 401, cause: None }]);
    }
    // The called party, in the middle of the talk.
    let (leg, invite) = dial(&mut it, Some(credentials(Challenges::Sha256)));
    answer(&mut it, &invite, 200, CARRIER, &[("Contact", "<sip:10086@10.0.0.66>")]);
    sent(&mut it).unwrap();
    let now = it.now;
    it.ends[A].reoffer(leg, "again".to_owned(), now);
    let reinvite = sent(&mut it).unwrap();
    answer(&mut it, &reinvite, 407, "10.0.0.66", &asked);
    assert!(!proves(&mut it));
    it.ends[A].hang_up(leg, HangUp { status: 480, reason: None }, now);
    let bye = sent(&mut it).unwrap();
    assert_eq!(bye.method(), Some(&b"BYE"[..]));
    answer(&mut it, &bye, 401, "10.0.0.66", &asked);
    assert!(!proves(&mut it));
    let refused = |it: &Event| matches!(it, Event::ReofferRefused { status: 407, .. });
    assert_eq!(it.said(A, refused), 1);
}
