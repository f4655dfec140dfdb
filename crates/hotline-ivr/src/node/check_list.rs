//! `check_list`: whether the caller is on the blacklist or a VIP.

use std::borrow::Cow;

use hotline_base::Now;

use super::{Need, Outcome, VarRef, outcome};
use crate::{
    Environment, FlowFact, Type, Value,
    check::NodeReader,
    expr::Template,
    session::{Session, Turn},
};

#[derive(Clone, Debug)]
pub(crate) struct CheckList {
    pub(crate) list: &'static str,
    /// The caller's when absent.
    pub(crate) number: Option<Template>,
    /// Whose entries count besides those for everywhere.
    pub(crate) city: Option<Template>,
    /// Where the entry's priority and group go, if it has them.
    pub(crate) priority_into: Option<VarRef>,
    pub(crate) group_into: Option<VarRef>,
}

const LISTS: [&str; 2] = ["blacklist", "vip"];

const OUTCOMES: [Outcome; 3] = [
    outcome("hit", Need::Main),
    outcome("miss", Need::Wired),
    // Who cannot be looked up is not refused.
    outcome("error", Need::Like("miss")),
];

/// What an entry may ask for; a flow wires those it treats otherwise than `hit`.
const ACTIONS: [&str; 5] = ["reject", "announce", "low_priority", "voicemail", "prefer"];

impl CheckList {
    pub(super) fn read(it: &mut NodeReader<'_>) -> Option<Self> {
        it.exits(&OUTCOMES);
        for action in ACTIONS {
            it.optional_exit(action);
        }
        it.fields.required("list")?;
        let list = it.fields.choice("list", &LISTS);
        let list = list.and_then(|it| LISTS.into_iter().find(|known| *known == it));
        let template = |it: &mut NodeReader<'_>, key| it.fields.has(key).then(|| it.template(key));
        let number = template(it, "number").flatten();
        let city = template(it, "city").flatten();
        let priority_into = into(it, "priority_into", &Type::Int);
        let group_into = into(it, "group_into", &Type::Str);
        Some(Self { list: list?, number, city, priority_into, group_into })
    }

    pub(super) fn enter(&self, session: &mut Session, env: &dyn Environment, now: Now) -> Turn {
        let text = |it: &Option<Template>| {
            it.as_ref().map(|it| session.text(it, env, now).map(Cow::into_owned))
        };
        let number = text(&self.number).unwrap_or_else(|| Ok(session.caller_number().to_owned()));
        let city = text(&self.city).unwrap_or_else(|| Ok(String::new()));
        let (number, city) = match (number, city) {
            (Ok(number), Ok(city)) => (number, city),
            (Err(reason), _) | (_, Err(reason)) => return Turn::Fail(reason),
        };
        let Some(found) = env.listed(self.list, &number, &city, now.wall) else {
            return Turn::leave("miss");
        };
        let (list, action) = (self.list.to_owned(), found.action.to_owned());
        session.fact(FlowFact::Listed { list, entry: found.entry, action });
        if let (Some(var), Some(priority)) = (self.priority_into, found.priority) {
            session.assign(var, Value::Int(i64::from(priority)));
        }
        if let (Some(var), Some(group)) = (self.group_into, &found.group) {
            session.assign(var, Value::str(group.as_str()));
        }
        Turn::leave(if session.has_exit(found.action) { found.action } else { "hit" })
    }
}

fn into(it: &mut NodeReader<'_>, key: &'static str, want: &Type) -> Option<VarRef> {
    if !it.fields.has(key) {
        return None;
    }
    let (var, ty) = it.variable(key)?;
    if ty != *want {
        let text = format!("变量的类型应为 {}，这里是 {}", want.name(), ty.name());
        it.fields.wrong(key, "E12", &text, "改用该类型的变量");
    }
    Some(var)
}
