//! A tree without types → an expression whose names are slots and whose types fit.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Wrong, funcs,
    funcs::Func,
    parse::{Ast, AstKind, Operator},
};
use crate::{Type, Value};

/// An expression with its type.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) ty: Type,
    pub(crate) op: Op,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Const(Value),
    Param(usize),
    Var(usize),
    Session(usize),
    Field(Field),
    /// The element inside `exists`, `all`, `filter`, `map`.
    Local,
    Not(Box<Expr>),
    Neg(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    If(Box<[Expr; 3]>),
    Index(Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Call(Func, Vec<Expr>),
    Each(Each, Box<Expr>, Box<Expr>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Each {
    Exists,
    All,
    Filter,
    Map,
}

/// Read-only facts of the call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Field {
    CallId,
    CallFrom,
    CallTo,
    CallDnis,
    CallTrunk,
    CallStartedAt,
    CallLang,
    CallRecordingId,
    CallDirection,
    LastOutcome,
    LastReason,
    LastDigits,
    AgentId,
    AgentGroup,
    AgentTalkMs,
    AgentEndedBy,
    EndReason,
}

/// A look-up table as expressions see it: the type of its values.
pub(crate) type TableShape = Type;

/// What an expression may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) params: &'a [(String, Type)],
    pub(crate) vars: &'a [(String, Type)],
    pub(crate) session: &'a [(String, Type)],
    pub(crate) tables: &'a BTreeMap<String, TableShape>,
    pub(crate) schedules: &'a BTreeSet<String>,
    pub(crate) calendars: &'a BTreeSet<String>,
}

/// Checks a whole expression.
pub(crate) fn check(ast: &Ast, names: &Names<'_>) -> Result<Expr, Wrong> {
    Checker { names, local: None }.expr(ast)
}

pub(super) struct Checker<'a> {
    pub(super) names: &'a Names<'a>,
    local: Option<(String, Type)>,
}

