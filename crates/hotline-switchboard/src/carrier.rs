//! What one carrier's signalling needs to be read, and what it wants to read.

use hotline_sip::HeaderRules;
use hotline_trunk::NumberRule;

/// A rule set (`[[rules]]`), as the trunks that name it share it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CarrierRules {
    /// As trunks name it.
    pub id: String,
    pub headers_in: HeaderRules,
    pub headers_out: HeaderRules,
    pub numbers_in: Vec<NumberRule>,
    pub numbers_out: Vec<NumberRule>,
}
