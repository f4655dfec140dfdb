//! Facts of a call with their times, as JSON.

use hotline_cdr::Stamped;
use serde::{Deserialize, Serialize};

use super::{FactJson, Time};

/// A fact and when it happened.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct StampedJson {
    pub at: Time,
    #[serde(flatten)]
    pub fact: FactJson,
}

/// Facts hold numbers and what callers entered.
impl std::fmt::Debug for StampedJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StampedJson({})", self.at)
    }
}

impl From<&Stamped> for StampedJson {
    fn from(it: &Stamped) -> Self {
        Self { at: Time(it.at.wall), fact: FactJson::from(&it.fact) }
    }
}
