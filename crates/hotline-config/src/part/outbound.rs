//! `[outbound]`, `[[dial_plan]]`, `[[trunk_group]]` and `[[route]]`: calls that agents make.

use std::collections::{BTreeMap, BTreeSet};

use hotline_base::TrunkId;
use hotline_switchboard::{Dialer, Outbound};
use hotline_trunk::{DialPlan, GuardConfig, Hours, RouteConfig, TrunkConfig};

use super::agent::Wish;
use crate::section::{Placed, Section};

pub(crate) fn read(root: &Section<'_, '_>, trunks: &[TrunkConfig], wishes: Vec<Wish>) -> Outbound {
    let it = root.section("outbound");
    let plain = GuardConfig::default();
    let outbound = Outbound {
        area_code: it.text("area_code").map(|it| it.value),
        ring_limit: it.secs_or("ring_limit_secs", 60, 10..=180),
        agent_ring_limit: it.secs_or("agent_ring_limit_secs", 20, 5..=120),
        guard: GuardConfig {
            emergency: prefixes(&it, "emergency").unwrap_or(plain.emergency),
            abroad_max: usize::try_from(it.number_or("abroad_max", 5, 0..=10_000)).unwrap_or(0),
            abroad_window: it.secs_or("abroad_window_secs", 600, 1..=86_400),
            abroad_block: it.secs_or("abroad_block_secs", 3_600, 1..=604_800),
        },
        routes: routes(root, trunks),
        dialers: dialers(root, trunks, wishes),
    };
    it.end();
    outbound
}

fn dialers(
    root: &Section<'_, '_>,
    trunks: &[TrunkConfig],
    wishes: Vec<Wish>,
) -> BTreeMap<hotline_base::AgentNo, Dialer> {
    let plans = plans(root);
    let mut dialers = BTreeMap::new();
    for it in wishes {
        let plan = it.plan.and_then(|name| {
            let plan = plans.get(&name.value).cloned();
            if plan.is_none() {
                let text = format!("没有外呼权限 {}", name.value);
                root.complain_at(&name, text, "改正名称，或加一节 [[dial_plan]]");
            }
            plan
        });
        if let Some(shown) = &it.display
            && !trunks.iter().any(|trunk| trunk.numbers.contains(&shown.value))
        {
            let text = format!("{} 不是任何中继的号码", shown.value);
            root.complain_at(shown, text, "外显号码必须写在某条中继的 numbers 里");
        }
        let display = it.display.map(|it| it.value);
        let dialer = Dialer { plan, city: it.city, display, outside_seat: it.outside_seat };
        dialers.insert(it.no, dialer);
    }
    dialers
}

fn plans(root: &Section<'_, '_>) -> BTreeMap<String, DialPlan> {
    let mut plans = BTreeMap::new();
    for it in root.sections("dial_plan") {
        let id = it.required("id", "给这一种外呼权限起一个名字，如 normal");
        let allow = prefixes(&it, "allow").unwrap_or_default();
        if allow.is_empty() {
            it.complain("allow", "没有可拨的号码", "写号码开头，如 [\"1\", \"0771\"]");
        }
        let deny = prefixes(&it, "deny").unwrap_or_default();
        let per_hour = u32::try_from(it.number_or("per_hour", 60, 1..=100_000)).unwrap_or(u32::MAX);
        if let Some(id) = id
            && plans.insert(id.value.clone(), DialPlan { allow, deny, per_hour }).is_some()
        {
            it.complain_at(&id, format!("外呼权限 {} 重复", id.value), "每个 id 只能用一次");
        }
        it.end();
    }
    plans
}

