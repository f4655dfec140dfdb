//! Text with `{{ expression }}` in it.

use std::borrow::Cow;

use super::{EvalError, Expr, Names, Scope, Wrong, check::check, lex, parse::parse};
use crate::{Type, Value};

/// A field that takes text with expressions. A single expression and nothing else keeps its type.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Expr(Expr),
}

impl Template {
    pub(crate) fn parse(text: &str, names: &Names<'_>) -> Result<Self, Wrong> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|it| !it.is_empty()) {
            let Some(open) = rest.find("{{") else {
                parts.push(Part::Text(rest.to_owned()));
                break;
            };
            if open > 0 {
                parts.push(Part::Text(rest.get(..open).unwrap_or_default().to_owned()));
            }
            let inner = rest.get(open + 2..).unwrap_or_default();
            let start = at + open + 2;
            let len = closing(inner).ok_or_else(|| Wrong::new(start, "“{{”没有“}}”配对"))?;
            let source = inner.get(..len).unwrap_or_default();
            let shift = |it: Wrong| Wrong::new(it.at + start, it.text);
            let ast = parse(source).map_err(shift)?;
            parts.push(Part::Expr(check(&ast, names).map_err(shift)?));
            at = start + len + 2;
        }
        Ok(Self { parts })
    }

    /// A fixed text.
    pub(crate) fn text(text: &str) -> Self {
        Self { parts: vec![Part::Text(text.to_owned())] }
    }

    pub(crate) fn ty(&self) -> Type {
        match self.parts.as_slice() {
            [Part::Expr(it)] => it.ty.clone(),
            _ => Type::Str,
        }
    }

    /// The text, when there is no expression in it.
    pub(crate) fn fixed(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(it)] => Some(it),
            _ => None,
        }
    }

    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.parts.iter().filter_map(|it| match it {
            Part::Expr(it) => Some(it),
            Part::Text(_) => None,
        })
    }

    pub(crate) fn is_static(&self) -> bool {
        self.exprs().all(Expr::is_static)
    }

    pub(crate) fn eval(&self, scope: &Scope<'_>) -> Result<Value, EvalError> {
        if let [Part::Expr(it)] = self.parts.as_slice() {
            return it.eval(scope);
        }
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(it) => text.push_str(it),
                Part::Expr(it) => text.push_str(&it.eval(scope)?.to_text()),
            }
        }
        Ok(Value::Str(text))
    }

    pub(crate) fn eval_text(&self, scope: &Scope<'_>) -> Result<Cow<'_, str>, EvalError> {
        if let Some(text) = self.fixed() {
            return Ok(text.into());
        }
        Ok(match self.eval(scope)? {
            Value::Str(text) => text.into(),
            other @ (Value::Bool(_)
            | Value::Int(_)
            | Value::Duration(_)
            | Value::Time(_)
            | Value::List(_)) => other.to_text().into(),
        })
    }
}

/// Length of the expression up to `}}` that is not inside quotes.
fn closing(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with("}}") {
            return Some(at);
        }
        let first = rest.chars().next()?;
        at += if first == '\'' || first == '"' {
            lex::quoted(rest, first)?.1
        } else {
            first.len_utf8()
        };
    }
}
