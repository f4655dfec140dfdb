//! What callers hear: the spoken prompts of the bundle, or quick ones of our own.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use hotline_base::Random;
use hotline_dsp::g711::linear_to_alaw;
use hotline_testkit::Sound;

use crate::program::root;

/// Where an engine's prompts come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Prompts {
    /// As a caller in Guangxi hears them.
    Spoken,
    /// Half a second of noise each, and music of two seconds.
    Quick,
    /// The same, but that the menu is a tone of so many hertz, for an ear that knows tones alone.
    MenuTone(u32),
}

const LANGUAGE: &str = "zh-CN";

impl Prompts {
    /// Makes the folder that `media.prompt_dir` names, if there is one.
    pub(crate) fn prepare(self, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::Spoken => None,
            Self::Quick | Self::MenuTone(_) => {
                let sounds = folder.join(LANGUAGE);
                fs::create_dir_all(&sounds).unwrap();
                for it in fs::read_dir(bundled()).unwrap() {
                    let name = it.unwrap().file_name();
                    let name = name.to_str().unwrap();
                    let Some(id) = name.strip_suffix(".wav") else { continue };
                    fs::write(sounds.join(name), wav(&self.alaw(id))).unwrap();
                }
                Some(folder.to_owned())
            }
        }
    }

    /// The sound of a prompt as a caller hears it.
    pub(crate) fn sound(self, id: &str) -> Sound {
        match self {
            Self::Spoken => Sound::open(&bundled().join(format!("{id}.wav"))).unwrap(),
            Self::Quick | Self::MenuTone(_) => Sound::from_alaw(&self.alaw(id)),
        }
    }

    fn alaw(self, id: &str) -> Vec<u8> {
        match self {
            Self::MenuTone(hz) if id.starts_with("menu.top.") => {
                let tone = Sound::tone(hz, Duration::from_secs(3));
                tone.samples().iter().map(|it| linear_to_alaw(*it)).collect()
            }
            Self::MenuTone(_) | Self::Quick | Self::Spoken => noise(id),
        }
    }
}

fn bundled() -> PathBuf {
    root().join("ivr-flows/prompts").join(LANGUAGE)
}

/// A-law noise that belongs to a name.
fn noise(id: &str) -> Vec<u8> {
    let length = if id.starts_with("moh.") { Duration::from_secs(2) } else { HALF };
    let seed = id.bytes().fold(7_u64, |sum, it| sum.wrapping_mul(31).wrapping_add(it.into()));
    let mut random = Random::new(seed);
    let n_samples = length.as_millis() * u128::from(hotline_testkit::RATE) / 1_000;
    // Levels of the middle segments, of either sign.
    (0..n_samples)
        .map(|_| {
            (u8::try_from(random.between(0, 95)).unwrap() | (u8::from(random.chance(50)) << 7))
                ^ 0x55
        })
        .collect()
}

const HALF: Duration = Duration::from_millis(500);

/// A WAV file of one A-law channel at 8,000 Hz.
fn wav(alaw: &[u8]) -> Vec<u8> {
    let n = u32::try_from(alaw.len()).unwrap();
    let mut it = b"RIFF".to_vec();
    it.extend((n + 50).to_le_bytes());
    it.extend(b"WAVEfmt \x12\0\0\0\x06\0\x01\0");
    it.extend(8_000_u32.to_le_bytes());
    it.extend(8_000_u32.to_le_bytes());
    it.extend(b"\x01\0\x08\0\0\0fact\x04\0\0\0");
    it.extend(n.to_le_bytes());
    it.extend(b"data");
    it.extend(n.to_le_bytes());
    it.extend(alaw);
    it
}