impl Checker<'_> {
    pub(super) fn expr(&mut self, ast: &Ast) -> Result<Expr, Wrong> {
        match &ast.kind {
            AstKind::Bool(it) => Ok(constant(Value::Bool(*it), Type::Bool)),
            AstKind::Int(it) => Ok(constant(Value::Int(*it), Type::Int)),
            AstKind::Str(it) => Ok(constant(Value::str(it), Type::Str)),
            AstKind::Name(name) => self.name(ast.at, name),
            AstKind::Field(on, name) => self.field(ast.at, on, name),
            AstKind::Index(list, index) => self.index(list, index),
            AstKind::Call { on, name, args } => self.call(ast.at, on.as_deref(), name, args),
            AstKind::List(items) => self.list(ast.at, items),
            AstKind::Not(inner) => {
                let inner = self.typed(inner, &Type::Bool)?;
                Ok(Expr { ty: Type::Bool, op: Op::Not(Box::new(inner)) })
            }
            AstKind::Neg(inner) => {
                let inner = self.typed(inner, &Type::Int)?;
                Ok(Expr { ty: Type::Int, op: Op::Neg(Box::new(inner)) })
            }
            AstKind::Binary(operator, left, right) => self.binary(*operator, left, right),
            AstKind::If(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let condition = self.typed(condition, &Type::Bool)?;
                let yes = self.expr(yes)?;
                let no = self.typed(no, &yes.ty)?;
                Ok(Expr { ty: yes.ty.clone(), op: Op::If(Box::new([condition, yes, no])) })
            }
        }
    }

    pub(super) fn typed(&mut self, ast: &Ast, want: &Type) -> Result<Expr, Wrong> {
        let it = self.expr(ast)?;
        if it.ty == *want {
            return Ok(it);
        }
        let text = format!("类型应为 {}，这里是 {}", want.name(), it.ty.name());
        Err(Wrong::new(ast.at, text))
    }

    fn name(&self, at: usize, name: &str) -> Result<Expr, Wrong> {
        match &self.local {
            Some((local, ty)) if local == name => Ok(Expr { ty: ty.clone(), op: Op::Local }),
            Some(_) | None => Err(Wrong::new(
                at,
                format!(
                    "未知名称“{name}”：变量写作 var.{name}，会话变量写作 session.{name}，文字要加引号"
                ),
            )),
        }
    }

    fn field(&self, at: usize, on: &Ast, name: &str) -> Result<Expr, Wrong> {
        let AstKind::Name(scope) = &on.kind else {
            return Err(Wrong::new(at, "此处没有字段"));
        };
        let slot = |of: &[(String, Type)], op: fn(usize) -> Op| {
            of.iter()
                .position(|it| it.0 == name)
                .and_then(|idx| of.get(idx).map(|it| Expr { ty: it.1.clone(), op: op(idx) }))
        };
        let found = match scope.as_str() {
            "param" => slot(self.names.params, Op::Param),
            "var" => slot(self.names.vars, Op::Var),
            "session" if name == "end_reason" => Some(field(Field::EndReason)),
            "session" => slot(self.names.session, Op::Session),
            "call" | "last" | "agent" => known_field(scope, name).map(field),
            _ => {
                return Err(Wrong::new(
                    at,
                    format!("未知作用域“{scope}”，可用 call param var session last agent"),
                ));
            }
        };
        found.ok_or_else(|| Wrong::new(at, format!("{scope} 中没有“{name}”")))
    }

    fn index(&mut self, list: &Ast, index: &Ast) -> Result<Expr, Wrong> {
        let at = list.at;
        let list = self.expr(list)?;
        let index = self.typed(index, &Type::Int)?;
        let Type::List(of) = &list.ty else {
            return Err(Wrong::new(at, "只有列表可以用下标"));
        };
        let ty = of.as_ref().clone();
        Ok(Expr { ty, op: Op::Index(Box::new(list), Box::new(index)) })
    }

    fn list(&mut self, at: usize, items: &[Ast]) -> Result<Expr, Wrong> {
        let Some((first, rest)) = items.split_first() else {
            return Err(Wrong::new(at, "空列表没有类型"));
        };
        let first = self.expr(first)?;
        let ty = first.ty.clone();
        let mut all = vec![first];
        for item in rest {
            all.push(self.typed(item, &ty)?);
        }
        Ok(Expr { ty: Type::List(Box::new(ty)), op: Op::List(all) })
    }

    fn binary(&mut self, operator: Operator, left: &Ast, right: &Ast) -> Result<Expr, Wrong> {
        use Operator::{
            Add, And, Divide, Equal, Greater, GreaterEqual, In, Less, LessEqual, Multiply,
            NotEqual, Or, Remainder, Subtract,
        };
        let at = left.at;
        let left = self.expr(left)?;
        let want =
            if operator == In { Type::List(Box::new(left.ty.clone())) } else { left.ty.clone() };
        let right = self.typed(right, &want)?;
        let (fits, ty) = match operator {
            Or | And => (left.ty == Type::Bool, Type::Bool),
            Equal | NotEqual | In => (true, Type::Bool),
            Less | LessEqual | Greater | GreaterEqual => {
                let ordered = [Type::Int, Type::Str, Type::Duration, Type::Time];
                (ordered.contains(&left.ty), Type::Bool)
            }
            Add => ([Type::Int, Type::Str, Type::Duration].contains(&left.ty), left.ty.clone()),
            Subtract | Multiply | Divide | Remainder => (left.ty == Type::Int, Type::Int),
        };
        if !fits {
            return Err(Wrong::new(at, format!("此运算不能用于 {}", left.ty.name())));
        }
        Ok(Expr { ty, op: Op::Binary(operator, Box::new(left), Box::new(right)) })
    }

    fn call(
        &mut self,
        at: usize,
        on: Option<&Ast>,
        name: &str,
        args: &[Ast],
    ) -> Result<Expr, Wrong> {
        let each = match name {
            "exists" => Some(Each::Exists),
            "all" => Some(Each::All),
            "filter" => Some(Each::Filter),
            "map" => Some(Each::Map),
            _ => None,
        };
        match (on, each) {
            (Some(on), Some(each)) => self.each(each, on, args),
            (on, _) => funcs::check(self, at, on, name, args),
        }
    }

    fn each(&mut self, each: Each, on: &Ast, args: &[Ast]) -> Result<Expr, Wrong> {
        if self.local.is_some() {
            return Err(Wrong::new(on.at, "列表运算不能嵌套"));
        }
        let list = self.expr(on)?;
        let Type::List(of) = &list.ty else {
            return Err(Wrong::new(on.at, "此运算只能用于列表"));
        };
        let [Ast { kind: AstKind::Name(name), .. }, body] = args else {
            return Err(Wrong::new(on.at, "写法：列表.exists(x, 条件)"));
        };
        self.local = Some((name.clone(), of.as_ref().clone()));
        let body_at = body.at;
        let body = self.expr(body);
        self.local = None;
        let body = body?;
        let ty = match each {
            Each::Exists | Each::All => Type::Bool,
            Each::Filter => list.ty.clone(),
            Each::Map => Type::List(Box::new(body.ty.clone())),
        };
        if each != Each::Map && body.ty != Type::Bool {
            return Err(Wrong::new(body_at, "条件的类型应为 bool"));
        }
        Ok(Expr { ty, op: Op::Each(each, Box::new(list), Box::new(body)) })
    }
}

