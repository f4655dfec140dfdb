//! Comfort noise: the sound of a line on which nobody talks (RFC 3389).

/// White noise of a given level. Its spectrum is flat: a receiver need not follow the model that
/// the sender may add (RFC 3389 §3, "may be ignored").
#[derive(Clone, Debug)]
pub struct Noise {
    state: u32,
}

impl Default for Noise {
    fn default() -> Self {
        Self { state: 0x1234_5677 }
    }
}

impl Noise {
    /// Fills with noise of `level` −dBov (0 is the loudest, 127 is silence).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "sixteen random bits, scaled down"
    )]
    pub fn fill(&mut self, level: u8, samples: &mut [i16]) {
        // 0 dBov is the power of a full-scale square wave; uniform noise has a third of its peak.
        let peak = 10_f32.powf(-f32::from(level.min(127)) / 20.0) * 3_f32.sqrt();
        for it in samples {
            // Numerical Recipes' `ranqd1`: good enough to be heard, never to guard anything.
            self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = (self.state >> 16).cast_signed() - 32_768;
            *it = (random as f32 * peak).clamp(-32_768.0, 32_767.0) as i16;
        }
    }
}
