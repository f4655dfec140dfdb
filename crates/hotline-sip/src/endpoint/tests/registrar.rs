//! Stories of phones that register.

use super::*;
use crate::{Challenges, UnboundWhy};

fn register(it: &mut World, user: &str, password: &str, expires: u64) -> (bool, u16) {
    let account = Account::new(password).with(Challenges::Sha256AndMd5);
    let (flow, extension) = (it.flow(A), Extension::new(user));
    let expires = Duration::from_secs(expires);
    it.act(A, |it, now| it.register(&extension, &account, flow, expires, now));
    it.millis(200);
    let done = it.events[A].iter().rev().find_map(|it| match it {
        Event::RegisterDone { ok, status, .. } => Some((*ok, *status)),
        _ => None,
    });
    done.expect("no end")
}

fn bound(it: &World) -> Option<crate::Binding> {
    it.ends[B].contacts_of(&Extension::new("1001"), it.now).first().cloned()
}

const UNBOUND: fn(&Event) -> bool =
    |it| matches!(it, Event::Unbound { why: UnboundWhy::Expired, .. });

#[test]
fn a_phone_registers_refreshes_and_expires() {
    for challenges in [Challenges::Md5, Challenges::Sha256AndMd5, Challenges::Sha256] {
        let mut it = World::new(GOOD, 71);
        let mut config = config();
        let account = Account::new("secret").with(challenges);
        config.accounts.insert(Extension::new("1001"), account.clone());
        it.ends[B].configure(config);
        assert_eq!(register(&mut it, "1001", "secret", 600), (true, 200));
        let first = bound(&it).unwrap();
        assert_eq!((first.contact.as_str(), first.flow), ("sip:1001@10.0.0.1:5060", it.flow(B)));
        it.secs(500);
        assert_eq!(register(&mut it, "1001", "secret", 600), (true, 200));
        it.secs(599);
        assert!(bound(&it).is_some());
        it.secs(2);
        assert_eq!((bound(&it), it.said(B, UNBOUND)), (None, 1));
        assert_eq!(it.said(B, |it| matches!(it, Event::Bound { .. })), 2);
        it.check_silence();
    }
}

#[test]
fn a_wrong_password_an_unknown_phone_and_a_foreign_name_look_the_same() {
    let mut it = World::new(GOOD, 72);
    assert_eq!(register(&mut it, "1001", "wrong", 600), (false, 403));
    assert_eq!(register(&mut it, "9999", "secret", 600), (false, 403));
    assert_eq!(it.said(B, |it| matches!(it, Event::AuthFailed { .. })), 2);
    assert_eq!((bound(&it), it.ends[B].n_transactions()), (None, 0));
}

#[test]
fn a_phone_that_unregisters_is_unbound_at_once() {
    let mut it = World::new(GOOD, 73);
    register(&mut it, "1001", "secret", 600);
    assert_eq!(register(&mut it, "1001", "secret", 0), (true, 200));
    assert_eq!(bound(&it), None);
    assert_eq!(it.said(B, |it| matches!(it, Event::Unbound { why: UnboundWhy::Asked, .. })), 1);
    it.check_silence();
}

#[test]
fn too_short_is_refused_423_and_too_long_is_cut() {
    let mut it = World::new(GOOD, 74);
    assert_eq!(register(&mut it, "1001", "secret", 59), (false, 423));
    assert_eq!(register(&mut it, "1001", "secret", 86_400), (true, 200));
    let expires = bound(&it).unwrap().expires_wall;
    assert!(expires.millis_since(it.now.wall) <= 3_600_000);
}

#[test]
fn a_phone_whose_connection_goes_is_unbound() {
    let mut it = World::new(Link { transport: Transport::Tcp, ..GOOD }, 75);
    register(&mut it, "1001", "secret", 600);
    assert!(bound(&it).is_some());
    it.act(B, |it, now| it.handle_connection_gone(ConnId(7), now));
    assert_eq!(bound(&it), None);
    assert!(matches!(
        it.events[B].last(),
        Some(Event::Unbound { why: UnboundWhy::ConnectionGone, .. })
    ));
}

