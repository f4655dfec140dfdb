//! Opus (RFC 6716) at 8,000 Hz. All that is known of the library that does it is in this file.

#[cfg(test)]
mod tests;

use std::fmt;

use ropus::{Application, Bitrate, Channels, DecodeMode, Decoder, Encoder, InbandFec, Signal};

use crate::{FRAME, RATE};

/// Samples of the longest packet: 120 ms (RFC 6716 §3.2.5).
pub const OPUS_SAMPLES_MAX: usize = 960;

/// How to encode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpusConfig {
    /// 0 is cheap, 10 is good. See `benches/README.md` for what each costs.
    pub complexity: u8,
    pub bits_per_sec: u32,
    /// The loss that the in-band copies of earlier frames shall cover; 0 sends none.
    pub loss_percent: u8,
    /// Send next to nothing while nobody talks.
    pub dtx: bool,
}

impl Default for OpusConfig {
    fn default() -> Self {
        // At 16 kbit/s the encoder leaves the copies out.
        Self { complexity: 3, bits_per_sec: 24_000, loss_percent: 10, dtx: false }
    }
}

/// Why something could not be coded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OpusError {
    /// The configuration is outside of what Opus can do.
    Config,
    /// The packet is none, or longer than fits.
    Packet,
    /// The buffer is too small, or the frame is not 20, 40 or 60 ms.
    Size,
}

impl fmt::Display for OpusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "opus cannot be set up like this",
            Self::Packet => "the packet is not opus",
            Self::Size => "the frame does not fit",
        })
    }
}

impl std::error::Error for OpusError {}

/// Makes Opus of telephone sound.
pub struct OpusEncoder(Encoder);

impl fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusEncoder").field("complexity", &self.0.complexity()).finish()
    }
}

impl OpusEncoder {
    /// # Errors
    /// When the configuration is not possible.
    pub fn new(config: OpusConfig) -> Result<Self, OpusError> {
        let bitrate = Bitrate::try_bits(config.bits_per_sec).map_err(|_| OpusError::Config)?;
        let fec = if config.loss_percent > 0 { InbandFec::Enabled } else { InbandFec::Disabled };
        let encoder = Encoder::builder(RATE, Channels::Mono, Application::Voip)
            .signal(Signal::Voice)
            .bitrate(bitrate)
            .complexity(config.complexity)
            .inband_fec(fec)
            .packet_loss_perc(config.loss_percent)
            .dtx(config.dtx)
            .build();
        encoder.map(Self).map_err(|_| OpusError::Config)
    }

    /// From the next frame on; what load asks for.
    ///
    /// # Errors
    /// Above 10.
    pub fn set_complexity(&mut self, complexity: u8) -> Result<(), OpusError> {
        self.0.set_complexity(complexity).map_err(|_| OpusError::Config)
    }

    /// Encodes 20, 40 or 60 ms as one packet. Returns its length; 2 or less is nothing worth sending
    /// (DTX).
    ///
    /// # Errors
    /// When `to` is too small, or the frame is of no such length.
    pub fn encode(&mut self, frame: &[i16], to: &mut [u8]) -> Result<usize, OpusError> {
        if ![FRAME, 2 * FRAME, 3 * FRAME].contains(&frame.len()) {
            return Err(OpusError::Size);
        }
        self.0.encode(frame, to).map_err(|_| OpusError::Size)
    }
}

/// Makes telephone sound of Opus, whatever rate it was made at.
pub struct OpusDecoder(Decoder);

impl fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusDecoder").finish_non_exhaustive()
    }
}

impl OpusDecoder {
    /// # Errors
    /// Never with the library as it is.
    pub fn new() -> Result<Self, OpusError> {
        Decoder::new(RATE, Channels::Mono).map(Self).map_err(|_| OpusError::Config)
    }

    /// Decodes a packet to the front of `to`, which has [`OPUS_SAMPLES_MAX`]. Returns how many
    /// samples it was.
    ///
    /// # Errors
    /// When it is not Opus; nothing is heard of it then.
    pub fn decode(&mut self, packet: &[u8], to: &mut [i16]) -> Result<usize, OpusError> {
        if packet.is_empty() {
            return Err(OpusError::Packet);
        }
        self.0.decode(packet, to, DecodeMode::Normal).map_err(|_| OpusError::Packet)
    }

    /// Fills `to` in place of a lost packet as long: from the copy that the packet behind it
    /// carries, where there is one, else from what was heard before.
    ///
    /// # Errors
    /// When `next` is not Opus, or `to` is no length of an Opus frame.
    pub fn conceal(&mut self, next: Option<&[u8]>, to: &mut [i16]) -> Result<usize, OpusError> {
        match next.filter(|it| !it.is_empty()) {
            Some(next) => self.0.decode(next, to, DecodeMode::Fec),
            None => self.0.decode(&[], to, DecodeMode::Normal),
        }
        .map_err(|_| OpusError::Packet)
    }
}

/// Ticks of 48,000 Hz that a packet lasts, by its first two bytes (RFC 6716 §3.1, §3.2); `None`
/// when it is no Opus or longer than 120 ms.
pub fn opus_ticks(packet: &[u8]) -> Option<u32> {
    let first = *packet.first()?;
    let frame = match first >> 3 {
        // SILK: 10, 20, 40, 60 ms.
        it @ 0..=11 => [480, 960, 1_920, 2_880].get(usize::from(it & 3)).copied()?,
        // Hybrid: 10, 20 ms.
        it @ 12..=15 => 480 << (it & 1),
        // CELT: 2.5, 5, 10, 20 ms.
        it => 120 << (it & 3),
    };
    let n_frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3F),
    };
    let ticks = frame * n_frames;
    (1..=5_760).contains(&ticks).then_some(ticks)
}
