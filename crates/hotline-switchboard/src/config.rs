//! What the switchboard is told at its start.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use hotline_acd::GroupConfig;
use hotline_agent::AgentConfig;
use hotline_base::TrunkId;
use hotline_ivr::{Bundle, Value};
use hotline_trunk::{NumberRow, TrunkConfig, watch::Thresholds};

use crate::CarrierRules;

/// Checked parameters of the number rows, by [`NumberRow::row`].
pub type NumberParams = Vec<BTreeMap<String, Value>>;

/// Everything the decisions need. Immutable; calls keep the bundle they began with.
#[derive(Clone, Debug)]
pub struct Config {
    pub sip: hotline_sip::Config,
    /// Where it listens over UDP: what it sends on its own begins there.
    pub local: Vec<SocketAddr>,
    pub trunks: Vec<TrunkConfig>,
    /// Of the trunks that name a rule set.
    pub rules: BTreeMap<TrunkId, Arc<CarrierRules>>,
    pub numbers: Vec<NumberRow>,
    pub number_params: NumberParams,
    pub groups: Vec<GroupConfig>,
    pub agents: Vec<AgentConfig>,
    pub bundle: Arc<Bundle>,
    pub call: hotline_call::Config,
    pub ladder: hotline_ladder::Config,
    /// The carriers of trunks; a trunk without one is a carrier by itself.
    pub carriers: BTreeMap<TrunkId, String>,
    pub carrier_alarm: Thresholds,
}
