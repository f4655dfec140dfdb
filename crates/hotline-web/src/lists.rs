//! Blacklist and VIP, as the web asks for them.

use std::fmt;

use hotline_base::{Pii, WallTime};

use crate::{Answer, ArchiveError, CallPage, Sight};

/// What a person wants on a list, as it was sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListDraft {
    pub list: String,
    pub city: String,
    pub number: Pii<String>,
    pub is_prefix: bool,
    pub action: String,
    pub priority: Option<u8>,
    pub group: Option<String>,
    pub reason: String,
    pub expires: Option<WallTime>,
}

/// Which entries. What is `None` does not restrict.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListFilter {
    pub list: Option<String>,
    pub state: Option<String>,
    pub number: Option<Pii<String>>,
    pub n_max: usize,
    pub after: Option<String>,
}

/// Changes are in force for the next call when the answer is given.
pub trait Lists: Send + Sync + 'static {
    /// Each item one JSON object; numbers are masked for agents.
    fn page(&self, filter: ListFilter, sight: Sight) -> Answer<'_, Result<CallPage, ArchiveError>>;

    fn one(&self, id: u64, sight: Sight) -> Answer<'_, Result<Option<String>, ArchiveError>>;

    /// What happened to an entry, each a JSON object, oldest first.
    fn audit(&self, id: u64) -> Answer<'_, Result<Vec<String>, ArchiveError>>;

    /// A new draft (`None`) or a change of an entry, which is a draft again. Gives the entry.
    fn draft(
        &self,
        id: Option<u64>,
        draft: ListDraft,
        who: String,
    ) -> Answer<'_, Result<String, ListError>>;

    /// Gives the entry.
    fn approve(&self, id: u64, who: String) -> Answer<'_, Result<String, ListError>>;

    fn remove(&self, id: u64, who: String) -> Answer<'_, Result<(), ListError>>;
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListError {
    Missing,
    /// Who drafted an entry cannot approve it.
    SamePerson,
    NotADraft,
    /// As many are in force as there may be.
    Full,
    /// The field, what is wrong in English and in Chinese.
    Invalid(&'static str, &'static str, &'static str),
    Archive(ArchiveError),
}

impl fmt::Debug for dyn Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lists")
    }
}
