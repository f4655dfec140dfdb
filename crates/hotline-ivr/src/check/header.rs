//! Flow files: the head, then the nodes.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use hotline_base::FlowId;

use super::{
    Desk, Fields, NodeReader, Spot,
    files::version,
    node_reader::{FlowContext, Uses},
    of_kind,
    world::{Head, World, param_type, value_of, var_type},
};
use crate::{
    Type,
    expr::Names,
    flow::{Flow, FlowKind, Limits, Mask, Node, NodeIdx, Param, ParamType, Var},
    node::{Defaults, Input, KINDS, KeyRule, NodeKind, VarRef},
    raw::{At, RawBundle, RawFile, RawKind, RawNode},
};

/// A flow with what its checks need.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) flow: Flow,
    pub(crate) file: String,
    pub(crate) uses: Uses,
    /// Where each node stands.
    pub(crate) places: Vec<At>,
    /// Variables with a mask, of the flow and of the session.
    pub(crate) masked: BTreeSet<VarRef>,
    pub(crate) draft: bool,
}

pub(crate) const fn kind_name(kind: FlowKind) -> &'static str {
    match kind {
        FlowKind::Inbound => "inbound",
        FlowKind::Subflow => "subflow",
        FlowKind::AfterAgent => "after_agent",
        FlowKind::MidCall => "mid_call",
    }
}

fn read_kind(fields: &mut Fields<'_>) -> FlowKind {
    match fields.choice("kind", &["inbound", "subflow", "after_agent", "mid_call"]) {
        Some("subflow") => FlowKind::Subflow,
        Some("after_agent") => FlowKind::AfterAgent,
        Some("mid_call") => FlowKind::MidCall,
        _ => FlowKind::Inbound,
    }
}

fn id_of(file: &RawFile) -> Option<&str> {
    file.root.find("id").and_then(RawNode::text)
}

/// What others see of the flows; defaults of parameters are still missing.
pub(super) fn heads(files: &RawBundle, desk: &Desk) -> BTreeMap<String, Head> {
    let mut heads = BTreeMap::new();
    for file in of_kind(files, RawKind::Flow) {
        let Some(mut fields) = Fields::open(Spot::new(desk, &file.name), &file.root) else {
            continue;
        };
        version(&mut fields);
        let Some(id) = fields.required_text("id") else { continue };
        if file.name.rsplit('/').next() != Some(&format!("{id}.flow.yaml")) {
            fields.wrong("id", "E05", "id 与文件名不符", &format!("文件名应为 {id}.flow.yaml"));
        }
        let kind = read_kind(&mut fields);
        let mut params = Vec::new();
        if let Some(mut all) = fields.map("params") {
            for name in all.keys() {
                let Some(mut one) = all.map(&name) else { continue };
                one.skip("default");
                one.text("doc");
                if let Some(of) = param_type(&mut one) {
                    params.push(Param { name, of, default: None });
                }
                one.finish();
            }
        }
        let returns = read_returns(&mut fields);
        if heads.insert(id, Head { kind, params, returns }).is_some() {
            fields.wrong("id", "E05", "流程 id 重复", "改名");
        }
    }
    heads
}

fn read_returns(fields: &mut Fields<'_>) -> Vec<(String, Type)> {
    let mut returns = Vec::new();
    let Some(mut all) = fields.map("returns") else { return returns };
    for name in all.keys() {
        let Some(text) = all.text(&name) else { continue };
        match var_type(&text) {
            Some(ty) => returns.push((name, ty)),
            None => {
                all.wrong(
                    &name,
                    "E04",
                    &format!("未知类型“{text}”"),
                    "写 string int bool duration",
                );
            }
        }
    }
    returns
}

