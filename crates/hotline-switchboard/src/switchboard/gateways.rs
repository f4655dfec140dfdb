//! The carriers' gateways: probes, and what is told when one dies or comes back.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hotline_base::{MonoTime, Now, TrunkId, WallTime};
use hotline_sip::{Flow, Transport};
use hotline_trunk::{FleetOutput, GatewayConfig, GatewayState, GatewayTransport};

use super::{Output, Switchboard};
use crate::{Alarm, BoardGateway};

/// The fleet decides when a probe has failed; this only frees the transaction.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

impl Switchboard {
    pub(super) fn act_on_fleet(&mut self, output: &FleetOutput, now: Now) {
        match output {
            FleetOutput::Ask { probe, gateway } => {
                let flow = self.flow_to(gateway);
                self.endpoint.probe(*probe, flow, PROBE_LIMIT, now);
            }
            FleetOutput::Changed { gateway, address, lives } => {
                let (trunk, address, lives) = (gateway.trunk.clone(), *address, *lives);
                if !lives {
                    self.leave_gateway(gateway, now);
                }
                let (fleet, random) = (&self.fleet, &mut self.random);
                self.registrations.gateway_changed(gateway, fleet, random, now.mono);
                let alone = self.fleet.living(&trunk) == usize::from(lives);
                let alarm = Alarm::Gateway { trunk: trunk.clone(), address, lives };
                self.outputs.push_back(Output::Alarm(alarm));
                if alone {
                    self.outputs.push_back(Output::Alarm(Alarm::Trunk { trunk, lives }));
                }
            }
        }
    }

    /// The way to a gateway: from where we listen in its transport and address family.
    pub(super) fn flow_to(&self, gateway: &GatewayConfig) -> Flow {
        let remote = gateway.address;
        let transport = match gateway.transport {
            GatewayTransport::Udp => Transport::Udp,
            GatewayTransport::Tcp => Transport::Tcp,
            GatewayTransport::Tls => Transport::Tls,
        };
        let of_family = |it: &&SocketAddr| it.is_ipv4() == remote.is_ipv4();
        let streams = self.config.local_streams.iter().filter(|it| it.0 == transport);
        let local = match transport {
            Transport::Udp => self.config.local.iter().find(of_family).copied(),
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                streams.map(|it| &it.1).find(of_family).copied()
            }
        };
        let port = transport.default_port();
        let anywhere = || match remote {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        };
        Flow { transport, local: local.unwrap_or_else(anywhere), remote, conn: None }
    }

    /// Our host as the gateway should write it.
    pub(super) fn own_host(&self, gateway: &GatewayConfig) -> IpAddr {
        let ip = self.flow_to(gateway).local.ip();
        if ip.is_unspecified() { self.config.sip.advertised } else { ip }
    }

    pub(super) fn board_gateways(&self, trunk: &TrunkId, now: Now) -> Vec<BoardGateway> {
        let wall = |at: MonoTime| {
            let ago = i64::try_from(now.mono.since(at).as_millis()).unwrap_or(i64::MAX);
            WallTime(now.wall.0.saturating_sub(ago))
        };
        let gateway = |(config, state): (&GatewayConfig, GatewayState)| BoardGateway {
            address: config.address,
            transport: config.transport,
            lives: state.lives,
            probed: state.probed.map(|(since, it)| (wall(since), it)),
        };
        self.fleet.gateways(trunk).map(gateway).collect()
    }
}
