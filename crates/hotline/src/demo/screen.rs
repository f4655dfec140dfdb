//! The terminal: calls, queues and agents, drawn anew twice a second. Where the output is no
//! terminal, one line for each thing that happens.

use std::{
    fmt::Write as _,
    io::{IsTerminal, stdout},
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, interval};

use super::{
    Stage,
    scene::{Shown, Step, shown},
};
use crate::{
    api::{list, text},
    say,
};

const EVERY: Duration = Duration::from_millis(500);

const CLEAR: &str = "\x1b[H\x1b[J";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

pub(super) struct Screen {
    stage: Stage,
    is_terminal: bool,
    began: Instant,
    seconds: u64,
}

impl Screen {
    pub(super) fn begin(stage: Stage, seconds: u64) -> Self {
        let is_terminal = stdout().is_terminal();
        Self { stage, is_terminal, began: Instant::now(), seconds }
    }

    /// Never ends by itself.
    pub(super) async fn draw(&mut self) {
        let mut tick = interval(EVERY);
        loop {
            tick.tick().await;
            self.once().await;
        }
    }

    /// The last picture stays.
    pub(super) async fn end(&mut self) {
        self.once().await;
    }

    async fn once(&self) {
        if !self.is_terminal {
            let news = std::mem::take(&mut self.stage.scene.look().news);
            let at = self.began.elapsed().as_secs();
            for it in news {
                say::line(&format!("{at:>3} 秒  {it}"));
            }
            return;
        }
        let api = &self.stage.running.api;
        let (agents, groups) = tokio::join!(api.get("/api/v1/agents"), api.get("/api/v1/groups"));
        let text = {
            let scene = self.stage.scene.look();
            self.picture(&scene, &agents.unwrap_or_default(), &groups.unwrap_or_default())
        };
        say::part(&text);
    }

    fn picture(&self, scene: &Shown, agents: &Value, groups: &Value) -> String {
        let mut out = String::from(CLEAR);
        let left = self.seconds.saturating_sub(self.began.elapsed().as_secs());
        let Shown { n_calls, n_answered, n_abandoned, .. } = scene;
        let head = format!(
            "12345 热线演示  还有 {left} 秒   来电 {n_calls}  接通 {n_answered}  放弃 {n_abandoned}"
        );
        line(&mut out, &format!("{BOLD}{head}{PLAIN}  {DIM}Ctrl-C 结束{PLAIN}"));
        line(&mut out, "");
        line(&mut out, &format!("{BOLD}市民{PLAIN}"));
        for (number, it) in scene.callers.values() {
            let secs = it.since.elapsed().as_secs();
            let text = format!("  {}  {} {secs:>3} 秒", shown(number), padded(&it.step.text(), 20));
            let is_gone = matches!(it.step, Step::Gone { .. });
            line(&mut out, &if is_gone { format!("{DIM}{text}{PLAIN}") } else { text });
        }
        line(&mut out, "");
        line(&mut out, &format!("{BOLD}话务员{PLAIN}"));
        for it in list(agents, "items").iter().filter(|it| text(it, "state") != "signed_out") {
            let (no, extension) = (text(it, "agent_no"), text(it, "extension"));
            line(&mut out, &format!("  {no}  分机 {extension}  {}", text(it, "state_zh")));
        }
        line(&mut out, "");
        line(&mut out, &format!("{BOLD}排队{PLAIN}"));
        let count = |it: &Value, key: &str| it.get(key).and_then(Value::as_u64).unwrap_or(0);
        let groups = list(groups, "items").iter();
        let waiting: Vec<_> = groups.filter(|it| count(it, "n_waiting") > 0).collect();
        for it in &waiting {
            let name = padded(text(it, "name"), 20);
            let (n, ready) = (count(it, "n_waiting"), count(it, "n_ready"));
            line(&mut out, &format!("  {name} 等候 {n} 人，空闲话务员 {ready} 名"));
        }
        if waiting.is_empty() {
            line(&mut out, &format!("  {DIM}无人等候{PLAIN}"));
        }
        line(&mut out, "");
        line(&mut out, &format!("{BOLD}刚才{PLAIN}"));
        for it in &scene.log {
            line(&mut out, &format!("  {DIM}{it}{PLAIN}"));
        }
        out
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a `String` cannot go wrong.
    writeln!(out, "{text}").unwrap_or_default();
}

/// To a width in columns; a Chinese character takes two.
pub(super) fn padded(text: &str, width: usize) -> String {
    let columns: usize = text.chars().map(|it| if it >= '\u{1100}' { 2 } else { 1 }).sum();
    let mut out = text.to_owned();
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(columns)));
    out
}

#[cfg(test)]
mod tests {
    use super::padded;

    #[test]
    fn columns_stand_under_each_other_in_chinese_too() {
        assert_eq!(padded("排队", 6), "排队  ");
        assert_eq!(padded("1001", 6), "1001  ");
        assert_eq!(padded("与 1001 通话", 4), "与 1001 通话");
    }
}
