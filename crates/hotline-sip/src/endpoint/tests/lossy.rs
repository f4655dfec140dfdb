//! Calls on a link that loses, doubles and reorders: whatever happens, every leg ends once on
//! each side and nothing is left.

use super::*;

/// What an end does with its leg, at random moments.
struct Plan {
    at: MonoTime,
    end: usize,
    leg: LegId,
    deed: Deed,
}

#[derive(Clone, Copy)]
enum Deed {
    Ring,
    Answer,
    Refuse,
    HangUp,
    Reoffer,
    Accept,
    RefuseOffer,
}

struct Story {
    world: World,
    plans: Vec<Plan>,
    n_seen: [usize; 2],
}

impl Story {
    fn plan(&mut self, end: usize, leg: LegId, deed: Deed, within_ms: u64) {
        let wait = self.world.random.below(within_ms);
        let at = self.world.now.mono + Duration::from_millis(wait);
        self.plans.push(Plan { at, end, leg, deed });
    }

    /// Reacts to what was said since the last look.
    fn react(&mut self) {
        for end in [A, B] {
            while let Some(event) = self.world.events[end].get(self.n_seen[end]).cloned() {
                self.n_seen[end] += 1;
                match event {
                    Event::Invited(it) => {
                        self.plan(end, it.leg, Deed::Ring, 2_000);
                        let deed =
                            if self.world.random.chance(70) { Deed::Answer } else { Deed::Refuse };
                        self.plan(end, it.leg, deed, 8_000);
                    }
                    Event::Answered { leg, .. } | Event::Confirmed { leg } => {
                        self.plan(end, leg, Deed::Reoffer, 8_000);
                        self.plan(end, leg, Deed::Reoffer, 20_000);
                        self.plan(end, leg, Deed::HangUp, 30_000);
                    }
                    Event::Offered { leg, .. } => {
                        let deed = if self.world.random.chance(80) {
                            Deed::Accept
                        } else {
                            Deed::RefuseOffer
                        };
                        self.plan(end, leg, deed, 500);
                    }
                    _ => (),
                }
            }
        }
    }

    fn act(&mut self, it: &Plan) {
        let leg = it.leg;
        self.world.act(it.end, |at, now| match it.deed {
            Deed::Ring => at.ring(leg, None, now),
            Deed::Answer => at.answer(leg, "answer".to_owned(), now),
            Deed::Refuse => at.refuse(leg, 486, now),
            Deed::HangUp => at.hang_up(leg, HangUp { status: 480, reason: None }, now),
            Deed::Reoffer => at.reoffer(leg, "again".to_owned(), now),
            Deed::Accept => at.accept_offer(leg, "yes".to_owned(), now),
            Deed::RefuseOffer => at.refuse_offer(leg, 488, now),
        });
    }

    fn run(&mut self, span: Duration) {
        let end = self.world.now.mono + span;
        while self.world.now.mono < end {
            self.react();
            self.plans.sort_by_key(|it| std::cmp::Reverse(it.at));
            let until = self.plans.last().map_or(end, |it| it.at.min(end));
            // In small steps, so that reactions are planned from the moment of their cause.
            let step = until.since(self.world.now.mono).min(Duration::from_millis(50));
            self.world.run(step);
            while self.plans.last().is_some_and(|it| it.at <= self.world.now.mono) {
                let plan = self.plans.pop().unwrap();
                self.act(&plan);
            }
        }
    }
}

fn check(loss: u64, delay: (u64, u64), seed: u64) -> World {
    check_on(Link { loss, delay, double: 10, ..GOOD }, seed)
}

fn check_on(link: Link, seed: u64) -> World {
    let loss = link.loss;
    let mut it = Story { world: World::new(link, seed), plans: vec![], n_seen: [0, 0] };
    let mut dialled = vec![];
    for _ in 0..6 {
        let leg = it.world.dial();
        dialled.push(leg);
        if it.world.random.chance(30) {
            it.plan(A, leg, Deed::HangUp, 9_000);
        }
        let gap = it.world.random.below(3_000);
        it.run(Duration::from_millis(gap));
    }
    it.run(Duration::from_secs(90));
    // Whoever is still up hears the last word.
    for end in [A, B] {
        let legs: Vec<LegId> = it.world.ends[end].legs.keys().copied().collect();
        for leg in legs {
            it.act(&Plan { at: MonoTime(0), end, leg, deed: Deed::HangUp });
        }
    }
    it.run(Duration::from_secs(10));
    it.world.check_silence();
    for leg in dialled {
        assert_eq!(it.world.ends_of(A, leg).len(), 1, "seed {seed}, loss {loss}, {leg:?}");
    }
    let invited: Vec<LegId> = it.world.events[B]
        .iter()
        .filter_map(|it| match it {
            Event::Invited(it) => Some(it.leg),
            _ => None,
        })
        .collect();
    for leg in invited {
        assert_eq!(it.world.ends_of(B, leg).len(), 1, "seed {seed}, loss {loss}, {leg:?}");
    }
    nothing_after_the_end(&it.world);
    it.world
}

fn nothing_after_the_end(world: &World) {
    for events in &world.events {
        let mut over = BTreeSet::new();
        for event in events {
            let leg = match event {
                Event::Ended { leg, .. } => {
                    assert!(over.insert(*leg), "ended twice");
                    continue;
                }
                Event::Invited(it) => it.leg,
                Event::Ringing { leg, .. }
                | Event::Answered { leg, .. }
                | Event::Confirmed { leg }
                | Event::Offered { leg, .. }
                | Event::Reanswered { leg, .. }
                | Event::ReofferRefused { leg, .. }
                | Event::Key { leg, .. } => *leg,
                _ => continue,
            };
            assert!(!over.contains(&leg), "{event:?} after the end");
        }
    }
}

#[test]
fn every_leg_ends_once_and_nothing_is_left_however_bad_the_link() {
    let mut timers = BTreeSet::new();
    for seed in 0..20 {
        timers.extend(check(0, (1, 20), seed).timers);
        timers.extend(check(10, (1, 400), 1_000 + seed).timers);
        timers.extend(check(35, (1, 2_000), 2_000 + seed).timers);
        timers.extend(check(70, (1, 100), 3_000 + seed).timers);
    }
    // Each timer of RFC 3261 and RFC 6026 had its turn.
    for name in ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M"] {
        assert!(timers.contains(name), "{name} never ran: {timers:?}");
    }
}

#[test]
fn every_leg_ends_once_on_a_link_that_changes_bytes() {
    for seed in 0..40 {
        check_on(Link { corrupt: 30, loss: 5, double: 5, delay: (1, 200), ..GOOD }, seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    assert_eq!(check(20, (1, 900), 7).seen, check(20, (1, 900), 7).seen);
}
