//! A stretch of mono sound at 8,000 samples a second, and what can be told of it.

use std::{ops::Range, path::Path, time::Duration};

use hotline_dsp::g711;

use crate::{Match, RATE, correlate};

/// Linear samples; never changes once made.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Sound {
    samples: Vec<i16>,
}

/// A WAV file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    #[error("the sound file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("not a WAV file of A-law, µ-law or 16-bit samples at 8,000 Hz")]
    Format,
}

impl Sound {
    pub fn new(samples: Vec<i16>) -> Self {
        Self { samples }
    }

    pub fn from_alaw(bytes: &[u8]) -> Self {
        Self::new(bytes.iter().map(|it| g711::alaw_to_linear(*it)).collect())
    }

    /// A sine at -12 dB of full scale.
    pub fn tone(hz: u32, length: Duration) -> Self {
        let mut samples = vec![0; samples_of(length)];
        hotline_dsp::Tone::new(hz, 8_000).fill(&mut samples);
        Self::new(samples)
    }

    /// A WAV file as a studio delivers it: 16-bit stereo, of twice the rate and so of half the length
    /// and twice the pitch.
    pub fn studio_wav(&self) -> Vec<u8> {
        let audio = self.samples.iter().flat_map(|it| [it.to_le_bytes(); 2]).flatten();
        let size = u32::try_from(self.samples.len() * 4).unwrap_or(u32::MAX);
        let mut file = b"RIFF".to_vec();
        file.extend(size.saturating_add(36).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
        file.extend((2 * RATE).to_le_bytes());
        file.extend((8 * RATE).to_le_bytes());
        file.extend(b"\x04\0\x10\0data");
        file.extend(size.to_le_bytes());
        file.extend(audio);
        file
    }

    /// The first channel of a WAV file, or the bytes of a raw A-law file (`.al`, `.alaw`).
    pub fn open(path: &Path) -> Result<Self, SoundError> {
        let bytes = std::fs::read(path)?;
        if path.extension().is_some_and(|it| it == "al" || it == "alaw") {
            return Ok(Self::from_alaw(&bytes));
        }
        channels(&bytes)?.into_iter().next().ok_or(SoundError::Format)
    }

    /// All channels of a WAV file.
    pub fn open_channels(path: &Path) -> Result<Vec<Self>, SoundError> {
        Self::channels(&std::fs::read(path)?)
    }

    /// All channels of a WAV file that is at hand.
    pub fn channels(bytes: &[u8]) -> Result<Vec<Self>, SoundError> {
        channels(bytes)
    }

    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    pub fn length(&self) -> Duration {
        length_of(self.samples.len())
    }

    /// The part from sample `range.start`, as far as there is one.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.samples.len());
        Self::new(self.samples.get(range.start.min(end)..end).unwrap_or_default().to_vec())
    }

    /// The first part. A prompt that a key may cut off is looked for by its head.
    #[must_use]
    pub fn head(&self, length: Duration) -> Self {
        self.part(0..samples_of(length))
    }

    /// The share of the power that lies at `hz`: about 1 for this tone alone, 0 for silence.
    ///
    /// The tone may be a sample in a frame of 160 off: that is how [`hotline_dsp::Playback`] brings a
    /// delay down, for many seconds after a network was bad.
    pub fn tone_share(&self, hz: u32) -> f64 {
        let bent = [hz, hz + hz / 160, hz - hz / 160];
        bent.into_iter().map(|it| hotline_dsp::strength(&self.samples, it)).fold(0.0, f64::max)
    }

    /// The largest [`tone_share`](Self::tone_share) of any 100 ms: whether the tone was there at
    /// any time.
    pub fn tone_anywhere(&self, hz: u32) -> f64 {
        let window = samples_of(Duration::from_millis(100));
        self.samples
            .windows(window)
            .step_by(window / 4)
            .map(|it| hotline_dsp::strength(it, hz))
            .fold(0.0, f64::max)
    }

    /// Root mean square of the samples; full scale is 32,767, silence below 20.
    #[expect(clippy::cast_precision_loss, reason = "sample counts are far below 2^52")]
    pub fn level(&self) -> f64 {
        let power: f64 = self.samples.iter().map(|it| f64::from(*it).powi(2)).sum();
        (power / self.samples.len().max(1) as f64).sqrt()
    }

    /// The best place of `needle` in this sound.
    pub fn find(&self, needle: &Self) -> Option<Match> {
        correlate::find(&self.samples, &needle.samples, 0..self.samples.len())
    }

    /// The best place of `needle` that begins in `range`.
    pub fn find_in(&self, needle: &Self, range: Range<usize>) -> Option<Match> {
        correlate::find(&self.samples, &needle.samples, range)
    }
}

