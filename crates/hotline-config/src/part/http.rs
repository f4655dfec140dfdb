//! `[http]`: the address of the API and the tokens that open it.

use std::{collections::BTreeSet, net::SocketAddr};

use hotline_agent::AgentConfig;
use hotline_base::AgentNo;
use hotline_web::{Role, Token};

use crate::section::Section;

/// The web edge.
#[derive(Clone, Debug, Default)]
pub struct Http {
    /// `None`: no API.
    pub listen: Option<SocketAddr>,
    pub tokens: Vec<Token>,
    /// Whether `/metrics` is open to everybody; else it wants a system's token.
    pub open_metrics: bool,
}

pub(crate) fn read(root: &Section<'_, '_>, agents: &[AgentConfig]) -> Http {
    let it = root.section("http");
    let listen: Option<SocketAddr> = it.parsed("listen", "“地址:端口”");
    let mut names = BTreeSet::new();
    let mut tokens = Vec::new();
    for token in it.sections("token") {
        let name = token.required("name", "写使用者的名字，如 work-order-platform");
        if let Some(name) = &name
            && !names.insert(name.value.clone())
        {
            token.complain_at(name, format!("令牌 {} 重复", name.value), "换一个名字");
        }
        let name = name.map(|it| it.value).unwrap_or_default();
        let found = one(&token, agents, listen).map(|(secret, role)| Token { name, secret, role });
        if found
            .as_ref()
            .is_some_and(|it| tokens.iter().any(|other: &Token| other.secret == it.secret))
        {
            token.complain("name", "与前面的令牌内容相同", "每个使用者一个令牌，才能单独更换");
        }
        tokens.extend(found);
        token.end();
    }
    if listen.is_some() && tokens.is_empty() {
        it.warn("token", "没有令牌，接口不会接受任何请求", "加一节 [[http.token]]");
    }
    let open_metrics = it.bool_or("open_metrics", true);
    it.end();
    Http { listen, tokens, open_metrics }
}

/// The secret and what it opens.
fn one(
    it: &Section<'_, '_>,
    agents: &[AgentConfig],
    listen: Option<SocketAddr>,
) -> Option<(String, Role)> {
    let agent_no = it.text("agent_no");
    let role = match it.text_or("role", "system").as_str() {
        "system" => {
            if agent_no.is_some() {
                it.complain("agent_no", "只用于 role = \"agent\"", "删去，或改 role");
            }
            Role::System
        }
        "operator" => {
            if agent_no.is_some() {
                it.complain("agent_no", "只用于 role = \"agent\"", "删去，或改 role");
            }
            Role::Operator
        }
        "agent" => {
            let no = agent_no.as_ref().map_or("", |it| it.value.as_str());
            if !agents.iter().any(|it| it.no.as_str() == no) {
                it.complain("agent_no", format!("没有工号 {no:?}"), "写一个 [[agent]] 的 no");
            }
            Role::Agent(AgentNo::new(no))
        }
        other => {
            it.complain("role", format!("{other:?} 不认识"), "写 system、operator 或 agent");
            Role::System
        }
    };
    let secret = match it.text("demo_token") {
        Some(demo) => {
            if listen.is_some_and(|it| !it.ip().is_loopback()) {
                it.warn(
                    "demo_token",
                    "演示令牌人人可见，而接口对外开放",
                    "改用 token_file，或只监听 127.0.0.1",
                );
            }
            Some(demo.value)
        }
        None if it.text("token_file").is_some() => it.secret_file("token_file"),
        None => {
            it.complain("token_file", "缺少此项", "写 token_file，指向只含令牌的文件");
            None
        }
    };
    Some((secret?, role))
}
