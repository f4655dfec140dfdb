//! `set` and `lookup`: what a call remembers.

use hotline_base::Now;

use super::{Need, Outcome, outcome};
use crate::{
    Environment, Type, Value,
    check::NodeReader,
    expr::{Expr, Template},
    flow::Thing,
    session::{Session, Turn},
};

/// A variable that can be written.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum VarRef {
    Var(usize),
    Session(usize),
}

/// Assigns in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) assign: Vec<(VarRef, Expr)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) table: Template,
    pub(crate) key: Template,
    pub(crate) into: VarRef,
    pub(crate) into_type: Type,
    pub(crate) prefix_match: bool,
}

const SET: [Outcome; 2] = [outcome("done", Need::Main), outcome("error", Need::Covered)];
const LOOKUP: [Outcome; 3] = [
    outcome("found", Need::Main),
    outcome("missing", Need::Covered),
    outcome("error", Need::Covered),
];

impl Set {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&SET);
        let mut fields = it.fields.required_map("assign")?;
        let mut assign = Vec::new();
        for name in fields.keys() {
            let var = it.var_named(&name, fields.key_at(&name), &fields.spot.under(&name));
            let Some((var, ty)) = var else {
                fields.skip(&name);
                continue;
            };
            if let Some(expr) = it.expr_in(&mut fields, &name, &ty) {
                assign.push((var, expr));
            }
        }
        fields.finish();
        Some(Self { assign })
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        for (var, expr) in &self.assign {
            match session.value(expr, env, now) {
                Ok(value) => session.assign(*var, value),
                Err(reason) => return Turn::Fail(reason),
            }
        }
        Turn::leave("done")
    }
}

impl Lookup {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&LOOKUP);
        let table = it.name("table", Thing::Table);
        let key = it.template("key");
        let into = it.variable("into");
        let prefix_match = it.fields.bool("prefix_match").unwrap_or(false);
        let (into, into_type) = into?;
        let table = table?;
        if let Some(ty) = table.fixed().and_then(|it_| it.table_type(it_))
            && ty != into_type
        {
            let text = format!("表的值类型是 {}，变量是 {}", ty.name(), into_type.name());
            it.fields.wrong("into", "E12", &text, "改用同类型的变量");
        }
        Some(Self { table, key: key?, into, into_type, prefix_match })
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        let table = session.text(&self.table, env, now);
        let key = session.text(&self.key, env, now);
        let (table, key) = match (table, key) {
            (Ok(table), Ok(key)) => (table, key),
            (Err(reason), _) | (_, Err(reason)) => return Turn::Fail(reason),
        };
        let Some(table) = session.bundle().tables.get(&*table) else {
            return Turn::fail("unknown table");
        };
        let found =
            if self.prefix_match { table.longest_prefix(&key) } else { table.rows.get(&*key) };
        match found.cloned() {
            Some(value) if value.type_of().as_ref() == Some(&self.into_type) => {
                session.assign(self.into, value);
                Turn::leave("found")
            }
            Some(value) if self.into_type == Type::Str => {
                session.assign(self.into, Value::Str(value.to_text()));
                Turn::leave("found")
            }
            Some(_) => Turn::fail("table value of another type"),
            None => Turn::leave("missing"),
        }
    }
}
