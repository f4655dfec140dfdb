//! Computes checked expressions.

use std::cell::Cell;

use hotline_base::WallTime;

use super::{
    apply,
    check::{Each, Expr, Field, Op},
    parse::Operator,
};
use crate::{Bundle, Environment, Value};

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EvalError {
    Overflow,
    DivisionByZero,
    OutOfRange,
    Conversion,
    UnknownName,
    EmptySeparator,
    Cost,
    Size,
    Internal,
}

impl EvalError {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Overflow => "expression overflow",
            Self::DivisionByZero => "division by zero",
            Self::OutOfRange => "index out of range",
            Self::Conversion => "conversion of a wrong text",
            Self::UnknownName => "unknown table, schedule or calendar",
            Self::EmptySeparator => "split by nothing",
            Self::Cost => "expression too costly",
            Self::Size => "result too large",
            Self::Internal => "expression types do not fit",
        }
    }
}

/// Operations an expression may take.
const COST_MAX: u32 = 10_000;
/// Bytes a result may have.
const SIZE_MAX: usize = 4_096;

/// What names mean at the moment.
pub(crate) struct Scope<'a> {
    pub(crate) params: &'a [Value],
    pub(crate) vars: &'a [Value],
    pub(crate) session: &'a [Value],
    pub(crate) field: &'a dyn Fn(Field) -> Value,
    pub(crate) env: &'a dyn Environment,
    pub(crate) bundle: &'a Bundle,
    pub(crate) wall: WallTime,
}

impl Expr {
    pub(crate) fn eval(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        let value = Run { scope, cost: Cell::new(0) }.expr(self, None)?;
        if value.size() > SIZE_MAX { Err(EvalError::Size) } else { Ok(value) }
    }

    /// For expressions checked to be `bool`.
    pub(crate) fn eval_bool(&self, scope: &Scope<'_>) -> Result<bool, EvalError> {
        self.eval(scope)?.as_bool().ok_or(EvalError::Internal)
    }
}

struct Run<'a> {
    scope: &'a Scope<'a>,
    cost: Cell<u32>,
}