/// Defaults of parameters, which may name anything.
pub(super) fn defaults(files: &RawBundle, desk: &Desk, world: &mut World) {
    let mut found: Vec<(String, usize, crate::Value)> = Vec::new();
    for file in of_kind(files, RawKind::Flow) {
        let Some((id, head)) = id_of(file).and_then(|it| Some((it, world.flows.get(it)?))) else {
            continue;
        };
        for (idx, param) in head.params.iter().enumerate() {
            let raw = file.root.find("params").and_then(|it| it.find(&param.name)?.find("default"));
            let spot = Spot::new(desk, &file.name).under("params").under(&param.name);
            let value = raw.and_then(|it| value_of(it, &param.of, world, &spot.under("default")));
            found.extend(value.map(|it| (id.to_owned(), idx, it)));
        }
    }
    for (id, idx, value) in found {
        if let Some(param) = world.flows.get_mut(&id).and_then(|it| it.params.get_mut(idx)) {
            param.default = Some(value);
        }
    }
}

/// `vars` of a flow or of the session.
pub(super) fn read_vars(fields: &mut Fields<'_>) -> Vec<Var> {
    let mut vars = Vec::new();
    let Some(mut all) = fields.map("vars") else { return vars };
    for name in all.keys() {
        let Some(mut one) = all.map(&name) else { continue };
        let ty = one.required_text("type").and_then(|it| {
            let ty = var_type(&it);
            if ty.is_none() {
                one.wrong("type", "E04", &format!("未知类型“{it}”"), "写 string int bool duration");
            }
            ty
        });
        let export = one.bool("export").unwrap_or(false);
        let mask = match one.choice("mask", &["none", "digits", "all"]) {
            Some("digits") => Mask::Digits,
            Some("all") => Mask::All,
            _ => Mask::None,
        };
        let label = one.text("label").unwrap_or_default();
        one.text("doc");
        if let Some(ty) = ty {
            let default = var_default(&mut one, &ty).unwrap_or_else(|| ty.empty());
            vars.push(Var { name, ty, default, export, mask, label });
        }
        one.finish();
    }
    vars
}

fn var_default(fields: &mut Fields<'_>, ty: &Type) -> Option<crate::Value> {
    let of = match ty {
        Type::Bool => ParamType::Bool,
        Type::Int => ParamType::Int { min: i64::MIN, max: i64::MAX },
        Type::Duration => ParamType::Duration,
        Type::Str | Type::Time => ParamType::Text { pattern: None },
        Type::List(_) => ParamType::List(Box::new(ParamType::Text { pattern: None })),
    };
    let spot = fields.spot.under("default");
    let node = fields.take("default")?;
    value_of(node, &of, &World::default(), &spot)
}

/// Reads every flow whose head is good.
pub(super) fn flows(files: &RawBundle, desk: &Desk, world: &World) -> Vec<Read> {
    of_kind(files, RawKind::Flow).filter_map(|it| flow(it, desk, world)).collect()
}

fn flow(file: &RawFile, desk: &Desk, world: &World) -> Option<Read> {
    let mut fields = Fields::open(Spot::new(desk, &file.name), &file.root)?;
    for known in ["ivr", "params", "returns", "owner", "note"] {
        fields.skip(known);
    }
    let id = fields.required_text("id")?;
    let head = world.flows.get(&id)?;
    check_waiver(&mut fields);
    let title = fields.text("title").unwrap_or_default();
    read_kind(&mut fields);
    let draft = fields.bool("draft").unwrap_or(false);
    let vars = read_vars(&mut fields);
    let limits = read_limits(&mut fields);
    let (targets, entries) = node_entries(&mut fields)?;
    let types = |of: &[Var]| of.iter().map(|it| (it.name.clone(), it.ty.clone())).collect();
    let (own, session): (Vec<_>, Vec<_>) = (types(&vars), types(&world.session));
    let params: Vec<_> = head.params.iter().map(|it| (it.name.clone(), it.of.ty())).collect();
    let context = FlowContext {
        world,
        names: Names {
            params: &params,
            vars: &own,
            session: &session,
            tables: &world.tables,
            schedules: &world.schedules,
            calendars: &world.calendars,
        },
        vars: &vars,
        kind: head.kind,
        targets: &targets,
        has_on_error: fields.has("on_error"),
        returns: &head.returns,
        uses: RefCell::default(),
    };
    let node_of = |fields: &mut Fields<'_>, key: &str| -> Option<NodeIdx> {
        let name = fields.text(key)?;
        let found = targets.get(&name).copied();
        if found.is_none() {
            fields.wrong(key, "E06", &format!("没有节点“{name}”"), "改名，或添加该节点");
        }
        found
    };
    let start = node_of(&mut fields, "start");
    if !fields.has("start") {
        fields.wrong("start", "E07", "没有 start", "写出第一个节点");
    }
    let on_error = node_of(&mut fields, "on_error");
    let on_hangup = node_of(&mut fields, "on_hangup");
    let defaults = read_defaults(&mut fields, &context, &targets);
    fields.finish();
    let nodes: Vec<Option<Node>> = entries
        .into_iter()
        .enumerate()
        .map(|(idx, entry)| node(entry, NodeIdx(idx), &context, &defaults))
        .collect();
    let places = nodes
        .iter()
        .map(|it| it.as_ref().map_or_else(At::default, |it| At { line: it.line, col: 1 }));
    let places = places.collect();
    let nodes: Vec<Node> = nodes.into_iter().collect::<Option<_>>()?;
    let uses = context.uses.into_inner();
    let kind = head.kind;
    let (id, params) = (FlowId::new(&id), head.params.clone());
    let flow =
        Flow { id, title, kind, params, vars, start: start?, on_error, on_hangup, nodes, limits };
    let masked = masked(&flow.vars, VarRef::Var).chain(masked(&world.session, VarRef::Session));
    let masked = masked.collect();
    Some(Read { flow, file: file.name.clone(), uses, places, masked, draft })
}

