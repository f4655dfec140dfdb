//! What a restart of control leaves of those who were being called.

use super::*;

#[test]
fn who_was_only_being_called_when_control_restarted_has_a_visit_that_ended() {
    let mut it = Story::talk();
    it.consults(TARGET, colleague("1002"));
    it.opens(TARGET);
    let saved = it.call.save().unwrap();
    assert!(saved.legs().eq([CALLER, AGENT]));
    let mut call = Call::restore(saved, Arc::new(Config::default()), it.now);
    let ended: Vec<_> = std::iter::from_fn(|| call.poll_output())
        .filter_map(|it| {
            let Output::Fact(it) = it else { return None };
            let CallFact::OfferEnded { offer, why } = it.fact else { return None };
            Some((offer, why))
        })
        .collect();
    assert_eq!(ended, [(OfferId(TARGET.0), OfferEnd::System)]);
}

#[test]
fn a_call_that_nobody_records_says_once_that_media_was_replaced_while_nobody_saw_it() {
    let mut it = Story::talk();
    it.does(|call, now| call.stop_recording_for(&by("1001"), now));
    let legs = [CALLER, AGENT];
    let restarted =
        |it: &Story| it.facts.iter().filter(|it| matches!(it, CallFact::MediaRestarted)).count();
    let again = |it: &mut Story, began: WallTime| {
        let saved = it.call.save().unwrap();
        it.call = Call::restore(saved, Arc::new(Config::default()), it.now);
        let alive = Alive { legs: &legs, recordings: &[], began };
        it.act(|call, now| call.reconcile(&alive, &Nobody, now));
    };
    again(&mut it, WallTime(0));
    assert_eq!(restarted(&it), 0, "media was there before the call");
    let began = it.now.wall;
    it.now = it.now + Duration::from_secs(1);
    again(&mut it, began);
    assert_eq!((restarted(&it), it.call.is_talking()), (1, true));
    again(&mut it, began);
    assert_eq!(restarted(&it), 1, "the record has it");
}

/// The telephone holds, control restarts, and the telephone retrieves.
#[test]
fn a_telephone_that_held_before_a_restart_of_control_takes_the_caller_back_after_it() {
    let mut it = Story::talk();
    let reoffered = |it: &mut Story, hold| {
        let sdp = "ours".to_owned();
        it.media(MediaEvent::Reanswered { leg: AGENT, sdp, hold });
    };
    reoffered(&mut it, true);
    it.table(&[(AGENT, &[]), (CALLER, &[])]);
    let saved = it.call.save().unwrap();
    it.call = Call::restore(saved, Arc::new(Config::default()), it.now);
    it.act(|call, now| call.reconcile(&alive(&[CALLER, AGENT], &[]), &Nobody, now));
    it.table(&[(AGENT, &[]), (CALLER, &[])]);
    reoffered(&mut it, false);
    it.table(&[(AGENT, &[CALLER]), (CALLER, &[AGENT])]);
}