impl Run<'_> {
    fn expr(&self, it: &Expr, local: Option<&Value>) -> Result<Value, EvalError> {
        self.cost.set(self.cost.get() + 1);
        if self.cost.get() > COST_MAX {
            return Err(EvalError::Cost);
        }
        let slot = |of: &[Value], idx: usize| of.get(idx).cloned().ok_or(EvalError::Internal);
        match &it.op {
            Op::Const(value) => Ok(value.clone()),
            Op::Param(idx) => slot(self.scope.params, *idx),
            Op::Var(idx) => slot(self.scope.vars, *idx),
            Op::Session(idx) => slot(self.scope.session, *idx),
            Op::Field(field) => Ok((self.scope.field)(*field)),
            Op::Local => local.cloned().ok_or(EvalError::Internal),
            Op::Not(inner) => Ok(Value::Bool(!self.bool(inner, local)?)),
            Op::Neg(inner) => {
                let inner = self.expr(inner, local)?.as_int().ok_or(EvalError::Internal)?;
                inner.checked_neg().map(Value::Int).ok_or(EvalError::Overflow)
            }
            Op::Binary(operator, a, b) => self.binary(*operator, a, b, local),
            Op::If(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let chosen = if self.bool(condition, local)? { yes } else { no };
                self.expr(chosen, local)
            }
            Op::Index(list, index) => {
                let Value::List(items) = self.expr(list, local)? else {
                    return Err(EvalError::Internal);
                };
                let index = self.expr(index, local)?.as_int().ok_or(EvalError::Internal)?;
                usize::try_from(index)
                    .ok()
                    .and_then(|it| items.get(it).cloned())
                    .ok_or(EvalError::OutOfRange)
            }
            Op::List(items) => {
                let items: Result<_, _> = items.iter().map(|it| self.expr(it, local)).collect();
                Ok(Value::List(items?))
            }
            Op::Call(func, args) => {
                let args: Result<Vec<_>, _> = args.iter().map(|it| self.expr(it, local)).collect();
                let args = args?;
                let bytes: usize = args.iter().map(Value::size).sum();
                self.cost.set(self.cost.get() + u32::try_from(bytes / 64).unwrap_or(COST_MAX));
                apply::apply(func, &args, self.scope)
            }
            Op::Each(each, list, body) => self.each(*each, list, body),
        }
    }

    fn bool(&self, it: &Expr, local: Option<&Value>) -> Result<bool, EvalError> {
        self.expr(it, local)?.as_bool().ok_or(EvalError::Internal)
    }

    fn binary(
        &self,
        operator: Operator,
        a: &Expr,
        b: &Expr,
        local: Option<&Value>,
    ) -> Result<Value, EvalError> {
        if operator == Operator::Or {
            return Ok(Value::Bool(self.bool(a, local)? || self.bool(b, local)?));
        }
        if operator == Operator::And {
            return Ok(Value::Bool(self.bool(a, local)? && self.bool(b, local)?));
        }
        let (a, b) = (self.expr(a, local)?, self.expr(b, local)?);
        let order = || compare(&a, &b).ok_or(EvalError::Internal);
        Ok(match operator {
            Operator::Equal => Value::Bool(a == b),
            Operator::NotEqual => Value::Bool(a != b),
            Operator::Less => Value::Bool(order()?.is_lt()),
            Operator::LessEqual => Value::Bool(order()?.is_le()),
            Operator::Greater => Value::Bool(order()?.is_gt()),
            Operator::GreaterEqual => Value::Bool(order()?.is_ge()),
            Operator::In => {
                let Value::List(items) = b else { return Err(EvalError::Internal) };
                Value::Bool(items.contains(&a))
            }
            Operator::Add
            | Operator::Subtract
            | Operator::Multiply
            | Operator::Divide
            | Operator::Remainder => return arithmetic(operator, a, b),
            Operator::Or | Operator::And => return Err(EvalError::Internal),
        })
    }

    fn each(&self, each: Each, list: &Expr, body: &Expr) -> Result<Value, EvalError> {
        let Value::List(items) = self.expr(list, None)? else {
            return Err(EvalError::Internal);
        };
        let mut kept = Vec::new();
        for item in items {
            match each {
                Each::Map => kept.push(self.expr(body, Some(&item))?),
                Each::Filter => {
                    if self.bool(body, Some(&item))? {
                        kept.push(item);
                    }
                }
                Each::Exists => {
                    if self.bool(body, Some(&item))? {
                        return Ok(Value::Bool(true));
                    }
                }
                Each::All => {
                    if !self.bool(body, Some(&item))? {
                        return Ok(Value::Bool(false));
                    }
                }
            }
        }
        Ok(match each {
            Each::Map | Each::Filter => Value::List(kept),
            Each::Exists => Value::Bool(false),
            Each::All => Value::Bool(true),
        })
    }
}

fn compare(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn arithmetic(operator: Operator, a: Value, b: Value) -> Result<Value, EvalError> {
    match (operator, a, b) {
        (Operator::Add, Value::Str(a), Value::Str(b)) => {
            if a.len() + b.len() > SIZE_MAX {
                return Err(EvalError::Size);
            }
            Ok(Value::Str(a + &b))
        }
        (Operator::Add, Value::Duration(a), Value::Duration(b)) => {
            a.checked_add(b).map(Value::Duration).ok_or(EvalError::Overflow)
        }
        (_, Value::Int(a), Value::Int(b)) => {
            let value = match operator {
                Operator::Add => a.checked_add(b),
                Operator::Subtract => a.checked_sub(b),
                Operator::Multiply => a.checked_mul(b),
                Operator::Divide | Operator::Remainder if b == 0 => {
                    return Err(EvalError::DivisionByZero);
                }
                Operator::Divide => a.checked_div(b),
                Operator::Remainder => a.checked_rem(b),
                Operator::Or
                | Operator::And
                | Operator::Less
                | Operator::LessEqual
                | Operator::Greater
                | Operator::GreaterEqual
                | Operator::Equal
                | Operator::NotEqual
                | Operator::In => return Err(EvalError::Internal),
            };
            value.map(Value::Int).ok_or(EvalError::Overflow)
        }
        _ => Err(EvalError::Internal),
    }
}
