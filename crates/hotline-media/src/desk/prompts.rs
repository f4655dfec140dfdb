//! Prompts: read when they are to be played, kept while their file stays the same.

use std::{collections::BTreeMap, fs, io, path::PathBuf, time::SystemTime};

use hotline_base::PromptId;
use hotline_dsp::{Signal, SignalTone, g711::linear_to_alaw};

use crate::{task::Audio, wav};

/// Bytes kept in memory: about two hours of A-law.
const KEPT_MAX: usize = 64 << 20;

/// Bytes of the longest prompt file; half an hour of 16-bit music.
const FILE_MAX: u64 = 32 << 20;

/// What the tones of the plan are called (GF 002-9002).
const TONES: [(&str, Signal); 8] = [
    ("tone.dial", Signal::Dial),
    ("tone.ringback", Signal::RingBack),
    ("tone.busy", Signal::Busy),
    ("tone.congestion", Signal::Congestion),
    ("tone.vacant", Signal::Vacant),
    ("tone.waiting", Signal::CallWaiting),
    ("tone.howler", Signal::Howler),
    ("tone.third_party", Signal::ThreeWayReminder),
];

const SAMPLES_PER_MS: usize = 8;

#[derive(Debug)]
pub(super) struct Prompts {
    dirs: Vec<PathBuf>,
    kept: BTreeMap<PathBuf, Kept>,
    bytes: usize,
    /// Tones of the plan that were played, by name.
    tones: BTreeMap<&'static str, Audio>,
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
        Self { dirs, kept: BTreeMap::new(), bytes: 0, tones: BTreeMap::new() }
    }

    /// The prompt's audio as its file is at this moment; a tone of the plan that has no file of its
    /// own is made. `None`, with a warning, when there is nothing to be played.
    pub(super) fn load(&mut self, prompt: &PromptId) -> Option<Audio> {
        if !is_prompt_name(prompt.as_str()) {
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
        let tone = self.tone(prompt.as_str());
        if tone.is_none() {
            tracing::warn!(%prompt, "A prompt is missing.");
        }
        tone
    }

    /// One round of a tone of the plan, which joins itself without a seam.
    fn tone(&mut self, name: &str) -> Option<Audio> {
        let (name, signal) = TONES.iter().find(|it| it.0 == name)?;
        let tone = self.tones.entry(name).or_insert_with(|| {
            let row = signal.row();
            let cadence: usize = row.cadence.iter().map(|it| usize::from(*it)).sum();
            // Where there are several levels, each holds for a second.
            let ms = if row.levels.len() > 1 { row.levels.len() * 1_000 } else { cadence };
            let mut samples = vec![0; ms * SAMPLES_PER_MS];
            SignalTone::new(*signal).fill(&mut samples);
            samples.into_iter().map(linear_to_alaw).collect()
        });
        Some(Audio::clone(tone))
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

/// Whether a prompt's name, with `.wav` behind it, stays within its directory.
pub fn is_prompt_name(name: &str) -> bool {
    let allowed = |it: char| it.is_alphanumeric() || matches!(it, '.' | '-' | '_');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use hotline_dsp::{PLAN, SignalDetector, g711::alaw_to_linear};

    use super::*;

    fn heard(prompts: &mut Prompts, name: &str, rounds: usize) -> Option<Signal> {
        let round = prompts.load(&PromptId::new(name))?;
        let mut detector = SignalDetector::default();
        let all = std::iter::repeat_n(&round, rounds).flat_map(|it| it.iter());
        let samples: Vec<_> = all.map(|it| alaw_to_linear(*it)).collect();
        samples.chunks(160).filter_map(|it| detector.hear(it)).last()
    }

    #[test]
    fn a_tone_without_a_file_is_made_from_the_plan_and_repeats_without_a_seam() {
        assert_eq!(TONES.len(), PLAN.len());
        let mut prompts = Prompts::new(&[], "zh");
        for (name, signal) in [
            ("tone.dial", Signal::Dial),
            ("tone.ringback", Signal::RingBack),
            ("tone.busy", Signal::Busy),
            ("tone.congestion", Signal::Congestion),
            ("tone.vacant", Signal::Vacant),
        ] {
            assert_eq!(heard(&mut prompts, name, 6), Some(signal), "{name}");
        }
        let howler = prompts.load(&PromptId::new("tone.howler")).unwrap();
        assert_eq!(howler.len(), 5 * 8_000, "it rises for five seconds");
        assert!(prompts.load(&PromptId::new("tone.none")).is_none());
    }
}
