//! The flow with which a call is measured: answer, queue, hang up.

use std::{fs, io, path::Path};

const SHORT_FLOW: &str = "ivr: 1
id: bench.short
title: 应答后直接排队
owner: bench
kind: inbound
start: open_line
on_error: bye
nodes:
  open_line: {type: answer, next: person}
  person:
    type: queue
    group: gx.general
    max_wait: 10m
    out: {agent_done: bye, timeout: bye, full: bye, no_agents: bye, closed: bye, error: bye}
  bye: {type: hangup, reason: normal}
";

const SHORT_FILES: [(&str, &str); 4] = [
    ("flows/bench.short.flow.yaml", SHORT_FLOW),
    (
        "numbers/bench.numbers.yaml",
        "ivr: 1\nprofile: bench\nnumbers:\n  - {dnis: [\"12345\"], flow: bench.short}\n",
    ),
    ("profiles/bench.yaml", "ivr: 1\nprofile: bench\ntitle: bench\n"),
    ("session.yaml", "ivr: 1\nvars: {}\nfallback_group: gx.general\n"),
];

const CATALOG: &str = include_str!("../../ivr-flows/prompts/catalog.yaml");

/// Writes it and what it needs to a folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_short(folder: &Path) -> io::Result<()> {
    for (name, content) in SHORT_FILES.into_iter().chain([("prompts/catalog.yaml", CATALOG)]) {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
    }
    Ok(())
}
