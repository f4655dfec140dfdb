//! Entries of lists, as the API gives them out.

use serde::Serialize;

use super::Time;

/// `ListEntry` in the OpenAPI document.
#[derive(Clone, Eq, PartialEq, Serialize)]
pub struct ListEntryJson {
    pub id: String,
    pub list: String,
    /// Empty: everywhere.
    pub city: String,
    /// Masked for agents.
    pub number: String,
    pub prefix: bool,
    pub action: String,
    pub priority: Option<u8>,
    pub skill_group: Option<String>,
    pub reason: String,
    pub expires: Option<Time>,
    pub state: String,
    pub drafted: Time,
    pub drafted_by: String,
    pub approved: Option<Time>,
    pub approved_by: Option<String>,
    pub n_hits: i64,
    pub last_hit: Option<Time>,
}

/// The number stays out of logs.
impl std::fmt::Debug for ListEntryJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListEntryJson").field("id", &self.id).finish_non_exhaustive()
    }
}

/// `ListStep` in the OpenAPI document: one thing that somebody did to an entry.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ListAuditJson {
    pub at: Time,
    pub who: String,
    pub what: String,
    pub detail: String,
}
