//! What the nodes that ask for keys have in common.

use std::time::Duration;

use hotline_base::{Key, Now, PromptId};

use super::{Prompt, PromptPart};
use crate::{
    Environment,
    check::{Fields, NodeReader},
    flow::NodeIdx,
    session::{Session, Turn},
};

/// A key with a meaning of its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum KeyRule {
    /// Nothing is written: what the engine does.
    #[default]
    Usual,
    /// `null`: no key.
    Nothing,
    Key(Key),
}

impl KeyRule {
    pub(crate) fn read(fields: &mut Fields<'_>, name: &str) -> Self {
        if fields.is_null(name) {
            return Self::Nothing;
        }
        fields.key(name).map_or(Self::Usual, Self::Key)
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        match self {
            Self::Usual => other,
            Self::Nothing | Self::Key(_) => self,
        }
    }

    /// The key, where `usual` stands for an unwritten one.
    pub(crate) fn key(self, usual: Option<char>) -> Option<Key> {
        match self {
            Self::Usual => usual.and_then(|it| Key::try_from(it).ok()),
            Self::Nothing => None,
            Self::Key(key) => Some(key),
        }
    }
}

/// Times and rules of input (`input`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input {
    /// Counts from the end of the prompt.
    pub(crate) first_timeout: Duration,
    /// Counts from each digit; the first digit ends `first_timeout`.
    pub(crate) inter_digit: Duration,
    pub(crate) term: KeyRule,
    pub(crate) barge_in: bool,
    /// `type_ahead: flush`.
    pub(crate) flush: bool,
    /// Keys do not stop a prompt in its first part.
    pub(crate) grace: Duration,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            first_timeout: Duration::from_secs(5),
            inter_digit: Duration::from_secs(3),
            term: KeyRule::Usual,
            barge_in: true,
            flush: false,
            grace: Duration::from_millis(250),
        }
    }
}

/// `defaults` of a flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) input: Input,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) invalid_prompt: Option<Prompt>,
    pub(crate) noinput_prompt: Option<Prompt>,
    pub(crate) repeat_key: KeyRule,
    pub(crate) operator_key: KeyRule,
    pub(crate) operator_next: Option<NodeIdx>,
    pub(crate) back_key: KeyRule,
}

/// The question and its repetition.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) prompt: Prompt,
    /// From the second attempt.
    pub(crate) prompt_short: Prompt,
    pub(crate) invalid_prompt: Prompt,
    pub(crate) noinput_prompt: Prompt,
    pub(crate) input: Input,
    pub(crate) max_attempts: u32,
}

/// What the digits so far mean.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Judgement {
    /// More digits may come.
    More,
    /// The answer is complete.
    Take,
    /// The caller wants to hear the question again.
    Repeat,
    /// The caller wants the menu before this one.
    Back,
    Wrong,
}

/// A node that asks for keys.
pub(crate) trait Ask {
    fn asking(&self) -> &Asking;
    /// The terminator, which is not part of the value.
    fn term(&self) -> Option<Key>;
    /// Keys outside are not digits of this question.
    fn admits(&self, key: Key) -> bool;
    /// Choices that are open at the moment; empty for a free number.
    fn choices(
        &self,
        session: &Session,
        env: &dyn Environment,
        now: Now,
    ) -> Result<Vec<String>, String>;
    /// After a digit.
    fn judge(&self, digits: &str, choices: &[String]) -> Judgement;
    /// After the terminator, or when no further digit came in time.
    fn settle(&self, digits: &str, choices: &[String]) -> Judgement;
    /// The digits belong in no fact and in no recording.
    fn is_secret(&self) -> bool {
        false
    }
    /// The answer is complete.
    fn take(&self, digits: &str, session: &mut Session, env: &dyn Environment, now: Now) -> Turn;
}

/// For questions with fixed choices: waits as long as a longer choice begins with the digits.
pub(super) fn judge_choice(digits: &str, choices: &[String], settled: bool) -> Judgement {
    let exact = choices.iter().any(|it| it == digits);
    let longer = choices.iter().any(|it| it.len() > digits.len() && it.starts_with(digits));
    match (exact, longer && !settled) {
        (_, true) => Judgement::More,
        (true, false) => Judgement::Take,
        (false, false) => Judgement::Wrong,
    }
}

const SYS_INVALID: &str = "sys.invalid";
const SYS_NOINPUT: &str = "sys.noinput";

impl Input {
    /// Reads `input` over `base`.
    pub(crate) fn read(fields: &mut Fields<'_>, base: Self) -> Self {
        let Some(mut it) = fields.map("input") else { return base };
        let term = KeyRule::read(&mut it, "term").or(base.term);
        let input = Self {
            first_timeout: it.duration("first_timeout").unwrap_or(base.first_timeout),
            inter_digit: it.duration("inter_digit").unwrap_or(base.inter_digit),
            term,
            barge_in: match it.choice("barge_in", &["none", "dtmf"]) {
                Some(word) => word == "dtmf",
                None => base.barge_in,
            },
            flush: match it.choice("type_ahead", &["keep", "flush"]) {
                Some(word) => word == "flush",
                None => base.flush,
            },
            grace: it.duration("grace").unwrap_or(base.grace),
        };
        it.finish();
        input
    }
}

impl Asking {
    pub(super) fn read(it: &mut NodeReader<'_>, attempts: u32) -> Option<Self> {
        let prompt = it.required_prompt("prompt");
        let prompt_short = it.prompt("prompt_short");
        let invalid = it.prompt("invalid_prompt");
        let noinput = it.prompt("noinput_prompt");
        let defaults = it.defaults();
        let input = Input::read(&mut it.fields, defaults.input);
        let max_attempts = it
            .fields
            .int("max_attempts", 1, 10)
            .and_then(|it| u32::try_from(it).ok())
            .or(defaults.max_attempts)
            .unwrap_or(attempts);
        let invalid = invalid.or_else(|| defaults.invalid_prompt.clone());
        let noinput = noinput.or_else(|| defaults.noinput_prompt.clone());
        let invalid_prompt = invalid.unwrap_or_else(|| it.system_prompt(SYS_INVALID, max_attempts));
        let noinput_prompt = noinput.unwrap_or_else(|| it.system_prompt(SYS_NOINPUT, max_attempts));
        let prompt = prompt?;
        it.warn_long_unbreakable(&prompt, input.barge_in);
        Some(Self {
            prompt_short: prompt_short.unwrap_or_else(|| prompt.clone()),
            prompt,
            invalid_prompt,
            noinput_prompt,
            input,
            max_attempts,
        })
    }
}

impl Prompt {
    pub(crate) fn one(id: &str) -> Self {
        Self { parts: vec![PromptPart::Fixed(PromptId::new(id))] }
    }
}
