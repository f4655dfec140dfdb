//! Stories of agents at a number outside: asked for a key, and gone when the busy tone says so.

use std::time::Duration;

use hotline_base::{
    Key, LegId, OfferId, Pii, TrunkId,
    media::{Event as MediaEvent, NetworkTone, Profile},
};
use hotline_cdr::CalledParty;

use super::{
    tests::{AGENT, CALLER, Story, TARGET, agent, alive, colleague, outside},
    *,
};
use crate::{LegEvent, NetworkSound, TalkLine, Who, call::nobody::Nobody};

/// What who answers outside hears until he presses the key.
const QUESTION: Option<&str> = Some("seat.confirm");

/// What an agent hears while it rings, when he does not hear the network.
const RINGBACK: Option<&str> = Some("tone.ringback");

/// A leg rings outside, over a trunk whose busy tone means something, and is answered.
fn rings_outside(it: &mut Story, leg: LegId) {
    it.opens(leg);
    let number = Pii::new("13800139000".to_owned());
    it.act(|call, now| call.rings_outside(leg, number, now));
    goes_out(it, leg);
    it.answers(leg);
}

fn goes_out(it: &mut Story, leg: LegId) {
    goes_out_to(it, leg, NetworkSound { early: true, tones: true });
}

fn goes_out_to(it: &mut Story, leg: LegId, sound: NetworkSound) {
    let trunk = (TrunkId::new("ct"), sound);
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
            it.table(&[(CALLER, &[]), (AGENT, &[TARGET])]);
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

/// The telephone of whom the agent asks rings, with a description of sound or without.
fn rings(it: &mut Story, sdp: Option<&str>) {
    it.leg(TARGET, LegEvent::Ringing { sdp: sdp.map(str::to_owned) });
}

/// The agent consults somebody at a number outside, over a trunk of this kind.
fn asks_outside(sound: NetworkSound, party: CalledParty) -> Story {
    let mut it = Story::talk();
    it.consults(TARGET, party);
    it.media(MediaEvent::Opened { leg: TARGET, sdp: "ours".to_owned() });
    goes_out_to(&mut it, TARGET, sound);
    rings(&mut it, None);
    assert_eq!((it.music(CALLER), it.music(AGENT)), (Some("moh.default"), RINGBACK));
    it
}

#[test]
fn an_agent_hears_the_network_of_whom_he_asks_outside_before_the_answer() {
    let mut it = asks_outside(NetworkSound { early: true, tones: false }, outside());
    rings(&mut it, Some("early"));
    assert_eq!(it.music(AGENT), RINGBACK, "until media understands what is described");
    it.media(MediaEvent::Settled { leg: TARGET, hold: false });
    let hears_network: &[(LegId, &[LegId])] = &[(CALLER, &[]), (AGENT, &[TARGET])];
    it.table(hears_network);
    assert_eq!((it.music(CALLER), it.music(AGENT)), (Some("moh.default"), None));
    assert!(it.recorded.is_empty(), "nobody hears him, and the network is not recorded");
    // Another telephone of his describes its own sound: the first one is heard (RFC 3960 §3.2).
    rings(&mut it, Some("another"));
    it.table(hears_network);
    // Silence alone may be a pause of the network; with a telephone that rings it is none.
    it.media(MediaEvent::Quiet { leg: TARGET, secs: 5 });
    it.table(hears_network);
    rings(&mut it, None);
    it.table(&[(CALLER, &[]), (AGENT, &[])]);
    assert_eq!(it.music(AGENT), RINGBACK);
    it.media(MediaEvent::Quiet { leg: TARGET, secs: 0 });
    it.table(hears_network);
    // A media process that brought the legs back alone is told again.
    it.act(Call::media_down);
    it.act(|call, now| call.reconcile(&alive(&[CALLER, AGENT, TARGET], &[]), &Nobody, now));
    it.table(hears_network);
    it.leg(TARGET, LegEvent::Answered { sdp: Some("theirs".to_owned()) });
    it.table(hears_network);
    it.media(MediaEvent::Settled { leg: TARGET, hold: false });
    it.table(&[(CALLER, &[]), (AGENT, &[TARGET]), (TARGET, &[AGENT])]);
    assert_eq!((it.music(AGENT), it.line(AGENT)), (None, TalkLine::Consulting));
}

#[test]
fn an_agent_hears_our_ring_back_where_the_network_is_not_wanted_or_nobody_may_be_heard_yet() {
    for tones in [false, true] {
        let mut it = asks_outside(NetworkSound { early: false, tones }, outside());
        rings(&mut it, Some("early"));
        it.media(MediaEvent::Settled { leg: TARGET, hold: false });
        it.table(&[(CALLER, &[]), (AGENT, &[])]);
        assert_eq!(it.music(AGENT), RINGBACK);
    }
    // An agent outside: his network is heard, and he, or his voice mail, not before the key.
    let mut it = Story::talk();
    it.consults(TARGET, colleague("1002"));
    it.media(MediaEvent::Opened { leg: TARGET, sdp: "ours".to_owned() });
    let number = Pii::new("13800139000".to_owned());
    it.act(|call, now| call.rings_outside(TARGET, number, now));
    goes_out(&mut it, TARGET);
    rings(&mut it, Some("early"));
    it.media(MediaEvent::Settled { leg: TARGET, hold: false });
    it.table(&[(CALLER, &[]), (AGENT, &[TARGET])]);
    it.leg(TARGET, LegEvent::Answered { sdp: Some("theirs".to_owned()) });
    it.media(MediaEvent::Settled { leg: TARGET, hold: false });
    it.table(&[(CALLER, &[]), (AGENT, &[])]);
    assert_eq!((it.music(AGENT), it.music(TARGET)), (RINGBACK, QUESTION));
    presses(&mut it, TARGET, '1');
    it.table(&[(CALLER, &[]), (AGENT, &[TARGET]), (TARGET, &[AGENT])]);
}

/// Whom the caller is given to before he answers is not heard by the caller, who has music.
#[test]
fn the_network_of_whom_a_caller_is_given_to_is_not_heard() {
    let mut it = asks_outside(NetworkSound { early: true, tones: false }, outside());
    rings(&mut it, Some("early"));
    it.media(MediaEvent::Settled { leg: TARGET, hold: false });
    it.does(|call, now| call.complete_transfer(&agent("1001"), &Nobody, now));
    it.table(&[(CALLER, &[])]);
    assert_eq!(it.music(CALLER), Some("moh.default"));
}
