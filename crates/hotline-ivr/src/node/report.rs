//! `tag`, `log` and `event`: what a flow tells others.

use hotline_base::{Now, Pii};

use super::{Need, Outcome, outcome};
use crate::{
    Environment, FlowFact, LogLevel,
    check::NodeReader,
    expr::{Expr, Template},
    session::{Session, Turn},
};

/// Marks the call for its record, for search and for reports.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) add: Vec<String>,
    pub(crate) remove: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) level: LogLevel,
    pub(crate) text: Template,
}

/// A business event for other systems.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) topic: String,
    pub(crate) data: Vec<(String, Expr)>,
}

const DONE: [Outcome; 1] = [outcome("done", Need::Main)];

impl Tag {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Self {
        it.exits(&DONE);
        Self { add: it.fields.texts("add"), remove: it.fields.texts("remove") }
    }

    pub(super) fn enter(&self, session: &mut Session) -> Turn {
        for tag in &self.add {
            session.fact(FlowFact::Tagged(tag.clone()));
        }
        for tag in &self.remove {
            session.fact(FlowFact::Untagged(tag.clone()));
        }
        Turn::leave("done")
    }
}

impl Log {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&DONE);
        let level = match it.fields.choice("level", &["debug", "info", "warn"]) {
            Some("debug") => LogLevel::Debug,
            Some("warn") => LogLevel::Warn,
            _ => LogLevel::Info,
        };
        let text = it.template("text")?;
        it.forbid_personal("text", &text);
        Some(Self { level, text })
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        match session.text(&self.text, env, now) {
            Ok(text) => {
                session.fact(FlowFact::Logged { level: self.level, text: text.into_owned() });
                Turn::leave("done")
            }
            Err(reason) => Turn::Fail(reason),
        }
    }
}

impl Note {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&DONE);
        let topic = it.fields.required_text("topic");
        let mut data = Vec::new();
        if let Some(mut fields) = it.fields.map("data") {
            for name in fields.keys() {
                if let Some(expr) = it.any_expr_in(&mut fields, &name) {
                    data.push((name, expr));
                }
            }
            fields.finish();
        }
        Some(Self { topic: topic?, data })
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        let mut data = Vec::new();
        for (name, expr) in &self.data {
            match session.value(expr, env, now) {
                Ok(value) => data.push((name.clone(), Pii::new(value.to_text()))),
                Err(reason) => return Turn::Fail(reason),
            }
        }
        session.fact(FlowFact::Noted { topic: self.topic.clone(), data });
        Turn::leave("done")
    }
}
