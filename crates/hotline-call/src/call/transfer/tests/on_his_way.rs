//! Stories of callers who are on their way from one to another, and have company or leave.

use hotline_base::TicketId;

use super::*;
use crate::Offering;

/// Somebody to be called in by this leg.
fn joining(leg: LegId, party: CalledParty) -> Joining {
    let who = Who { party, display: None };
    Joining { offer: OfferId(leg.0), leg, profile: Profile::Plain, who }
}

/// The caller and agents 1001 and 1002.
fn three_of_us() -> Story {
    let mut it = Story::consulting();
    it.does(|call, now| call.confer(&agent("1001"), now));
    it
}

#[test]
fn who_talks_to_others_is_not_sent_to_wait_for_a_group() {
    let mut it = three_of_us();
    let tax = GroupId::new("tax");
    let mut done = false;
    it.act(|call, now| done = call.transfer_to_group(&agent("1001"), tax, &Nobody, now));
    assert!(!done && it.call.is_agent_talking(&agent("1001")));
}

#[test]
fn a_transfer_that_fails_while_the_caller_has_company_is_over() {
    let mut it = three_of_us();
    it.does(|call, now| call.transfer_to(&agent("1001"), joining(OTHER, outside()), &Nobody, now));
    it.opens(OTHER);
    it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
    assert!(!it.call.may_transfer(&agent("1002")), "he is on his way to one already");
    it.leg(OTHER, LegEvent::Ended(LegEnd::Refused { status: 486, cause: Some(17) }));
    assert_eq!(it.outcomes.first(), Some(&486), "the telephone that gave him away is told");
    assert!(it.call.may_transfer(&agent("1002")));
    // He does not wait for somebody who does not come.
    it.leaves(TARGET);
    it.record();
}

#[test]
fn nobody_is_called_any_more_for_a_caller_who_left() {
    let mut it = three_of_us();
    it.consults(OTHER, outside());
    it.answers(OTHER);
    it.does(|call, now| call.confer(&agent("1001"), now));
    let fifth = LegId(5);
    it.does(|call, now| call.transfer_to(&agent("1001"), joining(fifth, outside()), &Nobody, now));
    it.opens(fifth);
    it.leaves(CALLER);
    assert_eq!(it.hung_up, [AGENT, fifth]);
    it.table(&[(TARGET, &[OTHER]), (OTHER, &[TARGET])]);
    it.leaves(OTHER);
    it.record();
}

#[test]
fn a_supervisor_takes_a_caller_who_is_on_his_way_and_nobody_else_is_called_for_him() {
    let (ticket, tax) = (TicketId(7), GroupId::new("tax"));
    for is_offered in [false, true] {
        let mut it = supervised(Oversight::Listen);
        it.does(|call, now| call.transfer_to_group(&agent("1001"), tax.clone(), &Nobody, now));
        it.act(|call, now| call.enqueued((ticket, &tax, 9), 1, &Nobody, now));
        if is_offered {
            let offering = Offering {
                offer: OfferId(4),
                ticket,
                agent: agent("1003"),
                extension: Extension::new("8003"),
                group: tax.clone(),
                leg: OTHER,
                profile: Profile::Plain,
            };
            it.act(|call, now| call.offered(offering, now));
            it.opens(OTHER);
        }
        it.does(|call, now| call.intercept(&agent("1009"), &Nobody, now));
        it.table(&[(CALLER, &[TARGET]), (TARGET, &[CALLER])]);
        assert_eq!((it.hung_up.contains(&OTHER), it.call.ticket()), (is_offered, None));
        assert_eq!(it.call.agent().unwrap().1, &agent("1009"));
        it.leaves(TARGET);
        it.record();
    }
}
