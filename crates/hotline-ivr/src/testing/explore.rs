//! Random callers: what holds for every flow, tried with a fixed seed.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use hotline_base::{Key, MonoTime, PromptId, Random};

use super::{
    case::{self, Case},
    drive::{Driver, Seen},
};
use crate::{Bundle, FlowFact};

/// Longest call of a caller who does not hang up.
const CALL_MAX_MS: u64 = 6 * 3_600_000;
/// Keys one caller presses at most.
const KEYS_MAX: u32 = 300;

/// Lets one caller a seed dial `number`, press keys, wait, and sometimes give up, while every
/// queue answers late, is full or has nobody. Each finding is a Chinese sentence with its seed.
///
/// What is asserted: a call ends; it ends once; every flow that was left was left once; no rating
/// without an agent; nothing is awaited after the end; no step failed.
pub fn explore(
    bundle: &Arc<Bundle>,
    number: &str,
    seeds: Range<u64>,
    durations: &BTreeMap<PromptId, u32>,
) -> Vec<String> {
    if bundle.number(number).is_none() {
        return vec![format!("号码 {number} 不在号码表中")];
    }
    let mut found = Vec::new();
    for seed in seeds {
        let mut random = Random::new(seed);
        let case = circumstances(bundle, number, &mut random);
        if let Some(mut driver) = Driver::new(bundle, &case, durations) {
            let failure = call(&mut driver, &mut random).or_else(|| broken(&driver));
            found.extend(failure.map(|it| format!("种子 {seed}：{it}")));
        }
    }
    found
}

fn circumstances(bundle: &Bundle, number: &str, random: &mut Random) -> Case {
    let mut case = case::usual();
    number.clone_into(&mut case.number);
    let groups = bundle.tables.values().flat_map(|it| it.rows.values()).map(crate::Value::to_text);
    let everywhere = ["450100", "440100", ""];
    let city = usize::try_from(random.below(3)).unwrap_or(0);
    everywhere.get(city).copied().unwrap_or_default().clone_into(&mut case.mocks.city);
    case.mocks.repeat = u32::try_from(random.below(4)).unwrap_or(0);
    let mock = case::QueueMock {
        wait: Some(std::time::Duration::from_secs(random.below(700))),
        no_agents: random.chance(10),
        full: random.chance(10),
        closed: random.chance(5),
        ahead: usize::try_from(random.below(30)).unwrap_or(0),
        ..case::QueueMock::default()
    };
    case.mocks.usual = mock;
    // Every name that a table knows may be a group.
    for group in groups {
        if random.chance(20) {
            let mock = case::QueueMock { full: true, ..case::QueueMock::default() };
            case.mocks.queues.insert(group, mock);
        }
    }
    case
}

/// One call to its end; what went wrong with it.
fn call(driver: &mut Driver<'_>, random: &mut Random) -> Option<String> {
    let gives_up = random.chance(30).then(|| random.between(0, 200_000));
    let mut n_keys = 0;
    while !driver.session.is_done() {
        let hurried = random.chance(50);
        let pause = if hurried { random.below(600) } else { random.below(9_000) };
        let until = MonoTime(driver.now.mono.0 + pause * 1_000_000);
        while driver.step(until) {}
        let ms = driver.now.mono.0 / 1_000_000;
        if ms > CALL_MAX_MS {
            return Some(format!("通话不结束：{:?}", driver.session));
        }
        if driver.session.is_done() {
            break;
        }
        if gives_up.is_some_and(|it| it <= ms) {
            driver.hang_up();
        } else if n_keys < KEYS_MAX && random.chance(70) {
            n_keys += 1;
            let code = u8::try_from(random.below(12)).unwrap_or(0);
            if let Some(key) = Key::from_event(code) {
                driver.press(key);
            }
        }
    }
    None
}

/// The rule that a finished call breaks.
fn broken(driver: &Driver<'_>) -> Option<String> {
    let count = |it: fn(&&FlowFact) -> bool| driver.facts.iter().filter(it).count();
    let rated = count(|it| matches!(it, FlowFact::Rated { .. }));
    let answered = driver.seen.iter().filter(|it| matches!(it, Seen::Answered { .. })).count();
    let ended = driver.seen.iter().filter(|it| matches!(it, Seen::Ended { .. })).count();
    let failed = driver.facts.iter().find_map(|it| {
        if let FlowFact::Error { flow, node, reason, .. } = it {
            Some(format!("{flow}/{node} 出错：{reason}"))
        } else {
            None
        }
    });
    let mut left: Vec<&str> = Vec::new();
    for fact in &driver.facts {
        if let FlowFact::LeftFlow { flow, .. } = fact {
            if left.contains(&flow.as_str()) {
                return Some(format!("{flow} 的挂机链运行了两次"));
            }
            left.push(flow.as_str());
        }
    }
    if rated > answered {
        Some("没有话务员而有评价".to_owned())
    } else if ended != 1 || left.is_empty() {
        Some(format!("通话结束了 {ended} 次"))
    } else if driver.session.poll_timeout().is_some() {
        Some("结束后还在等待".to_owned())
    } else {
        failed
    }
}
