//! The graph of a flow: what is reached, what spins, what nobody wired.

use std::collections::BTreeSet;

use super::{Desk, Spot, header::Read, secret};
use crate::RecordAction;
use crate::flow::{Flow, FlowKind, Node, NodeIdx};
use crate::node::{NodeKind, Record, VarRef};

pub(super) fn check(read: &Read, desk: &Desk) {
    let flow = &read.flow;
    let spot = Spot::new(desk, &read.file).under("nodes");
    let live = reach(flow, [Some(flow.start), flow.on_error].into_iter().flatten());
    let chain = reach(flow, flow.on_hangup);
    for (idx, node) in flow.nodes.iter().enumerate() {
        let (idx, spot) = (NodeIdx(idx), spot.under(&node.id));
        let at = place(read, idx);
        if !live.contains(&idx) && !chain.contains(&idx) && !read.draft {
            spot.complain(at, "E10", "从 start 到不了此节点", "接上它，或删去");
        }
        if chain.contains(&idx) && !node.kind.may_follow_hangup() {
            let text = format!("挂机链中不能有 {} 节点", node.kind.name());
            spot.complain(at, "E18", &text, "挂机链只用 set branch switch log tag event");
        }
        legal(flow.kind, node, &spot, at);
    }
    for open in &read.uses.open {
        // In a hang-up chain the end of the road is the end.
        if live.contains(&open.node) {
            let spot = Spot { path: open.path.clone(), ..spot.clone() };
            let text = format!("结果 {} 没有去处", open.outcome);
            spot.complain(open.at, "E09", &text, "写 next 或 out，或在流程中写 on_error");
        }
    }
    for (idx, node) in flow.nodes.iter().enumerate() {
        let again =
            |it: &NodeIdx| matches!(flow.node(*it).map(|it| &it.kind), Some(NodeKind::Survey(_)));
        if again(&NodeIdx(idx)) && reach(flow, successors(flow, node)).iter().any(again) {
            let (at, text) = (place(read, NodeIdx(idx)), "一次通话会评价两次");
            spot.under(&node.id).complain(at, "E21", text, "评价之后的路径上不要再有评价节点");
        }
    }
    for (idx, node) in flow.nodes.iter().enumerate() {
        let NodeKind::Record(Record { action }) = node.kind else { continue };
        let ends = |it: &NodeIdx| match flow.node(*it).map(|it| &it.kind) {
            Some(NodeKind::Record(it)) => {
                matches!(it.action, RecordAction::Resume | RecordAction::Stop)
            }
            _ => false,
        };
        let is_mute = matches!(action, RecordAction::Pause | RecordAction::Mask);
        if is_mute && !reach(flow, successors(flow, node)).iter().any(ends) {
            let (at, text) = (place(read, NodeIdx(idx)), "此后的录音一直是静音");
            spot.under(&node.id).complain(at, "W13", text, "在后面加 action: resume 的节点");
        }
    }
    if flow.kind == FlowKind::MidCall {
        keeps_secrets(read, &spot);
    }
    for name in spinning(flow) {
        let at = flow.nodes.iter().position(|it| *it.id == *name).map(NodeIdx);
        spot.under(&name).complain(
            at.map(|it| place(read, it)).unwrap_or_default(),
            "E11",
            "此处有不等待的环：流程会空转",
            "在环中放入播放、菜单或排队节点",
        );
    }
}

pub(super) fn place(read: &Read, idx: NodeIdx) -> crate::raw::At {
    read.places.get(idx.0).copied().unwrap_or_default()
}

