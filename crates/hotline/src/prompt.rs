//! `hotline prompt`: sound files that people bring, looked at and made prompts.
//!
//! A file is read in a process of its own, which can open nothing and ends by itself. So a fault in
//! reading it, found by whoever made the file, costs one conversion.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use hotline_engine::{UPLOAD_MAX, convert_upload};
use rustix::{
    fs::{Mode, OFlags},
    process::{Resource, Rlimit, setrlimit},
};

use crate::{Prompts, say};

/// Name of the hidden command that converts.
pub(crate) const APART: &str = "prompt-apart";

/// What the converter may take: seconds of processor time, and bytes.
const CPU_SECS: u64 = 60;
const MEMORY: u64 = 512 << 20;

/// Bytes of the longest result: half an hour of A-law, and what is said of it.
const RESULT_MAX: u64 = 16 << 20;

pub(crate) fn run(action: Prompts) -> Result<ExitCode> {
    match action {
        Prompts::Check { file } => say::line(&converted(&file)?.0),
        Prompts::Convert { file, output } => {
            let (report, wav) = converted(&file)?;
            // Nobody hears half a prompt.
            let part = output.with_extension("part");
            fs::write(&part, wav)
                .and_then(|()| fs::rename(&part, &output))
                .with_context(|| format!("不能写入 {} (cannot be written)", output.display()))?;
            say::line(&report);
            say::line(&format!("已写入 (written): {}", output.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is to be said of a file, and the prompt it becomes.
fn converted(path: &Path) -> Result<(String, Vec<u8>)> {
    let name = path.display();
    // A pipe to which nobody writes is told from a file, not waited for.
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty());
    let file = File::from(opened.with_context(|| format!("不能打开 {name} (cannot be opened)"))?);
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > UPLOAD_MAX {
        bail!("{name}: 不是文件，或大于 64 MiB (not a file, or larger than 64 MiB)");
    }
    let mut child = Command::new(std::env::current_exe()?)
        .arg(APART)
        .env_clear()
        .current_dir("/")
        .stdin(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut result = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(RESULT_MAX).read_to_end(&mut result)?;
    }
    // It says little, so that its pipe is never full.
    let ended = child.wait_with_output()?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        let why = match said.trim() {
            "" => format!("转换进程异常结束 (the converter ended with {})", ended.status),
            said => said.to_owned(),
        };
        bail!("{name}: {why}");
    }
    unpacked(&result).with_context(|| format!("{name}: 转换结果不完整 (a broken result)"))
}

fn unpacked(result: &[u8]) -> Option<(String, Vec<u8>)> {
    let (length, rest) = result.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (report, wav) = rest.split_at_checked(length)?;
    Some((String::from_utf8(report.to_vec()).ok()?, wav.to_vec()))
}

/// The process apart: a file at standard input, the length of the report, the report and the prompt
/// at standard output.
pub(crate) fn apart() -> Result<ExitCode> {
    limit()?;
    let mut file = Vec::new();
    io::stdin().lock().take(UPLOAD_MAX + 1).read_to_end(&mut file)?;
    let prompt = match convert_upload(&file) {
        Ok(prompt) => prompt,
        Err(why) => {
            say::complaint(&why);
            return Ok(ExitCode::FAILURE);
        }
    };
    let warnings = prompt.report.warnings();
    let warnings = warnings.iter().map(|it| format!("\n注意 (warning): {it}"));
    let report = format!("{}{}", prompt.report, warnings.collect::<String>());
    let mut out = io::stdout().lock();
    out.write_all(&u32::try_from(report.len())?.to_le_bytes())?;
    out.write_all(report.as_bytes())?;
    out.write_all(&prompt.wav)?;
    Ok(ExitCode::SUCCESS)
}

/// Before the first byte is read: no file and no socket can be opened, none written, no process
/// started, and time and memory end.
fn limit() -> io::Result<()> {
    let limits = [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nproc, 0),
        (Resource::Cpu, CPU_SECS),
        (Resource::As, MEMORY),
        // The three that it has.
        (Resource::Nofile, 3),
    ];
    for (resource, most) in limits {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}
