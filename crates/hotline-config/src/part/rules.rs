//! `[[rules]]`: rule sets that repair the signalling of carriers.

use std::{collections::BTreeMap, sync::Arc};

use hotline_base::rewrite::{BadPattern, PATTERN_MAX, REPLACEMENT_MAX};
use hotline_sip::{Action, BadRule, Direction, HeaderRule, HeaderRules, Kind, RuleText};
use hotline_switchboard::CarrierRules;
use hotline_trunk::{BadNumberRule, NumberOf, NumberRule, NumberRuleText};

use crate::section::Section;

/// Rules of one direction and kind in one set.
const N_MAX: usize = hotline_sip::RULES_MAX;

/// Rule sets by id.
pub(crate) type RuleSets = BTreeMap<String, Arc<CarrierRules>>;

pub(crate) fn read(root: &Section<'_, '_>) -> RuleSets {
    let mut sets = RuleSets::new();
    for it in root.sections("rules") {
        it.text("note");
        let (headers_in, headers_out) = headers(&it);
        let (numbers_in, numbers_out) = numbers(&it);
        let id = it.required("id", "给规则集起一个名字，如 gx-ct");
        if let Some(id) = id {
            let rules = CarrierRules {
                id: id.value.clone(),
                headers_in: HeaderRules::new(headers_in),
                headers_out: HeaderRules::new(headers_out),
                numbers_in,
                numbers_out,
            };
            if sets.insert(id.value.clone(), Arc::new(rules)).is_some() {
                it.complain("id", format!("规则集 {} 重复", id.value), "每个 id 只能用一次");
            }
        }
        it.end();
    }
    sets
}

/// The set a trunk names.
pub(crate) fn of_trunk(trunk: &Section<'_, '_>, sets: &RuleSets) -> Option<Arc<CarrierRules>> {
    let name = trunk.text("rules")?;
    let found = sets.get(&name.value);
    if found.is_none() {
        let known = sets.keys().cloned().collect::<Vec<_>>().join("、");
        let advice = format!("加一节 [[rules]]，或改正名字；现有：{known}");
        trunk.complain_at(&name, format!("没有规则集 {:?}", name.value), advice);
    }
    found.map(Arc::clone)
}

/// One of the words a key may have; the first when it is absent.
fn choice<T: Copy>(it: &Section<'_, '_>, key: &'static str, words: &[(&str, T)]) -> Option<T> {
    let usual = words.first()?;
    let Some(text) = it.text(key) else { return Some(usual.1) };
    let found = words.iter().find(|word| word.0 == text.value).map(|it| it.1);
    if found.is_none() {
        let known = words.iter().map(|it| it.0).collect::<Vec<_>>().join("、");
        it.complain(key, format!("{:?} 不认识", text.value), format!("可写：{known}"));
    }
    found
}

const DIRECTIONS: &[(&str, Direction)] = &[("in", Direction::In), ("out", Direction::Out)];

fn text(it: &Section<'_, '_>, key: &'static str) -> Option<String> {
    it.text(key).map(|it| it.value)
}

fn headers(set: &Section<'_, '_>) -> (Vec<HeaderRule>, Vec<HeaderRule>) {
    let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
    for it in set.sections("header") {
        let direction = choice(&it, "direction", DIRECTIONS);
        let kind = choice(&it, "on", &[("request", Kind::Request), ("response", Kind::Response)]);
        let actions =
            [("replace", Action::Replace), ("add", Action::Add), ("remove", Action::Remove)];
        let action = choice(&it, "action", &actions);
        let methods = it.texts("methods").unwrap_or_default();
        let header = it.required("header", "写头域名，如 P-Asserted-Identity");
        let rule = RuleText {
            name: text(&it, "name").unwrap_or_default(),
            direction: direction.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            methods: methods.into_iter().map(|it| it.value).collect(),
            if_header: text(&it, "if_header"),
            if_match: text(&it, "if_match"),
            unless_header: text(&it, "unless_header"),
            header: header.as_ref().map(|it| it.value.clone()).unwrap_or_default(),
            action: action.unwrap_or_default(),
            pattern: text(&it, "match"),
            value: text(&it, "value"),
        };
        match HeaderRule::new(rule) {
            Ok(rule) => match direction.unwrap_or_default() {
                Direction::In => incoming.push(rule),
                Direction::Out => outgoing.push(rule),
            },
            Err(faults) => {
                for fault in faults.iter().filter(|it| header.is_some() || it.field != "header") {
                    let (text, advice) = header_fault(&fault.why);
                    it.complain(fault.field, text, advice);
                }
            }
        }
        it.end();
    }
    for rules in [&incoming, &outgoing] {
        too_many(set, "header", rules.len());
    }
    (incoming, outgoing)
}

