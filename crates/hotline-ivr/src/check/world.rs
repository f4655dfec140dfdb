//! What the files of a bundle and the configuration know by name.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::{GroupId, PromptId};

use super::fields::{Fields, Spot, bool_of, duration_of, int_of, items_of, loose_text, text_of};
use crate::{
    Type, Value,
    flow::{FlowKind, Param, ParamType, Thing, Var},
    raw::RawNode,
    validate::phone_cn,
};

/// Names and their types.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) groups: BTreeSet<GroupId>,
    /// Of the catalogue, with their length in milliseconds where there is a recording.
    pub(crate) prompts: BTreeMap<PromptId, Option<u32>>,
    pub(crate) flows: BTreeMap<String, Head>,
    pub(crate) tables: BTreeMap<String, Type>,
    pub(crate) schedules: BTreeSet<String>,
    pub(crate) calendars: BTreeSet<String>,
    pub(crate) session: Vec<Var>,
}

/// What others see of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) kind: FlowKind,
    pub(crate) params: Vec<Param>,
    pub(crate) returns: Vec<(String, Type)>,
}

impl World {
    pub(crate) fn knows(&self, thing: Thing, name: &str) -> bool {
        match thing {
            Thing::Prompt => self.prompts.get(name).is_some_and(Option::is_some),
            Thing::Group => self.groups.contains(name),
            Thing::Flow => self.flows.contains_key(name),
            Thing::Schedule => self.schedules.contains(name),
            Thing::Calendar => self.calendars.contains(name),
            Thing::Table => self.tables.contains_key(name),
        }
    }

    /// Code, text and advice about a name that nothing answers to.
    pub(crate) fn unknown(&self, thing: Thing, name: &str) -> (&'static str, String, String) {
        let what = thing.chinese();
        match thing {
            Thing::Prompt if self.prompts.contains_key(name) => (
                "E13",
                format!("语音“{name}”没有录音文件"),
                "补上录音，或用 scripts/make-prompts 合成".to_owned(),
            ),
            Thing::Prompt => (
                "E13",
                format!("语音目录中没有“{name}”"),
                "在 prompts/catalog.yaml 中登记，或改名".to_owned(),
            ),
            Thing::Group => {
                ("E15", format!("没有技能组“{name}”"), "在配置的技能组中添加，或改名".to_owned())
            }
            Thing::Flow | Thing::Schedule | Thing::Calendar | Thing::Table => {
                let near = self.names(thing).join("、");
                ("E15", format!("没有{what}“{name}”"), format!("现有：{near}"))
            }
        }
    }

    fn names(&self, thing: Thing) -> Vec<&str> {
        match thing {
            Thing::Flow => self.flows.keys().map(String::as_str).collect(),
            Thing::Schedule => self.schedules.iter().map(String::as_str).collect(),
            Thing::Calendar => self.calendars.iter().map(String::as_str).collect(),
            Thing::Table => self.tables.keys().map(String::as_str).collect(),
            Thing::Prompt | Thing::Group => Vec::new(),
        }
    }
}

/// Reads `{type, …}` of a parameter; `default` stays with the caller.
pub(crate) fn param_type(fields: &mut Fields<'_>) -> Option<ParamType> {
    let name = fields.required_text("type")?;
    let of = match name.as_str() {
        "string" => ParamType::Text { pattern: fields.regex("pattern") },
        "int" => ParamType::Int {
            min: fields.int("min", i64::MIN, i64::MAX).unwrap_or(i64::MIN),
            max: fields.int("max", i64::MIN, i64::MAX).unwrap_or(i64::MAX),
        },
        "enum" => ParamType::Choice(fields.texts("values")),
        other => {
            let Some(of) = plain_type(other) else {
                let text = format!("未知类型“{other}”");
                let advice = "可用：string int bool duration enum prompt group flow schedule \
                              calendar table lang phone list<T>";
                fields.wrong("type", "E04", &text, advice);
                return None;
            };
            of
        }
    };
    Some(of)
}

