//! Telephones that ask us to connect their peer to somebody else (RFC 3515).

use super::*;

/// A talk between the telephone A and the engine B.
fn talk(seed: u64) -> (World, LegId, LegId) {
    let mut it = World::new(GOOD, seed);
    let a = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    it.secs(1);
    (it, a, b)
}

fn referred(it: &World) -> Vec<(String, Option<Replaced>)> {
    let all = it.events[B].iter().filter_map(|it| {
        let Event::Referred { to, replaces, .. } = it else { return None };
        Some((to.reveal().clone(), *replaces))
    });
    all.collect()
}

fn progress(it: &World) -> Vec<u16> {
    let all = it.events[A].iter().filter_map(|it| {
        let Event::ReferProgress { status, .. } = it else { return None };
        Some(*status)
    });
    all.collect()
}

#[test]
fn a_telephone_that_refers_is_told_what_became_of_it_before_the_bye() {
    let (mut it, a, b) = talk(81);
    it.act(A, |it, now| it.refer(a, "sip:8002@elsewhere.invalid;user=phone", None, now));
    it.millis(200);
    assert_eq!(referred(&it), [("8002".to_owned(), None)]);
    it.act(B, |it, now| it.answer_refer(b, 202, now));
    it.secs(20);
    assert_eq!(progress(&it), [202, 100], "nobody has answered yet");
    it.act(B, |it, now| it.refer_done(b, 200, now));
    it.secs(1);
    assert_eq!(progress(&it), [202, 100, 200]);
    assert_eq!((it.count(A, "NOTIFY"), it.count(B, "200/NOTIFY")), (2, 2));
    // Once is enough.
    it.act(B, |it, now| it.refer_done(b, 486, now));
    it.secs(1);
    assert_eq!(it.count(A, "NOTIFY"), 2);
    it.hang_up(B, b);
    it.secs(1);
    assert_eq!(it.ends_of(A, a).len(), 1);
    it.check_silence();
}

#[test]
fn a_telephone_whose_wish_is_refused_goes_on_talking() {
    let (mut it, a, b) = talk(82);
    it.act(A, |it, now| it.refer(a, "sip:001@h", None, now));
    it.millis(200);
    it.act(B, |it, now| it.answer_refer(b, 403, now));
    it.secs(1);
    assert_eq!((progress(&it), it.count(A, "NOTIFY")), (vec![403], 0));
    assert!(it.ends_of(A, a).is_empty() && it.ends_of(B, b).is_empty());
    // It may ask again.
    it.act(A, |it, now| it.refer(a, "sip:8003@h", None, now));
    it.millis(200);
    assert_eq!(referred(&it).len(), 2);
    it.act(B, |it, now| it.answer_refer(b, 480, now));
    it.hang_up(A, a);
    it.secs(1);
    it.check_silence();
}

#[test]
fn a_wish_to_replace_another_dialog_is_seen_and_its_other_headers_are_not() {
    let (mut it, a, b) = talk(83);
    it.act(A, |it, now| {
        let to = "sip:8002@h?Replaces=c%40h%3Bto-tag%3D1%3Bfrom-tag%3D2&Route=%3Csip:x%3E";
        it.refer(a, to, None, now);
    });
    it.millis(200);
    assert_eq!(referred(&it), [("8002".to_owned(), Some(Replaced::Nothing))]);
    it.act(B, |it, now| it.answer_refer(b, 481, now));
    // The dialog of another call between the two is found.
    let a2 = it.dial();
    it.millis(100);
    let b2 = it.invited(B);
    it.act(B, |it, now| it.answer(b2, "answer".to_owned(), now));
    it.secs(1);
    let name = it.ends[A].replaces(a2).unwrap();
    it.act(A, |it, now| it.refer(a, "sip:8002@h", Some(&name), now));
    it.millis(200);
    assert_eq!(referred(&it).pop(), Some(("8002".to_owned(), Some(Replaced::Leg(b2)))));
    it.act(B, |it, now| it.answer_refer(b, 481, now));
    it.hang_up(A, a2);
    it.hang_up(A, a);
    it.secs(1);
    it.check_silence();
}