pub(super) const fn constant(value: Value, ty: Type) -> Expr {
    Expr { ty, op: Op::Const(value) }
}

fn field(it: Field) -> Expr {
    let ty = match it {
        Field::AgentTalkMs => Type::Int,
        Field::CallStartedAt => Type::Time,
        Field::CallId
        | Field::CallFrom
        | Field::CallTo
        | Field::CallDnis
        | Field::CallTrunk
        | Field::CallLang
        | Field::CallRecordingId
        | Field::CallDirection
        | Field::LastOutcome
        | Field::LastReason
        | Field::LastDigits
        | Field::AgentId
        | Field::AgentGroup
        | Field::AgentEndedBy
        | Field::EndReason => Type::Str,
    };
    Expr { ty, op: Op::Field(it) }
}

fn known_field(scope: &str, name: &str) -> Option<Field> {
    Some(match (scope, name) {
        ("call", "id") => Field::CallId,
        ("call", "from") => Field::CallFrom,
        ("call", "to") => Field::CallTo,
        ("call", "dnis") => Field::CallDnis,
        ("call", "trunk") => Field::CallTrunk,
        ("call", "started_at") => Field::CallStartedAt,
        ("call", "lang") => Field::CallLang,
        ("call", "recording_id") => Field::CallRecordingId,
        ("call", "direction") => Field::CallDirection,
        ("last", "outcome") => Field::LastOutcome,
        ("last", "reason") => Field::LastReason,
        ("last", "digits") => Field::LastDigits,
        ("agent", "id") => Field::AgentId,
        ("agent", "group") => Field::AgentGroup,
        ("agent", "talk_ms") => Field::AgentTalkMs,
        ("agent", "ended_by") => Field::AgentEndedBy,
        _ => return None,
    })
}

impl Expr {
    pub(crate) const fn constant(&self) -> Option<&Value> {
        if let Op::Const(it) = &self.op { Some(it) } else { None }
    }

    /// Calls `see` for this part and every part below it.
    pub(crate) fn walk(&self, see: &mut dyn FnMut(&Self)) {
        see(self);
        match &self.op {
            Op::Const(_)
            | Op::Param(_)
            | Op::Var(_)
            | Op::Session(_)
            | Op::Field(_)
            | Op::Local => (),
            Op::Not(it) | Op::Neg(it) => it.walk(see),
            Op::Binary(_, a, b) | Op::Index(a, b) | Op::Each(_, a, b) => {
                a.walk(see);
                b.walk(see);
            }
            Op::If(parts) => parts.iter().for_each(|it| it.walk(see)),
            Op::List(items) | Op::Call(_, items) => items.iter().for_each(|it| it.walk(see)),
        }
    }

    /// Whether nothing but parameters and literals decides it, so that a number's row can be
    /// tried before any call.
    pub(crate) fn is_static(&self) -> bool {
        let mut fixed = true;
        self.walk(&mut |it| {
            fixed &= match &it.op {
                Op::Var(_) | Op::Session(_) | Op::Field(_) => false,
                Op::Call(func, _) => func.is_static(),
                Op::Const(_)
                | Op::Param(_)
                | Op::Local
                | Op::Not(_)
                | Op::Neg(_)
                | Op::Binary(..)
                | Op::If(_)
                | Op::Index(..)
                | Op::List(_)
                | Op::Each(..) => true,
            };
        });
        fixed
    }
}
