//! What is wrong with a file, where, and what to do about it.

use std::fmt;

use crate::raw::At;

/// One finding. Text and advice are Chinese: operators read them.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Complaint {
    /// As in [`RawFile::name`](crate::raw::RawFile::name).
    pub file: String,
    /// Counted from 1; 0 when no line is to blame.
    pub line: u32,
    /// Path of keys, such as `nodes.top_menu.options.1`.
    pub key: String,
    /// `E01`–`E22` or `W01`–`W13` of the flow language's list.
    pub code: &'static str,
    pub text: String,
    pub advice: String,
    pub severity: Severity,
}

/// Whether the bundle may be used.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// 错误: the bundle must not be used.
    Error,
    /// 警告: worth a look; blocks nothing.
    Warning,
}

impl Complaint {
    /// Severity follows from the first letter of the code.
    pub fn new(file: &str, at: At, key: &str, code: &'static str, text: String) -> Self {
        let severity = if code.starts_with('W') { Severity::Warning } else { Severity::Error };
        Self {
            file: file.to_owned(),
            line: at.line,
            key: key.to_owned(),
            code,
            text,
            advice: String::new(),
            severity,
        }
    }

    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} [{}] {}", self.file, self.line, self.code, self.key, self.text)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "（{}）", self.advice) }
    }
}
