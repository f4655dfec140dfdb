//! Stories of signs of life: who asks, what is refused, and that no dialog outlives its peer.

use super::*;
use crate::leg::Leg;

const SDP: &str = "Content-Type: application/sdp\r\n";

/// The requests that reached the raw peer since the last look.
fn requests(world: &World) -> Vec<String> {
    raw::Peer::answers(world)
        .iter()
        .filter_map(|it| it.method().map(|it| String::from_utf8_lossy(it).into_owned()))
        .collect()
}

fn last_header(world: &World, name: &str) -> String {
    String::from_utf8_lossy(raw::Peer::last(world).header(name).unwrap_or_default()).into_owned()
}

/// A call that the raw peer makes with these headers, and B's leg of it.
fn called_with(it: &mut World, more: &str) -> (raw::Peer, LegId) {
    let mut raw = raw::Peer::new(it);
    raw.send(it, &raw.request("INVITE", 1, &format!("{more}{SDP}"), "offer"));
    let b = it.invited(B);
    it.act(B, |it, now| it.answer(b, "answer".to_owned(), now));
    raw.learn_tag(it, B);
    raw.send(it, &raw.request("ACK", 1, "", ""));
    (raw, b)
}

#[test]
fn two_of_us_refresh_by_update_every_half_interval_and_stay_up() {
    let mut it = World::new(GOOD, 70);
    let (a, b) = it.talk();
    it.secs(3 * 3_600);
    // The caller refreshes: neither said who, and the called side leaves it to him.
    assert_eq!((it.count(B, "UPDATE"), it.count(A, "UPDATE")), (12, 0));
    assert_eq!((it.count(A, "200/UPDATE"), it.count(B, "INVITE")), (12, 1));
    assert_eq!((it.ends_of(A, a), it.ends_of(B, b)), (vec![], vec![]));
    it.hang_up(A, a);
    it.check_silence();
}

#[test]
fn a_peer_that_vanished_is_noticed_by_both_roles_and_nothing_is_left() {
    for end in [A, B] {
        let mut it = World::new(GOOD, 71);
        let (a, b) = it.talk();
        let leg = if end == A { a } else { b };
        it.ends[1 - end] = Endpoint::new(config(), 99, 5_000);
        // What arrives there meets nobody: not even a 481.
        it.drop = Some((1 - end, ""));
        it.secs(1_765);
        assert_eq!(it.ends_of(end, leg), []);
        it.secs(4);
        assert_eq!(it.ends_of(end, leg), [EndWhy::Expired]);
        it.check_silence();
    }
}

#[test]
fn a_peer_that_forgot_the_dialog_is_left_at_the_next_refresh() {
    let mut it = World::new(GOOD, 72);
    let (a, _) = it.talk();
    it.ends[B] = Endpoint::new(config(), 99, 5_000);
    it.secs(899);
    assert_eq!(it.ends_of(A, a), []);
    it.secs(2);
    // It may have hung up, and its BYE be under way.
    assert_eq!((it.count(A, "481/UPDATE"), it.ends_of(A, a)), (1, vec![]));
    it.secs(5);
    assert_eq!(it.ends_of(A, a), [EndWhy::Expired]);
    it.check_silence();
}

/// A refresh that meets who hung up in a cut is told 481 before the BYE comes once more.
#[test]
fn who_hung_up_in_a_cut_has_hung_up_and_is_not_lost() {
    for (method, deaf) in [("UPDATE", "BYE"), ("INVITE", "BYE")] {
        let (mut it, a, b) = short_talk(7_100, method);
        accept_offers(&mut it, B, b, 24);
        it.drop = Some((A, deaf));
        it.hang_up(B, b);
        it.secs(5);
        it.drop = None;
        let gone = it.count(A, &format!("481/{method}"));
        assert_eq!((gone, it.ends_of(A, a)), (1, vec![]), "{method}");
        it.secs(4);
        assert_eq!(it.ends_of(A, a), [EndWhy::Bye { cause: Some(16) }], "{method}");
        it.check_silence();
    }
}

