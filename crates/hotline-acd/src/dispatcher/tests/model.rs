//! A naive reference that sorts all pairs, and thousands of interleavings compared with it.

use std::cmp::Reverse;

use super::*;

/// The rules in the plainest form there is: lists, and a sort of all pairs.
#[derive(Default)]
struct Model {
    tickets: Vec<ModelTicket>,
    ready: Vec<ModelAgent>,
    gaps: Vec<(AgentNo, MonoTime)>,
    leases: Vec<(Offer, bool)>,
    failures: Vec<(AgentNo, Option<TicketId>)>,
    n_offers: u64,
    outputs: Vec<Output>,
}

/// Who, where at which level, since when.
type ModelAgent = (AgentNo, Vec<(GroupId, u8)>, MonoTime);

struct ModelTicket {
    it: Enqueue,
    avoided: Vec<(AgentNo, MonoTime)>,
}

impl Model {
    fn enqueue(&mut self, it: Enqueue, queue_max: usize, now: MonoTime) -> bool {
        let owner = it.groups[0].clone();
        let free = self.ready.iter().any(|(agent, groups, _)| {
            !self.in_gap(agent) && groups.iter().any(|(group, _)| it.groups.contains(group))
        });
        let waiting = self.tickets.iter().filter(|other| other.it.groups.contains(&owner)).count();
        if !free && waiting >= queue_max {
            return false;
        }
        self.tickets.push(ModelTicket { it, avoided: Vec::new() });
        self.advance(now);
        true
    }

    /// Failed a moment ago or a little longer.
    fn in_gap(&self, agent: &AgentNo) -> bool {
        self.gaps.iter().any(|(it, _)| it == agent)
    }

    fn leave(&mut self, ticket: TicketId) -> Option<Offer> {
        self.tickets.retain(|it| it.it.ticket != ticket);
        self.take_lease(|it| it.ticket == ticket)
    }

    fn agent_ready(&mut self, agent: &AgentNo, groups: &[(GroupId, u8)], since: MonoTime) {
        if !self.leases.iter().any(|(it, _)| it.agent == *agent) {
            self.ready.retain(|(it, ..)| it != agent);
            self.ready.push((agent.clone(), groups.to_vec(), since));
        }
    }

    fn agent_away(&mut self, agent: &AgentNo) -> Option<Offer> {
        self.ready.retain(|(it, ..)| it != agent);
        let offer = self.take_lease(|it| it.agent == *agent)?;
        self.failures.push((offer.agent.clone(), Some(offer.ticket)));
        Some(offer)
    }

    fn answered(&mut self, id: OfferId) -> Result<Offer, Late> {
        let (offer, answered) = self.leases.iter_mut().find(|(it, _)| it.id == id).ok_or(Late)?;
        if !*answered {
            *answered = true;
            offer.until = offer.until + CONNECT_LIMIT;
        }
        Ok(offer.clone())
    }

    fn bridged(&mut self, id: OfferId) -> Result<Offer, Late> {
        let offer = self.take_lease(|it| it.id == id).ok_or(Late)?;
        self.tickets.retain(|it| it.it.ticket != offer.ticket);
        Ok(offer)
    }

    fn ended(&mut self, id: OfferId, why: OfferEnd) -> Option<Offer> {
        let offer = self.take_lease(|it| it.id == id)?;
        let avoid_for = (why != OfferEnd::Withdrawn).then_some(offer.ticket);
        self.failures.push((offer.agent.clone(), avoid_for));
        Some(offer)
    }

    fn take_lease(&mut self, which: impl Fn(&Offer) -> bool) -> Option<Offer> {
        let at = self.leases.iter().position(|(it, _)| which(it))?;
        Some(self.leases.remove(at).0)
    }

    fn advance(&mut self, now: MonoTime) {
        self.begin_gaps(now);
        self.leases.sort_by_key(|(it, _)| (it.until, it.id));
        while let Some(offer) = self.take_lease(|it| it.until <= now) {
            self.failures.push((offer.agent.clone(), Some(offer.ticket)));
            self.outputs.push(Output::Expired(offer));
        }
        self.begin_gaps(now);
        self.gaps.retain(|(_, until)| *until > now);
        for it in &mut self.tickets {
            it.avoided.retain(|(_, until)| *until > now);
        }
        while let Some((ticket, call, agent, group)) = self.best_pair() {
            self.n_offers += 1;
            self.ready.retain(|(it, ..)| *it != agent);
            let id = OfferId(self.n_offers);
            let offer = Offer { id, ticket, call, agent, group, until: now + RING_LIMIT };
            self.leases.push((offer.clone(), false));
            self.outputs.push(Output::Offered(offer));
        }
    }

