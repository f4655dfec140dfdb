//! `[[transfer_target]]`: whom agents give callers to by one button (一键转接).

use std::collections::BTreeSet;

use hotline_acd::GroupConfig;
use hotline_agent::{AgentConfig, Target};
use hotline_base::{AgentNo, GroupId, Pii};
use hotline_switchboard::{Directory, DirectoryEntry, Outbound, Standing};

use super::outbound::hours_of;
use crate::section::Section;

/// No entry's name or category is longer, in characters.
const NAME_MAX: usize = 64;

pub(crate) fn read(
    root: &Section<'_, '_>,
    people: &[AgentConfig],
    groups: &[GroupConfig],
    outbound: &Outbound,
) -> Directory {
    let standing = |it: &AgentConfig| {
        let dialer = outbound.dialers.get(&it.no);
        let city = dialer.and_then(|it| it.city.clone());
        (it.no.clone(), Standing { city, supervisor: it.supervisor })
    };
    let agents = people.iter().map(standing).collect();
    let mut known = BTreeSet::new();
    let mut entries = Vec::new();
    for it in root.sections("transfer_target") {
        let id = it.required("id", "给这个转接对象起一个名字，如 \"110\"");
        let name = it.required("name", "写按键上显示的名称");
        let category = it.text_or("category", "");
        for text in name.iter().map(|it| &it.value).chain([&category]) {
            if text.chars().count() > NAME_MAX {
                it.complain("name", format!("{text} 太长"), format!("最多 {NAME_MAX} 个字"));
            }
        }
        if let Some(id) = &id
            && !known.insert(id.value.clone())
        {
            it.complain_at(id, format!("转接对象 {} 重复", id.value), "每个 id 只能用一次");
        }
        let to = target(&it, people, groups);
        let hours = it.texts("hours").unwrap_or_default();
        let hours = hours.into_iter().filter_map(|text| Some((hours_of(&it, &text)?, text.value)));
        let hours = hours.collect();
        let cities = it.texts("cities").unwrap_or_default();
        let cities = cities.into_iter().map(|it| it.value).collect();
        let supervisors_only = it.bool_or("supervisors_only", false);
        it.end();
        if let (Some(id), Some(name), Some(to)) = (id, name, to) {
            let (id, name) = (id.value, name.value);
            entries.push(DirectoryEntry {
                id,
                name,
                category,
                to,
                cities,
                hours,
                supervisors_only,
            });
        }
    }
    Directory { entries, agents }
}

/// Exactly one of the three.
fn target(it: &Section<'_, '_>, people: &[AgentConfig], groups: &[GroupConfig]) -> Option<Target> {
    match (it.text("number"), it.text("agent_no"), it.text("skill_group")) {
        (Some(number), None, None) => {
            let digits = number.value.bytes().filter(u8::is_ascii_digit).count();
            if digits == 0 {
                it.complain_at(&number, format!("{:?} 不是号码", number.value), "写要拨的号码");
            }
            Some(Target::Number(Pii::new(number.value)))
        }
        (None, Some(no), None) => {
            if !people.iter().any(|it| it.no.as_str() == no.value) {
                it.complain_at(&no, format!("没有工号 {}", no.value), "改正，或加一节 [[agent]]");
            }
            Some(Target::Agent(AgentNo::new(&no.value)))
        }
        (None, None, Some(group)) => {
            if !groups.iter().any(|it| it.id.as_str() == group.value) {
                let text = format!("没有技能组 {}", group.value);
                it.complain_at(&group, text, "改正名称，或加一节 [[group]]");
            }
            Some(Target::Group(GroupId::new(&group.value)))
        }
        (_, _, _) => {
            let advice = "写 number、agent_no、skill_group 中的一个";
            it.complain("number", "转给谁不明确", advice);
            None
        }
    }
}