#[test]
fn one_wish_at_a_time_and_only_of_something_that_can_be_called() {
    let (mut it, a, b) = talk(84);
    for (to, status) in [("http://h/x", 400), ("sip:h", 400)] {
        it.act(A, |it, now| it.refer(a, to, None, now));
        it.millis(200);
        assert_eq!(progress(&it).last(), Some(&status), "{to}");
    }
    it.act(A, |it, now| it.refer(a, "sip:8002@h", None, now));
    it.act(A, |it, now| it.refer(a, "sip:8003@h", None, now));
    it.millis(200);
    assert_eq!((progress(&it).last(), referred(&it).len()), (Some(&491), 1));
    it.act(B, |it, now| it.answer_refer(b, 480, now));
    it.hang_up(A, a);
    it.secs(1);
    it.check_silence();
}

#[test]
fn what_became_of_it_is_told_after_the_call_has_left_the_telephone() {
    // Whoever says BYE, the subscription outlives the call (RFC 5057 §4.2).
    for (end, status) in [(B, 200), (B, 486), (A, 200)] {
        let (mut it, a, b) = talk(86);
        it.act(A, |it, now| it.refer(a, "sip:8002@h", None, now));
        it.millis(200);
        it.act(B, |it, now| it.answer_refer(b, 202, now));
        it.hang_up(end, if end == A { a } else { b });
        it.secs(10);
        assert_eq!((it.ends_of(A, a).len(), progress(&it)), (1, vec![202, 100]));
        assert_eq!(it.ends[B].n_legs(), 0, "the call is over");
        it.act(B, |it, now| it.refer_done(b, status, now));
        it.secs(1);
        assert_eq!(progress(&it), [202, 100, status]);
        assert_eq!((it.count(A, "NOTIFY"), it.count(B, "200/NOTIFY")), (2, 2));
        it.check_silence();
    }
}

#[test]
fn a_telephone_that_forgot_its_wish_is_told_no_more_and_none_waits_for_ever() {
    let (mut it, a, b) = talk(87);
    it.act(A, |it, now| it.refer(a, "sip:8002@h", None, now));
    it.millis(200);
    it.act(B, |it, now| it.answer_refer(b, 202, now));
    it.hang_up(B, b);
    it.secs(1);
    // It was switched off and on.
    it.ends[A] = Endpoint::new(config(), 870, 1);
    it.act(B, |it, now| it.refer_done(b, 200, now));
    it.secs(1);
    assert_eq!((it.count(B, "481/NOTIFY"), it.ends[B].subscriptions.next()), (1, None));
    // Nothing is ever heard of another one.
    let (mut it, a, b) = talk(88);
    it.act(A, |it, now| it.refer(a, "sip:8002@h", None, now));
    it.millis(200);
    it.act(B, |it, now| it.answer_refer(b, 202, now));
    it.hang_up(B, b);
    it.secs(359);
    assert_eq!(it.count(A, "NOTIFY"), 1);
    it.secs(2);
    assert_eq!((it.count(A, "NOTIFY"), progress(&it)), (2, vec![202, 100, 100]));
    it.check_silence();
}

/// `A` calls `B` with these Replaces.
fn call_replacing(it: &mut World, values: &[&str]) -> LegId {
    let leg = it.ends[A].new_leg();
    let dial = Dial {
        target: "sip:12345@10.0.0.2:5060".to_owned(),
        flow: it.flow(A),
        from_display: String::new(),
        from_user: "1001".to_owned(),
        sdp: "offer".to_owned(),
        headers: values.iter().map(|it| ("Replaces".to_owned(), (*it).to_owned())).collect(),
        ring_limit: None,
        silence_limit: None,
        from_host: None,
        credentials: None,
    };
    it.act(A, |it, now| it.dial(leg, dial, now));
    it.millis(200);
    leg
}

fn refused(it: &World, leg: LegId) -> Option<u16> {
    match it.ends_of(A, leg)[..] {
        [EndWhy::Refused { status, .. }] => Some(status),
        _ => None,
    }
}

/// The leg that the last call takes the place of.
fn replaced(it: &World) -> Option<LegId> {
    it.events[B].iter().rev().find_map(|it| match it {
        Event::Invited(it) => Some(it.replaces),
        _ => None,
    })?
}