#[test]
fn an_interval_that_is_too_short_is_refused_with_the_shortest_we_take() {
    let mut it = World::new(GOOD, 73);
    let mut raw = raw::Peer::new(&mut it);
    let more = "Supported: timer\r\nSession-Expires: 30\r\n";
    raw.send(&mut it, &raw.request("INVITE", 1, more, ""));
    assert_eq!((raw.statuses(&it), last_header(&it, "Min-SE")), (vec![422], "90".to_owned()));
    assert_eq!(it.ends[B].n_transactions(), 0);
    // Within a call, too, which goes on as it was.
    let mut it = World::new(GOOD, 74);
    let (mut raw, b) = called_with(&mut it, "Supported: timer\r\nSession-Expires: 1800\r\n");
    assert_eq!(last_header(&it, "Session-Expires"), "1800;refresher=uac");
    assert_eq!(last_header(&it, "Require"), "timer");
    raw.statuses(&it);
    raw.send(&mut it, &raw.request("UPDATE", 2, more, ""));
    raw.send(&mut it, &raw.request("INVITE", 3, &format!("{more}{SDP}"), "offer 2"));
    assert_eq!(raw.statuses(&it), [422, 422]);
    assert_eq!(it.ends_of(B, b), []);
}

#[test]
fn the_peers_refreshes_keep_the_call_until_they_stay_away() {
    let mut it = World::new(GOOD, 75);
    let (mut raw, b) = called_with(&mut it, "Supported: timer\r\nSession-Expires: 90\r\n");
    let refresh = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    for n in 0..10 {
        it.secs(59);
        // Carriers refresh either way; the first one comes 2 s after the answer.
        if n % 2 == 0 {
            raw.send(&mut it, &raw.request("UPDATE", 2 + n, refresh, ""));
        } else {
            let reinvite = raw.request("INVITE", 2 + n, &format!("{refresh}{SDP}"), "offer");
            raw.send(&mut it, &reinvite);
            it.act(B, |it, now| it.accept_offer(b, "answer".to_owned(), now));
            raw.send(&mut it, &raw.request("ACK", 2 + n, "", ""));
        }
        assert_eq!(raw::Peer::last(&it).status(), Some(200));
        assert_eq!(last_header(&it, "Session-Expires"), "90;refresher=uac");
    }
    it.secs(59);
    assert_eq!(it.ends_of(B, b), []);
    it.secs(2);
    assert_eq!(it.ends_of(B, b), [EndWhy::Expired]);
    let bye = raw::Peer::last(&it);
    assert_eq!(bye.method(), Some(&b"BYE"[..]));
    assert!(bye.header("Reason").is_some_and(|it| it.starts_with(b"Q.850;cause=102")));
}

#[test]
fn a_peer_without_timers_is_asked_by_reinvite_with_the_same_description() {
    let mut it = World::new(GOOD, 76);
    let (mut raw, b) = called_with(&mut it, "Allow: INVITE, ACK, BYE\r\n");
    assert_eq!(last_header(&it, "Session-Expires"), "1800;refresher=uas");
    assert_eq!(raw::Peer::answers(&it).iter().find_map(|it| it.header("Require")), None);
    it.secs(900);
    let reinvite = raw::Peer::last(&it);
    assert_eq!((reinvite.method(), reinvite.body()), (Some(&b"INVITE"[..]), &b"answer"[..]));
    assert_eq!(last_header(&it, "Session-Expires"), "1800;refresher=uac");
    let ok = raw::respond_with(&it, "INVITE", 200, "f1", SDP, "their answer");
    raw.send(&mut it, &ok);
    assert_eq!(requests(&it).last().unwrap(), "ACK");
    // Any answer is a sign of life of a peer that agreed to nothing.
    it.secs(900);
    assert_eq!(requests(&it).last().unwrap(), "INVITE");
    let refusal = raw::respond_with(&it, "INVITE", 488, "f1", "", "");
    raw.send(&mut it, &refusal);
    it.secs(900);
    assert_eq!((requests(&it).last().unwrap().as_str(), it.ends_of(B, b)), ("INVITE", vec![]));
    let refusal = raw::respond_with(&it, "INVITE", 481, "f1", "", "");
    raw.send(&mut it, &refusal);
    it.secs(5);
    assert_eq!(it.ends_of(B, b), [EndWhy::Expired]);
    assert_eq!(it.said(B, |it| matches!(it, Event::ReofferRefused { .. })), 0);
}

