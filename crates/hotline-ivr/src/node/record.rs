//! `record` (录音): begins, ends and mutes the recording of the call.

use super::{Need, Outcome, outcome};
use crate::{
    RecordAction, Step,
    check::NodeReader,
    session::{Session, Turn},
};

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) action: RecordAction,
}

const OUTCOMES: [Outcome; 1] = [outcome("done", Need::Main)];

impl Record {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&OUTCOMES);
        let text = it.fields.required_text("action")?;
        let action = RecordAction::of(&text);
        if action.is_none() {
            let advice = format!("可用：{}", RecordAction::NAMES.join("、"));
            it.fields.wrong("action", "E04", &format!("不支持“{text}”"), &advice);
        }
        Some(Self { action: action? })
    }

    pub(super) fn enter(&self, session: &mut Session) -> Turn {
        let flow = session.flow();
        session.step(Step::Record { flow, action: self.action });
        Turn::leave("done")
    }
}