/// Which of these variables have a mask.
fn masked(vars: &[Var], name: fn(usize) -> VarRef) -> impl Iterator<Item = VarRef> {
    let all = vars.iter().enumerate().filter(|it| it.1.mask != Mask::None);
    all.map(move |it| name(it.0))
}

/// `lint: {allow: [W07], why: …}`: a warning may be waived, with a reason.
fn check_waiver(fields: &mut Fields<'_>) {
    let Some(mut lint) = fields.map("lint") else { return };
    if lint.texts("allow").iter().any(|it| !it.starts_with('W')) {
        lint.wrong("allow", "E04", "只能放过警告（W 开头）", "错误必须改正");
    }
    lint.required_text("why");
    lint.finish();
}

fn read_limits(fields: &mut Fields<'_>) -> Limits {
    let usual = Limits::default();
    let Some(mut it) = fields.map("limits") else { return usual };
    let count = |it: Option<i64>, or: u32| it.and_then(|it| u32::try_from(it).ok()).unwrap_or(or);
    let limits = Limits {
        steps: count(it.int("max_steps", 1, 10_000), usual.steps),
        steps_without_wait: count(
            it.int("max_steps_without_wait", 1, 1_000),
            usual.steps_without_wait,
        ),
        time: it.duration("max_time").unwrap_or(usual.time),
        depth: it
            .int("max_depth", 1, 32)
            .and_then(|it| usize::try_from(it).ok())
            .unwrap_or(usual.depth),
    };
    it.finish();
    limits
}

const NODES_MAX: usize = 200;

/// What `defaults` themselves fall back to.
static ENGINE: LazyLock<Defaults> = LazyLock::new(Defaults::default);

/// A node's name, place and fields.
type Entry<'a> = (String, At, Fields<'a>);

/// Names of the nodes, and their raw forms in the same order.
fn node_entries<'a>(
    fields: &mut Fields<'a>,
) -> Option<(BTreeMap<String, NodeIdx>, Vec<Entry<'a>>)> {
    let mut all = fields.required_map("nodes")?;
    let mut targets = BTreeMap::new();
    let mut entries = Vec::new();
    for name in all.keys() {
        if !is_node_name(&name) {
            all.wrong(
                &name,
                "E04",
                "节点名不合规",
                "小写字母开头，后接小写字母、数字、下划线，至多 40 个",
            );
        }
        let at = all.key_at(&name);
        let Some(node) = all.map(&name) else { continue };
        targets.insert(name.clone(), NodeIdx(entries.len()));
        entries.push((name, at, node));
    }
    if entries.is_empty() || entries.len() > NODES_MAX {
        all.spot.complain(all.at, "E04", "节点应有 1 到 200 个", "拆成子流程");
    }
    Some((targets, entries))
}

