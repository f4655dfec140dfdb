//! Figures of trunks, their gateways and accounts, and of carriers.

use hotline_switchboard::Board;
use hotline_trunk::Probes;

use super::{Meters, signed};

impl Meters {
    pub(super) fn trunks(&self, board: &Board) {
        for it in &board.traffic {
            let (way, outcome) = (it.way.as_str(), it.outcome.as_str());
            let labels = [("trunk", it.trunk.as_str()), ("direction", way), ("outcome", outcome)];
            let help = "Attempts over trunks by what became of them.";
            self.all.counter("hotline_trunk_attempts_total", help, &labels).set(it.n);
        }
        for (trunk, way, it) in &board.sums {
            let labels = [("trunk", trunk.as_str()), ("direction", way.as_str())];
            let sum = |name, help, n| self.all.counter(name, help, &labels).set(n);
            let help = "Answered calls of trunks that ended by a fault of network or peer.";
            sum("hotline_trunk_dropped_total", help, it.n_dropped);
            let help = "Attempts over trunks that rang or were answered.";
            sum("hotline_trunk_delays_total", help, it.n_delays);
            let help = "Their time from the INVITE to the first ringing or the answer.";
            sum("hotline_trunk_delay_milliseconds_total", help, it.delays_ms);
            let help = "How long channels of trunks were in use, added up.";
            sum("hotline_trunk_held_milliseconds_total", help, it.held_ms);
        }
        for (carrier, raised) in &board.carriers {
            let help = "1: failures of this carrier rise while others' do not.";
            let label = [("carrier", carrier.as_str())];
            self.all.gauge("hotline_carrier_alarm", help, &label).set(i64::from(*raised));
        }
        let help = "1: calls abroad are stopped, because there were too many.";
        self.all.gauge("hotline_abroad_blocked", help, &[]).set(i64::from(board.abroad_blocked));
        for it in &board.trunks {
            let label = [("trunk", it.trunk.as_str())];
            let help = "Channels of trunks.";
            self.all.gauge("hotline_trunk_channels_used", help, &label).set(signed(it.in_use));
            self.all
                .gauge("hotline_trunk_channels_limit", help, &label)
                .set(signed(it.channels_max));
            self.all
                .gauge("hotline_trunk_channels_out_used", help, &label)
                .set(signed(it.out_in_use));
            for gateway in &it.gateways {
                let address = gateway.address.to_string();
                let label = [("trunk", it.trunk.as_str()), ("gateway", address.as_str())];
                let help = "1: the gateway answers probes.";
                let up = i64::from(gateway.lives);
                self.all.gauge("hotline_trunk_gateway_up", help, &label).set(up);
                if let Some((_, probes)) = gateway.probed {
                    self.probes(&label, probes);
                }
            }
            for account in &it.accounts {
                let user = account.user.as_str();
                let label = [("trunk", it.trunk.as_str()), ("account", user)];
                let help = "1: the trunk's account is registered at its carrier.";
                let up = i64::from(account.registered.is_some());
                self.all.gauge("hotline_trunk_registered", help, &label).set(up);
            }
        }
    }

    fn probes(&self, gateway: &[(&str, &str); 2], it: Probes) {
        let [trunk, address] = *gateway;
        for (outcome, n) in [("good", it.n_good), ("failed", it.n_failed)] {
            let help = "Probes of gateways by what became of them.";
            let labels = [trunk, address, ("outcome", outcome)];
            self.all.counter("hotline_trunk_probes_total", help, &labels).set(n);
        }
        if let Some(round_trip) = it.round_trip {
            let help = "From the last good probe of a gateway to its answer.";
            let micros = i64::try_from(round_trip.as_micros()).unwrap_or(i64::MAX);
            let name = "hotline_trunk_probe_round_trip_microseconds";
            self.all.gauge(name, help, gateway).set(micros);
        }
    }
}
