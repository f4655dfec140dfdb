//! Which names an expression uses, and whether it shows something personal.

use super::node_reader::Uses;
use crate::{
    Type,
    expr::{Expr, Field, Func, Op},
    flow::{Mask, Var},
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
    let below = |it: &Expr| is_personal(it, vars, session);
    // A truth value or a count gives nobody away.
    if matches!(expr.ty, Type::Bool) {
        return false;
    }
    match &expr.op {
        Op::Var(idx) => masked(vars, *idx),
        Op::Session(idx) => masked(session, *idx),
        Op::Field(Field::CallFrom | Field::LastDigits) => true,
        Op::Call(Func::Mask | Func::Size | Func::Hash, _) => false,
        Op::Call(_, args) | Op::List(args) => args.iter().any(below),
        Op::If(parts) => parts.iter().any(below),
        Op::Binary(_, a, b) | Op::Index(a, b) | Op::Each(_, a, b) => below(a) || below(b),
        Op::Not(it) | Op::Neg(it) => below(it),
        Op::Const(_) | Op::Param(_) | Op::Field(_) | Op::Local => false,
    }
}
