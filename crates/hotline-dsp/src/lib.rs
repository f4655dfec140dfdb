//! Sound as numbers: the two G.711 laws, playback that hides losses and follows clocks, tones made
//! and found.
//!
//! **Invariant:** no allocation and no state but what the caller holds; audio is mono at 8,000
//! samples a second, 16-bit linear or one G.711 byte a sample.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod conceal;
pub mod g711;
mod level;
mod noise;
mod playback;
mod tone;

pub use self::{
    conceal::Concealer,
    level::{amplitude_of, level_dbm0},
    noise::Noise,
    playback::Playback,
    tone::{Tone, strength},
};

/// Samples a second everywhere in the engine.
pub const RATE: u32 = 8_000;

/// Samples in one 20 ms frame.
pub const FRAME: usize = 160;
