//! 挂起转: a flow in the middle of a talk. The agent waits, and gets the caller back.

use std::{collections::BTreeMap, sync::Arc};

use hotline_base::{FlowId, Now, Pii};

use super::{Entry, Frame, Leg, Session, Turn, Wait, Why};
use crate::{
    Bundle, Environment, FlowKind, Returned, Step, Value,
    flow::{Flow, Limits},
};

/// The talk that goes on when the flow is left.
pub(super) struct Parked {
    wait: Wait,
    clock: super::FlowClock,
    n_steps: u32,
    /// The agent left meanwhile: there is nobody to go back to.
    pub(super) left: Option<Leg>,
}

impl Session {
    /// A session for a talk that no flow of this process led to: a call that an agent made, or one
    /// that an earlier control process began. It lives for one [`Event::Suspended`].
    ///
    /// [`Event::Suspended`]: crate::Event::Suspended
    pub fn in_talk(bundle: Arc<Bundle>, entry: Entry) -> Self {
        Self { wait: Wait::Talk, answered: true, in_talk: true, ..Self::new(bundle, entry) }
    }

    /// A flow goes on when the talk is over.
    pub const fn has_flow(&self) -> bool {
        !self.in_talk
    }

    /// Whether the caller may be sent to this flow now: he talks to an agent, and the bundle has a
    /// flow of this name that is `kind: mid_call` and needs no arguments.
    pub fn may_visit(&self, flow: &FlowId) -> bool {
        let talks = match &self.wait {
            Wait::Queue(it) => it.talks(),
            Wait::Talk => true,
            Wait::Ready
            | Wait::Start
            | Wait::Answer { .. }
            | Wait::Delay { .. }
            | Wait::Pause { .. }
            | Wait::Play(_)
            | Wait::Goodbye { .. }
            | Wait::Input(_)
            | Wait::Done => false,
        };
        talks && self.mid_call(flow).is_some()
    }

    /// The flow and the values of its parameters.
    fn mid_call(&self, flow: &FlowId) -> Option<(Arc<Flow>, Vec<Value>)> {
        let flow = self.bundle.flows.get(flow).filter(|it| it.kind == FlowKind::MidCall)?;
        let params = Self::bind(flow, &BTreeMap::new()).ok()?;
        Some((Arc::clone(flow), params))
    }

    pub(super) fn on_suspended(&mut self, flow: &FlowId, leg: Leg, now: Now) -> Turn {
        if !self.may_visit(flow) {
            return Turn::Wait;
        }
        let Some((flow, params)) = self.mid_call(flow) else { return Turn::Wait };
        let parked = Parked {
            wait: std::mem::replace(&mut self.wait, Wait::Ready),
            clock: std::mem::take(&mut self.clock),
            n_steps: std::mem::take(&mut self.n_steps),
            left: None,
        };
        self.leg = Some(leg);
        self.n_without_wait = 0;
        self.clock.restart(now);
        self.push_bound(flow, params, Why::Visit(Box::new(parked)), now);
        Turn::Moved
    }

    pub(super) fn on_recalled(&mut self, now: Now) -> Turn {
        if self.parked().is_none() {
            return Turn::Wait;
        }
        self.stop_playing();
        self.node_fact("recalled", now);
        self.end_visit(Returned::Recalled, &BTreeMap::new())
    }

    /// The talk that waits for the flow the caller is in.
    pub(super) fn parked(&mut self) -> Option<&mut Parked> {
        self.frames.iter_mut().rev().find_map(|it| match &mut it.why {
            Why::Visit(parked) => Some(parked.as_mut()),
            Why::Entry | Why::Call { .. } | Why::AfterAgent | Why::Fallback | Why::Platform => None,
        })
    }

    /// The flow in the middle of the talk is left, with all it had entered.
    pub(super) fn end_visit(&mut self, how: Returned, values: &BTreeMap<String, Value>) -> Turn {
        let is_visit = |it: &Frame| matches!(it.why, Why::Visit(_));
        let Some(at) = self.frames.iter().rposition(is_visit) else { return Turn::Wait };
        self.frames.truncate(at + 1);
        let Some(Frame { why: Why::Visit(parked), .. }) = self.frames.pop() else {
            return Turn::Wait;
        };
        self.flush_typed();
        self.swallow = None;
        (self.wait, self.clock, self.n_steps) = (parked.wait, parked.clock, parked.n_steps);
        self.n_without_wait = 0;
        self.left_meanwhile = parked.left;
        let values = values.iter().map(|(name, it)| (name.clone(), Pii::new(it.to_text())));
        self.steps.push_back(Step::Returned { how, values: values.collect() });
        Turn::Returned
    }

    /// With the agent again, or after the talk when he is gone.
    pub(super) fn after_visit(&mut self, env: &dyn Environment, now: Now) -> Turn {
        match self.left_meanwhile.take().filter(|_| !self.in_talk) {
            Some(leg) => {
                let leg = Leg { surveyed: self.rated, ..leg };
                self.on_agent_done(leg, env, now)
            }
            None => Turn::Wait,
        }
    }

    /// Limits of the flow that was entered from outside.
    pub(super) fn limits(&self) -> Option<&Limits> {
        let visit = self.frames.iter().rev().find(|it| matches!(it.why, Why::Visit(_)));
        visit.or(self.frames.first()).map(|it| &it.flow.limits)
    }

    /// What the caller presses is secret while a question of that kind waits for it.
    pub(super) fn note_secret(&mut self) {
        let asks = matches!(self.wait, Wait::Input(_));
        let secret = self.here().filter(|_| asks).is_some_and(|(flow, at)| {
            let ask = flow.node(at).and_then(|it| it.kind.as_ask());
            ask.is_some_and(crate::node::Ask::is_secret)
        });
        if secret != self.masked {
            self.masked = secret;
            self.steps.push_back(Step::Mask { on: secret });
        }
    }
}
