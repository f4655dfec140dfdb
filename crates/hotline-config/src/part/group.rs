//! `[[group]]`: skill groups, which are also the queues.

use std::{collections::BTreeSet, time::Duration};

use hotline_acd::GroupConfig;
use hotline_base::GroupId;

use crate::section::Section;

pub(crate) fn read(root: &Section<'_, '_>) -> Vec<GroupConfig> {
    let mut seen = BTreeSet::new();
    let mut groups = Vec::new();
    for it in root.sections("group") {
        let id = it.required("id", "给技能组起一个名字，如 gx.nn.general");
        let name = it.required("name", "写技能组的中文名称");
        let ring_limit = it.secs_or("ring_limit_secs", 20, 5..=120);
        let queue_max = it.number_or("queue_max", 200, 0..=100_000);
        let rna_rest = it.number("rna_rest_secs", 1..=3_600).map(Duration::from_secs);
        if let (Some(id), Some(name)) = (id, name) {
            let group = GroupConfig {
                id: GroupId::new(&id.value),
                name: name.value,
                ring_limit,
                queue_max: usize::try_from(queue_max).unwrap_or(usize::MAX),
                rna_rest,
            };
            if !seen.insert(group.id.clone()) {
                it.complain_at(&id, format!("技能组 {} 重复", id.value), "每个 id 只能用一次");
            }
            groups.push(group);
        }
        it.end();
    }
    groups
}
