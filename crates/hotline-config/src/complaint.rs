//! What is wrong with a file, where, and what to do about it.

use std::fmt;

use hotline_ivr::{Complaint as FlowComplaint, Severity};

/// One finding about a file of the configuration or of the flows. Operators read it: Chinese.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Complaint {
    /// As a person would open it.
    pub file: String,
    /// Counted from 1; 0 when no line is to blame.
    pub line: u32,
    /// Path of keys, such as `trunk[2].channels_max`.
    pub key: String,
    pub text: String,
    pub advice: String,
    pub severity: Severity,
}

impl Complaint {
    /// Whether the engine refuses to start on it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// `folder` is put before the name of the bundle's file.
    pub(crate) fn of_flow(it: FlowComplaint, folder: &str) -> Self {
        Self {
            file: if it.file.is_empty() { folder.into() } else { format!("{folder}/{}", it.file) },
            line: it.line,
            key: it.key,
            text: format!("{} [{}]", it.text, it.code),
            advice: it.advice,
            severity: it.severity,
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_error() { "错误" } else { "警告" };
        write!(f, "{}:{}: {kind} {}: {}", self.file, self.line, self.key, self.text)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, " — {}", self.advice) }
    }
}
