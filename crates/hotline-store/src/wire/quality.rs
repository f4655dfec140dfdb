//! How legs sounded, as JSON.

use hotline_base::{LegId, media::LegQuality};
use serde::{Deserialize, Serialize};

/// One leg. *In* is what came from the party, *out* what it got of us, as its RTCP reports tell;
/// `null` where nothing tells.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct QualityJson {
    pub leg: String,
    /// Thousandths of what was sent.
    pub loss_in_permille: Option<u16>,
    pub loss_out_permille: Option<u16>,
    /// Microseconds.
    pub jitter_in_us: Option<u32>,
    pub jitter_out_us: Option<u32>,
    pub round_trip_us: Option<u32>,
    /// By the E-model (ITU-T G.107), times 100: 100 to 450.
    pub mos_in_x100: Option<u16>,
    pub mos_out_x100: Option<u16>,
    /// RTCP datagrams from the party, and to it.
    pub reports_in: u32,
    pub reports_out: u32,
    /// Nothing ever came (单通).
    pub one_way: bool,
    /// Something came, and no sound was in it (无声).
    pub silent: bool,
}

impl QualityJson {
    pub(super) fn of(leg: LegId, it: &LegQuality) -> Self {
        Self {
            leg: leg.to_string(),
            loss_in_permille: it.loss_in_permille,
            loss_out_permille: it.loss_out_permille,
            jitter_in_us: it.jitter_in_us,
            jitter_out_us: it.jitter_out_us,
            round_trip_us: it.round_trip_us,
            mos_in_x100: it.mos_in_x100,
            mos_out_x100: it.mos_out_x100,
            reports_in: it.reports_in,
            reports_out: it.reports_out,
            one_way: it.one_way,
            silent: it.silent,
        }
    }
}
