//! Stories of agents who do by the keys of their telephones what others do by command.

use hotline_base::{
    Key, LegId, OfferId,
    media::{Event as MediaEvent, Order, Profile},
};

use super::{
    tests::{AGENT, CALLER, OTHER, Story, TARGET, agent, colleague, outside},
    *,
};
use crate::{LegEnd, LegEvent, TalkLine, Who, call::nobody::Nobody};

/// The second call of the agent's telephone.
const ASIDE: LegId = LegId(5);

/// The agent holds the caller and calls 1002 from a second line.
fn asks() -> Story {
    let mut it = Story::talk();
    it.media(MediaEvent::Reanswered { leg: AGENT, sdp: "ours".to_owned(), hold: true });
    let who = Who { party: colleague("1002"), display: None };
    let joining = Joining { offer: OfferId(3), leg: TARGET, profile: Profile::Plain, who };
    let audio = (ASIDE, Some("theirs".to_owned()), Profile::Plain);
    it.does(|call, now| call.consult_by_phone(&agent("1001"), audio, joining, now));
    it.media(MediaEvent::Opened { leg: ASIDE, sdp: "ours".to_owned() });
    it
}

/// 1002 is there.
fn asking() -> Story {
    let mut it = asks();
    it.answers(TARGET);
    it
}

#[test]
fn an_agent_asks_by_a_second_call_that_is_answered_when_the_other_side_is() {
    let mut it = asks();
    it.opens(TARGET);
    it.table(&[(CALLER, &[]), (AGENT, &[])]);
    assert_eq!((it.music(CALLER), it.music(AGENT)), (Some("moh.default"), None));
    assert_eq!((it.line(AGENT), it.answered.clone()), (TalkLine::Consulting, vec![]));
    it.answers(TARGET);
    assert_eq!(it.answered, [ASIDE]);
    it.table(&[(CALLER, &[]), (AGENT, &[]), (ASIDE, &[TARGET]), (TARGET, &[ASIDE])]);
    assert_eq!(it.recorded, [ASIDE, TARGET]);
    // He goes to and fro between the two (RFC 3264 §8.4 in each call).
    it.media(MediaEvent::Reanswered { leg: ASIDE, sdp: "ours".to_owned(), hold: true });
    it.media(MediaEvent::Reanswered { leg: AGENT, sdp: "ours".to_owned(), hold: false });
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER]), (ASIDE, &[]), (TARGET, &[])]);
    assert_eq!((it.music(CALLER), it.recorded.clone()), (None, vec![AGENT]));
}

#[test]
fn caller_and_target_talk_when_the_two_calls_of_a_telephone_are_connected() {
    let mut it = asking();
    assert_eq!(it.call.consults_between(AGENT, ASIDE), Some(&agent("1001")));
    assert_eq!(it.call.consults_between(ASIDE, AGENT), Some(&agent("1001")));
    for (leg, other) in [(AGENT, AGENT), (AGENT, TARGET), (CALLER, ASIDE), (ASIDE, OTHER)] {
        assert_eq!(it.call.consults_between(leg, other), None, "{leg:?} {other:?}");
    }
    it.does(|call, now| call.complete_transfer(&agent("1001"), &Nobody, now));
    it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
    assert_eq!((it.hung_up.clone(), it.recorded.clone()), (vec![AGENT, ASIDE], vec![TARGET]));
    assert_eq!((it.outcomes.clone(), it.music(CALLER)), (vec![200], None));
    it.leaves(TARGET);
    let record = it.record();
    let agents: Vec<_> = record.segments.iter().map(|it| it.agent.as_str()).collect();
    assert_eq!(agents, ["1001", "1002"]);
}

#[test]
fn the_outcome_of_a_transfer_that_is_connected_while_it_rings_is_the_targets() {
    for (end, status) in [
        (None, 200),
        (Some(LegEnd::Refused { status: 603, cause: None }), 603),
        (Some(LegEnd::NoAnswer), 408),
        (Some(LegEnd::NoResponse), 480),
    ] {
        let mut it = asks();
        it.opens(TARGET);
        it.does(|call, now| call.complete_transfer(&agent("1001"), &Nobody, now));
        assert_eq!((it.hung_up.clone(), it.outcomes.clone()), (vec![AGENT, ASIDE], vec![]));
        match end {
            None => it.answers(TARGET),
            Some(end) => it.leg(TARGET, LegEvent::Ended(end)),
        }
        assert_eq!(it.outcomes.first(), Some(&status), "{end:?}");
    }
    // The caller does not wait for it.
    let mut it = asks();
    it.opens(TARGET);
    it.does(|call, now| call.complete_transfer(&agent("1001"), &Nobody, now));
    it.leaves(CALLER);
    assert_eq!(it.outcomes, [487]);
}

