//! The rest of the engine, as a test case mocks it.

use hotline_base::{GroupId, WallTime};

use super::case::Mocks;
use crate::{Environment, Listed};

/// Answers of the mocks; `group` is where the caller waits.
pub(super) struct MockWorld<'a> {
    pub(super) mocks: &'a Mocks,
    pub(super) group: Option<GroupId>,
}

impl MockWorld<'_> {
    fn ahead(&self, group: &GroupId) -> usize {
        self.mocks.queue(group.as_str()).ahead
    }

    fn staffed(&self, group: &GroupId) -> bool {
        !self.mocks.queue(group.as_str()).no_agents
    }
}

impl Environment for MockWorld<'_> {
    fn queue_waiting(&self, group: &GroupId) -> usize {
        self.ahead(group)
    }

    fn queue_position(&self) -> Option<usize> {
        self.group.as_ref().map(|it| self.ahead(it) + 1)
    }

    fn agents_ready(&self, group: &GroupId) -> usize {
        usize::from(self.staffed(group) && self.ahead(group) == 0)
    }

    fn agents_signed_in(&self, group: &GroupId) -> usize {
        usize::from(self.staffed(group))
    }

    fn group_known(&self, _: &GroupId) -> bool {
        true
    }

    fn caller_city(&self) -> String {
        self.mocks.city.clone()
    }

    fn caller_repeat(&self, _: u32) -> u32 {
        self.mocks.repeat
    }

    fn caller_carrier(&self) -> String {
        self.mocks.carrier.clone()
    }

    fn listed(&self, list: &str, _: &str, _: &str, _: WallTime) -> Option<Listed> {
        self.mocks.lists.get(list).cloned()
    }
}