/// Without any route every trunk with gateways takes every call, in the order of the file.
fn routes(root: &Section<'_, '_>, trunks: &[TrunkConfig]) -> Vec<RouteConfig> {
    let known: BTreeSet<_> = trunks.iter().map(|it| it.id.as_str().to_owned()).collect();
    let groups = groups(root, &known);
    if !root.has("route") {
        let outward = trunks.iter().filter(|it| !it.gateways.is_empty());
        let trunks = outward.map(|it| it.id.clone()).collect();
        let every = RouteConfig { prefixes: vec![String::new()], trunks, ..RouteConfig::default() };
        return vec![every];
    }
    let mut routes = Vec::new();
    for it in root.sections("route") {
        let prefixes = prefixes(&it, "prefixes").unwrap_or_else(|| vec![String::new()]);
        let cities = it.texts("cities").unwrap_or_default();
        let to = it.texts("to").unwrap_or_default();
        if to.is_empty() {
            it.complain("to", "没有写走哪条中继", "写中继或中继组的 id，如 [\"gx-nn-ct\"]");
        }
        let mut way = Vec::new();
        for name in to {
            if let Some(group) = groups.get(&name.value) {
                way.extend(group.iter().cloned());
            } else {
                way.extend(trunk(&it, &known, &name));
            }
        }
        let hours = it.texts("hours").unwrap_or_default();
        let hours = hours.iter().filter_map(|text| hours_of(&it, text)).collect();
        let cost = u32::try_from(it.number_or("cost", 0, 0..=1_000_000)).unwrap_or(u32::MAX);
        let cities = cities.into_iter().map(|it| it.value).collect();
        routes.push(RouteConfig { prefixes, cities, hours, cost, trunks: way });
        it.end();
    }
    routes
}

fn groups(root: &Section<'_, '_>, known: &BTreeSet<String>) -> BTreeMap<String, Vec<TrunkId>> {
    let mut groups = BTreeMap::new();
    for it in root.sections("trunk_group") {
        let id = it.required("id", "给中继组起一个名字");
        let names = it.texts("trunks").unwrap_or_default();
        let trunks = names.iter().filter_map(|name| trunk(&it, known, name)).collect();
        if let Some(id) = id {
            if known.contains(&id.value) || groups.contains_key(&id.value) {
                let text = format!("{} 已是中继或中继组的名字", id.value);
                it.complain_at(&id, text, "换一个 id");
            }
            groups.insert(id.value, trunks);
        }
        it.end();
    }
    groups
}

fn trunk(it: &Section<'_, '_>, known: &BTreeSet<String>, name: &Placed<String>) -> Option<TrunkId> {
    let found = known.contains(&name.value);
    if !found {
        let text = format!("没有中继或中继组 {}", name.value);
        it.complain_at(name, text, "改正名称，或加一节 [[trunk]]");
    }
    found.then(|| TrunkId::new(&name.value))
}

/// Beginnings of numbers; the empty one is every number.
fn prefixes(it: &Section<'_, '_>, key: &'static str) -> Option<Vec<String>> {
    let texts = it.texts(key)?;
    let mut prefixes = Vec::new();
    for text in texts {
        if text.value.bytes().all(|it| it.is_ascii_digit()) {
            prefixes.push(text.value);
        } else {
            let found = format!("{:?} 不是号码的开头", text.value);
            it.complain_at(&text, found, "只写数字；国际号码以 00 开头，全部号码写 \"\"");
        }
    }
    Some(prefixes)
}

/// `08:00-18:00`, or for some days `1-5 08:00-18:00` (Monday is 1).
pub(super) fn hours_of(it: &Section<'_, '_>, text: &Placed<String>) -> Option<Hours> {
    let hours = parse_hours(&text.value);
    if hours.is_none() {
        let found = format!("{:?} 不是时段", text.value);
        it.complain_at(text, found, "写成 \"08:00-18:00\" 或 \"1-5 08:00-18:00\"（1 是周一）");
    }
    hours
}

fn parse_hours(text: &str) -> Option<Hours> {
    let (days, span) = text.trim().split_once(' ').unwrap_or(("1-7", text.trim()));
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    if first < 1 || last > 7 || first > last {
        return None;
    }
    let (from, to) = span.trim().split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    let mut open = [false; 7];
    for (day, is_open) in (1..).zip(&mut open) {
        *is_open = (first..=last).contains(&day);
    }
    Some(Hours { days: open, from, to })
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60 || hour == 24 && minute == 0).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_written_as_people_write_them() {
        let every = parse_hours("08:00-18:30").unwrap();
        assert_eq!((every.days, every.from, every.to), ([true; 7], 480, 1_110));
        let work = parse_hours("1-5 22:00-06:00").unwrap();
        assert_eq!(work.days, [true, true, true, true, true, false, false]);
        assert_eq!((work.from, work.to), (1_320, 360));
        assert_eq!(parse_hours("7 0:00-24:00").unwrap().days.iter().filter(|it| **it).count(), 1);
        for it in ["", "8-18", "0-5 08:00-18:00", "5-1 08:00-18:00", "08:00-25:00", "x 1:00-2:00"] {
            assert!(parse_hours(it).is_none(), "{it}");
        }
    }
}