#[test]
fn a_second_call_ends_with_what_it_was_for() {
    // The agent gives it up, before and after the answer.
    for mut it in [asks(), asking()] {
        it.leg(ASIDE, LegEvent::Ended(LegEnd::Cancelled));
        it.media(MediaEvent::Reanswered { leg: AGENT, sdp: "ours".to_owned(), hold: false });
        it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
        assert!(it.hung_up.contains(&TARGET) && !it.hung_up.contains(&AGENT));
        assert_eq!(it.line(AGENT), TalkLine::Talking);
    }
    // The other side does not come, or goes.
    for mut it in [asks(), asking()] {
        it.leg(TARGET, LegEvent::Ended(LegEnd::Refused { status: 486, cause: None }));
        it.table(&[(CALLER, &[]), (AGENT, &[])]);
        assert!(it.hung_up.contains(&ASIDE) && !it.hung_up.contains(&AGENT));
        assert_eq!(it.line(AGENT), TalkLine::Held);
    }
    // The agent's telephone is gone: the target has the caller.
    let mut it = asking();
    it.leaves(AGENT);
    it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
    assert!(it.hung_up.contains(&ASIDE));
    // Media has no place for it.
    let mut it = Story::talk();
    let who = Who { party: colleague("1002"), display: None };
    let joining = Joining { offer: OfferId(3), leg: TARGET, profile: Profile::Plain, who };
    it.does(|call, now| {
        call.consult_by_phone(&agent("1001"), (ASIDE, None, Profile::Plain), joining, now)
    });
    it.now = it.now + Duration::from_secs(1);
    it.act(|call, now| call.handle_timeout(&Nobody, now));
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
    assert!(it.hung_up.contains(&ASIDE));
}

#[test]
fn an_agent_goes_on_at_another_of_his_telephones() {
    for (old, no) in [(AGENT, "1001"), (TARGET, "1002")] {
        let mut it = Story::consulting();
        it.does(|call, now| call.confer(&agent("1001"), now));
        let stranger = if no == "1001" { "1002" } else { "1001" };
        let audio = || (OTHER, Some("theirs".to_owned()), Profile::Plain);
        let mut taken = true;
        it.act(|call, now| taken = call.take_over(&agent(stranger), old, audio(), now));
        assert!(!taken, "another agent's part");
        it.does(|call, now| call.take_over(&agent(no), old, audio(), now));
        it.media(MediaEvent::Opened { leg: OTHER, sdp: "ours".to_owned() });
        assert_eq!((it.answered.clone(), it.hung_up.clone()), (vec![OTHER], vec![old]));
        let rest = if old == AGENT { TARGET } else { AGENT };
        let mut others = [rest, OTHER];
        others.sort();
        if old == AGENT {
            it.table(&[
                (CALLER, &[OTHER, TARGET]),
                (OTHER, &[CALLER, TARGET]),
                (TARGET, &[CALLER, OTHER]),
            ]);
        } else {
            it.table(&[
                (CALLER, &[AGENT, OTHER]),
                (OTHER, &[CALLER, AGENT]),
                (AGENT, &[CALLER, OTHER]),
            ]);
        }
        assert!(it.facts.iter().any(|it| matches!(it, CallFact::TakenOver { leg: OTHER, .. })));
        it.leaves(CALLER);
        it.leaves(OTHER);
        let record = it.record();
        assert_eq!(record.segments.len(), 2, "one visit, whichever the telephone");
    }
}

#[test]
fn a_takeover_that_does_not_come_about_leaves_everything_as_it_was() {
    // The other telephone gives up, media has no place, or our offer is not answered.
    for n in 0..3 {
        let mut it = Story::talk();
        let offer = (n < 2).then(|| "theirs".to_owned());
        it.does(|call, now| {
            call.take_over(&agent("1001"), AGENT, (OTHER, offer, Profile::Plain), now)
        });
        let mut again = true;
        it.act(|call, now| {
            again = call.take_over(&agent("1001"), AGENT, (ASIDE, None, Profile::Plain), now);
        });
        assert!(!again, "one at a time");
        match n {
            0 => it.leg(OTHER, LegEvent::Ended(LegEnd::Cancelled)),
            1 => {
                it.now = it.now + Duration::from_secs(1);
                it.act(|call, now| call.handle_timeout(&Nobody, now));
            }
            _ => {
                it.media(MediaEvent::Opened { leg: OTHER, sdp: "ours".to_owned() });
                assert_eq!(it.answered, [OTHER]);
                it.leg(OTHER, LegEvent::Ended(LegEnd::AckMissing));
            }
        }
        it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
        assert!(!it.hung_up.contains(&AGENT));
        it.leaves(CALLER);
        it.record();
    }
}

#[test]
fn a_call_that_rings_at_one_telephone_is_picked_up_at_another() {
    let mut it = Story::talk();
    let who = Who { party: colleague("1002"), display: None };
    let joining = Joining { offer: OfferId(3), leg: TARGET, profile: Profile::Plain, who };
    it.does(|call, now| call.consult(&agent("1001"), joining, now));
    it.opens(TARGET);
    let audio = (OTHER, Some("theirs".to_owned()), Profile::Plain);
    it.does(|call, now| call.take_over(&agent("1002"), TARGET, audio, now));
    it.media(MediaEvent::Opened { leg: OTHER, sdp: "ours".to_owned() });
    assert_eq!(it.hung_up, [TARGET]);
    it.table(&[(CALLER, &[]), (AGENT, &[OTHER]), (OTHER, &[AGENT])]);
}

