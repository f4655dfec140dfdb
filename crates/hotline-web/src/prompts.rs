//! What this crate asks of those who make prompts of sounds that people send.

use std::{fmt, pin::Pin};

use tokio::io::AsyncRead;

use crate::Answer;

/// A sound file on its way.
pub struct Upload {
    /// Its bytes, where the request says so.
    pub length: Option<u64>,
    pub bytes: Pin<Box<dyn AsyncRead + Send>>,
}

/// What a sound is like.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptView {
    pub length_ms: u64,
    /// As it was sent: samples a second, channels, coding.
    pub rate: u32,
    pub channels: u16,
    pub coding: String,
    /// The loudest sample, and how loud it is where it is not silent; decibels below full scale.
    pub peak_dbfs: f64,
    pub loudness_dbfs: f64,
    /// Samples cut off at full scale.
    pub clipped: u64,
    /// What a person should look at before callers hear it, in both languages.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PromptError {
    /// It cannot be that of a prompt's file.
    Name,
    /// It can be no prompt, and why in Chinese and in English.
    Bad([String; 2]),
    TooLarge,
    /// The body did not arrive whole.
    Cut,
    /// Another one is being converted.
    Busy,
    /// It took too long to arrive or to convert.
    Slow,
    /// The converter did not do its work.
    Failed,
    /// The prompt cannot be written.
    NotStored,
}

/// The prompts that callers hear.
pub trait Prompts: Send + Sync + 'static {
    /// Makes a prompt of a sound, which takes the place of the one that has this name, if there is
    /// one. With `only_check` nothing is stored.
    fn put(
        &self,
        name: String,
        sound: Upload,
        only_check: bool,
    ) -> Answer<'_, Result<PromptView, PromptError>>;
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({:?} bytes)", self.length)
    }
}

impl fmt::Debug for dyn Prompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prompts")
    }
}
