//! Sounds that are sent by HTTP and become prompts.
//!
//! Nothing of a file is looked at here: it goes to a process apart as it comes, and what that one
//! makes of it is written where media finds it first.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use hotline_media::{BadUpload, UPLOAD_MAX, UploadedPrompt, is_prompt_name, unpack_upload};
use hotline_web::{Answer, PromptError, PromptView, Prompts, Upload};
use tokio::{io::AsyncReadExt as _, process::Command, sync::Semaphore, time::timeout};

use crate::{
    converter::{CONVERTED_MAX, converter},
    supervisor::RoleCommand,
};

/// How long a sound may take to arrive and to be converted.
const LIMIT: Duration = Duration::from_mins(5);

/// Characters of a name; of three bytes each they are a file's name still.
const NAME_MAX: usize = 64;

/// Makes prompts of sounds.
pub(crate) struct PromptShelf {
    /// Of all places where media looks for a prompt the first.
    dir: PathBuf,
    converter: RoleCommand,
    /// One at a time: it may take a core for a minute, and 512 MiB.
    turn: Semaphore,
}

impl PromptShelf {
    pub(crate) const fn new(dir: PathBuf, converter: RoleCommand) -> Self {
        Self { dir, converter, turn: Semaphore::const_new(1) }
    }
}

impl Prompts for PromptShelf {
    fn put(
        &self,
        name: String,
        sound: Upload,
        only_check: bool,
    ) -> Answer<'_, Result<PromptView, PromptError>> {
        Box::pin(async move {
            if !is_name(&name) {
                return Err(PromptError::Name);
            }
            if sound.length.is_some_and(|it| it > UPLOAD_MAX) {
                return Err(PromptError::TooLarge);
            }
            let _turn = self.turn.try_acquire().map_err(|_| PromptError::Busy)?;
            let converted = timeout(LIMIT, convert(&self.converter, sound)).await;
            let UploadedPrompt { wav, report } = converted.map_err(|_| PromptError::Slow)??;
            let warnings = report.warnings().into_iter().map(str::to_owned).collect();
            if !only_check {
                let (dir, prompt) = (self.dir.clone(), name.clone());
                let stored = tokio::task::spawn_blocking(move || store(&dir, &prompt, &wav)).await;
                stored.map_err(io::Error::other).flatten().map_err(|error| {
                    tracing::error!(%error, "A prompt cannot be written.");
                    PromptError::NotStored
                })?;
                tracing::info!(prompt = name, "A prompt was put.");
            }
            Ok(PromptView {
                length_ms: report.length_ms,
                rate: report.rate,
                channels: report.channels,
                coding: report.coding,
                peak_dbfs: report.peak_dbfs,
                loudness_dbfs: report.loudness_dbfs,
                clipped: report.clipped,
                warnings,
            })
        })
    }
}

/// Whether it can be that of a prompt's file, and is not the file's with its ending.
fn is_name(name: &str) -> bool {
    let is_file = Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case("wav"));
    is_prompt_name(name) && name.chars().count() <= NAME_MAX && !is_file
}

/// Whoever hangs up ends the process, too.
async fn convert(by: &RoleCommand, sound: Upload) -> Result<UploadedPrompt, PromptError> {
    let failed = |error: io::Error| {
        tracing::error!(%error, "A sound was not converted.");
        PromptError::Failed
    };
    let mut command = Command::from(converter(by));
    command.stdin(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    let (to, from) = (child.stdin.take(), child.stdout.take());
    let give = async {
        // It is the process that says when there is too much.
        let mut bytes = sound.bytes.take(UPLOAD_MAX.saturating_add(1));
        let Some(mut to) = to else { return Ok(0) };
        tokio::io::copy(&mut bytes, &mut to).await
    };
    let take = async {
        let mut told = Vec::new();
        let Some(from) = from else { return Ok(told) };
        from.take(CONVERTED_MAX).read_to_end(&mut told).await.map(|_| told)
    };
    let (given, told) = tokio::join!(give, take);
    // A process that has ended before its time tells nothing, which is seen below.
    if given.is_err_and(|it| it.kind() != io::ErrorKind::BrokenPipe) {
        return Err(PromptError::Cut);
    }
    match unpack_upload(&told.map_err(failed)?) {
        Some(Ok(prompt)) => Ok(prompt),
        Some(Err(BadUpload::TooLarge)) => Err(PromptError::TooLarge),
        Some(Err(why)) => Err(PromptError::Bad(why.words())),
        None => {
            let ended = child.wait().await.map_err(failed)?;
            Err(failed(io::Error::other(format!("the process ended with {ended}"))))
        }
    }
}

/// Who plays the prompt of this name now goes on with what was read; who reads it gets the old or
/// the new one, also after a loss of power.
fn store(dir: &Path, name: &str, wav: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    // No prompt is called so.
    let part = dir.join(format!(".{name}.part"));
    let mut file = File::create(&part)?;
    file.write_all(wav)?;
    file.sync_all()?;
    fs::rename(&part, dir.join(format!("{name}.wav")))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
