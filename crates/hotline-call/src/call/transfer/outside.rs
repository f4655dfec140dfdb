//! Stories of agents at a number outside: asked for a key, and gone when the busy tone says so.

use std::time::Duration;

use hotline_base::{
    Key, LegId, OfferId, Pii, TrunkId,
    media::{Event as MediaEvent, NetworkTone, Profile},
};

use super::{
    tests::{AGENT, CALLER, Story, TARGET, agent, colleague, outside},
    *,
};
use crate::{LegEvent, NetworkSound, Who, call::nobody::Nobody};

/// What who answers outside hears until he presses the key.
const QUESTION: Option<&str> = Some("seat.confirm");

/// A leg rings outside, over a trunk whose busy tone means something, and is answered.
fn rings_outside(it: &mut Story, leg: LegId) {
    it.opens(leg);
    let number = Pii::new("13800139000".to_owned());
    it.act(|call, now| call.rings_outside(leg, number, now));
    goes_out(it, leg);
    it.answers(leg);
}

fn goes_out(it: &mut Story, leg: LegId) {
    let trunk = (TrunkId::new("ct"), NetworkSound { early: true, tones: true });
    it.act(|call, now| {
        call.went_out(leg, trunk, "10.0.0.1:5060".into(), "077112345".into(), now);
    });
}

fn presses(it: &mut Story, leg: LegId, key: char) {
    let key = Key::try_from(key).unwrap();
    it.media(MediaEvent::Key { leg, key });
}

fn busy(it: &mut Story, leg: LegId) {
    it.media(MediaEvent::Tone { leg, tone: NetworkTone::Busy });
}

#[test]
fn nobody_is_connected_to_an_agent_outside_before_he_presses_the_key() {
    let mut it = Story::begin();
    rings_outside(&mut it, AGENT);
    assert_eq!(it.music(AGENT), QUESTION);
    presses(&mut it, AGENT, '2');
    // A new description, such as of a network that repairs its own, answers nothing.
    it.media(MediaEvent::Settled { leg: AGENT, hold: false });
    assert_eq!((it.music(AGENT), it.call.is_dialling()), (QUESTION, true));
    assert!(!it.facts.iter().any(|it| matches!(it, CallFact::AgentAnswered { .. })));
    presses(&mut it, AGENT, '1');
    assert_eq!(it.music(AGENT), None);
    assert!(it.facts.iter().any(|it| matches!(it, CallFact::AgentAnswered { .. })));
    it.answers(CALLER);
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
    // From now on his keys are for others.
    it.leg(AGENT, LegEvent::Key { key: Key::ONE, alone: true });
    assert_eq!(it.keyed, [CALLER]);
}

#[test]
fn who_answers_outside_and_presses_nothing_has_not_answered() {
    let mut it = Story::begin();
    rings_outside(&mut it, AGENT);
    let (until, why) = it.call.poll_timeout().unwrap();
    assert_eq!(why, "key outside");
    it.now.mono = until;
    it.act(|call, now| call.handle_timeout(&Nobody, now));
    assert_eq!((it.hung_up.clone(), it.call.is_over()), (vec![AGENT], true));
    let no_answer = CallFact::OfferEnded { offer: OfferId(1), why: OfferEnd::NoAnswer };
    assert!(it.facts.contains(&no_answer), "{:?}", it.facts);
    // One whom another agent asks: they go on without him.
    let mut it = Story::talk();
    it.consults(TARGET, colleague("1002"));
    rings_outside(&mut it, TARGET);
    assert_eq!(it.music(TARGET), QUESTION);
    it.now = it.now + Duration::from_secs(15);
    it.act(|call, now| call.handle_timeout(&Nobody, now));
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
    assert_eq!((it.hung_up.clone(), it.call.is_over()), (vec![TARGET], false));
}

#[test]
fn an_agent_outside_whom_another_asks_is_there_when_he_has_pressed_the_key() {
    let mut it = Story::talk();
    it.consults(TARGET, colleague("1002"));
    rings_outside(&mut it, TARGET);
    it.table(&[(CALLER, &[]), (AGENT, &[])]);
    it.leg(TARGET, LegEvent::Key { key: Key::ONE, alone: false });
    it.table(&[(CALLER, &[]), (AGENT, &[TARGET]), (TARGET, &[AGENT])]);
    // Somebody outside who is no agent is asked nothing.
    let mut it = Story::talk();
    it.consults(TARGET, outside());
    it.opens(TARGET);
    goes_out(&mut it, TARGET);
    it.answers(TARGET);
    assert_eq!(it.music(TARGET), None);
}

#[test]
fn the_busy_tone_is_the_hanging_up_of_an_agent_outside_and_of_whom_he_asks() {
    let mut it = Story::begin();
    rings_outside(&mut it, AGENT);
    presses(&mut it, AGENT, '1');
    it.answers(CALLER);
    assert!(it.call.is_talking());
    let who = Who { party: outside(), display: None };
    let joining = Joining { offer: OfferId(3), leg: TARGET, profile: Profile::Plain, who };
    it.does(|call, now| call.consult(&agent("1001"), joining, now));
    it.opens(TARGET);
    goes_out(&mut it, TARGET);
    it.answers(TARGET);
    busy(&mut it, TARGET);
    it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
    busy(&mut it, AGENT);
    assert_eq!((it.hung_up.clone(), it.call.is_over()), (vec![TARGET, AGENT, CALLER], true));
    // A voice mail that hangs up while it is asked for the key.
    let mut it = Story::begin();
    rings_outside(&mut it, AGENT);
    busy(&mut it, AGENT);
    assert_eq!((it.hung_up.clone(), it.call.is_over()), (vec![AGENT], true));
}

#[test]
fn the_busy_tone_before_the_answer_is_the_refusal_of_whom_an_agent_asks_or_gives_the_caller_to() {
    let early = || LegEvent::Ringing { sdp: Some("early".to_owned()) };
    for gives_away in [false, true] {
        let mut it = Story::talk();
        let who = Who { party: outside(), display: None };
        let joining = Joining { offer: OfferId(3), leg: TARGET, profile: Profile::Plain, who };
        it.does(|call, now| {
            if gives_away {
                call.transfer_to(&agent("1001"), joining, &Nobody, now)
            } else {
                call.consult(&agent("1001"), joining, now)
            }
        });
        it.media(MediaEvent::Opened { leg: TARGET, sdp: "ours".to_owned() });
        goes_out(&mut it, TARGET);
        it.leg(TARGET, early());
        it.media(MediaEvent::Settled { leg: TARGET, hold: false });
        // He is not there yet, and neither does silence of his network end anything.
        it.media(MediaEvent::Quiet { leg: TARGET, secs: 30 });
        if gives_away {
            it.table(&[(CALLER, &[])]);
        } else {
            it.table(&[(CALLER, &[]), (AGENT, &[])]);
        }
        busy(&mut it, TARGET);
        let refused = CallFact::DialFailed { leg: TARGET, status: 486, cause: Some(17) };
        assert!(it.facts.contains(&refused) && it.hung_up.contains(&TARGET), "{:?}", it.facts);
        if gives_away {
            // A call that an agent made has no queue to go back to.
            assert_eq!(
                (it.hung_up.clone(), it.call.is_over()),
                (vec![AGENT, TARGET, CALLER], true)
            );
        } else {
            it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
        }
    }
}
