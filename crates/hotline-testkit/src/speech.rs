//! What a robot says.

use std::sync::Arc;

use hotline_base::Key;
use hotline_dsp::{DtmfTone, Signal, SignalTone, Tone};

use crate::{FRAME, Sound};

/// What a robot says, until it is told to say something else. Silence is spoken too: packets go on.
#[derive(Clone, Debug, Default)]
pub enum Speech {
    #[default]
    Silence,
    /// No packets but those of keys.
    Nothing,
    /// A sine for ever.
    Tone(Tone),
    /// A sound, then silence.
    Once(Arc<Sound>),
    /// A sound over and over.
    Looped(Arc<Sound>),
}

impl Speech {
    /// A sine of `hz` at -12 dB of full scale.
    pub fn tone(hz: u32) -> Self {
        Self::Tone(Tone::new(hz, 8_000))
    }

    /// A tone of the network, for ever.
    pub fn signal(signal: Signal) -> Self {
        let ms: usize = signal.row().cadence.iter().map(|it| usize::from(*it)).sum();
        let mut samples = vec![0; ms * 8];
        SignalTone::new(signal).fill(&mut samples);
        Self::looped(Sound::new(samples))
    }

    /// Keys as sound, 100 ms each with 100 ms between. Other characters are left out.
    pub fn keys(keys: &str) -> Self {
        let mut samples = Vec::new();
        let keys = keys.chars().filter_map(|it| Key::try_from(it).ok());
        for mut tone in keys.filter_map(|it| DtmfTone::new(it.event())) {
            let mut press = [0; 1_600];
            tone.fill(&mut press);
            samples.extend(press);
        }
        Self::once(Sound::new(samples))
    }

    pub fn once(sound: Sound) -> Self {
        Self::Once(Arc::new(sound))
    }

    pub fn looped(sound: Sound) -> Self {
        Self::Looped(Arc::new(sound))
    }
}

/// A speech and how far it has got.
#[derive(Debug, Default)]
pub(crate) struct Voice {
    speech: Speech,
    position: usize,
}

impl Voice {
    pub(crate) fn of(speech: Speech) -> Self {
        Self { speech, position: 0 }
    }

    /// The next 20 ms.
    pub(crate) fn next_frame(&mut self) -> [i16; FRAME] {
        let mut samples = [0; FRAME];
        let from = self.position;
        self.position += FRAME;
        match &mut self.speech {
            Speech::Silence | Speech::Nothing => {}
            Speech::Tone(tone) => tone.fill(&mut samples),
            Speech::Once(sound) => {
                for (to, it) in samples.iter_mut().zip(sound.samples().iter().skip(from)) {
                    *to = *it;
                }
            }
            Speech::Looped(sound) if sound.is_empty() => {}
            Speech::Looped(sound) => {
                let from = from % sound.samples().len();
                let endless = sound.samples().iter().cycle().skip(from);
                for (to, it) in samples.iter_mut().zip(endless) {
                    *to = *it;
                }
            }
        }
        samples
    }

    /// Whether packets of it are sent.
    pub(crate) const fn is_sent(&self) -> bool {
        !matches!(self.speech, Speech::Nothing)
    }

    /// Whether a sound that is spoken once is over.
    pub(crate) fn is_over(&self) -> bool {
        match &self.speech {
            Speech::Once(sound) => self.position >= sound.samples().len(),
            Speech::Silence | Speech::Nothing | Speech::Tone(_) | Speech::Looped(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_spoken_once_is_followed_by_silence_and_a_looped_one_by_itself() {
        let sound = Arc::new(Sound::new(vec![9; 200]));
        let mut voice = Voice::of(Speech::Once(Arc::clone(&sound)));
        assert_eq!(voice.next_frame(), [9; FRAME]);
        assert!(!voice.is_over());
        let second = voice.next_frame();
        assert_eq!((second[39], second[40]), (9, 0));
        assert!(voice.is_over());
        let mut voice = Voice::of(Speech::Looped(sound));
        for _ in 0..5 {
            assert_eq!(voice.next_frame(), [9; FRAME]);
        }
    }
}
