//! Sound files that people bring, made prompts: read with suspicion, brought to 8,000 Hz and A-law,
//! and judged by how loud they are.
//!
//! Nothing here is for the process that carries calls: whoever calls it does so in a process of its
//! own, with limits (`hotline prompt`).

mod loudness;
mod resample;
#[cfg(test)]
mod tests;
mod wav;

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use hotline_dsp::{
    RATE,
    g711::{ULAW_TO_ALAW, alaw_to_linear, linear_to_alaw, through},
};

use self::wav::{Coding, Source};

/// Bytes of the largest file that is taken.
pub const UPLOAD_MAX: u64 = 64 << 20;

/// The longest prompt: half an hour of music.
const LENGTH_MAX_SECS: usize = 1_800;

/// Rates that are taken, in samples a second.
const RATES: [u32; 11] =
    [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000];

/// A prompt that can be played, and what is to be known of it.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, PartialEq)]
pub struct UploadedPrompt {
    /// A WAV file: A-law, 8,000 Hz, mono.
    pub wav: Vec<u8>,
    pub report: SoundReport,
}

/// What a sound is like.
#[derive(BorshDeserialize, BorshSerialize, Clone, Debug, PartialEq)]
pub struct SoundReport {
    pub length_ms: u64,
    /// As it was uploaded.
    pub rate: u32,
    pub channels: u16,
    pub coding: String,
    /// The loudest sample, in decibels below full scale; it is 0 at most.
    pub peak_dbfs: f64,
    /// How loud it is where it is not silent, in decibels below full scale: the mean of blocks of
    /// 400 ms, gated as in ITU-R BS.1770-4 annex 1 but without its weighting, which is made for
    /// more than a telephone carries.
    pub loudness_dbfs: f64,
    /// Samples cut off at full scale, of all channels.
    pub clipped: u64,
}

/// Why a file cannot be a prompt.
#[derive(BorshDeserialize, BorshSerialize, Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadUpload {
    TooLarge,
    NotWav,
    Lengths,
    Contradiction,
    Coding(u16),
    Rate(u32),
    Channels(u16),
    Bits(u16),
    Empty,
    TooLong,
}

impl BadUpload {
    /// In Chinese, and in English.
    pub fn words(self) -> [String; 2] {
        let it = |zh: &str, en: &str| [zh.to_owned(), en.to_owned()];
        match self {
            Self::TooLarge => it("文件太大，最多 64 MiB", "larger than 64 MiB"),
            Self::NotWav => it("不是 WAV 文件", "not a WAV file"),
            Self::Lengths => {
                it("文件不完整，或里面写的长度不对", "cut short, or a length in it is wrong")
            }
            Self::Contradiction => it("格式说明前后矛盾", "the format contradicts itself"),
            Self::Coding(tag) => {
                let (zh, en) = coding_name(tag);
                [
                    format!("编码 {tag}{zh} 不收，只收 PCM、A 律、µ 律"),
                    format!("coding {tag}{en}: neither PCM, A-law nor µ-law"),
                ]
            }
            Self::Rate(rate) => {
                [format!("采样率 {rate} 不收"), format!("{rate} samples a second are not taken")]
            }
            Self::Channels(n) => [
                format!("{n} 个声道不收，只收单声道或立体声"),
                format!("{n} channels: neither mono nor stereo"),
            ],
            Self::Bits(n) => {
                [format!("每个采样 {n} 位不收"), format!("{n} bits a sample are not taken")]
            }
            Self::Empty => it("没有声音", "no sound in it"),
            Self::TooLong => it("太长，最多 30 分钟", "longer than half an hour"),
        }
    }
}

impl fmt::Display for BadUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [zh, en] = self.words();
        write!(f, "{zh} ({en})")
    }
}

impl std::error::Error for BadUpload {}

/// What people call a coding that they bring now and then: their programs name no number.
const fn coding_name(tag: u16) -> (&'static str, &'static str) {
    match tag {
        2 => ("（ADPCM）", " (ADPCM)"),
        3 => ("（浮点）", " (floating point)"),
        0x55 => ("（MP3）", " (MP3)"),
        _ => ("", ""),
    }
}

impl SoundReport {
    /// What a person should look at before callers hear it.
    pub fn warnings(&self) -> Vec<&'static str> {
        let found = [
            (self.clipped > 0, "有削波，请降低录音音量 (clipped; record at a lower level)"),
            (self.loudness_dbfs > -10.0, "太响 (too loud)"),
            (self.loudness_dbfs < -32.0, "太轻，电话里听不清 (too quiet for a telephone)"),
            (self.length_ms < 200, "短于 0.2 秒 (shorter than 0.2 s)"),
        ];
        found.into_iter().filter(|it| it.0).map(|it| it.1).collect()
    }
}

