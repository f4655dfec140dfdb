//! What the switchboard is told at its start.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use hotline_acd::GroupConfig;
use hotline_agent::AgentConfig;
use hotline_base::{AgentNo, Extension, TrunkId, media::Profile};
use hotline_ivr::{Bundle, Value};
use hotline_sip::{Credentials, Transport};
use hotline_trunk::{
    AccountId, DialPlan, GuardConfig, NumberRow, OverloadConfig, RouteConfig, TrunkConfig,
    watch::Thresholds,
};

use crate::{CarrierRules, Directory, Regions};

/// Checked parameters of the number rows, by [`NumberRow::row`].
pub type NumberParams = Vec<BTreeMap<String, Value>>;

/// Everything the decisions need. Immutable; calls keep the bundle they began with.
#[derive(Clone, Debug)]
pub struct Config {
    pub sip: hotline_sip::Config,
    /// Where it listens over UDP: what it sends on its own begins there.
    pub local: Vec<SocketAddr>,
    /// Where it listens over TCP and TLS, for what carriers are told of us.
    pub local_streams: Vec<(Transport, SocketAddr)>,
    pub trunks: Vec<TrunkConfig>,
    /// How accounts of trunks prove who they are. The next hop is that of each request.
    pub accounts: BTreeMap<AccountId, Credentials>,
    /// Of the trunks that name a rule set.
    pub rules: BTreeMap<TrunkId, Arc<CarrierRules>>,
    pub numbers: Vec<NumberRow>,
    pub number_params: NumberParams,
    pub groups: Vec<GroupConfig>,
    pub agents: Vec<AgentConfig>,
    pub outbound: Outbound,
    /// 一键转接.
    pub directory: Arc<Directory>,
    pub bundle: Arc<Bundle>,
    pub call: hotline_call::Config,
    pub ladder: hotline_ladder::Config,
    /// The carriers of trunks; a trunk without one is a carrier by itself.
    pub carriers: BTreeMap<TrunkId, String>,
    pub carrier_alarm: Thresholds,
    /// How many new calls are taken when too many come.
    pub overload: OverloadConfig,
    /// Where mobile numbers were issued.
    pub regions: Arc<Regions>,
    /// Telephones that are told to answer by themselves.
    pub auto_answer: BTreeSet<Extension>,
    /// To which telephones audio travels encrypted, and extensions that want it otherwise.
    pub srtp: Srtp,
    pub srtp_of: BTreeMap<Extension, Srtp>,
}

/// To which of an extension's telephones audio travels encrypted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Srtp {
    /// To none, not even over WebSocket: what is there is no browser.
    Off,
    /// To browsers, which take nothing else (RFC 8827): by DTLS-SRTP, to whatever registered over
    /// WebSocket.
    #[default]
    Browsers,
    /// And by SDES (RFC 4568) to what registered over TLS, where nobody else reads the keys.
    Tls,
}

impl Srtp {
    /// How audio travels to a telephone that registered over `transport`.
    pub const fn profile(self, transport: Transport) -> Profile {
        match (self, transport) {
            (Self::Browsers | Self::Tls, Transport::Ws | Transport::Wss) => Profile::WebRtc,
            (Self::Tls, Transport::Tls) => Profile::Sdes,
            (
                Self::Off | Self::Browsers | Self::Tls,
                Transport::Udp | Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss,
            ) => Profile::Plain,
        }
    }
}

/// Calls that agents make.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Completes local numbers that are dialled.
    pub area_code: Option<String>,
    pub routes: Vec<RouteConfig>,
    pub guard: GuardConfig,
    /// How long the called party's telephone may ring.
    pub ring_limit: Duration,
    /// How long the agent's own telephone may ring first.
    pub agent_ring_limit: Duration,
    /// Who is not here may call emergency numbers only.
    pub dialers: BTreeMap<AgentNo, Dialer>,
}

/// What an agent may do outside.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    pub plan: Option<DialPlan>,
    /// GB/T 2260; some routes are for a city. That of a caller whom he has goes before it.
    pub city: Option<String>,
    /// The number to be shown, on trunks that own it.
    pub display: Option<String>,
    /// 外线坐席: may sign in with a number outside that the plan permits.
    pub outside_seat: bool,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            area_code: None,
            routes: Vec::new(),
            guard: GuardConfig::default(),
            ring_limit: Duration::from_mins(1),
            agent_ring_limit: Duration::from_secs(20),
            dialers: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_dtls_and_telephones_over_tls_sdes_where_it_is_wanted() {
        use Profile::{Plain, Sdes, WebRtc};
        let over = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];
        let of = |it: Srtp| over.map(|transport| it.profile(transport));
        assert_eq!(of(Srtp::Off), [Plain; 5]);
        assert_eq!(of(Srtp::Browsers), [Plain, Plain, Plain, WebRtc, WebRtc]);
        assert_eq!(of(Srtp::Tls), [Plain, Plain, Sdes, WebRtc, WebRtc]);
    }
}
