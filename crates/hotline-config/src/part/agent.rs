//! `[[agent]]`: the people who take calls, and the accounts of their telephones.

use std::collections::{BTreeMap, BTreeSet};

use hotline_acd::GroupConfig;
use hotline_agent::{AgentConfig, SignInState};
use hotline_base::{AgentNo, Extension, GroupId, Pii};
use hotline_sip::Account;
use hotline_switchboard::Srtp;

use super::{account, sip};
use crate::section::{Placed, Section};

/// The people, and the accounts of their telephones.
#[derive(Debug, Default)]
pub(crate) struct Staff {
    pub(crate) people: Vec<AgentConfig>,
    pub(crate) wishes: Vec<Wish>,
    pub(crate) accounts: BTreeMap<Extension, Account>,
    /// Telephones that are told to answer by themselves.
    pub(crate) auto_answer: BTreeSet<Extension>,
    /// Those who want another protection of audio than is usual.
    pub(crate) srtp_of: BTreeMap<Extension, Srtp>,
    /// Whether some account has a password that everybody can read.
    pub(crate) has_demo_password: bool,
}

/// What an agent may do outside, by the names of things that stand elsewhere.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) no: AgentNo,
    pub(crate) plan: Option<Placed<String>>,
    pub(crate) city: Option<String>,
    pub(crate) display: Option<Placed<String>>,
    /// Where it is said that he may sit outside.
    pub(crate) outside_seat: bool,
}

pub(crate) fn read(root: &Section<'_, '_>, groups: &[GroupConfig]) -> Staff {
    let known: BTreeSet<_> = groups.iter().map(|it| it.id.as_str()).collect();
    let mut all = Staff { accounts: account::file(root), ..Staff::default() };
    let mut numbers = BTreeSet::new();
    let mut extensions = BTreeSet::new();
    let all_answer = root.section("sip").bool_or("auto_answer", false);
    for it in root.sections("agent") {
        let agent = one(&it, &known);
        let own = account::own(&it, &mut all.has_demo_password);
        let digest = account::digest(&it);
        let (plan, display) = (it.text("dial_plan"), it.text("display_no"));
        let city = it.text("city").map(|it| it.value);
        let outside_seat = it.bool_or("outside_seat", false);
        if outside_seat && plan.is_none() {
            it.complain("outside_seat", "没有外呼权限，外线号码打不出去", "写 dial_plan");
        }
        if let Some(agent) = agent {
            let extension = agent.extension.clone();
            if it.bool_or("auto_answer", all_answer) {
                all.auto_answer.insert(extension.clone());
            }
            if let Some(srtp) = sip::srtp(&it) {
                all.srtp_of.insert(extension.clone(), srtp);
            }
            if !numbers.insert(agent.no.clone()) {
                it.complain("no", format!("工号 {} 重复", agent.no), "每个工号只能用一次");
            }
            if !extensions.insert(extension.clone()) {
                it.complain("extension", format!("分机 {extension} 重复"), "每人一部分机");
            }
            let account = own.or_else(|| all.accounts.get(&extension).cloned());
            if let Some(account) = account {
                let challenges = digest.unwrap_or(account.challenges);
                all.accounts.insert(extension, account.with(challenges));
            } else if !names_password(&it) && !outside_seat {
                it.complain(
                    "password_file",
                    format!("分机 {extension} 没有口令，话机不能注册"),
                    "写 password_file，或在 sip.accounts_file 里加一行“分机:口令”",
                );
            }
            all.wishes.push(Wish { no: agent.no.clone(), plan, city, display, outside_seat });
            all.people.push(agent);
        }
        it.end();
    }
    all
}

fn names_password(it: &Section<'_, '_>) -> bool {
    it.text("password_file").is_some() || it.text("demo_password").is_some()
}

fn one(it: &Section<'_, '_>, known: &BTreeSet<&str>) -> Option<AgentConfig> {
    let no = it.required("no", "写工号，如 \"1001\"");
    let name = it.required("name", "写姓名");
    let extension = it.required("extension", "写分机号，如 \"8001\"");
    for number in [&no, &extension].into_iter().flatten() {
        if !is_number(&number.value) {
            it.complain_at(number, format!("{:?} 不是号码", number.value), "只用数字，最多 16 位");
        }
    }
    let groups = memberships(it, known);
    let acw = it.secs_or("acw_secs", 20, 0..=3_600);
    let acw_manual = it.bool_or("acw_manual", false);
    let sign_in_state = match it.text_or("sign_in_state", "busy").as_str() {
        "idle" => SignInState::Idle,
        "busy" => SignInState::Busy,
        other => {
            it.complain("sign_in_state", format!("{other:?} 不认识"), "写 idle 或 busy");
            SignInState::Busy
        }
    };
    Some(AgentConfig {
        no: AgentNo::new(&no?.value),
        name: Pii::new(name?.value),
        extension: Extension::new(&extension?.value),
        groups,
        acw,
        acw_manual,
        sign_in_state,
        supervisor: it.bool_or("supervisor", false),
    })
}

/// The groups named with their levels; `"*"` stands for every group that is not named.
fn memberships(it: &Section<'_, '_>, known: &BTreeSet<&str>) -> Vec<(GroupId, u8)> {
    let mut groups = Vec::new();
    let mut others = None;
    for (name, level) in it.numbers("groups") {
        let Some(level) = u8::try_from(level).ok().filter(|it| (1..=9).contains(it)) else {
            it.complain_at(&name, format!("级别 {level} 超出范围"), "请取 1 到 9，1 最优先");
            continue;
        };
        if name.value == "*" {
            others = Some(level);
        } else if known.contains(name.value.as_str()) {
            groups.push((GroupId::new(&name.value), level));
        } else {
            let text = format!("没有技能组 {}", name.value);
            it.complain_at(&name, text, "改正名称，或加一节 [[group]]");
        }
    }
    if let Some(level) = others {
        let named: BTreeSet<_> = groups.iter().map(|it| it.0.as_str().to_owned()).collect();
        let rest = known.iter().filter(|it| !named.contains(**it));
        groups.extend(rest.map(|it| (GroupId::new(it), level)));
    }
    if groups.is_empty() {
        it.complain("groups", "不在任何技能组，接不到来电", "写 groups = { \"组名\" = 1 }");
    }
    groups
}

pub(super) fn is_number(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit())
}
