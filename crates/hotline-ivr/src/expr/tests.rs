//! What expressions mean.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::{GroupId, WallTime};

use super::{Field, Names, Scope, Template, check as check_types, mask, parse};
use crate::{Bundle, Environment, Type, Value, civil::Civil, sample};

struct Desk;

impl Environment for Desk {
    fn queue_waiting(&self, _: &GroupId) -> usize {
        3
    }
    fn queue_position(&self) -> Option<usize> {
        None
    }
    fn agents_ready(&self, _: &GroupId) -> usize {
        2
    }
    fn agents_signed_in(&self, _: &GroupId) -> usize {
        4
    }
    fn group_known(&self, _: &GroupId) -> bool {
        true
    }
    fn caller_city(&self) -> String {
        "450100".to_owned()
    }
    fn caller_repeat(&self, hours: u32) -> u32 {
        hours / 12
    }
}

fn with_names<T>(see: impl FnOnce(&Names<'_>, &Bundle) -> T) -> T {
    let bundle = sample::bundle(&[]);
    let tables: BTreeMap<String, Type> =
        bundle.tables.iter().map(|it| (it.0.clone(), it.1.ty.clone())).collect();
    let schedules: BTreeSet<String> = bundle.schedules.keys().cloned().collect();
    let calendars: BTreeSet<String> = bundle.calendars.keys().cloned().collect();
    let params = [("city".to_owned(), Type::Str), ("table".to_owned(), Type::Str)];
    let vars = [
        ("n".to_owned(), Type::Int),
        ("tags".to_owned(), Type::List(Box::new(Type::Str))),
        ("secret".to_owned(), Type::Str),
    ];
    let names = Names {
        params: &params,
        vars: &vars,
        session: &[],
        tables: &tables,
        schedules: &schedules,
        calendars: &calendars,
    };
    see(&names, &bundle)
}

/// The value of an expression as text, or the complaint about it.
fn eval(text: &str) -> String {
    with_names(|names, bundle| {
        let expr = match parse(text).and_then(|it| check_types(&it, names)) {
            Ok(expr) => expr,
            Err(wrong) => return format!("{}: {}", wrong.at, wrong.text),
        };
        let params = [Value::str("450100"), Value::str("cities")];
        let tags = Value::List(vec![Value::str("a"), Value::str("bb")]);
        let vars = [Value::Int(7), tags, Value::str("")];
        let wall = Civil::parse("2026-02-14T10:30:00+08:00").map_or(WallTime(0), Civil::to_wall);
        let field = |it: Field| {
            if it == Field::AgentTalkMs {
                Value::Int(12_000)
            } else if it == Field::CallStartedAt {
                Value::Time(wall)
            } else {
                Value::str(if it == Field::CallFrom { "13800138000" } else { "" })
            }
        };
        let (session, env) = (&[][..], &Desk);
        let scope =
            Scope { params: &params, vars: &vars, session, field: &field, env, bundle, wall };
        match expr.eval(&scope) {
            Ok(value) => value.to_text(),
            Err(error) => format!("error: {}", error.as_str()),
        }
    })
}

fn check(text: &str, want: &str) {
    assert_eq!(eval(text), want, "{text}");
}

#[test]
fn operators_bind_as_in_every_spreadsheet() {
    check("1 + 2 * 3 - 4 / 2", "5");
    check("(1 + 2) * 3 % 4", "1");
    check("10 - 3 - 2", "5");
    check("-var.n + 1", "-6");
    check("!true || 1 < 2 && 'a' != 'b'", "true");
    check("var.n > 5 ? '多' : '少'", "多");
    check("false ? 1 : true ? 2 : 3", "2");
    check("2 in [1, 2, 3] && !('x' in ['y'])", "true");
    check("'a' + \"b\" + '\\'' ", "ab'");
    check("[1, 2, 3][1]", "2");
}

#[test]
fn the_second_condition_is_not_asked_when_the_first_decides() {
    check("true || 1 / 0 == 1", "true");
    check("false && 1 / 0 == 1", "false");
}

#[test]
fn texts_and_lists_have_their_methods() {
    check("'12345'.size() + size(var.tags)", "7");
    check("'广西12345'.startsWith('广西') && '广西'.contains('西') && 'ab'.endsWith('b')", "true");
    check("param.city.matches('^45[0-9]{4}$')", "true");
    check("'广西南宁'.substr(2)", "南宁");
    check("'广西南宁'.substr(0, 2) + '广'.substr(5)", "广西");
    check("'a,b,c'.split(',')[2] + 'x'.upper() + 'Y'.lower()", "cXy");
    check("var.tags.exists(it, it == 'bb') && !var.tags.all(it, it.size() == 1)", "true");
    check("var.tags.filter(it, it.size() == 2).map(it, it + '!')", "bb!");
    check("has(var.secret) || !has(call.from)", "false");
}

#[test]
fn conversions_say_what_they_cannot_do() {
    check("int('42') + int(true)", "43");
    check("string(1 + 1) + string(false)", "2false");
    check("bool('true')", "true");
    check("int('四')", "error: conversion of a wrong text");
    check("bool('是')", "error: conversion of a wrong text");
}

#[test]
fn time_is_that_of_nanning() {
    check("date() + ' ' + string(hour()) + ' ' + string(weekday())", "2026-02-14 10 6");
    check("string(now())", "2026-02-14T10:30:00+08:00");
    check("now() >= call.started_at", "true");
}

#[test]
fn a_working_saturday_is_a_working_day() {
    check("calendar.is_workday('gx')", "true");
    check("calendar.kind(cn)", "work");
    check("schedule.open(office)", "true");
}

#[test]
fn the_rest_of_the_engine_can_be_asked() {
    check("queue.waiting('general') + queue.agents_ready('general')", "5");
    check("queue.ewt('general')", "-1");
    check("caller.city() + caller.carrier()", "450100");
    check("caller.repeat(24) >= 2 ? 7 : 5", "7");
    check("lookup(cities, '0771', 'last')", "general");
    check("lookup(param.table, '0999', 'last')", "last");
    check("overlay('announce')", "");
    check("agent.talk_ms >= 10000", "true");
}

#[test]
fn a_caller_keeps_his_arm_for_ever() {
    check("hash(call.from) % 100", "33");
    check("hash(call.from) == hash('13800138000')", "true");
}

#[test]
fn a_masked_number_tells_little() {
    check("mask(call.from)", "138****8000");
    assert_eq!(mask("1234"), "**34");
    assert_eq!(mask("1"), "*");
    assert_eq!(mask(""), "");
}

#[test]
fn arithmetic_never_panics() {
    check("1 / 0", "error: division by zero");
    check("1 % 0", "error: division by zero");
    check("9223372036854775807 + 1", "error: expression overflow");
    check("(-9223372036854775807 - 1) / -1", "error: expression overflow");
    check("-(-9223372036854775807 - 1)", "error: expression overflow");
    check("[1][1]", "error: index out of range");
    check("[1][-1]", "error: index out of range");
}

#[test]
fn types_that_do_not_fit_are_refused_with_their_place() {
    check("1 + 'a'", "4: 类型应为 int，这里是 string");
    check("var.n == 'a'", "9: 类型应为 int，这里是 string");
    check("true ? 1 : 'a'", "11: 类型应为 int，这里是 string");
    check("!var.n", "1: 类型应为 bool，这里是 int");
    check("true < false", "0: 此运算不能用于 bool");
    check("var.tags.exists(x, x.size())", "19: 条件的类型应为 bool");
    check("var.tags.exists(x, var.tags.exists(y, true))", "19: 列表运算不能嵌套");
    check("[]", "0: 空列表没有类型");
}

#[test]
fn names_nobody_declared_are_refused() {
    check("var.m", "0: var 中没有“m”");
    check("secret.key", "0: 未知作用域“secret”，可用 call param var session last agent");
    check("lookup(towns, 'x', '')", "7: 没有表“towns”");
    check("schedule.open('nope')", "14: 没有时间表“nope”");
    check("frob(1)", "0: 没有函数“frob”");
    check("'a'.reverse()", "0: 文字没有方法“reverse”");
    assert!(eval("city").starts_with("0: 未知名称“city”"));
}

#[test]
fn broken_text_is_refused_with_its_place() {
    check("1 +", "3: 表达式不完整");
    check("(1", "2: 此处应为“)”");
    check("1 2", "2: 表达式在此处应当结束");
    check("'abc", "0: 引号没有配对，或转义符不是 \\\\ \\' \\\" \\n \\t");
    check("a = b", "2: 表达式中不能有“=”");
    check("99999999999999999999", "0: 数字过大");
    check("'a'.matches('(')", "0: 正则表达式有误：found open group without closing ')'");
    assert!(eval(&"(".repeat(500)).contains("嵌套过深"));
    assert!(eval(&"!".repeat(500)).contains("嵌套过深"));
    assert!(eval(&format!("'{}'", "a".repeat(5_000))).contains("过长"));
}

#[test]
fn an_expression_cannot_hold_up_a_call() {
    let list = format!("[{}]", vec!["'0123456789'"; 300].join(","));
    assert!(eval(&format!("{list}.map(x, x + x)")).starts_with("error"), "a result is limited");
    let costly = format!("{list}.all(x, {})", vec!["x.size() > 0"; 40].join(" && "));
    let costly = if costly.len() > 4_096 { "1".repeat(20) } else { costly };
    assert!(eval(&costly).contains("error") || eval(&costly).contains("过大"));
}

#[test]
fn text_between_braces_is_an_expression() {
    let made = |text: &str| {
        with_names(|names, bundle| {
            let template = Template::parse(text, names).map_err(|it| it.text)?;
            let params = [Value::str("450100"), Value::str("cities")];
            let vars = [Value::Int(7), Value::List(Vec::new()), Value::str("")];
            let field = |_: Field| Value::str("");
            let (session, env, wall) = (&[][..], &Desk, WallTime(0));
            let scope =
                Scope { params: &params, vars: &vars, session, field: &field, env, bundle, wall };
            let value = template.eval_text(&scope).map_err(|it| it.as_str().to_owned())?;
            Ok::<_, String>((value.into_owned(), template.ty().name()))
        })
    };
    let ok = |text: &str, ty: &str| Ok((text.to_owned(), ty.to_owned()));
    assert_eq!(made("plain"), ok("plain", "string"));
    assert_eq!(made("{{ var.n + 1 }}"), ok("8", "int"));
    assert_eq!(made("city.{{ param.city }}"), ok("city.450100", "string"));
    assert_eq!(made("{{ '}}' }}{{ '{{' }}"), ok("}}{{", "string"));
    assert_eq!(made("a {{ 1"), Err("“{{”没有“}}”配对".to_owned()));
}

#[test]
fn v18_what_a_caller_brings_is_a_value_and_never_an_expression() {
    for evil in ["{{ 1 + 1 }}", "'; drop", ",{}[]$()", "${var.n}", "}}{{ var.n }}"] {
        let made = with_names(|names, bundle| {
            let template = Template::parse("to {{ param.city }}", names).unwrap();
            let params = [Value::str(evil), Value::str("cities")];
            let vars = [Value::Int(7), Value::List(Vec::new()), Value::str("")];
            let field = |_: Field| Value::str("");
            let (session, env, wall) = (&[][..], &Desk, WallTime(0));
            let scope =
                Scope { params: &params, vars: &vars, session, field: &field, env, bundle, wall };
            template.eval_text(&scope).unwrap().into_owned()
        });
        assert_eq!(made, format!("to {evil}"));
    }
}