fn numbers(set: &Section<'_, '_>) -> (Vec<NumberRule>, Vec<NumberRule>) {
    let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
    for it in set.sections("number") {
        let direction = choice(&it, "direction", DIRECTIONS);
        let of = choice(&it, "of", &[("caller", NumberOf::Caller), ("called", NumberOf::Called)]);
        let rule = NumberRule::new(NumberRuleText {
            name: text(&it, "name").unwrap_or_default(),
            of: of.unwrap_or_default(),
            strip: text(&it, "strip"),
            add: text(&it, "add"),
            pattern: text(&it, "match"),
            value: text(&it, "value"),
        });
        match rule {
            Ok(rule) => match direction.unwrap_or_default() {
                Direction::In => incoming.push(rule),
                Direction::Out => outgoing.push(rule),
            },
            Err(fault) => {
                let (text, advice) = number_fault(&fault.why);
                it.complain(fault.field, text, advice);
            }
        }
        it.end();
    }
    for rules in [&incoming, &outgoing] {
        too_many(set, "number", rules.len());
    }
    (incoming, outgoing)
}

fn too_many(set: &Section<'_, '_>, key: &'static str, n: usize) {
    if n > N_MAX {
        let advice = format!("每个方向最多 {N_MAX} 条；合并规则，或拆成几条中继");
        set.complain(key, format!("同一方向有 {n} 条规则"), advice);
    }
}

fn header_fault(why: &BadRule) -> (String, &'static str) {
    let (text, advice) = match why {
        BadRule::NotAName => ("不是头域名", "写标准的名称，如 P-Asserted-Identity"),
        BadRule::Protected => (
            "这个头域不能改：会话、事务和路由靠它维持，或它含有口令",
            "删去这条规则；Via、Route、Call-ID、CSeq、认证等头域不可改写",
        ),
        BadRule::EchoedBack => (
            "来话的 From、To 要原样回给运营商，不能改",
            "改号码请用 [[rules.number]]；去话的请求可以改（direction = \"out\"）",
        ),
        BadRule::OnlyReplace => ("这个头域必须有且只有一个", "只能用 action = \"replace\""),
        BadRule::NotAMethod => ("不是 SIP 方法", "写 [\"INVITE\", \"UPDATE\"] 这样"),
        BadRule::Missing => ("缺少此项", "补上；if_match 要与 if_header 同用"),
        BadRule::Unused => ("与这个 action 不能同用", "add 不用 match，remove 不用 value；请删去"),
        BadRule::BadValue => ("太长，或含有换行等控制字符", "缩短，并写在一行里"),
        BadRule::Pattern(why) => return pattern_fault(why),
    };
    (text.to_owned(), advice)
}

fn number_fault(why: &BadNumberRule) -> (String, &'static str) {
    let (text, advice) = match why {
        BadNumberRule::Nothing => {
            ("规则没有内容", "写 strip 和 add（前缀），或 match 和 value（正则表达式）")
        }
        BadNumberRule::Both => ("前缀与正则表达式不能同用", "拆成两条规则"),
        BadNumberRule::Missing => ("缺少此项", "match 与 value 要同时写"),
        BadNumberRule::NotAPrefix => ("不是号码前缀", "最多 16 位，只用 0-9、+、*、#"),
        BadNumberRule::Pattern(why) => return pattern_fault(why),
    };
    (text.to_owned(), advice)
}

fn pattern_fault(why: &BadPattern) -> (String, &'static str) {
    match why {
        BadPattern::TooLong => (
            format!("太长：表达式至多 {PATTERN_MAX} 字节，替换内容至多 {REPLACEMENT_MAX} 字节"),
            "缩短，或拆成几条规则",
        ),
        BadPattern::NotAscii => {
            ("含有非 ASCII 字符或控制字符".to_owned(), "只用可见的英文字符和空格")
        }
        BadPattern::Syntax(error) => (
            format!("不是正确的正则表达式，或展开后太大：{error}"),
            "TOML 里用单引号写，如 '^0(1[3-9]\\d{9})$'",
        ),
        BadPattern::Dollar => ("$ 后面看不懂".to_owned(), "引用分组写 ${1}，字符 $ 写 $$"),
        BadPattern::NoGroup(group) => {
            (format!("表达式里没有第 {group} 个分组"), "用括号标出分组，从 1 数起")
        }
    }
}

#[cfg(test)]
mod tests;