    fn begin_gaps(&mut self, now: MonoTime) {
        for (agent, avoid_for) in std::mem::take(&mut self.failures) {
            self.gaps.retain(|(it, _)| *it != agent);
            self.gaps.push((agent.clone(), now + AGENT_GAP));
            for it in self.tickets.iter_mut().filter(|it| Some(it.it.ticket) == avoid_for) {
                it.avoided.retain(|(it, _)| *it != agent);
                it.avoided.push((agent.clone(), now + PAIR_GAP));
            }
        }
    }

    fn best_pair(&self) -> Option<(TicketId, CallId, AgentNo, GroupId)> {
        let mut pairs = Vec::new();
        for ModelTicket { it, avoided } in &self.tickets {
            if self.leases.iter().any(|(lease, _)| lease.ticket == it.ticket) {
                continue;
            }
            for (agent, groups, since) in self.ready.iter().filter(|it| !self.in_gap(&it.0)) {
                for (order, group) in it.groups.iter().enumerate() {
                    for (_, level) in groups.iter().filter(|(it, _)| it == group) {
                        let place = (Reverse(it.priority), it.entered, it.ticket);
                        let avoided = avoided.iter().any(|(it, _)| it == agent);
                        let turn = (avoided, *level, *since, agent.clone(), order);
                        pairs.push((place, turn, it.call, group.clone()));
                    }
                }
            }
        }
        pairs.sort();
        let ((.., ticket), (.., agent, _), call, group) = pairs.into_iter().next()?;
        Some((ticket, call, agent, group))
    }
}

const GROUPS: [&str; 3] = ["a", "b", "c"];
const N_AGENTS: u64 = 4;

/// The hall and the model side by side, driven by one seed.
struct Pair {
    hall: Hall,
    model: Model,
    random: Random,
    n_tickets: u64,
}

impl Pair {
    fn new(seed: u64) -> Self {
        Self { hall: Hall::new(), model: Model::default(), random: Random::new(seed), n_tickets: 0 }
    }

    fn some_groups(&mut self) -> Vec<&'static str> {
        let first = self.random.below(3);
        let n = self.random.between(1, 3);
        let nth = |it: u64| GROUPS[usize::try_from((first + it) % 3).unwrap()];
        (0..n).map(nth).collect()
    }

    fn some_agent(&mut self) -> AgentNo {
        no(&format!("100{}", self.random.below(N_AGENTS)))
    }

    fn some_offer(&mut self) -> OfferId {
        OfferId(1 + self.random.below(self.model.n_offers + 1).max(self.model.n_offers / 2))
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0..=2 => self.enqueue(),
            3..=5 => {
                let agent = self.some_agent();
                let groups: Vec<_> = self
                    .some_groups()
                    .into_iter()
                    .map(|it| (GroupId::new(it), u8::try_from(self.random.between(1, 3)).unwrap()))
                    .collect();
                let since = ms(self.random.below(self.hall.now + 1)).mono;
                self.hall.it.agent_ready(&agent, &groups, since);
                self.model.agent_ready(&agent, &groups, since);
            }
            6 => {
                let agent = self.some_agent();
                assert_eq!(self.hall.it.agent_away(&agent), self.model.agent_away(&agent));
            }
            7 => {
                let ticket = TicketId(self.random.below(self.n_tickets + 1));
                assert_eq!(self.hall.it.leave(ticket), self.model.leave(ticket));
            }
            8 => {
                let offer = self.some_offer();
                assert_eq!(self.hall.it.answered(offer), self.model.answered(offer));
            }
            9 => {
                let offer = self.some_offer();
                assert_eq!(self.hall.it.bridged(offer), self.model.bridged(offer));
            }
            10 => {
                let offer = self.some_offer();
                let why =
                    if self.random.chance(50) { OfferEnd::Rejected } else { OfferEnd::Withdrawn };
                assert_eq!(self.hall.it.ended(offer, why), self.model.ended(offer, why));
            }
            _ => {
                self.hall.now += self.random.below(4_000);
                self.hall.it.handle_timeout(ms(self.hall.now));
                self.model.advance(ms(self.hall.now).mono);
            }
        }
        if self.random.chance(70) {
            self.hall.it.handle_timeout(ms(self.hall.now));
            self.model.advance(ms(self.hall.now).mono);
        }
    }

    fn enqueue(&mut self) {
        self.n_tickets += 1;
        let groups = self.some_groups();
        let it = Enqueue {
            ticket: TicketId(self.n_tickets),
            call: CallId(self.n_tickets),
            groups: groups.iter().copied().map(GroupId::new).collect(),
            priority: u8::try_from(self.random.below(3)).unwrap(),
            entered: ms(self.random.below(self.hall.now + 1)).mono,
        };
        let queue_max = if groups[0] == "c" { 2 } else { 9 };
        let accepted = self.hall.it.enqueue(it.clone(), ms(self.hall.now)).is_ok();
        assert_eq!(accepted, self.model.enqueue(it, queue_max, ms(self.hall.now).mono));
    }

    fn compare(&mut self) {
        assert_eq!(self.hall.it.check(), Ok(()));
        let said: Vec<_> = iter::from_fn(|| self.hall.it.poll_output()).collect();
        assert_eq!(said, std::mem::take(&mut self.model.outputs));
    }
}

