//! `branch` by conditions and `switch` by a value.

use hotline_base::Now;

use super::{Need, Outcome, outcome};
use crate::{
    Environment, Type,
    check::NodeReader,
    expr::Expr,
    session::{Session, Turn},
};

/// The first case whose condition holds; outcomes `case.1`, `case.2`, …, `else`.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) cases: Vec<Expr>,
}

/// The case equal to the value as text; outcomes are the literals and `else`.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    pub(crate) on_value: Expr,
}

const ERROR: [Outcome; 1] = [outcome("error", Need::Covered)];

impl Branch {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        let mut cases = Vec::new();
        for mut case in it.fields.maps_in("cases") {
            let condition = it.expr_in(&mut case, "if", &Type::Bool);
            let target = it.target_in(&mut case, "next");
            case.finish();
            if let Some(condition) = condition {
                cases.push(condition);
                it.exit(&format!("case.{}", cases.len()), target);
            }
        }
        let otherwise = it.required_target("else");
        it.exit("else", otherwise);
        it.exits(&ERROR);
        (!cases.is_empty()).then_some(Self { cases })
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        for (idx, case) in self.cases.iter().enumerate() {
            match session.holds(case, env, now) {
                Ok(true) => return Turn::leave(format!("case.{}", idx + 1)),
                Ok(false) => (),
                Err(reason) => return Turn::Fail(reason),
            }
        }
        Turn::leave("else")
    }
}

impl Switch {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        let on_value = it.any_expr("on_value");
        if let Some(mut cases) = it.fields.required_map("cases") {
            for literal in cases.keys() {
                let target = it.target_in(&mut cases, &literal);
                it.exit(&literal, target);
            }
            cases.finish();
        }
        let otherwise = it.required_target("else");
        it.exit("else", otherwise);
        it.exits(&ERROR);
        Some(Self { on_value: on_value? })
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        match session.value(&self.on_value, env, now) {
            Ok(value) => {
                let value = value.to_text();
                if session.has_exit(&value) { Turn::leave(value) } else { Turn::leave("else") }
            }
            Err(reason) => Turn::Fail(reason),
        }
    }
}
