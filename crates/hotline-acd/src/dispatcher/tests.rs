//! Stories of the dispatcher. X numbers are rows of the requirements, part 3: what users of other
//! systems complain about.

use std::iter;

use hotline_base::{CallId, Random, WallTime};

use super::*;
use crate::CONNECT_LIMIT;

mod model;

const RING_LIMIT: Duration = Duration::from_secs(20);

fn ms(at: u64) -> Now {
    Now::default() + Duration::from_millis(at)
}

fn no(agent: &str) -> AgentNo {
    AgentNo::new(agent)
}

fn group(id: &str, queue_max: usize) -> GroupConfig {
    GroupConfig {
        id: GroupId::new(id),
        name: "综合受理".to_owned(),
        ring_limit: RING_LIMIT,
        queue_max,
        rna_rest: None,
    }
}

/// A hall with the groups `a`, `b` and `c`, and a clock in milliseconds.
struct Hall {
    it: Dispatcher,
    now: u64,
}

impl Hall {
    fn new() -> Self {
        Self { it: Dispatcher::new(vec![group("a", 9), group("b", 9), group("c", 2)], 1), now: 0 }
    }

    fn enqueue(&mut self, ticket: u64, groups: &[&str]) -> Result<usize, EnqueueRefused> {
        self.enqueue_as(ticket, groups, 5, self.now)
    }

    fn enqueue_as(
        &mut self,
        ticket: u64,
        groups: &[&str],
        priority: u8,
        entered: u64,
    ) -> Result<usize, EnqueueRefused> {
        let it = Enqueue {
            ticket: TicketId(ticket),
            call: CallId(ticket),
            groups: groups.iter().copied().map(GroupId::new).collect(),
            priority,
            entered: ms(entered).mono,
        };
        self.it.enqueue(it, ms(self.now))
    }

    #[track_caller]
    fn waits(&mut self, ticket: u64, groups: &[&str]) {
        self.enqueue(ticket, groups).unwrap();
    }

    /// Ready since now in one group at level 1.
    fn ready(&mut self, agent: &str, group: &str) {
        self.ready_as(agent, &[(group, 1)], self.now);
    }

    fn ready_as(&mut self, agent: &str, groups: &[(&str, u8)], since: u64) {
        let groups: Vec<_> = groups.iter().map(|(it, level)| (GroupId::new(it), *level)).collect();
        self.it.agent_ready(&no(agent), &groups, ms(since).mono);
    }

    /// Time passes; gives what the dispatcher says, `+1001:7` for agent 1001 offered ticket 7 and
    /// `-1001:7` for an expiry.
    fn after(&mut self, millis: u64) -> Vec<String> {
        self.now += millis;
        self.it.handle_timeout(ms(self.now));
        self.said()
    }

    fn said(&mut self) -> Vec<String> {
        assert_eq!(self.it.check(), Ok(()));
        let outputs = iter::from_fn(|| self.it.poll_output());
        let text = outputs.map(|it| match it {
            Output::Offered(it) => format!("+{}:{}", it.agent, it.ticket),
            Output::Expired(it) => format!("-{}:{}", it.agent, it.ticket),
        });
        text.collect()
    }

    #[track_caller]
    fn offer_of(&self, agent: &str) -> OfferId {
        self.it.offer_of(&no(agent)).unwrap().id
    }

    /// Ready, offered, answered and bridged with whoever is next.
    #[track_caller]
    fn serves(&mut self, agent: &str) -> u64 {
        let offer = self.offer_of(agent);
        self.it.answered(offer).unwrap();
        let offer = self.it.bridged(offer).unwrap();
        assert_eq!(self.it.check(), Ok(()));
        offer.ticket.0
    }
}

#[test]
fn callers_are_served_in_order_of_entry() {
    let mut hall = Hall::new();
    for ticket in [1, 2, 3] {
        hall.now += 10;
        hall.waits(ticket, &["a"]);
    }
    for (agent, expected) in [("1001", "+1001:1"), ("1002", "+1002:2"), ("1003", "+1003:3")] {
        hall.ready(agent, "a");
        assert_eq!(hall.after(0), [expected]);
    }
}