#[test]
fn every_interleaving_gives_what_sorting_all_pairs_gives() {
    for seed in 0..3_000 {
        let mut pair = Pair::new(seed);
        for _ in 0..80 {
            pair.step();
            pair.compare();
        }
        // Faults stop: whoever waits is served, one after the other.
        for _ in 0..200 {
            if pair.hall.it.tickets().count() == 0 {
                break;
            }
            pair.hall.now += 1_000;
            for n in 0..N_AGENTS {
                let groups: Vec<_> = GROUPS.iter().map(|it| (GroupId::new(it), 1)).collect();
                pair.hall.it.agent_ready(&no(&format!("100{n}")), &groups, MonoTime(0));
            }
            pair.hall.it.handle_timeout(ms(pair.hall.now));
            let offers: Vec<_> = pair.hall.it.offers().map(|it| it.id).collect();
            for offer in offers {
                pair.hall.it.answered(offer).unwrap();
                pair.hall.it.bridged(offer).unwrap();
            }
            assert_eq!(pair.hall.it.check(), Ok(()), "seed {seed}");
        }
        assert_eq!(pair.hall.it.tickets().count(), 0, "seed {seed}: somebody waits for ever");
    }
}

/// The scenario of X7: three callers, two agents, and everything in any order.
#[test]
fn three_callers_and_two_agents_never_meet_twice_in_any_order() {
    for seed in 0..5_000 {
        let mut random = Random::new(seed);
        let mut hall = Hall::new();
        let mut bridged = Vec::new();
        let mut known = Vec::new();
        for ticket in 1..=3 {
            hall.waits(ticket, &["a"]);
        }
        for _ in 0..60 {
            let agent = format!("100{}", random.below(2));
            match random.below(7) {
                0 | 1 => hall.ready(&agent, "a"),
                2 => drop(hall.it.agent_away(&no(&agent))),
                3 if known.len() > 1 => {
                    let nth = usize::try_from(random.below(known.len() as u64)).unwrap();
                    drop(hall.it.answered(known[nth]));
                    if let Ok(offer) = hall.it.bridged(known[nth]) {
                        bridged.push(offer.ticket);
                    }
                }
                4 if known.len() > 1 => {
                    let nth = usize::try_from(random.below(known.len() as u64)).unwrap();
                    hall.it.ended(known[nth], OfferEnd::Rejected);
                }
                5 if random.chance(5) => drop(hall.it.leave(TicketId(random.between(1, 3)))),
                _ => hall.now += random.below(15_000),
            }
            hall.it.handle_timeout(ms(hall.now));
            assert_eq!(hall.it.check(), Ok(()), "seed {seed}");
            while let Some(output) = hall.it.poll_output() {
                if let Output::Offered(offer) = output {
                    assert!(!bridged.contains(&offer.ticket), "seed {seed}: rang for a talker");
                    known.push(offer.id);
                }
            }
        }
        let n = bridged.len();
        bridged.sort_unstable();
        bridged.dedup();
        assert_eq!(bridged.len(), n, "seed {seed}: one caller, two agents");
    }
}
