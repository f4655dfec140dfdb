//! Profiles and numbers, and every flow tried with the parameters of every number.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use hotline_base::{FlowId, TrunkId, WallTime};

use super::{
    Desk, Fields, Spot,
    files::version,
    header::Read,
    of_kind,
    world::{Head, World, admits, value_of},
};
use crate::{
    Bundle, Environment, Type, Value,
    bundle::Number,
    expr::{Expr, Field, Op, Scope, Template},
    flow::FlowKind,
    raw::{At, RawBundle, RawFile, RawKind, RawNode},
};

/// Parameters of a profile as the file has them, its parents' below.
type RawParams<'a> = BTreeMap<String, (&'a RawFile, &'a RawNode)>;

fn profiles<'a>(files: &'a RawBundle, desk: &'a Desk) -> BTreeMap<String, RawParams<'a>> {
    let mut own: BTreeMap<String, (Option<String>, RawParams<'a>)> = BTreeMap::new();
    for file in of_kind(files, RawKind::Profile) {
        let Some(mut fields) = Fields::open(Spot::new(desk, &file.name), &file.root) else {
            continue;
        };
        version(&mut fields);
        fields.text("title");
        fields.text("note");
        let parent = fields.text("inherits");
        let name = fields.required_text("profile");
        let mut params = BTreeMap::new();
        if let Some(mut given) = fields.map("params") {
            for key in given.keys() {
                params.extend(given.take(&key).map(|it| (key, (file, it))));
            }
        }
        fields.finish();
        if let Some(name) = name {
            own.insert(name, (parent, params));
        }
    }
    let mut all = BTreeMap::new();
    for name in own.keys() {
        let mut merged = RawParams::new();
        let mut next = Some(name.as_str());
        let mut seen = BTreeSet::new();
        while let Some((parent, params)) = next.and_then(|it| own.get(it)) {
            if !seen.insert(next) {
                break;
            }
            for (key, value) in params {
                merged.entry(key.clone()).or_insert(*value);
            }
            next = parent.as_deref();
        }
        all.insert(name.clone(), merged);
    }
    all
}

pub(super) fn numbers(files: &RawBundle, desk: &Desk, world: &World) -> Vec<Number> {
    let profiles = profiles(files, desk);
    let mut numbers = Vec::new();
    let mut claimed: BTreeMap<(String, String), String> = BTreeMap::new();
    for file in of_kind(files, RawKind::Numbers) {
        let Some(mut fields) = Fields::open(Spot::new(desk, &file.name), &file.root) else {
            continue;
        };
        version(&mut fields);
        fields.text("title");
        fields.text("note");
        let mut base = RawParams::new();
        if let Some(name) = fields.text("profile") {
            match profiles.get(&name) {
                Some(params) => base.clone_from(params),
                None => fields.wrong(
                    "profile",
                    "E15",
                    &format!("没有参数集“{name}”"),
                    "在 profiles/ 中添加",
                ),
            }
        }
        for mut row in fields.maps_in("numbers") {
            if let Some(number) = number(&mut row, file, &base, desk, world) {
                claim(&number, &row, &mut claimed);
                numbers.push(number);
            }
            row.finish();
        }
        fields.finish();
    }
    numbers
}

fn claim(number: &Number, row: &Fields<'_>, claimed: &mut BTreeMap<(String, String), String>) {
    let any = [TrunkId::new("")];
    let trunks = if number.trunks.is_empty() { &any[..] } else { &number.trunks[..] };
    for dnis in &number.dnis {
        for trunk in trunks {
            let key = (dnis.clone(), trunk.as_str().to_owned());
            let here = format!("{}:{}", number.file, number.line);
            if let Some(other) = claimed.insert(key, here) {
                let text = format!("号码 {dnis} 已在 {other} 中");
                row.wrong("dnis", "E20", &text, "每个号码在每条中继上只能写一次");
            }
        }
    }
}

fn number(
    row: &mut Fields<'_>,
    file: &RawFile,
    base: &RawParams<'_>,
    desk: &Desk,
    world: &World,
) -> Option<Number> {
    let dnis = row.texts("dnis");
    if dnis.is_empty() {
        row.wrong("dnis", "E04", "缺少号码", "写 dnis: [\"077112345\"]");
    }
    let trunks = row.texts("trunk").iter().map(|it| TrunkId::new(it)).collect();
    row.text("note");
    row.text("title");
    let flow = row.required_text("flow");
    let mut own = row.map("params");
    let flow = flow?;
    let Some(head) = world.flows.get(&flow) else {
        let (code, text, advice) = world.unknown(crate::flow::Thing::Flow, &flow);
        row.wrong("flow", code, &text, &advice);
        return None;
    };
    if head.kind != FlowKind::Inbound {
        row.wrong("flow", "E16", "号码只能进入 kind: inbound 的流程", "改用来电流程");
    }
    let mut params = BTreeMap::new();
    for param in &head.params {
        let given = own.as_mut().and_then(|own| {
            let spot = own.spot.under(&param.name);
            own.take(&param.name).map(|it| (it, spot))
        });
        let given = given.or_else(|| {
            let (file, node) = base.get(&param.name)?;
            Some((*node, Spot::new(desk, &file.name).under("params").under(&param.name)))
        });
        match given {
            Some((node, spot)) => {
                if let Some(value) = value_of(node, &param.of, world, &spot) {
                    params.insert(param.name.clone(), value);
                }
            }
            None if param.default.is_none() => {
                let text = format!("流程 {flow} 的参数 {} 没有值", param.name);
                row.wrong("params", "E16", &text, "在 params 或参数集中给出");
            }
            None => (),
        }
    }
    if let Some(own) = own {
        own.finish();
    }
    let (file, line) = (file.name.clone(), row.at.line);
    Some(Number { dnis, trunks, flow: FlowId::new(&flow), params, file, line })
}

/// Nothing outside the bundle is known while numbers are tried.
struct Nobody;

impl Environment for Nobody {
    fn queue_waiting(&self, _: &hotline_base::GroupId) -> usize {
        0
    }
    fn queue_position(&self) -> Option<usize> {
        None
    }
    fn agents_ready(&self, _: &hotline_base::GroupId) -> usize {
        0
    }
    fn agents_signed_in(&self, _: &hotline_base::GroupId) -> usize {
        0
    }
    fn group_known(&self, _: &hotline_base::GroupId) -> bool {
        true
    }
    fn caller_city(&self) -> String {
        String::new()
    }
    fn caller_repeat(&self, _: u32) -> u32 {
        0
    }
}

struct Trial<'a> {
    bundle: &'a Bundle,
    flows: &'a BTreeMap<&'a str, &'a Read>,
    world: &'a World,
    spot: Spot<'a>,
    at: At,
    seen: BTreeSet<String>,
}

