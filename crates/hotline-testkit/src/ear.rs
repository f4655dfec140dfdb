//! A listener as the engine has one: jitter buffer, decoder, concealment, an even stream.

use hotline_base::MonoTime;
use hotline_dsp::{Playback, g711};
use hotline_rtp::{Format, Header, JitterBuffer, Next};

use crate::FRAME;

/// Hears one A-law stream.
#[derive(Clone, Debug)]
pub struct Ear {
    jitter: JitterBuffer,
    playback: Playback,
}

impl Default for Ear {
    fn default() -> Self {
        Self { jitter: JitterBuffer::new(Format::Bytes), playback: Playback::default() }
    }
}

impl Ear {
    /// A packet arrived.
    pub fn handle(&mut self, header: &Header, payload: &[u8], now: MonoTime) {
        self.jitter.insert(header, payload, 0, now);
    }

    /// The next 20 ms. Call it every 20 ms.
    pub fn frame(&mut self, now: MonoTime) -> [i16; FRAME] {
        while !self.playback.is_ready() {
            match self.jitter.next(now, self.playback.pending()) {
                Next::Packet { payload, .. } => {
                    let mut decoded = [0; 240];
                    for (to, from) in decoded.iter_mut().zip(payload) {
                        *to = g711::alaw_to_linear(*from);
                    }
                    self.playback.hear(decoded.get(..payload.len()).unwrap_or_default());
                }
                Next::Lost { samples, .. } => self.playback.conceal(samples),
                Next::Pause { samples, level } => self.playback.pause(samples, level),
            }
        }
        *self.playback.frame(self.jitter.excess(now, self.playback.pending()))
    }

    /// The sample of the sender that the next frame begins with.
    pub fn playing(&self) -> Option<i64> {
        self.jitter.playing(self.playback.pending())
    }

    pub const fn jitter(&self) -> &JitterBuffer {
        &self.jitter
    }
}