#[test]
fn an_update_that_the_peer_does_not_have_becomes_a_reinvite() {
    let mut it = World::new(GOOD, 77);
    let more =
        "Allow: INVITE, UPDATE\r\nSupported: timer\r\nSession-Expires: 600;refresher=uas\r\n";
    let (mut raw, b) = called_with(&mut it, more);
    it.secs(300);
    assert_eq!(requests(&it).last().unwrap(), "UPDATE");
    assert_eq!(last_header(&it, "Session-Expires"), "600;refresher=uac");
    let refusal = raw::respond_with(&it, "UPDATE", 501, "f1", "", "");
    raw.send(&mut it, &refusal);
    it.millis(1);
    assert_eq!(requests(&it).last().unwrap(), "INVITE");
    assert_eq!(it.said(B, |it| matches!(it, Event::Changed { leg } if *leg == b)), 1);
    // It answers nothing any more: it is asked once more every 37 s until the session ends.
    it.secs(267);
    assert_eq!((n_of(&it, "INVITE"), it.ends_of(B, b)), (8, vec![]));
    it.secs(2);
    assert_eq!(it.ends_of(B, b), [EndWhy::Expired]);
}

/// How many different requests of a method reached the raw peer.
fn n_of(world: &World, method: &str) -> usize {
    let all = raw::Peer::answers(world);
    let numbers = all.iter().filter(|it| it.method() == Some(method.as_bytes()));
    numbers.map(|it| it.cseq().number).collect::<BTreeSet<_>>().len()
}

/// A talk whose session is as short as one may be, refreshed by us by UPDATE or re-INVITE.
fn short_talk(seed: u64, method: &str) -> (World, LegId, LegId) {
    let mut it = World::new(GOOD, seed);
    let mut config = config();
    config.session_expires = Duration::from_secs(90);
    it.ends = [Endpoint::new(config.clone(), seed, 1), Endpoint::new(config, seed + 1, 1001)];
    let (a, b) = it.talk();
    for (end, leg) in [(A, a), (B, b)] {
        let Some(Leg::Up(up)) = it.ends[end].legs.get_mut(&leg) else { panic!("not up") };
        up.talk.may_update = method == "UPDATE";
    }
    (it, a, b)
}

/// Answers every offer that waits at an end.
fn accept_offers(it: &mut World, end: usize, leg: LegId, secs: u64) {
    for _ in 0..secs {
        it.secs(1);
        it.act(end, |it, now| it.accept_offer(leg, "answer".to_owned(), now));
    }
}

#[test]
fn no_cut_of_13_s_ends_a_session_of_90_s_whoever_refreshes_and_however() {
    for (method, deaf) in [("UPDATE", A), ("UPDATE", B), ("INVITE", A), ("INVITE", B)] {
        for start in 0..60 {
            let (mut it, a, b) = short_talk(7_000, method);
            accept_offers(&mut it, B, b, start);
            it.drop = Some((deaf, ""));
            accept_offers(&mut it, B, b, 13);
            it.drop = None;
            accept_offers(&mut it, B, b, 120);
            let ends = (it.ends_of(A, a), it.ends_of(B, b));
            assert_eq!(ends, (vec![], vec![]), "{method}, cut towards {deaf} after {start} s");
            let n = (it.count(B, "UPDATE"), it.count(B, "INVITE"));
            assert!(n.0 + n.1 >= 3 && (method == "UPDATE" || n.1 > 1), "{method}, {start}: {n:?}");
        }
    }
}

/// The peer of `refresher=uas`, or one that knows no timers, and the answers that mean that nobody
/// was there; `""` is none.
#[test]
fn a_refresh_that_meets_nobody_is_made_again_and_the_next_one_keeps_the_session() {
    for (method, who) in [
        ("UPDATE", "Allow: UPDATE\r\nSupported: timer\r\nSession-Expires: 600;refresher=uas\r\n"),
        ("INVITE", "Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n"),
        ("INVITE", "Session-Expires: 600\r\n"),
    ] {
        for status in [0, 408, 503] {
            let mut it = World::new(GOOD, 85);
            let (mut raw, b) = called_with(&mut it, who);
            it.secs(301);
            assert_eq!(n_of(&it, method), 1);
            for tries in 2..5 {
                if status != 0 {
                    let refusal = raw::respond_with(&it, method, status, "f1", "", "");
                    raw.send(&mut it, &refusal);
                }
                it.secs(if status == 0 { 37 } else { 5 });
                assert_eq!((n_of(&it, method), it.ends_of(B, b)), (tries, vec![]), "{status}");
            }
            let more = format!("Require: timer\r\nSession-Expires: 600;refresher=uac\r\n{SDP}");
            let ok = raw::respond_with(&it, method, 200, "f1", &more, "their answer");
            raw.send(&mut it, &ok);
            // The whole time runs anew.
            it.secs(290);
            assert_eq!((n_of(&it, method), it.ends_of(B, b)), (4, vec![]), "{status}");
            it.secs(11);
            assert_eq!(n_of(&it, method), 5);
            // The session does not outlive its peer.
            it.secs(300);
            assert_eq!(it.ends_of(B, b), [EndWhy::Expired], "{status} {who}");
        }
    }
}