/// Tries every flow with every distinct set of parameters.
pub(super) fn instantiate(
    bundle: &Bundle,
    flows: &BTreeMap<&str, &Read>,
    desk: &Desk,
    world: &World,
) {
    let mut seen = BTreeSet::new();
    for number in &bundle.numbers {
        let mut trial = Trial {
            bundle,
            flows,
            world,
            spot: Spot::new(desk, &number.file).under("params"),
            at: At { line: number.line, col: 1 },
            seen,
        };
        let given = |name: &str| number.params.get(name).cloned();
        trial.flow(number.flow.as_str(), &given, &mut Vec::new());
        seen = trial.seen;
    }
}

impl Trial<'_> {
    /// Tries one flow; parameters that nobody knows yet stay `None`.
    fn flow(&mut self, id: &str, given: &dyn Fn(&str) -> Option<Value>, chain: &mut Vec<String>) {
        let (Some(read), Some(head)) = (self.flows.get(id), self.world.flows.get(id)) else {
            return;
        };
        if chain.iter().any(|it| it == id) {
            let text = format!("流程互相调用成环：{} → {id}", chain.join(" → "));
            self.spot.complain(self.at, "E16", &text, "断开其中一处调用");
            return;
        }
        let params = bind(head, given);
        let shown: Vec<String> =
            params.iter().map(|it| it.as_ref().map_or_else(String::new, Value::to_text)).collect();
        if !self.seen.insert(format!("{id}\u{1f}{}", shown.join("\u{1f}"))) {
            return;
        }
        for dynamic in &read.uses.dynamic {
            let Some(name) = self.value(&dynamic.template, &params) else { continue };
            let empty_prompt = dynamic.thing == crate::flow::Thing::Prompt && name.is_empty();
            if !empty_prompt && !self.world.knows(dynamic.thing, &name) {
                let (_, text, advice) = self.world.unknown(dynamic.thing, &name);
                let text = format!("{}:{} {}：{text}", read.file, dynamic.at.line, dynamic.path);
                self.spot.complain(self.at, "E16", &text, &advice);
            }
        }
        chain.push(id.to_owned());
        for (call, at, path) in &read.uses.calls {
            let Some(callee) = self.value(&call.flow, &params) else { continue };
            let args: BTreeMap<&str, Option<Value>> = call
                .args
                .iter()
                .map(|(name, expr)| (name.as_str(), self.expr(expr, &params)))
                .collect();
            self.arguments(&callee, &args, &format!("{}:{} {path}", read.file, at.line));
            let given = |name: &str| args.get(name).cloned().flatten();
            self.flow(&callee, &given, chain);
        }
        chain.pop();
    }

    /// Whether the flow that a parameter chose takes the arguments of the call.
    fn arguments(&self, callee: &str, args: &BTreeMap<&str, Option<Value>>, place: &str) {
        let Some(head) = self.world.flows.get(callee) else { return };
        for param in &head.params {
            let wrong = match args.get(param.name.as_str()) {
                None if param.default.is_none() => Some("没有值".to_owned()),
                Some(Some(value)) => admits(&param.of, value, self.world).err().map(|it| it.1),
                None | Some(None) => None,
            };
            if let Some(wrong) = wrong {
                let text = format!("{place}：流程 {callee} 的参数 {}：{wrong}", param.name);
                self.spot.complain(self.at, "E16", &text, "在 args 中给出合用的值");
            }
        }
    }

    fn value(&self, template: &Template, params: &[Option<Value>]) -> Option<String> {
        let known = template.is_static() && template.exprs().all(|it| is_known(it, params));
        known.then(|| self.scoped(params, |it| template.eval_text(it).ok()))?.map(Cow::into_owned)
    }

    fn expr(&self, expr: &Expr, params: &[Option<Value>]) -> Option<Value> {
        let known = expr.is_static() && is_known(expr, params);
        known.then(|| self.scoped(params, |it| expr.eval(it).ok()))?
    }

    fn scoped<T>(&self, params: &[Option<Value>], eval: impl FnOnce(&Scope<'_>) -> T) -> T {
        let values: Vec<Value> =
            params.iter().map(|it| it.clone().unwrap_or(Value::Bool(false))).collect();
        eval(&Scope {
            params: &values,
            vars: &[],
            session: &[],
            field: &|_: Field| Value::Str(String::new()),
            env: &Nobody,
            bundle: self.bundle,
            wall: WallTime(0),
        })
    }
}

fn bind(head: &Head, given: &dyn Fn(&str) -> Option<Value>) -> Vec<Option<Value>> {
    let fits = |it: &Value, ty: &Type| it.fits(ty);
    head.params
        .iter()
        .map(|it| {
            let ty = it.of.ty();
            given(&it.name).filter(|value| fits(value, &ty)).or_else(|| it.default.clone())
        })
        .collect()
}

fn is_known(expr: &Expr, params: &[Option<Value>]) -> bool {
    let mut known = true;
    expr.walk(&mut |it| {
        if let Op::Param(idx) = &it.op {
            known &= params.get(*idx).is_some_and(Option::is_some);
        }
    });
    known
}
