//! All gateways of all trunks: which of them live, and which one a call tries first.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use hotline_base::{Due, MonoTime, Random, TrunkId};

use crate::{
    GatewayConfig, TrunkConfig,
    gateway::lots,
    probe::{Probe, Probes, Said},
};

/// A gateway of a trunk, by its place in [`TrunkConfig::gateways`].
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct GatewayId {
    pub trunk: TrunkId,
    pub place: usize,
}

/// How a gateway is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GatewayState {
    pub lives: bool,
    /// Since when that is so, and what its probes came to; `None`: it is not probed and believed to
    /// live.
    pub probed: Option<(MonoTime, Probes)>,
}

/// What the fleet wants done, and what it found out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FleetOutput {
    /// Send OPTIONS; tell [`Fleet::probed`] the answer with this number.
    Ask { probe: u64, gateway: GatewayConfig },
    /// A gateway began or ceased to live.
    Changed { gateway: GatewayId, address: SocketAddr, lives: bool },
}

#[derive(Debug)]
struct Member {
    config: GatewayConfig,
    /// `None`: it is not probed and believed to live.
    probe: Option<Probe>,
    /// The number of the running probe.
    asked: u64,
}

impl Member {
    fn lives(&self) -> bool {
        self.probe.is_none_or(|it| it.lives())
    }

    fn poll_timeout(&self) -> Option<MonoTime> {
        self.probe.map(|it| it.poll_timeout())
    }
}

/// The probes of every gateway.
#[derive(Debug)]
pub struct Fleet {
    members: BTreeMap<GatewayId, Member>,
    next_probe: u64,
    outputs: VecDeque<FleetOutput>,
}

impl Fleet {
    pub fn new<'a>(trunks: impl IntoIterator<Item = &'a TrunkConfig>, now: MonoTime) -> Self {
        let mut members = BTreeMap::new();
        for trunk in trunks {
            for (place, config) in trunk.gateways.iter().enumerate() {
                let id = GatewayId { trunk: trunk.id.clone(), place };
                let probe = trunk.probes.then(|| Probe::new(now));
                members.insert(id, Member { config: *config, probe, asked: 0 });
            }
        }
        Self { members, next_probe: 1, outputs: VecDeque::new() }
    }

    pub fn config(&self, gateway: &GatewayId) -> Option<&GatewayConfig> {
        self.members.get(gateway).map(|it| &it.config)
    }

    /// Whether a call may be sent there. Unknown gateways do not live.
    pub fn lives(&self, gateway: &GatewayId) -> bool {
        self.members.get(gateway).is_some_and(Member::lives)
    }

    /// The trunk's gateways in the order to be tried: the living ones by priority and lot, then the
    /// dead ones, because a probe may be wrong and an emergency call has nothing to lose.
    pub fn order(&self, trunk: &TrunkId, random: &mut Random) -> Vec<GatewayId> {
        let of_trunk = self.of(trunk);
        let (ids, configs): (Vec<_>, Vec<_>) = of_trunk.map(|(id, it)| (id, it.config)).unzip();
        let mut order: Vec<GatewayId> = lots(&configs, random)
            .into_iter()
            .filter_map(|it| ids.get(it).copied())
            .cloned()
            .collect();
        order.sort_by_key(|it| !self.lives(it));
        order
    }

    /// How many gateways of the trunk live.
    pub fn living(&self, trunk: &TrunkId) -> usize {
        self.of(trunk).filter(|(_, it)| it.lives()).count()
    }

    /// The trunk's gateways as configured, and how they are.
    pub fn gateways(
        &self,
        trunk: &TrunkId,
    ) -> impl Iterator<Item = (&GatewayConfig, GatewayState)> {
        self.of(trunk).map(|(_, it)| {
            let probed = it.probe.map(|it| (it.since(), it.probes()));
            (&it.config, GatewayState { lives: it.lives(), probed })
        })
    }

    /// A call got no answer there: it is probed at once.
    pub fn suspect(&mut self, gateway: &GatewayId, now: MonoTime) {
        if let Some(it) = self.members.get_mut(gateway).and_then(|it| it.probe.as_mut()) {
            it.suspect(now);
        }
    }

    /// The answer to a probe. 408 and 503 say that it takes no calls (RFC 3261 §21.5.4), every
    /// other one that it lives.
    pub fn probed(&mut self, probe: u64, status: u16, now: MonoTime) {
        let found = self.members.iter_mut().find(|(_, it)| it.asked == probe);
        if let Some((id, it)) = found
            && let Some(probe) = &mut it.probe
        {
            let said = probe.answered(!matches!(status, 408 | 503), now);
            let id = id.clone();
            self.note(&id, said);
        }
    }

    pub fn handle_timeout(&mut self, now: MonoTime) {
        let due: Vec<_> = self
            .members
            .iter()
            .filter(|(_, it)| it.poll_timeout().is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            let probe = self.members.get_mut(&id).and_then(|it| it.probe.as_mut());
            if let Some(said) = probe.map(|it| it.handle_timeout(now)) {
                self.note(&id, said);
            }
        }
    }

    pub fn poll_timeout(&self) -> Option<Due> {
        let first = self.members.values().filter_map(Member::poll_timeout).min();
        first.map(|it| (it, "gateway probe"))
    }

    pub fn poll_output(&mut self) -> Option<FleetOutput> {
        self.outputs.pop_front()
    }

    fn of(&self, trunk: &TrunkId) -> impl Iterator<Item = (&GatewayId, &Member)> {
        let first = GatewayId { trunk: trunk.clone(), place: 0 };
        let last = GatewayId { trunk: trunk.clone(), place: usize::MAX };
        self.members.range(first..=last)
    }

    fn note(&mut self, id: &GatewayId, said: Said) {
        let Some(it) = self.members.get_mut(id) else { return };
        let (gateway, address) = (it.config, it.config.address);
        if let Some(lives) = said.changed {
            self.outputs.push_back(FleetOutput::Changed { gateway: id.clone(), address, lives });
        }
        if said.ask {
            it.asked = self.next_probe;
            self.next_probe += 1;
            self.outputs.push_back(FleetOutput::Ask { probe: it.asked, gateway });
        }
    }
}

#[cfg(test)]
mod tests;
