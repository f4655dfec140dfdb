//! Finding the engine that runs on this machine with a configuration.

use std::{fs, net::SocketAddr};

use anyhow::{Context, Result};
use hotline_config::Loaded;
use serde_json::Value;

use crate::api::{Api, list, text};

/// What the engine wrote about itself.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) sip: SocketAddr,
    pub(crate) api: Api,
}

/// Reads the engine's note. It may be that of an engine that was killed: ask it something.
pub(crate) fn find(loaded: &Loaded) -> Result<Running> {
    let path = loaded.engine.data_dir.join("engine.json");
    let note = fs::read_to_string(&path)
        .with_context(|| format!("引擎没有运行（没有 {}）；先执行 make run", path.display()))?;
    let note: Value = serde_json::from_str(&note).context("engine.json 不完整")?;
    let sip = list(&note, "sip_udp").first().and_then(Value::as_str);
    let sip = sip.and_then(|it| it.parse().ok()).context("引擎没有 UDP 信令地址")?;
    let http = text(&note, "http").parse().ok().context("引擎没有打开接口（[http] listen）")?;
    let token = hotline_engine::system_token(&loaded.http.tokens)
        .context("配置里没有 role = \"system\" 的令牌（[[http.token]]）")?;
    Ok(Running { sip, api: Api::new(http, token) })
}
