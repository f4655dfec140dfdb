//! `[engine]`, `[log]` and `[flows]`: where state lies, how the end comes, what is logged.

use std::{path::PathBuf, time::Duration};

use hotline_engine::{LogFormat, Telemetry};

use crate::section::Section;

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) data_dir: PathBuf,
    pub(crate) grace: Duration,
    pub(crate) telemetry: Telemetry,
    /// `None`: the bundled flows.
    pub(crate) flows_dir: Option<PathBuf>,
}

pub(crate) fn read(root: &Section<'_, '_>) -> Engine {
    let it = root.section("engine");
    let data_dir = it.path("data_dir").unwrap_or_else(|| it.document().resolve("var"));
    let grace = it.secs_or("grace_secs", 30, 0..=86_400);
    it.end();
    let it = root.section("log");
    let format = match it.text_or("format", "text").as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => {
            it.complain("format", format!("{other:?} 不认识"), "写 text 或 json");
            LogFormat::Text
        }
    };
    let telemetry = Telemetry { format, filter: it.text_or("filter", "info") };
    it.end();
    let it = root.section("flows");
    let flows_dir = it.path("dir");
    if let Some(dir) = &flows_dir
        && !dir.is_dir()
    {
        let text = format!("{} 不是目录", dir.display());
        it.complain("dir", text, "指向 ivr-flows 的副本，或删去此项改用内置流程");
    }
    it.end();
    Engine { data_dir, grace, telemetry, flows_dir }
}
