//! 成功转: the agent leaves when the target answers, and not before.

use super::*;

impl Story {
    fn transfers_on_answer(&mut self, leg: LegId, party: CalledParty) {
        let who = Who { party, display: None };
        let it = Joining { offer: OfferId(leg.0), leg, profile: Profile::Plain, who };
        self.does(|call, now| call.transfer_on_answer(&agent("1001"), it, now));
    }

    /// The target rings, the agent hears it, and the caller waits with music.
    fn ringing(party: CalledParty) -> Self {
        let mut it = Self::talk();
        it.transfers_on_answer(TARGET, party);
        it.opens(TARGET);
        it.table(&[(CALLER, &[]), (AGENT, &[])]);
        assert_eq!(it.music(CALLER), Some("moh.default"));
        assert_eq!(it.music(AGENT), Some("tone.ringback"));
        assert!(it.hung_up.is_empty());
        it
    }
}

#[test]
fn agent_leaves_when_the_target_answers_and_whoever_leaves_then_ends_the_call() {
    for party in [colleague("1002"), outside()] {
        for first in [CALLER, TARGET] {
            let mut it = Story::ringing(party.clone());
            it.answers(TARGET);
            it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
            assert_eq!((it.hung_up.clone(), it.music(CALLER)), (vec![AGENT], None));
            assert_eq!(it.recorded, [TARGET]);
            let attended =
                CallFact::Transferred { offer: OfferId(1), mode: TransferMode::Attended };
            assert!(it.facts.contains(&attended));
            it.leaves(first);
            let record = it.record();
            assert_eq!(record.segments[0].released_by, Some(Party::Agent));
        }
    }
}

#[test]
fn agent_has_the_caller_again_when_the_target_cannot_be_had_or_he_takes_it_back() {
    let refused = LegEvent::Ended(LegEnd::Refused { status: 486, cause: None });
    for end in [Some(refused), Some(LegEvent::Ended(LegEnd::NoAnswer)), None] {
        let mut it = Story::ringing(colleague("1002"));
        match end {
            Some(end) => it.leg(TARGET, end),
            None => it.does(|call, now| call.cancel_consult(&agent("1001"), &Nobody, now)),
        }
        it.table(&[(CALLER, &[AGENT]), (AGENT, &[CALLER])]);
        assert_eq!((it.music(CALLER), it.line(AGENT)), (None, TalkLine::Talking));
        // What he asks next is asked, and not given away.
        it.consults(OTHER, colleague("1003"));
        it.answers(OTHER);
        it.table(&[(CALLER, &[]), (AGENT, &[OTHER]), (OTHER, &[AGENT])]);
    }
}

#[test]
fn who_leaves_while_the_target_rings_ends_the_call_or_leaves_the_caller_waiting() {
    let mut it = Story::ringing(colleague("1002"));
    it.leaves(CALLER);
    assert!(it.hung_up.contains(&AGENT) && it.hung_up.contains(&TARGET));
    it.record();
    let mut it = Story::ringing(colleague("1002"));
    it.leaves(AGENT);
    it.table(&[(CALLER, &[])]);
    assert_eq!(it.music(CALLER), Some("moh.default"));
    it.answers(TARGET);
    it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
}
