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

fn referred(it: &World) -> Vec<(String, bool)> {
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
    it.act(A, |it, now| it.refer(a, "sip:8002@elsewhere.invalid;user=phone", now));
    it.millis(200);
    assert_eq!(referred(&it), [("8002".to_owned(), false)]);
    it.act(B, |it, now| it.answer_refer(b, 202, now));
    it.secs(1);
    assert_eq!(progress(&it), [202, 100, 200]);
    assert_eq!((it.count(A, "NOTIFY"), it.count(B, "200/NOTIFY")), (2, 2));
    it.hang_up(B, b);
    it.secs(1);
    assert_eq!(it.ends_of(A, a).len(), 1);
    it.check_silence();
}

#[test]
fn a_telephone_whose_wish_is_refused_goes_on_talking() {
    let (mut it, a, b) = talk(82);
    it.act(A, |it, now| it.refer(a, "sip:001@h", now));
    it.millis(200);
    it.act(B, |it, now| it.answer_refer(b, 403, now));
    it.secs(1);
    assert_eq!((progress(&it), it.count(A, "NOTIFY")), (vec![403], 0));
    assert!(it.ends_of(A, a).is_empty() && it.ends_of(B, b).is_empty());
    // It may ask again.
    it.act(A, |it, now| it.refer(a, "sip:8003@h", now));
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
        it.refer(a, "sip:8002@h?Replaces=c%40h%3Bto-tag%3D1%3Bfrom-tag%3D2&Route=%3Csip:x%3E", now);
    });
    it.millis(200);
    assert_eq!(referred(&it), [("8002".to_owned(), true)]);
    it.act(B, |it, now| it.answer_refer(b, 481, now));
    it.hang_up(A, a);
    it.secs(1);
    it.check_silence();
}

#[test]
fn one_wish_at_a_time_and_only_of_something_that_can_be_called() {
    let (mut it, a, b) = talk(84);
    for (to, status) in [("http://h/x", 400), ("sip:h", 400)] {
        it.act(A, |it, now| it.refer(a, to, now));
        it.millis(200);
        assert_eq!(progress(&it).last(), Some(&status), "{to}");
    }
    it.act(A, |it, now| it.refer(a, "sip:8002@h", now));
    it.act(A, |it, now| it.refer(a, "sip:8003@h", now));
    it.millis(200);
    assert_eq!((progress(&it).last(), referred(&it).len()), (Some(&491), 1));
    it.act(B, |it, now| it.answer_refer(b, 480, now));
    it.hang_up(A, a);
    it.secs(1);
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
