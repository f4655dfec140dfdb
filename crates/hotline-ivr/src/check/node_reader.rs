//! Reads one node: fields that are expressions, prompts, names or targets.

mod args;
mod prompts;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use hotline_base::Key;

use super::{
    fields::{Fields, Spot, items_of, loose_text, text_of},
    secret,
    world::World,
};
use crate::{
    Type,
    expr::{self, Expr, Names, Template},
    flow::{Exit, FlowKind, NodeIdx, Thing, Var},
    node::{Defaults, FlowCall, KeyRule, Need, Outcome, VarRef},
    raw::{At, RawNode},
};

/// What is known while the nodes of a flow are read.
pub(crate) struct FlowContext<'a> {
    pub(crate) world: &'a World,
    pub(crate) names: Names<'a>,
    pub(crate) vars: &'a [Var],
    pub(crate) kind: FlowKind,
    pub(crate) targets: &'a BTreeMap<String, NodeIdx>,
    pub(crate) has_on_error: bool,
    pub(crate) returns: &'a [(String, Type)],
    pub(crate) uses: RefCell<Uses>,
}

/// What the nodes of a flow refer to, for the checks that come after reading.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// Names that depend on parameters or data.
    pub(crate) dynamic: Vec<Dynamic>,
    pub(crate) params: BTreeSet<usize>,
    pub(crate) vars_read: BTreeSet<usize>,
    pub(crate) vars_set: BTreeSet<VarRef>,
    pub(crate) calls: Vec<(FlowCall, At, String)>,
    /// Outcomes that lead nowhere: node, place, outcome, whether it is the main one.
    pub(crate) open: Vec<OpenExit>,
}

#[derive(Debug)]
pub(crate) struct Dynamic {
    pub(crate) template: Template,
    pub(crate) thing: Thing,
    pub(crate) at: At,
    pub(crate) path: String,
}

#[derive(Debug)]
pub(crate) struct OpenExit {
    pub(crate) node: NodeIdx,
    pub(crate) outcome: &'static str,
    pub(crate) at: At,
    pub(crate) path: String,
}

/// Reads one node.
pub(crate) struct NodeReader<'a> {
    pub(crate) fields: Fields<'a>,
    pub(crate) flow: &'a FlowContext<'a>,
    pub(crate) defaults: &'a Defaults,
    pub(crate) idx: NodeIdx,
    pub(crate) exits: Vec<Exit>,
    /// `next`, which is the main outcome and where a skipped node leads.
    pub(crate) next: Option<NodeIdx>,
    out: Option<Fields<'a>>,
}

impl<'a> NodeReader<'a> {
    pub(crate) fn new(
        mut fields: Fields<'a>,
        flow: &'a FlowContext<'a>,
        defaults: &'a Defaults,
        idx: NodeIdx,
    ) -> Self {
        let out = fields.map("out");
        let mut it = Self { fields, flow, defaults, idx, exits: Vec::new(), next: None, out };
        if it.fields.has("next") {
            it.next = it.with_fields(|it, fields| it.target_in(fields, "next"));
        }
        it
    }

    /// The end of a node: what was not asked for is unknown.
    pub(crate) fn finish(self) -> Vec<Exit> {
        self.fields.finish();
        if let Some(out) = &self.out {
            let known: Vec<&str> = self.exits.iter().map(|it| it.outcome.as_str()).collect();
            let advice = format!("可用结果：{}", known.join("、"));
            for entry in out.untaken() {
                let text = format!("没有结果“{}”，或它有自己的字段", entry.key);
                out.wrong(&entry.key, "E08", &text, &advice);
            }
        }
        self.exits
    }