impl std::fmt::Debug for Sound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sound")
            .field("length", &self.length())
            .field("level", &self.level())
            .finish()
    }
}

pub(crate) fn samples_of(length: Duration) -> usize {
    usize::try_from(length.as_millis()).unwrap_or(usize::MAX).saturating_mul(RATE as usize / 1_000)
}

pub(crate) fn length_of(n_samples: usize) -> Duration {
    let micros = 1_000_000 / u64::from(RATE);
    Duration::from_micros(u64::try_from(n_samples).unwrap_or(u64::MAX).saturating_mul(micros))
}

/// The channels of a RIFF WAVE file. A data chunk that claims more than there is, as a recording
/// that is still being written does, is read as far as it goes.
fn channels(bytes: &[u8]) -> Result<Vec<Sound>, SoundError> {
    let header = bytes.get(..12).ok_or(SoundError::Format)?;
    if !header.starts_with(b"RIFF") || !header.ends_with(b"WAVE") {
        return Err(SoundError::Format);
    }
    let mut format = None;
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, size @ ..] = *head;
        let size = usize::try_from(u32::from_le_bytes(size)).unwrap_or(usize::MAX);
        let chunk = after.get(..size.min(after.len())).unwrap_or_default();
        match &[a, b, c, d] {
            b"fmt " => format = Some(Format::parse(chunk).ok_or(SoundError::Format)?),
            b"data" => return format.ok_or(SoundError::Format)?.channels(chunk),
            _ => {}
        }
        // Chunks are padded to an even length.
        rest = after.get(size.saturating_add(size % 2)..).unwrap_or_default();
    }
    Err(SoundError::Format)
}

struct Format {
    tag: u16,
    n_channels: usize,
}

impl Format {
    fn parse(chunk: &[u8]) -> Option<Self> {
        let [t0, t1, c0, c1, r0, r1, r2, r3] = *chunk.first_chunk::<8>()?;
        let n_channels = usize::from(u16::from_le_bytes([c0, c1]));
        let rate = u32::from_le_bytes([r0, r1, r2, r3]);
        (rate == RATE && n_channels > 0)
            .then_some(Self { tag: u16::from_le_bytes([t0, t1]), n_channels })
    }

    fn channels(&self, data: &[u8]) -> Result<Vec<Sound>, SoundError> {
        let all: Vec<i16> = match self.tag {
            1 => data
                .chunks_exact(2)
                .filter_map(|it| Some(i16::from_le_bytes(it.try_into().ok()?)))
                .collect(),
            6 => data.iter().map(|it| g711::alaw_to_linear(*it)).collect(),
            7 => data.iter().map(|it| g711::ulaw_to_linear(*it)).collect(),
            _ => return Err(SoundError::Format),
        };
        let channel = |skip| all.iter().copied().skip(skip).step_by(self.n_channels).collect();
        Ok((0..self.n_channels).map(|it| Sound::new(channel(it))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(tag: u16, n_channels: u16, data: &[u8]) -> Vec<u8> {
        let mut it = b"RIFF\0\0\0\0WAVEfmt \x12\0\0\0".to_vec();
        it.extend(tag.to_le_bytes());
        it.extend(n_channels.to_le_bytes());
        it.extend(8_000_u32.to_le_bytes());
        it.extend([0; 10]);
        it.extend(b"fact\x03\0\0\0xyz\0data");
        it.extend(u32::MAX.to_le_bytes());
        it.extend(data);
        it
    }

    #[test]
    fn a_recording_that_is_still_being_written_is_read_by_channel() {
        let both = channels(&wav(6, 2, &[0xD5, 0x80, 0xD5, 0x80, 0xD5])).unwrap();
        assert_eq!(both[0].samples(), [8, 8, 8]);
        assert_eq!(both[1].samples(), [g711::alaw_to_linear(0x80); 2]);
        assert_eq!(channels(&wav(1, 1, &[1, 0, 255, 255])).unwrap()[0].samples(), [1, -1]);
        assert!(channels(&wav(3, 1, &[0; 8])).is_err());
        assert!(channels(b"RIFF\0\0\0\0WAVEdata").is_err());
        assert!(channels(b"junk").is_err());
    }

    #[test]
    fn a_tone_is_told_from_another_and_from_silence() {
        let second = Duration::from_secs(1);
        let it = Sound::tone(700, second);
        assert_eq!(it.length(), second);
        assert!(it.tone_share(700) > 0.95 && it.tone_share(440) < 0.05);
        let mut late = vec![0; 16_000];
        late.extend(it.samples());
        let late = Sound::new(late);
        assert!(late.tone_share(700) < 0.5 && late.tone_anywhere(700) > 0.95);
        assert!(Sound::new(vec![0; 8_000]).level() < 1.0);
    }
}