impl fmt::Display for SoundReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, channels, coding, peak_dbfs, loudness_dbfs, clipped, .. } = self;
        let (secs, tenths) = (self.length_ms / 1_000, self.length_ms % 1_000 / 100);
        write!(
            f,
            "原文件 (source): {coding}, {rate} Hz, {channels} ch\n\
             时长 (length): {secs}.{tenths} s\n\
             峰值 (peak): {peak_dbfs:.1} dBFS\n\
             响度 (loudness): {loudness_dbfs:.1} dBFS\n\
             削波采样 (clipped samples): {clipped}"
        )
    }
}

/// Makes a prompt of a file.
///
/// # Errors
/// When the file is not what it says, or nothing that can be a prompt.
pub fn convert_upload(file: &[u8]) -> Result<UploadedPrompt, BadUpload> {
    if u64::try_from(file.len()).unwrap_or(u64::MAX) > UPLOAD_MAX {
        return Err(BadUpload::TooLarge);
    }
    let source = wav::read(file)?;
    let length = source.frames();
    if length == 0 {
        return Err(BadUpload::Empty);
    }
    if length / source.rate as usize >= LENGTH_MAX_SECS {
        return Err(BadUpload::TooLong);
    }
    let loudest = source.coding.loudest();
    // A channel that is cut off is, however quiet the other one makes the mean of both.
    let cut_off = (0..source.channels).map(|it| loudness::clipped(&channel(&source, it), loudest));
    let samples = mono(&source);
    let (linear, clipped) = match source.rate {
        RATE => (samples.clone(), 0),
        rate => resample::to_8000(&samples, rate),
    };
    // What is A-law already stays as it is, bit by bit.
    let audio = match (source.coding, source.channels, source.rate) {
        (Coding::Alaw, 1, RATE) => source.data.to_vec(),
        (Coding::Ulaw, 1, RATE) => {
            source.data.iter().map(|it| through(&ULAW_TO_ALAW, *it)).collect()
        }
        _ => linear.iter().map(|it| linear_to_alaw(*it)).collect(),
    };
    let report = SoundReport {
        length_ms: audio.len() as u64 / 8,
        rate: source.rate,
        channels: source.channels,
        coding: source.coding.name().to_owned(),
        peak_dbfs: loudness::peak_dbfs(&samples),
        loudness_dbfs: loudness::gated_dbfs(&linear),
        clipped: cut_off.sum::<u64>() + clipped,
    };
    Ok(UploadedPrompt { wav: wav::write(&audio), report })
}

/// What a process apart tells whoever started it.
pub fn pack_upload(outcome: &Result<UploadedPrompt, BadUpload>) -> Vec<u8> {
    // Into memory, and of finite numbers: it always succeeds.
    borsh::to_vec(outcome).unwrap_or_default()
}

/// `None`: it was not told whole.
pub fn unpack_upload(bytes: &[u8]) -> Option<Result<UploadedPrompt, BadUpload>> {
    borsh::from_slice(bytes).ok()
}

/// One channel, in 16 bits.
fn channel(source: &Source<'_>, which: u16) -> Vec<i16> {
    let all = source.data.chunks_exact(source.coding.bytes());
    let own = all.skip(which.into()).step_by(source.channels.into());
    own.map(|it| source.coding.sample(it)).collect()
}

/// The mean of all channels, in 16 bits.
fn mono(source: &Source<'_>) -> Vec<i16> {
    let width = source.coding.bytes();
    let frames = source.data.chunks_exact(width * usize::from(source.channels));
    let mean = |frame: &[u8]| {
        let all = frame.chunks_exact(width).map(|it| i32::from(source.coding.sample(it)));
        let sum = all.sum::<i32>() / i32::from(source.channels.max(1));
        i16::try_from(sum).unwrap_or(0)
    };
    frames.map(mean).collect()
}

impl Coding {
    /// One sample in 16 bits; of wider ones the upper bits.
    fn sample(self, bytes: &[u8]) -> i16 {
        match (self, bytes) {
            (Self::Alaw, [it]) => alaw_to_linear(*it),
            (Self::Ulaw, [it]) => hotline_dsp::g711::ulaw_to_linear(*it),
            // Eight bits are without a sign, 128 is silence.
            (Self::Pcm { .. }, [it]) => (i16::from(*it) - 128) << 8,
            (Self::Pcm { .. }, [.., low, high]) => i16::from_le_bytes([*low, *high]),
            _ => 0,
        }
    }

    /// The magnitude of its loudest sample in 16 bits; as many of these in a row are cut off.
    const fn loudest(self) -> u16 {
        match self {
            Self::Alaw => 32_256,
            Self::Ulaw => 32_124,
            Self::Pcm { bytes: 1 } => 127 << 8,
            Self::Pcm { .. } => 32_767,
        }
    }
}
