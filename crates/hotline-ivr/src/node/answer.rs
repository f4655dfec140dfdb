//! `answer` and `pause`.

use std::time::Duration;

use hotline_base::Now;

use super::{Need, Outcome, outcome};
use crate::{
    check::NodeReader,
    session::{Session, Turn},
};

/// Answers the call; billing starts here.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) delay: Duration,
}

/// Waits. Keys go to the type-ahead buffer, or nowhere.
#[derive(Clone, Debug)]
pub(crate) struct Pause {
    pub(crate) duration: Duration,
    pub(crate) listen_dtmf: bool,
}

const ANSWER: [Outcome; 2] = [outcome("done", Need::Main), outcome("error", Need::Covered)];
const PAUSE: [Outcome; 1] = [outcome("done", Need::Main)];

impl Answer {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Self {
        it.exits(&ANSWER);
        Self { delay: it.fields.duration("delay").unwrap_or_default() }
    }

    pub(super) fn enter(&self, session: &mut Session, now: Now) -> Turn {
        if session.is_answered() {
            Turn::leave("done")
        } else if self.delay.is_zero() {
            session.ask_for_answer(now)
        } else {
            session.pause_before_answer(self.delay, now)
        }
    }
}

/// Longer silence than this is not a pause but a broken flow.
const PAUSE_MAX: Duration = Duration::from_mins(1);

impl Pause {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&PAUSE);
        let duration = it.fields.required_duration("duration")?;
        if duration > PAUSE_MAX {
            it.fields.wrong("duration", "E04", "停顿最长 60s", "改短，或播放提示音");
        }
        Some(Self { duration, listen_dtmf: it.fields.bool("listen_dtmf").unwrap_or(true) })
    }

    pub(super) fn enter(&self, session: &mut Session, now: Now) -> Turn {
        session.pause(self.duration, self.listen_dtmf, now)
    }
}
