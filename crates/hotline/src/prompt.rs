//! `hotline prompt`: sound files that people bring, looked at and made prompts.
//!
//! A file is read in a process of its own, which can open nothing and ends by itself. So a fault in
//! reading it, found by whoever made the file, costs one conversion.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use hotline_engine::{
    CONVERTED_MAX, UPLOAD_MAX, UploadedPrompt, convert_upload, converter, pack_upload,
    supervisor::RoleCommand, unpack_upload,
};
use rustix::{
    fs::{Mode, OFlags},
    process::{Resource, Rlimit, nice, setrlimit},
};

use crate::{Prompts, say};

/// Name of the hidden command that converts.
pub(crate) const APART: &str = "prompt-apart";

/// What the converter may take: seconds of processor time, and bytes.
const CPU_SECS: u64 = 60;
const MEMORY: u64 = 512 << 20;

pub(crate) fn run(action: Prompts) -> Result<ExitCode> {
    match action {
        Prompts::Check { file } => say::line(&report(&converted(&file)?)),
        Prompts::Convert { file, output } => {
            let prompt = converted(&file)?;
            // Nobody hears half a prompt.
            let part = output.with_extension("part");
            fs::write(&part, &prompt.wav)
                .and_then(|()| fs::rename(&part, &output))
                .with_context(|| format!("不能写入 {} (cannot be written)", output.display()))?;
            say::line(&report(&prompt));
            say::line(&format!("已写入 (written): {}", output.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn report(prompt: &UploadedPrompt) -> String {
    let warnings = prompt.report.warnings();
    let warnings = warnings.iter().map(|it| format!("\n注意 (warning): {it}"));
    format!("{}{}", prompt.report, warnings.collect::<String>())
}

/// This program as the process apart, also when another one has taken its place on the disk.
pub(crate) fn apart_command() -> RoleCommand {
    RoleCommand { program: PathBuf::from("/proc/self/exe"), args: vec![APART.into()] }
}

/// The prompt that a file becomes, and what is to be said of it.
fn converted(path: &Path) -> Result<UploadedPrompt> {
    let name = path.display();
    // A pipe to which nobody writes is told from a file, not waited for.
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty());
    let file = File::from(opened.with_context(|| format!("不能打开 {name} (cannot be opened)"))?);
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > UPLOAD_MAX {
        bail!("{name}: 不是文件，或大于 64 MiB (not a file, or larger than 64 MiB)");
    }
    let mut child = converter(&apart_command()).stdin(file).stderr(Stdio::piped()).spawn()?;
    let mut told = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(CONVERTED_MAX).read_to_end(&mut told)?;
    }
    // It says little, so that its pipe is never full.
    let ended = child.wait_with_output()?;
    let Some(outcome) = unpack_upload(&told) else {
        let (status, said) = (ended.status, String::from_utf8_lossy(&ended.stderr));
        bail!("{name}: 转换进程异常结束 (the converter ended with {status}) {}", said.trim());
    };
    outcome.with_context(|| name.to_string())
}

/// The process apart: a file at standard input, what became of it at standard output.
pub(crate) fn apart() -> Result<ExitCode> {
    limit()?;
    let mut file = Vec::new();
    io::stdin().lock().take(UPLOAD_MAX + 1).read_to_end(&mut file)?;
    io::stdout().lock().write_all(&pack_upload(&convert_upload(&file)))?;
    Ok(ExitCode::SUCCESS)
}

/// Before the first byte is read: no file and no socket can be opened, none written, no process
/// started, and time and memory end. Whoever has a call goes first.
fn limit() -> io::Result<()> {
    nice(19)?;
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
