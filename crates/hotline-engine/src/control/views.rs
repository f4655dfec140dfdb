//! Copies of the state for people who ask. The control thread writes them, everybody else reads.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use hotline_agent::AgentView;
use hotline_base::{AgentNo, Now, WallTime};
use hotline_switchboard::{Board, BoardGateway, BoardTrunk};
use hotline_trunk::AccountState;
use hotline_web::{AccountView, GatewayView, GroupView, ProbesView, TrunkView};

/// Cheap to clone; all clones show the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views(Arc<RwLock<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    agents: BTreeMap<AgentNo, AgentView>,
    groups: Vec<GroupView>,
    trunks: Vec<TrunkView>,
}

impl Views {
    /// At once, so that who commanded an agent reads the outcome.
    pub(crate) fn show_agent(&self, view: AgentView) {
        let mut it = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match it.agents.get_mut(&view.no) {
            Some(before) => *before = view,
            None => drop(it.agents.insert(view.no.clone(), view)),
        }
    }

    pub(crate) fn show(&self, board: Board, now: Now) {
        let mut groups: Vec<_> = board
            .groups
            .iter()
            .map(|it| GroupView {
                id: it.group.clone(),
                name: it.name.clone(),
                n_waiting: it.waiting,
                oldest_since: (it.waiting > 0).then(|| before(now.wall, it.longest_wait_ms)),
                n_signed_in: it.signed_in,
                n_ready: it.agents_ready,
            })
            .collect();
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        let trunks = board.trunks.into_iter().map(trunk_view).collect();
        let mut it = self.0.write().unwrap_or_else(PoisonError::into_inner);
        (it.groups, it.trunks) = (groups, trunks);
    }

    pub(crate) fn agent(&self, no: &AgentNo) -> Option<AgentView> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).agents.get(no).cloned()
    }

    pub(crate) fn agents(&self) -> Vec<AgentView> {
        let it = self.0.read().unwrap_or_else(PoisonError::into_inner);
        it.agents.values().cloned().collect()
    }

    pub(crate) fn groups(&self) -> Vec<GroupView> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).groups.clone()
    }

    pub(crate) fn trunks(&self) -> Vec<TrunkView> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).trunks.clone()
    }
}

fn trunk_view(it: BoardTrunk) -> TrunkView {
    let gateway = |it: &BoardGateway| GatewayView {
        address: it.address,
        transport: it.transport.as_str(),
        lives: it.lives,
        probed: it.probed.map(|(since, it)| ProbesView {
            since,
            n_good: it.n_good,
            n_failed: it.n_failed,
            round_trip: it.round_trip,
        }),
    };
    let account = |it: AccountState| AccountView {
        user: it.user,
        registered: it.registered,
        status: it.status,
    };
    TrunkView {
        id: it.trunk,
        n_in: it.in_use.saturating_sub(it.out_in_use),
        n_out: it.out_in_use,
        channels_max: it.channels_max,
        gateways: it.gateways.iter().map(gateway).collect(),
        accounts: it.accounts.into_iter().map(account).collect(),
    }
}

fn before(now: WallTime, ms: u64) -> WallTime {
    WallTime(now.0.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)))
}
