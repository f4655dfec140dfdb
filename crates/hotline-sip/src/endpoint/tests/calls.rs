//! Stories of calls between two endpoints.

use super::*;

const RINGS: fn(&Event) -> bool = |it| matches!(it, Event::Ringing { .. });

#[test]
fn a_call_is_rung_answered_and_ended_by_the_caller() {
    let mut it = World::new(GOOD, 1);
    let a = it.dial();
    it.millis(100);
    let b = it.invited(B);
    assert_eq!(it.count(A, "100/INVITE"), 1);
    let Some(Event::Invited(invited)) = it.events[B].first() else { panic!("{:?}", it.events) };
    assert_eq!(invited.request_user, "12345");
    assert_eq!(invited.from_user.reveal(), "13800138000");
    assert_eq!(invited.from_display.reveal(), "张三");
    assert_eq!(invited.sdp.as_deref(), Some("offer"));
    it.act(B, |it, now| it.ring(b, None, now));
    it.act(B, |it, now| it.ring(b, Some("early".to_owned()), now));
    it.secs(1);
    assert_eq!(it.said(A, RINGS), 2);
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    it.secs(1);
    assert_eq!(
        it.said(A, |it| matches!(it, Event::Answered { sdp: Some(sdp), .. } if sdp == "answer")),
        1
    );
    assert_eq!((it.count(B, "ACK"), it.count(A, "200/INVITE")), (1, 1));
    it.hang_up(A, a);
    assert_eq!(it.ends_of(A, a), [EndWhy::Local]);
    it.secs(1);
    assert_eq!(it.ends_of(B, b), [EndWhy::Bye { cause: Some(16) }]);
    it.check_silence();
}

#[test]
fn an_invite_without_answer_is_sent_seven_times_and_given_up_after_32_s() {
    let mut it = World::new(GOOD, 2);
    it.drop = Some((A, "SIP"));
    let a = it.dial();
    it.millis(31_999);
    // Timer A: 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s.
    assert_eq!((it.count(B, "INVITE"), it.ends_of(A, a).len()), (7, 0));
    it.millis(2);
    assert_eq!(it.ends_of(A, a), [EndWhy::NoResponse]);
    // The repeated INVITE got its 100 each time and made one call.
    assert_eq!(it.said(B, |it| matches!(it, Event::Invited(_))), 1);
    let b = it.invited(B);
    it.hang_up(B, b);
    it.check_silence();
}

#[test]
fn a_refusal_is_sent_again_until_its_ack_and_ends_both_sides_once() {
    let mut it = World::new(GOOD, 3);
    let a = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.drop = Some((B, "ACK"));
    it.act(B, |it, now| it.refuse(b, 486, now));
    it.secs(5);
    assert_eq!(it.ends_of(B, b), [EndWhy::Local]);
    assert_eq!(it.ends_of(A, a), [EndWhy::Refused { status: 486, cause: None }]);
    // Timer G: 0, 0.5, 1.5, 3.5 s.
    assert_eq!(it.count(A, "486/INVITE"), 4);
    it.drop = None;
    it.secs(5);
    assert_eq!((it.count(A, "486/INVITE"), it.count(B, "ACK")), (5, 1));
    it.check_silence();
}

#[test]
fn a_200_without_ack_is_sent_again_for_32_s_and_then_the_leg_ends() {
    let mut it = World::new(GOOD, 4);
    it.drop = Some((B, "ACK"));
    let a = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    it.millis(31_900);
    assert_eq!(it.ends_of(B, b), []);
    assert_eq!(it.count(A, "200/INVITE"), 11);
    it.millis(400);
    assert_eq!(it.ends_of(B, b), [EndWhy::AckMissing]);
    assert_eq!(it.ends_of(A, a), [EndWhy::Bye { cause: None }]);
    it.check_silence();
}

#[test]
fn a_caller_who_gives_up_while_ringing_cancels() {
    let mut it = World::new(GOOD, 5);
    let a = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.hang_up(A, a);
    it.secs(1);
    assert_eq!(
        (it.ends_of(A, a), it.ends_of(B, b)),
        (vec![EndWhy::Local], vec![EndWhy::Cancelled])
    );
    assert_eq!(
        (it.count(A, "200/CANCEL"), it.count(A, "487/INVITE"), it.count(B, "ACK")),
        (1, 1, 1)
    );
    it.check_silence();
}

#[test]
fn a_caller_who_gives_up_before_any_response_cancels_when_one_comes() {
    let mut it = World::new(GOOD, 6);
    it.drop = Some((A, "SIP"));
    let a = it.dial();
    it.millis(100);
    it.hang_up(A, a);
    it.millis(200);
    assert_eq!((it.count(B, "CANCEL"), it.ends_of(A, a)), (0, vec![EndWhy::Local]));
    it.drop = None;
    it.secs(2);
    assert_eq!(it.count(B, "CANCEL"), 1);
    let b = it.invited(B);
    assert_eq!(it.ends_of(B, b), [EndWhy::Cancelled]);
    it.check_silence();
}

