//! A robot's codecs: what it says and hears, as linear samples.

use std::fmt;

use hotline_dsp::{
    FRAME, G722Decoder, G722Encoder, OPUS_SAMPLES_MAX, OpusConfig, OpusDecoder, OpusEncoder, g711,
    opus_ticks,
};
use hotline_sdp::Codec;

/// Bytes of the longest frame of Opus.
const OPUS_MAX: usize = 400;

/// The mouth's side.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    g722: G722Encoder,
    opus: Option<OpusEncoder>,
}

impl Encoder {
    /// 20 ms in a codec; nothing in one that robots do not speak.
    pub(crate) fn encode(&mut self, codec: Codec, frame: &[i16; FRAME]) -> Vec<u8> {
        match codec {
            Codec::Pcma => frame.map(g711::linear_to_alaw).to_vec(),
            Codec::Pcmu => frame.map(g711::linear_to_ulaw).to_vec(),
            Codec::G722 => {
                let mut bytes = vec![0; FRAME];
                self.g722.encode(frame, &mut bytes);
                bytes
            }
            Codec::Opus => {
                let mut bytes = vec![0; OPUS_MAX];
                if self.opus.is_none() {
                    self.opus = OpusEncoder::new(OpusConfig::default()).ok();
                }
                let encoded = self.opus.as_mut().map(|it| it.encode(frame, &mut bytes));
                bytes.truncate(encoded.and_then(Result::ok).unwrap_or(0));
                bytes
            }
            Codec::Passed(_) => Vec::new(),
        }
    }
}

/// The ear's side. A copy hears from the beginning.
#[derive(Default)]
pub(crate) struct Decoder {
    g722: G722Decoder,
    opus: Option<OpusDecoder>,
}

impl Clone for Decoder {
    fn clone(&self) -> Self {
        Self { g722: self.g722.clone(), opus: None }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Decoder {
    pub(crate) fn decode(&mut self, codec: Codec, payload: &[u8]) -> Vec<i16> {
        match codec {
            Codec::Pcma => payload.iter().map(|it| g711::alaw_to_linear(*it)).collect(),
            Codec::Pcmu => payload.iter().map(|it| g711::ulaw_to_linear(*it)).collect(),
            Codec::G722 => {
                let mut samples = vec![0; payload.len()];
                self.g722.decode(payload, &mut samples);
                samples
            }
            Codec::Opus => {
                let mut samples = vec![0; OPUS_SAMPLES_MAX];
                if self.opus.is_none() {
                    self.opus = OpusDecoder::new().ok();
                }
                let decoded = self.opus.as_mut().map(|it| it.decode(payload, &mut samples));
                samples.truncate(decoded.and_then(Result::ok).unwrap_or(0));
                samples
            }
            Codec::Passed(_) => Vec::new(),
        }
    }
}

/// Ticks of the codec's clock that a packet lasts.
pub(crate) fn ticks(codec: Codec, payload: &[u8]) -> u32 {
    match codec {
        Codec::Opus => opus_ticks(payload).unwrap_or(0),
        Codec::Pcma | Codec::Pcmu | Codec::G722 | Codec::Passed(_) => {
            u32::try_from(payload.len()).unwrap_or(0)
        }
    }
}

/// Ticks of the codec's clock for each sample at 8,000 Hz.
pub(crate) const fn scale(codec: Codec) -> u32 {
    codec.clock() / hotline_dsp::RATE
}
