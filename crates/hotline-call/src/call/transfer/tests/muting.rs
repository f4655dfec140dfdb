//! 静音: nobody hears an agent who wants it so.

use super::*;

#[test]
fn nobody_hears_who_is_muted_and_no_music_is_played_for_it() {
    let mut it = Story::talk();
    it.does(|call, now| call.mute(&agent("1001"), now));
    it.does(|call, now| call.mute(&agent("1001"), now));
    assert_eq!((&it.hears[&CALLER][..], &it.hears[&AGENT][..]), (&[][..], &[CALLER][..]));
    assert!(it.plays.is_empty() && it.recorded.is_empty(), "no music, and no word of his kept");
    it.act(|call, now| assert!(!call.mute(&agent("1009"), now), "a stranger"));
    let said = it.facts.iter().filter(|it| matches!(it, CallFact::AgentMuted { .. }));
    assert_eq!(said.count(), 1);

    // A restart of control does not open a microphone.
    let saved = it.call.save().unwrap();
    it.call = Call::restore(saved, Arc::new(Config::default()), it.now);
    it.act(|call, now| call.reconcile(&alive(&[CALLER, AGENT], &[]), &Nobody, now));
    assert!(it.call.is_muted(&agent("1001")));
    assert_eq!(it.hears[&CALLER], []);

    // He asks somebody, who does not hear him either.
    it.consults(TARGET, colleague("1002"));
    it.opens(TARGET);
    it.answers(TARGET);
    assert_eq!((&it.hears[&AGENT][..], &it.hears[&TARGET][..]), (&[TARGET][..], &[][..]));
    it.does(|call, now| call.unmute(&agent("1001"), now));
    assert_eq!((&it.hears[&AGENT][..], &it.hears[&TARGET][..]), (&[TARGET][..], &[AGENT][..]));
    assert!(!it.call.is_muted(&agent("1001")));
}
