//! `call` and `return`: flows within flows.

use std::collections::BTreeMap;

use hotline_base::{FlowId, Now};

use super::{Need, Outcome, VarRef, outcome};
use crate::{
    Environment, Value,
    check::{Fields, NodeReader},
    expr::{Expr, Template},
    flow::FlowKind,
    session::{Session, Turn},
};

/// A flow to enter, with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct FlowCall {
    pub(crate) flow: Template,
    pub(crate) args: Vec<(String, Expr)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) call: FlowCall,
    /// Name of the returned value, and where it goes.
    pub(crate) into: Vec<(String, VarRef)>,
}

/// Leaves the flow for the one that called it.
#[derive(Clone, Debug)]
pub(crate) struct Return {
    pub(crate) values: Vec<(String, Expr)>,
}

const CALL: [Outcome; 2] = [outcome("done", Need::Main), outcome("error", Need::Covered)];

impl FlowCall {
    /// Reads `flow` and `args`; the flow must be of this kind.
    pub(super) fn read_in<'a>(
        it: &mut NodeReader<'a>,
        fields: &mut Fields<'a>,
        kind: FlowKind,
    ) -> Option<Self> {
        let flow = it.flow_in(fields, "flow", kind);
        let mut args = Vec::new();
        if let Some(mut given) = fields.map("args") {
            for name in given.keys() {
                if let Some(expr) = it.any_expr_in(&mut given, &name) {
                    args.push((name, expr));
                }
            }
            given.finish();
        }
        let flow = flow?;
        it.check_args(fields, &flow, &args);
        Some(Self { flow, args })
    }

    /// The flow and the values of its parameters.
    pub(crate) fn resolve(
        &self,
        session: &Session,
        env: &dyn Environment,
        now: Now,
    ) -> Result<(FlowId, BTreeMap<String, Value>), String> {
        let flow = FlowId::new(&session.text(&self.flow, env, now)?);
        let mut args = BTreeMap::new();
        for (name, expr) in &self.args {
            args.insert(name.clone(), session.value(expr, env, now)?);
        }
        Ok((flow, args))
    }
}

impl Call {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&CALL);
        let call = it.with_fields(|it, fields| FlowCall::read_in(it, fields, FlowKind::Subflow));
        let mut into = Vec::new();
        if let Some(mut fields) = it.fields.map("into") {
            for returned in fields.keys() {
                if let Some((var, ty)) = it.variable_in(&mut fields, &returned) {
                    it.check_return(call.as_ref(), &returned, &ty, &fields);
                    into.push((returned, var));
                }
            }
            fields.finish();
        }
        Some(Self { call: call?, into })
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        match self.call.resolve(session, env, now) {
            Ok((flow, args)) => session.enter_subflow(&flow, &args, &self.into, now),
            Err(reason) => Turn::Fail(reason),
        }
    }
}

impl Return {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Self {
        let mut values = Vec::new();
        if let Some(mut fields) = it.fields.map("values") {
            for name in fields.keys() {
                if let Some(expr) = it.returned(&mut fields, &name) {
                    values.push((name, expr));
                }
            }
            fields.finish();
        }
        Self { values }
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        let mut values = BTreeMap::new();
        for (name, expr) in &self.values {
            match session.value(expr, env, now) {
                Ok(value) => {
                    values.insert(name.clone(), value);
                }
                Err(reason) => return Turn::Fail(reason),
            }
        }
        session.leave_flow(&values, now)
    }
}