fn is_node_name(name: &str) -> bool {
    let first = name.starts_with(|it: char| it.is_ascii_lowercase());
    let rest = name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_');
    first && rest && name.len() <= 40
}

fn read_defaults<'a>(
    fields: &mut Fields<'a>,
    context: &'a FlowContext<'a>,
    targets: &BTreeMap<String, NodeIdx>,
) -> Defaults {
    let none = Defaults::default();
    let Some(it) = fields.map("defaults") else { return none };
    let mut reader = NodeReader::new(it, context, &ENGINE, NodeIdx(0));
    let input = Input::read(&mut reader.fields, Input::default());
    let max_attempts =
        reader.fields.int("max_attempts", 1, 10).and_then(|it| u32::try_from(it).ok());
    let mut defaults = Defaults {
        input,
        max_attempts,
        invalid_prompt: reader.prompt("invalid_prompt"),
        noinput_prompt: reader.prompt("noinput_prompt"),
        ..none
    };
    defaults.repeat_key = KeyRule::read(&mut reader.fields, "repeat_key");
    defaults.operator_key = KeyRule::read(&mut reader.fields, "operator_key");
    defaults.back_key = KeyRule::read(&mut reader.fields, "back_key");
    if reader.fields.has("operator_next") {
        let name = reader.fields.text("operator_next").unwrap_or_default();
        defaults.operator_next = targets.get(&name).copied();
        if defaults.operator_next.is_none() {
            reader.fields.wrong("operator_next", "E06", &format!("没有节点“{name}”"), "改名");
        }
    }
    reader.finish();
    defaults
}

fn node<'a>(
    (id, at, mut fields): Entry<'a>,
    idx: NodeIdx,
    context: &'a FlowContext<'a>,
    defaults: &'a Defaults,
) -> Option<Node> {
    let kind_name = fields.required_text("type")?;
    if !KINDS.contains(&kind_name.as_str()) {
        let text = format!("没有节点类型“{kind_name}”");
        fields.wrong("type", "E03", &text, &format!("可用：{}", KINDS.join("、")));
        return None;
    }
    for note in ["label", "note", "was"] {
        fields.text(note);
    }
    let stat = fields.bool("stat").unwrap_or(true);
    let milestone = fields.text("milestone").unwrap_or_default();
    let mut reader = NodeReader::new(fields, context, defaults, idx);
    let when = if reader.fields.has("when") {
        reader.with_fields(|it, fields| it.expr_in(fields, "when", &Type::Bool))
    } else {
        None
    };
    if when.is_some() && reader.next.is_none() {
        reader.fields.wrong("when", "E09", "有 when 而没有 next", "写 next：条件不成立时的去处");
    }
    let kind = NodeKind::read(&kind_name, &mut reader);
    let skip = reader.next;
    let spare = reader.fields.has("next")
        && when.is_none()
        && skip.is_some()
        && !reader.exits.iter().any(|it| it.to == skip);
    if spare {
        reader.fields.wrong("next", "E08", "此类节点没有唯一的出口，next 无用", "删去 next");
    }
    let exits = reader.finish();
    let line = at.line;
    Some(Node { id: id.into(), line, stat, milestone, when, skip, exits, kind: kind? })
}

/// `lint: {allow: [W07], why: …}` by file.
pub(super) fn allowed_warnings(files: &RawBundle) -> BTreeMap<String, Vec<String>> {
    let mut allowed = BTreeMap::new();
    for file in of_kind(files, RawKind::Flow) {
        let lint = file.root.find("lint");
        let why = lint.and_then(|it| it.find("why")).and_then(RawNode::text).unwrap_or_default();
        if let Some(RawNode::List { items, .. }) = lint.and_then(|it| it.find("allow"))
            && !why.is_empty()
        {
            let codes = items.iter().filter_map(RawNode::text).map(str::to_owned).collect();
            allowed.insert(file.name.clone(), codes);
        }
    }
    allowed
}
