//! Errors lead to a person (4.6): the flow's `on_error`, its caller's, the fallback flow once, the
//! platform's queue, and only then an apology.

use std::{collections::BTreeMap, sync::Arc};

use hotline_base::{Now, PromptId};

use super::{Session, Turn, Wait, Why};
use crate::{ErrorHop, FlowFact, Returned};

/// How far the platform had to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rescue {
    None,
    /// The fallback flow was entered.
    Flow,
    /// The platform's queue was entered.
    Platform,
    /// The apology was ordered.
    Apology,
}

/// How often one visit of a flow may use its `on_error`.
const FAILURES_MAX: u32 = 5;

/// What a flow does about an error nobody wired.
enum Next {
    OnError(crate::flow::NodeIdx),
    /// The calling flow decides.
    Unwind,
    /// The survey failed: the caller has been served.
    Served,
    Rescue,
}

impl Session {
    /// An outcome leads nowhere, or a node failed.
    pub(super) fn on_error(&mut self, reason: &str, now: Now) -> Turn {
        loop {
            match self.next_after_error() {
                Next::OnError(to) => {
                    self.error_fact(reason, ErrorHop::OnError);
                    if let Some(frame) = self.frames.last_mut() {
                        frame.n_failures += 1;
                    }
                    self.go(to, now);
                    return Turn::Moved;
                }
                Next::Unwind => {
                    self.error_fact(reason, ErrorHop::Unwound);
                    self.frames.pop();
                    self.node_fact("error", now);
                    if let Some(to) = self.exit("error") {
                        self.go(to, now);
                        return Turn::Moved;
                    }
                }
                Next::Served => {
                    self.error_fact(reason, ErrorHop::Ignored);
                    self.frames.pop();
                    return Turn::leave("agent_done");
                }
                Next::Rescue => return self.rescue(reason, now),
            }
        }
    }

    fn next_after_error(&self) -> Next {
        let Some(frame) = self.frames.last() else { return Next::Rescue };
        // A second failure inside the fallback goes straight to the platform's queue.
        let trusted = !matches!(frame.why, Why::Fallback);
        if let Some(to) = frame.flow.on_error
            && to != frame.at
            && frame.n_failures < FAILURES_MAX
            && trusted
        {
            return Next::OnError(to);
        }
        match frame.why {
            Why::Call { .. } => Next::Unwind,
            Why::AfterAgent => Next::Served,
            Why::Entry | Why::Fallback | Why::Platform | Why::Visit(_) => Next::Rescue,
        }
    }

    /// The platform takes over. The failed flows stay below, so that their hang-up chains run.
    pub(super) fn rescue(&mut self, reason: &str, now: Now) -> Turn {
        self.stop_playing();
        self.flush_typed();
        self.n_steps = 0;
        self.n_without_wait = 0;
        self.clock.restart(now);
        if self.parked().is_some() {
            self.error_fact(reason, ErrorHop::Unwound);
            return self.end_visit(Returned::Failed, &BTreeMap::new());
        }
        // Who has talked to a person is not queued again because a survey went wrong.
        let survey = self.frames.iter().rposition(|it| matches!(it.why, Why::AfterAgent));
        if let Some(survey) = survey {
            self.error_fact(reason, ErrorHop::Ignored);
            self.frames.truncate(survey);
            return Turn::leave("agent_done");
        }
        let fallback = self.bundle.fallback_flow.as_ref().and_then(|it| self.bundle.flows.get(it));
        if self.rescue == Rescue::None
            && let Some(flow) = fallback.map(Arc::clone)
            && let Ok(params) = Self::bind(&flow, &BTreeMap::new())
        {
            self.error_fact(reason, ErrorHop::FallbackFlow);
            self.rescue = Rescue::Flow;
            self.push_bound(flow, params, Why::Fallback, now);
            return Turn::Moved;
        }
        if matches!(self.rescue, Rescue::None | Rescue::Flow) {
            self.error_fact(reason, ErrorHop::PlatformQueue);
            self.rescue = Rescue::Platform;
            let platform = Arc::clone(&self.bundle.platform);
            self.push_bound(platform, Vec::new(), Why::Platform, now);
            return Turn::Moved;
        }
        self.error_fact(reason, ErrorHop::Apology);
        let sorry = PromptId::new("sys.later");
        let first = self.rescue == Rescue::Platform && self.answered;
        self.rescue = Rescue::Apology;
        let known = first && self.bundle.prompts.contains(&sorry);
        let prompts = if known { vec![sorry] } else { Vec::new() };
        self.say_goodbye(prompts, "ivr_error", 16, now)
    }

    pub(super) fn stop_playing(&mut self) {
        let play = match &self.wait {
            Wait::Play(it) => Some(it.play),
            Wait::Input(it) => it.play,
            Wait::Goodbye { play, .. } => Some(*play),
            Wait::Ready
            | Wait::Start
            | Wait::Answer { .. }
            | Wait::Delay { .. }
            | Wait::Pause { .. }
            | Wait::Queue(_)
            | Wait::Talk
            | Wait::Done => None,
        };
        if let Some(play) = play {
            self.steps.push_back(crate::Step::StopPlay { play });
        }
    }

    pub(super) fn error_fact(&mut self, reason: &str, hop: ErrorHop) {
        let (flow, node) = self.place();
        self.fact(FlowFact::Error { flow, node, reason: reason.to_owned(), hop });
    }
}
