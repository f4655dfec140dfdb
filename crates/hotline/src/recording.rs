//! `hotline recording`: recordings looked at from outside.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use hotline_engine::{Finding, verify_recordings};

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
        Finding::Sound => (false, None),
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
