//! What `hotline check` says: every complaint, and what came of the flows' tests.

use std::{fmt, path::Path};

use hotline_ivr::testing;

use crate::{Complaint, load};

/// The outcome of a check, to be printed as it is.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub complaints: Vec<Complaint>,
    pub n_flows: usize,
    pub n_numbers: usize,
    pub n_cases: usize,
    /// `file: case: what was wrong`.
    pub failures: Vec<String>,
}

/// Checks a configuration, or the built-in one, with its flows, and runs the flows' tests.
pub fn check(path: Option<&Path>) -> Report {
    match load::source(path) {
        Ok((text, file, folder)) => check_text(&file, &folder, &text),
        Err(complaint) => Report { complaints: vec![*complaint], ..Report::default() },
    }
}

/// Like [`check`] for a text that is at hand.
pub fn check_text(file: &str, folder: &Path, text: &str) -> Report {
    let (_, flows, complaints) = load::read(file, folder, text);
    let mut report = Report {
        n_flows: flows.bundle.flows.len(),
        n_numbers: flows.bundle.numbers.len(),
        complaints,
        ..Report::default()
    };
    // A bundle with errors behaves in no defined way; its tests would complain of consequences.
    if report.complaints.iter().any(Complaint::is_error) {
        return report;
    }
    for file in &flows.tests {
        let outcome = testing::run(&flows.bundle, file, &flows.lengths);
        let own = outcome.complaints.into_iter();
        report.complaints.extend(own.map(|it| Complaint::of_flow(it, &flows.shown)));
        report.n_cases += outcome.cases.len();
        for case in outcome.cases {
            for failure in case.failures {
                let name = &case.name;
                report.failures.push(format!("{}/{}: {name}: {failure}", flows.shown, file.name));
            }
        }
    }
    report
}

impl Report {
    /// Whether the engine would start, and every flow does what its tests say.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && !self.complaints.iter().any(Complaint::is_error)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for it in &self.complaints {
            writeln!(f, "{it}")?;
        }
        for it in &self.failures {
            writeln!(f, "{it}")?;
        }
        let n_errors = self.complaints.iter().filter(|it| it.is_error()).count();
        let n_warnings = self.complaints.len() - n_errors;
        writeln!(
            f,
            "流程 {} 个，号码 {} 行；错误 {n_errors}，警告 {n_warnings}；测试 {} 例，不符 {} 处。",
            self.n_flows,
            self.n_numbers,
            self.n_cases,
            self.failures.len()
        )
    }
}