#[test]
fn a_cancel_that_crosses_the_answer_ends_with_ack_and_bye() {
    let mut it = World::new(GOOD, 7);
    let a = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.hang_up(A, a);
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    it.secs(1);
    assert_eq!((it.count(B, "CANCEL"), it.count(B, "ACK"), it.count(B, "BYE")), (1, 1, 1));
    assert_eq!(it.said(A, |it| matches!(it, Event::Answered { .. })), 0);
    assert_eq!(
        (it.ends_of(A, a), it.ends_of(B, b)),
        (vec![EndWhy::Local], vec![EndWhy::Bye { cause: None }])
    );
    it.check_silence();
}

#[test]
fn a_phone_that_rings_too_long_is_cancelled() {
    let mut it = World::new(GOOD, 8);
    let leg = it.ends[A].new_leg();
    let dial = Dial {
        target: "sip:1001@10.0.0.2:5060".to_owned(),
        flow: it.flow(A),
        from_display: String::new(),
        from_user: "12345".to_owned(),
        sdp: "offer".to_owned(),
        headers: vec![("Alert-Info".to_owned(), "x\r\nEvil: y".to_owned())],
        ring_limit: Some(Duration::from_secs(20)),
        silence_limit: None,
        from_host: None,
        credentials: None,
    };
    it.act(A, |it, now| it.dial(leg, dial, now));
    it.millis(19_999);
    assert_eq!(it.ends_of(A, leg), []);
    it.secs(1);
    let b = it.invited(B);
    assert_eq!(
        (it.ends_of(A, leg), it.ends_of(B, b)),
        (vec![EndWhy::NoAnswer], vec![EndWhy::Cancelled])
    );
    it.check_silence();
}

#[test]
fn both_sides_hanging_up_at_once_end_once_each() {
    let mut it = World::new(GOOD, 9);
    let (a, b) = it.talk();
    it.hang_up(A, a);
    it.hang_up(B, b);
    it.secs(1);
    assert_eq!((it.count(A, "200/BYE"), it.count(B, "200/BYE")), (1, 1));
    assert_eq!((it.ends_of(A, a), it.ends_of(B, b)), (vec![EndWhy::Local], vec![EndWhy::Local]));
    it.check_silence();
}

#[test]
fn a_bye_that_overtakes_the_ack_ends_the_leg() {
    let mut it = World::new(GOOD, 10);
    it.drop = Some((B, "ACK"));
    let a = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    it.millis(100);
    it.hang_up(A, a);
    it.millis(100);
    assert_eq!(it.ends_of(B, b), [EndWhy::Bye { cause: Some(16) }]);
    let before = it.count(A, "200/INVITE");
    it.secs(10);
    assert_eq!(it.count(A, "200/INVITE"), before);
    it.check_silence();
}

#[test]
fn the_called_side_sends_its_bye_only_after_the_ack() {
    let mut it = World::new(GOOD, 11);
    it.drop = Some((B, "ACK"));
    let a = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    it.hang_up(B, b);
    it.millis(200);
    assert_eq!((it.count(A, "BYE"), it.ends_of(B, b)), (0, vec![EndWhy::Local]));
    it.drop = None;
    it.secs(1);
    assert_eq!((it.count(A, "BYE"), it.ends_of(A, a)), (1, vec![EndWhy::Bye { cause: Some(16) }]));
    it.check_silence();
}

#[test]
fn a_bye_nobody_answers_is_given_up_after_32_s() {
    let mut it = World::new(GOOD, 12);
    let (a, b) = it.talk();
    it.drop = Some((B, "BYE"));
    it.hang_up(A, a);
    it.secs(31);
    assert_eq!(it.ends[A].n_legs(), 1);
    it.secs(2);
    assert_eq!((it.ends[A].n_legs(), it.ends_of(B, b)), (0, vec![]));
    it.drop = None;
    it.hang_up(B, b);
    it.check_silence();
}

#[test]
fn over_tcp_nothing_is_repeated() {
    let mut it = World::new(Link { transport: Transport::Tcp, ..GOOD }, 13);
    it.drop = Some((A, "SIP/2.0 1"));
    let a = it.dial();
    it.secs(20);
    assert_eq!(it.count(B, "INVITE"), 1);
    let b = it.invited(B);
    it.drop = None;
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    it.secs(1);
    it.drop = Some((B, "BYE"));
    it.hang_up(A, a);
    it.secs(20);
    it.hang_up(B, b);
    it.check_silence();
    assert_eq!(it.count(A, "200/INVITE"), 1);
}

