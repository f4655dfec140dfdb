//! An offer: one ticket promised to one agent, for a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use hotline_base::{AgentNo, CallId, GroupId, MonoTime, OfferId, TicketId};

/// How long an answered offer may take until the two hear each other (报工号 included), added to
/// what is left of the ring limit.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// One ticket offered to one agent until `until`. It never changes its agent or its caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    pub id: OfferId,
    pub ticket: TicketId,
    pub call: CallId,
    pub agent: AgentNo,
    /// The group through which the agent was found. Its ring limit counts unless the caller's flow
    /// named one.
    pub group: GroupId,
    pub until: MonoTime,
}

/// Why an offer ended before the bridge, other than by its expiry or by the caller.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum OfferEnd {
    /// The agent said no.
    Rejected,
    /// The telephone is gone or does not answer signalling.
    DeviceGone,
    /// Answered, and gone before the two heard each other.
    GoneBeforeBridge,
    /// The engine could not ring the telephone; the agent did nothing. Others are not preferred
    /// for this caller because of it.
    Withdrawn,
}

/// The offer is over: it expired, its caller left, or it was given to nobody by that number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the offer is over")
    }
}

impl std::error::Error for Late {}

/// All leases, by number, by agent and by end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<OfferId, Lease>,
    by_agent: BTreeMap<AgentNo, OfferId>,
    ends: BTreeSet<(MonoTime, OfferId)>,
}

#[derive(Clone, Debug)]
struct Lease {
    offer: Offer,
    answered: bool,
}

impl Leases {
    pub(crate) fn insert(&mut self, offer: Offer) {
        self.by_agent.insert(offer.agent.clone(), offer.id);
        self.ends.insert((offer.until, offer.id));
        self.by_id.insert(offer.id, Lease { offer, answered: false });
    }

    pub(crate) fn remove(&mut self, id: OfferId) -> Option<Offer> {
        let Lease { offer, .. } = self.by_id.remove(&id)?;
        self.by_agent.remove(&offer.agent);
        self.ends.remove(&(offer.until, id));
        Some(offer)
    }

    /// Marks the lease as answered and extends it, once.
    pub(crate) fn answer(&mut self, id: OfferId) -> Option<Offer> {
        let lease = self.by_id.get_mut(&id)?;
        if !lease.answered {
            lease.answered = true;
            self.ends.remove(&(lease.offer.until, id));
            lease.offer.until = lease.offer.until + CONNECT_LIMIT;
            self.ends.insert((lease.offer.until, id));
        }
        Some(lease.offer.clone())
    }

    pub(crate) fn get(&self, id: OfferId) -> Option<&Offer> {
        self.by_id.get(&id).map(|it| &it.offer)
    }

    pub(crate) fn of_agent(&self, agent: &AgentNo) -> Option<OfferId> {
        self.by_agent.get(agent).copied()
    }

    /// The lease that ends first.
    pub(crate) fn first_end(&self) -> Option<(MonoTime, OfferId)> {
        self.ends.first().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Offer> {
        self.by_id.values().map(|it| &it.offer)
    }

    /// The three maps tell the same story.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (id, Lease { offer, .. }) in &self.by_id {
            if self.by_agent.get(&offer.agent) != Some(id) {
                return Err(format!("agent {} has two offers", offer.agent));
            }
            if !self.ends.contains(&(offer.until, *id)) {
                return Err(format!("offer {id} never expires"));
            }
        }
        if self.by_agent.len() == self.by_id.len() && self.ends.len() == self.by_id.len() {
            Ok(())
        } else {
            Err("the leases are counted differently by agent, by end and by number".to_owned())
        }
    }
}