#[test]
fn a_higher_priority_goes_first_and_an_old_entry_keeps_its_place() {
    let mut hall = Hall::new();
    hall.now = 1_000;
    for (ticket, priority, entered, position) in
        [(1, 5, 900, 1), (2, 5, 1_000, 2), (3, 9, 1_000, 1), (4, 5, 100, 2), (5, 0, 0, 5)]
    {
        assert_eq!(hall.enqueue_as(ticket, &["a"], priority, entered), Ok(position), "{ticket}");
    }
    let mut served = Vec::new();
    for n in 0..5 {
        let agent = format!("100{n}");
        hall.ready(&agent, "a");
        hall.after(0);
        served.push(hall.serves(&agent));
    }
    assert_eq!(served, [3, 4, 1, 2, 5]);
}

#[test]
fn the_agent_who_waits_longest_is_chosen_at_the_best_level_that_is_ready() {
    let mut hall = Hall::new();
    hall.now = 1_000;
    hall.ready_as("1001", &[("a", 2)], 0);
    hall.ready_as("1002", &[("a", 1)], 500);
    hall.ready_as("1003", &[("a", 1)], 400);
    hall.ready_as("1000", &[("a", 1)], 500);
    let mut chosen = Vec::new();
    for ticket in 1..=4 {
        hall.waits(ticket, &["a"]);
        chosen.extend(hall.said());
    }
    assert_eq!(chosen, ["+1003:1", "+1000:2", "+1002:3", "+1001:4"]);
}

#[test]
fn a_caller_of_two_groups_gets_an_agent_of_either() {
    let mut hall = Hall::new();
    hall.ready("1002", "b");
    hall.waits(1, &["a", "b"]);
    assert_eq!(hall.said(), ["+1002:1"]);
    let offer = hall.it.offer_of(&no("1002")).unwrap();
    assert_eq!(offer.group, GroupId::new("b"));
    assert_eq!(offer.until, MonoTime(0) + RING_LIMIT);
}

#[test]
fn an_agent_of_two_groups_serves_who_came_first_in_either() {
    let mut hall = Hall::new();
    hall.waits(1, &["b"]);
    hall.now = 5;
    hall.waits(2, &["a"]);
    hall.ready_as("1001", &[("a", 1), ("b", 3)], 0);
    assert_eq!(hall.after(0), ["+1001:1"]);
}

#[test]
fn a_group_that_both_share_is_named_by_the_best_level_then_by_the_callers_order() {
    let mut hall = Hall::new();
    hall.ready_as("1001", &[("a", 1), ("b", 1)], 0);
    hall.waits(1, &["b", "a"]);
    assert_eq!(hall.it.offer_of(&no("1001")).unwrap().group, GroupId::new("b"));
    hall.ready_as("1002", &[("a", 1), ("b", 2)], 0);
    hall.waits(2, &["b", "a"]);
    assert_eq!(hall.it.offer_of(&no("1002")).unwrap().group, GroupId::new("a"));
}

#[test]
fn a_full_queue_refuses_unless_an_agent_waits() {
    let mut hall = Hall::new();
    assert_eq!(hall.enqueue(1, &["c"]), Ok(1));
    assert_eq!(hall.enqueue(2, &["c"]), Ok(2));
    assert_eq!(hall.enqueue(3, &["c"]), Err(EnqueueRefused::Full));
    assert_eq!(hall.enqueue(2, &["c"]), Ok(2), "who is in stays in");
    hall.ready("1001", "b");
    hall.after(0);
    assert_eq!(hall.enqueue(3, &["c", "b"]), Ok(3));
    assert_eq!(hall.said(), ["+1001:3"]);
    for groups in [&["x"][..], &["a", "x"], &[]] {
        assert_eq!(hall.enqueue(9, groups), Err(EnqueueRefused::UnknownGroup));
    }
}

#[test]
fn a_caller_keeps_his_position_while_a_telephone_rings_for_him() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.now = 7;
    hall.waits(2, &["a"]);
    hall.ready("1001", "a");
    hall.after(0);
    let a = GroupId::new("a");
    assert_eq!(hall.it.position(TicketId(1)), Some(1));
    assert_eq!(hall.it.position(TicketId(2)), Some(2));
    assert_eq!((hall.it.waiting(&a), hall.it.agents_ready(&a)), (2, 0));
    assert_eq!(hall.it.oldest(&a), Some(MonoTime(0)));
    hall.serves("1001");
    assert_eq!(hall.it.position(TicketId(2)), Some(1));
    assert_eq!(hall.it.oldest(&a), Some(ms(7).mono));
    assert_eq!(hall.it.position(TicketId(1)), None);
}

