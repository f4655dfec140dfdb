//! Expressions: a typed subset of CEL that always ends.
//!
//! `lex` and `parse` make a tree of the text, `check` gives every part a type against the names in
//! scope, `eval` computes. What passed the check can fail at run time only by arithmetic (division
//! by zero, overflow), by a conversion, by a name that comes from data, or by the cost limit.

mod apply;
mod check;
mod eval;
mod funcs;
mod lex;
mod parse;
mod template;
mod text;

pub(crate) use self::{
    check::{Expr, Field, Names, Op, check},
    eval::{EvalError, Scope},
    funcs::Func,
    parse::parse,
    template::Template,
    text::mask,
};

/// What is wrong with an expression, and where: a byte offset into its text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wrong {
    pub(crate) at: usize,
    pub(crate) text: String,
}

impl Wrong {
    fn new(at: usize, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }
}

#[cfg(test)]
mod tests;
