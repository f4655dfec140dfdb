//! `[[agent]]`: the people who take calls, and the accounts of their telephones.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use hotline_acd::GroupConfig;
use hotline_agent::{AgentConfig, SignInState};
use hotline_base::{AgentNo, Extension, GroupId, Pii};
use hotline_sip::Account;

use crate::section::Section;

/// The people, and the accounts of their telephones.
#[derive(Debug, Default)]
pub(crate) struct Staff {
    pub(crate) people: Vec<AgentConfig>,
    pub(crate) accounts: BTreeMap<Extension, Account>,
    /// Whether some account has a password that everybody can read.
    pub(crate) has_demo_password: bool,
}

pub(crate) fn read(root: &Section<'_, '_>, groups: &[GroupConfig]) -> Staff {
    let known: BTreeSet<_> = groups.iter().map(|it| it.id.as_str()).collect();
    let mut all = Staff { accounts: accounts_file(root), ..Staff::default() };
    let mut numbers = BTreeSet::new();
    let mut extensions = BTreeSet::new();
    for it in root.sections("agent") {
        let agent = one(&it, &known);
        let password = password(&it, &mut all.has_demo_password);
        if let Some(agent) = agent {
            let extension = agent.extension.clone();
            if !numbers.insert(agent.no.clone()) {
                it.complain("no", format!("工号 {} 重复", agent.no), "每个工号只能用一次");
            }
            if !extensions.insert(extension.clone()) {
                it.complain("extension", format!("分机 {extension} 重复"), "每人一部分机");
            }
            if let Some(password) = password {
                all.accounts.insert(extension, Account { password });
            } else if !all.accounts.contains_key(&extension) && !names_password(&it) {
                it.complain(
                    "password_file",
                    format!("分机 {extension} 没有口令，话机不能注册"),
                    "写 password_file，或在 sip.accounts_file 里加一行“分机:口令”",
                );
            }
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

fn password(it: &Section<'_, '_>, has_demo_password: &mut bool) -> Option<String> {
    if let Some(demo) = it.text("demo_password") {
        *has_demo_password = true;
        if it.text("password_file").is_some() {
            it.complain("demo_password", "与 password_file 重复", "正式使用请删去 demo_password");
        }
        return Some(demo.value);
    }
    it.secret_file("password_file")
}

/// `sip.accounts_file`: a line `extension:password` for each telephone; `#` begins a comment.
fn accounts_file(root: &Section<'_, '_>) -> BTreeMap<Extension, Account> {
    let sip = root.section("sip");
    let mut accounts = BTreeMap::new();
    let Some(path) = sip.path("accounts_file") else { return accounts };
    let Ok(text) = fs::read_to_string(&path) else {
        let text = format!("{} 不能读取", path.display());
        sip.complain("accounts_file", text, "检查路径，并设为仅运行账户可读");
        return accounts;
    };
    sip.guarded("accounts_file", &path);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(':') {
            Some((extension, password)) if is_number(extension) && !password.is_empty() => {
                let account = Account { password: password.to_owned() };
                accounts.insert(Extension::new(extension), account);
            }
            Some(_) | None => sip.complain(
                "accounts_file",
                format!("{} 第 {} 行看不懂", path.display(), index + 1),
                "每行写“分机:口令”",
            ),
        }
    }
    accounts
}

fn is_number(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit())
}