#[test]
fn an_offer_nobody_answers_brings_the_caller_back_to_his_place() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.now = 1;
    hall.waits(2, &["a"]);
    hall.ready("1001", "a");
    assert_eq!(hall.after(0), ["+1001:1"]);
    assert_eq!(hall.it.poll_timeout().map(|it| it.0), Some(ms(1).mono + RING_LIMIT));
    assert_eq!(hall.after(20_000), ["-1001:1"]);
    assert_eq!(hall.it.position(TicketId(1)), Some(1));
    assert_eq!(hall.after(3_600_000), [""; 0], "nobody is ready by himself");
    hall.ready("1002", "a");
    assert_eq!(hall.after(0), ["+1002:1"]);
}

#[test]
fn a_flow_may_let_the_telephone_ring_longer_than_the_group() {
    let mut hall = Hall::new();
    hall.ready("1001", "a");
    let it = Enqueue {
        ticket: TicketId(1),
        call: CallId(1),
        groups: vec![GroupId::new("a")],
        priority: 5,
        entered: MonoTime(0),
    };
    hall.it.enqueue_ringing(it, Some(Duration::from_secs(35)), ms(0)).unwrap();
    assert_eq!(hall.said(), ["+1001:1"]);
    assert_eq!(hall.after(34_999), [""; 0]);
    assert_eq!(hall.after(1), ["-1001:1"]);
}

#[test]
fn an_answered_offer_has_ten_seconds_more_and_then_expires_too() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.ready("1001", "a");
    hall.after(0);
    let offer = hall.offer_of("1001");
    let until = hall.it.answered(offer).unwrap().until;
    assert_eq!(until, MonoTime(0) + RING_LIMIT + CONNECT_LIMIT);
    assert_eq!(hall.it.answered(offer).unwrap().until, until, "a second 200 extends nothing");
    assert_eq!(hall.after(29_999), [""; 0]);
    assert_eq!(hall.after(1), ["-1001:1"]);
    assert_eq!(hall.it.bridged(offer), Err(Late));
}

#[test]
fn another_agent_is_preferred_for_a_caller_who_was_rejected() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.ready("1001", "a");
    hall.after(0);
    hall.it.ended(hall.offer_of("1001"), OfferEnd::Rejected);
    hall.ready_as("1001", &[("a", 1)], 0);
    assert_eq!(hall.after(0), [""; 0], "the agent just rejected");
    hall.now = 2_000;
    hall.ready_as("1002", &[("a", 9)], 2_000);
    assert_eq!(hall.after(0), ["+1002:1"], "although 1001 is better and waits longer");
}

#[test]
fn the_only_agent_gets_the_same_caller_again_after_a_second() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.ready("1001", "a");
    hall.after(0);
    hall.it.ended(hall.offer_of("1001"), OfferEnd::GoneBeforeBridge);
    hall.ready("1001", "a");
    assert_eq!(hall.after(0), [""; 0]);
    assert_eq!(hall.it.agents_ready(&GroupId::new("a")), 1);
    assert_eq!(hall.it.poll_timeout().map(|it| it.0), Some(ms(1_000).mono));
    assert_eq!(hall.after(999), [""; 0]);
    assert_eq!(hall.after(1), ["+1001:1"]);
}

#[test]
fn a_preference_lasts_five_seconds() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.ready("1001", "a");
    hall.after(0);
    hall.it.ended(hall.offer_of("1001"), OfferEnd::Rejected);
    hall.after(0);
    hall.after(5_000);
    hall.ready_as("1001", &[("a", 1)], 0);
    hall.ready_as("1002", &[("a", 1)], 1);
    assert_eq!(hall.after(0), ["+1001:1"]);
}

