//! 死信: pushes that were given up, and sending them again.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use hotline_config::Loaded;
use serde_json::Value;

use crate::{
    api::{list as items, text},
    running, say,
};

/// Prints every dead letter, newest first.
pub(crate) async fn list(loaded: &Loaded) -> Result<()> {
    let letters = all(loaded).await?;
    if letters.is_empty() {
        say::line(&"没有死信。");
        return Ok(());
    }
    for it in &letters {
        say::line(&format!(
            "{}\n    {}，创建于 {}，放弃于 {}，尝试 {} 次：{}",
            text(it, "id"),
            text(it, "kind"),
            text(it, "created"),
            text(it, "died"),
            it.get("n_attempts").unwrap_or(&Value::Null),
            text(it, "why")
        ));
    }
    say::line(&format!(
        "共 {} 封。重发：hotline dead-letters resend <名称>，或 --all",
        letters.len()
    ));
    Ok(())
}

/// Puts letters into the queue again; all of them when `id` is `None`.
pub(crate) async fn resend(loaded: &Loaded, id: Option<&str>) -> Result<()> {
    let ids: Vec<String> = if let Some(id) = id {
        vec![id.to_owned()]
    } else {
        all(loaded).await?.iter().map(|it| text(it, "id").to_owned()).collect()
    };
    let api = running::find(loaded)?.api;
    for id in &ids {
        let path = format!("/api/v1/dead-letters/{}/resend", escaped(id));
        api.post(&path, "{}").await.with_context(|| format!("{id} 没有重发"))?;
        say::line(&format!("{id} 已放回发送队列"));
    }
    say::line(&format!("共重发 {} 封。", ids.len()));
    Ok(())
}

async fn all(loaded: &Loaded) -> Result<Vec<Value>> {
    let api = running::find(loaded)?.api;
    let mut letters = Vec::new();
    let mut after = String::new();
    loop {
        let page = api.get(&format!("/api/v1/dead-letters?limit=200{after}")).await?;
        letters.extend_from_slice(items(&page, "items"));
        let next = text(&page, "next");
        if next.is_empty() {
            return Ok(letters);
        }
        after = format!("&after={}", escaped(next));
    }
}

/// RFC 3986 §2.1, everything but unreserved characters.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for it in text.bytes() {
        if it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(it));
        } else {
            // Writing to a `String` cannot go wrong.
            write!(out, "%{it:02X}").unwrap_or_default();
        }
    }
    out
}
