//! From node to node.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use hotline_base::{FlowId, Now};

use super::{Frame, Last, Session, Turn, Wait, Why, values::harmless};
use crate::{
    Environment, FlowFact, Returned, Step, Value,
    flow::{Flow, Node, NodeIdx},
    node::{NodeKind, VarRef},
};

impl Session {
    /// Enters nodes until one waits.
    pub(super) fn run(&mut self, env: &dyn Environment, now: Now) {
        while matches!(self.wait, Wait::Ready) {
            let turn = self.enter(env, now);
            self.act(turn, env, now);
        }
    }

    fn enter(&mut self, env: &dyn Environment, now: Now) -> Turn {
        let Some((flow, at)) = self.here() else { return self.rescue("no flow", now) };
        let Some(node) = flow.node(at) else { return self.rescue("no node", now) };
        let wanted = node.when.as_ref().map_or(Ok(true), |it| self.holds(it, env, now));
        if wanted == Ok(true) && node.kind.needs_audio() && !self.answered {
            self.wait = Wait::Answer { again: true };
            self.steps.push_back(Step::Answer);
            return Turn::Wait;
        }
        self.n_steps += 1;
        self.n_without_wait += 1;
        if self.n_without_wait > flow.limits.steps_without_wait {
            return self.rescue("max_steps_without_wait", now);
        }
        let all = self.limits().map_or(0, |it| it.steps);
        if self.n_steps > all {
            return self.rescue("max_steps", now);
        }
        match wanted {
            Ok(true) => (),
            Ok(false) => return self.skip(node, now),
            Err(reason) => return Turn::Fail(reason),
        }
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{}/{}", flow.id, node.id));
        }
        if matches!(node.kind, NodeKind::Menu(_)) {
            self.note_menu(at);
        }
        node.kind.enter(self, env, now)
    }

    /// The running flow and its node.
    pub(super) fn here(&self) -> Option<(Arc<Flow>, NodeIdx)> {
        self.frames.last().map(|it| (Arc::clone(&it.flow), it.at))
    }

    /// Does what a turn says.
    pub(super) fn act(&mut self, turn: Turn, env: &dyn Environment, now: Now) {
        let mut turn = turn;
        loop {
            turn = match turn {
                Turn::Wait => {
                    if !matches!(self.wait, Wait::Ready) {
                        self.n_without_wait = 0;
                    }
                    return;
                }
                Turn::Moved => return,
                Turn::Jump(to) => {
                    self.node_fact("back", now);
                    self.go(to, now);
                    return;
                }
                Turn::Leave(outcome) => self.leave(outcome, now),
                Turn::Fail(reason) => self.fail(&reason, now),
                Turn::Wrong => self.wrong_answer(env, now),
                Turn::HangUp => self.after_goodbye(env, now),
                Turn::Returned => self.after_visit(env, now),
            };
        }
    }

    fn leave(&mut self, outcome: Cow<'static, str>, now: Now) -> Turn {
        self.last.reason.clear();
        self.last.outcome.clone_from(&outcome);
        self.node_fact(outcome.clone(), now);
        match self.exit(&outcome) {
            Some(to) => {
                self.go(to, now);
                Turn::Moved
            }
            None => self.on_error(&outcome, now),
        }
    }

    /// A node could not do its work: its `error` outcome, or `on_error`.
    fn fail(&mut self, reason: &str, now: Now) -> Turn {
        self.last =
            Last { outcome: "error".into(), reason: reason.to_owned(), digits: String::new() };
        self.node_fact("error", now);
        match self.exit("error") {
            Some(to) => {
                self.error_fact(reason, crate::ErrorHop::OnError);
                self.go(to, now);
                Turn::Moved
            }
            None => self.on_error(reason, now),
        }
    }

    fn skip(&mut self, node: &Node, now: Now) -> Turn {
        match node.skip {
            Some(to) => {
                self.node_fact("skipped", now);
                self.go(to, now);
                Turn::Moved
            }
            None => self.on_error("skipped", now),
        }
    }

    pub(super) fn exit(&self, outcome: &str) -> Option<NodeIdx> {
        let frame = self.frames.last()?;
        frame.flow.node(frame.at)?.exit(outcome)?.to
    }

    pub(crate) fn has_exit(&self, outcome: &str) -> bool {
        let frame = self.frames.last();
        frame
            .and_then(|it| it.flow.node(it.at))
            .is_some_and(|it| outcome != "else" && it.exit(outcome).is_some())
    }

    pub(super) fn go(&mut self, to: NodeIdx, now: Now) {
        if let Some(frame) = self.frames.last_mut() {
            frame.at = to;
            frame.entered = now.mono;
        }
        self.wait = Wait::Ready;
    }

    pub(super) fn node_fact(&mut self, outcome: impl Into<Cow<'static, str>>, now: Now) {
        let Some(frame) = self.frames.last() else { return };
        let Some(node) = frame.flow.node(frame.at).filter(|it| it.stat) else { return };
        let ms = now.mono.since(frame.entered).as_millis();
        let fact = FlowFact::Node {
            flow: frame.flow.id.clone(),
            node: Arc::clone(&node.id),
            outcome: outcome.into(),
            kind: node.kind.name().into(),
            milestone: node.milestone.clone(),
            ms: u64::try_from(ms).unwrap_or(u64::MAX),
        };
        self.fact(fact);
    }

    // Flows within flows

    pub(super) fn push_frame(
        &mut self,
        flow: &FlowId,
        given: &BTreeMap<String, Value>,
        why: Why,
        now: Now,
    ) -> Result<(), String> {
        let flow = self
            .bundle
            .flows
            .get(flow)
            .ok_or_else(|| format!("unknown flow {}", harmless(flow.as_str())))?;
        let flow = Arc::clone(flow);
        let depth_max = self.frames.first().map_or(8, |it| it.flow.limits.depth);
        if self.frames.len() >= depth_max {
            return Err("max_depth".to_owned());
        }
        let params = Self::bind(&flow, given)?;
        self.push_bound(flow, params, why, now);
        Ok(())
    }

    pub(super) fn push_bound(&mut self, flow: Arc<Flow>, params: Vec<Value>, why: Why, now: Now) {
        let vars = flow.vars.iter().map(|it| it.default.clone()).collect();
        self.frames.push(Frame {
            at: flow.start,
            flow,
            entered: now.mono,
            params,
            vars,
            why,
            menus: Vec::new(),
            n_failures: 0,
        });
        self.wait = Wait::Ready;
    }

    pub(crate) fn enter_subflow(
        &mut self,
        flow: &FlowId,
        args: &BTreeMap<String, Value>,
        into: &[(String, VarRef)],
        now: Now,
    ) -> Turn {
        match self.push_frame(flow, args, Why::Call { into: into.to_vec() }, now) {
            Ok(()) => Turn::Moved,
            Err(reason) => Turn::Fail(reason),
        }
    }

    /// `return`: back to the node that entered this flow.
    pub(crate) fn leave_flow(&mut self, values: &BTreeMap<String, Value>, now: Now) -> Turn {
        match self.frames.last().map(|it| &it.why) {
            Some(Why::Call { .. } | Why::AfterAgent) => (),
            Some(Why::Visit(_)) => {
                self.node_fact("return", now);
                return self.end_visit(Returned::Done, values);
            }
            Some(Why::Entry | Why::Fallback | Why::Platform) | None => {
                return Turn::fail("return without a caller");
            }
        }
        self.node_fact("return", now);
        let Some(frame) = self.frames.pop() else { return Turn::fail("no flow") };
        let Why::Call { into } = frame.why else { return Turn::leave("agent_done") };
        for (name, var) in into {
            if let Some(value) = values.get(&name) {
                self.assign(var, value.clone());
            }
        }
        Turn::leave("done")
    }

    /// The way through the menus, for the back key.
    fn note_menu(&mut self, at: NodeIdx) {
        let Some(frame) = self.frames.last_mut() else { return };
        match frame.menus.iter().position(|it| *it == at) {
            Some(known) => frame.menus.truncate(known + 1),
            None => frame.menus.push(at),
        }
    }

    /// The menu before this one.
    pub(super) fn menu_before(&mut self) -> Option<NodeIdx> {
        let menus = &mut self.frames.last_mut()?.menus;
        let before = menus.len().checked_sub(2)?;
        menus.pop();
        menus.get(before).copied()
    }
}
