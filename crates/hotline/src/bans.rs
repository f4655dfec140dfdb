//! 封禁: addresses that flooded the engine, and hearing them again.

use anyhow::{Context, Result};
use hotline_config::Loaded;
use serde_json::Value;

use crate::{
    api::{list as items, text},
    running, say,
};

/// Prints every banned address.
pub(crate) async fn list(loaded: &Loaded) -> Result<()> {
    let answer = running::find(loaded)?.api.get("/api/v1/bans").await?;
    let bans = items(&answer, "items");
    if bans.is_empty() {
        say::line(&"没有被封禁的地址。");
        return Ok(());
    }
    for it in bans {
        let number = |key: &str| it.get(key).and_then(Value::as_u64).unwrap_or(0);
        say::line(&format!(
            "{}    还剩 {} 秒，已丢弃 {} 个消息",
            text(it, "address"),
            number("left_secs"),
            number("n_dropped")
        ));
    }
    say::line(&format!("共 {} 个。解封：hotline bans lift <地址>", bans.len()));
    Ok(())
}

/// Hears an address again.
pub(crate) async fn lift(loaded: &Loaded, address: &str) -> Result<()> {
    let path = format!("/api/v1/bans/{address}/lift");
    let api = running::find(loaded)?.api;
    api.post(&path, "{}").await.with_context(|| format!("{address} 没有解封"))?;
    say::line(&format!("{address} 已解封"));
    Ok(())
}
