//! The functions an expression may call: their names and types.

use regex_lite::Regex;

use super::{
    Wrong,
    check::{Checker, Expr, Op, constant},
    parse::{Ast, AstKind},
};
use crate::{Type, Value};

/// A function after the check; its arguments have the right types.
#[derive(Clone, Debug)]
pub(crate) enum Func {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches(Box<Regex>),
    Substr,
    Split,
    Upper,
    Lower,
    ToInt,
    ToStr,
    ToBool,
    Has,
    Now,
    DateOf,
    Hour,
    Weekday,
    /// Arguments: table, key, default.
    Lookup,
    ScheduleOpen,
    IsWorkday,
    CalendarKind,
    QueueWaiting,
    QueueEwt,
    AgentsReady,
    CallerCity,
    CallerCarrier,
    CallerRepeat,
    Hash,
    Mask,
    Overlay,
}

impl Func {
    /// Whether only its arguments and the bundle decide it.
    pub(crate) const fn is_static(&self) -> bool {
        match self {
            Self::Size
            | Self::Contains
            | Self::StartsWith
            | Self::EndsWith
            | Self::Matches(_)
            | Self::Substr
            | Self::Split
            | Self::Upper
            | Self::Lower
            | Self::ToInt
            | Self::ToStr
            | Self::ToBool
            | Self::Has
            | Self::Lookup
            | Self::Hash
            | Self::Mask => true,
            Self::Now
            | Self::DateOf
            | Self::Hour
            | Self::Weekday
            | Self::ScheduleOpen
            | Self::IsWorkday
            | Self::CalendarKind
            | Self::QueueWaiting
            | Self::QueueEwt
            | Self::AgentsReady
            | Self::CallerCity
            | Self::CallerCarrier
            | Self::CallerRepeat
            | Self::Overlay => false,
        }
    }
}

/// Checks a call of a function, a method, or a member of a namespace.
pub(super) fn check(
    checker: &mut Checker<'_>,
    at: usize,
    on: Option<&Ast>,
    name: &str,
    args: &[Ast],
) -> Result<Expr, Wrong> {
    match on {
        None => global(checker, at, name, args),
        Some(Ast { kind: AstKind::Name(space), .. })
            if ["queue", "caller", "schedule", "calendar"].contains(&space.as_str()) =>
        {
            member(checker, at, space, name, args)
        }
        Some(on) => method(checker, at, on, name, args),
    }
}

fn call(ty: Type, func: Func, args: Vec<Expr>) -> Expr {
    Expr { ty, op: Op::Call(func, args) }
}

fn count(at: usize, args: &[Ast], n: usize) -> Result<(), Wrong> {
    if args.len() == n {
        Ok(())
    } else {
        Err(Wrong::new(at, format!("此函数要 {n} 个参数")))
    }
}

fn one(at: usize, args: &[Ast]) -> Result<&Ast, Wrong> {
    count(at, args, 1)?;
    args.first().ok_or_else(|| Wrong::new(at, "缺少参数"))
}

fn global(checker: &mut Checker<'_>, at: usize, name: &str, args: &[Ast]) -> Result<Expr, Wrong> {
    match name {
        "now" => {
            count(at, args, 0)?;
            Ok(call(Type::Time, Func::Now, Vec::new()))
        }
        "date" | "hour" | "weekday" => {
            let time = match args {
                [] => call(Type::Time, Func::Now, Vec::new()),
                [it] => checker.typed(it, &Type::Time)?,
                _ => return Err(Wrong::new(at, "此函数要 0 或 1 个参数")),
            };
            let (ty, func) = match name {
                "date" => (Type::Str, Func::DateOf),
                "hour" => (Type::Int, Func::Hour),
                _ => (Type::Int, Func::Weekday),
            };
            Ok(call(ty, func, vec![time]))
        }
        "lookup" => lookup(checker, at, args),
        "size" => {
            let it = checker.expr(one(at, args)?)?;
            size(at, it)
        }
        "int" | "string" | "bool" | "has" | "hash" | "mask" => {
            let it = checker.expr(one(at, args)?)?;
            let (ty, func) = match name {
                "int" => (Type::Int, Func::ToInt),
                "string" => (Type::Str, Func::ToStr),
                "bool" => (Type::Bool, Func::ToBool),
                "has" => (Type::Bool, Func::Has),
                "hash" => (Type::Int, Func::Hash),
                _ => (Type::Str, Func::Mask),
            };
            let simple = !matches!(it.ty, Type::List(_));
            if simple || name == "has" {
                Ok(call(ty, func, vec![it]))
            } else {
                Err(Wrong::new(at, "此函数不能用于列表"))
            }
        }
        "overlay" => {
            let kind = checker.typed(one(at, args)?, &Type::Str)?;
            Ok(call(Type::Str, Func::Overlay, vec![kind]))
        }
        _ => Err(Wrong::new(at, format!("没有函数“{name}”"))),
    }
}

fn size(at: usize, it: Expr) -> Result<Expr, Wrong> {
    match it.ty {
        Type::Str | Type::List(_) => Ok(call(Type::Int, Func::Size, vec![it])),
        Type::Bool | Type::Int | Type::Duration | Type::Time => {
            Err(Wrong::new(at, "size 只能用于文字和列表"))
        }
    }
}

