//! `hotline recording`: recordings looked at from outside.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use hotline_engine::{Finding, GapJson, verify_recordings};

use crate::{Recordings, say};

pub(crate) fn run(action: Recordings) -> Result<ExitCode> {
    let Recordings::Verify { dirs, mend } = action;
    let (mut n, mut n_bad) = (0_u64, 0_u64);
    verify_recordings(&dirs, mend, &mut |path, finding| {
        n += u64::from(path.extension().is_some_and(|it| it == "wav"));
        let (bad, text) = describe(&finding);
        n_bad += u64::from(bad);
        if let Some(text) = text {
            say::line(&format!("{}: {text}", path.display()));
        }
    })
    .with_context(|| {
        let names: Vec<_> = dirs.iter().map(|it| it.display().to_string()).collect();
        format!("不能读取 {}（请检查目录和权限）", names.join("、"))
    })?;
    say::line(&format!("{n} 个录音，{n_bad} 个有问题 ({n} recordings, {n_bad} bad)"));
    Ok(if n_bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether something is wrong, and what there is to say.
fn describe(finding: &Finding) -> (bool, Option<String>) {
    match finding {
        Finding::Sound { gaps } if gaps.is_empty() => (false, None),
        Finding::Sound { gaps } => {
            let gaps: Vec<_> = gaps.iter().map(describe_gap).collect();
            (false, Some(format!("完整，有缺口 (sound, with gaps): {}", gaps.join("; "))))
        }
        Finding::BeingWritten => (false, Some("正在录音 (being written)".to_owned())),
        Finding::Mended => (false, Some("已修复文件头 (header mended)".to_owned())),
        Finding::NoSidecar => (false, Some("没有随录信息可核对 (no JSON beside it)".to_owned())),
        Finding::BrokenOff => {
            (true, Some("中断，用 --mend 修复 (broken off, mend with --mend)".to_owned()))
        }
        Finding::Altered => {
            (true, Some("与封存时不一致 (not what was sealed: altered or damaged)".to_owned()))
        }
        Finding::Missing => {
            (true, Some("链上有它，文件却不在 (in the chain, but gone)".to_owned()))
        }
        Finding::Damaged => (true, Some("不是完整的录音 (not a whole recording)".to_owned())),
        Finding::Unreadable(error) => (true, Some(format!("不能读取 (unreadable): {error}"))),
    }
}

/// Where something is missing, whose it is, and why.
fn describe_gap(it: &GapJson) -> String {
    let why = match it.why.as_deref() {
        Some("disk") => "磁盘未写入 (disk)",
        Some("shed") => "缓冲不足 (shed)",
        Some("lost") => "丢包 (lost)",
        Some("codec") => "透传编码 (codec)",
        Some("media_restarted") => "媒体进程重启 (media restarted)",
        Some(_) | None => "原因未知 (unknown)",
    };
    let side = match it.side.as_deref() {
        Some("caller") => "来电方 caller ",
        Some("agent") => "坐席方 agent ",
        Some(_) | None => "",
    };
    format!("{side}{}–{} ms {why}", it.from_ms, it.to_ms)
}
