//! Runs the test files of a bundle on a virtual clock: a scripted caller, mocked agents, prompts
//! of known length, and the same [`Session`](crate::Session) that real calls use.
//!
//! Steps: `heard`, `press`, `silence`, `queued`, `agent`, `hangup`, `clock`, `ended`. What happens
//! is kept in a list; `heard`, `queued`, `agent` and `ended` look for the next entry that fits,
//! from the last one found on, and let time pass until it comes. A plain `press` comes 500 ms
//! after the moment the script has reached.

mod case;
mod drive;
mod expect;
mod explore;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hotline_base::PromptId;

pub use self::explore::explore;
use crate::{
    Bundle, Complaint,
    check::{Desk, Spot},
    raw::RawFile,
};

/// What came of one test file.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub cases: Vec<CaseReport>,
    /// What is wrong with the file itself.
    pub complaints: Vec<Complaint>,
    pub coverage: Coverage,
}

#[derive(Clone, Debug)]
pub struct CaseReport {
    /// `suite / name`.
    pub name: String,
    /// Where the case stands in its file.
    pub line: u32,
    /// Empty when the case passed. One Chinese sentence each.
    pub failures: Vec<String>,
}

/// Nodes (`flow/node`) and edges (`flow/node:outcome`) that cases went through.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Coverage {
    pub nodes: BTreeSet<String>,
    pub edges: BTreeSet<String>,
}

impl Report {
    pub fn is_green(&self) -> bool {
        self.complaints.iter().all(|it| !it.is_error())
            && self.cases.iter().all(|it| it.failures.is_empty())
    }
}

impl Coverage {
    /// Everything there is in the flows of a bundle.
    pub fn whole(bundle: &Bundle) -> Self {
        let mut whole = Self::default();
        for flow in bundle.flows.values() {
            let id = &flow.id;
            whole.nodes.extend(flow.node_names().map(|it| format!("{id}/{it}")));
            whole.edges.extend(flow.edges().map(|it| format!("{id}/{}:{}", it.0, it.1)));
        }
        whole
    }

    pub fn add(&mut self, other: &Self) {
        self.nodes.extend(other.nodes.iter().cloned());
        self.edges.extend(other.edges.iter().cloned());
    }

    /// Edges of `whole` that are not here, such as `gx12345.main/top_menu:3`.
    pub fn missing_edges<'a>(&'a self, whole: &'a Self) -> impl Iterator<Item = &'a str> {
        whole.edges.difference(&self.edges).map(String::as_str)
    }

    /// Part of the edges of `whole` that are here, in percent; 100 when there are none.
    pub fn edge_percent(&self, whole: &Self) -> usize {
        let here = whole.edges.intersection(&self.edges).count();
        (here * 100).checked_div(whole.edges.len()).unwrap_or(100)
    }
}

/// Runs every case of a test file. `durations` gives the length of each prompt in milliseconds;
/// others last one second.
pub fn run(bundle: &Arc<Bundle>, file: &RawFile, durations: &BTreeMap<PromptId, u32>) -> Report {
    let desk = Desk::default();
    let suite = case::read(file, &Spot::new(&desk, &file.name));
    let mut report = Report::default();
    if let Some(suite) = suite {
        for case in &suite.cases {
            let (failures, coverage) = expect::run(bundle, case, durations);
            report.coverage.add(&coverage);
            let name = format!("{} / {}", suite.name, case.name);
            report.cases.push(CaseReport { name, line: case.at_line, failures });
        }
    }
    report.complaints = desk.complaints.into_inner();
    report
}

#[cfg(test)]
mod tests;
