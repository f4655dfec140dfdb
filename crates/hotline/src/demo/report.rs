//! What is left of a demonstration: records and recordings, and where they are.

use std::{path::Path, time::Duration};

use anyhow::Result;
use hotline_config::Loaded;
use serde_json::Value;
use tokio::time::{Instant, interval};

use super::{Stage, scene::shown, screen::padded};
use crate::{
    api::{list, text},
    say,
};

/// Recordings are sealed and records loaded within a moment of the last call.
const SETTLE: Duration = Duration::from_secs(5);

/// Rows that a person still reads.
const ROWS_MAX: usize = 15;

pub(super) async fn print(loaded: &Loaded, stage: &Stage, n_callers: usize) -> Result<()> {
    let n_calls = stage.scene.look().n_calls;
    let calls = finished(stage, n_calls.clamp(n_callers, 500)).await?;
    say::line(&"");
    say::line(&format!("演示结束：共 {n_calls} 个来电，话单 {} 张。", calls.len()));
    say::line(&"");
    for it in calls.iter().take(ROWS_MAX) {
        say::line(&row(it));
    }
    if calls.len() > ROWS_MAX {
        say::line(&format!("  ……另有 {} 张", calls.len() - ROWS_MAX));
    }
    let api = stage.running.api.address;
    let here = |it: &Path| std::path::absolute(it).unwrap_or_else(|_| it.to_owned());
    say::line(&"");
    say::line(&format!("录音   {}", here(&loaded.media.recording_dir).display()));
    say::line(&"       左声道是市民，右声道是话务员；旁边的 .json 是随录信息");
    say::line(&format!("话单   {}", here(&loaded.engine.data_dir.join("hotline.db")).display()));
    say::line(&"接口   引擎运行时：");
    say::line(&format!("       curl -H 'Authorization: Bearer 令牌' http://{api}/api/v1/calls"));
    Ok(())
}

/// The newest records, waiting a moment for the last ones to be complete.
async fn finished(stage: &Stage, n_max: usize) -> Result<Vec<Value>> {
    let end = Instant::now() + SETTLE;
    let mut tick = interval(Duration::from_millis(250));
    loop {
        tick.tick().await;
        let path = format!("/api/v1/calls?limit={n_max}&caller_no=1990000*");
        let page = stage.running.api.get(&path).await?;
        let calls = list(&page, "items").to_vec();
        let is_complete = |it: &Value| it.get("complete") == Some(&Value::Bool(true));
        let is_whole = calls.len() >= n_max && calls.iter().all(is_complete);
        if is_whole || Instant::now() > end {
            return Ok(calls);
        }
    }
}

fn row(it: &Value) -> String {
    let secs = |key: &str| it.get(key).and_then(Value::as_u64).unwrap_or(0) / 1_000;
    let last = |key: &str| list(it, key).last().unwrap_or(&Value::Null);
    let caller = text(it, "caller_no");
    let caller = if caller.is_empty() { "匿名".to_owned() } else { shown(caller) };
    let outcome = match text(it, "outcome") {
        "answered" => "接通",
        "short_abandon" => "速挂",
        "abandoned_in_queue" => "排队放弃",
        "abandoned_ringing" => "振铃放弃",
        "lost" => "系统呼损",
        "forced" => "未能接入",
        "in_flow" => "导航中结束",
        "refused" => "拒绝",
        "reached" => "外呼接通",
        "not_reached" => "外呼未通",
        other => other,
    };
    let agent = text(last("segments"), "agent_no");
    let agent = if agent.is_empty() { String::new() } else { format!("坐席 {agent}") };
    format!(
        "  {caller}  {} 等候 {:>3} 秒  通话 {:>3} 秒  {} {} {}",
        padded(outcome, 10),
        secs("wait_ms"),
        secs("talk_ms"),
        padded(&agent, 12),
        padded(text(last("ratings"), "label"), 10),
        text(last("recordings"), "path")
    )
}
