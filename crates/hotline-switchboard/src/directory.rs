//! 一键转接: whom agents give callers to by one button, as the operator wrote it down.

use std::collections::BTreeMap;

use hotline_agent::Target;
use hotline_base::{AgentNo, WallTime};
use hotline_trunk::Hours;

/// Somebody whom agents reach by one button. Being here is the permission to call him: a dial plan
/// need not have his number.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    pub id: String,
    pub name: String,
    /// 部门, 应急, 地市 …: how the bar sorts them.
    pub category: String,
    /// An agent, a group or a number.
    pub to: Target,
    /// GB/T 2260 codes of the cities whose agents see it; none means everybody.
    pub cities: Vec<String>,
    /// When somebody is there, and as it was written; none means always.
    pub hours: Vec<(Hours, String)>,
    /// 班长 alone see it.
    pub supervisors_only: bool,
}

impl DirectoryEntry {
    pub fn is_open(&self, at: WallTime) -> bool {
        self.hours.is_empty() || self.hours.iter().any(|it| it.0.contains(at))
    }
}

/// Where an agent stands when he looks into the directory.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub city: Option<String>,
    pub supervisor: bool,
}

/// All entries, and who sees which.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub entries: Vec<DirectoryEntry>,
    pub agents: BTreeMap<AgentNo, Standing>,
}

impl Directory {
    /// What this agent sees, in the order of the file. An agent without a city is the region's and
    /// sees what every city has.
    pub fn of<'a>(&'a self, agent: &AgentNo) -> impl Iterator<Item = &'a DirectoryEntry> {
        let standing = self.agents.get(agent);
        self.entries.iter().filter(move |it| {
            standing.is_some_and(|who| {
                let here = who.city.as_ref().is_none_or(|city| it.cities.contains(city));
                (it.cities.is_empty() || here) && (who.supervisor || !it.supervisors_only)
            })
        })
    }

    /// An entry that this agent sees.
    pub fn find<'a>(&'a self, agent: &AgentNo, id: &str) -> Option<&'a DirectoryEntry> {
        self.of(agent).find(|it| it.id == id)
    }
}

#[cfg(test)]
mod tests {
    use hotline_base::Pii;

    use super::*;

    fn entry(id: &str, cities: &[&str], supervisors_only: bool) -> DirectoryEntry {
        DirectoryEntry {
            id: id.to_owned(),
            name: id.to_owned(),
            category: String::new(),
            to: Target::Number(Pii::new("110".to_owned())),
            cities: cities.iter().map(|it| (*it).to_owned()).collect(),
            hours: Vec::new(),
            supervisors_only,
        }
    }

    #[test]
    fn an_agent_sees_his_citys_entries_and_a_supervisor_sees_more() {
        let standing =
            |city: Option<&str>, supervisor| Standing { city: city.map(str::to_owned), supervisor };
        let agents = [
            ("1", standing(Some("450100"), false)),
            ("2", standing(Some("450200"), true)),
            ("3", standing(None, false)),
        ];
        let it = Directory {
            entries: vec![
                entry("all", &[], false),
                entry("nn", &["450100"], false),
                entry("lz", &["450200", "450300"], true),
            ],
            agents: agents.into_iter().map(|(no, it)| (AgentNo::new(no), it)).collect(),
        };
        let seen = |no: &str| {
            let all: Vec<_> = it.of(&AgentNo::new(no)).map(|it| it.id.as_str()).collect();
            all.join(" ")
        };
        assert_eq!(["1", "2", "3", "4"].map(seen), ["all nn", "all lz", "all nn", ""]);
        assert!(it.find(&AgentNo::new("1"), "lz").is_none());
        assert!(it.find(&AgentNo::new("2"), "lz").is_some());
    }
}
