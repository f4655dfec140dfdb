//! Flows, numbers, calendars, tables and prompts that belong together, checked and frozen.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hotline_base::{FlowId, GroupId, PromptId, TrunkId, WallTime};

use crate::{
    Type, Value,
    calendar::{Calendar, DayKind, Decision, Schedule},
    civil::Date,
    flow::{Flow, Var, platform_flow},
};

/// Everything a call needs from its first step to its last. Immutable; a call keeps the bundle it
/// began with.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub flows: BTreeMap<FlowId, Arc<Flow>>,
    pub numbers: Vec<Number>,
    pub schedules: BTreeMap<String, Schedule>,
    pub calendars: BTreeMap<String, Calendar>,
    pub tables: BTreeMap<String, Table>,
    /// Prompts of the catalogue that have a recording.
    pub prompts: BTreeSet<PromptId>,
    /// Where a call goes whose flow failed; once per call.
    pub fallback_flow: Option<FlowId>,
    /// The platform's queue, the last resort before an apology.
    pub fallback_group: GroupId,
    /// Hash over all files: the bundle's name.
    pub hash: String,
    /// Variables of the whole call.
    pub(crate) session: Vec<Var>,
    /// The last resort as a flow: queue, goodbye, apology.
    pub(crate) platform: Arc<Flow>,
}

/// 号码: called numbers that share a flow and its parameters.
#[derive(Clone, Debug)]
pub struct Number {
    pub dnis: Vec<String>,
    /// Empty: any trunk.
    pub trunks: Vec<TrunkId>,
    pub flow: FlowId,
    /// Parameters of the row over those of its profiles, for [`Entry`](crate::Entry).
    pub params: BTreeMap<String, Value>,
    /// Where the row stands, for complaints about it.
    pub file: String,
    pub line: u32,
}

/// A look-up table: its key column and its value column.
#[derive(Clone, Debug)]
pub struct Table {
    pub ty: Type,
    pub rows: BTreeMap<String, Value>,
}

impl Table {
    /// The row whose key is the longest prefix of `key`.
    pub fn longest_prefix(&self, key: &str) -> Option<&Value> {
        let ends = key.char_indices().map(|it| it.0).chain([key.len()]);
        ends.rev().filter(|it| *it > 0).find_map(|end| self.rows.get(key.get(..end)?))
    }
}

impl Default for Bundle {
    /// An empty bundle: every call goes to the platform's queue `default`.
    fn default() -> Self {
        let fallback_group = GroupId::new("default");
        Self {
            flows: BTreeMap::new(),
            numbers: Vec::new(),
            schedules: BTreeMap::new(),
            calendars: BTreeMap::new(),
            tables: BTreeMap::new(),
            prompts: BTreeSet::new(),
            fallback_flow: None,
            platform: Arc::new(platform_flow(&fallback_group)),
            fallback_group,
            hash: String::new(),
            session: Vec::new(),
        }
    }
}

impl Bundle {
    /// What the schedule says of a moment; `None` for an unknown schedule or calendar.
    pub fn decide(&self, schedule: &str, at: WallTime) -> Option<Decision> {
        let schedule = self.schedules.get(schedule)?;
        let week = Calendar::default();
        let calendar = if schedule.calendar.is_empty() {
            &week
        } else {
            self.calendars.get(&schedule.calendar)?
        };
        Some(schedule.decide(calendar, at))
    }

    pub fn day_kind(&self, calendar: &str, date: Date) -> Option<DayKind> {
        Some(self.calendars.get(calendar)?.kind(date))
    }

    /// The row of a called number, for tools; admission has its own rules of matching.
    pub fn number(&self, dnis: &str) -> Option<&Number> {
        self.numbers.iter().find(|it| it.dnis.iter().any(|it| it == dnis))
    }
}