#[test]
fn a_call_takes_the_place_of_the_dialog_it_names_and_of_no_other() {
    let (mut it, a, b) = talk(89);
    let name = it.ends[A].replaces(a).unwrap();
    let third = call_replacing(&mut it, &[&name]);
    assert_eq!((replaced(&it), refused(&it, third)), (Some(b), None));
    it.hang_up(A, third);
    // RFC 3891 §3: answered calls are not early ones.
    let early = format!("{name};early-only");
    let (call_id, tags) = name.split_once(';').unwrap();
    let swapped = tags.replace("to-tag", "x-tag").replace("from-tag", "to-tag");
    let swapped = format!("{call_id};{}", swapped.replace("x-tag", "from-tag"));
    for (values, status) in [
        (vec![early.as_str()], 486),
        (vec![swapped.as_str()], 481),
        (vec!["nobody@h;to-tag=1;from-tag=2"], 481),
        (vec![call_id], 400),
        (vec![name.as_str(), name.as_str()], 400),
    ] {
        let leg = call_replacing(&mut it, &values);
        assert_eq!(refused(&it, leg), Some(status), "{values:?}");
    }
    // It is over, and its BYE is not answered.
    it.drop = Some((A, "BYE"));
    it.hang_up(B, b);
    let late = call_replacing(&mut it, &[&name]);
    assert_eq!(refused(&it, late), Some(603));
    it.check_silence();
}

#[test]
fn a_call_that_rings_is_picked_up_where_we_ring_and_not_where_we_are_rung() {
    let mut it = World::new(GOOD, 90);
    // B rings at A.
    let ringing = it.ends[B].new_leg();
    let dial = Dial {
        target: "sip:1001@10.0.0.1:5060".to_owned(),
        flow: it.flow(B),
        from_display: String::new(),
        from_user: "12345".to_owned(),
        sdp: "offer".to_owned(),
        headers: vec![],
        ring_limit: None,
        silence_limit: None,
        from_host: None,
        credentials: None,
    };
    it.act(B, |it, now| it.dial(ringing, dial, now));
    it.millis(100);
    let rung = it.invited(A);
    it.act(A, |it, now| it.ring(rung, None, now));
    it.millis(100);
    let name = it.ends[A].replaces(rung).unwrap() + ";early-only";
    let pick_up = call_replacing(&mut it, &[&name]);
    assert_eq!((replaced(&it), refused(&it, pick_up)), (Some(ringing), None));
    it.hang_up(A, pick_up);
    it.hang_up(B, ringing);
    it.secs(1);
    // A rings at B.
    let calling = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.act(B, |it, now| it.ring(b, None, now));
    it.millis(100);
    let ours = it.ends[B].replaces(b).unwrap();
    let theirs =
        crate::replaces::naming(&crate::replaces::Replaces::parse(ours.as_bytes()).unwrap().dialog);
    let no = call_replacing(&mut it, &[&String::from_utf8(theirs).unwrap()]);
    assert_eq!(refused(&it, no), Some(481));
    it.hang_up(A, calling);
    it.check_silence();
}

#[test]
fn a_telephone_that_calls_proves_whose_it_is() {
    let mut it = World::new(GOOD, 91);
    it.admit = Admit::Phone;
    let known = |it: &World| -> Vec<Option<Extension>> {
        let all = it.events[B].iter().filter_map(|it| match it {
            Event::Invited(it) => Some(it.phone.clone()),
            _ => None,
        });
        all.collect()
    };
    let without = call_replacing(&mut it, &[]);
    assert_eq!((refused(&it, without), known(&it)), (Some(401), vec![]));
    for (user, password, status) in [
        ("1001", "secret", None),
        ("1001", "wrong", Some(403)),
        // Another's name with one's own password.
        ("1002", "secret", Some(403)),
    ] {
        let leg = it.ends[A].new_leg();
        let credentials = crate::Credentials {
            user: "1001".to_owned(),
            secret: crate::Secret::Password(password.to_owned()),
            realm: None,
            hops: vec![address(B).ip()],
            challenges: crate::Challenges::Sha256,
        };
        let dial = Dial {
            target: "sip:8002@10.0.0.2:5060".to_owned(),
            flow: it.flow(A),
            from_display: String::new(),
            from_user: user.to_owned(),
            sdp: "offer".to_owned(),
            headers: vec![],
            ring_limit: None,
            silence_limit: None,
            from_host: None,
            credentials: Some(credentials),
        };
        it.act(A, |it, now| it.dial(leg, dial, now));
        it.millis(200);
        assert_eq!(refused(&it, leg), status, "{user} {password}");
        assert_eq!(known(&it), [Some(Extension::new("1001"))]);
        it.hang_up(A, leg);
    }
    it.check_silence();
}

#[test]
fn nobody_hears_of_a_subscription_that_he_did_not_make() {
    let (mut it, a, b) = talk(85);
    // There is no question to be answered.
    it.act(B, |it, now| it.answer_refer(b, 202, now));
    it.secs(1);
    assert_eq!(it.count(A, "NOTIFY"), 0);
    it.hang_up(A, a);
    it.secs(1);
    it.check_silence();
}

