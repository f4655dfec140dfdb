//! `play`: prompts without a question.

use std::time::Duration;

use hotline_base::Now;

use super::{Need, Outcome, Prompt, outcome};
use crate::{
    Environment,
    check::NodeReader,
    session::{PlayOrder, Session, Turn},
};

#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) prompt: Prompt,
    /// A key ends the prompt.
    pub(crate) barge_in: bool,
    /// Keys before and during the prompt are dropped.
    pub(crate) flush: bool,
    pub(crate) repeat: u32,
    pub(crate) gap: Duration,
    pub(crate) max_time: Duration,
    /// A prompt that is missing is left out instead of being an error.
    pub(crate) skip_missing: bool,
}

const OUTCOMES: [Outcome; 3] = [
    outcome("done", Need::Main),
    outcome("interrupted", Need::Like("done")),
    outcome("error", Need::Covered),
];

impl Play {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&OUTCOMES);
        let prompt = it.required_prompt("prompt");
        let barge_in = it.fields.choice("barge_in", &["none", "dtmf"]) == Some("dtmf");
        if !barge_in {
            it.drop_exit("interrupted");
        }
        let flush = it.fields.choice("type_ahead", &["keep", "flush"]) == Some("flush");
        let repeat = it.fields.int("repeat", 1, 100).unwrap_or(1);
        let gap = it.fields.duration("gap").unwrap_or(Duration::from_millis(300));
        let max_time = it.fields.duration("max_time").unwrap_or(Duration::from_mins(1));
        let skip_missing = it.fields.choice("if_missing", &["skip", "error"]) == Some("skip");
        let prompt = prompt?;
        it.warn_long_unbreakable(&prompt, barge_in);
        Some(Self {
            prompt,
            barge_in,
            flush,
            repeat: u32::try_from(repeat).unwrap_or(1),
            gap,
            max_time,
            skip_missing,
        })
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        let prompts = if self.skip_missing {
            session.prompts_known(&self.prompt, env, now)
        } else {
            match session.prompts(&self.prompt, env, now) {
                Ok(prompts) => prompts,
                Err(reason) => return Turn::Fail(reason),
            }
        };
        if self.flush {
            session.flush_typed();
        }
        if prompts.is_empty() {
            return Turn::leave("done");
        }
        // Keys that wait interrupt what a key may interrupt.
        if self.barge_in && session.has_typed() {
            return Turn::leave("interrupted");
        }
        session.begin_play(
            PlayOrder {
                prompts,
                times: self.repeat,
                gap: self.gap,
                barge_in: self.barge_in,
                limit: self.max_time,
            },
            now,
        )
    }
}