#[test]
fn a_connection_that_goes_ends_what_is_unanswered_and_keeps_what_talks() {
    let mut it = World::new(Link { transport: Transport::Tcp, ..GOOD }, 14);
    let (a, b) = it.talk();
    let a2 = it.dial();
    it.secs(1);
    let b2 = it.invited(B);
    for end in [A, B] {
        it.act(end, |it, now| it.handle_connection_gone(ConnId(7), now));
    }
    assert_eq!(
        (it.ends_of(A, a2), it.ends_of(B, b2)),
        (vec![EndWhy::ConnectionGone], vec![EndWhy::ConnectionGone])
    );
    assert_eq!((it.ends_of(A, a), it.ends_of(B, b)), (vec![], vec![]));
    it.hang_up(B, b);
    // The next request wants a new connection, to the Contact.
    assert_eq!(it.sent_by.map(|it| (it.conn, it.remote)), Some((None, address(A))));
    it.secs(1);
    assert_eq!(it.ends_of(A, a), [EndWhy::Bye { cause: Some(16) }]);
    it.check_silence();
}

#[test]
fn an_answered_leg_outlives_its_process() {
    let mut it = World::new(GOOD, 15);
    let (a, b) = it.talk();
    let saved = it.ends[B].save(b).unwrap();
    assert_eq!(it.ends[B].save(LegId(5)), None);
    it.ends[B] = Endpoint::new(config(), 99, 1);
    assert_eq!(it.ends[B].restore(&saved, it.now), Some(b));
    assert_eq!(it.ends[B].restore(&saved, it.now), None);
    assert_eq!(it.ends[B].restore(&saved[1..], it.now), None);
    assert!(it.ends[B].new_leg() > b);
    it.hang_up(B, b);
    it.secs(1);
    assert_eq!(it.ends_of(A, a), [EndWhy::Bye { cause: Some(16) }]);
    it.check_silence();

    let mut it = World::new(GOOD, 16);
    let (a, b) = it.talk();
    let saved = it.ends[B].save(b).unwrap();
    it.ends[B] = Endpoint::new(config(), 99, 1);
    it.ends[B].restore(&saved, it.now).unwrap();
    it.hang_up(A, a);
    it.secs(1);
    assert_eq!(it.ends_of(B, b), [EndWhy::Bye { cause: Some(16) }]);
    it.check_silence();
}

#[test]
fn a_target_that_is_no_uri_ends_the_leg_at_once() {
    let mut it = World::new(GOOD, 17);
    let leg = it.ends[A].new_leg();
    let dial = Dial {
        target: "no uri".to_owned(),
        flow: it.flow(A),
        from_display: String::new(),
        from_user: String::new(),
        sdp: String::new(),
        headers: vec![],
        ring_limit: None,
        silence_limit: None,
        from_host: None,
        credentials: None,
    };
    it.act(A, |it, now| it.dial(leg, dial, now));
    assert_eq!(it.ends_of(A, leg), [EndWhy::Refused { status: 400, cause: None }]);
    it.check_silence();
}

#[test]
fn a_caller_nobody_answers_is_reminded_each_minute_and_refused_in_the_end() {
    let mut it = World::new(GOOD, 18);
    let leg = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.act(B, |it, now| it.ring(b, None, now));
    it.secs(130);
    assert_eq!(it.count(A, "180/INVITE"), 3);
    it.secs(51);
    assert_eq!(it.ends_of(A, leg), [EndWhy::NoAnswer]);
    it.check_silence();
}

#[test]
fn orders_for_a_leg_that_is_gone_do_nothing() {
    let mut it = World::new(GOOD, 19);
    let (a, _) = it.talk();
    it.hang_up(A, a);
    it.secs(1);
    let before = it.events[A].len();
    it.hang_up(A, a);
    it.act(A, |it, now| {
        it.ring(a, None, now);
        it.answer(a, String::new(), now);
        it.refuse(a, 486, now);
        it.reoffer(a, String::new(), now);
        it.accept_offer(a, String::new(), now);
        it.refuse_offer(a, 488, now);
    });
    assert_eq!(it.events[A].len(), before);
    it.check_silence();
}

#[test]
fn a_caller_who_is_refused_may_be_told_why_in_words() {
    let mut it = World::new(GOOD, 18);
    let a = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.act(B, |it, now| it.refuse_because(b, 403, "the \"agent\" may not\r\nVia: x", now));
    let warned = it.flying.values().find_map(|(_, bytes)| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().find(|it| it.starts_with("Warning: ")).map(str::to_owned)
    });
    let warned = warned.unwrap();
    assert!(warned.starts_with("Warning: 399 "), "{warned}");
    assert!(warned.ends_with(" \"the 'agent' may not''Via: x\""), "{warned}");
    it.secs(1);
    assert_eq!(it.ends_of(A, a), [EndWhy::Refused { status: 403, cause: None }]);
    it.secs(40);
    it.check_silence();
}
