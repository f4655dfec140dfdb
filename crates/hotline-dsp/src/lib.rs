//! Sound as numbers: G.711, G.722 and Opus, playback that hides losses and follows clocks, tones
//! made and found.
//!
//! **Invariant:** no state but what the caller holds, and no allocation but what Opus makes; audio
//! is mono at 8,000 samples a second, 16-bit linear or one G.711 byte a sample.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod conceal;
mod dtmf;
pub mod g711;
mod g722;
mod level;
mod noise;
mod opus;
mod plan;
mod playback;
mod resample;
mod tone;

pub use self::{
    dtmf::{DtmfDetector, DtmfTone},
    g722::{G722Decoder, G722Encoder},
    level::{amplitude_of, energy, level_dbm0},
    noise::Noise,
    opus::{OPUS_SAMPLES_MAX, OpusConfig, OpusDecoder, OpusEncoder, OpusError, opus_ticks},
    plan::{PLAN, Row, Signal, SignalDetector, SignalTone},
    playback::Playback,
    tone::{Tone, strength},
};

/// Samples a second everywhere in the engine.
pub const RATE: u32 = 8_000;

/// Samples in one 20 ms frame.
pub const FRAME: usize = 160;