/// A name of the bundle: a bare word, a literal, or an expression of type string.
fn named(
    checker: &mut Checker<'_>,
    ast: &Ast,
    what: &str,
    known: &dyn Fn(&str) -> bool,
) -> Result<Expr, Wrong> {
    let (AstKind::Name(name) | AstKind::Str(name)) = &ast.kind else {
        return checker.typed(ast, &Type::Str);
    };
    if known(name) {
        Ok(constant(Value::str(name), Type::Str))
    } else {
        Err(Wrong::new(ast.at, format!("没有{what}“{name}”")))
    }
}

fn lookup(checker: &mut Checker<'_>, at: usize, args: &[Ast]) -> Result<Expr, Wrong> {
    let [table, key, default] = args else {
        return Err(Wrong::new(at, "写法：lookup(表, 键, 默认值)"));
    };
    let tables = checker.names.tables;
    let table = named(checker, table, "表", &|it| tables.contains_key(it))?;
    let key = checker.typed(key, &Type::Str)?;
    // A table that is chosen at run time gives text: its type is known to nobody.
    let ty = table
        .constant()
        .and_then(Value::as_str)
        .and_then(|it| tables.get(it).cloned())
        .unwrap_or(Type::Str);
    let default = checker.typed(default, &ty)?;
    Ok(call(ty, Func::Lookup, vec![table, key, default]))
}

fn member(
    checker: &mut Checker<'_>,
    at: usize,
    space: &str,
    name: &str,
    args: &[Ast],
) -> Result<Expr, Wrong> {
    let (schedules, calendars) = (checker.names.schedules, checker.names.calendars);
    match (space, name) {
        ("queue", "waiting" | "ewt" | "agents_ready") => {
            let group = checker.typed(one(at, args)?, &Type::Str)?;
            let func = match name {
                "waiting" => Func::QueueWaiting,
                "ewt" => Func::QueueEwt,
                _ => Func::AgentsReady,
            };
            Ok(call(Type::Int, func, vec![group]))
        }
        ("caller", "city" | "carrier") => {
            count(at, args, 0)?;
            let func = if name == "city" { Func::CallerCity } else { Func::CallerCarrier };
            Ok(call(Type::Str, func, Vec::new()))
        }
        ("caller", "repeat") => {
            let hours = checker.typed(one(at, args)?, &Type::Int)?;
            Ok(call(Type::Int, Func::CallerRepeat, vec![hours]))
        }
        ("schedule", "open") => {
            let it = named(checker, one(at, args)?, "时间表", &|it| schedules.contains(it))?;
            Ok(call(Type::Bool, Func::ScheduleOpen, vec![it]))
        }
        ("calendar", "is_workday" | "kind") => {
            let it = named(checker, one(at, args)?, "日历", &|it| calendars.contains(it))?;
            Ok(if name == "kind" {
                call(Type::Str, Func::CalendarKind, vec![it])
            } else {
                call(Type::Bool, Func::IsWorkday, vec![it])
            })
        }
        _ => Err(Wrong::new(at, format!("没有函数“{space}.{name}”"))),
    }
}

fn method(
    checker: &mut Checker<'_>,
    at: usize,
    on: &Ast,
    name: &str,
    args: &[Ast],
) -> Result<Expr, Wrong> {
    if name == "size" {
        count(at, args, 0)?;
        let it = checker.expr(on)?;
        return size(at, it);
    }
    let on = checker.typed(on, &Type::Str)?;
    match name {
        "contains" | "startsWith" | "endsWith" | "split" => {
            let arg = checker.typed(one(at, args)?, &Type::Str)?;
            let (ty, func) = match name {
                "contains" => (Type::Bool, Func::Contains),
                "startsWith" => (Type::Bool, Func::StartsWith),
                "endsWith" => (Type::Bool, Func::EndsWith),
                _ => (Type::List(Box::new(Type::Str)), Func::Split),
            };
            Ok(call(ty, func, vec![on, arg]))
        }
        "matches" => {
            let AstKind::Str(pattern) = &one(at, args)?.kind else {
                return Err(Wrong::new(at, "matches 的参数应为文字"));
            };
            let regex = Regex::new(pattern)
                .map_err(|it| Wrong::new(at, format!("正则表达式有误：{it}")))?;
            Ok(call(Type::Bool, Func::Matches(Box::new(regex)), vec![on]))
        }
        "substr" => {
            let mut all = vec![on];
            for arg in args {
                all.push(checker.typed(arg, &Type::Int)?);
            }
            if !(2..=3).contains(&all.len()) {
                return Err(Wrong::new(at, "写法：文字.substr(起点) 或 文字.substr(起点, 长度)"));
            }
            Ok(call(Type::Str, Func::Substr, all))
        }
        "upper" | "lower" => {
            count(at, args, 0)?;
            let func = if name == "upper" { Func::Upper } else { Func::Lower };
            Ok(call(Type::Str, func, vec![on]))
        }
        _ => Err(Wrong::new(at, format!("文字没有方法“{name}”"))),
    }
}
