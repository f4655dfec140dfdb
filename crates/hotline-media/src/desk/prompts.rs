//! Prompts: read when they are to be played, kept while their file stays the same.

use std::{collections::BTreeMap, fs, io, path::PathBuf, time::SystemTime};

use hotline_base::PromptId;

use crate::{task::Audio, wav};

/// Bytes kept in memory: about two hours of A-law.
const KEPT_MAX: usize = 64 << 20;

/// Bytes of the longest prompt file; half an hour of 16-bit music.
const FILE_MAX: u64 = 32 << 20;

#[derive(Debug)]
pub(super) struct Prompts {
    dirs: Vec<PathBuf>,
    kept: BTreeMap<PathBuf, Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    modified: SystemTime,
    length: u64,
    audio: Audio,
}

impl Prompts {
    /// `dirs` are searched in this order, each in its directory of the language.
    pub(super) fn new(dirs: &[PathBuf], lang: &str) -> Self {
        let dirs = dirs.iter().map(|it| it.join(lang)).collect();
        Self { dirs, kept: BTreeMap::new(), bytes: 0 }
    }

    /// The prompt's audio as its file is at this moment; `None`, with a warning, when there is no
    /// file that can be played.
    pub(super) fn load(&mut self, prompt: &PromptId) -> Option<Audio> {
        if !is_file_name(prompt.as_str()) {
            tracing::warn!(%prompt, "A prompt's name cannot be that of a file.");
            return None;
        }
        let file = format!("{prompt}.wav");
        for path in self.dirs.iter().map(|it| it.join(&file)).collect::<Vec<_>>() {
            match self.load_file(&path) {
                Ok(audio) => return Some(audio),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%prompt, %error, "A prompt cannot be played."),
            }
        }
        tracing::warn!(%prompt, "A prompt is missing.");
        None
    }

    fn load_file(&mut self, path: &PathBuf) -> io::Result<Audio> {
        let meta = fs::metadata(path)?;
        let (modified, length) = (meta.modified()?, meta.len());
        let kept = self.kept.get(path);
        if let Some(kept) = kept.filter(|it| (it.modified, it.length) == (modified, length)) {
            return Ok(Audio::clone(&kept.audio));
        }
        if length > FILE_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let audio = wav::read_prompt(&fs::read(path)?).map_err(io::Error::other)?;
        let audio = Audio::from(audio);
        if let Some(old) = self.kept.remove(path) {
            self.bytes = self.bytes.saturating_sub(old.audio.len());
        }
        if self.bytes + audio.len() > KEPT_MAX {
            self.kept.clear();
            self.bytes = 0;
        }
        self.bytes += audio.len();
        let kept = Kept { modified, length, audio: Audio::clone(&audio) };
        self.kept.insert(path.clone(), kept);
        Ok(audio)
    }
}

/// Whether a prompt's name stays within its directory.
fn is_file_name(name: &str) -> bool {
    let allowed = |it: char| it.is_alphanumeric() || matches!(it, '.' | '-' | '_');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}
