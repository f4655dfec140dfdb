//! What the robots know of each other and what the screen shows.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::watch, time::Instant};

/// Lines of the log on the screen.
const LINES_MAX: usize = 8;

/// Where a caller is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Dialling,
    InFlow,
    Waiting,
    Ringing { agent: String },
    Talking { agent: String },
    AfterTalk,
    Gone { how: &'static str },
}

impl Step {
    pub(super) const GAVE_UP: Self = Self::Gone { how: "放弃等候" };

    pub(super) fn text(&self) -> String {
        match self {
            Self::Dialling => "拨号".to_owned(),
            Self::InFlow => "听语音导航".to_owned(),
            Self::Waiting => "排队等候".to_owned(),
            Self::Ringing { agent } => format!("正在呼叫 {agent}"),
            Self::Talking { agent } => format!("与 {agent} 通话"),
            Self::AfterTalk => "评价".to_owned(),
            Self::Gone { how } => (*how).to_owned(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) step: Step,
    pub(super) since: Instant,
    /// Tells the caller's robot what the agents' robots did.
    cue: watch::Sender<Step>,
}

/// Cheap to clone; all clones are the same scene.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
pub(super) struct Shown {
    /// By the caller's number; in the order of their first call.
    pub(super) callers: BTreeMap<usize, (String, Line)>,
    pub(super) log: VecDeque<String>,
    pub(super) n_calls: usize,
    pub(super) n_answered: usize,
    pub(super) n_abandoned: usize,
    /// Lines of the log not printed yet, where the screen cannot be redrawn.
    pub(super) news: Vec<String>,
}

impl Scene {
    pub(super) fn look(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A caller of place `index` dials. What is received says how the agents' side moves.
    pub(super) fn dial(&self, index: usize, number: &str) -> watch::Receiver<Step> {
        let (cue, cues) = watch::channel(Step::Dialling);
        let line = Line { step: Step::Dialling, since: Instant::now(), cue };
        let mut it = self.look();
        it.callers.insert(index, (number.to_owned(), line));
        it.n_calls += 1;
        it.say(format!("{} 拨入", shown(number)));
        cues
    }

    /// The caller of a place has come to a step.
    pub(super) fn step(&self, index: usize, step: Step) {
        let mut it = self.look();
        let Some((number, line)) = it.callers.get_mut(&index) else { return };
        let text = format!("{} {}", shown(number), step.text());
        line.step = step.clone();
        line.since = Instant::now();
        it.n_answered += usize::from(matches!(step, Step::Talking { .. }));
        it.n_abandoned += usize::from(step == Step::GAVE_UP);
        it.say(text);
    }

    /// An agent's robot tells the caller with this number.
    pub(super) fn cue(&self, number: &str, step: Step) {
        let index = {
            let it = self.look();
            let found = it.callers.iter().find(|(_, it)| it.0 == number);
            found.map(|(index, (_, line))| (*index, line.cue.clone()))
        };
        if let Some((index, cue)) = index {
            self.step(index, step.clone());
            cue.send_replace(step);
        }
    }
}

impl Shown {
    fn say(&mut self, line: String) {
        if self.log.len() == LINES_MAX {
            self.log.pop_front();
        }
        self.log.push_back(line.clone());
        self.news.push(line);
    }
}

/// Robots' numbers are nobody's; they are masked as everybody's are.
pub(super) fn shown(number: &str) -> String {
    let (head, tail) = (number.get(..3), number.get(number.len().saturating_sub(4)..));
    format!("{}****{}", head.unwrap_or_default(), tail.unwrap_or_default())
}
