//! `hangup`: the end of a call, with a last word.

use hotline_base::{Now, PromptId};

use super::{Prompt, PromptPart};
use crate::{
    Environment,
    check::NodeReader,
    session::{Session, Turn},
};

#[derive(Clone, Debug)]
pub(crate) struct Hangup {
    pub(crate) prompt: Option<Prompt>,
    /// Q.850.
    pub(crate) cause: u8,
    /// Tag for the record.
    pub(crate) reason: String,
}

impl Hangup {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        let prompt = it.prompt("prompt");
        let cause = it.fields.int("cause", 1, 127).unwrap_or(16);
        let reason = it.fields.required_text("reason")?;
        Some(Self { prompt, cause: u8::try_from(cause).unwrap_or(16), reason })
    }

    pub(crate) fn fixed(prompt: PromptId, reason: &str) -> Self {
        let prompt = Prompt { parts: vec![PromptPart::Fixed(prompt)] };
        Self { prompt: Some(prompt), cause: 16, reason: reason.to_owned() }
    }

    /// A prompt that is missing does not keep the line open.
    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        let prompts = match &self.prompt {
            Some(prompt) => session.prompts_known(prompt, env, now),
            None => Vec::new(),
        };
        session.say_goodbye(prompts, &self.reason, self.cause, now)
    }
}
