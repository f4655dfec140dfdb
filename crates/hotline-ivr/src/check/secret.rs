//! Which names an expression uses, and whether it shows something personal.

use super::node_reader::Uses;
use crate::{
    Type,
    expr::{Expr, Field, Func, Op},
    flow::{Mask, Var},
    node::VarRef,
};

/// Notes the parameters and variables an expression reads.
pub(super) fn note_names(expr: &Expr, uses: &mut Uses) {
    expr.walk(&mut |it| match &it.op {
        Op::Param(idx) => {
            uses.params.insert(*idx);
        }
        Op::Var(idx) => {
            uses.vars_read.insert(*idx);
        }
        Op::Const(_)
        | Op::Session(_)
        | Op::Field(_)
        | Op::Local
        | Op::Not(_)
        | Op::Neg(_)
        | Op::Binary(..)
        | Op::If(_)
        | Op::Index(..)
        | Op::List(_)
        | Op::Call(..)
        | Op::Each(..) => (),
    });
}

/// Whether the value may hold the caller's number, or a variable declared with a mask.
pub(super) fn is_personal(expr: &Expr, vars: &[Var], session: &[Var]) -> bool {
    let masked = |of: &[Var], idx: usize| of.get(idx).is_some_and(|it| it.mask != Mask::None);
    let wanted = |it: VarRef| match it {
        VarRef::Var(idx) => masked(vars, idx),
        VarRef::Session(idx) => masked(session, idx),
    };
    holds(expr, &wanted, &[Field::CallFrom, Field::LastDigits])
}

/// Whether the value may hold one of these variables, or what was typed last.
pub(super) fn shows(expr: &Expr, secret: &dyn Fn(VarRef) -> bool) -> bool {
    holds(expr, secret, &[Field::LastDigits])
}

fn holds(expr: &Expr, wanted: &dyn Fn(VarRef) -> bool, fields: &[Field]) -> bool {
    let below = |it: &Expr| holds(it, wanted, fields);
    // A truth value or a count gives nobody away.
    if matches!(expr.ty, Type::Bool) {
        return false;
    }
    match &expr.op {
        Op::Var(idx) => wanted(VarRef::Var(*idx)),
        Op::Session(idx) => wanted(VarRef::Session(*idx)),
        Op::Field(it) => fields.contains(it),
        Op::Call(Func::Mask | Func::Size | Func::Hash, _) => false,
        Op::Call(_, args) | Op::List(args) => args.iter().any(below),
        Op::If(parts) => parts.iter().any(below),
        Op::Binary(_, a, b) | Op::Index(a, b) | Op::Each(_, a, b) => below(a) || below(b),
        Op::Not(it) | Op::Neg(it) => below(it),
        Op::Const(_) | Op::Param(_) | Op::Local => false,
    }
}
