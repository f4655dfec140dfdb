//! The end of a call: the last word, and the hang-up chain (4.8).

use std::time::Duration;

use hotline_base::{Now, PromptId};

use super::{PlayOrder, Session, Turn, Wait, Why, play::GUARD};
use crate::{EndReason, Environment, ErrorHop, FlowFact, SessionEnd, Step, flow::NodeIdx};

/// Longest last word.
const GOODBYE_MAX: Duration = Duration::from_mins(1);
/// Nodes of one hang-up chain.
const CHAIN_MAX: usize = 50;

impl Session {
    /// Plays the last word, then hangs up.
    pub(crate) fn say_goodbye(
        &mut self,
        prompts: Vec<PromptId>,
        reason: &str,
        cause: u8,
        now: Now,
    ) -> Turn {
        let until = if prompts.is_empty() { now.mono } else { now.mono + GOODBYE_MAX + GUARD };
        let play = if prompts.is_empty() {
            0
        } else {
            let (gap, limit) = (Duration::ZERO, GOODBYE_MAX);
            let order = PlayOrder { prompts, times: 1, gap, barge_in: false, limit };
            self.order_play(order, Duration::ZERO)
        };
        let silent = play == 0;
        self.wait = Wait::Goodbye { play, until, reason: reason.to_owned(), cause };
        if silent { Turn::HangUp } else { Turn::Wait }
    }

    pub(super) fn after_goodbye(&mut self, env: &dyn Environment, now: Now) -> Turn {
        let Wait::Goodbye { reason, cause, .. } = &self.wait else { return Turn::Wait };
        let (reason, cause) = (reason.clone(), *cause);
        let platform = matches!(self.frames.last().map(|it| &it.why), Some(Why::Platform) | None);
        let (end, why) = match reason.as_str() {
            "ivr_error" if platform => (SessionEnd::Failed, EndReason::Error),
            _ => (SessionEnd::Finished, EndReason::SystemHangup),
        };
        self.steps.push_back(Step::HangUp { reason, cause, end });
        self.node_fact("hangup", now);
        self.finish(why, env, now);
        Turn::Moved
    }

    pub(super) fn on_hung_up(
        &mut self,
        reason: EndReason,
        env: &dyn Environment,
        now: Now,
    ) -> Turn {
        let reason = self.queue_end_reason(reason);
        self.node_fact("left", now);
        self.finish(reason, env, now);
        Turn::Moved
    }

    /// Runs the chain of every flow that was entered and not left, the innermost first.
    fn finish(&mut self, reason: EndReason, env: &dyn Environment, now: Now) {
        self.end_reason = Some(reason);
        while let Some(frame) = self.frames.last() {
            let flow = frame.flow.id.clone();
            if let Some(start) = frame.flow.on_hangup {
                self.run_chain(start, env, now);
            }
            self.fact(FlowFact::LeftFlow { flow, reason });
            self.frames.pop();
        }
        self.wait = Wait::Done;
    }

    fn run_chain(&mut self, start: NodeIdx, env: &dyn Environment, now: Now) {
        let mut next = Some(start);
        for _ in 0..CHAIN_MAX {
            let Some(at) = next else { return };
            self.go(at, now);
            let Some((flow, _)) = self.here() else { return };
            let Some(node) = flow.node(at).filter(|it| it.kind.may_follow_hangup()) else {
                self.error_fact("illegal node in hang-up chain", ErrorHop::Ignored);
                return;
            };
            if let Some(trace) = &mut self.trace {
                trace.push(format!("{}/{}", flow.id, node.id));
            }
            let wanted = node.when.as_ref().map_or(Ok(true), |it| self.holds(it, env, now));
            let turn = match wanted {
                Ok(true) => node.kind.enter(self, env, now),
                Ok(false) => {
                    next = node.skip;
                    continue;
                }
                Err(reason) => Turn::Fail(reason),
            };
            next = match turn {
                Turn::Leave(outcome) => {
                    self.node_fact(outcome.clone(), now);
                    self.exit(&outcome)
                }
                Turn::Fail(reason) => {
                    self.node_fact("error", now);
                    self.error_fact(&reason, ErrorHop::Ignored);
                    self.exit("error").or_else(|| self.exit("done"))
                }
                Turn::Wait
                | Turn::Wrong
                | Turn::Jump(_)
                | Turn::HangUp
                | Turn::Returned
                | Turn::Moved => None,
            };
        }
        self.error_fact("hang-up chain too long", ErrorHop::Ignored);
    }
}