/// What a flow gives back is shown to the agent: nothing that the caller typed in secret, and
/// nothing whose name has a mask.
fn keeps_secrets(read: &Read, spot: &Spot<'_>) {
    let typed: BTreeSet<VarRef> = read
        .flow
        .nodes
        .iter()
        .filter_map(|it| {
            let NodeKind::Collect(it) = &it.kind else { return None };
            it.secret.then_some(it.var)
        })
        .collect();
    for (idx, node) in read.flow.nodes.iter().enumerate() {
        let NodeKind::Return(it) = &node.kind else { continue };
        let spot = spot.under(&node.id).under("values");
        for (name, value) in &it.values {
            if secret::shows(value, &|it| typed.contains(&it) || read.masked.contains(&it)) {
                let text = "交给坐席的值里有要保密的按键，或要求掩码的变量";
                let advice = "只交出结果（如 bool），或用 mask(…)";
                spot.under(name).complain(place(read, NodeIdx(idx)), "E19", text, advice);
            }
        }
    }
}

fn legal(kind: FlowKind, node: &Node, spot: &Spot<'_>, at: crate::raw::At) {
    if let (FlowKind::MidCall, NodeKind::Record(Record { action })) = (kind, &node.kind)
        && matches!(action, RecordAction::Start | RecordAction::Stop)
    {
        let text = "通话中的录音归坐席，流程不能开始或停止";
        return spot.complain(at, "E21", text, "action 只写 pause、mask、resume");
    }
    let text = match (kind, &node.kind) {
        (FlowKind::Inbound, NodeKind::Return(_)) => "来电流程没有调用者，不能用 return",
        (FlowKind::AfterAgent, NodeKind::Answer(_)) => "通话后流程中电话早已接通",
        (FlowKind::MidCall, NodeKind::Answer(_)) => "通话中流程里电话早已接通",
        _ => return,
    };
    spot.complain(at, "E21", text, "改用 hangup，或改 kind");
}

/// Where a node may lead, `on_error` included when an outcome is left to it.
pub(super) fn successors<'a>(flow: &'a Flow, node: &'a Node) -> impl Iterator<Item = NodeIdx> + 'a {
    let exits = node.exits.iter().filter_map(|it| it.to.or(flow.on_error));
    let skip = node.skip.filter(|_| node.when.is_some());
    exits.chain(skip)
}

pub(super) fn reach(flow: &Flow, from: impl IntoIterator<Item = NodeIdx>) -> BTreeSet<NodeIdx> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<NodeIdx> = from.into_iter().collect();
    while let Some(idx) = next.pop() {
        if seen.insert(idx)
            && let Some(node) = flow.node(idx)
        {
            // What follows a hang-up chain's node is only what it names.
            next.extend(node.exits.iter().filter_map(|it| it.to));
            next.extend(node.skip.filter(|_| node.when.is_some()));
        }
    }
    seen
}

/// Edges that take no time: all of a node that does not wait, the skip of one that does.
fn timeless(flow: &Flow, node: &Node) -> Vec<NodeIdx> {
    if node.kind.waits() {
        node.skip.filter(|_| node.when.is_some()).into_iter().collect()
    } else {
        successors(flow, node).collect()
    }
}

/// One node of each cycle in which no time passes.
fn spinning(flow: &Flow) -> Vec<String> {
    #[derive(Clone, Copy, PartialEq)]
    enum Color {
        New,
        Open,
        Done,
    }
    let mut colors = vec![Color::New; flow.nodes.len()];
    let mut found = Vec::new();
    for root in 0..flow.nodes.len() {
        let mut path = vec![(NodeIdx(root), false)];
        while let Some((idx, leaving)) = path.pop() {
            let (Some(color), Some(node)) = (colors.get_mut(idx.0), flow.node(idx)) else {
                continue;
            };
            if leaving {
                *color = Color::Done;
                continue;
            }
            if *color != Color::New {
                continue;
            }
            *color = Color::Open;
            path.push((idx, true));
            for next in timeless(flow, node) {
                match colors.get(next.0) {
                    Some(Color::Open) => {
                        if let Some(node) = flow.node(next) {
                            found.push(node.id.to_string());
                        }
                    }
                    Some(Color::New) => path.push((next, false)),
                    Some(Color::Done) | None => (),
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
