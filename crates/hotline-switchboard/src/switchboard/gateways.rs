//! The carriers' gateways: probes, and what is told when one dies or comes back.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hotline_base::Now;
use hotline_sip::{Flow, Transport};
use hotline_trunk::{FleetOutput, TrunkConfig};

use super::{Output, Switchboard};
use crate::{Alarm, BoardGateway};

/// The fleet decides when a probe has failed; this only frees the transaction.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

impl Switchboard {
    pub(super) fn act_on_fleet(&mut self, output: &FleetOutput, now: Now) {
        match output {
            FleetOutput::Ask { probe, address } => {
                let flow = self.flow_to(*address);
                self.endpoint.probe(*probe, flow, PROBE_LIMIT, now);
            }
            FleetOutput::Changed { gateway, address, lives } => {
                let (trunk, address, lives) = (gateway.trunk.clone(), *address, *lives);
                let alone = self.fleet.living(&trunk) == usize::from(lives);
                let alarm = Alarm::Gateway { trunk: trunk.clone(), address, lives };
                self.outputs.push_back(Output::Alarm(alarm));
                if alone {
                    self.outputs.push_back(Output::Alarm(Alarm::Trunk { trunk, lives }));
                }
            }
        }
    }

    /// The way to a peer that has not come to us: from the socket of its address family.
    pub(super) fn flow_to(&self, remote: SocketAddr) -> Flow {
        let of_family = |it: &&SocketAddr| it.is_ipv4() == remote.is_ipv4();
        let anywhere = || match remote {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5060)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 5060)),
        };
        let local = self.config.local.iter().find(of_family).copied().unwrap_or_else(anywhere);
        Flow { transport: Transport::Udp, local, remote, conn: None }
    }

    /// Our host as the peer at `remote` should write it.
    pub(super) fn own_host(&self, remote: SocketAddr) -> IpAddr {
        let ip = self.flow_to(remote).local.ip();
        if ip.is_unspecified() { self.config.sip.advertised } else { ip }
    }

    pub(super) fn board_gateways(&self, trunk: &TrunkConfig) -> Vec<BoardGateway> {
        let all = self.fleet.gateways(&trunk.id);
        all.map(|(address, lives)| BoardGateway { address, lives }).collect()
    }
}
