//! Reading the state, between turns.

use std::{collections::BTreeMap, sync::Arc};

use hotline_agent::{AgentView, Presence};
use hotline_base::{Now, Pii, TrunkId, WallTime};
use hotline_trunk::Way;

use super::{Switchboard, parties::Holding};
use crate::{Board, BoardCall, BoardGroup, BoardLadders, BoardTraffic, BoardTrunk, region::Region};

/// Where a call came from.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    /// Both parties are named to screens at each change of the agent's.
    pub(super) caller: Option<Arc<Pii<String>>>,
    pub(super) called: Arc<str>,
    pub(super) trunk: TrunkId,
    pub(super) t_in: WallTime,
    /// Of the caller's number.
    pub(super) city: Region,
    /// The caller's, for the agent's telephone; lost with the control process.
    pub(super) user_to_user: Option<Pii<String>>,
}

impl Default for Arrived {
    fn default() -> Self {
        Self {
            caller: None,
            called: "".into(),
            trunk: TrunkId::new(""),
            t_in: WallTime(0),
            city: Region::default(),
            user_to_user: None,
        }
    }
}

impl Switchboard {
    /// Every call, for those who look into each.
    pub fn calls(&self) -> impl Iterator<Item = BoardCall> {
        self.calls.iter().map(|(id, it)| BoardCall {
            call: *id,
            caller: it.arrival.caller.as_deref().cloned(),
            called: it.arrival.called.to_string(),
            t_in: it.arrival.t_in,
            stage: if it.call.is_over() {
                "closing"
            } else if it.call.is_open() {
                "talking"
            } else if it.call.is_outbound() {
                "dialing"
            } else if it.call.agent().is_some() {
                "ringing"
            } else if it.call.ticket().is_some() {
                "queue"
            } else {
                "flow"
            },
            agent: it.call.agent().map(|(_, agent, _)| agent.clone()),
        })
    }

    /// What a screen shows of each agent.
    pub fn agents(&self) -> impl Iterator<Item = AgentView> {
        self.agents.values().map(hotline_agent::Agent::view)
    }

    /// One picture of everything.
    pub fn board(&self, now: Now) -> Board {
        let mut agents = BTreeMap::new();
        for agent in self.agents.values() {
            *agents.entry(agent.display()).or_default() += 1;
        }
        let groups = self.config.groups.iter().map(|it| BoardGroup {
            group: it.id.clone(),
            name: it.name.clone(),
            waiting: self.dispatcher.waiting(&it.id),
            longest_wait_ms: self.dispatcher.oldest(&it.id).map_or(0, |since| {
                u64::try_from(now.mono.since(since).as_millis()).unwrap_or(u64::MAX)
            }),
            agents_ready: self.dispatcher.agents_ready(&it.id),
            signed_in: self.staff.of(&it.id),
        });
        let trunks = self.config.trunks.iter().map(|it| BoardTrunk {
            trunk: it.id.clone(),
            in_use: self.admission.in_use(&it.id),
            out_in_use: self.admission.in_use_by(&it.id, Way::Out),
            channels_max: it.channels_max,
            gateways: self.board_gateways(&it.id, now),
            accounts: self.registrations.accounts(&it.id, &self.fleet),
        });
        let totals = self.traffic.statistics().totals().iter();
        let traffic = totals.map(|((trunk, way, outcome), n)| BoardTraffic {
            trunk: trunk.clone(),
            way: *way,
            outcome: *outcome,
            n: *n,
        });
        let sums = self.traffic.statistics().sums(now.mono);
        let (calls_per_sec, reduction_percent) = self.door.figures();
        Board {
            n_calls: self.calls.len(),
            groups: groups.collect(),
            agents,
            trunks: trunks.collect(),
            media_up: self.media_up,
            draining: self.draining,
            ladders: BoardLadders {
                n_calls: self.ladders.n_calls(),
                bytes: self.ladders.bytes(),
                n_pushed_out: self.ladders.n_pushed_out(),
                n_not_stored: self.ladders.n_not_stored(),
            },
            traffic: traffic.collect(),
            sums: sums.map(|(trunk, way, it)| (trunk.clone(), way, it)).collect(),
            carriers: self.traffic.carriers(&self.config),
            abroad_blocked: self.guard.abroad_blocked(now.mono).is_some(),
            calls_per_sec,
            reduction_percent,
        }
    }

    /// Dialogs that are not over, and those whose BYE is on its way.
    pub fn n_dialogs(&self) -> usize {
        self.endpoint.n_legs()
    }

    /// What must be true after every turn; the simulator asks. An error says what is not.
    pub fn check(&self) -> Result<(), String> {
        self.dispatcher.check()?;
        self.ladders.check()?;
        for agent in self.agents.values() {
            agent.check()?;
            let no = agent.no();
            let holds = self.offers.values().filter(|it| it.agent == *no).count();
            let busy = agent.line() != hotline_agent::Line::Free;
            if holds != usize::from(busy) {
                return Err(format!("agent {no} is {:?} with {holds} offers", agent.line()));
            }
            if busy && agent.call().is_none_or(|it| !self.calls.contains_key(&it)) {
                return Err(format!("agent {no} is {:?} for a call that is gone", agent.line()));
            }
        }
        for ticket in self.dispatcher.tickets() {
            let owner = self.calls.get(&ticket.call);
            if owner.is_none_or(|it| it.call.ticket() != Some(ticket.id)) {
                return Err(format!("ticket {} waits for a call that is gone", ticket.id));
            }
        }
        for (offer, Holding { call, agent, .. }) in &self.offers {
            let entry = self.calls.get(call).ok_or(format!("offer {offer} has no call"))?;
            if !entry.call.has_party(*offer, agent) {
                return Err(format!("offer {offer} is not the offer of its call"));
            }
        }
        let owners = self.legs.values().chain(self.media_legs.values());
        for call in owners.chain(self.recordings.values()) {
            if !self.calls.contains_key(call) {
                return Err(format!("a leg or recording belongs to call {call}, which is gone"));
            }
        }
        for group in self.config.groups.iter().map(|it| &it.id) {
            let of_group = |it: &&hotline_agent::Agent| {
                it.presence() != Presence::SignedOut
                    && it.config().groups.iter().any(|(id, _)| id == group)
            };
            let (n, noted) = (self.agents.values().filter(of_group).count(), self.staff.of(group));
            if n != noted {
                return Err(format!("{n} of group {group} are signed in, and {noted} are noted"));
            }
        }
        Ok(())
    }
}