#[test]
fn what_became_of_it_is_told_by_the_process_after_the_one_that_was_asked() {
    // The call goes on, or the telephone is out of it already.
    for goes_on in [true, false] {
        let (mut it, a, b) = talk(88);
        it.act(A, |it, now| it.refer(a, "sip:8002@h", None, now));
        it.millis(200);
        assert_eq!(it.ends[B].save_refer(b), None, "nobody waits yet");
        it.act(B, |it, now| it.answer_refer(b, 202, now));
        it.secs(1);
        let early = it.ends[B].save_refer(b).unwrap();
        if !goes_on {
            it.hang_up(B, b);
            it.secs(40);
        }
        let call = it.ends[B].save(b);
        assert_eq!(call.is_some(), goes_on);
        let late = it.ends[B].save_refer(b).unwrap();
        it.ends[B] = Endpoint::new(config(), 99, 1);
        let call = call.and_then(|saved| it.ends[B].restore(&saved, it.now));
        assert_eq!(call, goes_on.then_some(b));
        // What was kept at first is enough: requests since then are skipped over.
        let saved = if goes_on { late } else { early };
        assert_eq!(it.act(B, |it, now| it.restore_refer(&saved, now)), Some(b));
        assert_eq!(it.act(B, |it, now| it.restore_refer(&saved, now)), None);
        assert_eq!(it.act(B, |it, now| it.restore_refer(&saved[1..], now)), None);
        it.act(B, |it, now| it.refer_done(b, 503, now));
        it.secs(1);
        assert_eq!(progress(&it), [202, 100, 503]);
        assert_eq!(it.count(B, "200/NOTIFY"), 2);
        assert_eq!(it.ends[B].save_refer(b), None);
        if goes_on {
            it.hang_up(A, a);
            it.secs(1);
        }
        it.check_silence();
    }
}

#[test]
fn who_waits_is_told_that_nobody_knows_when_nobody_says_anything_after_a_restart() {
    let (mut it, a, b) = talk(89);
    it.act(A, |it, now| it.refer(a, "sip:8002@h", None, now));
    it.millis(200);
    it.act(B, |it, now| it.answer_refer(b, 202, now));
    it.hang_up(B, b);
    it.secs(1);
    let saved = it.ends[B].save_refer(b).unwrap();
    it.ends[B] = Endpoint::new(config(), 99, 1);
    it.act(B, |it, now| it.restore_refer(&saved, now));
    it.secs(5 * 60);
    assert_eq!(it.count(A, "NOTIFY"), 1);
    it.secs(2 * 60);
    assert_eq!(it.count(A, "NOTIFY"), 2, "terminated;reason=timeout");
    it.check_silence();
}

#[test]
fn who_has_waited_longest_is_given_up_first() {
    let (mut it, a, b) = talk(90);
    let late = (a, b);
    let a = it.dial();
    it.millis(100);
    let b = it.invited(B);
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    it.secs(1);
    for ((a, b), secs) in [((a, b), 100), (late, 258)] {
        it.act(A, |it, now| it.refer(a, "sip:8002@h", None, now));
        it.millis(200);
        it.act(B, |it, now| it.answer_refer(b, 202, now));
        it.secs(secs);
    }
    assert_eq!(it.count(A, "NOTIFY"), 2);
    it.secs(3);
    assert_eq!(it.count(A, "NOTIFY"), 3);
    it.act(B, |it, now| it.refer_done(b, 200, now));
    it.secs(1);
    assert_eq!(it.count(A, "NOTIFY"), 3, "he was told that nobody knows");
    it.secs(100);
    assert_eq!(it.count(A, "NOTIFY"), 4);
    it.hang_up(B, b);
    it.hang_up(B, late.1);
    it.check_silence();
}

#[test]
fn who_waits_for_news_after_his_call_gets_them_though_his_connection_is_gone() {
    let mut it = World::new(Link { transport: Transport::Tcp, ..GOOD }, 91);
    let (a, b) = it.talk();
    it.act(A, |it, now| it.refer(a, "sip:8002@h", None, now));
    it.millis(200);
    it.act(B, |it, now| it.answer_refer(b, 202, now));
    it.hang_up(B, b);
    it.secs(10);
    it.act(B, |it, now| it.handle_connection_gone(ConnId(7), now));
    it.act(B, |it, now| it.refer_done(b, 200, now));
    assert_eq!(it.sent_by.map(|it| it.conn), Some(None));
    it.secs(1);
    assert_eq!(progress(&it), [202, 100, 200]);
    it.check_silence();
}
