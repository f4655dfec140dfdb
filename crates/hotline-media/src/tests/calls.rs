//! What callers and agents hear.

use hotline_base::{
    LegId,
    media::{Event, FailReason, FailedOrder, Order, PlayEnd, Profile},
};
use hotline_dsp::{g711::ALAW_SILENCE, strength};

use super::rig::{CONTEXT, Phone, Rig, port_of};

#[test]
fn two_parties_hear_each_others_tone_each_in_its_own_codec() {
    let mut rig = Rig::new();
    let mut caller = rig.phone(1, 440);
    let mut agent = Phone::new(2, 700);
    (agent.ulaw, agent.event) = (true, 96);
    let mut agent = rig.phone_with(agent);
    rig.bridge(&caller, &agent);
    let mut heard = (Vec::new(), Vec::new());
    for _ in 0..50 {
        caller.say();
        heard.1.extend(agent.listen(1));
        agent.say();
        heard.0.extend(caller.listen(1));
    }
    assert!(strength(&heard.0, 700) > 0.95, "the caller hears the agent");
    assert!(strength(&heard.1, 440) > 0.95, "the agent hears the caller");
    caller.press('7');
    assert_eq!(agent.hear().0.header.payload_type, 96);
    let Event::Key { leg, key } = rig.control.event() else { panic!("not a key") };
    assert_eq!((leg, key.as_char()), (LegId(1), '7'));
}

#[test]
fn a_leg_that_we_offer_is_heard_after_the_answer() {
    let mut rig = Rig::new();
    let mut agent = Phone::new(2, 700);
    rig.control.order(&Order::Open {
        leg: agent.leg,
        offer: None,
        profile: Profile::Plain,
        context: CONTEXT,
    });
    let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
    agent.to.set_port(port_of(&sdp));
    rig.control.order(&Order::Answer { leg: agent.leg, answer: agent.sdp("sendrecv") });
    assert_eq!(rig.control.event(), Event::Settled { leg: agent.leg, hold: false });
    let mut caller = rig.phone(1, 440);
    rig.bridge(&caller, &agent);
    caller.say();
    agent.listen(1);
    agent.say();
    caller.listen(1);
}

/// Identifier and version of a description's origin.
fn origin(sdp: &str) -> (String, u64) {
    let line = sdp.lines().find_map(|it| it.strip_prefix("o=- ")).unwrap();
    let mut words = line.split(' ');
    (words.next().unwrap().to_owned(), words.next().unwrap().parse().unwrap())
}

#[test]
fn a_description_has_a_new_version_exactly_when_it_says_something_new() {
    let mut rig = Rig::new();
    let phone = Phone::new(1, 440);
    let leg = phone.leg;
    rig.control.order(&Order::Open {
        leg,
        offer: Some(phone.sdp("sendrecv")),
        profile: Profile::Plain,
        context: CONTEXT,
    });
    let Event::Opened { sdp, .. } = rig.control.event() else { panic!("not opened") };
    let (session, first) = origin(&sdp);
    // The refresh of a session: nothing is new on either side.
    for (direction, version, held) in [
        ("sendrecv", 0, false),
        ("sendonly", 1, true),
        ("sendonly", 1, true),
        ("sendrecv", 2, false),
    ] {
        rig.control.order(&Order::Reoffer { leg, offer: phone.sdp(direction) });
        let Event::Reanswered { sdp, hold, .. } = rig.control.event() else { panic!("no answer") };
        assert_eq!((origin(&sdp), hold), ((session.clone(), first + version), held));
    }
    // Asked for an offer we say everything we can; asked again, the same.
    for _ in 0..2 {
        rig.control.order(&Order::Describe { leg });
        let Event::Described { sdp, .. } = rig.control.event() else { panic!("no offer") };
        assert_eq!(origin(&sdp), (session.clone(), first + 3));
        assert!(sdp.contains("RTP/AVP 8 0 101"), "{sdp}");
        rig.control.order(&Order::Answer { leg, answer: phone.sdp("inactive") });
        assert_eq!(rig.control.event(), Event::Settled { leg, hold: true });
    }
    // An offer that cannot be taken changes nothing.
    let offer = phone.sdp("sendrecv").replace("IN IP4 127.0.0.1", "IN IP4 phone.example");
    rig.control.order(&Order::Reoffer { leg, offer });
    let (order, reason) = (FailedOrder::Reoffer, FailReason::NoCommonAddress);
    assert_eq!(rig.control.event(), Event::Failed { leg, order, reason });
    rig.control.order(&Order::Describe { leg });
    let Event::Described { sdp, .. } = rig.control.event() else { panic!("no offer") };
    assert_eq!(origin(&sdp).1, first + 3);
}

