//! Rewriting a text by a regular expression whose cost is known before it runs.
//!
//! Rules of carriers come from people and run on the control thread for every message, so what
//! they may cost is settled when they are read: the length of the pattern, the size of the
//! compiled automaton (its matching is linear in the text), and the length of the text.

use std::fmt;

use regex_lite::{Regex, RegexBuilder};

/// Bytes of a pattern.
pub const PATTERN_MAX: usize = 256;

/// Bytes of a replacement.
pub const REPLACEMENT_MAX: usize = 512;

/// Bytes of a text; a longer one never matches.
pub const TEXT_MAX: usize = 2048;

/// Bytes of a compiled pattern.
const COMPILED_MAX: usize = 64 << 10;

/// Parentheses within parentheses.
const NEST_MAX: u32 = 16;

/// A regular expression (syntax of `regex-lite`) with bounds.
#[derive(Clone)]
pub struct Pattern(Regex);

/// Why a text is no pattern, or a replacement does not go with one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BadPattern {
    /// Longer than [`PATTERN_MAX`] or [`REPLACEMENT_MAX`], or too much once compiled.
    TooLong,
    /// Control characters or anything that is not ASCII: bytes of other encodings could not be
    /// compared with it.
    NotAscii,
    /// Not a regular expression; what the compiler says.
    Syntax(String),
    /// `$` that is neither `$$`, `$1` before something that is no word, nor `${1}`.
    Dollar,
    /// The pattern has no such group.
    NoGroup(usize),
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self, BadPattern> {
        if text.len() > PATTERN_MAX {
            return Err(BadPattern::TooLong);
        }
        if !is_plain(text) {
            return Err(BadPattern::NotAscii);
        }
        let builder = RegexBuilder::new(text).nest_limit(NEST_MAX).size_limit(COMPILED_MAX).build();
        builder.map(Self).map_err(|error| BadPattern::Syntax(error.to_string()))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub fn is_in(&self, text: &str) -> bool {
        text.len() <= TEXT_MAX && self.0.is_match(text)
    }

    /// `replacement` with the groups of the first match in it; `None`: no match.
    pub fn fill(&self, text: &str, replacement: &Replacement) -> Option<String> {
        let found = self.0.captures(within(text)?)?;
        let mut out = String::new();
        found.expand(&replacement.0, &mut out);
        Some(out)
    }

    /// `text` with its first match replaced; `None`: no match.
    pub fn replace(&self, text: &str, replacement: &Replacement) -> Option<String> {
        let found = self.0.captures(within(text)?)?;
        let whole = found.get(0)?;
        let mut out = text.get(..whole.start())?.to_owned();
        found.expand(&replacement.0, &mut out);
        out.push_str(text.get(whole.end()..)?);
        Some(out)
    }
}

fn within(text: &str) -> Option<&str> {
    (text.len() <= TEXT_MAX).then_some(text)
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

/// What stands for a match: text with `$1` or `${1}` for groups and `$$` for a dollar.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replacement(String);

impl Replacement {
    /// `pattern` is the one whose groups it names.
    pub fn new(text: &str, pattern: &Pattern) -> Result<Self, BadPattern> {
        if text.len() > REPLACEMENT_MAX {
            return Err(BadPattern::TooLong);
        }
        if !is_plain(text) {
            return Err(BadPattern::NotAscii);
        }
        for group in groups(text) {
            let group = group?;
            if group >= pattern.0.captures_len() {
                return Err(BadPattern::NoGroup(group));
            }
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|it| it == b' ' || it.is_ascii_graphic())
}

/// The groups a replacement names. `$1x` would name a group `1x`, which is never what was meant.
fn groups(text: &str) -> impl Iterator<Item = Result<usize, BadPattern>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find('$')?;
            let after = rest.get(at + 1..).unwrap_or_default();
            if let Some(escaped) = after.strip_prefix('$') {
                rest = escaped;
                continue;
            }
            let braced = after.strip_prefix('{').and_then(|it| it.split_once('}'));
            let n_digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let (name, left) = match braced {
                Some(it) => it,
                None => after.split_at_checked(n_digits).unwrap_or_default(),
            };
            let runs_on = braced.is_none()
                && left.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '_');
            rest = left;
            return Some(match name.parse() {
                Ok(group) if !runs_on => Ok(group),
                Ok(_) | Err(_) => Err(BadPattern::Dollar),
            });
        }
    })
}

#[cfg(test)]
mod tests;