#[test]
fn x1_a_caller_is_never_connected_to_a_second_agent() {
    for second_first in [false, true] {
        let mut hall = Hall::new();
        hall.waits(1, &["a"]);
        hall.ready("1001", "a");
        hall.after(0);
        let first = hall.offer_of("1001");
        // The ring limit runs out, 1002 is offered the caller, and both pick up at once.
        hall.ready("1002", "a");
        assert_eq!(hall.after(20_000), ["-1001:1", "+1002:1"]);
        let second = hall.offer_of("1002");
        let both = if second_first { [second, first] } else { [first, second] };
        for offer in both {
            let expected = if offer == second { Ok(no("1002")) } else { Err(Late) };
            assert_eq!(hall.it.answered(offer).map(|it| it.agent), expected);
        }
        assert_eq!(hall.it.bridged(first), Err(Late));
        assert!(hall.it.bridged(second).is_ok());
        assert_eq!(hall.it.bridged(second), Err(Late));
    }
}

#[test]
fn x2_an_agent_who_drops_before_the_bridge_leaves_the_caller_at_his_place() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.now = 3;
    hall.waits(2, &["a"]);
    hall.ready("1001", "a");
    hall.after(0);
    let offer = hall.offer_of("1001");
    hall.it.answered(offer).unwrap();
    hall.ready("1002", "a");
    assert_eq!(hall.after(0), ["+1002:2"]);
    assert!(hall.it.ended(offer, OfferEnd::GoneBeforeBridge).is_some());
    assert_eq!(hall.it.position(TicketId(1)), Some(1));
    assert_eq!(hall.after(0), [""; 0], "the other ring is not disturbed");
    hall.ready("1003", "a");
    assert_eq!(hall.after(0), ["+1003:1"]);
}

#[test]
fn x3_an_agent_does_not_ring_for_a_caller_who_has_gone() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.ready("1001", "a");
    hall.after(0);
    let offer = hall.offer_of("1001");
    let ended = hall.it.leave(TicketId(1)).unwrap();
    assert_eq!((ended.id, ended.agent), (offer, no("1001")));
    assert_eq!(hall.it.answered(offer), Err(Late));
    assert_eq!(hall.it.leave(TicketId(1)), None);
    // The agent is free at once, not after a gap.
    hall.waits(2, &["a"]);
    hall.ready("1001", "a");
    assert_eq!(hall.after(0), ["+1001:2"]);
}

#[test]
fn x4_nobody_stays_reserved_when_both_ends_go_at_once() {
    for caller_first in [false, true] {
        let mut hall = Hall::new();
        hall.waits(1, &["a"]);
        hall.ready("1001", "a");
        hall.after(0);
        let offer = hall.offer_of("1001");
        if caller_first {
            assert!(hall.it.leave(TicketId(1)).is_some());
            assert_eq!(hall.it.ended(offer, OfferEnd::DeviceGone), None);
        } else {
            assert!(hall.it.ended(offer, OfferEnd::DeviceGone).is_some());
            assert_eq!(hall.it.leave(TicketId(1)), None);
        }
        assert_eq!(hall.it.offers().count() + hall.it.tickets().count(), 0);
        hall.waits(2, &["a"]);
        hall.ready("1001", "a");
        assert_eq!(hall.after(1_000), ["+1001:2"]);
    }
}

#[test]
fn x5_a_caller_of_many_groups_rings_one_agent_of_many_groups_once() {
    let mut hall = Hall::new();
    let groups = [("a", 1), ("b", 1), ("c", 1)];
    hall.ready_as("1001", &groups, 0);
    hall.ready_as("1002", &groups, 1);
    hall.waits(1, &["a", "b", "c"]);
    hall.waits(2, &["c", "b", "a"]);
    assert_eq!(hall.said(), ["+1001:1", "+1002:2"]);
    let before = hall.it.offer_of(&no("1001")).cloned();
    hall.ready_as("1001", &groups, 0);
    hall.it.configure(vec![group("a", 9)]);
    assert_eq!(hall.after(0), [""; 0]);
    assert_eq!(hall.it.offer_of(&no("1001")).cloned(), before);
}

#[test]
fn x6_a_status_that_flips_during_offers_does_not_make_a_loop_of_rings() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    let mut n_offers = 0;
    for _ in 0..10_000 {
        hall.ready("1001", "a");
        n_offers += hall.after(0).len();
        hall.it.agent_away(&no("1001"));
        hall.after(1);
    }
    assert_eq!(n_offers, 10, "one in a second");
    assert_eq!(hall.it.position(TicketId(1)), Some(1));
}