#[test]
fn a_prompt_is_heard_then_the_other_party_in_one_stream() {
    let mut rig = Rig::new();
    rig.dir.prompt("greet.common", 440, 200);
    let (caller, mut agent) = (rig.phone(1, 440), rig.phone(2, 700));
    rig.bridge(&caller, &agent);
    rig.play(caller.leg, 1, &["greet.common"], 1);
    let first = caller.hear().0.header;
    let samples = caller.listen(9);
    assert!(strength(&samples, 440) > 0.95);
    let (_, end, played_ms) = rig.play_done();
    assert_eq!((end, played_ms), (PlayEnd::Finished, 200));
    agent.say();
    let after = caller.hear().0.header;
    assert_eq!((after.ssrc, after.sequence), (first.ssrc, first.sequence.wrapping_add(10)));
    let later = after.timestamp.since(first.timestamp);
    assert!(later >= 1_600 && later % 160 == 0, "{later}");
}

#[test]
fn no_packet_of_the_music_follows_a_key() {
    let mut rig = Rig::new();
    rig.dir.prompt("music", 440, 100);
    let mut caller = rig.phone(1, 440);
    rig.play(caller.leg, 1, &["music"], 0);
    caller.listen(20);
    caller.press('1');
    let (_, end, played_ms) = rig.play_done();
    let PlayEnd::Key(key) = end else { panic!("not ended by the key") };
    assert_eq!(rig.control.event(), Event::Key { leg: caller.leg, key });
    let mut n = 20;
    while caller.hear().1 != [ALAW_SILENCE; 160] {
        n += 1;
    }
    assert_eq!(n * 20, played_ms, "all that was sent was sent before the key was reported");
    for _ in 0..3 {
        assert_eq!(caller.hear().1, [ALAW_SILENCE; 160]);
    }
}

#[test]
fn a_prompt_that_is_missing_is_left_out_and_without_any_the_play_ends_at_once() {
    let mut rig = Rig::new();
    rig.dir.prompt("there", 440, 40);
    let caller = rig.phone(1, 440);
    rig.play(caller.leg, 1, &["not.there", "there", "../there"], 1);
    caller.listen(2);
    assert_eq!(rig.play_done().1, PlayEnd::Missing);
    rig.play(caller.leg, 2, &["not.there"], 1);
    let (_, end, played_ms) = rig.play_done();
    assert_eq!((end, played_ms), (PlayEnd::Missing, 0));
}

#[test]
fn a_prompt_file_that_was_replaced_is_heard_at_the_next_play() {
    let mut rig = Rig::new();
    let caller = rig.phone(1, 440);
    for (play, hz, ms) in [(1, 440, 100), (2, 900, 120)] {
        rig.dir.prompt("greet", hz, ms);
        rig.play(caller.leg, play, &["greet"], 1);
        assert!(strength(&caller.listen(5), hz) > 0.95);
        rig.play_done();
        while !caller.hears_nothing() {}
    }
}

#[test]
fn a_party_that_holds_hears_nothing_until_it_retrieves() {
    let mut rig = Rig::new();
    let (mut caller, agent) = (rig.phone(1, 440), rig.phone(2, 700));
    rig.bridge(&caller, &agent);
    let (mut others, other) = (rig.phone(3, 300), rig.phone(4, 900));
    rig.bridge(&others, &other);
    for (direction, hold) in [("sendonly", true), ("inactive", true), ("sendrecv", false)] {
        let offer = agent.sdp(direction);
        rig.control.order(&Order::Reoffer { leg: agent.leg, offer });
        let Event::Reanswered { hold: told, sdp, .. } = rig.control.event() else {
            panic!("not answered")
        };
        assert_eq!((told, port_of(&sdp)), (hold, agent.to.port()));
        caller.say();
        // What came before is taken when what came later is heard: the next order finds nothing.
        others.say();
        other.listen(1);
    }
    agent.listen(1);
    assert!(agent.hears_nothing());
}

/// What the next description of a peer leads to, which control is told before it.
fn owes(rig: &mut Rig) -> Option<bool> {
    let mut told = None;
    loop {
        let event = rig.control.any_event();
        assert!(!matches!(event, Event::Failed { .. }), "{event:?}");
        if let Event::OwesSound { owes, .. } = event {
            assert_eq!(told.replace(owes), None, "told twice");
        }
        if matches!(event, Event::Opened { .. } | Event::Settled { .. } | Event::Reanswered { .. })
        {
            return told;
        }
    }
}

