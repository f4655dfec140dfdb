//! A skill group on a screen.

use serde::Serialize;

use super::time;
use crate::GroupView;

/// `SkillGroup` in the OpenAPI document.
#[derive(Serialize)]
pub(crate) struct GroupJson {
    skill_group: String,
    name: String,
    n_waiting: usize,
    oldest_since: Option<String>,
    n_signed_in: usize,
    n_ready: usize,
}

impl From<&GroupView> for GroupJson {
    fn from(it: &GroupView) -> Self {
        Self {
            skill_group: it.id.to_string(),
            name: it.name.clone(),
            n_waiting: it.n_waiting,
            oldest_since: it.oldest_since.map(time::write),
            n_signed_in: it.n_signed_in,
            n_ready: it.n_ready,
        }
    }
}
