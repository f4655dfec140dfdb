//! Stories of telephones that give no sign of life any more.

use super::*;

/// Whoever had it did nothing: neither he nor the carrier is named.
#[test]
fn an_agents_telephone_that_is_lost_is_named_in_the_record() {
    let ends = [LegEnd::Expired, LegEnd::PeerGone, LegEnd::AckMissing];
    let lose = |it: &mut Story, leg, end: Option<LegEnd>| match end {
        Some(end) => it.leg(leg, LegEvent::Ended(end)),
        None => it.media(MediaEvent::Quiet { leg, secs: 30 }),
    };
    for end in ends.map(Some).into_iter().chain([None]) {
        let mut it = Story::talk();
        lose(&mut it, AGENT, end);
        let record = it.record();
        let by = (record.segments[0].released_by, record.released_by);
        assert_eq!(by, (Some(Party::Telephone), Some(Party::Telephone)), "{end:?}");
        // Of a colleague who was called in the same.
        let mut it = Story::consulting();
        it.does(|call, now| call.confer(&agent("1001"), now));
        lose(&mut it, TARGET, end);
        it.leaves(CALLER);
        let record = it.record();
        assert_eq!(record.segments[1].released_by, Some(Party::Telephone), "{end:?}");
    }
}