#[test]
fn a_refresh_whose_connection_breaks_goes_by_another_after_a_moment() {
    let mut it = World::new(Link { transport: Transport::Tcp, ..GOOD }, 86);
    let (a, b) = it.talk();
    it.secs(897);
    it.drop = Some((B, "UPDATE"));
    it.secs(3);
    it.act(A, |it, now| it.handle_connection_gone(ConnId(7), now));
    it.drop = None;
    it.secs(4);
    assert_eq!(it.count(B, "UPDATE"), 0);
    it.secs(2);
    assert_eq!((it.count(B, "UPDATE"), it.ends_of(A, a), it.ends_of(B, b)), (1, vec![], vec![]));
}

#[test]
fn a_422_to_our_invite_is_answered_with_a_longer_interval_in_the_same_call() {
    let mut it = World::new(GOOD, 78);
    let mut raw = raw::Peer::new(&mut it);
    let leg = raw::dial(&mut it);
    let first = raw::Peer::last(&it);
    assert_eq!(first.header("Session-Expires"), Some(&b"1800"[..]));
    let refusal = raw::respond_with(&it, "INVITE", 422, "f1", "Min-SE: 3600\r\n", "");
    raw.send(&mut it, &refusal);
    let second = raw::Peer::last(&it);
    assert_eq!(second.header("Session-Expires"), Some(&b"3600"[..]));
    assert_eq!((second.call_id(), second.from_tag()), (first.call_id(), first.from_tag()));
    assert_eq!((second.cseq().number, second.to_tag()), (2, &b""[..]));
    let ok = raw::respond_with(
        &it,
        "INVITE",
        200,
        "f1",
        "Require: timer\r\nSession-Expires: 3600;refresher=uac\r\n",
        "",
    );
    raw.send(&mut it, &ok);
    assert_eq!(it.said(B, |it| matches!(it, Event::Answered { .. })), 1);
    it.secs(1_800);
    // The peer's 2xx has no Allow: it is asked by what every peer has.
    let reinvite = raw::Peer::last(&it);
    assert_eq!((reinvite.method(), reinvite.body()), (Some(&b"INVITE"[..]), &b"offer"[..]));
    // A refusal that asks for nothing more is one.
    let mut it = World::new(GOOD, 79);
    let mut raw = raw::Peer::new(&mut it);
    let other = raw::dial(&mut it);
    let refusal = raw::respond_with(&it, "INVITE", 422, "f1", "Min-SE: 90\r\n", "");
    raw.send(&mut it, &refusal);
    assert_eq!(it.ends_of(B, other), [EndWhy::Refused { status: 422, cause: None }]);
    assert_eq!(it.ends_of(B, leg).len(), 1);
}

#[test]
fn a_refresh_that_meets_an_offer_waits_for_it() {
    let mut it = World::new(GOOD, 80);
    let (a, b) = it.talk();
    it.secs(896);
    // The offer stays unanswered for a while around the time of the refresh.
    it.act(A, |it, now| it.reoffer(a, "hold".to_owned(), now));
    it.secs(4);
    assert_eq!(it.count(B, "UPDATE"), 0);
    it.act(B, |it, now| it.accept_offer(b, "held".to_owned(), now));
    it.secs(2);
    // The re-INVITE was a sign of life.
    it.secs(890);
    assert_eq!((it.count(B, "UPDATE"), it.ends_of(A, a)), (0, vec![]));
    it.secs(20);
    assert_eq!(it.count(B, "UPDATE"), 1);
    it.hang_up(A, a);
    it.check_silence();
}