/// A type without further fields, also inside `list<…>`.
fn plain_type(name: &str) -> Option<ParamType> {
    Some(match name {
        "string" => ParamType::Text { pattern: None },
        "int" => ParamType::Int { min: i64::MIN, max: i64::MAX },
        "bool" => ParamType::Bool,
        "duration" => ParamType::Duration,
        "prompt" => ParamType::Named(Thing::Prompt),
        "group" => ParamType::Named(Thing::Group),
        "flow" => ParamType::Named(Thing::Flow),
        "schedule" => ParamType::Named(Thing::Schedule),
        "calendar" => ParamType::Named(Thing::Calendar),
        "table" => ParamType::Named(Thing::Table),
        "lang" => ParamType::Lang,
        "phone" => ParamType::Phone,
        _ => {
            let inner = name.strip_prefix("list<")?.strip_suffix('>')?;
            ParamType::List(Box::new(plain_type(inner)?))
        }
    })
}

/// The type of a variable, by name.
pub(crate) fn var_type(name: &str) -> Option<Type> {
    plain_type(name).map(|it| it.ty())
}

/// Reads a value of a parameter's type.
pub(crate) fn value_of(
    node: &RawNode,
    of: &ParamType,
    world: &World,
    spot: &Spot<'_>,
) -> Option<Value> {
    let value = match of {
        ParamType::Bool => Value::Bool(bool_of(node, spot)?),
        ParamType::Int { min, max } => Value::Int(int_of(node, *min, *max, spot)?),
        ParamType::Duration => Value::Duration(duration_of(node, spot)?),
        ParamType::List(of) => {
            let items = items_of(node).iter().map(|it| value_of(it, of, world, spot));
            Value::List(items.collect::<Option<_>>()?)
        }
        ParamType::Text { .. }
        | ParamType::Choice(_)
        | ParamType::Named(_)
        | ParamType::Lang
        | ParamType::Phone => Value::Str(text_of(node, spot)?),
    };
    if let Err((code, text, advice)) = admits(of, &value, world) {
        spot.complain(node.at(), code, &text, &advice);
        return None;
    }
    Some(value)
}

/// Whether a value of the right type is good for a parameter.
pub(crate) fn admits(
    of: &ParamType,
    value: &Value,
    world: &World,
) -> Result<(), (&'static str, String, String)> {
    let text = value.as_str().unwrap_or_default();
    match of {
        ParamType::Text { pattern: Some(pattern) } if !pattern.is_match(text) => {
            Err(("E04", format!("“{text}”不符合 {pattern}"), "改正该值".to_owned()))
        }
        ParamType::Choice(words) if !words.iter().any(|it| it == text) => {
            Err(("E04", format!("“{text}”不在可选值中"), format!("可用：{}", words.join("、"))))
        }
        ParamType::Named(thing) if !world.knows(*thing, text) => Err(world.unknown(*thing, text)),
        ParamType::Phone if !phone_cn(text) && text.len() > 8 => {
            Err(("E04", "不是电话号码".to_owned(), "写 11 位手机号或带区号的固话".to_owned()))
        }
        ParamType::Text { .. }
        | ParamType::Int { .. }
        | ParamType::Bool
        | ParamType::Duration
        | ParamType::Choice(_)
        | ParamType::Named(_)
        | ParamType::Lang
        | ParamType::Phone
        | ParamType::List(_) => Ok(()),
    }
}

/// Reads a scalar of a table's value type, which the file writes as text.
pub(crate) fn cell_of(node: &RawNode, of: &ParamType, spot: &Spot<'_>) -> Option<Value> {
    let text = loose_text(node, spot)?;
    let wrong = |what: &str| {
        spot.complain(node.at(), "E04", &format!("“{text}”不是{what}"), "改正该单元格");
    };
    match of {
        ParamType::Int { .. } => {
            let it = text.parse().ok().map(Value::Int);
            if it.is_none() {
                wrong("整数");
            }
            it
        }
        ParamType::Bool => {
            let it = text.parse().ok().map(Value::Bool);
            if it.is_none() {
                wrong(" true 或 false");
            }
            it
        }
        ParamType::Duration | ParamType::List(_) => {
            wrong("表可用的类型");
            None
        }
        ParamType::Text { .. }
        | ParamType::Choice(_)
        | ParamType::Named(_)
        | ParamType::Lang
        | ParamType::Phone => Some(Value::Str(text)),
    }
}
