//! A trunk on a screen.

use serde::Serialize;

use crate::TrunkView;

/// `Trunk` in the OpenAPI document.
#[derive(Serialize)]
pub(crate) struct TrunkJson {
    trunk: String,
    n_in: usize,
    n_out: usize,
    channels_max: usize,
    gateways: Vec<GatewayJson>,
}

#[derive(Serialize)]
struct GatewayJson {
    address: String,
    up: bool,
}

impl From<&TrunkView> for TrunkJson {
    fn from(it: &TrunkView) -> Self {
        let gateways = it.gateways.iter();
        Self {
            trunk: it.id.to_string(),
            n_in: it.n_in,
            n_out: it.n_out,
            channels_max: it.channels_max,
            gateways: gateways
                .map(|(address, up)| GatewayJson { address: address.to_string(), up: *up })
                .collect(),
        }
    }
}
