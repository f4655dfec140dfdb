//! For stories without a flow.

use hotline_base::GroupId;
use hotline_ivr::Environment;

/// A flow is not there to ask anything.
pub(super) struct Nobody;

impl Environment for Nobody {
    fn queue_waiting(&self, _: &GroupId) -> usize {
        0
    }
    fn queue_position(&self) -> Option<usize> {
        None
    }
    fn agents_ready(&self, _: &GroupId) -> usize {
        0
    }
    fn agents_signed_in(&self, _: &GroupId) -> usize {
        0
    }
    fn group_known(&self, _: &GroupId) -> bool {
        false
    }
    fn caller_city(&self) -> String {
        String::new()
    }
    fn caller_repeat(&self, _: u32) -> u32 {
        0
    }
}