#[test]
fn x7_a_late_timer_rings_nobody_for_a_bridged_caller() {
    let mut hall = Hall::new();
    for ticket in 1..=3 {
        hall.now += 1;
        hall.waits(ticket, &["a"]);
    }
    hall.ready("1001", "a");
    hall.ready("1002", "a");
    assert_eq!(hall.after(0), ["+1001:1", "+1002:2"]);
    let (first, second) = (hall.offer_of("1001"), hall.offer_of("1002"));
    hall.it.answered(first).unwrap();
    let bridged = hall.it.bridged(first).unwrap();
    assert_eq!((bridged.agent, bridged.ticket), (no("1001"), TicketId(1)));
    assert_eq!(hall.after(20_000), ["-1002:2"]);
    hall.ready("1002", "a");
    assert_eq!(hall.after(1_000), ["+1002:2"], "the third caller does not pass the second");
    assert_ne!(hall.offer_of("1002"), second, "credit goes by the offer, and each is new");
    assert_eq!(hall.after(10_000), [""; 0], "nothing is left of the first offer");
}

#[test]
fn x9_nothing_remains_of_callers_and_agents_who_have_gone() {
    let mut hall = Hall::new();
    let mut random = Random::new(9);
    let mut n_in = 0;
    for ticket in 0..3_000 {
        n_in += u64::from(hall.enqueue(ticket, &["a", "b"]).is_ok());
        hall.ready("1001", "b");
        hall.after(random.below(30_000));
        if random.chance(50) {
            hall.it.leave(TicketId(ticket));
        }
        if random.chance(30)
            && let Some(offer) = hall.it.offer_of(&no("1001")).map(|it| it.id)
        {
            drop(hall.it.bridged(offer));
        }
        hall.said();
    }
    for ticket in 0..3_000 {
        hall.it.leave(TicketId(ticket));
    }
    assert!(n_in > 1_000);
    hall.it.agent_away(&no("1001"));
    hall.after(60_000);
    assert_eq!((hall.it.offers().count(), hall.it.tickets().count()), (0, 0));
    assert_eq!(hall.it.poll_timeout(), None);
    assert_eq!(hall.it.agents_ready(&GroupId::new("b")), 0);
    assert_eq!(hall.it.waiting(&GroupId::new("a")), 0);
}

#[test]
fn x13_an_agent_changes_only_when_the_owner_says_so() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.ready("1001", "a");
    hall.after(0);
    assert_eq!(hall.after(20_000), ["-1001:1"]);
    // Every 3 s for 2 h: who was set aside stays aside, and his caller waits on.
    for _ in 0..2_400 {
        assert_eq!(hall.after(3_000), [""; 0]);
        assert_eq!(hall.it.agents_ready(&GroupId::new("a")), 0);
    }
    // Said twice, it is still one agent with one offer.
    hall.ready("1001", "a");
    hall.ready("1001", "a");
    assert_eq!(hall.after(0), ["+1001:1"]);
    hall.ready("1001", "a");
    assert_eq!(hall.after(0), [""; 0]);
    assert_eq!(hall.it.agents_ready(&GroupId::new("a")), 0);
}

#[test]
fn an_offer_that_the_engine_withdrew_is_not_held_against_the_agent() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.ready_as("1001", &[("a", 1)], 0);
    hall.after(0);
    hall.it.ended(hall.offer_of("1001"), OfferEnd::Withdrawn);
    hall.after(0);
    hall.now = 1_000;
    hall.ready_as("1001", &[("a", 1)], 0);
    hall.ready_as("1002", &[("a", 1)], 1);
    assert_eq!(hall.after(0), ["+1001:1"]);
}

#[test]
fn time_that_is_seen_late_moves_no_lease_backwards() {
    let mut hall = Hall::new();
    hall.waits(1, &["a"]);
    hall.ready("1001", "a");
    let due = hall.it.poll_timeout();
    assert_eq!(due, Some((MonoTime(0), "dispatch")));
    hall.it.handle_timeout(Now { mono: ms(500).mono, wall: WallTime(0) });
    assert_eq!(hall.it.offer_of(&no("1001")).unwrap().until, ms(20_500).mono);
}