#[test]
fn after_a_restart_our_refreshes_go_on_and_a_peer_that_left_meanwhile_is_noticed() {
    for is_there in [true, false] {
        let mut it = World::new(GOOD, 81);
        let (a, b) = it.talk();
        let saved = it.ends[A].save(a).unwrap();
        it.secs(1_000);
        it.ends[A] = Endpoint::new(config(), 99, 1);
        assert_eq!(it.act(A, |it, now| it.restore(&saved, now)), Some(a));
        if !is_there {
            it.ends[B] = Endpoint::new(config(), 98, 5_000);
        }
        it.secs(36);
        if is_there {
            assert_eq!((it.count(B, "UPDATE"), it.count(A, "200/UPDATE")), (2, 2));
            it.secs(7_200);
            assert_eq!((it.ends_of(A, a), it.ends_of(B, b)), (vec![], vec![]));
            it.hang_up(A, a);
        } else {
            assert_eq!(it.ends_of(A, a), [EndWhy::Expired]);
        }
        it.check_silence();
    }
}

/// The refresh was due when the process died, and the line is cut for 13 s some time after the next
/// one is there.
#[test]
fn a_short_session_outlives_a_death_of_control_with_a_cut_behind_it() {
    for seed in 0..30 {
        for until_cut in [0, 6, 12, 18] {
            let (mut it, a, b) = short_talk(7_200 + seed, "UPDATE");
            it.secs(26);
            let saved = it.ends[A].save(a).unwrap();
            it.ends[A] = Endpoint::new(config(), 900 + seed, 1);
            it.secs(2);
            assert_eq!(it.act(A, |it, now| it.restore(&saved, now)), Some(a));
            it.secs(until_cut);
            it.drop = Some((B, ""));
            it.secs(13);
            it.drop = None;
            it.secs(40);
            let ends = (it.ends_of(A, a), it.ends_of(B, b));
            assert_eq!(ends, (vec![], vec![]), "seed {seed}, cut after {until_cut} s");
        }
    }
}

#[test]
fn no_process_uses_a_number_of_the_ones_before_it() {
    let mut it = World::new(GOOD, 84);
    let (a, b) = it.talk();
    let changed = |it: &World| it.said(A, |it| matches!(it, Event::Changed { leg } if *leg == a));
    let mut saved = it.ends[A].save(a).unwrap();
    for process in 1..=50 {
        it.ends[A] = Endpoint::new(config(), 90 + process, 1);
        let before = changed(&it);
        assert_eq!(it.act(A, |it, now| it.restore(&saved, now)), Some(a));
        // The keeper writes down what it is told to, and nothing else.
        if changed(&it) > before {
            saved = it.ends[A].save(a).unwrap();
        }
        // In this time most of them refresh the session.
        it.secs(25);
    }
    let n_asked = it.count(B, "UPDATE");
    assert!(n_asked > 20, "{n_asked}");
    assert_eq!(it.count(A, "200/UPDATE"), n_asked, "a number used twice is refused by 500");
    it.hang_up(A, a);
    it.secs(1);
    assert_eq!(it.ends_of(B, b), [EndWhy::Bye { cause: Some(16) }]);
    it.check_silence();
}

/// How long after a 491 the offer of `leg` is made again.
fn pause_after_glare(it: &mut World, raw: &mut raw::Peer, leg: LegId) -> u128 {
    it.act(B, |it, now| it.reoffer(leg, "ours".to_owned(), now));
    let pending = raw::respond_with(it, "INVITE", 491, "f1", "", "");
    raw.send(it, &pending);
    let (start, before) = (it.now.mono, requests(it).len());
    while requests(it).len() == before {
        it.millis(10);
    }
    assert_eq!(requests(it).last().unwrap(), "INVITE");
    it.now.mono.since(start).as_millis()
}

#[test]
fn a_glare_is_tried_again_after_the_times_of_the_standard() {
    for seed in 0..30 {
        // RFC 3261 §14.1: up to 2 s where the peer owns the Call-ID, 2.1 to 4 s where we do.
        let mut it = World::new(GOOD, 8_200 + seed);
        let (mut raw, called) = raw::Peer::talk(&mut it);
        let pause = pause_after_glare(&mut it, &mut raw, called);
        assert!(pause <= 2_000, "{pause}");
        let mut it = World::new(GOOD, 8_300 + seed);
        let mut raw = raw::Peer::new(&mut it);
        let calling = raw::dial(&mut it);
        let ok = raw::respond(&it, 200, "f1");
        raw.send(&mut it, &ok);
        let pause = pause_after_glare(&mut it, &mut raw, calling);
        assert!((2_100..=4_000).contains(&pause), "{pause}");
    }
}