#[test]
fn control_is_told_whose_sound_is_due_and_of_each_change_once() {
    let mut rig = Rig::new();
    let (leg, offer) = (LegId(1), Phone::new(1, 440));
    let theirs = Some(offer.sdp("recvonly"));
    let profile = Profile::Plain;
    rig.control.order(&Order::Open { leg, offer: theirs, profile, context: CONTEXT });
    assert_eq!(owes(&mut rig), Some(false), "who only listens from the beginning");
    for (direction, told) in [
        ("recvonly", None),
        ("sendrecv", Some(true)),
        ("sendrecv", None),
        ("sendonly", Some(false)),
        ("inactive", None),
        ("recvonly", None),
        ("sendrecv", Some(true)),
    ] {
        rig.control.order(&Order::Reoffer { leg, offer: offer.sdp(direction) });
        assert_eq!(owes(&mut rig), told, "{direction}");
    }
    // The same of whom we call.
    let (leg, answer) = (LegId(2), Phone::new(2, 700));
    rig.control.order(&Order::Open { leg, offer: None, profile, context: CONTEXT });
    assert_eq!(owes(&mut rig), None);
    for (direction, told) in [("recvonly", Some(false)), ("sendrecv", Some(true))] {
        rig.control.order(&Order::Answer { leg, answer: answer.sdp(direction) });
        assert_eq!(owes(&mut rig), told, "{direction}");
    }
}

#[test]
fn bad_descriptions_are_refused_with_their_reason() {
    let mut rig = Rig::new();
    let g729 = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                m=audio 4000 RTP/AVP 18\r\n";
    let cases = [("what?", FailReason::BadSdp), (g729, FailReason::NoCommonCodec)];
    for (offer, reason) in cases {
        let leg = LegId(9);
        rig.control.order(&Order::Open {
            leg,
            offer: Some(offer.to_owned()),
            profile: Profile::Plain,
            context: CONTEXT,
        });
        let order = FailedOrder::Open;
        assert_eq!(rig.control.event(), Event::Failed { leg, order, reason });
    }
    let (leg, answer) = (LegId(9), String::new());
    rig.control.order(&Order::Answer { leg, answer });
    let (order, reason) = (FailedOrder::Answer, FailReason::UnknownLeg);
    assert_eq!(rig.control.event(), Event::Failed { leg, order, reason });
}

#[test]
fn without_a_free_port_or_place_a_leg_is_refused() {
    let mut rig = Rig::with(|it| it.ports = *it.ports.start()..=it.ports.start() + 3);
    let first = rig.phone(1, 440);
    rig.phone(2, 440);
    let refused = |reason| Event::Failed { leg: LegId(3), order: FailedOrder::Open, reason };
    rig.control.order(&Order::Open {
        leg: LegId(3),
        offer: None,
        profile: Profile::Plain,
        context: CONTEXT,
    });
    assert_eq!(rig.control.event(), refused(FailReason::NoPort));
    // A closed leg's port rests, bound and silent.
    rig.control.order(&Order::Close { leg: first.leg });
    assert!(matches!(rig.control.event(), Event::Closed { .. }));
    rig.control.order(&Order::Open {
        leg: LegId(3),
        offer: None,
        profile: Profile::Plain,
        context: CONTEXT,
    });
    assert_eq!(rig.control.event(), refused(FailReason::NoPort));
    assert!(std::net::UdpSocket::bind(first.to).is_err());

    let mut rig = Rig::with(|it| it.legs_max = 1);
    rig.phone(1, 440);
    rig.control.order(&Order::Open {
        leg: LegId(3),
        offer: None,
        profile: Profile::Plain,
        context: CONTEXT,
    });
    assert_eq!(rig.control.event(), refused(FailReason::Busy));
}

#[test]
fn a_closed_leg_tells_what_it_saw() {
    let mut rig = Rig::new();
    let (mut caller, agent) = (rig.phone(1, 440), rig.phone(2, 700));
    rig.bridge(&caller, &agent);
    for _ in 0..3 {
        caller.say();
        agent.listen(1);
    }
    caller.socket.send_to(b"noise", caller.to).unwrap();
    caller.say();
    agent.listen(1);
    rig.control.order(&Order::Close { leg: caller.leg });
    let Event::Closed { leg, stats } = rig.control.event() else { panic!("not closed") };
    assert_eq!((leg, stats.packets_in, stats.lost, stats.refused), (caller.leg, 4, 0, 1));
    // Silence, since the caller is gone.
    agent.listen(1);
    rig.control.order(&Order::Close { leg: agent.leg });
    let Event::Closed { stats, .. } = rig.control.event() else { panic!("not closed") };
    assert!(stats.packets_in == 0 && stats.packets_out > 4, "{stats:?}");
}