    pub(crate) fn defaults(&self) -> &'a Defaults {
        self.defaults
    }

    /// Lends the fields out, so that both can be used.
    pub(crate) fn with_fields<T>(
        &mut self,
        read: impl FnOnce(&mut Self, &mut Fields<'a>) -> T,
    ) -> T {
        let none = Fields::none(self.fields.spot.clone(), self.fields.at);
        let mut fields = std::mem::replace(&mut self.fields, none);
        let it = read(self, &mut fields);
        self.fields = fields;
        it
    }

    // Outcomes

    /// An outcome that has its own field.
    pub(crate) fn exit(&mut self, outcome: &str, to: Option<NodeIdx>) {
        self.exits.push(Exit { outcome: outcome.to_owned(), to });
    }

    fn wired(&mut self, outcome: &str) -> Option<NodeIdx> {
        let mut out = self.out.take()?;
        let to = if out.has(outcome) { self.target_in(&mut out, outcome) } else { None };
        self.out = Some(out);
        to
    }

    /// The outcomes of the node's kind, from `out` and `next`.
    pub(crate) fn exits(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let to = self.wired(outcome.name);
            let to = match outcome.need {
                Need::Main => to.or(self.next),
                Need::Wired | Need::Covered => to,
                Need::Like(other) => {
                    let same = self.exits.iter().find(|it| it.outcome == other);
                    to.or(same.and_then(|it| it.to))
                }
            };
            if to.is_none() {
                self.leave_open(outcome);
            }
            self.exit(outcome.name, to);
        }
    }

    /// An outcome that is there only when the flow wires it.
    pub(crate) fn optional_exit(&mut self, outcome: &str) {
        if let Some(to) = self.wired(outcome) {
            self.exit(outcome, Some(to));
        }
    }

    /// Target of a main outcome that the kind splits into its own.
    pub(crate) fn main_target(&mut self, outcome: &'static str) -> Option<NodeIdx> {
        self.wired(outcome).or(self.next)
    }

    /// Takes back an outcome that cannot come about.
    pub(crate) fn drop_exit(&mut self, outcome: &str) {
        self.exits.retain(|it| it.outcome != outcome);
    }

    pub(crate) fn leave_open(&self, outcome: &Outcome) {
        let covered = match outcome.need {
            Need::Main | Need::Wired => false,
            Need::Covered => self.flow.has_on_error,
            Need::Like(_) => true,
        };
        if covered {
            return;
        }
        self.flow.uses.borrow_mut().open.push(OpenExit {
            node: self.idx,
            outcome: outcome.name,
            at: self.fields.at,
            path: self.fields.spot.path.clone(),
        });
    }

    // Targets

    pub(crate) fn target_in(&mut self, fields: &mut Fields<'a>, key: &str) -> Option<NodeIdx> {
        let name = fields.required_text(key)?;
        let found = self.flow.targets.get(&name).copied();
        if found.is_none() {
            fields.wrong(key, "E06", &format!("没有节点“{name}”"), "改名，或添加该节点");
        }
        found
    }

    pub(crate) fn required_target(&mut self, key: &str) -> Option<NodeIdx> {
        self.with_fields(|it, fields| it.target_in(fields, key))
    }

    /// Where the operator key leads.
    pub(crate) fn operator_target(&mut self) -> Option<NodeIdx> {
        if self.fields.has("operator_next") {
            return self.required_target("operator_next");
        }
        let usual = self.flow.targets.get("to_person").copied();
        let found = self.defaults.operator_next.or(usual);
        if found.is_none() {
            self.fields.wrong(
                "operator_next",
                "E06",
                "人工键没有去处：流程中没有节点 to_person",
                "写 operator_next，或写 operator_key: null",
            );
        }
        found
    }

    /// A key with a meaning, or `null` for none.
    pub(crate) fn special_key(
        &mut self,
        field: &str,
        default: KeyRule,
        usual: Option<char>,
    ) -> Option<Key> {
        KeyRule::read(&mut self.fields, field).or(default).key(usual)
    }

    // Expressions

    fn note_uses(&self, expr: &Expr) {
        let mut uses = self.flow.uses.borrow_mut();
        secret::note_names(expr, &mut uses);
    }

    fn compile(&self, text: &str, at: At, spot: &Spot<'_>) -> Option<Expr> {
        let made = expr::parse(text).and_then(|it| expr::check(&it, &self.flow.names));
        match made {
            Ok(expr) => {
                self.note_uses(&expr);
                Some(expr)
            }
            Err(wrong) => {
                complain_expr(text, &wrong, at, spot);
                None
            }
        }
    }

    pub(crate) fn any_expr_in(&mut self, fields: &mut Fields<'a>, key: &str) -> Option<Expr> {
        let spot = fields.spot.under(key);
        let node = fields.required(key)?;
        let text = loose_text(node, &spot)?;
        self.compile(&text, node.at(), &spot)
    }

    pub(crate) fn any_expr(&mut self, key: &str) -> Option<Expr> {
        self.with_fields(|it, fields| it.any_expr_in(fields, key))
    }

    pub(crate) fn expr_in(
        &mut self,
        fields: &mut Fields<'a>,
        key: &str,
        want: &Type,
    ) -> Option<Expr> {
        let expr = self.any_expr_in(fields, key)?;
        if expr.ty == *want {
            return Some(expr);
        }
        let text = format!("类型应为 {}，这里是 {}", want.name(), expr.ty.name());
        fields.wrong(key, "E12", &text, "改正表达式");
        None
    }

    fn template_of(&self, node: &RawNode, spot: &Spot<'_>) -> Option<Template> {
        let text = text_of(node, spot)?;
        match Template::parse(&text, &self.flow.names) {
            Ok(it) => {
                it.exprs().for_each(|it| self.note_uses(it));
                Some(it)
            }
            Err(wrong) => {
                complain_expr(&text, &wrong, node.at(), spot);
                None
            }
        }
    }

    pub(crate) fn template(&mut self, key: &str) -> Option<Template> {
        let spot = self.fields.spot.under(key);
        let node = self.fields.required(key)?;
        self.template_of(node, &spot)
    }

    pub(crate) fn templates(&mut self, key: &str) -> Vec<Template> {
        let spot = self.fields.spot.under(key);
        let Some(node) = self.fields.take(key) else { return Vec::new() };
        items_of(node).iter().filter_map(|it| self.template_of(it, &spot)).collect()
    }

    /// An integer from 0 to 9, or an expression that gives one; 5 when there is none.
    pub(crate) fn priority(&mut self, key: &str) -> Template {
        let usual = Template::text("5");
        let Some(text) = self.fields.peek_text(key) else { return usual };
        if !text.contains("{{") {
            let number = self.fields.int(key, 0, 9).unwrap_or(5);
            return Template::text(&number.to_string());
        }
        let Some(template) = self.template(key) else { return usual };
        if template.ty() != Type::Int {
            self.fields.wrong(key, "E12", "优先级的类型应为 int", "改正表达式");
        }
        template
    }

    // Names of things

    fn named(&self, node: &RawNode, spot: &Spot<'_>, thing: Thing) -> Option<Template> {
        let template = self.template_of(node, spot)?;
        if let Some(name) = template.fixed() {
            if !self.flow.world.knows(thing, name) {
                let (code, text, advice) = self.flow.world.unknown(thing, name);
                spot.complain(node.at(), code, &text, &advice);
            }
        } else if template.ty() != Type::Str {
            let text =
                format!("{}名的类型应为 string，这里是 {}", thing.chinese(), template.ty().name());
            spot.complain(node.at(), "E12", &text, "改正表达式");
            return None;
        } else {
            self.flow.uses.borrow_mut().dynamic.push(Dynamic {
                template: template.clone(),
                thing,
                at: node.at(),
                path: spot.path.clone(),
            });
        }
        Some(template)
    }

    pub(crate) fn name(&mut self, key: &str, thing: Thing) -> Option<Template> {
        let spot = self.fields.spot.under(key);
        let node = self.fields.required(key)?;
        self.named(node, &spot, thing)
    }

    pub(crate) fn names(&mut self, key: &str, thing: Thing) -> Vec<Template> {
        let spot = self.fields.spot.under(key);
        let Some(node) = self.fields.required(key) else { return Vec::new() };
        items_of(node).iter().filter_map(|it| self.named(it, &spot, thing)).collect()
    }

    pub(crate) fn table_type(&self, name: &str) -> Option<Type> {
        self.flow.world.tables.get(name).cloned()
    }

    pub(crate) fn flow_in(
        &mut self,
        fields: &mut Fields<'a>,
        key: &str,
        kind: FlowKind,
    ) -> Option<Template> {
        let spot = fields.spot.under(key);
        let node = fields.required(key)?;
        let template = self.named(node, &spot, Thing::Flow)?;
        let head = template.fixed().and_then(|it| self.flow.world.flows.get(it));
        if head.is_some_and(|it| it.kind != kind) {
            let text = format!("流程的 kind 应为 {}", super::header::kind_name(kind));
            spot.complain(node.at(), "E15", &text, "改用这种流程");
        }
        Some(template)
    }

    // Variables

    /// `var.x`, `x` (the same) or `session.x`.
    pub(crate) fn var_named(&self, name: &str, at: At, spot: &Spot<'_>) -> Option<(VarRef, Type)> {
        let find = |of: &[Var], name: &str| {
            of.iter()
                .position(|it| it.name == name)
                .and_then(|idx| of.get(idx).map(|it| (idx, it.ty.clone())))
        };
        let found = match name.split_once('.') {
            None => find(self.flow.vars, name).map(|it| (VarRef::Var(it.0), it.1)),
            Some(("var", name)) => find(self.flow.vars, name).map(|it| (VarRef::Var(it.0), it.1)),
            Some(("session", name)) => {
                find(&self.flow.world.session, name).map(|it| (VarRef::Session(it.0), it.1))
            }
            Some(("call" | "param" | "last" | "agent", _)) => {
                let text = format!("“{name}”只读");
                spot.complain(at, "E12", &text, "只能写 var.* 和 session.*");
                return None;
            }
            Some(_) => None,
        };
        if let Some((var, _)) = &found {
            self.flow.uses.borrow_mut().vars_set.insert(*var);
        } else {
            let text = format!("没有变量“{name}”");
            spot.complain(at, "E12", &text, "在 vars 或 session.yaml 中声明");
        }
        found
    }

    pub(crate) fn variable_in(
        &mut self,
        fields: &mut Fields<'a>,
        key: &str,
    ) -> Option<(VarRef, Type)> {
        let name = fields.required_text(key)?;
        self.var_named(&name, fields.key_at(key), &fields.spot.under(key))
    }

    pub(crate) fn variable(&mut self, key: &str) -> Option<(VarRef, Type)> {
        self.with_fields(|it, fields| it.variable_in(fields, key))
    }
}

fn complain_expr(text: &str, wrong: &expr::Wrong, at: At, spot: &Spot<'_>) {
    let column = text.get(..wrong.at).map_or(0, |it| it.chars().count()) + 1;
    let said = format!("表达式第 {column} 个字符：{}", wrong.text);
    spot.complain(at, "E12", &said, "改正表达式");
}
