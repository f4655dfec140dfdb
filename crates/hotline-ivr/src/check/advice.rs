//! Warnings: worth a look, blocking nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Desk, Spot,
    graph::{place, successors},
    header::Read,
    of_kind,
    world::World,
};
use crate::{
    Bundle,
    flow::{Flow, FlowKind, NodeIdx},
    node::{NodeKind, VarRef},
    raw::{At, RawBundle, RawKind, RawNode},
};

pub(super) fn check(read: &Read, files: &RawBundle, desk: &Desk, world: &World) {
    let spot = Spot::new(desk, &read.file);
    if let Some(file) = of_kind(files, RawKind::Flow).find(|it| it.name == read.file) {
        unused(read, &file.root, &spot);
    }
    if read.flow.kind != FlowKind::Inbound {
        return;
    }
    let far = inputs_to_person(&read.flow);
    for (idx, node) in read.flow.nodes.iter().enumerate() {
        let idx = NodeIdx(idx);
        let spot = spot.under("nodes").under(&node.id);
        let Some(ask) = node.kind.as_ask() else { continue };
        if far.get(&idx).is_none_or(|it| *it > 2) {
            spot.complain(
                place(read, idx),
                "W01",
                "从这里按两次键到不了人工",
                "接上人工键或缩短路径",
            );
        }
        let short = ["noinput", "nomatch"].iter().any(|outcome| {
            let to = node.exit(outcome).and_then(|it| read.flow.node(it.to?));
            to.is_some_and(|it| matches!(it.kind, NodeKind::Hangup(_)))
        });
        if short {
            spot.complain(place(read, idx), "W09", "不按键或按错键的来电会被挂断", "改为转人工");
        }
        let length = |it| world.prompts.get(it).copied().flatten().unwrap_or(0);
        let ms: u32 = ask.asking().prompt.fixed_ids().map(length).sum();
        if matches!(node.kind, NodeKind::Menu(_)) && ms > 12_000 {
            let text = format!("菜单语音长 {:.1} 秒", f64::from(ms) / 1_000.0);
            spot.complain(place(read, idx), "W02", &text, "缩短到 12 秒以内");
        }
    }
}

/// W11: parameters and variables nobody reads.
fn unused(read: &Read, root: &RawNode, spot: &Spot<'_>) {
    let place = |map: &str, name: &str| {
        root.find(map).and_then(|it| it.find(name)).map(RawNode::at).unwrap_or_default()
    };
    for (idx, param) in read.flow.params.iter().enumerate() {
        if !read.uses.params.contains(&idx) {
            let spot = spot.under("params").under(&param.name);
            spot.complain(place("params", &param.name), "W11", "没有用到的参数", "删去");
        }
    }
    for (idx, var) in read.flow.vars.iter().enumerate() {
        let set = read.uses.vars_set.contains(&VarRef::Var(idx));
        let spot = spot.under("vars").under(&var.name);
        let at = place("vars", &var.name);
        if read.uses.vars_read.contains(&idx) {
            if !set && var.default.is_empty() {
                spot.complain(at, "E12", "变量被读而从未赋值", "给默认值，或用 set 赋值");
            }
        } else if !var.export {
            spot.complain(at, "W11", "没有用到的变量", "删去，或写 export: true");
        }
    }
}

/// How many questions stand between a node and a queue, the node's own included.
fn inputs_to_person(flow: &Flow) -> BTreeMap<NodeIdx, u32> {
    let mut distance = BTreeMap::new();
    let mut todo = VecDeque::new();
    for (idx, node) in flow.nodes.iter().enumerate() {
        if matches!(node.kind, NodeKind::Queue(_)) {
            distance.insert(NodeIdx(idx), 0_u32);
            todo.push_back(NodeIdx(idx));
        }
    }
    while let Some(idx) = todo.pop_front() {
        let so_far = distance.get(&idx).copied().unwrap_or_default();
        for (before, node) in flow.nodes.iter().enumerate() {
            let before = NodeIdx(before);
            if !successors(flow, node).any(|it| it == idx) {
                continue;
            }
            let there = so_far + u32::from(node.kind.as_ask().is_some());
            if distance.get(&before).is_none_or(|it| there < *it) {
                distance.insert(before, there);
                todo.push_back(before);
            }
        }
    }
    distance
}

/// W12: flows of numbers that no test file names.
pub(super) fn untested(files: &RawBundle, bundle: &Bundle, desk: &Desk) {
    let suites: BTreeSet<&str> = of_kind(files, RawKind::Test)
        .filter_map(|it| it.root.find("suite").and_then(RawNode::text))
        .collect();
    let mut told = BTreeSet::new();
    for number in &bundle.numbers {
        if !suites.contains(number.flow.as_str()) && told.insert(number.flow.clone()) {
            let text = format!("流程 {} 没有测试", number.flow);
            Spot::new(desk, &number.file).under("numbers").complain(
                At { line: number.line, col: 1 },
                "W12",
                &text,
                "在 tests/ 中添加，suite 写流程 id",
            );
        }
    }
}