#[test]
fn a_binding_outlives_the_process_but_not_its_expiry() {
    let mut it = World::new(GOOD, 76);
    register(&mut it, "1001", "secret", 600);
    let binding = bound(&it).unwrap();
    it.ends[B] = Endpoint::new(config(), 5, 1);
    it.ends[B].restore_binding(binding.clone());
    it.secs(598);
    assert_eq!(bound(&it), Some(binding));
    it.secs(3);
    assert_eq!((bound(&it), it.said(B, UNBOUND)), (None, 1));
}

#[test]
fn a_wall_clock_that_is_set_ends_no_registration_and_keeps_none() {
    const HOUR: i64 = 3_600_000;
    for ahead in [HOUR, -HOUR, 24 * HOUR, -24 * HOUR, 30 * 366 * 24 * HOUR] {
        let mut it = World::new(GOOD, 79);
        register(&mut it, "1001", "secret", 600);
        it.secs(10);
        it.now.wall = WallTime(it.now.wall.0 + ahead);
        it.secs(580);
        assert!(bound(&it).is_some(), "{ahead}: ended early");
        it.secs(11);
        assert_eq!((bound(&it), it.said(B, UNBOUND)), (None, 1), "{ahead}: kept too long");
    }
}

#[test]
fn a_nonce_of_another_process_is_stale_and_the_phone_tries_again_by_itself() {
    let mut it = World::new(GOOD, 77);
    it.link.delay = (50, 50);
    let account = Account::new("secret");
    let (flow, extension) = (it.flow(A), Extension::new("1001"));
    it.act(A, |it, now| it.register(&extension, &account, flow, Duration::from_mins(10), now));
    it.millis(120);
    let mut other = config();
    other.secret = [9; 32];
    it.ends[B].configure(other);
    it.secs(1);
    assert_eq!(it.count(A, "401/REGISTER"), 2);
    assert!(bound(&it).is_some());
    assert_eq!(it.said(B, |it| matches!(it, Event::AuthFailed { .. })), 0);
}

#[test]
fn a_replayed_registration_is_challenged_again() {
    let mut it = World::new(GOOD, 78);
    it.link.delay = (1_000_000, 1_000_000);
    let account = Account::new("secret");
    let (flow, extension) = (it.flow(A), Extension::new("1001"));
    it.act(A, |it, now| it.register(&extension, &account, flow, Duration::from_mins(10), now));
    let hand = |it: &mut World, to: usize, text: &[u8]| {
        let flow = it.flow(to);
        let message = Message::parse(text).unwrap();
        it.act(to, |it, now| it.handle_message(flow, message, Admit::Stranger, now));
        it.flying.last_key_value().map(|it| it.1.1.clone()).unwrap_or_default()
    };
    let first = it.flying.last_key_value().unwrap().1.1.clone();
    let challenge = hand(&mut it, B, &first);
    let answer = hand(&mut it, A, &challenge);
    let ok = hand(&mut it, B, &answer);
    assert!(ok.starts_with(b"SIP/2.0 200"));
    let replayed = String::from_utf8(answer).unwrap().replace("z9hG4bK", "z9hG4bKy");
    let again = String::from_utf8(hand(&mut it, B, replayed.as_bytes())).unwrap();
    assert!(again.starts_with("SIP/2.0 401") && again.contains("stale=true"), "{again}");
}

#[test]
fn the_shortest_register_still_gets_a_challenge_no_larger_than_itself() {
    let text = "REGISTER sip:127.0.0.1:5060 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-1-0\r\n\
        From: <sip:1001@127.0.0.1>;tag=1\r\nTo: <sip:1001@127.0.0.1>\r\nCall-ID: 1-1@127.0.0.1\r\n\
        CSeq: 1 REGISTER\r\nContact: <sip:1001@127.0.0.1:5061>\r\nMax-Forwards: 70\r\n\
        Expires: 3600\r\n\
        Content-Length: 0\r\n\r\n";
    let mut it = World::new(GOOD, 80);
    let flow = it.flow(B);
    let message = Message::parse(text.as_bytes()).unwrap();
    it.act(B, |it, now| it.handle_message(flow, message, Admit::Stranger, now));
    let reply = &it.flying.first_key_value().unwrap().1.1;
    assert!(reply.len() <= text.len());
    assert!(Message::parse(reply).unwrap().header("WWW-Authenticate").is_some());
}