#[test]
fn keys_of_an_agent_go_to_everybody_outside_who_hears_him() {
    let keys = [Key::try_from('1').unwrap()];
    let sent = |it: &mut Story, no: &str| {
        let (no, mut done) = (agent(no), false);
        it.act(|call, _| done = call.send_keys(&no, &keys));
        (done, std::mem::take(&mut it.keyed))
    };
    let mut it = Story::talk();
    assert_eq!(sent(&mut it, "1001"), (true, vec![CALLER]));
    assert_eq!(sent(&mut it, "1002"), (false, vec![]), "he is not in the call");
    it.does(|call, now| call.hold(&agent("1001"), now));
    assert_eq!(sent(&mut it, "1001"), (false, vec![]), "nobody hears him");
    // A department that he asks, while the caller waits; then all of them.
    let mut it = Story::talk();
    it.consults(TARGET, outside());
    assert_eq!(sent(&mut it, "1001"), (false, vec![]));
    it.answers(TARGET);
    assert_eq!(sent(&mut it, "1001"), (true, vec![TARGET]));
    it.does(|call, now| call.confer(&agent("1001"), now));
    assert_eq!(sent(&mut it, "1001"), (true, vec![CALLER, TARGET]));
    // A colleague is not outside, and may send keys as well.
    let mut it = Story::consulting();
    assert_eq!(sent(&mut it, "1001"), (false, vec![]));
    it.does(|call, now| call.confer(&agent("1001"), now));
    assert_eq!(sent(&mut it, "1002"), (true, vec![CALLER]));
}

#[test]
fn a_key_by_info_alone_goes_to_who_is_outside_and_one_press_by_two_ways_once() {
    let key = Key::try_from('1').unwrap();
    let info = |alone| LegEvent::Key { key, alone };
    let mut it = Story::talk();
    it.leg(AGENT, info(true));
    assert_eq!(std::mem::take(&mut it.keyed), [CALLER]);
    // Media passes on what comes as an event; the phone tells of it once more when it is let go.
    it.leg(AGENT, info(false));
    assert_eq!(it.keyed, []);
    it.act(|call, now| {
        call.handle_media(MediaEvent::Key { leg: AGENT, key }, &Nobody, now);
        call.handle_leg(AGENT, info(true), &Nobody, now);
    });
    assert_eq!(it.keyed, [], "its sound was heard already");
    it.act(|call, now| {
        call.handle_leg(AGENT, info(true), &Nobody, now);
        call.handle_leg(AGENT, info(true), &Nobody, now);
    });
    assert_eq!(std::mem::take(&mut it.keyed), [CALLER, CALLER], "two presses");
    // Nobody outside hears who holds, and whom he asks is not outside.
    it.consults(TARGET, colleague("1002"));
    it.answers(TARGET);
    it.leg(AGENT, info(true));
    assert_eq!(it.keyed, []);
    it.does(|call, now| call.confer(&agent("1001"), now));
    it.leg(TARGET, info(true));
    assert_eq!(std::mem::take(&mut it.keyed), [CALLER]);
    // Who is outside presses for our flows alone.
    it.leg(CALLER, info(true));
    assert_eq!(it.keyed, []);
}

/// A telephone with keys or in a browser that brings no offer is not offered sound in the clear.
#[test]
fn a_telephone_that_calls_without_an_offer_gets_one_in_its_own_way() {
    for profile in [Profile::Plain, Profile::Sdes, Profile::WebRtc] {
        let offered = |it: &mut Story| {
            let said: Vec<_> = std::iter::from_fn(|| it.call.poll_output()).collect();
            said.into_iter().find_map(|it| {
                let Output::Media(Order::Open { offer: None, profile, .. }) = it else {
                    return None;
                };
                Some(profile)
            })
        };
        let mut it = Story::talk();
        let now = it.now;
        assert!(it.call.take_over(&agent("1001"), AGENT, (OTHER, None, profile), now));
        assert_eq!(offered(&mut it), Some(profile));
        let mut it = Story::talk();
        let who = Who { party: colleague("1002"), display: None };
        let joining = Joining { offer: OfferId(3), leg: TARGET, profile: Profile::Plain, who };
        let audio = (ASIDE, None, profile);
        assert!(it.call.consult_by_phone(&agent("1001"), audio, joining, now));
        assert_eq!(offered(&mut it), Some(profile));
    }
}

/// Media sends silence from then on: telephones and NATs count on packets.
#[test]
fn who_has_answered_is_told_to_hear_nobody_until_he_hears_somebody() {
    let mut it = Story::begin();
    it.opens(AGENT);
    it.table(&[]);
    it.answers(AGENT);
    it.table(&[(AGENT, &[])]);
    // Another of his telephones takes the call over before anybody is there.
    let phone = (OTHER, Some("theirs".to_owned()), Profile::Plain);
    it.does(|call, now| call.take_over(&agent("1001"), AGENT, phone, now));
    it.media(MediaEvent::Opened { leg: OTHER, sdp: "ours".to_owned() });
    it.table(&[(OTHER, &[])]);
}
