//! What is missing in a recording, as JSON.

use hotline_base::media::{Gap, MarkedGap};
use serde::{Deserialize, Serialize};

/// In milliseconds from the recording's start.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GapJson {
    pub from_ms: u64,
    pub to_ms: u64,
    /// `disk`, `shed`, `lost`, `codec` or `media_restarted`; `null` in those of earlier versions.
    pub why: Option<String>,
    /// Whose: `caller` or `agent`; `null` is both.
    pub side: Option<String>,
}

impl From<&MarkedGap> for GapJson {
    fn from(it: &MarkedGap) -> Self {
        let side = it.channel.map(|it| it.side().to_owned());
        let why = Some(it.why.as_str().to_owned());
        Self { why, side, ..Self::from(&it.gap) }
    }
}

impl From<&Gap> for GapJson {
    fn from(it: &Gap) -> Self {
        Self { from_ms: it.from_ms, to_ms: it.to_ms, why: None, side: None }
    }
}
