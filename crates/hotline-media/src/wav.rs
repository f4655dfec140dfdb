//! WAV files: prompts are read, recordings are headed.

use hotline_dsp::g711::{self, ULAW_TO_ALAW};

/// Bytes before the audio of a recording.
pub(crate) const HEADER: usize = 58;

/// Bytes of one sample of a recording: left and right.
pub(crate) const SAMPLE: u64 = 2;

const FORMAT_PCM: u16 = 1;
const FORMAT_ALAW: u16 = 6;
const FORMAT_ULAW: u16 = 7;
/// `WAVE_FORMAT_EXTENSIBLE`: the format is the first field of the sub-format.
const FORMAT_EXTENSIBLE: u16 = 0xFFFE;

/// The header of a two-channel A-law recording of so many samples a channel. Formats other than
/// PCM carry a `fact` chunk with that number.
pub(crate) fn header(samples: u64) -> [u8; HEADER] {
    let samples = u32::try_from(samples).unwrap_or(u32::MAX / 2 - 64);
    let data = samples.saturating_mul(2);
    let mut header = [0; HEADER];
    let parts: [&[u8]; 16] = [
        b"RIFF",
        &data.saturating_add(50).to_le_bytes(),
        b"WAVEfmt ",
        &18_u32.to_le_bytes(),
        &FORMAT_ALAW.to_le_bytes(),
        &2_u16.to_le_bytes(),
        &8_000_u32.to_le_bytes(),
        &16_000_u32.to_le_bytes(),
        &2_u16.to_le_bytes(),
        &8_u16.to_le_bytes(),
        &0_u16.to_le_bytes(),
        b"fact",
        &4_u32.to_le_bytes(),
        &samples.to_le_bytes(),
        b"data",
        &data.to_le_bytes(),
    ];
    for (to, from) in header.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    header
}

/// Why a prompt cannot be played.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadPrompt {
    #[error("not a WAV file, or cut short")]
    NotWav,
    #[error("must be mono at 8,000 Hz")]
    NotMono8k,
    #[error("must be A-law, mu-law or 16-bit PCM")]
    Codec,
}

/// Reads a prompt: mono, 8,000 Hz, A-law, µ-law or 16-bit PCM. Returns A-law.
pub(crate) fn read_prompt(file: &[u8]) -> Result<Vec<u8>, BadPrompt> {
    let mut rest = match file.split_first_chunk::<12>() {
        Some((head, rest)) if head.starts_with(b"RIFF") && head.ends_with(b"WAVE") => rest,
        Some(_) | None => return Err(BadPrompt::NotWav),
    };
    let mut format = None;
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, size @ ..] = *head;
        let size = usize::try_from(u32::from_le_bytes(size)).unwrap_or(usize::MAX);
        let body = after.get(..size.min(after.len())).unwrap_or_default();
        match &[a, b, c, d] {
            b"fmt " => format = Some(read_format(body)?),
            b"data" => return to_alaw(format.ok_or(BadPrompt::NotWav)?, body),
            _ => {}
        }
        // Chunks begin at even places.
        rest = after.get(size.saturating_add(size % 2)..).unwrap_or_default();
    }
    Err(BadPrompt::NotWav)
}

/// The format's number.
fn read_format(body: &[u8]) -> Result<u16, BadPrompt> {
    let word = |at: usize| {
        let bytes: [u8; 2] = body.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_le_bytes(bytes))
    };
    let rate = body.get(4..8).and_then(|it| it.try_into().ok()).map(u32::from_le_bytes);
    let (tag, channels, bits) =
        (word(0).ok_or(BadPrompt::NotWav)?, word(2), word(14).ok_or(BadPrompt::NotWav)?);
    if (channels, rate) != (Some(1), Some(8_000)) {
        return Err(BadPrompt::NotMono8k);
    }
    let tag = if tag == FORMAT_EXTENSIBLE { word(24).ok_or(BadPrompt::NotWav)? } else { tag };
    match (tag, bits) {
        (FORMAT_PCM, 16) | (FORMAT_ALAW | FORMAT_ULAW, 8) => Ok(tag),
        _ => Err(BadPrompt::Codec),
    }
}

fn to_alaw(format: u16, body: &[u8]) -> Result<Vec<u8>, BadPrompt> {
    match format {
        FORMAT_ALAW => Ok(body.to_vec()),
        FORMAT_ULAW => Ok(body.iter().map(|it| g711::through(&ULAW_TO_ALAW, *it)).collect()),
        FORMAT_PCM => {
            let (samples, _) = body.as_chunks::<2>();
            Ok(samples.iter().map(|it| g711::linear_to_alaw(i16::from_le_bytes(*it))).collect())
        }
        _ => Err(BadPrompt::Codec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tag: u16, channels: u16, bits: u16, chunk: &[u8], audio: &[u8]) -> Vec<u8> {
        let mut it = b"RIFF\0\0\0\0WAVE".to_vec();
        it.extend(chunk);
        it.extend(b"fmt \x10\0\0\0");
        for word in [tag, channels, 8_000, 0, 0, 0, 1, bits] {
            it.extend(word.to_le_bytes());
        }
        it.extend(b"data");
        it.extend(u32::try_from(audio.len()).unwrap().to_le_bytes());
        it.extend(audio);
        it
    }

    #[test]
    fn a_prompt_in_each_format_becomes_alaw() {
        assert_eq!(read_prompt(&file(6, 1, 8, b"", &[0xD5, 0x55])), Ok(vec![0xD5, 0x55]));
        assert_eq!(read_prompt(&file(7, 1, 8, b"", &[0xFF])), Ok(vec![0xD5]));
        assert_eq!(read_prompt(&file(1, 1, 16, b"LIST\x01\0\0\0a\0", &[8, 0])), Ok(vec![0xD5]));
    }

    #[test]
    fn a_prompt_that_cannot_be_played_is_refused_with_its_reason() {
        assert_eq!(read_prompt(b"ID3"), Err(BadPrompt::NotWav));
        assert_eq!(read_prompt(&file(6, 1, 8, b"", b"")[..30]), Err(BadPrompt::NotWav));
        assert_eq!(read_prompt(&file(6, 2, 8, b"", b"")), Err(BadPrompt::NotMono8k));
        assert_eq!(read_prompt(&file(1, 1, 8, b"", b"")), Err(BadPrompt::Codec));
    }

    #[test]
    fn a_recordings_header_says_how_long_it_is() {
        let it = header(8_000);
        assert_eq!(it.len(), HEADER);
        assert_eq!(it[4..8], (50 + 16_000_u32).to_le_bytes());
        assert_eq!(it[46..50], 8_000_u32.to_le_bytes());
        assert_eq!(&it[50..54], b"data");
        assert_eq!(it[54..], 16_000_u32.to_le_bytes());
    }
}
