//! The flows with which a call is measured: answer, queue, hang up; and one that is told by a key what to do.

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

const KEYS_FLOW: &str = "ivr: 1
id: bench.short
title: 按键转人工或再听一遍
owner: bench
kind: inbound
start: open_line
on_error: bye
nodes:
  open_line: {type: answer, next: ask}
  ask:
    type: menu
    prompt: menu.top.short
    options:
      \"1\": {label: 再听一遍, next: ask}
    operator_key: \"0\"
    operator_next: person
    out: {noinput: bye, nomatch: bye}
  person:
    type: queue
    group: gx.general
    max_wait: 10m
    out: {agent_done: bye, timeout: bye, full: bye, no_agents: bye, closed: bye, error: bye}
  bye: {type: hangup, reason: normal}
";

const MENU: &[u8] = include_bytes!("../../ivr-flows/prompts/zh-CN/menu.top.short.wav");

const FILES: [(&str, &str); 4] = [
    (
        "numbers/bench.numbers.yaml",
        "ivr: 1\nprofile: bench\nnumbers:\n  - {dnis: [\"12345\"], flow: bench.short}\n",
    ),
    ("profiles/bench.yaml", "ivr: 1\nprofile: bench\ntitle: bench\n"),
    ("session.yaml", "ivr: 1\nvars: {}\nfallback_group: gx.general\n"),
    ("prompts/catalog.yaml", include_str!("../../ivr-flows/prompts/catalog.yaml")),
];

/// Writes the flow without keys and what it needs to a folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_short(folder: &Path) -> io::Result<()> {
    write_all(folder, SHORT_FLOW)
}

/// The same with a spoken menu before the queue: 0 leads to it, 1 says it again.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_keys(folder: &Path) -> io::Result<()> {
    write_all(folder, KEYS_FLOW)?;
    write(&folder.join("prompts/zh-CN/menu.top.short.wav"), MENU)
}

fn write_all(folder: &Path, flow: &str) -> io::Result<()> {
    for (name, content) in FILES.into_iter().chain([("flows/bench.short.flow.yaml", flow)]) {
        write(&folder.join(name), content.as_bytes())?;
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
}
