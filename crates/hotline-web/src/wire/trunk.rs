//! A trunk on a screen.

use std::time::Duration;

use serde::Serialize;

use super::time;
use crate::{ProbesView, TrunkView};

/// `Trunk` in the OpenAPI document.
#[derive(Serialize)]
pub(crate) struct TrunkJson {
    trunk: String,
    n_in: usize,
    n_out: usize,
    channels_max: usize,
    gateways: Vec<GatewayJson>,
    accounts: Vec<AccountJson>,
}

#[derive(Serialize)]
struct GatewayJson {
    address: String,
    transport: &'static str,
    up: bool,
    probes: Option<ProbesJson>,
}

#[derive(Serialize)]
struct ProbesJson {
    since: String,
    good: u64,
    failed: u64,
    round_trip_ms: Option<f64>,
}

impl From<ProbesView> for ProbesJson {
    fn from(it: ProbesView) -> Self {
        let tenths = |it: Duration| (it.as_secs_f64() * 10_000.0).round();
        let round_trip_ms = it.round_trip.map(|it| tenths(it) / 10.0);
        Self { since: time::write(it.since), good: it.n_good, failed: it.n_failed, round_trip_ms }
    }
}

#[derive(Serialize)]
struct AccountJson {
    user: String,
    registered: bool,
    gateway: Option<String>,
    /// The last answer of the registrar.
    status: Option<u16>,
}

impl From<&TrunkView> for TrunkJson {
    fn from(it: &TrunkView) -> Self {
        let (gateways, accounts) = (it.gateways.iter(), it.accounts.iter());
        Self {
            trunk: it.id.to_string(),
            n_in: it.n_in,
            n_out: it.n_out,
            channels_max: it.channels_max,
            gateways: gateways
                .map(|it| GatewayJson {
                    address: it.address.to_string(),
                    transport: it.transport,
                    up: it.lives,
                    probes: it.probed.map(ProbesJson::from),
                })
                .collect(),
            accounts: accounts
                .map(|it| AccountJson {
                    user: it.user.clone(),
                    registered: it.registered.is_some(),
                    gateway: it.registered.map(|it| it.to_string()),
                    status: (it.status != 0).then_some(it.status),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hotline_base::WallTime;

    use super::*;

    #[test]
    fn a_round_trip_is_told_in_tenths_of_a_millisecond() {
        let told = |micros| {
            let round_trip = Some(Duration::from_micros(micros));
            let it = ProbesView { since: WallTime(0), n_good: 1, n_failed: 0, round_trip };
            serde_json::to_value(ProbesJson::from(it)).unwrap()["round_trip_ms"].to_string()
        };
        assert_eq!([7, 1_149, 1_260, 17_391].map(told), ["0.0", "1.1", "1.3", "17.4"]);
    }
}
