//! The container, read by somebody who believes none of its numbers.

use super::{BadUpload, RATES};

/// `WAVE_FORMAT_EXTENSIBLE`: the coding is the head of a GUID, whose rest is always this.
const EXTENSIBLE: u16 = 0xFFFE;
const GUID_REST: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

/// How samples are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coding {
    Pcm { bytes: usize },
    Alaw,
    Ulaw,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Source<'a> {
    pub(super) coding: Coding,
    pub(super) rate: u32,
    pub(super) channels: u16,
    /// Whole frames.
    pub(super) data: &'a [u8],
}

impl Coding {
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Pcm { bytes } => bytes,
            Self::Alaw | Self::Ulaw => 1,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Alaw => "A-law",
            Self::Ulaw => "µ-law",
            Self::Pcm { bytes: 1 } => "PCM 8 bit",
            Self::Pcm { bytes: 2 } => "PCM 16 bit",
            Self::Pcm { bytes: 3 } => "PCM 24 bit",
            Self::Pcm { .. } => "PCM 32 bit",
        }
    }
}

impl Source<'_> {
    pub(super) const fn frames(&self) -> usize {
        self.data.len() / (self.coding.bytes() * self.channels as usize)
    }
}

/// Reads a file. Chunks lie within what RIFF says is there, and that within the file; one format
/// comes before one stretch of samples, which is whole.
pub(super) fn read(file: &[u8]) -> Result<Source<'_>, BadUpload> {
    let Some((head, rest)) = file.split_first_chunk::<12>() else { return Err(BadUpload::NotWav) };
    if !head.starts_with(b"RIFF") || !head.ends_with(b"WAVE") {
        return Err(BadUpload::NotWav);
    }
    let riff = word(head, 4).and_then(|it| usize::try_from(it).ok()).unwrap_or(usize::MAX);
    let body = riff.checked_sub(4).ok_or(BadUpload::Lengths)?;
    // What stands behind it is not ours to read.
    let mut rest = rest.get(..body).ok_or(BadUpload::Lengths)?;
    let (mut format, mut data) = (None, None);
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let size = word(head, 4).and_then(|it| usize::try_from(it).ok()).unwrap_or(usize::MAX);
        let chunk = after.get(..size).ok_or(BadUpload::Lengths)?;
        match (head.first_chunk::<4>(), data) {
            (Some(b"fmt "), None) if format.is_none() => format = Some(read_format(chunk)?),
            (Some(b"data"), None) if format.is_some() => data = Some(chunk),
            (Some(b"fmt " | b"data"), _) => return Err(BadUpload::Contradiction),
            _ => {}
        }
        // Chunks begin at even places; the last one may lack the byte that makes it so.
        rest = after.get(size + size % 2..).unwrap_or_default();
    }
    let (coding, rate, channels) = format.ok_or(BadUpload::NotWav)?;
    let data = data.ok_or(BadUpload::Empty)?;
    if !data.len().is_multiple_of(coding.bytes() * usize::from(channels)) {
        return Err(BadUpload::Lengths);
    }
    Ok(Source { coding, rate, channels, data })
}

fn read_format(chunk: &[u8]) -> Result<(Coding, u32, u16), BadUpload> {
    let need = |it: Option<u16>| it.ok_or(BadUpload::Lengths);
    let (tag, channels) = (need(half(chunk, 0))?, need(half(chunk, 2))?);
    let (block, bits) = (need(half(chunk, 12))?, need(half(chunk, 14))?);
    let (rate, bytes_per_sec) = (word(chunk, 4), word(chunk, 8));
    let (rate, bytes_per_sec) = rate.zip(bytes_per_sec).ok_or(BadUpload::Lengths)?;
    let tag = if tag == EXTENSIBLE {
        let guid = chunk.get(26..40).ok_or(BadUpload::Lengths)?;
        if guid != GUID_REST {
            return Err(BadUpload::Coding(tag));
        }
        need(half(chunk, 24))?
    } else {
        tag
    };
    let coding = match (tag, bits) {
        (1, 8 | 16 | 24 | 32) => Coding::Pcm { bytes: usize::from(bits / 8) },
        (6, 8) => Coding::Alaw,
        (7, 8) => Coding::Ulaw,
        (1 | 6 | 7, _) => return Err(BadUpload::Bits(bits)),
        _ => return Err(BadUpload::Coding(tag)),
    };
    if !matches!(channels, 1 | 2) {
        return Err(BadUpload::Channels(channels));
    }
    if !RATES.contains(&rate) {
        return Err(BadUpload::Rate(rate));
    }
    let frame = u32::from(channels) * u32::from(bits / 8);
    if u32::from(block) != frame || bytes_per_sec != rate * frame {
        return Err(BadUpload::Contradiction);
    }
    Ok((coding, rate, channels))
}

/// A file of A-law at 8,000 Hz, mono. Formats other than PCM carry a `fact` chunk.
pub(super) fn write(audio: &[u8]) -> Vec<u8> {
    let len = u32::try_from(audio.len()).unwrap_or(u32::MAX / 2);
    let padding = len % 2;
    let parts: [&[u8]; 16] = [
        b"RIFF",
        &(50 + len + padding).to_le_bytes(),
        b"WAVEfmt ",
        &18_u32.to_le_bytes(),
        &6_u16.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &8_000_u32.to_le_bytes(),
        &8_000_u32.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &8_u16.to_le_bytes(),
        &0_u16.to_le_bytes(),
        b"fact",
        &4_u32.to_le_bytes(),
        &len.to_le_bytes(),
        b"data",
        &len.to_le_bytes(),
    ];
    let mut file = parts.concat();
    file.extend_from_slice(audio);
    file.extend(std::iter::repeat_n(0, usize::from(padding == 1)));
    file
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
