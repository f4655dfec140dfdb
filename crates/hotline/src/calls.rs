//! 信令: the ladder and the capture of one call, from the engine that runs here.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use hotline_config::Loaded;

use crate::{running, say};

/// Prints the ladder; `keep` stores it as well.
pub(crate) async fn ladder(
    loaded: &Loaded,
    id: u64,
    numbers: bool,
    json: bool,
    keep: bool,
) -> Result<()> {
    let api = running::find(loaded)?.api;
    let format = if json { "json" } else { "text" };
    let path = format!("/api/v1/calls/{id}/ladder?format={format}&masked={}", !numbers);
    let bytes = api.get_bytes(&path).await.with_context(|| absent(id))?;
    say::part(&String::from_utf8_lossy(&bytes));
    if keep {
        api.post(&format!("/api/v1/calls/{id}/ladder/keep"), "{}").await?;
        say::line(&"已存入数据库（仍在进行的呼叫，结束后存入）");
    }
    Ok(())
}

/// Writes the capture to a file.
pub(crate) async fn pcap(loaded: &Loaded, id: u64, numbers: bool, output: &Path) -> Result<()> {
    let api = running::find(loaded)?.api;
    let path = format!("/api/v1/calls/{id}/pcap?masked={}", !numbers);
    let bytes = api.get_bytes(&path).await.with_context(|| absent(id))?;
    let file = output.display();
    fs::write(output, &bytes).with_context(|| format!("不能写 {file}"))?;
    say::line(&format!("已写入 {file}，{} 字节；可用 Wireshark 打开", bytes.len()));
    Ok(())
}

fn absent(id: u64) -> String {
    format!("没有呼叫 {id} 的信令：内存只留最近的呼叫，数据库只留失败的和要求保留的")
}
