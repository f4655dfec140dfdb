//! What a restart of control leaves of those who were being called.

use super::*;

#[test]
fn who_was_only_being_called_when_control_restarted_has_a_visit_that_ended() {
    let mut it = Story::talk();
    it.consults(TARGET, colleague("1002"));
    it.opens(TARGET);
    let saved = it.call.save().unwrap();
    assert_eq!(saved.legs(), [CALLER, AGENT]);
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
