//! Header rules: repairing what one carrier writes otherwise than the standard has it.
//!
//! A rule matches messages by kind, method and header, and replaces, adds or removes header lines.
//! It never reaches what names a dialog, a transaction or a path, nor credentials; such a rule is
//! refused when it is read. Bytes that no rule names stay as they are.

mod check;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use hotline_base::rewrite::{Pattern, Replacement};

pub use self::check::{BadRule, RuleFault, RuleText};
use crate::{Message, NameAddr, message::Draft, text::slice};

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Direction {
    /// From the carrier, before anything else looks at it.
    #[default]
    In,
    /// To the carrier, when it is complete.
    Out,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Kind {
    #[default]
    Request,
    Response,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Action {
    /// The first match of the pattern in each line of that name becomes the value.
    #[default]
    Replace,
    /// A line with that value behind the others.
    Add,
    /// Lines in which the pattern is, or all of that name.
    Remove,
}

/// One rule, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderRule {
    /// For people.
    pub name: String,
    kind: Kind,
    /// Of the request, or of the request that is responded to; none means any.
    methods: Vec<String>,
    condition: Option<Condition>,
    /// Not where this header is.
    unless: Option<String>,
    header: String,
    what: What,
}

/// A line of this name must be there, and the pattern in it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Condition {
    header: String,
    pattern: Option<Pattern>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    /// `front_only`: a From or To before its parameters, so that no tag can change.
    Replace {
        pattern: Pattern,
        value: Replacement,
        front_only: bool,
    },
    Add(String),
    /// A value made of what the condition's pattern found.
    AddFound(Replacement),
    Remove(Option<Pattern>),
}

/// The rules of one direction, in the order they are applied: each sees what the ones before it
/// have made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HeaderRules(Vec<HeaderRule>);

/// What rules did to a message.
#[derive(Clone, Debug, Default)]
pub struct Repair {
    /// Places in [`HeaderRules::rules`].
    pub fired: Vec<usize>,
    /// `None`: every byte is as it was.
    pub message: Option<Message>,
    /// The rules made something of it that is no message, so it stays as it was.
    pub is_spoiled: bool,
}

/// The most rules of one direction.
pub const RULES_MAX: usize = 64;

impl HeaderRules {
    /// Rules beyond [`RULES_MAX`] are dropped; who reads them complains before.
    pub fn new(mut rules: Vec<HeaderRule>) -> Self {
        rules.truncate(RULES_MAX);
        Self(rules)
    }

    pub fn rules(&self) -> &[HeaderRule] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn apply(&self, message: &Message) -> Repair {
        let mut draft = Draft::of(message);
        let act = |(place, rule): (usize, &HeaderRule)| rule.act(&mut draft).then_some(place);
        let fired: Vec<_> = self.0.iter().enumerate().filter_map(act).collect();
        match draft.finish() {
            None => Repair { fired, ..Repair::default() },
            Some(Ok(message)) => Repair { fired, message: Some(message), is_spoiled: false },
            Some(Err(_)) => Repair { fired, message: None, is_spoiled: true },
        }
    }

    /// Like [`apply`](Self::apply), for bytes about to be sent; `None`: send them as they are.
    pub fn apply_to_bytes(&self, bytes: &[u8]) -> Option<Arc<[u8]>> {
        let message = Message::parse(bytes).ok()?;
        Some(self.apply(&message).message?.shared_bytes())
    }
}

impl HeaderRule {
    /// Whether it fired.
    fn act(&self, draft: &mut Draft<'_>) -> bool {
        if !self.is_about(draft.message()) {
            return false;
        }
        if self.unless.as_deref().is_some_and(|it| draft.values(it).next().is_some()) {
            return false;
        }
        let condition = self.condition.as_ref();
        let Some(found) = condition.map_or(Some(Vec::new()), |it| it.found(draft)) else {
            return false;
        };
        match &self.what {
            What::Replace { pattern, value, front_only } => draft.edit(&self.header, |line| {
                let end = if *front_only { front(line)? } else { line.len() };
                let mut new = rewritten(slice(line, 0, end), |it| pattern.replace(it, value))?;
                new.extend_from_slice(slice(line, end, line.len()));
                Some(Some(new))
            }),
            What::Add(value) => {
                draft.add(&self.header, value.clone().into_bytes());
                true
            }
            What::AddFound(value) => {
                let pattern = condition.and_then(|it| it.pattern.as_ref());
                let new = pattern.and_then(|it| rewritten(&found, |text| it.fill(text, value)));
                let Some(new) = new else { return false };
                draft.add(&self.header, new);
                true
            }
            What::Remove(pattern) => draft.edit(&self.header, |line| {
                let goes = pattern.as_ref().is_none_or(|it| it.is_in(&readable(line).0));
                goes.then_some(None)
            }),
        }
    }

    fn is_about(&self, message: &Message) -> bool {
        let kind = if message.status().is_some() { Kind::Response } else { Kind::Request };
        let method = message.cseq().method;
        kind == self.kind
            && (self.methods.is_empty() || self.methods.iter().any(|it| it.as_bytes() == method))
    }
}

impl Condition {
    /// The line that fulfils it.
    fn found(&self, draft: &Draft<'_>) -> Option<Vec<u8>> {
        let fits =
            |it: &&[u8]| self.pattern.as_ref().is_none_or(|pattern| pattern.is_in(&readable(it).0));
        draft.values(&self.header).find(fits).map(<[u8]>::to_vec)
    }
}

/// Where the parameters of a From or To begin. `None`: it cannot be read.
fn front(value: &[u8]) -> Option<usize> {
    let params = NameAddr::parse(value)?.params.n_bytes();
    Some(value.trim_ascii_end().len().saturating_sub(params))
}

/// Text that a pattern can look at: UTF-8 as it is; of other encodings each byte becomes one
/// character, and `true` says so.
fn readable(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (bytes.iter().map(|it| char::from(*it)).collect(), true),
    }
}

/// What `rewrite` makes of the text, in the bytes it came in.
fn rewritten(bytes: &[u8], rewrite: impl FnOnce(&str) -> Option<String>) -> Option<Vec<u8>> {
    let (text, by_byte) = readable(bytes);
    let text = rewrite(&text)?;
    if !by_byte {
        return Some(text.into_bytes());
    }
    // Replacements are ASCII, so every character is one of ours or one byte of the peer's.
    text.chars().map(|it| u8::try_from(it).ok()).collect()
}
