//! What may be a header rule.

use hotline_base::rewrite::{BadPattern, Pattern, REPLACEMENT_MAX, Replacement};

use super::{Action, Condition, Direction, HeaderRule, Kind, What};
use crate::{message::compact, text::is_token};

/// A rule as a person writes it.
#[derive(Clone, Debug, Default)]
pub struct RuleText {
    pub name: String,
    pub direction: Direction,
    pub kind: Kind,
    pub methods: Vec<String>,
    pub if_header: Option<String>,
    pub if_match: Option<String>,
    pub unless_header: Option<String>,
    pub header: String,
    pub action: Action,
    /// Which part of a value is replaced, or which lines are removed; the whole when absent.
    pub pattern: Option<String>,
    /// What is put there.
    pub value: Option<String>,
}

/// One thing that is wrong with a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleFault {
    /// The field of [`RuleText`] it is about.
    pub field: &'static str,
    pub why: BadRule,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BadRule {
    NotAName,
    /// Names a dialog, a transaction or a path, frames the message, or is a credential.
    Protected,
    /// A From or To of the carrier must come back in our responses as it was. Its number is
    /// rewritten by number rules.
    EchoedBack,
    /// There must be exactly one, so it can only be replaced.
    OnlyReplace,
    NotAMethod,
    Missing,
    /// Means nothing with this action.
    Unused,
    /// A value is too long or has control characters in it.
    BadValue,
    Pattern(BadPattern),
}

/// The dialog, the transaction and the path of a message (RFC 3261 §12, §16, §17; RFC 3262 §7;
/// RFC 3891), what frames it, and credentials, which no configuration shall hold.
const PROTECTED: &[&str] = &[
    "Via",
    "Route",
    "Record-Route",
    "Path",
    "Service-Route",
    "Call-ID",
    "CSeq",
    "Max-Forwards",
    "Content-Length",
    "RAck",
    "RSeq",
    "Replaces",
    "Join",
    "Target-Dialog",
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authentication-Info",
];

/// Exactly one in a message that needs it.
const SINGLE: &[&str] = &["From", "To", "Contact", "Content-Type"];

impl HeaderRule {
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(text: RuleText) -> Result<Self, Vec<RuleFault>> {
        let mut faults = Faults::default();
        let header = long_name(&text.header);
        faults.header(&text, &header);
        if text.methods.iter().any(|it| it.is_empty() || !it.bytes().all(is_token)) {
            faults.add("methods", BadRule::NotAMethod);
        }
        let condition = faults.condition(&text);
        let unless = text.unless_header.as_deref().map(long_name);
        if unless.as_deref().is_some_and(|it| !is_name(it)) {
            faults.add("unless_header", BadRule::NotAName);
        }
        let what = faults.what(&text, &header, condition.as_ref());
        match what {
            Some(what) if faults.0.is_empty() => Ok(Self {
                name: text.name,
                kind: text.kind,
                methods: text.methods,
                condition,
                unless,
                header,
                what,
            }),
            Some(_) | None => Err(faults.0),
        }
    }
}

/// In its long form.
fn long_name(name: &str) -> String {
    match name.as_bytes() {
        [one] => compact(*one).unwrap_or(name).to_owned(),
        _ => name.to_owned(),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_token)
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|it| it.eq_ignore_ascii_case(name))
}

fn is_identity(name: &str) -> bool {
    is_one_of(&["From", "To"], name)
}

#[derive(Default)]
struct Faults(Vec<RuleFault>);

impl Faults {
    fn add(&mut self, field: &'static str, why: BadRule) {
        self.0.push(RuleFault { field, why });
    }

    fn header(&mut self, text: &RuleText, header: &str) {
        if !is_name(header) {
            self.add("header", BadRule::NotAName);
        } else if is_one_of(PROTECTED, header) {
            self.add("header", BadRule::Protected);
        } else if is_identity(header)
            && (text.direction == Direction::In || text.kind == Kind::Response)
        {
            self.add("header", BadRule::EchoedBack);
        } else if is_one_of(SINGLE, header) && text.action != Action::Replace {
            self.add("action", BadRule::OnlyReplace);
        }
    }

    fn pattern(&mut self, field: &'static str, text: &str) -> Option<Pattern> {
        Pattern::new(text).map_err(|why| self.add(field, BadRule::Pattern(why))).ok()
    }

    fn replacement(&mut self, text: &str, pattern: &Pattern) -> Option<Replacement> {
        let made = Replacement::new(text, pattern);
        made.map_err(|why| self.add("value", BadRule::Pattern(why))).ok()
    }

    fn condition(&mut self, text: &RuleText) -> Option<Condition> {
        let pattern = text.if_match.as_deref().and_then(|it| self.pattern("if_match", it));
        let Some(header) = text.if_header.as_deref().map(long_name) else {
            if text.if_match.is_some() {
                self.add("if_header", BadRule::Missing);
            }
            return None;
        };
        if !is_name(&header) {
            self.add("if_header", BadRule::NotAName);
        }
        Some(Condition { header, pattern })
    }

    fn what(
        &mut self,
        text: &RuleText,
        header: &str,
        condition: Option<&Condition>,
    ) -> Option<What> {
        match text.action {
            Action::Replace => {
                let pattern = self.pattern("match", text.pattern.as_deref().unwrap_or("^.*$"));
                let value = self.value(text)?;
                let pattern = pattern?;
                let value = self.replacement(&value, &pattern)?;
                Some(What::Replace { pattern, value, front_only: is_identity(header) })
            }
            Action::Add => {
                if text.pattern.is_some() {
                    self.add("match", BadRule::Unused);
                }
                let value = self.value(text)?;
                if let Some(pattern) = condition.and_then(|it| it.pattern.as_ref()) {
                    return self.replacement(&value, pattern).map(What::AddFound);
                }
                if value.len() > REPLACEMENT_MAX || value.chars().any(char::is_control) {
                    self.add("value", BadRule::BadValue);
                }
                Some(What::Add(value))
            }
            Action::Remove => {
                if text.value.is_some() {
                    self.add("value", BadRule::Unused);
                }
                match text.pattern.as_deref() {
                    Some(it) => self.pattern("match", it).map(|it| What::Remove(Some(it))),
                    None => Some(What::Remove(None)),
                }
            }
        }
    }

    fn value(&mut self, text: &RuleText) -> Option<String> {
        if text.value.is_none() {
            self.add("value", BadRule::Missing);
        }
        text.value.clone()
    }
}
