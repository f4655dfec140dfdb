//! `[[push]]`: the receivers of records and of agents' states.

use std::{collections::BTreeSet, time::Duration};

use hotline_push::{Secret, Target};

use crate::section::Section;

/// One receiver (webhook) and what it receives.
#[derive(Clone, Debug)]
pub struct PushTarget {
    pub target: Target,
    pub records: bool,
    pub agent_states: bool,
    pub recordings: bool,
}

pub(crate) fn read(root: &Section<'_, '_>) -> Vec<PushTarget> {
    let mut ids = BTreeSet::new();
    let mut targets = Vec::new();
    for it in root.sections("push") {
        if let Some(target) = one(&it) {
            if !ids.insert(target.target.name.clone()) {
                it.complain(
                    "id",
                    format!("推送 {} 重复", target.target.name),
                    "每个 id 只能用一次",
                );
            }
            targets.push(target);
        }
        it.end();
    }
    targets
}

fn one(it: &Section<'_, '_>) -> Option<PushTarget> {
    let id = it.required("id", "给接收方起一个名字，如 work-order");
    let url = it.required("url", "写接收地址，如 https://10.1.2.3/calls");
    if let Some(url) = &url
        && !is_url(&url.value)
    {
        it.complain_at(url, "不是 http:// 或 https:// 地址", "写完整的地址，含主机名");
    }
    let secret = if it.text("secret_file").is_some() {
        it.secret_file("secret_file")
    } else {
        it.complain("secret_file", "缺少此项", "写 secret_file，指向与接收方约定的签名密钥");
        None
    };
    let timeout = it.secs_or("timeout_secs", 5, 1..=60);
    let longest = it.secs_or("retry_max_secs", 30, 1..=3_600);
    let age_max_hours = it.number_or("age_max_hours", 72, 1..=24 * 365);
    let n_parallel = it.number_or("parallel_max", 8, 1..=64);
    let records = it.bool_or("records", true);
    let agent_states = it.bool_or("agent_states", true);
    let recordings = it.bool_or("recordings", true);
    if !records && !agent_states && !recordings {
        it.complain("records", "什么也不推送", "records、agent_states、recordings 至少一项为 true");
    }
    let mut target = Target::new(&id?.value, &url?.value, Secret::new(secret?));
    target.timeout = timeout;
    target.n_parallel = usize::try_from(n_parallel).unwrap_or(1);
    target.retry.longest = longest;
    target.retry.age_max = Duration::from_secs(age_max_hours * 3_600);
    Some(PushTarget { target, records, agent_states, recordings })
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|it| {
        let host = it.split(['/', '?', '#']).next().unwrap_or_default();
        !host.is_empty() && !text.contains(char::is_whitespace)
    })
}
